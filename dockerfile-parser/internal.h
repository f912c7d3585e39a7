/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOCKERFILE_PARSER_INTERNAL_H
#define DOCKERFILE_PARSER_INTERNAL_H

/*
 * dockerfile-parser/internal.h: what the files of this room share.
 *
 *	lex.c		text -> logical lines, directives, comments, heredoc bodies
 *	parse.c		logical line -> instruction, by a table of keywords
 *	  flags.c	--name=value, by a table of flags
 *	  words.c	the ways of splitting arguments
 *	  exec_form.c	["json", "arrays"]
 *	  heredoc.c	the <<words of a line
 *	  check.c	what each instruction demands of its arguments
 *	expand.c	$words, with substitute.c for patterns in them
 *	pattern.c	filepath.Match; ignore.c on top of it
 *	diag.c		errors with the line and a caret
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dockerfile-parser/dockerfile.h"

struct buf;

/* --- runes.c: UTF-8, with Go's notions of blank, letter and digit ---------------------------- */

#define RUNE_BAD 0x110000 /* a byte that is not UTF-8 decodes to RUNE_BAD + its value */

/* The code point at text, which has at least one byte; *ret_width is its length. */
uint32_t rune_decode(const char *text, size_t len, size_t *ret_width);

/* Append a code point, or the byte that RUNE_BAD stands for. 0, or -1 at the limit. */
int rune_add(struct buf *buf, uint32_t rune);

bool rune_is_space(uint32_t rune);
bool rune_is_name(uint32_t rune); /* letter, digit or _ */

/* Offsets of the text without the blanks at its start, at its end. */
size_t blanks_skip(const char *text, size_t start, size_t end);
size_t blanks_trim(const char *text, size_t start, size_t end);

/* --- lex.c ------------------------------------------------------------------------------------ */

/* Bytes of a logical line from `offset` on stand in the file from `at` on. */
struct segment {
	size_t offset;
	struct position at;
};

/* One or more physical lines joined: what holds one instruction. */
struct logical_line {
	const char *text; /* NUL-terminated, the file's */
	size_t len;
	struct segment *segments; /* in order, the first with offset 0 */
	size_t n_segments;
	const char **comments;
	size_t n_comments;
};

/* Part of a logical line. */
struct span {
	size_t start;
	size_t end;
};

/* The text of a part of a logical line, NUL-terminated, valid as long as the file. */
const char *line_text(const struct dockerfile *file, const struct logical_line *line,
		      struct span span);

/* Where part of a logical line stands in the file. */
struct range line_range(const struct logical_line *line, struct span span);

struct lexer {
	struct dockerfile *file; /* the tree under construction; its lines are there already */
	const char *text;
	size_t len;
	size_t pos;	 /* of the next physical line */
	unsigned number; /* of the last one taken, 0 at the start */
	bool directives_done;
	bool shebang; /* the first line was one: only syntax and check count below it */
};

/* Check the limits, split text into file->lines and get ready for lexer_next(). */
int lexer_init(struct lexer *lexer, struct dockerfile *file, const char *text, size_t len,
	       size_t max, struct err *err);

/* The next logical line, in the file's arena. Returns 1, 0 at the end, -1 for an error. */
int lexer_next(struct lexer *lexer, struct logical_line *ret_line, struct err *err);

/* Take the lines up to the terminator as the heredoc's body. *end moves past the terminator. */
int lexer_heredoc(struct lexer *lexer, struct heredoc *heredoc, struct position *end,
		  struct err *err);

/* --- flags.c ---------------------------------------------------------------------------------- */

enum flag_type {
	FLAG_STRING,
	FLAG_STRINGS, /* may be repeated */
	FLAG_BOOL,
};

struct flag_rule {
	const char *name;
	enum flag_type type;
};

/*
 * Take the flags at the start of *rest, which shrinks to what follows them, and check each
 * against the rules.
 */
int flags_parse(const struct dockerfile *file, const struct logical_line *line, struct span *rest,
		const struct flag_rule *rules, size_t n_rules, struct instruction *instruction,
		struct err *err);

/* --- words.c: arguments into instruction->args ------------------------------------------------ */

/* A word that stands in the line as it is. */
void word_add(const struct dockerfile *file, const struct logical_line *line, struct span span,
	      struct instruction *instruction, size_t *cap);

void words_split(const struct dockerfile *file, const struct logical_line *line, struct span rest,
		 struct instruction *instruction);
int words_pairs(const struct dockerfile *file, const struct logical_line *line, struct span rest,
		struct instruction *instruction, struct err *err);
int words_arg(const struct dockerfile *file, const struct logical_line *line, struct span rest,
	      struct instruction *instruction, struct err *err);

/* --- exec_form.c ------------------------------------------------------------------------------ */

/*
 * Append the elements of a JSON array of strings to instruction->args and set its `json`.
 * Returns 1, 0 when the text is no JSON array (nothing is appended), -1 when it is one of
 * something other than strings.
 */
int exec_form_parse(const struct dockerfile *file, const struct logical_line *line,
		    struct span rest, struct instruction *instruction, struct err *err);

/* --- heredoc.c -------------------------------------------------------------------------------- */

/*
 * Whether a word is <<NAME: 1 with the members of *ret_heredoc before `content` (which is empty)
 * in the arena, 0, or -1 for one with bad quoting or substitution.
 */
int heredoc_parse(struct arena *arena, const char *word, struct heredoc *ret_heredoc,
		  struct err *err);

/* The <<words of the whole line into instruction->heredocs, without bodies. */
int heredocs_find(const struct dockerfile *file, const struct logical_line *line,
		  struct instruction *instruction, struct err *err);

/* --- parse.c, check.c ------------------------------------------------------------------------- */

/* What the instruction demands of its arguments, after heredocs are read. */
int instruction_check(const struct dockerfile *file, const struct instruction *instruction,
		      struct err *err);

/* Upper-case name of a kind, for messages. */
const char *instruction_keyword(enum instruction_kind kind);

/* --- expand.c, substitute.c ------------------------------------------------------------------- */

/* Beside enum expand_flags; for recognising heredocs. */
enum expand_internal_flags {
	EXPAND_KEEP_QUOTES = 1 << 8,  /* obey quotes and leave them in the result */
	EXPAND_KEEP_ESCAPES = 1 << 9, /* likewise */
	EXPAND_KEEP_UNSET = 1 << 10,  /* leave $forms of unset variables as they are */
};

struct strv;

/* expand_words() with flags. */
int expand_split(const char *word, char escape, unsigned flags, expand_lookup *lookup, void *arg,
		 struct strv *ret_words, struct err *err);

/* ${v#p} ${v##p} ${v%p} ${v%%p}: append value without what matches. */
int substitute_trim(const char *value, const char *pattern, bool suffix, bool greedy,
		    struct buf *out, struct err *err);

/* ${v/p/r} ${v//p/r}: append value with r in place of what matches. */
int substitute_replace(const char *value, const char *pattern, const char *replacement, bool all,
		       struct buf *out, struct err *err);

/* --- pattern.c -------------------------------------------------------------------------------- */

/*
 * Match a character class, text at "[". Returns 1 or 0 and moves *class past "]", or -1 when it
 * is malformed. Decoding stops at end.
 */
int pattern_class_match(const char **class, const char *end, uint32_t rune);

/* Go's filepath.Clean. free() it. */
char *path_clean(const char *path, size_t len);

#endif
