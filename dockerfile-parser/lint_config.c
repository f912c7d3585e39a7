/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rules speak. Three voices silence one: the "check" directive (or what the command line
 * puts in its place), "# check=skip=..." or "# hadolint ignore=..." right above an instruction,
 * and "# hadolint global ignore=..." anywhere. An experimental rule is silent unless it is asked
 * for; to name it under "skip" silences it even then.
 */
#include "dockerfile-parser/lint_internal.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"

#define PARTS_MAX 3 /* BuildKit splits no further: the third keeps its semicolons */

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* A part of text between blanks. free() it. */
static char *trimmed(const char *text, size_t len)
{
	while (len && strchr(" \t", *text)) {
		text++;
		len--;
	}
	while (len && strchr(" \t", text[len - 1]))
		len--;
	return xstrndup(text, len);
}

static void add_names(const char *list, struct strv *names)
{
	for (;;) {
		size_t len = strcspn(list, ",");
		cleanup_free char *name = trimmed(list, len);

		if (*name)
			strv_add(names, name);
		if (!list[len])
			return;
		list += len + 1;
	}
}

/* What Go's strconv.ParseBool takes. */
static int parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(text, yes[i]) && strcmp(text, no[i]))
			continue;
		*ret = !strcmp(text, yes[i]);
		return 0;
	}
	return -1;
}

static int parse_part(const char *part, struct lint_config *config, struct err *err)
{
	const char *equals = strchr(part, '=');
	cleanup_free char *key = NULL, *value = NULL;

	if (!equals)
		return err_set(err, ERR_INVALID,
			       "failed to parse check options: invalid check option \"%.256s\"",
			       part);
	key = trimmed(part, (size_t)(equals - part));
	value = trimmed(equals + 1, strlen(equals + 1));
	if (!strcmp(key, "skip")) {
		config->skip_all |= !strcmp(value, "all");
		add_names(value, &config->skip);
	} else if (!strcmp(key, "experimental")) {
		config->experimental_all |= !strcmp(value, "all");
		add_names(value, &config->experimental);
	} else if (strcmp(key, "error")) {
		return err_set(err, ERR_INVALID,
			       "failed to parse check options: invalid check option \"%.256s\"",
			       key);
	} else if (parse_bool(value, &config->fail) < 0) {
		return err_set(err, ERR_INVALID,
			       "failed to parse check option \"%.256s\": expected true or false",
			       part);
	}
	return 0;
}

int lint_config_parse(const char *text, struct lint_config *ret_config, struct err *err)
{
	struct lint_config config = { 0 };
	const char *rest = skip_blanks(text);

	for (unsigned n = 1; *rest; n++) {
		size_t len = n < PARTS_MAX ? strcspn(rest, ";") : strlen(rest);
		cleanup_free char *part = trimmed(rest, len);

		if (parse_part(part, &config, err) < 0) {
			lint_config_release(&config);
			return -1;
		}
		rest += len + !!rest[len];
	}
	*ret_config = config;
	return 0;
}

void lint_config_release(struct lint_config *config)
{
	strv_release(&config->skip);
	strv_release(&config->experimental);
}

static bool names(const struct strv *list, const char *rule)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i], rule))
			return true;
	return false;
}

bool lint_config_silences(const struct lint_config *config, const char *rule, bool experimental)
{
	if (names(&config->skip, rule))
		return true;
	if (experimental)
		return !config->experimental_all && !names(&config->experimental, rule);
	return config->skip_all;
}

/* What follows "key = " in a comment, or NULL when it does not begin so. */
static const char *after_key(const char *comment, const char *key)
{
	size_t len = strlen(key);

	if (strncasecmp(comment, key, len) != 0)
		return NULL;
	comment = skip_blanks(comment + len);
	return *comment == '=' ? skip_blanks(comment + 1) : NULL;
}

/* A wrong "check=" comment silences nothing, as in BuildKit. */
static bool check_comment_silences(const char *comment, const char *rule)
{
	cleanup_free char *options = xstrndup(comment, strcspn(comment, " \t"));
	struct lint_config config;
	struct err ignored = ERR_INIT;
	bool silences;

	if (lint_config_parse(options, &config, &ignored) < 0)
		return false;
	silences = config.skip_all || names(&config.skip, rule);
	lint_config_release(&config);
	return silences;
}

static bool ignore_comment_silences(const char *list, const char *rule)
{
	cleanup_strv struct strv rules = STRV_INIT;

	add_names(list, &rules);
	return names(&rules, rule);
}

bool lint_comments_silence(const struct instruction *instruction, const char *rule)
{
	for (size_t i = 0; i < instruction->n_comments; i++) {
		const char *comment = instruction->comments[i];
		const char *check = after_key(comment, "check");
		const char *ignore = strncasecmp(comment, "hadolint", 8)
					     ? NULL
					     : after_key(skip_blanks(comment + 8), "ignore");

		if (check && check_comment_silences(check, rule))
			return true;
		if (ignore && ignore_comment_silences(ignore, rule))
			return true;
	}
	return false;
}

void lint_global_ignores(const struct dockerfile *dockerfile, struct strv *ret_rules)
{
	for (size_t i = 0; i < dockerfile->n_lines; i++) {
		const char *line = skip_blanks(dockerfile->lines[i]);
		const char *list;

		if (*line != '#')
			continue;
		line = skip_blanks(line + 1);
		if (strncasecmp(line, "hadolint", 8) != 0)
			continue;
		line = skip_blanks(line + 8);
		if (strncasecmp(line, "global", 6) != 0)
			continue;
		list = after_key(skip_blanks(line + 6), "ignore");
		if (list)
			add_names(list, ret_rules);
	}
}
