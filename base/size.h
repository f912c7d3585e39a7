/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

/* base/size.h: sizes as people write them. */

#include <stdint.h>

/* "64m", "1gb", "512": bytes, with k, m, g or t for powers of 1024 and a b that says nothing, in
 * either case. -1 for anything else, and for what 64 bits do not hold. */
int size_parse(const char *text, uint64_t *ret_bytes);

/* The other way round, in the largest unit that leaves no rest: "64m". */
#define SIZE_FORMAT_MAX 24
const char *size_format(uint64_t bytes, char text[SIZE_FORMAT_MAX]);

#endif
