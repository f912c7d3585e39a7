/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sandbox/internal.h"

#include <ctype.h>
#include <string.h>

/* A decimal number below 2^32 that ends at `end`. */
static bool parse_id(const char **at, char end, uint32_t *ret_id)
{
	uint64_t id = 0;
	const char *p = *at;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		id = id * 10 + (uint64_t)(*p - '0');
		if (id > UINT32_MAX)
			return false;
	}
	if (*p != end && !(end == '\n' && *p == '\0'))
		return false;
	*at = *p ? p + 1 : p;
	*ret_id = (uint32_t)id;
	return true;
}

static bool owner_is(const char *owner, size_t len, const char *name, uid_t uid)
{
	const char *at = owner;
	uint32_t id;

	if (name && strlen(name) == len && !strncmp(owner, name, len))
		return true;
	return parse_id(&at, ':', &id) && id == uid;
}

void subid_parse(const char *text, const char *name, uid_t uid, struct subid *ret_subid)
{
	struct subid subid = { .n = 0 };

	for (const char *line = text, *next; *line; line = next) {
		const char *end = strchrnul(line, '\n');
		const char *colon = strchr(line, ':');
		struct subid_range range;

		next = *end ? end + 1 : end;
		if (!colon || colon > end || !owner_is(line, (size_t)(colon - line), name, uid))
			continue;
		colon++;
		if (!parse_id(&colon, ':', &range.start) || !parse_id(&colon, '\n', &range.count))
			continue;
		if (range.count == 0 || range.count > UINT32_MAX - range.start ||
		    subid.total + range.count >= UINT32_MAX - 1)
			continue;
		if (subid.n == SUBID_RANGES_MAX)
			break;
		subid.ranges[subid.n++] = range;
		subid.total += range.count;
	}
	*ret_subid = subid;
}
