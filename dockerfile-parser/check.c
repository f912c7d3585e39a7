/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each instruction demands of its arguments and flags, as far as it can be told before
 * expansion. The wording is BuildKit's where it has one, since people search for it.
 */
#include "dockerfile-parser/internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

/* What a check works on. */
struct check {
	const struct dockerfile *file;
	const struct instruction *instruction;
	struct err *err;
};

static const char *keyword_of(const struct check *check)
{
	return instruction_keyword(check->instruction->kind);
}

/* Just the keyword, for what is wrong with the whole. */
static struct range keyword_range(const struct check *check)
{
	struct range range = { check->instruction->range.start, check->instruction->range.start };

	range.end.column += (unsigned)strlen(check->instruction->keyword);
	return range;
}

#define fail(check, range, ...)                                                                    \
	dockerfile_error((check)->file, range, ERR_INVALID, (check)->err, __VA_ARGS__)

static int at_least_one(const struct check *check)
{
	if (check->instruction->n_args)
		return 0;
	return fail(check, keyword_range(check), "%s requires at least one argument",
		    keyword_of(check));
}

static int exactly_one(const struct check *check)
{
	if (check->instruction->n_args == 1)
		return 0;
	return fail(check, keyword_range(check), "%s requires exactly one argument",
		    keyword_of(check));
}

static bool has_variable(const char *text)
{
	const char *dollar = strchr(text, '$');

	return dollar && dollar[1];
}

static int check_from_flag(const struct check *check)
{
	const struct flag *from = instruction_flag(check->instruction, "from");

	if (!from || !has_variable(from->value))
		return 0;
	return fail(check, from->range,
		    "variable expansion is not supported for --from, define a new stage with FROM "
		    "using ARG from global scope as a workaround");
}

static int check_copy(const struct check *check)
{
	const struct instruction *instruction = check->instruction;
	const struct word *last;
	struct heredoc heredoc;
	struct err ignored;

	if (instruction->n_args < 2)
		return fail(check, keyword_range(check),
			    "%s requires at least two arguments, but only %s provided. Destination "
			    "could not be determined",
			    keyword_of(check), instruction->n_args ? "one was" : "none were");
	last = &instruction->args[instruction->n_args - 1];
	if (heredoc_parse(check->file->arena, last->text, &heredoc, &ignored) == 1)
		return fail(check, last->range, "%s cannot accept a heredoc as a destination",
			    keyword_of(check));
	return check_from_flag(check);
}

