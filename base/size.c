/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int size_parse(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "kmgt";
	unsigned long long number;
	unsigned shift = 0;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -1;
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if ((*end | 0x20) == 'b')
		end++;
	if (*end || number > UINT64_MAX >> shift)
		return -1;
	*ret_bytes = (uint64_t)number << shift;
	return 0;
}

const char *size_format(uint64_t bytes, char text[SIZE_FORMAT_MAX])
{
	static const char units[][2] = { "", "k", "m", "g", "t" };
	size_t unit = 0;

	for (; unit < 4 && bytes && bytes % 1024 == 0; unit++)
		bytes /= 1024;
	snprintf(text, SIZE_FORMAT_MAX, "%" PRIu64 "%s", bytes, units[unit]);
	return text;
}
