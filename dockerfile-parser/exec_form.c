/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The exec form, ["executable", "argument"]. Text that is not well-formed JSON is the shell form
 * instead, silently, so the reader below must agree with Go's encoding/json on what well-formed
 * is: no more and no less. Its own strings are the only values it keeps; bytes that are not
 * UTF-8 and lone surrogates become U+FFFD, as there.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define DEPTH_MAX	 1000 /* of arrays and objects in each other */
#define RUNE_REPLACEMENT 0xfffd

struct reader {
	const char *text;
	size_t at;
	size_t end;
	unsigned depth;
};

static void skip_blanks(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", reader->text[reader->at]))
		reader->at++;
}

static bool take(struct reader *reader, char c)
{
	if (reader->at == reader->end || reader->text[reader->at] != c)
		return false;
	reader->at++;
	return true;
}

static bool is_digit(const struct reader *reader)
{
	return reader->at < reader->end && reader->text[reader->at] >= '0' &&
	       reader->text[reader->at] <= '9';
}

static bool read_digits(struct reader *reader)
{
	if (!is_digit(reader))
		return false;
	while (is_digit(reader))
		reader->at++;
	return true;
}

/* number: [ "-" ] ( "0" | digits ) [ "." digits ] [ ( "e" | "E" ) [ "+" | "-" ] digits ] */
static bool read_number(struct reader *reader)
{
	take(reader, '-');
	if (!take(reader, '0') && !read_digits(reader))
		return false;
	if (take(reader, '.') && !read_digits(reader))
		return false;
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+'))
			take(reader, '-');
		return read_digits(reader);
	}
	return true;
}

static bool read_hex4(struct reader *reader, uint32_t *ret_value)
{
	uint32_t value = 0;

	if (reader->end - reader->at < 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		char c = reader->text[reader->at++];
		char lower = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (lower >= 'a' && lower <= 'f')
			value = value << 4 | (uint32_t)(lower - 'a' + 10);
		else
			return false;
	}
	*ret_value = value;
	return true;
}

/* The rest of a \uXXXX, or of a pair of them. */
static bool read_unicode(struct reader *reader, struct buf *out)
{
	uint32_t rune, low;
	size_t before;

	if (!read_hex4(reader, &rune))
		return false;
	before = reader->at;
	if (rune >= 0xd800 && rune < 0xdc00 && take(reader, '\\') && take(reader, 'u') &&
	    read_hex4(reader, &low) && low >= 0xdc00 && low < 0xe000) {
		rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
	} else {
		reader->at = before;
		if (rune >= 0xd800 && rune < 0xe000)
			rune = RUNE_REPLACEMENT;
	}
	rune_add(out, rune);
	return true;
}

static bool read_escape(struct reader *reader, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (reader->at == reader->end)
		return false;
	if (take(reader, 'u'))
		return read_unicode(reader, out);
	found = strchr(from, reader->text[reader->at++]);
	if (!found || !*found)
		return false;
	buf_addch(out, to[found - from]);
	return true;
}

/* string: '"' { character | "\" escape } '"' */
static bool read_string(struct reader *reader, struct buf *out)
{
	size_t width;

	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end) {
		uint32_t rune;

		if (take(reader, '"'))
			return true;
		if (take(reader, '\\')) {
			if (!read_escape(reader, out))
				return false;
			continue;
		}
		rune = rune_decode(reader->text + reader->at, reader->end - reader->at, &width);
		if (rune < ' ')
			return false;
		rune_add(out, rune >= RUNE_BAD ? RUNE_REPLACEMENT : rune);
		reader->at += width;
	}
	return false;
}

static bool read_word(struct reader *reader, const char *word)
{
	size_t len = strlen(word);

	if (reader->end - reader->at < len || memcmp(reader->text + reader->at, word, len) != 0)
		return false;
	reader->at += len;
	return true;
}

static bool read_value(struct reader *reader, struct buf *scratch);

