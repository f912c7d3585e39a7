/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of a line that announce heredocs: ^[0-9]*<<-?NAME$. A word here is what a shell would
 * take for one, quotes kept. A line that does not split into such words (an open quote, a form of
 * ${} unknown to us) has no heredocs, and that is no error: it is the shell's to understand.
 */
#include "dockerfile-parser/internal.h"

#include <limits.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strv.h"

#define HEREDOCS_MAX 1000 /* of one instruction */

static const char *none(void *arg, const char *name, size_t name_len)
{
	(void)arg;
	(void)name;
	(void)name_len;
	return NULL;
}

static size_t count_quotes(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\'' || *text == '"';
	return n;
}

static unsigned read_fd(const char *word, size_t len)
{
	unsigned fd = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(word[i] - '0');

		if (fd > (UINT_MAX - digit) / 10)
			return UINT_MAX;
		fd = fd * 10 + digit;
	}
	return fd;
}

/* heredoc: [ digits ] "<<" [ "-" ] \s* name, where name holds no "<" */
int heredoc_parse(struct arena *arena, const char *word, struct heredoc *ret_heredoc,
		  struct err *err)
{
	cleanup_strv struct strv plain = STRV_INIT, quoted = STRV_INIT;
	size_t digits = strspn(word, "0123456789");
	const char *name = word + digits;
	bool dash;

	if (strncmp(name, "<<", 2) != 0)
		return 0;
	name += 2;
	dash = *name == '-';
	name += dash;
	name += strspn(name, " \t\n\f\r");
	if (!*name || strchr(name, '<'))
		return 0;
	if (expand_split(name, '\\', EXPAND_KEEP_UNSET, none, NULL, &plain, err) < 0)
		return -1;
	if (plain.n != 1)
		return 0;
	if (expand_split(name, '\\', EXPAND_KEEP_UNSET | EXPAND_KEEP_QUOTES, none, NULL, &quoted,
			 err) < 0)
		return -1;
	if (quoted.n != 1)
		return err_set(err, ERR_INVALID, "bad quotes in a heredoc's name");
	*ret_heredoc = (struct heredoc){
		.name = arena_strdup(arena, plain.v[0]),
		.content = "",
		.raw = "",
		.expand = count_quotes(plain.v[0]) == count_quotes(quoted.v[0]),
		.chomp = dash,
		.fd = read_fd(word, digits),
	};
	return 1;
}

/* Where the next word of a line is looked for. */
struct cursor {
	size_t at;
	bool lost; /* a word was not found: do not look any more, each look may cost a line */
};

/* Where the word stands: words come in the order of the line and, nearly always, as they are. */
static struct span locate(const struct logical_line *line, const char *word, struct cursor *cursor)
{
	size_t len = strlen(word), next = blanks_skip(line->text, cursor->at, line->len);
	struct span span = { 0, line->len };
	const char *found = NULL;

	if (strncmp(line->text + next, word, len) == 0)
		found = line->text + next;
	else if (!cursor->lost)
		found = strstr(line->text + next, word);
	cursor->lost = !found;
	if (!found)
		return span;
	span.start = (size_t)(found - line->text);
	span.end = cursor->at = span.start + len;
	return span;
}

int heredocs_find(const struct dockerfile *file, const struct logical_line *line,
		  struct instruction *instruction, struct err *err)
{
	cleanup_strv struct strv words = STRV_INIT;
	struct cursor cursor = { 0, false };
	size_t cap = 0;
	struct err ignored;

	if (!strstr(line->text, "<<"))
		return 0;
	if (expand_split(line->text, '\\',
			 EXPAND_KEEP_UNSET | EXPAND_KEEP_QUOTES | EXPAND_KEEP_ESCAPES, none, NULL,
			 &words, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < words.n; i++) {
		struct err inner = ERR_INIT;
		struct heredoc heredoc;
		int found = heredoc_parse(file->arena, words.v[i], &heredoc, &inner);
		struct span span = locate(line, words.v[i], &cursor);

		if (found == 0)
			continue;
		if (found < 0)
			return dockerfile_error(file, line_range(line, span), inner.kind, err, "%s",
						inner.message);
		heredoc.range = line_range(line, span);
		if (instruction->n_heredocs == HEREDOCS_MAX)
			return dockerfile_error(file, heredoc.range, ERR_LIMIT, err,
						"more than %d heredocs", HEREDOCS_MAX);
		instruction->heredocs =
			arena_grow(file->arena, instruction->heredocs, instruction->n_heredocs,
				   &cap, sizeof(*instruction->heredocs));
		instruction->heredocs[instruction->n_heredocs++] = heredoc;
	}
	return 0;
}
