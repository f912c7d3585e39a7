/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Word expansion: $name, ${...}, quotes and escapes, as BuildKit's shell lexer does it.
 *
 *	word:		{ character | escape character | single | double | dollar }
 *	single:		"'" { character } "'"
 *	double:		'"' { character | escape ( '"' | "$" | escape ) | dollar } '"'
 *	dollar:		"$" name | "${" name [ operation ] "}"
 *	operation:	[ ":" ] ( "-" | "+" | "?" ) word
 *		|	( "#" | "##" | "%" | "%%" ) word
 *		|	( "/" | "//" ) word "/" word
 *
 * 1. Everything is appended to one output, so that what a nested form gave can be split into
 *    words by whoever called it.
 * 2. `held` counts the bytes of unfinished outer outputs: all outputs together stay below
 *    DOCKERFILE_EXPANSION_MAX, however deep words nest.
 * 3. `raw` (keep escapes) is on inside patterns, whose own escapes substitute.c resolves.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strv.h"

#define DEPTH_MAX 100 /* of words in each other */
#define END	  0   /* no character of a word */

struct expander {
	const char *at; /* NUL-terminated */
	char escape;
	unsigned flags;
	bool raw;
	unsigned depth;
	size_t held;
	expand_lookup *lookup;
	void *arg;
	struct err *err;
};

/* The words of a result so far. */
struct splitter {
	struct strv *done;
	struct buf word;
	bool in_word;
};

static int too_long(struct expander *expander)
{
	return err_set(expander->err, ERR_LIMIT, "expands to more than %d bytes",
		       DOCKERFILE_EXPANSION_MAX);
}

static int put(struct expander *expander, struct buf *out, const char *text, size_t len)
{
	return buf_add(out, text, len) < 0 ? too_long(expander) : 0;
}

static void split_raw(struct splitter *splitter, const char *text, size_t len)
{
	if (!splitter)
		return;
	buf_add(&splitter->word, text, len);
	splitter->in_word = true;
}

static void split_finish(struct splitter *splitter)
{
	if (!splitter->word.len)
		return;
	strv_addn(splitter->done, splitter->word.data, splitter->word.len);
	buf_clear(&splitter->word);
	splitter->in_word = false;
}

/* Blanks end words here; in split_raw() they do not. */
static void split_text(struct splitter *splitter, const char *text, size_t len)
{
	if (!splitter)
		return;
	for (size_t i = 0, width; i < len; i += width) {
		if (!rune_is_space(rune_decode(text + i, len - i, &width)))
			split_raw(splitter, text + i, width);
		else if (splitter->in_word)
			split_finish(splitter);
	}
}

static size_t character(const char *at)
{
	size_t width;

	rune_decode(at, strnlen(at, 4), &width);
	return width;
}

static int expand_until(struct expander *expander, char stop, bool raw, struct buf *out,
			struct splitter *splitter);

static int single_quoted(struct expander *expander, struct buf *out)
{
	const char *end = strchr(expander->at + 1, '\'');
	bool keep = expander->flags & EXPAND_KEEP_QUOTES;
	size_t len;

	if (!end)
		return err_set(
			expander->err, ERR_INVALID,
			"unexpected end of statement while looking for matching single-quote");
	len = (size_t)(end - expander->at) + 1;
	if (put(expander, out, expander->at + !keep, keep ? len : len - 2) < 0)
		return -1;
	expander->at = end + 1;
	return 0;
}

static int expand_dollar(struct expander *expander, struct buf *out);

/* A character in double quotes, maybe escaped. */
static int double_character(struct expander *expander, struct buf *out)
{
	const char *at = expander->at;
	size_t width = character(at);

	if (*at != expander->escape) {
		expander->at += width;
		return put(expander, out, at, width);
	}
	if (expander->raw && put(expander, out, at, 1) < 0)
		return -1;
	expander->at++;
	if (at[1] == '\0')
		return 0;
	if (at[1] == '"' || at[1] == '$' || at[1] == expander->escape)
		expander->at++;
	return put(expander, out, expander->at - 1, 1);
}