/* members: [ [ string ":" ] value { "," [ string ":" ] value } ] close */
static bool read_members(struct reader *reader, char close, struct buf *scratch)
{
	skip_blanks(reader);
	if (take(reader, close))
		return true;
	do {
		skip_blanks(reader);
		if (close == '}') {
			if (!read_string(reader, scratch))
				return false;
			skip_blanks(reader);
			if (!take(reader, ':'))
				return false;
		}
		if (!read_value(reader, scratch))
			return false;
		skip_blanks(reader);
	} while (take(reader, ','));
	return take(reader, close);
}

/* value: string | number | "[" members | "{" members | "true" | "false" | "null" */
static bool read_value(struct reader *reader, struct buf *scratch)
{
	bool good;

	skip_blanks(reader);
	buf_clear(scratch);
	if (reader->at == reader->end || reader->depth == DEPTH_MAX)
		return false;
	reader->depth++;
	switch (reader->text[reader->at]) {
	case '"':
		good = read_string(reader, scratch);
		break;
	case '[':
		reader->at++;
		good = read_members(reader, ']', scratch);
		break;
	case '{':
		reader->at++;
		good = read_members(reader, '}', scratch);
		break;
	case 't':
		good = read_word(reader, "true");
		break;
	case 'f':
		good = read_word(reader, "false");
		break;
	case 'n':
		good = read_word(reader, "null");
		break;
	default:
		good = read_number(reader);
	}
	reader->depth--;
	return good;
}

/* What is wrong with an element of a well-formed array. */
struct complaint {
	const char *message;
	struct span span;
};

static void add_element(const struct dockerfile *file, const struct logical_line *line,
			struct span span, const struct buf *value, struct instruction *instruction,
			size_t *cap, struct complaint *complaint)
{
	struct word word = { .range = line_range(line, span) };

	if (!complaint->message && line->text[span.start] != '"')
		*complaint = (struct complaint){ "when using JSON array syntax, arrays must be "
						 "comprised of strings only",
						 span };
	else if (!complaint->message && memchr(value->data, '\0', value->len))
		*complaint = (struct complaint){ "a NUL character in an argument", span };
	if (complaint->message)
		return;
	word.text = arena_strndup(file->arena, value->data, value->len);
	instruction->args = arena_grow(file->arena, instruction->args, instruction->n_args, cap,
				       sizeof(*instruction->args));
	instruction->args[instruction->n_args++] = word;
}

/* exec form: "[" [ string { "," string } ] "]" */
static bool read_elements(const struct dockerfile *file, const struct logical_line *line,
			  struct reader *reader, struct instruction *instruction,
			  struct complaint *complaint)
{
	cleanup_buf struct buf value;
	size_t cap = 0;

	buf_init(&value, DOCKERFILE_MOST);
	if (!take(reader, '['))
		return false;
	skip_blanks(reader);
	if (!take(reader, ']')) {
		do {
			struct span span;

			skip_blanks(reader);
			span.start = reader->at;
			if (!read_value(reader, &value))
				return false;
			span.end = reader->at;
			add_element(file, line, span, &value, instruction, &cap, complaint);
			skip_blanks(reader);
		} while (take(reader, ','));
		if (!take(reader, ']'))
			return false;
	}
	skip_blanks(reader);
	return reader->at == reader->end;
}

int exec_form_parse(const struct dockerfile *file, const struct logical_line *line,
		    struct span rest, struct instruction *instruction, struct err *err)
{
	struct reader reader = { line->text, rest.start, rest.end, 0 };
	struct complaint complaint = { NULL, { 0, 0 } };
	size_t before = instruction->n_args;

	if (!read_elements(file, line, &reader, instruction, &complaint)) {
		instruction->n_args = before;
		return 0;
	}
	if (complaint.message)
		return dockerfile_error(file, line_range(line, complaint.span), ERR_INVALID, err,
					"%s", complaint.message);
	instruction->json = true;
	return 1;
}
