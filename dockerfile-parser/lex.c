/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From bytes to logical lines. A logical line is a physical line, less the blanks at its start,
 * joined with those that follow while it ends in a single escape character and blanks; comments
 * and empty lines in between vanish. Heredoc bodies are taken by the parser through
 * lexer_heredoc() before it asks for the next line, since only it knows whether an instruction
 * may have one.
 *
 * Each piece of a logical line is remembered as a segment, so that every later error can point
 * into the file.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* A physical line without its end. */
struct physical {
	const char *text;
	size_t len;
	size_t offset; /* of the line in the lexer's text */
};

static struct range range_at(unsigned line, size_t start, size_t end)
{
	return (struct range){ { line, (unsigned)start + 1 }, { line, (unsigned)end + 1 } };
}

static size_t trim_newline(const char *text, size_t len)
{
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	return len;
}

/* The length of the line at text, with its newline. */
static size_t line_length(const char *text, size_t len)
{
	const char *newline = memchr(text, '\n', len);

	return newline ? (size_t)(newline - text) + 1 : len;
}

static int split_lines(struct dockerfile *file, const char *text, size_t len, struct err *err)
{
	char *copy = arena_strndup(file->arena, text, len);
	size_t cap = 0;

	for (size_t pos = 0, length; pos < len; pos += length) {
		length = line_length(text + pos, len - pos);
		file->lines = arena_grow(file->arena, file->lines, file->n_lines, &cap,
					 sizeof(*file->lines));
		file->lines[file->n_lines++] = copy + pos;
		copy[pos + trim_newline(copy + pos, length)] = '\0';
		if (length - (text[pos + length - 1] == '\n') > DOCKERFILE_LINE_MAX)
			return dockerfile_error(file, range_at((unsigned)file->n_lines, 0, 1),
						ERR_LIMIT, err, "line longer than %d bytes",
						DOCKERFILE_LINE_MAX);
		if (memchr(text + pos, '\0', length)) {
			size_t at = strnlen(text + pos, length);

			return dockerfile_error(file, range_at((unsigned)file->n_lines, at, at + 1),
						ERR_INVALID, err, "NUL byte: is this UTF-8 text?");
		}
	}
	return 0;
}

int lexer_init(struct lexer *lexer, struct dockerfile *file, const char *text, size_t len,
	       size_t max, struct err *err)
{
	if (len > max)
		return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", file->name, max);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	*lexer = (struct lexer){ .file = file, .text = text, .len = len };
	return split_lines(file, text, len, err);
}

static bool take_physical(struct lexer *lexer, struct physical *ret)
{
	size_t length;

	if (lexer->pos == lexer->len)
		return false;
	length = line_length(lexer->text + lexer->pos, lexer->len - lexer->pos);
	ret->text = lexer->text + lexer->pos;
	ret->len = trim_newline(ret->text, length);
	ret->offset = lexer->pos;
	lexer->pos += length;
	lexer->number++;
	return true;
}

static bool is_space_class(char c) /* what \s means in Go's regexp */
{
	return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
}

/*
 * directive: "#" blanks name \s* "=" \s* value \s*
 * Returns 1 with the spans, offsets into text, or 0.
 */
static int match_directive(const char *text, size_t len, struct span *name, struct span *value)
{
	size_t at;

	if (!len || text[0] != '#')
		return 0;
	at = name->start = blanks_skip(text, 1, len);
	if (at == len || !((text[at] | 0x20) >= 'a' && (text[at] | 0x20) <= 'z'))
		return 0;
	while (at < len && (unsigned char)text[at] < 0x80 && text[at] != '_' &&
	       rune_is_name((unsigned char)text[at]))
		at++;
	name->end = at;
	while (at < len && is_space_class(text[at]))
		at++;
	if (at == len || text[at] != '=')
		return 0;
	at++;
	while (at < len && is_space_class(text[at]))
		at++;
	value->start = at;
	value->end = len;
	while (value->end > at && is_space_class(text[value->end - 1]))
		value->end--;
	return value->end > at;
}

static int set_escape(struct lexer *lexer, const char *value, struct range where, struct err *err)
{
	struct directives *directives = &lexer->file->directives;

	if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
		return dockerfile_error(lexer->file, where, ERR_INVALID, err,
					"invalid escape token '%.32s' does not match ` or \\",
					value);
	directives->escape = value[0];
	directives->has_escape = true;
	return 0;
}

