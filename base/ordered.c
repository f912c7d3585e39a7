/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of slots. Three counters chase each other round it: put (by the caller), taken (by the
 * workers), delivered (by the caller); delivered <= taken <= put <= delivered + depth. A slot
 * between delivered and put belongs to the pipeline; its `done` is written under the lock.
 */
#include "base/ordered.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/pool.h"

struct slot {
	void *job;
	bool done, failed;
	struct err err; /* when failed */
};

struct ordered {
	ordered_work *work;
	ordered_deliver *deliver;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t came, done; /* a job for workers; a job for the caller */
	struct slot *slots;
	size_t depth;
	size_t n_put, n_taken, n_delivered;
	bool stop;
	struct pool *pool; /* NULL with one worker */
};

static void run_worker(void *arg)
{
	struct ordered *ordered = arg;

	pthread_mutex_lock(&ordered->lock);
	for (;;) {
		struct slot *slot;
		int status;

		while (!ordered->stop && ordered->n_taken == ordered->n_put)
			pthread_cond_wait(&ordered->came, &ordered->lock);
		if (ordered->stop)
			break;
		slot = &ordered->slots[ordered->n_taken++ % ordered->depth];
		pthread_mutex_unlock(&ordered->lock);
		status = ordered->work(slot->job, &slot->err);
		pthread_mutex_lock(&ordered->lock);
		slot->failed = status < 0;
		slot->done = true;
		pthread_cond_signal(&ordered->done);
	}
	pthread_mutex_unlock(&ordered->lock);
}

struct ordered *ordered_new(unsigned workers, ordered_work *work, ordered_deliver *deliver,
			    void *arg)
{
	struct ordered *ordered = xcalloc(1, sizeof(*ordered));

	ordered->work = work;
	ordered->deliver = deliver;
	ordered->arg = arg;
	ordered->depth = workers > 1 ? 2 * (size_t)workers : 1;
	ordered->slots = xcalloc(ordered->depth, sizeof(*ordered->slots));
	pthread_mutex_init(&ordered->lock, NULL);
	pthread_cond_init(&ordered->came, NULL);
	pthread_cond_init(&ordered->done, NULL);
	if (workers > 1)
		ordered->pool = pool_open(workers, run_worker, ordered);
	return ordered;
}

size_t ordered_depth(const struct ordered *ordered)
{
	return ordered->depth;
}

static int deliver_oldest(struct ordered *ordered, struct err *err)
{
	struct slot *slot = &ordered->slots[ordered->n_delivered % ordered->depth];

	pthread_mutex_lock(&ordered->lock);
	while (!slot->done)
		pthread_cond_wait(&ordered->done, &ordered->lock);
	pthread_mutex_unlock(&ordered->lock);
	ordered->n_delivered++;
	if (slot->failed) {
		*err = slot->err;
		return -1;
	}
	return ordered->deliver(ordered->arg, slot->job, err);
}

int ordered_put(struct ordered *ordered, void *job, struct err *err)
{
	struct slot *slot;

	if (!ordered->pool || !pool_size(ordered->pool)) {
		if (ordered->work(job, err) < 0)
			return -1;
		return ordered->deliver(ordered->arg, job, err);
	}
	if (ordered->n_put - ordered->n_delivered == ordered->depth &&
	    deliver_oldest(ordered, err) < 0)
		return -1;
	slot = &ordered->slots[ordered->n_put % ordered->depth];
	pthread_mutex_lock(&ordered->lock);
	slot->job = job;
	slot->done = slot->failed = false;
	ordered->n_put++;
	pthread_cond_signal(&ordered->came);
	pthread_mutex_unlock(&ordered->lock);
	return 0;
}

int ordered_drain(struct ordered *ordered, struct err *err)
{
	while (ordered->n_delivered < ordered->n_put)
		if (deliver_oldest(ordered, err) < 0)
			return -1;
	return 0;
}

void ordered_free(struct ordered *ordered)
{
	if (!ordered)
		return;
	pthread_mutex_lock(&ordered->lock);
	ordered->stop = true;
	pthread_cond_broadcast(&ordered->came);
	pthread_mutex_unlock(&ordered->lock);
	pool_close(ordered->pool);
	pthread_cond_destroy(&ordered->came);
	pthread_cond_destroy(&ordered->done);
	pthread_mutex_destroy(&ordered->lock);
	free(ordered->slots);
	free(ordered);
}
