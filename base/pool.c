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

struct pool {
	pool_thread *function;
	void *arg;
	pthread_t *threads;
	unsigned n;
};

/* --- threads ---------------------------------------------------------------------------------- */

static void *begin(void *arg)
{
	struct pool *pool = arg;

	pool->function(pool->arg);
	return NULL;
}

struct pool *pool_open(unsigned n, pool_thread *function, void *arg)
{
	struct pool *pool = xcalloc(1, sizeof(*pool));
	sigset_t all, old;

	pool->function = function;
	pool->arg = arg;
	pool->threads = xcalloc(n + 1, sizeof(*pool->threads));
	sigfillset(&all); /* signals stay the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->n < n && pthread_create(&pool->threads[pool->n], NULL, begin, pool) == 0)
		pool->n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pool;
}

unsigned pool_size(const struct pool *pool)
{
	return pool->n;
}

void pool_close(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->n; i++)
		pthread_join(pool->threads[i], NULL);
	free(pool->threads);
	free(pool);
}

/* --- each ------------------------------------------------------------------------------------- */

static void work(void *arg)
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
	struct pool *others = NULL;

	if (workers > n)
		workers = (unsigned)n;
	if (workers > 1)
		others = pool_open(workers - 1, work, &shared);
	work(&shared);
	pool_close(others);
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
