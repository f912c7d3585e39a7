/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Durations as Go's time.ParseDuration reads them: an optional sign, then decimal numbers, each
 * with its unit; "0" needs none.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },	   { "us", 1000 },	{ "\xc2\xb5s", 1000 }, { "\xce\xbcs", 1000 },
	{ "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 },  { "h", 3600000000000 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Up to, not including, the next digit or point. */
static const struct unit *read_unit(const char **text)
{
	size_t len = 0;

	while ((*text)[len] && (*text)[len] != '.' && !is_digit((*text)[len]))
		len++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, *text, len) == 0) {
			*text += len;
			return &units[i];
		}
	return NULL;
}

/* number: digits [ "." { digit } ] | "." digits, then a unit. Adds to *total; false when bad. */
static bool read_part(const char **text, uint64_t *total)
{
	uint64_t whole = 0, fraction = 0, ns;
	double scale = 1;
	const struct unit *unit;
	bool any = false;

	for (; is_digit(**text); (*text)++, any = true)
		if (__builtin_mul_overflow(whole, 10U, &whole) ||
		    __builtin_add_overflow(whole, (unsigned)(**text - '0'), &whole))
			return false;
	if (**text == '.')
		for ((*text)++; is_digit(**text); (*text)++, any = true)
			if (fraction < INT64_MAX / 10) { /* the rest is below a nanosecond */
				fraction = fraction * 10 + (unsigned)(**text - '0');
				scale *= 10;
			}
	unit = any ? read_unit(text) : NULL;
	if (!unit || __builtin_mul_overflow(whole, unit->ns, &ns) || ns > INT64_MAX)
		return false;
	ns += (uint64_t)((double)fraction * ((double)unit->ns / scale));
	return !__builtin_add_overflow(*total, ns, total) && *total <= INT64_MAX;
}

int duration_parse(const char *text, int64_t *ret_ns, struct err *err)
{
	const char *at = text;
	uint64_t total = 0;
	bool negative = *at == '-';

	if (*at == '-' || *at == '+')
		at++;
	if (strcmp(at, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	do {
		if (!read_part(&at, &total))
			return err_set(err, ERR_INVALID,
				       "invalid duration \"%.64s\": expected numbers with units, such "
				       "as 30s or 1m30s",
				       text);
	} while (*at);
	*ret_ns = negative ? -(int64_t)total : (int64_t)total;
	return 0;
}
