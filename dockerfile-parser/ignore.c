/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * .dockerignore rules. A pattern is compiled to a row of tokens, a small automaton without
 * captures: its states are the tokens, all that can be alive are walked at once, so no pattern is
 * slow on any path. Patterns without special characters, most of them, are compared as bytes.
 *
 * How rules combine is subtler than "the last match wins". The walk goes down from the top, each
 * directory with its own verdict for each rule, and
 * 1. a rule that matched a directory matches everything below it;
 * 2. otherwise a rule is only asked when it could change the verdict so far: an excluding rule
 *    when the path is included, a "!" rule when it is excluded; not being asked counts as no
 *    match, also for what is below.
 * So for "a", "!a/b", "a" the path a/b/c is included: at `a` the third rule was not asked.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

#define RULES_ON_STACK 256

enum token_kind {
	TOKEN_RUNE,
	TOKEN_CLASS,
	TOKEN_ANY,     /* one character, not "/" */
	TOKEN_STAR,    /* any number of them */
	TOKEN_ALL,     /* any number of any character */
	TOKEN_MAYBE,   /* skip the next token or not */
	TOKEN_THROUGH, /* any number of any character, and then "/" */
};

struct token {
	enum token_kind kind;
	uint32_t rune;
	const char *class; /* at its "[" */
};

enum rule_kind {
	RULE_EXACT,
	RULE_PREFIX, /* "x/" of "x/(double star)" */
	RULE_SUFFIX, /* "x" of "(double star)x" */
	RULE_TOKENS,
};

struct rule {
	enum rule_kind kind;
	bool include; /* a "!" rule */
	unsigned line;
	const char *text;    /* as written */
	const char *pattern; /* cleaned, without "!" */
	size_t len;
	const char *literal; /* what exact, prefix and suffix rules compare */
	size_t literal_len;
	struct token *tokens;
	size_t n_tokens;
};

struct ignore {
	struct arena *arena;
	const char *name;
	struct rule *rules;
	size_t n_rules;
	size_t cap;
	bool has_include;
};

/* --- compiling ------------------------------------------------------------------------------- */

static void add_token(struct rule *rule, enum token_kind kind, uint32_t rune, const char *class)
{
	rule->tokens[rule->n_tokens++] = (struct token){ kind, rune, class };
}

/*
 * "**", with a "/" that follows it. Returns where the pattern goes on. A pattern "x/" "**" stays
 * a comparison of bytes, and so does "**" "x".
 */
static const char *compile_double_star(struct rule *rule, const char *at, const char *end)
{
	bool first = at == rule->pattern;

	at += 2;
	if (at < end && *at == '/')
		at++;
	if (at == end) {
		if (rule->kind == RULE_EXACT) {
			rule->kind = RULE_PREFIX;
			rule->literal_len = rule->len - 2;
		} else {
			rule->kind = RULE_TOKENS;
		}
		add_token(rule, TOKEN_ALL, 0, NULL);
	} else {
		rule->kind = RULE_TOKENS;
		add_token(rule, TOKEN_MAYBE, 0, NULL);
		add_token(rule, TOKEN_THROUGH, 0, NULL);
	}
	if (first) {
		rule->kind = RULE_SUFFIX;
		rule->literal = rule->pattern + 2;
		rule->literal_len = rule->len - 2;
	}
	return at;
}

/* The pattern is well-formed for filepath.Match. */
static void compile(struct arena *arena, struct rule *rule)
{
	const char *at = rule->pattern, *end = at + rule->len;
	size_t width;

	rule->kind = RULE_EXACT;
	rule->literal = rule->pattern;
	rule->literal_len = rule->len;
	rule->tokens = arena_alloc(arena, (rule->len + 1) * sizeof(*rule->tokens));
	while (at < end) {
		const char *class = at;

		if (*at == '*' && at + 1 < end && at[1] == '*') {
			at = compile_double_star(rule, at, end);
			continue;
		}
		if (strchr("*?[\\", *at))
			rule->kind = RULE_TOKENS;
		if (*at == '[') {
			pattern_class_match(&at, end, 0);
			add_token(rule, TOKEN_CLASS, 0, class);
			continue;
		}
		if (*at == '*' || *at == '?') {
			add_token(rule, *at == '*' ? TOKEN_STAR : TOKEN_ANY, 0, NULL);
			at++;
			continue;
		}
		at += *at == '\\';
		add_token(rule, TOKEN_RUNE, rune_decode(at, (size_t)(end - at), &width), NULL);
		at += width;
	}
}

/* --- parsing --------------------------------------------------------------------------------- */

static int bad_rule(const struct ignore *ignore, const struct rule *rule, int kind,
		    const char *message, struct err *err)
{
	return err_set(err, kind, "%s:%u: %s: \"%.256s\"", ignore->name, rule->line, message,
		       rule->text);
}

