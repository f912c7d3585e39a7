/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/creds.h"

/*
 * docker-credential-NAME get: the key on its stdin, a JSON object or the words of its failure on
 * its stdout. It is found by PATH and never by a path of its own, and has 30 seconds.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define HELPER_SECONDS	  30
#define HELPER_OUTPUT_MAX 65536
#define NOT_FOUND	  "credentials not found in native keychain"

static bool name_ok(const char *name)
{
	const char *p = name;

	for (; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("._-", *p)))
			return false;
	return p != name && p - name < 128;
}

static int start(const char *program, int in, int out, pid_t *ret_pid, struct err *err)
{
	char *const argv[] = { (char *)program, (char *)"get", NULL };
	posix_spawn_file_actions_t actions;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	rc = posix_spawnp(ret_pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0) {
		errno = rc;
		return err_os(err, "run %s", program);
	}
	return 0;
}

static int read_answer(int fd, struct buf *answer, struct err *err)
{
	uint64_t deadline = clock_monotonic_ns() + HELPER_SECONDS * 1000000000ull;
	char block[4096];

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_monotonic_ns();
		ssize_t n;

		if (now >= deadline || poll(&poll_fd, 1, (int)((deadline - now) / 1000000)) == 0)
			return err_set(err, ERR_FAILED, "no answer within %d seconds",
				       HELPER_SECONDS);
		n = read(fd, block, sizeof(block));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_os(err, "read its answer");
		if (n > 0 && buf_add(answer, block, (size_t)n) < 0)
			return err_set(err, ERR_LIMIT, "an answer of more than %d bytes",
				       HELPER_OUTPUT_MAX);
	}
}

static int exchange(const char *program, const char *key, struct buf *answer, int *ret_status,
		    struct err *err)
{
	int in[2], out[2], rc;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return err_os(err, "make a pipe");
	}
	rc = start(program, in[0], out[1], &pid, err);
	close(in[0]);
	close(out[1]);
	if (rc == 0)
		/* A helper that does not read its key says why on its own. */
		(void)!write(in[1], key, strlen(key));
	close(in[1]);
	if (rc == 0) {
		rc = read_answer(out[0], answer, err);
		if (rc < 0)
			kill(pid, SIGKILL);
		while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
			;
	}
	close(out[0]);
	return rc;
}

static int take_answer(const char *program, const struct buf *answer,
		       struct credential *ret_credential, struct err *err)
{
	cleanup_json json_t *root = NULL;
	const char *username, *secret;

	if (js_parse(program, answer->data, answer->len, &root, err) < 0)
		return -1;
	if (js_string(root, "Username", "", &username, err) < 0 ||
	    js_string(root, "Secret", "", &secret, err) < 0)
		return err_wrap(err, "%s", program);
	if (strcmp(username, "<token>") == 0) {
		ret_credential->identity_token = xstrdup(secret);
	} else {
		ret_credential->username = xstrdup(username);
		ret_credential->password = xstrdup(secret);
	}
	ret_credential->source = xstrdup(program);
	return 0;
}

int creds_ask_helper(const char *name, const char *key, struct credential *ret_credential,
		     struct err *err)
{
	cleanup_free char *program = NULL;
	cleanup_buf struct buf answer;
	int status = 0;

	buf_init(&answer, HELPER_OUTPUT_MAX);
	*ret_credential = (struct credential){ 0 };
	if (!name_ok(name))
		return err_set(err, ERR_INVALID, "not the name of a credential helper: \"%.128s\"",
			       name);
	program = xasprintf("docker-credential-%s", name);
	if (exchange(program, key, &answer, &status, err) < 0)
		return err_wrap(err, "%s", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return take_answer(program, &answer, ret_credential, err);
	if (strncmp(answer.data, NOT_FOUND, strlen(NOT_FOUND)) == 0)
		return 0;
	return err_set(err, ERR_FAILED, "%s: %.*s", program, (int)strcspn(answer.data, "\n"),
		       answer.data);
}