static int double_quoted(struct expander *expander, struct buf *out)
{
	bool keep = expander->flags & EXPAND_KEEP_QUOTES;

	expander->at++;
	if (keep && put(expander, out, "\"", 1) < 0)
		return -1;
	while (*expander->at != '"') {
		if (*expander->at == '\0')
			return err_set(expander->err, ERR_INVALID,
				       "unexpected end of statement while looking for matching "
				       "double-quote");
		if ((*expander->at == '$' ? expand_dollar : double_character)(expander, out) < 0)
			return -1;
	}
	expander->at++;
	return keep ? put(expander, out, "\"", 1) : 0;
}

/* The name at the text: digits, or one special parameter, or letters, digits and _. */
static size_t name_length(const char *text)
{
	size_t len = strspn(text, "0123456789"), width;

	if (len)
		return len;
	if (*text && strchr("@*#?-$!", *text))
		return 1;
	for (; text[len]; len += width)
		if (!rune_is_name(rune_decode(text + len, strnlen(text + len, 4), &width)))
			break;
	return len;
}

static const char *look_up(struct expander *expander, const char *name, size_t len)
{
	return len ? expander->lookup(expander->arg, name, len) : NULL;
}

/* ${name operation}, while it is taken apart. */
struct substitution {
	const char *name;
	size_t name_len;
	const char *value; /* NULL when unset */
	char operation;	   /* - + ? # % / */
	bool colon;	   /* an empty value counts as unset */
	bool all;	   /* // */
	struct buf word;   /* the default, message or pattern */
	struct buf replacement;
};

static int missing_brace(struct expander *expander)
{
	return err_set(expander->err, ERR_INVALID, "syntax error: missing '}'");
}

/* Expand a nested word up to `stop` into its own buf. */
static int nested_word(struct expander *expander, const struct buf *out, char stop, bool raw,
		       struct buf *word)
{
	size_t held = expander->held;
	int result;

	if (expander->depth == DEPTH_MAX)
		return err_set(expander->err, ERR_LIMIT, "more than %d words nested in each other",
			       DEPTH_MAX);
	expander->held += out->len;
	if (expander->held > DOCKERFILE_EXPANSION_MAX)
		return too_long(expander);
	buf_release(word);
	buf_init(word, DOCKERFILE_EXPANSION_MAX - expander->held);
	expander->depth++;
	result = expand_until(expander, stop, raw, word, NULL);
	expander->depth--;
	expander->held = held;
	return result;
}

/* Write an unset form as it was, for EXPAND_KEEP_UNSET. */
static int keep_unset(struct expander *expander, const struct substitution *part, struct buf *out)
{
	buf_addstr(out, "${");
	buf_add(out, part->name, part->name_len);
	if (part->colon)
		buf_addch(out, ':');
	buf_addch(out, part->operation);
	if (part->all)
		buf_addch(out, '/');
	buf_add(out, part->word.data, part->word.len);
	if (part->operation == '/') {
		buf_addch(out, '/');
		buf_add(out, part->replacement.data, part->replacement.len);
	}
	buf_addch(out, '}');
	return out->overflow ? too_long(expander) : 0;
}

static int must_be_set(struct expander *expander, const struct substitution *part, bool set)
{
	const char *message = part->word.data;

	if (!*message)
		message = set ? "is not allowed to be empty" : "is not allowed to be unset";
	return err_set(expander->err, ERR_INVALID, "%.*s: %.1024s",
		       (int)(part->name_len < 256 ? part->name_len : 256), part->name, message);
}

