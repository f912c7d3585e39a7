/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers take the next index from a shared counter. Indices are handed out in order, so when
 * some i has failed every lower one has been started and will report: the lowest failure is
 * well defined whatever the timing.
 */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct shared {
	pthread_mutex_t lock;
	pool_function *function;
	void *arg;
	size_t next, n;
	size_t failed; /* lowest index that failed, n when none */
	struct err err;
};

static void *work(void *arg)
{
	struct shared *shared = arg;
	struct err err = ERR_INIT;

	pthread_mutex_lock(&shared->lock);
	while (shared->failed == shared->n && shared->next < shared->n) {
		size_t i = shared->next++;
		int status;

		pthread_mutex_unlock(&shared->lock);
		status = shared->function(shared->arg, i, &err);
		pthread_mutex_lock(&shared->lock);
		if (status < 0 && i < shared->failed) {
			shared->failed = i;
			shared->err = err;
		}
	}
	pthread_mutex_unlock(&shared->lock);
	return NULL;
}

int pool_each(unsigned workers, size_t n, pool_function *function, void *arg, struct err *err)
{
	struct shared shared = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.function = function,
		.arg = arg,
		.n = n,
		.failed = n,
	};
	cleanup_free pthread_t *threads = NULL;
	unsigned started = 0;
	sigset_t all, old;

	if (workers > n)
		workers = (unsigned)n;
	if (workers > 1) {
		threads = xcalloc(workers, sizeof(*threads));
		sigfillset(&all); /* signals stay the main thread's */
		pthread_sigmask(SIG_SETMASK, &all, &old);
		while (started < workers - 1 &&
		       pthread_create(&threads[started], NULL, work, &shared) == 0)
			started++;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	work(&shared);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (shared.failed == n)
		return 0;
	*err = shared.err;
	return -1;
}

unsigned pool_processors(void)
{
	cpu_set_t set;
	int count;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	count = CPU_COUNT(&set);
	return count > 0 ? (unsigned)count : 1;
}
