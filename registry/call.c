/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/call.h"

/*
 * The near end of registry/protocol.h: start the helper, hand it the request, pass its events
 * on, take its result. The helper is not trusted with more than that: its lines are bounded, and
 * one that dies or talks nonsense is an error like any other. When the store is told to give up,
 * the helper is killed: what it has not finished has no name yet.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/store.h"
#include "registry/protocol.h"

struct helper {
	pid_t pid;
	int in, out; /* its stdin and stdout */
	const struct cancel *cancel;
	struct buf line; /* bytes read and not yet used */
};

static void helper_stop(struct helper *helper)
{
	if (helper->in >= 0)
		close(helper->in);
	if (helper->out >= 0)
		close(helper->out);
	if (helper->pid > 0) {
		kill(helper->pid, SIGKILL);
		while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	buf_release(&helper->line);
}

/* It begins with no signal blocked or ignored, whatever this process does with them. */
static void set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const struct transport_options *options, const struct store *store, int in,
		 int out, pid_t *ret_pid, struct err *err)
{
	char *const argv[] = { (char *)"cbuild-registry", (char *)"--root",
			       (char *)store_path(store), NULL };
	char *const nothing[] = { NULL };
	char *const *environment =
		options->environment ? (char *const *)options->environment : nothing;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	set_signals(&attributes);
	rc = posix_spawn(ret_pid, options->helper, &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0) {
		errno = rc;
		return err_os(err, "run %s", options->helper);
	}
	return 0;
}

static int helper_start(struct helper *helper, const struct transport_options *options,
			const struct store *store, struct err *err)
{
	cleanup_fd int child_in = -1;
	cleanup_fd int child_out = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_os(err, "make a socket pair");
	child_in = ends[0];
	helper->in = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	helper->out = ends[0];
	child_out = ends[1];
	return spawn(options, store, child_in, child_out, &helper->pid, err);
}

static int send_request(struct helper *helper, const json_t *request, struct err *err)
{
	cleanup_free char *text = js_dump(request);
	size_t len = strlen(text), sent = 0;

	if (len >= PROTOCOL_LINE_MAX)
		return err_set(err, ERR_LIMIT, "a request of more than %d bytes",
			       PROTOCOL_LINE_MAX);
	text[len] = '\n'; /* instead of the NUL */
	/* A helper that died at once is told by its exit, not by a signal to us. */
	for (ssize_t n; sent <= len; sent += n > 0 ? (size_t)n : 0) {
		n = send(helper->in, text + sent, len + 1 - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EPIPE)
			break;
		if (n < 0 && errno != EINTR)
			return err_os(err, "write to cbuild-registry");
	}
	explicit_bzero(text, len); /* it may hold an Authorization */
	close(steal_fd(&helper->in));
	return 0;
}

static int explain_end(struct helper *helper, struct err *err)
{
	int status = 0;

	while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR)
		;
	helper->pid = 0;
	if (WIFSIGNALED(status))
		return err_set(err, ERR_FAILED, "cbuild-registry was killed by signal %d",
			       WTERMSIG(status));
	return err_set(err, ERR_FAILED, "cbuild-registry ended with status %d and no result",
		       WEXITSTATUS(status));
}

/* One line as JSON. */
static int read_line(struct helper *helper, json_t **ret_line, struct err *err)
{
	struct buf *line = &helper->line;
	char block[4096];
	char *newline;
	size_t used;

	while ((newline = memchr(line->data, '\n', line->len)) == NULL) {
		ssize_t n;

		if (cancel_await(helper->cancel, helper->out, err) < 0)
			return -1;
		n = read(helper->out, block, sizeof(block));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(err, "read from cbuild-registry");
		if (n == 0)
			return explain_end(helper, err);
		if (buf_add(line, block, (size_t)n) < 0)
			return err_set(err, ERR_LIMIT, "cbuild-registry wrote too long a line");
	}
	used = (size_t)(newline - line->data) + 1;
	if (js_parse("cbuild-registry", line->data, used, ret_line, err) < 0)
		return -1;
	memmove(line->data, line->data + used, line->len - used + 1);
	line->len -= used;
	return 0;
}

static int pass_event(const json_t *line, const char *word, transport_listener *listener, void *arg,
		      struct err *err)
{
	static const char *const states[] = PROTOCOL_STATES;
	struct transport_event event = { 0 };
	unsigned i = 0;

	while (states[i] && strcmp(states[i], word) != 0)
		i++;
	if (!states[i])
		return err_set(err, ERR_INVALID, "unknown event \"%s\"", word);
	event.state = (enum transport_state)i;
	if (js_string(line, "text", "", &event.text, err) < 0 ||
	    js_uint(line, "current", 0, &event.current, err) < 0 ||
	    js_uint(line, "total", 0, &event.total, err) < 0)
		return -1;
	if (event.state != TRANSPORT_NOTE && !*event.text &&
	    js_digest(line, "digest", &event.digest, err) < 0)
		return -1;
	if (listener)
		listener(arg, &event);
	return 0;
}

static int take_error(const json_t *error, struct err *err)
{
	const char *message;
	uint64_t kind, os_errno;

	if (js_string(error, "message", "", &message, err) < 0 ||
	    js_uint(error, "kind", ERR_FAILED, &kind, err) < 0 ||
	    js_uint(error, "errno", 0, &os_errno, err) < 0)
		return -1;
	if (kind == ERR_NONE || kind > ERR_CANCELLED)
		kind = ERR_FAILED;
	err_set(err, (enum err_kind)kind, "%s", message);
	err->os_errno = (int)os_errno;
	return -1;
}

static int take_result(struct helper *helper, transport_listener *listener, void *arg,
		       json_t **ret_result, struct err *err)
{
	for (;;) {
		cleanup_json json_t *line = NULL;
		const char *event;
		json_t *error, *result;

		if (read_line(helper, &line, err) < 0 ||
		    js_string(line, "event", NULL, &event, err) < 0 ||
		    js_object(line, "error", &error, err) < 0 ||
		    js_object(line, "result", &result, err) < 0)
			return -1;
		if (error)
			return take_error(error, err);
		if (result) {
			*ret_result = json_incref(result);
			return 0;
		}
		if (!event)
			return err_set(err, ERR_INVALID, "cbuild-registry wrote nonsense");
		if (pass_event(line, event, listener, arg, err) < 0)
			return -1;
	}
}

int helper_call(const struct transport_options *options, const struct store *store,
		const json_t *request, transport_listener *listener, void *arg, json_t **ret_result,
		struct err *err)
{
	struct helper helper = { .in = -1, .out = -1, .cancel = store_cancel(store) };
	int rc;

	buf_init(&helper.line, PROTOCOL_LINE_MAX);
	rc = helper_start(&helper, options, store, err);
	if (rc == 0)
		rc = send_request(&helper, request, err);
	if (rc == 0)
		rc = take_result(&helper, listener, arg, ret_result, err);
	helper_stop(&helper);
	return rc;
}