/* Add a rule from trimmed text. `context` drops a leading "/", as an ignore file wants it. */
static int add_rule(struct ignore *ignore, const char *text, size_t len, unsigned line,
		    struct err *err)
{
	struct rule rule = { .line = line, .include = text[0] == '!' };
	size_t start = rule.include ? blanks_skip(text, 1, len) : 0;
	cleanup_free char *clean = NULL;
	const char *pattern;

	rule.text = arena_strndup(ignore->arena, text, len);
	if (start == len)
		return bad_rule(ignore, &rule, ERR_INVALID, "illegal exclusion pattern", err);
	if (len - start > IGNORE_PATTERN_MAX)
		return bad_rule(ignore, &rule, ERR_LIMIT, "pattern too long", err);
	clean = path_clean(text + start, len - start);
	pattern = clean + (clean[0] == '/' && clean[1]);
	rule.pattern = arena_strdup(ignore->arena, pattern);
	rule.len = strlen(pattern);
	if (pattern_match(rule.pattern, ".") < 0)
		return bad_rule(ignore, &rule, ERR_INVALID, "syntax error in pattern", err);
	compile(ignore->arena, &rule);
	ignore->has_include |= rule.include;
	ignore->rules = arena_grow(ignore->arena, ignore->rules, ignore->n_rules, &ignore->cap,
				   sizeof(*ignore->rules));
	ignore->rules[ignore->n_rules++] = rule;
	return 0;
}

static struct ignore *ignore_new(const char *name)
{
	struct arena *arena = arena_new();
	struct ignore *ignore = arena_alloc(arena, sizeof(*ignore));

	ignore->arena = arena;
	ignore->name = arena_strdup(arena, name);
	return ignore;
}

void ignore_free(struct ignore *ignore)
{
	if (ignore)
		arena_free(ignore->arena);
}

DEFINE_CLEANUP(struct ignore *, ignore_free)

/* file: { "#" comment | [ "!" ] pattern | blanks } */
int ignore_parse(const char *name, const char *text, size_t len, struct ignore **ret_ignore,
		 struct err *err)
{
	cleanup_with(ignore_free) struct ignore *ignore = ignore_new(name);
	unsigned line = 1;
	size_t length;

	if (len > IGNORE_MAX)
		return err_set(err, ERR_LIMIT, "%s: larger than %d bytes", name, IGNORE_MAX);
	if (len && memchr(text, '\0', len))
		return err_set(err, ERR_INVALID, "%s: NUL byte: is this UTF-8 text?", name);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	for (size_t at = 0; at < len; at += length + 1, line++) {
		const char *newline = memchr(text + at, '\n', len - at);
		size_t start, end;

		length = newline ? (size_t)(newline - text) - at : len - at;
		start = blanks_skip(text, at, at + length);
		end = blanks_trim(text, start, at + length);
		if (start == end || text[at] == '#')
			continue;
		if (add_rule(ignore, text + start, end - start, line, err) < 0)
			return -1;
	}
	*ret_ignore = steal_pointer(&ignore);
	return 0;
}

/* --- matching -------------------------------------------------------------------------------- */

/* Mark a state and those it leads to without a character. */
static void enter(const struct rule *rule, size_t state, bool *states)
{
	for (;; state++) {
		states[state] = true;
		if (state == rule->n_tokens)
			return;
		switch (rule->tokens[state].kind) {
		case TOKEN_STAR:
		case TOKEN_ALL:
			break;
		case TOKEN_MAYBE:
			states[state + 1] = true;
			state++;
			break;
		default:
			return;
		}
	}
}

/* From one state over a character. */
static void step(const struct rule *rule, size_t state, uint32_t rune, bool *next)
{
	const struct token *token = &rule->tokens[state];
	const char *class = token->class;

	switch (token->kind) {
	case TOKEN_RUNE:
		if (token->rune == rune)
			enter(rule, state + 1, next);
		break;
	case TOKEN_CLASS:
		if (pattern_class_match(&class, rule->pattern + rule->len, rune) == 1)
			enter(rule, state + 1, next);
		break;
	case TOKEN_ANY:
		if (rune != '/')
			enter(rule, state + 1, next);
		break;
	case TOKEN_STAR:
		if (rune != '/')
			enter(rule, state, next);
		break;
	case TOKEN_ALL:
		enter(rule, state, next);
		break;
	case TOKEN_THROUGH:
		next[state] = true;
		if (rune == '/')
			enter(rule, state + 1, next);
		break;
	case TOKEN_MAYBE:
		break;
	}
}

