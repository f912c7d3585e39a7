/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories read side by side, before somebody goes through them in order: in a build with
 * nothing new, asking for the stat data of every file is most of the work.
 *
 * A directory waits on a stack until some thread has time for it; the one that reads it puts its
 * members' directories there. So each is read once, by one thread, which nobody else looks at until
 * all are done. Small contexts are done before a second thread would be.
 */
#include "builder/node.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/pool.h"

#define ALONE_MAX 2000 /* members read before other threads are asked */

struct ahead {
	struct source *source;
	pthread_mutex_t lock;
	pthread_cond_t came; /* a directory, or the end */
	struct node **waiting;
	size_t n, cap;
	size_t n_busy; /* threads that read one */
};

/* With the lock: what is below a directory that was read. The first is taken next. */
static void push_members(struct ahead *ahead, const struct node *dir)
{
	for (size_t i = dir->loaded ? dir->n_children : 0; i-- > 0;) {
		struct node *node = &dir->children[i];

		if (!S_ISDIR(node->mode) || node->hidden)
			continue;
		ahead->waiting =
			grow_vector(ahead->waiting, ahead->n, &ahead->cap, sizeof(*ahead->waiting));
		ahead->waiting[ahead->n++] = node;
	}
	pthread_cond_broadcast(&ahead->came);
}

/* Read directories until all are, or `max` members. */
static void read_until(struct ahead *ahead, struct walker *walker, size_t max)
{
	size_t n_members = 0;

	pthread_mutex_lock(&ahead->lock);
	while (n_members < max) {
		struct err ignored = ERR_INIT;
		struct node *dir;

		while (!ahead->n && ahead->n_busy)
			pthread_cond_wait(&ahead->came, &ahead->lock);
		if (!ahead->n)
			break;
		dir = ahead->waiting[--ahead->n];
		ahead->n_busy++;
		pthread_mutex_unlock(&ahead->lock);
		walker_load(walker, dir, &ignored);
		pthread_mutex_lock(&ahead->lock);
		ahead->n_busy--;
		n_members += dir->n_children;
		push_members(ahead, dir);
	}
	pthread_mutex_unlock(&ahead->lock);
}

static void read_rest(void *arg)
{
	struct ahead *ahead = arg;
	struct walker *walker = walker_new(ahead->source);

	read_until(ahead, walker, SIZE_MAX);
	pthread_mutex_lock(&ahead->lock);
	walker_free(walker);
	pthread_mutex_unlock(&ahead->lock);
}

void source_read_ahead(struct source *source, struct node *dir)
{
	struct walker *walker = walker_new(source);
	struct ahead ahead = {
		.source = source,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.came = PTHREAD_COND_INITIALIZER,
		.waiting = xcalloc(1, sizeof(*ahead.waiting)),
		.n = 1,
		.cap = 1,
	};

	ahead.waiting[0] = dir;
	read_until(&ahead, walker, ALONE_MAX);
	walker_free(walker);
	if (ahead.n) {
		struct pool *others = pool_open(source->jobs - 1, read_rest, &ahead);

		read_rest(&ahead);
		pool_close(others);
	}
	free(ahead.waiting);
}