/*
 * Take a line, from its first non-blank (at `column`, from 0) on, as a directive. Returns 1 when it
 * is one, 0 when it is not, and then nothing below is, -1 for a bad one.
 */
static int take_directive(struct lexer *lexer, const char *text, size_t column, size_t len,
			  struct err *err)
{
	struct directives *directives = &lexer->file->directives;
	struct span name, value;
	const char *key, *got;
	struct range where;
	bool again;

	if (lexer->directives_done)
		return 0;
	if (lexer->number == 1 && len >= 2 && text[0] == '#' && text[1] == '!') {
		lexer->shebang = true;
		return 0;
	}
	lexer->directives_done = true;
	if (!match_directive(text, len, &name, &value))
		return 0;
	key = arena_strndup(lexer->file->arena, text + name.start, name.end - name.start);
	got = arena_strndup(lexer->file->arena, text + value.start, value.end - value.start);
	where = range_at(lexer->number, column + value.start, column + value.end);
	if (strcasecmp(key, "syntax") == 0)
		again = directives->syntax != NULL;
	else if (strcasecmp(key, "check") == 0)
		again = directives->check != NULL;
	else if (strcasecmp(key, "escape") == 0 && !lexer->shebang)
		again = directives->has_escape;
	else
		return 0;
	lexer->directives_done = false;
	if (again)
		return dockerfile_error(lexer->file, where, ERR_INVALID, err,
					"only one %.16s parser directive can be used", key);
	switch (key[0] | 0x20) {
	case 's':
		directives->syntax = arena_strndup(lexer->file->arena, got, strcspn(got, " "));
		return 1;
	case 'c':
		directives->check = got;
		return 1;
	default:
		return set_escape(lexer, got, where, err) < 0 ? -1 : 1;
	}
}

/* Whether the line goes on, and its length without the escape character then. */
static bool continues(const char *text, size_t *len, char escape)
{
	size_t end = *len;

	while (end && (text[end - 1] == ' ' || text[end - 1] == '\t'))
		end--;
	if (!end || text[end - 1] != escape || (end > 1 && text[end - 2] == escape))
		return false;
	*len = end - 1;
	return true;
}

/* A logical line in the making. */
struct joined {
	struct buf text;
	struct segment *segments;
	size_t n_segments;
	size_t cap;
};

static void joined_add(struct lexer *lexer, struct joined *joined, const char *text, size_t len,
		       size_t column)
{
	joined->segments = arena_grow(lexer->file->arena, joined->segments, joined->n_segments,
				      &joined->cap, sizeof(*joined->segments));
	joined->segments[joined->n_segments++] = (struct segment){
		.offset = joined->text.len,
		.at = { lexer->number, (unsigned)column + 1 },
	};
	buf_add(&joined->text, text, len);
}

/* Append the lines that continue the one in joined. */
static void join_rest(struct lexer *lexer, struct joined *joined)
{
	struct physical physical;
	bool more = true;

	while (more && take_physical(lexer, &physical)) {
		size_t start = blanks_skip(physical.text, 0, physical.len);
		size_t len = physical.len;

		if (start == len || physical.text[start] == '#')
			continue;
		more = continues(physical.text, &len, lexer->file->directives.escape);
		joined_add(lexer, joined, physical.text, len, 0);
	}
}

/* Make the logical line that starts with len bytes at `start` of a physical one. */
static void join_lines(struct lexer *lexer, const struct physical *physical, size_t start,
		       struct logical_line *line)
{
	struct arena *arena = lexer->file->arena;
	size_t len = physical->len - start;
	struct joined joined = { .segments = NULL };

	/* The copy that carets use serves a line that stands alone. */
	if (!continues(physical->text + start, &len, lexer->file->directives.escape)) {
		line->segments = arena_alloc(arena, sizeof(*line->segments));
		line->segments[0].at = (struct position){ lexer->number, (unsigned)start + 1 };
		line->n_segments = 1;
		line->text = lexer->file->lines[lexer->number - 1] + start;
		line->len = len;
		return;
	}
	buf_init(&joined.text, DOCKERFILE_MOST); /* the whole file fits */
	joined_add(lexer, &joined, physical->text + start, len, start);
	join_rest(lexer, &joined);
	line->segments = joined.segments;
	line->n_segments = joined.n_segments;
	line->text = arena_strndup(arena, joined.text.data, joined.text.len);
	line->len = joined.text.len;
	buf_release(&joined.text);
}

