/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOCKERFILE_PARSER_DOCKERFILE_H
#define DOCKERFILE_PARSER_DOCKERFILE_H

/*
 * dockerfile-parser/dockerfile.h: Dockerfile text in, a syntax tree or "file:line:col: why" out.
 * Pure: no file, no network, no environment. The language is BuildKit's, as the Dockerfile
 * reference and its parser define it; arguments are stored before any expansion.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct json_t;

#define DOCKERFILE_MAX (1024 * 1024)	  /* bytes of a Dockerfile, unless told, */
#define DOCKERFILE_MOST (64 * 1024 * 1024) /* and the most that can be told */
#define DOCKERFILE_LINE_MAX 65535	  /* bytes of one physical line */
#define DOCKERFILE_EXPANSION_MAX (1 << 20) /* bytes of one expanded word */
#define DOCKERFILE_STAGES_MAX 10000
#define IGNORE_MAX (1024 * 1024) /* bytes of an ignore file */
#define IGNORE_PATTERN_MAX 4096	 /* bytes of one of its patterns */

struct position {
	unsigned line;	 /* from 1 */
	unsigned column; /* from 1, in bytes */
};

struct range {
	struct position start;
	struct position end; /* just past the last byte */
};

enum instruction_kind {
	INSTRUCTION_ADD,
	INSTRUCTION_ARG,
	INSTRUCTION_CMD,
	INSTRUCTION_COPY,
	INSTRUCTION_ENTRYPOINT,
	INSTRUCTION_ENV,
	INSTRUCTION_EXPOSE,
	INSTRUCTION_FROM,
	INSTRUCTION_HEALTHCHECK,
	INSTRUCTION_LABEL,
	INSTRUCTION_MAINTAINER,
	INSTRUCTION_ONBUILD,
	INSTRUCTION_RUN,
	INSTRUCTION_SHELL,
	INSTRUCTION_STOPSIGNAL,
	INSTRUCTION_USER,
	INSTRUCTION_VOLUME,
	INSTRUCTION_WORKDIR,
};

/* "--name=value" after the keyword. */
struct flag {
	const char *name;  /* without the dashes */
	const char *value; /* quotes and escapes resolved, not expanded; "" for a bare --name */
	bool has_value;	   /* an "=" was there */
	struct range range;
};

struct heredoc {
	const char *name;    /* the word, without quotes */
	const char *content; /* the body; leading tabs gone when chomp */
	size_t content_len;
	const char *raw; /* the body as written: for shells, which chomp by themselves */
	size_t raw_len;
	bool expand; /* the word was not quoted */
	bool chomp;  /* <<- */
	unsigned fd; /* the number before <<, 0 when there is none */
	struct range range; /* of the word */
};

/* One argument. */
struct word {
	const char *text; /* as written for shell forms; element value for the JSON form */
	const struct heredoc *heredoc; /* ADD, COPY: the file this source stands for, or NULL */
	struct range range;
};

/*
 * args by kind:
 *  ENV, LABEL	   name, value and "=" or "" (the legacy form) for each pair, quotes kept
 *  ARG		   name, value and "=" for each; name, "" and "" when there is no value
 *  RUN, CMD, ENTRYPOINT  JSON form: the elements; shell form: one word, the rest of the line.
 *		   No word at all for `CMD []` and for a lone `CMD` (legal, as in BuildKit)
 *  SHELL	   JSON elements, at least one
 *  HEALTHCHECK	   "NONE", or "CMD" (as written) and then as CMD, at least one
 *  ONBUILD	   none: `trigger` is the nested instruction
 *  MAINTAINER, STOPSIGNAL, USER, WORKDIR  one word, the rest of the line
 *  others	   words split at blanks (quotes kept), or JSON elements
 * Counts are checked: FROM has 1 or 3, ADD and COPY 2 or more, the rest 1 or more.
 */