/* stage name: letter { letter | digit | "-" | "_" | "." } */
static bool is_stage_name(const char *name)
{
	if (!isascii(*name) || !isalpha((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isascii(*name) || (!isalnum((unsigned char)*name) && !strchr("-_.", *name)))
			return false;
	return true;
}

/* FROM image [ "AS" stage name ] */
static int check_from(const struct check *check)
{
	const struct instruction *instruction = check->instruction;
	const struct word *args = instruction->args;

	if (instruction->n_args == 1)
		return 0;
	if (instruction->n_args != 3 || strcasecmp(args[1].text, "as") != 0)
		return fail(check,
			    instruction->n_args ? instruction->args_range : keyword_range(check),
			    "FROM requires either one or three arguments");
	if (!is_stage_name(args[2].text))
		return fail(check, args[2].range,
			    "invalid name for build stage: \"%.64s\", name can't start with a "
			    "number or contain symbols",
			    args[2].text);
	return 0;
}

static int check_interval(const struct check *check, const char *name)
{
	const struct flag *flag = instruction_flag(check->instruction, name);
	struct err inner = ERR_INIT;
	int64_t ns;

	if (!flag || !*flag->value)
		return 0;
	if (duration_parse(flag->value, &ns, &inner) < 0)
		return fail(check, flag->range, "%s", inner.message);
	if (ns != 0 && ns < 1000000)
		return fail(check, flag->range, "Interval \"%s\" cannot be less than 1ms", name);
	return 0;
}

static int check_retries(const struct check *check)
{
	const struct flag *flag = instruction_flag(check->instruction, "retries");
	const char *digits;
	bool negative;

	if (!flag || !*flag->value)
		return 0;
	negative = *flag->value == '-';
	digits = flag->value + (negative || *flag->value == '+');
	if (!*digits || digits[strspn(digits, "0123456789")])
		return fail(check, flag->range, "--retries is not a number: %.64s", flag->value);
	digits += strspn(digits, "0");
	if (negative && *digits)
		return fail(check, flag->range, "--retries cannot be negative (%.64s)",
			    flag->value);
	if (strlen(digits) > 10 || strtoull(digits, NULL, 10) > INT32_MAX)
		return fail(check, flag->range, "--retries is out of range: %.64s", flag->value);
	return 0;
}

static int check_healthcheck_flags(const struct check *check)
{
	static const char *const intervals[] = { "interval", "timeout", "start-period",
						 "start-interval" };

	for (size_t i = 0; i < ARRAY_SIZE(intervals); i++)
		if (check_interval(check, intervals[i]) < 0)
			return -1;
	return check_retries(check);
}

/* HEALTHCHECK "NONE" | HEALTHCHECK { flag } "CMD" command */
static int check_healthcheck(const struct check *check)
{
	const struct instruction *instruction = check->instruction;
	const struct word *type = instruction->args;

	if (at_least_one(check) < 0)
		return -1;
	if (strcasecmp(type->text, "NONE") == 0) {
		if (instruction->n_args > 1)
			return fail(check, type[1].range, "HEALTHCHECK NONE takes no arguments");
		if (instruction->n_flags)
			return fail(check, instruction->flags[0].range,
				    "HEALTHCHECK NONE takes no flags");
		return 0;
	}
	if (strcasecmp(type->text, "CMD") != 0)
		return fail(check, type->range, "Unknown type \"%.64s\" in HEALTHCHECK (try CMD)",
			    type->text);
	if (instruction->n_args < 2)
		return fail(check, type->range, "Missing command after HEALTHCHECK CMD");
	return check_healthcheck_flags(check);
}

static int check_mount(const struct check *check, const struct flag *flag)
{
	struct err inner = ERR_INIT;
	struct flag_option *options;
	size_t n;

	if (flag_options_parse(check->file->arena, flag->value, &options, &n, &inner) < 0)
		return fail(check, flag->range, "failed to parse csv mounts: %s", inner.message);
	for (size_t i = 0; i < n; i++)
		if (strcmp(options[i].key, "from") == 0 && has_variable(options[i].value))
			return fail(check, flag->range,
				    "'from' doesn't support variable expansion, define alias stage "
				    "instead");
	return 0;
}

static int check_choice(const struct check *check, const char *name, const char *what,
			const char *const *choices, size_t n)
{
	const struct flag *flag = instruction_flag(check->instruction, name);
	const char *near;

	if (!flag)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(flag->value, choices[i]) == 0)
			return 0;
	near = suggest(flag->value, choices, n);
	if (near)
		return fail(check, flag->range, "%s \"%.64s\" is not valid (did you mean %s?)",
			    what, flag->value, near);
	return fail(check, flag->range, "%s \"%.64s\" is not valid", what, flag->value);
}

static int check_run(const struct check *check)
{
	static const char *const networks[] = { "default", "none", "host" };
	static const char *const securities[] = { "sandbox", "insecure" };
	const struct instruction *instruction = check->instruction;

	for (size_t i = 0; i < instruction->n_flags; i++)
		if (strcmp(instruction->flags[i].name, "mount") == 0 &&
		    check_mount(check, &instruction->flags[i]) < 0)
			return -1;
	if (check_choice(check, "network", "network mode", networks, ARRAY_SIZE(networks)) < 0)
		return -1;
	return check_choice(check, "security", "security", securities, ARRAY_SIZE(securities));
}

static int check_shell(const struct check *check)
{
	if (at_least_one(check) < 0)
		return -1;
	if (!check->instruction->json)
		return fail(check, check->instruction->args_range,
			    "SHELL requires the arguments to be in JSON form");
	return 0;
}

static int check_volume(const struct check *check)
{
	const struct instruction *instruction = check->instruction;

	for (size_t i = 0; i < instruction->n_args; i++) {
		const char *text = instruction->args[i].text;
		size_t len = strlen(text);

		if (blanks_skip(text, 0, len) == len)
			return fail(check, instruction->args[i].range,
				    "VOLUME specified can not be an empty string");
	}
	return at_least_one(check);
}

static int check_onbuild(const struct check *check)
{
	if (!check->instruction->trigger)
		return at_least_one(check);
	return instruction_check(check->file, check->instruction->trigger, check->err);
}

int instruction_check(const struct dockerfile *file, const struct instruction *instruction,
		      struct err *err)
{
	const struct check check = { file, instruction, err };

	switch (instruction->kind) {
	case INSTRUCTION_ADD:
	case INSTRUCTION_COPY:
		return check_copy(&check);
	case INSTRUCTION_ARG:
	case INSTRUCTION_ENV:
	case INSTRUCTION_EXPOSE:
	case INSTRUCTION_LABEL:
		return at_least_one(&check);
	case INSTRUCTION_FROM:
		return check_from(&check);
	case INSTRUCTION_HEALTHCHECK:
		return check_healthcheck(&check);
	case INSTRUCTION_ONBUILD:
		return check_onbuild(&check);
	case INSTRUCTION_RUN:
		return check_run(&check);
	case INSTRUCTION_SHELL:
		return check_shell(&check);
	case INSTRUCTION_VOLUME:
		return check_volume(&check);
	case INSTRUCTION_MAINTAINER:
	case INSTRUCTION_STOPSIGNAL:
	case INSTRUCTION_USER:
	case INSTRUCTION_WORKDIR:
		return exactly_one(&check);
	case INSTRUCTION_CMD:
	case INSTRUCTION_ENTRYPOINT:
		break;
	}
	return 0;
}
