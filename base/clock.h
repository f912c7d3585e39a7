/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* base/clock.h: monotonic and wall time, RFC 3339. */

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_monotonic_ns(void);
int64_t clock_wall_ns(void); /* since 1970 UTC */

#define CLOCK_TEXT_MAX 40

/* "2026-01-02T03:04:05.678901234Z", trailing zeros of the fraction dropped as Go does. */
const char *clock_format(int64_t wall_ns, char text[CLOCK_TEXT_MAX]);

/* RFC 3339 with any offset. False when it is not one. */
bool clock_parse(const char *text, int64_t *ret_wall_ns);

#endif
