/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

/*
 * base/child.h: run a function of ours in a forked process and get its error back. For work that
 * must not touch this process: unpacking untrusted bytes with another root directory.
 */

#include <stddef.h>
#include <sys/types.h>

struct cancel;
struct err;

/*
 * The function runs in the child. What it leaves in result (at most CHILD_RESULT_MAX bytes of
 * plain data, no pointers) reaches the parent. Returns 0, or -1 with *err set.
 */
typedef int child_function(void *arg, void *result, struct err *err);

#define CHILD_RESULT_MAX 16384

struct child {
	pid_t pid;
	int pipe_fd;
};

/* The child dies with its parent, and gets a copy of everything else. */
int child_start(struct child *child, child_function *function, void *arg, size_t result_size,
		struct err *err);

/* Wait for it. The error is the child's own, or ERR_FAILED when it died. */
int child_wait(struct child *child, void *result, size_t result_size, struct err *err);

/* End it by force. */
void child_kill(struct child *child);

/* Start and wait. When `cancel` (may be NULL) is asked, it is ended by force: ERR_CANCELLED. */
int child_call_heeding(child_function *function, void *arg, const struct cancel *cancel,
		       void *result, size_t result_size, struct err *err);
int child_call(child_function *function, void *arg, void *result, size_t result_size,
	       struct err *err);

#endif
