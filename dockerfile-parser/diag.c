/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors that point: "name:line:col: message", the source line, a caret under the range. The
 * source is a stranger's, so what would move the cursor or colour the terminal is shown as "?",
 * and of a long line a window around the range is shown.
 */
#include "dockerfile-parser/internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define WINDOW		 120 /* bytes shown of a source line */
#define BEFORE		 40  /* of them before the range when the line is longer */
#define SUGGEST_WORD_MAX 32  /* bytes of words that suggest() compares */

/* Control characters, C1 ones included, become "?"; tabs stay. */
static void add_clean(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0, width; i < len; i += width) {
		uint32_t rune = rune_decode(text + i, len - i, &width);

		if ((rune < ' ' && rune != '\t') || (rune >= 0x7f && rune < 0xa0) ||
		    rune >= RUNE_BAD || (rune >= 0x202a && rune <= 0x202e) ||
		    (rune >= 0x2066 && rune <= 0x2069))
			buf_addch(out, '?');
		else
			buf_add(out, text + i, width);
	}
}

/* One blank for each column before the caret, tabs kept so that they line up. */
static void add_padding(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0, width; i < len; i += width) {
		rune_decode(text + i, len - i, &width);
		buf_addch(out, text[i] == '\t' ? '\t' : ' ');
	}
}

static void add_carets(struct buf *out, const char *text, size_t len)
{
	size_t width;

	buf_addch(out, '^');
	for (size_t i = 0; i < len; i += width) {
		rune_decode(text + i, len - i, &width);
		if (i)
			buf_addch(out, '^');
	}
}

/* The part of the line to show, on boundaries of characters. */
static struct span window_of(const char *text, size_t len, size_t column)
{
	struct span window = { 0, len };

	if (len <= WINDOW)
		return window;
	if (column > BEFORE)
		window.start = column - BEFORE;
	while (window.start && ((unsigned char)text[window.start] & 0xc0) == 0x80)
		window.start--;
	if (len - window.start > WINDOW)
		window.end = window.start + WINDOW;
	while (window.end < len && ((unsigned char)text[window.end] & 0xc0) == 0x80)
		window.end++;
	return window;
}

static void add_source(struct buf *out, const struct dockerfile *dockerfile, struct range range)
{
	const char *text = dockerfile->lines[range.start.line - 1];
	size_t len = strlen(text), column = range.start.column - 1, end;
	struct span window;
	char number[16];
	int gutter;

	if (column > len)
		column = len;
	window = window_of(text, len, column);
	end = range.end.line == range.start.line ? range.end.column - 1 : len;
	if (end > window.end)
		end = window.end;
	if (end < column)
		end = column;
	gutter = snprintf(number, sizeof(number), "%3u", range.start.line);
	buf_addf(out, "\n%s | ", number);
	add_clean(out, text + window.start, window.end - window.start);
	buf_addf(out, "\n%*s | ", gutter, "");
	add_padding(out, text + window.start, column - window.start);
	add_carets(out, text + column, end - column);
}

int dockerfile_error(const struct dockerfile *dockerfile, struct range range, int kind,
		     struct err *err, const char *format, ...)
{
	cleanup_free char *message = NULL;
	cleanup_buf struct buf out;
	va_list ap;

	buf_init(&out, ERR_MESSAGE_MAX - 1);
	va_start(ap, format);
	if (vasprintf(&message, format, ap) < 0)
		abort();
	va_end(ap);
	buf_addf(&out, "%.256s:%u:%u: ", dockerfile->name, range.start.line, range.start.column);
	add_clean(&out, message, strnlen(message, ERR_MESSAGE_MAX / 2));
	if (range.start.line >= 1 && range.start.line <= dockerfile->n_lines)
		add_source(&out, dockerfile, range);
	return err_set(err, kind == ERR_NONE ? ERR_INVALID : (enum err_kind)kind, "%s", out.data);
}

/* Edits (insert, delete, replace, swap neighbours) between two words, whatever their case. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t rows[3][SUGGEST_WORD_MAX + 1] = { { 0 } };
	size_t *before = rows[0], *above = rows[1], *now = rows[2];

	for (size_t j = 0; j <= m; j++)
		above[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			int x = tolower((unsigned char)a[i - 1]),
			    y = tolower((unsigned char)b[j - 1]);
			size_t best = above[j - 1] + (x != y);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = above;
		above = now;
		now = spare;
	}
	return above[m];
}

const char *suggest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = strnlen(word, SUGGEST_WORD_MAX + 1);
	size_t best = len <= 2 ? 1 : len <= 5 ? 2 : 3;
	const char *found = NULL;

	if (!len || len > SUGGEST_WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strnlen(candidates[i], SUGGEST_WORD_MAX + 1), distance;

		if (other > SUGGEST_WORD_MAX)
			continue;
		distance = edit_distance(word, len, candidates[i], other);
		if (distance < len && distance < best + !found) {
			best = distance;
			found = candidates[i];
		}
	}
	return found;
}