static int apply(struct expander *expander, const struct substitution *part, struct buf *out)
{
	const char *value = part->value ? part->value : "";
	bool use_word = !part->value || (part->colon && !*value);
	const char *pattern = part->word.data;
	bool greedy = *pattern == part->operation;

	if (!part->value && (expander->flags & EXPAND_KEEP_UNSET))
		return keep_unset(expander, part, out);
	switch (part->operation) {
	case '-':
		if (use_word)
			return put(expander, out, part->word.data, part->word.len);
		return put(expander, out, value, strlen(value));
	case '+':
		return use_word ? 0 : put(expander, out, part->word.data, part->word.len);
	case '?':
		if (use_word)
			return must_be_set(expander, part, part->value != NULL);
		return put(expander, out, value, strlen(value));
	case '#':
	case '%':
		return substitute_trim(value, pattern + greedy, part->operation == '%', greedy, out,
				       expander->err);
	default:
		return substitute_replace(value, pattern, part->replacement.data, part->all, out,
					  expander->err);
	}
}

/* operation, at its first character, up to and with the closing brace */
static int read_operation(struct expander *expander, struct substitution *part,
			  const struct buf *out)
{
	bool pattern;
	int result;

	part->colon = *expander->at == ':';
	expander->at += part->colon;
	part->operation = *expander->at;
	if (part->operation == '\0')
		return missing_brace(expander);
	pattern = part->operation == '#' || part->operation == '%';
	if (part->operation == '/' && !part->colon) {
		expander->at++;
		part->all = *expander->at == '/';
		expander->at += part->all;
		if (nested_word(expander, out, '/', true, &part->word) < 0)
			return -1;
		expander->held += part->word.len;
		result = nested_word(expander, out, '}', true, &part->replacement);
		expander->held -= part->word.len;
		return result;
	}
	if (!(expander->flags & EXPAND_KEEP_UNSET) || !part->colon) {
		if (!strchr("-+?#%", part->operation) || (pattern && part->colon))
			return err_set(expander->err, ERR_INVALID,
				       "unsupported modifier (%s%.*s) in substitution",
				       part->colon ? ":" : "", (int)character(expander->at),
				       expander->at);
	}
	expander->at += character(expander->at);
	return nested_word(expander, out, '}', pattern, &part->word);
}

static int expand_operation(struct expander *expander, const char *name, size_t name_len,
			    struct buf *out)
{
	struct substitution part = { .name = name, .name_len = name_len };
	int result;

	buf_init(&part.word, 0);
	buf_init(&part.replacement, 0);
	result = read_operation(expander, &part, out);
	if (result == 0) {
		part.value = look_up(expander, name, name_len);
		result = apply(expander, &part, out);
	}
	buf_release(&part.word);
	buf_release(&part.replacement);
	return result;
}

/* A variable without an operation; len bytes at `form` are how it is written. */
static int expand_plain(struct expander *expander, const char *name, size_t name_len,
			const char *form, size_t len, struct buf *out)
{
	const char *value = look_up(expander, name, name_len);

	if (!value && (expander->flags & EXPAND_KEEP_UNSET))
		return put(expander, out, form, len);
	return value ? put(expander, out, value, strlen(value)) : 0;
}

static int expand_brace(struct expander *expander, struct buf *out)
{
	const char *form = expander->at;
	const char *name = form + 2;
	size_t len;

	if (*name == '\0')
		return missing_brace(expander);
	if (strchr("{}:", *name))
		return err_set(expander->err, ERR_INVALID, "syntax error: bad substitution");
	len = name_length(name);
	expander->at = name + len;
	if (*expander->at != '}')
		return expand_operation(expander, name, len, out);
	expander->at++;
	return expand_plain(expander, name, len, form, (size_t)(expander->at - form), out);
}

static int expand_dollar(struct expander *expander, struct buf *out)
{
	const char *form = expander->at;
	size_t len;

	if (form[1] == '{')
		return expand_brace(expander, out);
	len = name_length(form + 1);
	expander->at += 1 + len;
	if (!len)
		return put(expander, out, "$", 1);
	return expand_plain(expander, form + 1, len, form, 1 + len, out);
}

