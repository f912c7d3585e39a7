/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_RETRY_H
#define REGISTRY_RETRY_H

/* registry/retry.h: when a refused request is tried again, and how long that waits. */

#include <stdbool.h>
#include <stdint.h>

#define RETRY_TRIES	  6
#define RETRY_WAIT_MAX_MS 120000 /* who is told to wait longer gives up at once */
#define RETRY_BUDGET_NS	  (300 * 1000000000ull)

/* Statuses that pass by themselves. */
bool retry_status(int status);

/* Before try n + 1: 1 s doubled each time, 30 s at most, 20 % of chance either way. */
uint64_t retry_backoff_ms(unsigned n);

/*
 * Retry-After: seconds or an HTTP date, now_s in seconds since 1970. False when the header is
 * absent (NULL) or means nothing; what lies in the past is 0.
 */
bool retry_after_ms(const char *header, int64_t now_s, uint64_t *ret_ms);

#endif
