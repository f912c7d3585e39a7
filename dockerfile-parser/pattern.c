/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Go's filepath.Match, on slashes and code points:
 *
 *	pattern:	{ term }
 *	term:		"*" | "?" | "[" [ "^" ] range { range } "]" | character | "\" character
 *	range:		class character [ "-" class character ]
 *
 * "*" and "?" stop at "/", a class does not. A malformed pattern is one whatever the path is, so
 * the syntax is checked first and matching need not care.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>

#include "base/mem.h"

/* class character: not "-" or "]" unless escaped. false when malformed. */
static bool class_rune(const char **at, const char *end, uint32_t *ret_rune)
{
	size_t width;

	if (*at == end || **at == '-' || **at == ']')
		return false;
	if (**at == '\\' && ++*at == end)
		return false;
	*ret_rune = rune_decode(*at, (size_t)(end - *at), &width);
	*at += width;
	return *ret_rune < RUNE_BAD && *at < end;
}

int pattern_class_match(const char **class, const char *end, uint32_t rune)
{
	const char *at = *class + 1;
	bool negated = at < end && *at == '^';
	bool found = false;

	at += negated;
	for (size_t ranges = 0;; ranges++) {
		uint32_t low, high;

		if (at < end && *at == ']' && ranges)
			break;
		if (!class_rune(&at, end, &low))
			return -1;
		high = low;
		if (*at == '-') {
			at++;
			if (!class_rune(&at, end, &high))
				return -1;
		}
		found |= rune >= low && rune <= high;
	}
	*class = at + 1;
	return found != negated;
}

static bool is_well_formed(const char *pattern, const char *end)
{
	while (pattern < end) {
		if (*pattern == '[') {
			if (pattern_class_match(&pattern, end, 0) < 0)
				return false;
			continue;
		}
		if (*pattern == '\\' && ++pattern == end)
			return false;
		pattern++;
	}
	return true;
}

/* Match one term that is not "*" against the rune; *pattern moves past it when it matches. */
static bool match_term(const char **pattern, const char *end, uint32_t rune)
{
	const char *at = *pattern;
	size_t width;

	if (at == end)
		return false;
	switch (*at) {
	case '?':
		if (rune == '/')
			return false;
		at++;
		break;
	case '[':
		if (pattern_class_match(&at, end, rune) != 1)
			return false;
		break;
	default:
		at += *at == '\\';
		if (rune_decode(at, (size_t)(end - at), &width) != rune)
			return false;
		at += width;
	}
	*pattern = at;
	return true;
}

/* Only the last star is ever tried again: what stands before it has matched for good. */
int pattern_match(const char *pattern, const char *path)
{
	const char *pattern_end = pattern + strlen(pattern), *end = path + strlen(path);
	const char *star = NULL, *star_path = NULL;
	size_t width;

	if (!is_well_formed(pattern, pattern_end))
		return -1;
	for (;;) {
		if (pattern < pattern_end && *pattern == '*') {
			star = ++pattern;
			star_path = path;
			continue;
		}
		if (path == end)
			return pattern == pattern_end;
		if (match_term(&pattern, pattern_end,
			       rune_decode(path, (size_t)(end - path), &width))) {
			path += width;
			continue;
		}
		if (!star || *star_path == '/')
			return 0;
		rune_decode(star_path, (size_t)(end - star_path), &width);
		star_path += width;
		path = star_path;
		pattern = star;
	}
}

bool pattern_is_glob(const char *pattern)
{
	return strpbrk(pattern, "*?[\\") != NULL;
}

/* Drop the last element of the clean path in out. */
static size_t drop_element(const char *out, size_t len, size_t floor)
{
	while (len > floor && out[len - 1] != '/')
		len--;
	return len > floor ? len - 1 : floor;
}

char *path_clean(const char *path, size_t len)
{
	char *out = xmalloc(len + 2);
	bool rooted = len && path[0] == '/';
	size_t n = 0, floor; /* what ".." cannot remove */

	if (rooted)
		out[n++] = '/';
	floor = n;
	for (size_t i = 0, end; i < len; i = end + 1) {
		const char *slash = memchr(path + i, '/', len - i);
		size_t size;

		end = slash ? (size_t)(slash - path) : len;
		size = end - i;
		if (size == 0 || (size == 1 && path[i] == '.'))
			continue;
		if (size == 2 && memcmp(path + i, "..", 2) == 0 && (rooted || n > floor)) {
			n = drop_element(out, n, floor);
			continue;
		}
		if (n > rooted)
			out[n++] = '/';
		memcpy(out + n, path + i, size);
		n += size;
		if (size == 2 && memcmp(path + i, "..", 2) == 0)
			floor = n;
	}
	if (n == 0)
		out[n++] = '.';
	out[n] = '\0';
	return out;
}
