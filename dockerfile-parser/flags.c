/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builder flags: the --name=value words between a keyword and its arguments. Their quoting is
 * their own: quotes vanish wherever they stand, a backslash makes any character plain, also in
 * both kinds of quotes and whatever the escape directive says, and nothing is expanded here.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define FLAGS_MAX 1000 /* of one instruction */
#define RULES_MAX 16

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Read one word with quotes and backslashes resolved. Returns where it ends. */
static size_t read_word(const char *text, size_t start, size_t end, struct buf *word)
{
	char quote = '\0';

	for (; start < end; start++) {
		char c = text[start];

		if (!quote && is_blank(c))
			break;
		if (c == quote) {
			quote = '\0';
		} else if (!quote && (c == '"' || c == '\'')) {
			quote = c;
		} else if (c == '\\') {
			if (start + 1 < end)
				buf_addch(word, text[++start]);
		} else {
			buf_addch(word, c);
		}
	}
	return start;
}

static const struct flag_rule *find_rule(const char *name, const struct flag_rule *rules,
					 size_t n_rules)
{
	for (size_t i = 0; i < n_rules; i++)
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	return NULL;
}

/* The near misses of other builders' or other instructions' flags are named by suggest(). */
static int unknown_flag(const struct dockerfile *file, const struct flag *flag,
			const struct flag_rule *rules, size_t n_rules, struct err *err)
{
	const char *names[RULES_MAX];
	const char *near;

	for (size_t i = 0; i < n_rules; i++)
		names[i] = rules[i].name;
	near = suggest(flag->name, names, n_rules);
	if (near)
		return dockerfile_error(file, flag->range, ERR_INVALID, err,
					"unknown flag: --%.64s (did you mean --%s?)", flag->name,
					near);
	return dockerfile_error(file, flag->range, ERR_INVALID, err, "unknown flag: --%.64s",
				flag->name);
}

static int check_flag(const struct dockerfile *file, const struct instruction *instruction,
		      const struct flag *flag, const struct flag_rule *rule, struct err *err)
{
	if (rule->type != FLAG_STRINGS && instruction_flag(instruction, flag->name))
		return dockerfile_error(file, flag->range, ERR_INVALID, err,
					"duplicate flag specified: --%s", flag->name);
	if (rule->type == FLAG_BOOL ? flag->has_value && !*flag->value : !flag->has_value)
		return dockerfile_error(file, flag->range, ERR_INVALID, err,
					"missing a value on flag: --%s", flag->name);
	if (rule->type == FLAG_BOOL && flag->has_value && strcasecmp(flag->value, "true") != 0 &&
	    strcasecmp(flag->value, "false") != 0)
		return dockerfile_error(file, flag->range, ERR_INVALID, err,
					"expecting boolean value for flag --%s, not: %.64s",
					flag->name, flag->value);
	return 0;
}

static void fill_flag(struct arena *arena, const char *word, struct flag *flag)
{
	const char *equals = strchr(word, '=');

	flag->has_value = equals != NULL;
	flag->name = equals ? arena_strndup(arena, word + 2, (size_t)(equals - word) - 2)
			    : arena_strdup(arena, word + 2);
	flag->value = equals ? arena_strdup(arena, equals + 1) : "";
}

static int add_flag(const struct dockerfile *file, const struct logical_line *line,
		    struct span span, const char *word, struct instruction *instruction,
		    size_t *cap, const struct flag_rule *rules, size_t n_rules, struct err *err)
{
	struct flag flag = { .range = line_range(line, span) };
	const struct flag_rule *rule;

	fill_flag(file->arena, word, &flag);
	rule = find_rule(flag.name, rules, n_rules);
	if (!rule)
		return unknown_flag(file, &flag, rules, n_rules, err);
	if (check_flag(file, instruction, &flag, rule, err) < 0)
		return -1;
	if (instruction->n_flags == FLAGS_MAX)
		return dockerfile_error(file, flag.range, ERR_LIMIT, err, "more than %d flags",
					FLAGS_MAX);
	instruction->flags = arena_grow(file->arena, instruction->flags, instruction->n_flags, cap,
					sizeof(*instruction->flags));
	instruction->flags[instruction->n_flags++] = flag;
	return 0;
}

/* flags: { "--" word blanks } [ "--" blanks ] */
int flags_parse(const struct dockerfile *file, const struct logical_line *line, struct span *rest,
		const struct flag_rule *rules, size_t n_rules, struct instruction *instruction,
		struct err *err)
{
	cleanup_buf struct buf word;
	size_t cap = 0;

	buf_init(&word, DOCKERFILE_MOST);
	for (;;) {
		struct span span = { blanks_skip(line->text, rest->start, rest->end), rest->end };

		rest->start = span.start;
		if (rest->end - rest->start < 2 || memcmp(line->text + span.start, "--", 2) != 0)
			return 0;
		buf_clear(&word);
		span.end = rest->start = read_word(line->text, span.start, rest->end, &word);
		if (strcmp(word.data, "--") == 0) {
			rest->start = blanks_skip(line->text, rest->start, rest->end);
			return 0;
		}
		if (add_flag(file, line, span, word.data, instruction, &cap, rules, n_rules, err) <
		    0)
			return -1;
	}
}

const struct flag *instruction_flag(const struct instruction *instruction, const char *name)
{
	for (size_t i = 0; i < instruction->n_flags; i++)
		if (strcmp(instruction->flags[i].name, name) == 0)
			return &instruction->flags[i];
	return NULL;
}

bool instruction_flag_bool(const struct instruction *instruction, const char *name)
{
	const struct flag *flag = instruction_flag(instruction, name);

	return flag && (!flag->has_value || strcasecmp(flag->value, "true") == 0);
}
