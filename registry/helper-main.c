/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * cbuild-registry: the program that speaks to registries, so that cbuild itself links no HTTP
 * library and holds no credentials. registry/protocol.h says what it reads and writes; only
 * cbuild runs it. This file alone reads the environment.
 */

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/store.h"
#include "registry/answer.h"
#include "registry/http.h"
#include "registry/protocol.h"
#include "registry/registries.h"
#include "registry/session.h"

static int read_request(json_t **ret_request, struct err *err)
{
	cleanup_buf struct buf line;
	char block[4096];
	ssize_t n;

	buf_init(&line, PROTOCOL_LINE_MAX);
	while ((n = read(STDIN_FILENO, block, sizeof(block))) > 0) {
		if (buf_add(&line, block, (size_t)n) < 0)
			return err_set(err, ERR_LIMIT, "a request of more than %d bytes",
				       PROTOCOL_LINE_MAX);
		if (block[n - 1] == '\n') /* one line is all that comes */
			break;
	}
	return js_parse("request", line.data, line.len, ret_request, err);
}

static int take_request(struct session *session, struct err *err)
{
	const char *reference, *conf;

	if (js_string(session->request, "op", "", &session->op, err) < 0 ||
	    js_string(session->request, "reference", "", &reference, err) < 0 ||
	    js_string(session->request, "authfile", NULL, &session->authfile, err) < 0 ||
	    js_string(session->request, "registries_conf", NULL, &conf, err) < 0)
		return -1;
	session->insecure = json_is_true(json_object_get(session->request, "insecure"));
	if (strcmp(session->op, OP_FETCH) == 0)
		return 0;
	if (strcmp(session->op, OP_LAYERS) != 0 &&
	    reference_parse(reference, &session->reference, err) < 0)
		return -1;
	return registries_load(conf, &session->environment, &session->registries, err);
}

static int run(struct session *session, json_t **ret_result, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];
	int rc;

	if (take_request(session, err) < 0)
		return -1;
	if (strcmp(session->op, OP_FETCH) == 0)
		return fetch_run(session, ret_result, err);
	if (strcmp(session->op, OP_LAYERS) == 0)
		return layers_run(session, ret_result, err);
	if (strcmp(session->op, OP_RESOLVE) == 0)
		rc = resolve_run(session, ret_result, err);
	else if (strcmp(session->op, OP_PULL) == 0)
		rc = pull_run(session, ret_result, err);
	else if (strcmp(session->op, OP_PUSH) == 0)
		rc = push_run(session, ret_result, err);
	else if (strcmp(session->op, OP_GET_TAGS) == 0)
		rc = get_tags_run(session, ret_result, err);
	else if (strcmp(session->op, OP_PUT_TAGS) == 0)
		rc = put_tags_run(session, ret_result, err);
	else
		return err_set(err, ERR_UNSUPPORTED, "unknown operation \"%s\"", session->op);
	return rc < 0 ? err_wrap(err, "%s", reference_familiar(&session->reference, name)) : 0;
}

static void report(struct session *session, json_t *result, const struct err *err)
{
	/* Whoever shows it may rely on it: UTF-8 without control characters. */
	cleanup_free char *message = answer_sanitise(xstrdup(err->message), ERR_MESSAGE_MAX);
	cleanup_json json_t *line = json_object();

	if (result)
		json_object_set(line, "result", result);
	else
		json_object_set_new(line, "error",
				    json_pack("{s:i, s:i, s:s}", "kind", (int)err->kind, "errno",
					      err->os_errno, "message", message));
	session_write(session, line);
}

static void on_note(void *arg, const char *text)
{
	session_note(arg, text);
}

int main(int argc, char **argv)
{
	struct session session = { .output = PTHREAD_MUTEX_INITIALIZER,
				   .output_fd = STDOUT_FILENO };
	cleanup_json json_t *request = NULL, *result = NULL;
	struct err err = ERR_INIT;
	int rc;

	if (argc != 3 || strcmp(argv[1], "--root") != 0) {
		fprintf(stderr, "usage: cbuild-registry --root STORE (run by cbuild)\n");
		return 2;
	}
	/* Nobody waits for the result when cbuild is gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0); /* credentials are in this memory, as secrets are in cbuild's */
	signal(SIGPIPE, SIG_IGN);
	for (char **entry = environ; *entry; entry++)
		strv_add(&session.environment, *entry);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	session.http = http_new(&session.environment, on_note, &session);
	rc = read_request(&request, &err);
	session.request = request;
	if (rc == 0)
		rc = store_open(argv[2], false, &session.store, &err);
	if (rc == 0)
		rc = run(&session, &result, &err);
	store_free(session.store); /* first: cbuild may end at the result, and this with it */
	report(&session, result, &err);
	registries_free(session.registries);
	http_free(session.http);
	strv_release(&session.environment);
	curl_global_cleanup();
	return rc < 0;
}