struct instruction {
	enum instruction_kind kind;
	const char *keyword;	/* as written */
	const char *text;	/* the whole logical line, trimmed, continuations joined, and then
				 * heredoc bodies as written: it parses to the same again */
	struct flag *flags;
	size_t n_flags;
	struct word *args;
	size_t n_args;
	bool json; /* args come from the JSON form */
	struct heredoc *heredocs; /* in order; an ONBUILD shows its trigger's */
	size_t n_heredocs;
	struct instruction *trigger; /* ONBUILD's; its text is what OnBuild in a config holds */
	const char **comments;	     /* comment lines directly above, trimmed, without # */
	size_t n_comments;
	struct range range;	 /* from the keyword to the end of the line, or of its heredocs */
	struct range line_range; /* without heredocs */
	struct range args_range; /* from the first argument on */
};

/* "# name=value" lines at the top. Each is NULL when absent. */
struct directives {
	const char *syntax; /* accepted, never fetched */
	const char *check;
	char escape;	 /* '\\' or '`' */
	bool has_escape; /* a directive says so */
};

struct dockerfile {
	struct arena *arena; /* holds all that follows, but for the array of instructions */
	const char *name;    /* as errors show it */
	struct directives directives;
	struct instruction *instructions; /* malloc()ed */
	size_t n_instructions;
	const char **lines; /* the physical lines, for carets */
	size_t n_lines;
};

/*
 * Parse text (len bytes, may hold anything). `name` is what errors call it. Every instruction is
 * checked by itself: keyword, flags, counts of arguments. What stands where (an instruction before
 * FROM, no stage at all) is dockerfile_check_stages()'s, so that editors can parse a fragment, and
 * what needs variables is the caller's. On failure *err is
 * ERR_INVALID with a message of the shape
 *	Dockerfile:3:5: unknown instruction "CPOY" (did you mean COPY?)
 *	  3 | CPOY a b
 *	    | ^^^^
 * or ERR_LIMIT. Free with dockerfile_free().
 */
int dockerfile_parse(const char *name, const char *text, size_t len,
		     struct dockerfile **ret_dockerfile, struct err *err);

/* The same with another limit than DOCKERFILE_MAX; at most DOCKERFILE_MOST. */
int dockerfile_parse_large(const char *name, const char *text, size_t len, size_t max,
			   struct dockerfile **ret_dockerfile, struct err *err);
void dockerfile_free(struct dockerfile *dockerfile);

/* Refuse a file with no stage, or with something other than ARG before the first. */
int dockerfile_check_stages(const struct dockerfile *dockerfile, struct err *err);

/*
 * Parse one instruction out of context: an ONBUILD trigger of a base image. It is allocated from
 * the given tree's arena, its positions are relative to `text`. The escape character is always a
 * backslash, as in BuildKit. ONBUILD, FROM and MAINTAINER are refused.
 */
int dockerfile_parse_trigger(struct dockerfile *dockerfile, const char *text,
			     struct instruction **ret_instruction, struct err *err);

/*
 * The tree as JSON, for `cbuild parse --json`:
 *	{"directives": {"syntax", "escape", "check": those in the file},
 *	 "instructions": [{"cmd": "copy", "flags": ["--from=a"], "args": ["x", "/"], "json": false,
 *	   "heredocs": [{"name", "content", "expand", "chomp", "fd"}],
 *	   "start": {"line", "column"}, "end": {"line", "column"}, "comments": ["text"]}]}
 * The args of "onbuild" are one such object. content is the body as written, before chomping.
 * Bytes that are not UTF-8 become U+FFFD. Free with json_decref().
 */
struct json_t *dockerfile_to_json(const struct dockerfile *dockerfile);

/* Lower-case name of a kind: "copy". */
const char *instruction_name(enum instruction_kind kind);

/*
 * Fill *err with "name:line:col: message", the source line and a caret under the range. Returns
 * -1. The kind is ERR_INVALID unless `kind` (an enum err_kind) says otherwise.
 */