static const char *comment_text(struct arena *arena, const char *text, size_t start, size_t end)
{
	start = blanks_skip(text, start + 1, end);
	return arena_strndup(arena, text + start, blanks_trim(text, start, end) - start);
}

/* Directives, comments and empty lines. 1 when the line is one of them, 0 when not, -1. */
static int take_comment(struct lexer *lexer, const struct physical *physical, size_t start,
			struct logical_line *line, size_t *cap, struct err *err)
{
	struct arena *arena = lexer->file->arena;
	int directive =
		take_directive(lexer, physical->text + start, start, physical->len - start, err);

	if (directive != 0)
		return directive;
	if (start == physical->len) {
		line->n_comments = 0;
		return 1;
	}
	if (physical->text[start] != '#')
		return 0;
	line->comments =
		arena_grow(arena, line->comments, line->n_comments, cap, sizeof(*line->comments));
	line->comments[line->n_comments++] =
		comment_text(arena, physical->text, start, physical->len);
	return 1;
}

int lexer_next(struct lexer *lexer, struct logical_line *ret_line, struct err *err)
{
	struct logical_line line = { .text = "" };
	struct physical physical;
	size_t cap = 0;

	while (take_physical(lexer, &physical)) {
		size_t start = blanks_skip(physical.text, 0, physical.len);
		int got = take_comment(lexer, &physical, start, &line, &cap, err);

		if (got < 0)
			return -1;
		if (got)
			continue;
		join_lines(lexer, &physical, start, &line);
		*ret_line = line;
		return 1;
	}
	return 0;
}

/* Drop the tabs at the start of each line. */
static void chomp(struct arena *arena, struct heredoc *heredoc)
{
	char *out = arena_alloc(arena, heredoc->raw_len + 1);
	size_t n = 0;

	for (size_t i = 0; i < heredoc->raw_len; i++) {
		bool at_start = i == 0 || heredoc->raw[i - 1] == '\n';

		while (at_start && i < heredoc->raw_len && heredoc->raw[i] == '\t')
			i++;
		if (i < heredoc->raw_len)
			out[n++] = heredoc->raw[i];
	}
	heredoc->content = out;
	heredoc->content_len = n;
}

int lexer_heredoc(struct lexer *lexer, struct heredoc *heredoc, struct position *end,
		  struct err *err)
{
	size_t name_len = strlen(heredoc->name), start = lexer->pos;
	struct physical physical;

	while (take_physical(lexer, &physical)) {
		size_t tabs = 0;

		while (heredoc->chomp && tabs < physical.len && physical.text[tabs] == '\t')
			tabs++;
		if (physical.len - tabs != name_len ||
		    memcmp(physical.text + tabs, heredoc->name, name_len) != 0)
			continue;
		heredoc->raw_len = heredoc->content_len = physical.offset - start;
		heredoc->raw = heredoc->content =
			arena_strndup(lexer->file->arena, lexer->text + start, heredoc->raw_len);
		if (heredoc->chomp)
			chomp(lexer->file->arena, heredoc);
		*end = (struct position){ lexer->number, (unsigned)physical.len + 1 };
		return 0;
	}
	return dockerfile_error(lexer->file, heredoc->range, ERR_INVALID, err,
				"unterminated heredoc: no line \"%.64s\" follows", heredoc->name);
}

static struct position line_position(const struct logical_line *line, size_t offset)
{
	size_t low = 0, high = line->n_segments;
	struct position at;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (line->segments[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	at = line->segments[low].at;
	at.column += (unsigned)(offset - line->segments[low].offset);
	return at;
}

const char *line_text(const struct dockerfile *file, const struct logical_line *line,
		      struct span span)
{
	if (span.end == line->len)
		return line->text + span.start;
	return arena_strndup(file->arena, line->text + span.start, span.end - span.start);
}

struct range line_range(const struct logical_line *line, struct span span)
{
	struct range range = { .start = line_position(line, span.start) };

	range.end = range.start;
	if (span.end > span.start) {
		range.end = line_position(line, span.end - 1);
		range.end.column++;
	}
	return range;
}
