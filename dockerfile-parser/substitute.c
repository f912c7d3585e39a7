/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patterns inside ${...}: "*" is any run of characters, also of "/", "?" any one; neither crosses
 * a newline, and there are no classes. \* \? and \\ are the characters, \} and \/ stand for } and
 * / (they had to be escaped to get here), any other escape is an error.
 *
 * A pattern is a row of pieces with a star between each two. To match, the first piece has to
 * stand where it is told, each other at the first place where it can; the last one, when the
 * longest match is wanted, at the last such place. Taking the first place for all others never
 * loses a match, so there is no backtracking, and what is left to cost time is bounded by
 * STEPS_MAX.
 */
#include "dockerfile-parser/internal.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define STAR	  UINT32_MAX
#define ANY	  (UINT32_MAX - 1)
#define STEPS_MAX (1 << 27) /* comparisons in one substitution: a fraction of a second */

struct runes {
	uint32_t *v;
	size_t n;
};

struct matcher {
	const struct runes *pattern;
	const struct runes *text;
	bool greedy;
	size_t steps;
};

static void decode(const char *text, struct runes *runes)
{
	size_t len = strlen(text), width;

	runes->v = xreallocarray(NULL, len + 1, sizeof(*runes->v));
	runes->n = 0;
	for (size_t i = 0; i < len; i += width)
		runes->v[runes->n++] = rune_decode(text + i, len - i, &width);
}

static int encode(struct buf *out, const struct runes *runes, size_t start, size_t end,
		  struct err *err)
{
	for (size_t i = start; i < end; i++)
		if (rune_add(out, runes->v[i]) < 0)
			return err_set(err, ERR_LIMIT, "expands to more than %d bytes",
				       DOCKERFILE_EXPANSION_MAX);
	return 0;
}

static void reverse(struct runes *runes)
{
	for (size_t i = 0; i < runes->n / 2; i++) {
		uint32_t swap = runes->v[i];

		runes->v[i] = runes->v[runes->n - 1 - i];
		runes->v[runes->n - 1 - i] = swap;
	}
}

/* In place: the tokens are never more than the characters. */
static int compile(const char *pattern, struct runes *runes, struct err *err)
{
	size_t out = 0;

	decode(pattern, runes);
	for (size_t i = 0; i < runes->n; i++) {
		uint32_t rune = runes->v[i];

		if (rune == '*') {
			rune = STAR;
		} else if (rune == '?') {
			rune = ANY;
		} else if (rune == '\\') {
			rune = ++i < runes->n ? runes->v[i] : 0;
			if (!rune || rune > 0x7f || !strchr("}/*?\\", (int)rune))
				return err_set(err, ERR_INVALID,
					       "invalid pattern (%.64s) in substitution: invalid "
					       "escape",
					       pattern);
		}
		runes->v[out++] = rune;
	}
	runes->n = out;
	return 0;
}

static bool piece_at(struct matcher *matcher, size_t piece, size_t len, size_t at)
{
	if (len > matcher->text->n - at)
		return false;
	for (size_t i = 0; i < len; i++) {
		uint32_t want = matcher->pattern->v[piece + i];
		uint32_t have = matcher->text->v[at + i];

		matcher->steps++;
		if (want == ANY ? have == '\n' : want != have)
			return false;
	}
	return true;
}

static size_t piece_length(const struct runes *pattern, size_t start)
{
	size_t end = start;

	while (end < pattern->n && pattern->v[end] != STAR)
		end++;
	return end - start;
}

/* Where a star that starts at `at` has to end at the latest. */
static size_t star_limit(struct matcher *matcher, size_t at)
{
	while (at < matcher->text->n && matcher->text->v[at] != '\n') {
		at++;
		matcher->steps++;
	}
	return at;
}

/* Move *at behind the piece that follows a star. */
static bool find_piece(struct matcher *matcher, size_t piece, size_t len, bool last, size_t *at)
{
	size_t limit = star_limit(matcher, *at);
	bool farthest = last && matcher->greedy, found = false;
	size_t place = 0;

	for (size_t i = *at; i <= limit && matcher->steps < STEPS_MAX; i++) {
		size_t try = farthest ? limit - (i - *at) : i;

		matcher->steps++;
		if (!piece_at(matcher, piece, len, try))
			continue;
		place = try;
		found = true;
		break;
	}
	*at = place + len;
	return found;
}

/* Match at `start`; *ret_end is the end of the match. */
static bool match_at(struct matcher *matcher, size_t start, size_t *ret_end)
{
	const struct runes *pattern = matcher->pattern;
	size_t len = piece_length(pattern, 0), piece = len, at = start;

	if (!piece_at(matcher, 0, len, at))
		return false;
	at += len;
	while (piece < pattern->n) {
		while (piece < pattern->n && pattern->v[piece] == STAR)
			piece++;
		len = piece_length(pattern, piece);
		if (!find_piece(matcher, piece, len, piece + len == pattern->n, &at))
			return false;
		piece += len;
	}
	*ret_end = at;
	return true;
}