int dockerfile_error(const struct dockerfile *dockerfile, struct range range, int kind,
		     struct err *err, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The candidate nearest to word by edit distance, or NULL when none is near. */
const char *suggest(const char *word, const char *const *candidates, size_t n);

/* The first flag of that name, or NULL. Only --mount and --exclude may occur twice. */
const struct flag *instruction_flag(const struct instruction *instruction, const char *name);

/* A yes-or-no flag: true for --name and --name=true (any case; other values did not parse). */
bool instruction_flag_bool(const struct instruction *instruction, const char *name);

/* One `key=value` of a comma-separated list. */
struct flag_option {
	const char *key;   /* in lower case */
	const char *value; /* not expanded; "" for a bare key */
	bool has_value;	   /* an "=" was there */
};

/*
 * Split the value of RUN --mount: one CSV record (a field that holds a comma is written
 * "in quotes", with "" for a quote), each field a key or key=value. The strings are the arena's.
 * What keys mean, and whether they exist, is the caller's. Fails with ERR_INVALID.
 */
int flag_options_parse(struct arena *arena, const char *text, struct flag_option **ret_options,
		       size_t *ret_n, struct err *err);

/*
 * A duration as Go writes it ("1m30s", "1.5h", "500ms"), in nanoseconds. Fails with ERR_INVALID.
 * The parser has checked those of HEALTHCHECK already: 0, or 1ms and more.
 */
int duration_parse(const char *text, int64_t *ret_ns, struct err *err);

/* --- word expansion (Dockerfile reference, "Environment replacement") ----------------------- */

/* The value of a variable, NULL when it is not set. */
typedef const char *expand_lookup(void *arg, const char *name, size_t name_len);

enum expand_flags {
	EXPAND_RAW_QUOTES = 1 << 0, /* quotes are characters like others (heredoc bodies) */
};

/*
 * Expand ${...} forms, quotes and escapes in word. The result is the caller's (free()). Fails
 * with ERR_INVALID (bad substitution, ${v:?message}) or ERR_LIMIT.
 */
int expand_word(const char *word, char escape, unsigned flags, expand_lookup *lookup, void *arg,
		char **ret_text, struct err *err);

/* As expand_word(), then split at unquoted blanks (EXPOSE). ret_words is NULL-terminated, one
 * allocation per string and one for the vector. */
int expand_words(const char *word, char escape, expand_lookup *lookup, void *arg,
		 char ***ret_words, size_t *ret_n, struct err *err);

/* --- patterns ------------------------------------------------------------------------------- */

/* Go's filepath.Match of a whole relative path: 1 match, 0 none, -1 malformed pattern (whatever
 * the path: Go does not always look that far). */
int pattern_match(const char *pattern, const char *path);

/* Whether the text has a * ? [ or \ that pattern_match() would treat specially. */
bool pattern_is_glob(const char *pattern);

/* --- .dockerignore (Dockerfile reference, ".dockerignore file") ------------------------------ */

struct ignore; /* rules in order; the last that matches wins */

/* `name` is what errors and ignore_rule() call the file. Text of len bytes. */
int ignore_parse(const char *name, const char *text, size_t len, struct ignore **ret_ignore,
		 struct err *err);

void ignore_free(struct ignore *ignore);

/*
 * Whether the rules exclude path (relative, no leading slash). *ret_line, when not NULL, is the
 * line of the rule that decided, 0 when none did. ignore may be NULL: nothing is excluded.
 */
bool ignore_excludes(const struct ignore *ignore, const char *path, unsigned *ret_line);

/*
 * The same for one who walks: `matched` is of ignore_count() elements, all false for the root,
 * and holds what ignore_step() made of it for the directory that path is in; it becomes path's
 * own. One step per member of a directory is enough, whatever its depth.
 */
size_t ignore_count(const struct ignore *ignore);
bool ignore_step(const struct ignore *ignore, const char *path, bool *matched);

/* Whether something below the excluded directory path could be included again by a "!" rule. */
bool ignore_may_include_below(const struct ignore *ignore, const char *path);

/* Whether there is any "!" rule. */
bool ignore_has_exceptions(const struct ignore *ignore);

/* The text of the rule at a line, for messages; NULL when no rule stands there. */
const char *ignore_rule(const struct ignore *ignore, unsigned line);

/* What ignore_parse() was told to call the file. */
const char *ignore_name(const struct ignore *ignore);

#endif
