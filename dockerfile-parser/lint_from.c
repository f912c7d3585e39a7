/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BuildKit's checks of FROM, of stages' names and of their platforms. */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

#define DOCS "https://docs.docker.com/go/dockerfile/rule/"

static bool is_lower(const char *text)
{
	for (; *text; text++)
		if (isupper((unsigned char)*text))
			return false;
	return true;
}

static bool is_upper(const char *text)
{
	for (; *text; text++)
		if (islower((unsigned char)*text))
			return false;
	return true;
}

static void stage_name_casing(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];

		if (stage->name && !is_lower(stage->from->words[2]))
			lint_warn(lint, check, stage->from, "Stage name '%s' should be lowercase",
				  stage->from->words[2]);
	}
}

static void from_as_casing(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;
		const char *keyword = from->instruction->keyword;

		if (!lint->stages[i].name)
			continue;
		if ((is_lower(keyword) && !is_lower(from->words[1])) ||
		    (is_upper(keyword) && !is_upper(from->words[1])))
			lint_warn(lint, check, from, "'%s' and '%s' keywords' casing do not match",
				  from->words[1], keyword);
	}
}

static void duplicate_stage_name(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];

		if (!stage->name)
			continue;
		for (size_t k = 0; k < i; k++) {
			if (!lint->stages[k].name || strcmp(lint->stages[k].name, stage->name))
				continue;
			lint_warn(lint, check, stage->from,
				  "Duplicate stage name %s, stage names should be unique",
				  lint_quote(lint, stage->name));
			break;
		}
	}
}

static void reserved_stage_name(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];

		if (stage->name &&
		    (!strcmp(stage->name, "scratch") || !strcmp(stage->name, "context")))
			lint_warn(lint, check, stage->from,
				  "Stage name should not use the same name as reserved stage %s",
				  lint_quote(lint, stage->name));
	}
}

static const char *nearest_global(struct lint *lint, const char *name)
{
	cleanup_strv struct strv names = STRV_INIT;
	const char *near;

	strv_extend(&names, &lint->global_names);
	for (size_t i = 0; i < lint->globals.n; i++)
		strv_addn(&names, lint->globals.v[i], strcspn(lint->globals.v[i], "="));
	near = suggest(name, (const char *const *)names.v, names.n);
	return near ? arena_strdup(lint->arena, near) : NULL;
}

static bool is_global(const struct lint *lint, const char *name)
{
	for (size_t i = 0; i < lint->global_names.n; i++)
		if (!strcmp(lint->global_names.v[i], name))
			return true;
	return false;
}

static void report_missing(struct lint *lint, const struct lint_check *check,
			   const struct lint_step *from, const char *word)
{
	struct lint_expansion expansion;

	lint_expand_global(lint, &lint->globals, word, &expansion);
	for (size_t i = 0; i < expansion.missing.n; i++) {
		const char *name = expansion.missing.v[i], *near;

		if (is_global(lint, name))
			continue;
		near = nearest_global(lint, name);
		lint_warn(lint, check, from, "FROM argument '%s' is not declared%s%s%s", name,
			  near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
	}
	lint_expansion_release(&expansion);
}

static void undefined_arg_in_from(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;
		const struct flag *flag = instruction_flag(from->instruction, "platform");

		report_missing(lint, check, from, from->instruction->args[0].text);
		if (flag)
			report_missing(lint, check, from, flag->value);
	}
}

static void invalid_default_arg_in_from(struct lint *lint, const struct lint_check *check)
{
	bool (*is_name)(const char *) = lint->inputs->is_image_name;

	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;
		const char *word = from->instruction->args[0].text;
		struct lint_expansion expansion;

		lint_expand_global(lint, &lint->defaults, word, &expansion);
		if (expansion.text && (!*expansion.text || (is_name && !is_name(expansion.text))))
			lint_warn(lint, check, from,
				  "Default value for ARG %s results in empty or invalid base image "
				  "name",
				  word);
		lint_expansion_release(&expansion);
	}
}

static void redundant_target_platform(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;
		const struct flag *flag = instruction_flag(from->instruction, "platform");
		struct lint_expansion expansion;
		const char *target;

		if (!flag)
			continue;
		lint_expand_global(lint, &lint->globals, flag->value, &expansion);
		target = env_get(&lint->globals, "TARGETPLATFORM");
		if (expansion.text && target && expansion.found.n == 1 && !expansion.missing.n &&
		    !strcmp(expansion.found.v[0], "TARGETPLATFORM") &&
		    !strcmp(expansion.text, target))
			lint_warn(lint, check, from,
				  "Setting platform to predefined %s in FROM is redundant as this "
				  "is the default behavior",
				  flag->value);
		lint_expansion_release(&expansion);
	}
}

/* The parts of "linux/arm64", "arm64" or "linux"; other names of an architecture are made one. */
struct platform_parts {
	char os[32], architecture[32];
};

static void part(const char *text, size_t len, char *out, size_t size)
{
	static const char *const aliases[][2] = {
		{ "x86_64", "amd64" }, { "x86-64", "amd64" }, { "aarch64", "arm64" },
		{ "i386", "386" },     { "armhf", "arm" },    { "armel", "arm" },
	};

	if (len >= size)
		len = size - 1;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[len] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(out, aliases[i][0]))
			memcpy(out, aliases[i][1], strlen(aliases[i][1]) + 1);
}

static bool is_system(const char *word)
{
	static const char *const systems[] = { "linux", "windows", "darwin", "freebsd", "wasip1" };

	for (size_t i = 0; i < ARRAY_SIZE(systems); i++)
		if (!strcmp(word, systems[i]))
			return true;
	return false;
}