static int check_steps(const struct matcher *matcher, struct err *err)
{
	if (matcher->steps < STEPS_MAX)
		return 0;
	return err_set(err, ERR_LIMIT, "a pattern in a substitution takes too long to match");
}

static int trim_runes(struct runes *text, struct runes *pattern, bool suffix, bool greedy,
		      struct buf *out, struct err *err)
{
	struct matcher matcher = { .pattern = pattern, .text = text, .greedy = greedy };
	size_t end = 0;

	if (suffix) {
		reverse(text);
		reverse(pattern);
	}
	if (!match_at(&matcher, 0, &end))
		end = 0;
	if (check_steps(&matcher, err) < 0)
		return -1;
	if (!suffix)
		return encode(out, text, end, text->n, err);
	reverse(text);
	return encode(out, text, 0, text->n - end, err);
}

int substitute_trim(const char *value, const char *pattern, bool suffix, bool greedy,
		    struct buf *out, struct err *err)
{
	struct runes text = { NULL, 0 }, tokens = { NULL, 0 };
	int result = compile(pattern, &tokens, err);

	if (result == 0) {
		decode(value, &text);
		result = trim_runes(&text, &tokens, suffix, greedy, out, err);
	}
	free(text.v);
	free(tokens.v);
	return result;
}

/* The first match at or after *start. */
static bool search(struct matcher *matcher, size_t *start, size_t *ret_end)
{
	for (; *start <= matcher->text->n && matcher->steps < STEPS_MAX; (*start)++)
		if (match_at(matcher, *start, ret_end))
			return true;
	return false;
}

static size_t template_name(const char *text)
{
	size_t len = 0, width;

	for (; text[len]; len += width)
		if (!rune_is_name(rune_decode(text + len, strnlen(text + len, 4), &width)))
			break;
	return len;
}

/*
 * The replacement of ${v//p/r} is a template of Go's regexp, which has no groups here: $0 is the
 * match, $$ a dollar sign, other $names and ${names} are empty.
 */
static int add_template(struct buf *out, const char *template, const struct runes *text,
			size_t start, size_t end, struct err *err)
{
	const char *dollar;

	for (; (dollar = strchr(template, '$'));) {
		bool brace = dollar[1] == '{';
		const char *name = dollar + 1 + brace;
		size_t len = template_name(name);

		buf_add(out, template, (size_t)(dollar - template));
		if (dollar[1] == '$' || !len || (brace && name[len] != '}')) {
			buf_addch(out, '$');
			template = dollar + 1 + (dollar[1] == '$');
			continue;
		}
		if (len == 1 && *name == '0' && encode(out, text, start, end, err) < 0)
			return -1;
		template = name + len + brace;
	}
	buf_addstr(out, template);
	return out->overflow ? err_set(err, ERR_LIMIT, "expands to more than %d bytes",
				       DOCKERFILE_EXPANSION_MAX)
			     : 0;
}

static int replace_first(struct matcher *matcher, const char *replacement, struct buf *out,
			 struct err *err)
{
	const struct runes *text = matcher->text;
	size_t start = 0, end = 0;

	if (!search(matcher, &start, &end))
		return encode(out, text, 0, text->n, err);
	if (encode(out, text, 0, start, err) < 0)
		return -1;
	if (buf_addstr(out, replacement) < 0)
		return err_set(err, ERR_LIMIT, "expands to more than %d bytes",
			       DOCKERFILE_EXPANSION_MAX);
	return encode(out, text, end, text->n, err);
}

/* An empty match right behind another one is not replaced. */
static int replace_all(struct matcher *matcher, const char *replacement, struct buf *out,
		       struct err *err)
{
	const struct runes *text = matcher->text;
	size_t from = 0, done = 0, end = 0;

	while (from <= text->n) {
		size_t start = from;

		if (!search(matcher, &start, &end))
			break;
		if (encode(out, text, done, start, err) < 0)
			return -1;
		if ((end > done || start == 0) &&
		    add_template(out, replacement, text, start, end, err) < 0)
			return -1;
		done = end;
		from = end > from ? end : from + 1;
	}
	return encode(out, text, done, text->n, err);
}

int substitute_replace(const char *value, const char *pattern, const char *replacement, bool all,
		       struct buf *out, struct err *err)
{
	struct runes text = { NULL, 0 }, tokens = { NULL, 0 };
	struct matcher matcher = { .pattern = &tokens, .text = &text, .greedy = true };
	int result = compile(pattern, &tokens, err);

	if (result == 0) {
		decode(value, &text);
		result = (all ? replace_all : replace_first)(&matcher, replacement, out, err);
		if (result == 0)
			result = check_steps(&matcher, err);
	}
	free(text.v);
	free(tokens.v);
	return result;
}
