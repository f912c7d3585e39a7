/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reply is one fixed-size message in a pipe: ok or not, the error, the result. A child that
 * dies before it has written all of it is reported by how it died.
 */
#include "base/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

static void run(int pipe_fd, pid_t parent, child_function *function, void *arg, size_t result_size)
{
	cleanup_free unsigned char *result = xcalloc(1, CHILD_RESULT_MAX);
	struct err err = ERR_INIT;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	status = function(arg, result, &err);
	if (write_all(pipe_fd, &status, sizeof(status)) < 0 ||
	    write_all(pipe_fd, &err, sizeof(err)) < 0 ||
	    write_all(pipe_fd, result, result_size) < 0)
		_exit(1);
	_exit(0);
}

int child_start(struct child *child, child_function *function, void *arg, size_t result_size,
		struct err *err)
{
	pid_t parent = getpid();
	int ends[2];
	pid_t pid;

	assert(result_size <= CHILD_RESULT_MAX);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		err_os(err, "fork");
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	if (pid == 0) {
		close(ends[0]);
		run(ends[1], parent, function, arg, result_size);
	}
	close(ends[1]);
	*child = (struct child){ .pid = pid, .pipe_fd = ends[0] };
	return 0;
}

int child_wait(struct child *child, void *result, size_t result_size, struct err *err)
{
	cleanup_fd int pipe_fd = child->pipe_fd;
	struct err theirs = ERR_INIT;
	int status = -1, how = 0;
	bool whole;

	whole = read_all(pipe_fd, &status, sizeof(status)) == (ssize_t)sizeof(status) &&
		read_all(pipe_fd, &theirs, sizeof(theirs)) == (ssize_t)sizeof(theirs) &&
		read_all(pipe_fd, result, result_size) == (ssize_t)result_size;
	while (waitpid(child->pid, &how, 0) < 0 && errno == EINTR)
		;
	if (!whole && WIFSIGNALED(how))
		return err_set(err, ERR_FAILED, "a helper process was killed by signal %d",
			       WTERMSIG(how));
	if (!whole)
		return err_set(err, ERR_FAILED, "a helper process ended early");
	if (status < 0)
		*err = theirs;
	return status;
}

void child_kill(struct child *child)
{
	/* its pipe says nothing about its end: other children may have inherited that */
	kill(child->pid, SIGKILL);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(child->pipe_fd);
}

int child_call_heeding(child_function *function, void *arg, const struct cancel *cancel,
		       void *result, size_t result_size, struct err *err)
{
	struct child child;

	if (child_start(&child, function, arg, result_size, err) < 0)
		return -1;
	if (cancel && cancel_await(cancel, child.pipe_fd, err) < 0) {
		child_kill(&child);
		return -1;
	}
	return child_wait(&child, result, result_size, err);
}

int child_call(child_function *function, void *arg, void *result, size_t result_size,
	       struct err *err)
{
	return child_call_heeding(function, arg, NULL, result, result_size, err);
}
