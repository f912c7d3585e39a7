/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways in which arguments are split into words. Quotes and escapes stay in the words: they
 * are resolved by expansion, together with the variables between them.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static void add(const struct dockerfile *file, const char *text, struct range range,
		struct instruction *instruction, size_t *cap)
{
	instruction->args = arena_grow(file->arena, instruction->args, instruction->n_args, cap,
				       sizeof(*instruction->args));
	instruction->args[instruction->n_args++] = (struct word){ .text = text, .range = range };
}

void word_add(const struct dockerfile *file, const struct logical_line *line, struct span span,
	      struct instruction *instruction, size_t *cap)
{
	add(file, line_text(file, line, span), line_range(line, span), instruction, cap);
}

static size_t word_end(const char *text, size_t start, size_t end)
{
	while (start < end && !is_separator(text[start]))
		start++;
	return start;
}

/* words: [ word { blanks word } ]: no quoting */
void words_split(const struct dockerfile *file, const struct logical_line *line, struct span rest,
		 struct instruction *instruction)
{
	size_t cap = 0;

	while (rest.start < rest.end) {
		struct span word = { rest.start, word_end(line->text, rest.start, rest.end) };

		word_add(file, line, word, instruction, &cap);
		for (rest.start = word.end; rest.start < rest.end; rest.start++)
			if (!is_separator(line->text[rest.start]))
				break;
	}
}

/* What the next quoted word is made of. */
struct quoted {
	struct span span;
	bool found;
};

/*
 * quoted word: { character | escape character | "..." | '...' }
 * A lone escape character at the very end is not part of the word.
 */
static struct quoted next_quoted(const char *text, char escape, struct span *rest)
{
	struct quoted word = { .found = false };
	size_t at = blanks_skip(text, rest->start, rest->end), width;
	bool dropped = false;
	char quote = '\0';

	word.span.start = at;
	for (; at < rest->end; at += width) {
		uint32_t rune = rune_decode(text + at, rest->end - at, &width);

		if (!quote && rune_is_space(rune))
			break;
		if (rune == (unsigned char)escape && quote != '\'') {
			dropped = at + 1 == rest->end;
			if (dropped)
				break;
			rune_decode(text + at + 1, rest->end - at - 1, &width);
			width++;
		} else if (quote && rune == (unsigned char)quote) {
			quote = '\0';
		} else if (!quote && (rune == '"' || rune == '\'')) {
			quote = (char)rune;
		}
	}
	word.span.end = at;
	rest->start = at + dropped;
	word.found = word.span.end > word.span.start;
	return word;
}

/* Add name, value and "=" of name=value in `word`; `equals` is where the "=" stands. */
static void add_pair(const struct dockerfile *file, const struct logical_line *line,
		     struct span word, size_t equals, struct instruction *instruction, size_t *cap)
{
	struct span sign = { equals, equals + 1 };

	word_add(file, line, (struct span){ word.start, equals }, instruction, cap);
	word_add(file, line, (struct span){ equals + 1, word.end }, instruction, cap);
	add(file, "=", line_range(line, sign), instruction, cap);
}

static int blank_name(const struct dockerfile *file, const struct logical_line *line,
		      struct span word, const struct instruction *instruction, struct err *err)
{
	return dockerfile_error(file, line_range(line, word), ERR_INVALID, err,
				"%s names can not be blank",
				instruction_keyword(instruction->kind));
}

static size_t find_equals(const char *text, struct span word)
{
	const char *equals = memchr(text + word.start, '=', word.end - word.start);

	return equals ? (size_t)(equals - text) : word.end;
}

/* legacy pair: name blanks the-rest-of-the-line */
static int add_legacy(const struct dockerfile *file, const struct logical_line *line,
		      struct span rest, struct instruction *instruction, struct err *err)
{
	struct span name = { rest.start, word_end(line->text, rest.start, rest.end) };
	struct span value = { name.end, rest.end };
	size_t cap = 0;

	if (name.end == rest.end)
		return dockerfile_error(file, line_range(line, name), ERR_INVALID, err,
					"%s must have two arguments",
					instruction_keyword(instruction->kind));
	while (value.start < value.end && is_separator(line->text[value.start]))
		value.start++;
	word_add(file, line, name, instruction, &cap);
	word_add(file, line, value, instruction, &cap);
	add(file, "", line_range(line, (struct span){ name.end, name.end }), instruction, &cap);
	return 0;
}

/* pairs: legacy pair | name "=" value { blanks name "=" value } */
int words_pairs(const struct dockerfile *file, const struct logical_line *line, struct span rest,
		struct instruction *instruction, struct err *err)
{
	struct span left = rest;
	bool first = true;
	size_t cap = 0;

	for (;; first = false) {
		struct quoted word = next_quoted(line->text, file->directives.escape, &left);
		size_t equals;

		if (!word.found)
			return 0;
		equals = find_equals(line->text, word.span);
		if (equals == word.span.end && first)
			return add_legacy(file, line, rest, instruction, err);
		if (equals == word.span.end)
			return dockerfile_error(file, line_range(line, word.span), ERR_INVALID, err,
						"syntax error - can't find = in \"%.*s\". Must be "
						"of the form: name=value",
						(int)(word.span.end - word.span.start),
						line->text + word.span.start);
		if (equals == word.span.start)
			return blank_name(file, line, word.span, instruction, err);
		add_pair(file, line, word.span, equals, instruction, &cap);
	}
}

/* arg: { name [ "=" value ] blanks } */
int words_arg(const struct dockerfile *file, const struct logical_line *line, struct span rest,
	      struct instruction *instruction, struct err *err)
{
	size_t cap = 0;

	for (;;) {
		struct quoted word = next_quoted(line->text, file->directives.escape, &rest);
		size_t equals;
		struct range end;

		if (!word.found)
			return 0;
		equals = find_equals(line->text, word.span);
		if (equals == word.span.start)
			return blank_name(file, line, word.span, instruction, err);
		if (equals < word.span.end) {
			add_pair(file, line, word.span, equals, instruction, &cap);
			continue;
		}
		end = line_range(line, (struct span){ word.span.end, word.span.end });
		word_add(file, line, word.span, instruction, &cap);
		add(file, "", end, instruction, &cap);
		add(file, "", end, instruction, &cap);
	}
}