static bool match_tokens(const struct rule *rule, const char *path, size_t len)
{
	bool states[2][IGNORE_PATTERN_MAX + 2];
	bool *now = states[0], *next = states[1];
	size_t width;

	memset(now, 0, rule->n_tokens + 1);
	enter(rule, 0, now);
	for (size_t i = 0; i < len; i += width) {
		uint32_t rune = rune_decode(path + i, len - i, &width);
		bool *spare = now;

		memset(next, 0, rule->n_tokens + 1);
		for (size_t state = 0; state < rule->n_tokens; state++)
			if (now[state])
				step(rule, state, rune, next);
		now = next;
		next = spare;
	}
	return now[rule->n_tokens];
}

static bool ends_with(const char *path, size_t len, const char *suffix, size_t suffix_len)
{
	return len >= suffix_len && memcmp(path + len - suffix_len, suffix, suffix_len) == 0;
}

/* Whether path ends as every match must: with what follows the last special character. The slash
 * of a double star may be missing. */
static bool may_end_so(const struct rule *rule, const char *path, size_t len)
{
	size_t tail = rule->len;

	while (tail > 0 && !strchr("*?[]\\", rule->pattern[tail - 1]))
		tail--;
	if (tail < rule->len && rule->pattern[tail] == '/')
		tail++;
	return ends_with(path, len, rule->pattern + tail, rule->len - tail);
}

/* Whether the pattern matches the path itself, len bytes. */
static bool rule_matches(const struct rule *rule, const char *path, size_t len)
{
	const char *literal = rule->literal;
	size_t literal_len = rule->literal_len;

	switch (rule->kind) {
	case RULE_EXACT:
		return len == literal_len && memcmp(path, literal, len) == 0;
	case RULE_PREFIX:
		return len >= literal_len && memcmp(path, literal, literal_len) == 0;
	case RULE_SUFFIX:
		if (ends_with(path, len, literal, literal_len))
			return true;
		/* double star, "/x" matches x at the top */
		return literal_len && literal[0] == '/' && len == literal_len - 1 &&
		       memcmp(path, literal + 1, len) == 0;
	case RULE_TOKENS:
		return may_end_so(rule, path, len) && match_tokens(rule, path, len);
	}
	return false;
}

/* The verdict for a path whose parent's matches are in `matched`, which becomes the path's own. */
static bool judge(const struct ignore *ignore, const char *path, size_t len, bool *matched,
		  const struct rule **decided)
{
	bool excluded = false;

	*decided = NULL;
	for (size_t i = 0; i < ignore->n_rules; i++) {
		const struct rule *rule = &ignore->rules[i];

		if (!matched[i] && rule->include == excluded)
			matched[i] = rule_matches(rule, path, len);
		if (matched[i]) {
			excluded = !rule->include;
			*decided = rule;
		}
	}
	return excluded;
}

bool ignore_excludes(const struct ignore *ignore, const char *path, unsigned *ret_line)
{
	bool on_stack[RULES_ON_STACK] = { false };
	cleanup_free bool *on_heap = NULL;
	const struct rule *decided = NULL;
	bool *matched = on_stack;
	bool excluded = false;
	size_t len = strlen(path);

	if (ignore && ignore->n_rules > RULES_ON_STACK)
		matched = on_heap = xcalloc(ignore->n_rules, sizeof(*matched));
	for (size_t end = 0; ignore && end < len; end++) {
		const char *slash = memchr(path + end, '/', len - end);

		end = slash ? (size_t)(slash - path) : len;
		excluded = judge(ignore, path, end, matched, &decided);
	}
	if (ret_line)
		*ret_line = decided ? decided->line : 0;
	return excluded;
}

size_t ignore_count(const struct ignore *ignore)
{
	return ignore->n_rules;
}

bool ignore_step(const struct ignore *ignore, const char *path, bool *matched)
{
	const struct rule *decided;

	return judge(ignore, path, strlen(path), matched, &decided);
}

/* Bytes of the pattern before its first special character. */
static size_t literal_prefix(const struct rule *rule)
{
	return strcspn(rule->pattern, "*?[\\");
}

bool ignore_may_include_below(const struct ignore *ignore, const char *path)
{
	size_t len = strlen(path);

	if (!ignore || !ignore->has_include)
		return false;
	for (size_t i = 0; i < ignore->n_rules; i++) {
		const struct rule *rule = &ignore->rules[i];
		size_t literal = literal_prefix(rule);
		size_t common = literal < len ? literal : len;

		if (!rule->include || memcmp(rule->pattern, path, common) != 0)
			continue;
		if (literal <= len ? literal < rule->len : rule->pattern[len] == '/')
			return true;
	}
	return false;
}

bool ignore_has_exceptions(const struct ignore *ignore)
{
	return ignore && ignore->has_include;
}

const char *ignore_rule(const struct ignore *ignore, unsigned line)
{
	for (size_t i = 0; ignore && i < ignore->n_rules; i++)
		if (ignore->rules[i].line == line)
			return ignore->rules[i].text;
	return NULL;
}

const char *ignore_name(const struct ignore *ignore)
{
	return ignore->name;
}