/* An escape character outside quotes, and what it escapes. */
static int escaped(struct expander *expander, struct buf *out, struct splitter *splitter)
{
	const char *at = expander->at;
	size_t width;

	if (expander->raw) {
		split_raw(splitter, at, 1);
		if (put(expander, out, at, 1) < 0)
			return -1;
	}
	expander->at++;
	if (at[1] == '\0')
		return 0;
	width = character(at + 1);
	expander->at += width;
	split_raw(splitter, at + 1, width);
	return put(expander, out, at + 1, width);
}

static int expand_next(struct expander *expander, struct buf *out, struct splitter *splitter)
{
	bool quotes = !(expander->flags & EXPAND_RAW_QUOTES);
	const char *at = expander->at;
	size_t before = out->len, width;

	if (*at == '$') {
		if (expand_dollar(expander, out) < 0)
			return -1;
		split_text(splitter, out->data + before, out->len - before);
		return 0;
	}
	if (quotes && (*at == '\'' || *at == '"')) {
		if ((*at == '"' ? double_quoted : single_quoted)(expander, out) < 0)
			return -1;
		split_raw(splitter, out->data + before, out->len - before);
		return 0;
	}
	if (*at == expander->escape)
		return escaped(expander, out, splitter);
	width = character(at);
	expander->at += width;
	split_text(splitter, at, width);
	return put(expander, out, at, width);
}

/* Expand up to the character `stop`, which is taken too, or to the end. */
static int expand_until(struct expander *expander, char stop, bool raw, struct buf *out,
			struct splitter *splitter)
{
	bool outer = expander->raw;

	expander->raw = raw;
	while (*expander->at && *expander->at != stop)
		if (expand_next(expander, out, splitter) < 0)
			return -1;
	expander->raw = outer;
	if (stop == END)
		return 0;
	if (*expander->at == '\0')
		return err_set(expander->err, ERR_INVALID, "syntax error: missing '%c'%s", stop,
			       stop == '/' ? " in ${}" : "");
	expander->at++;
	return 0;
}

static int expand(const char *word, char escape, unsigned flags, expand_lookup *lookup, void *arg,
		  struct buf *out, struct splitter *splitter, struct err *err)
{
	struct expander expander = {
		.at = word,
		.escape = escape,
		.flags = flags,
		.lookup = lookup,
		.arg = arg,
		.err = err,
	};

	buf_init(out, DOCKERFILE_EXPANSION_MAX);
	return expand_until(&expander, END, flags & EXPAND_KEEP_ESCAPES, out, splitter);
}

int expand_word(const char *word, char escape, unsigned flags, expand_lookup *lookup, void *arg,
		char **ret_text, struct err *err)
{
	cleanup_buf struct buf out;

	if (expand(word, escape, flags, lookup, arg, &out, NULL, err) < 0)
		return -1;
	*ret_text = buf_steal(&out);
	return 0;
}

int expand_split(const char *word, char escape, unsigned flags, expand_lookup *lookup, void *arg,
		 struct strv *ret_words, struct err *err)
{
	struct splitter splitter = { .done = ret_words };
	cleanup_buf struct buf out;
	int result;

	buf_init(&splitter.word, DOCKERFILE_EXPANSION_MAX);
	result = expand(word, escape, flags, lookup, arg, &out, &splitter, err);
	if (result == 0)
		split_finish(&splitter);
	buf_release(&splitter.word);
	return result;
}

int expand_words(const char *word, char escape, expand_lookup *lookup, void *arg, char ***ret_words,
		 size_t *ret_n, struct err *err)
{
	struct strv words = STRV_INIT;

	if (expand_split(word, escape, 0, lookup, arg, &words, err) < 0) {
		strv_release(&words);
		return -1;
	}
	if (!words.v)
		words.v = xcalloc(1, sizeof(*words.v));
	*ret_words = words.v;
	*ret_n = words.n;
	return 0;
}