static void split_platform(const struct lint *lint, const char *text, struct platform_parts *ret)
{
	size_t len = strcspn(text, "/");
	const char *host = env_get(&lint->globals, "BUILDARCH");

	part(text, len, ret->os, sizeof(ret->os));
	if (text[len]) {
		part(text + len + 1, strcspn(text + len + 1, "/"), ret->architecture,
		     sizeof(ret->architecture));
	} else if (is_system(ret->os)) {
		part(host ? host : "", host ? strlen(host) : 0, ret->architecture,
		     sizeof(ret->architecture));
	} else {
		part(text, len, ret->architecture, sizeof(ret->architecture));
		part("linux", 5, ret->os, sizeof(ret->os));
	}
}

static void from_platform_const(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];
		const struct flag *flag = instruction_flag(stage->from->instruction, "platform");
		const char *name = stage->name ? stage->name : "";
		struct lint_expansion expansion;
		struct platform_parts parts;

		if (!flag)
			continue;
		lint_expand_global(lint, &lint->globals, flag->value, &expansion);
		if (expansion.text && *expansion.text && !expansion.found.n &&
		    !expansion.missing.n) {
			split_platform(lint, expansion.text, &parts);
			if (!strstr(name, parts.os) && !strstr(name, parts.architecture))
				lint_warn(lint, check, stage->from,
					  "FROM --platform flag should not use constant value %s",
					  lint_quote(lint, expansion.text));
		}
		lint_expansion_release(&expansion);
	}
}

static void invalid_base_platform(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];
		struct platform_parts want, have;

		if (!stage->walked || !stage->has_image || !stage->image.platform ||
		    !*stage->platform)
			continue;
		split_platform(lint, stage->platform, &want);
		split_platform(lint, stage->image.platform, &have);
		if (strcmp(want.os, have.os) || strcmp(want.architecture, have.architecture))
			lint_warn(lint, check, stage->from,
				  "Base image %s was pulled with platform %s, expected %s for "
				  "current build",
				  stage->from->words[0], lint_quote(lint, stage->image.platform),
				  lint_quote(lint, stage->platform));
	}
}

/* The last comment above, when it is a description and not for a machine. */
static const char *description(const struct instruction *instruction)
{
	const char *last =
		instruction->n_comments ? instruction->comments[instruction->n_comments - 1] : "";

	return strncmp(last, "check=", 6) && strncmp(last, "hadolint ", 9) ? last : "";
}

static bool begins_with(const char *comment, const char *name)
{
	size_t len = strcspn(comment, " ");

	return strlen(name) == len && !strncmp(comment, name, len);
}

static void describe_args(struct lint *lint, const struct lint_check *check,
			  const struct lint_step *step)
{
	const struct instruction *arg = step->instruction;
	const char *comment = description(arg);

	for (size_t i = 0; i < arg->n_args; i += 3)
		if (!*comment || begins_with(comment, arg->args[i].text))
			return;
	lint_warn(lint, check, step,
		  "Comment for ARG should follow the format: `# %s <description>`",
		  arg->n_args > 3 ? "<arg_key>" : arg->args[0].text);
}

static void invalid_description(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_steps; i++) {
		const struct lint_step *step = &lint->steps[i];
		const char *comment = description(step->instruction);

		if (step->instruction->kind == INSTRUCTION_ARG)
			describe_args(lint, check, step);
		else if (step->instruction->kind == INSTRUCTION_FROM && step->stage->name &&
			 *comment && !begins_with(comment, step->stage->name))
			lint_warn(lint, check, step,
				  "Comment for FROM should follow the format: `# %s <description>`",
				  step->stage->name);
	}
}

#define RULE(name, page, function, text)                                                           \
	{                                                                                          \
		{ name, text, page, LINT_WARNING }, LINT_BUILDKIT, false, function, NULL           \
	}

const struct lint_check lint_from_checks[] = {
	RULE("StageNameCasing", DOCS "stage-name-casing/", stage_name_casing,
	     "Stage names should be lowercase"),
	RULE("FromAsCasing", DOCS "from-as-casing/", from_as_casing,
	     "The 'as' keyword should match the case of the 'from' keyword"),
	RULE("DuplicateStageName", DOCS "duplicate-stage-name/", duplicate_stage_name,
	     "Stage names should be unique"),
	RULE("ReservedStageName", DOCS "reserved-stage-name/", reserved_stage_name,
	     "Reserved words should not be used as stage names"),
	RULE("UndefinedArgInFrom", DOCS "undefined-arg-in-from/", undefined_arg_in_from,
	     "FROM command must use declared ARGs"),
	RULE("InvalidDefaultArgInFrom", DOCS "invalid-default-arg-in-from/",
	     invalid_default_arg_in_from,
	     "Default value for global ARG results in an empty or invalid base image name"),
	RULE("RedundantTargetPlatform", DOCS "redundant-target-platform/",
	     redundant_target_platform,
	     "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
	     "default behavior"),
	RULE("FromPlatformFlagConstDisallowed", DOCS "from-platform-flag-const-disallowed/",
	     from_platform_const, "FROM --platform flag should not use a constant value"),
	RULE("InvalidBaseImagePlatform", "", invalid_base_platform,
	     "Base image platform does not match expected target platform"),
	{ { "InvalidDefinitionDescription",
	    "Comment for build stage or argument should follow the format: `# <arg/stage name> "
	    "<description>`. If this is not intended to be a description comment, add an empty "
	    "line or comment between the instruction and the comment.",
	    DOCS "invalid-definition-description/", LINT_WARNING },
	  LINT_BUILDKIT,
	  true,
	  invalid_description,
	  NULL },
	{ .function = NULL },
};
