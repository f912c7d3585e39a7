/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ORDERED_H
#define BASE_ORDERED_H

/*
 * base/ordered.h: jobs that are worked on side by side and delivered in the order they came. For
 * streams: the caller fills jobs, threads work on them, and the caller, while it goes on filling,
 * delivers what is done. The delivered order and bytes do not depend on the number of threads.
 */

#include <stddef.h>

struct err;
struct ordered;

/* Runs on any thread. */
typedef int ordered_work(void *job, struct err *err);

/* Runs in the thread that calls ordered_put() and ordered_drain(), once per job, in order. */
typedef int ordered_deliver(void *arg, void *job, struct err *err);

/* With one worker no thread is made: a job is worked on and delivered at once. */
struct ordered *ordered_new(unsigned workers, ordered_work *work, ordered_deliver *deliver,
			    void *arg);

/* How many jobs may be under way. A job that was put is the pipeline's until so many others were
 * put after it, or ordered_drain(). */
size_t ordered_depth(const struct ordered *ordered);

/* Put a job in, having delivered the oldest when there is no room. After a failure nothing more
 * may be put. */
int ordered_put(struct ordered *ordered, void *job, struct err *err);

/* Wait for all jobs and deliver them. */
int ordered_drain(struct ordered *ordered, struct err *err);

/* Stops the threads; jobs that were not delivered are dropped. NULL is fine. */
void ordered_free(struct ordered *ordered);

#endif
