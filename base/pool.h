/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_POOL_H
#define BASE_POOL_H

/*
 * base/pool.h: the only place that makes threads. They have all signals blocked. pool_each() is a
 * parallel for: results go to places chosen by index, so their order never depends on timing, and
 * one worker gives the same bytes as many. No thread is left when it returns.
 */

#include <stddef.h>

struct err;

typedef int pool_function(void *arg, size_t i, struct err *err);

/*
 * Call function(arg, i) for each i below n, on at most `workers` threads (1: in this one).
 * After a failure no further i is started; the failure with the lowest i is reported.
 */
int pool_each(unsigned workers, size_t n, pool_function *function, void *arg, struct err *err);

/*
 * Run function(arg) on n more threads; there are fewer, maybe none, when the system has no more,
 * and the caller must get on without. pool_close() waits for their end (NULL is fine).
 */
typedef void pool_thread(void *arg);
struct pool;
struct pool *pool_open(unsigned n, pool_thread *function, void *arg);
unsigned pool_size(const struct pool *pool);
void pool_close(struct pool *pool);

/* Processors this process may run on. */
unsigned pool_processors(void);

#endif
