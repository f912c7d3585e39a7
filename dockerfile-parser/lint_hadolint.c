/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hadolint's rules of single instructions. */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WIKI "https://github.com/hadolint/hadolint/wiki/"

/* FROM of an image with a name that is known: no stage, not scratch, not below a variable. */
static bool is_image(const struct lint_stage *stage)
{
	return !stage->parent && *stage->from->words[0] &&
	       strcmp(stage->from->words[0], "scratch") != 0;
}

/* ":tag" of the name, or NULL. */
static const char *find_tag(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strchr(slash ? slash : name, ':');
}

static void tag_missing(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;

		if (is_image(&lint->stages[i]) && !strchr(from->words[0], '@') &&
		    !find_tag(from->words[0]))
			lint_warn(lint, check, from, "Tag the version of the image %s",
				  from->words[0]);
	}
}

static void tag_latest(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;
		const char *tag = find_tag(from->words[0]);

		if (is_image(&lint->stages[i]) && tag && !strcmp(tag, ":latest"))
			lint_warn(lint, check, from, "Use a release of %s: what latest is changes",
				  from->words[0]);
	}
}

/* The host in a name, "docker.io" when there is none. free() it. */
static char *registry_of(const char *name)
{
	size_t len = strcspn(name, "/");

	if (!name[len] || (!memchr(name, '.', len) && !memchr(name, ':', len) &&
			   strncmp(name, "localhost/", 10) != 0))
		return xstrdup("docker.io");
	return xstrndup(name, len);
}

static void registry_allowed(struct lint *lint, const struct lint_check *check)
{
	const struct strv *allowed = lint->inputs->registries;

	if (!allowed || !allowed->n)
		return;
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_step *from = lint->stages[i].from;
		cleanup_free char *registry = registry_of(from->words[0]);
		bool found = !is_image(&lint->stages[i]);

		for (size_t k = 0; k < allowed->n; k++)
			found |= !strcmp(allowed->v[k], registry);
		if (!found)
			lint_warn(lint, check, from, "%s is not one of the registries allowed",
				  registry);
	}
}

/* The first command of that program in a step, or NULL. */
static const struct shell_command *find_command(const struct lint_step *step, const char *program)
{
	for (size_t i = 0; i < step->n_commands; i++)
		if (shell_is(&step->commands[i], program))
			return &step->commands[i];
	return NULL;
}

static void uses_cd(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL; (step = lint_next_alone(lint, step, INSTRUCTION_RUN));)
		if (find_command(step, "cd"))
			lint_warn(lint, check, step, "Use WORKDIR to switch to a directory");
}

static void uses_sudo(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL; (step = lint_next_alone(lint, step, INSTRUCTION_RUN));)
		if (find_command(step, "sudo"))
			lint_warn(lint, check, step,
				  "Do not use sudo: it hides signals and the terminal; use USER");
}

static bool is_archive(const char *path)
{
	static const char *const ends[] = {
		".tar",	    ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
		".tar.zst", ".tzst",   ".gz",  ".bz2",	   ".xz",   ".zst",    ".lzma",
	};
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (len > strlen(ends[i]) && !strcmp(path + len - strlen(ends[i]), ends[i]))
			return true;
	return false;
}

static void add_for_copy(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_ADD));) {
		const struct instruction *add = step->instruction;
		bool needed = instruction_flag(add, "unpack") != NULL;

		for (size_t i = 0; i + 1 < add->n_args; i++)
			needed |= lint_is_remote(step->words[i]) || is_archive(step->words[i]) ||
				  strchr(step->words[i], '$') || strpbrk(step->words[i], "*?[");
		if (!needed)
			lint_warn(lint, check, step, "Use COPY instead of ADD for files");
	}
}

static void copy_to_directory(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_COPY));) {
		size_t n = step->instruction->n_args;
		const char *to = step->words[n - 1];

		if (n > 2 && to[0] && to[strlen(to) - 1] != '/' && strcmp(to, ".") &&
		    strcmp(to, ".."))
			lint_warn(lint, check, step,
				  "COPY of several sources needs a destination that ends with /");
	}
}

static void copy_from_unknown(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL; (step = lint_next(lint, step, INSTRUCTION_COPY));) {
		const struct flag *from = instruction_flag(step->instruction, "from");

		if (from && !strpbrk(from->value, ":/@") &&
		    !lint_find_stage(lint, from->value, step->stage->index) &&
		    !lint_find_stage(lint, from->value, step->stage->index + 1))
			lint_warn(lint, check, step,
				  "COPY --from=%s: no stage above has that name or number",
				  from->value);
	}
}

static void copy_from_itself(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL; (step = lint_next(lint, step, INSTRUCTION_COPY));) {
		const struct flag *from = instruction_flag(step->instruction, "from");

		if (from && !lint_find_stage(lint, from->value, step->stage->index) &&
		    lint_find_stage(lint, from->value, step->stage->index + 1) == step->stage)
			lint_warn(lint, check, step,
				  "COPY --from=%s: a stage cannot copy from "
				  "itself",
				  from->value);
	}
}

static void shell_form(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_CMD, INSTRUCTION_ENTRYPOINT };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (struct lint_step *step = NULL; (step = lint_next_alone(lint, step, kinds[k]));)
			if (!step->instruction->json)
				lint_warn(lint, check, step, "Use the JSON form of %s",
					  step->instruction->keyword);
}

/* $name or ${name, as a whole name. */
static bool mentions(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (; (text = strchr(text, '$')); text++) {
		const char *at = text + 1 + (text[1] == '{');

		if (!strncmp(at, name, len) && !isalnum((unsigned char)at[len]) && at[len] != '_')
			return true;
	}
	return false;
}

static void env_of_itself(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_ENV));) {
		const struct instruction *env = step->instruction;

		for (size_t i = 0; i + 2 < env->n_args; i += 3)
			for (size_t k = 0; k + 2 < env->n_args && i + 2 < env->n_args; k += 3) {
				if (i == k || !mentions(env->args[k + 1].text, env->args[i].text))
					continue;
				lint_warn(lint, check, step,
					  "$%s is not yet set on the line that sets it",
					  env->args[i].text);
				i = env->n_args;
			}
	}
}

static void high_uid(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_RUN));) {
		const struct shell_command *add = find_command(step, "useradd");

		if (!add || shell_has_letter(add, 'l') || shell_has(add, "--no-log-init"))
			continue;
		for (size_t i = 1; i < add->n_words; i++) {
			const char *uid = !strncmp(add->words[i], "--uid=", 6) ? add->words[i] + 6
					  : !strcmp(add->words[i - 1], "-u") ||
							  !strcmp(add->words[i - 1], "--uid")
						  ? add->words[i]
						  : "";

			if (strspn(uid, "0123456789") > 5)
				lint_warn(lint, check, step,
					  "Use useradd -l: with uid %s the login records become "
					  "huge",
					  uid);
		}
	}
}

static void pipefail(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_RUN));) {
		bool piped = false, set = step->pipefail || step->instruction->json;

		for (size_t i = 0; i < step->n_commands; i++) {
			const struct shell_command *command = &step->commands[i];

			piped |= command->piped && !set;
			for (size_t k = 1; k < command->n_words; k++)
				set |= shell_is(command, "set") &&
				       !strcmp(command->words[k], "pipefail");
		}
		if (piped)
			lint_warn(lint, check, step,
				  "Set pipefail before a pipe: SHELL [\"/bin/bash\", \"-o\", "
				  "\"pipefail\", \"-c\"], or set -o pipefail");
	}
}

static void user_by_name(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_USER));) {
		const char *user = step->words[0];
		size_t len = strcspn(user, ":");

		if (strspn(user, "0123456789") != len && !strchr(user, '$'))
			lint_warn(lint, check, step,
				  "Use a number in USER: whether %.*s is root cannot be known from "
				  "outside",
				  (int)len, user);
	}
}

static void secrets(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ARG, INSTRUCTION_ENV };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (struct lint_step *step = NULL; (step = lint_next_alone(lint, step, kinds[k]));)
			for (size_t i = 0; i < step->instruction->n_args; i += 3)
				if (lint_is_secret(step->words[i]))
					lint_warn(lint, check, step,
						  "%s ends up in the image: use RUN "
						  "--mount=type=secret",
						  step->words[i]);
}

static void whole_file_system(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_COPY));) {
		if (!instruction_flag(step->instruction, "from"))
			continue;
		for (size_t i = 0; i + 1 < step->instruction->n_args; i++)
			if (!strcmp(step->words[i], "/") || !strcmp(step->words[i], "/*"))
				lint_warn(lint, check, step,
					  "Copy what is needed, not a whole file system");
	}
}

#define RULE(name, severity, function, text)                                                       \
	{                                                                                          \
		{ name, text, WIKI name, LINT_##severity }, LINT_HADOLINT, false, function, NULL   \
	}

const struct lint_check lint_hadolint_checks[] = {
	RULE("DL3003", WARNING, uses_cd, "WORKDIR should be used to change directories"),
	RULE("DL3004", ERROR, uses_sudo, "sudo should not be used"),
	RULE("DL3006", WARNING, tag_missing, "Images should have a tag"),
	RULE("DL3007", WARNING, tag_latest, "Images should not have the tag latest"),
	RULE("DL3020", ERROR, add_for_copy, "COPY should be used for files"),
	RULE("DL3021", ERROR, copy_to_directory, "COPY of several sources should end with /"),
	RULE("DL3022", WARNING, copy_from_unknown, "COPY --from should name a stage above"),
	RULE("DL3023", ERROR, copy_from_itself, "COPY --from cannot name its own stage"),
	RULE("DL3025", WARNING, shell_form, "CMD and ENTRYPOINT should have the JSON form"),
	RULE("DL3026", ERROR, registry_allowed, "Images should come from the registries allowed"),
	RULE("DL3044", ERROR, env_of_itself, "ENV should not use what it sets on the same line"),
	RULE("DL3046", WARNING, high_uid, "useradd with a high uid should have -l"),
	RULE("DL3064", WARNING, secrets, "Sensitive data should not be in ARG or ENV"),
	RULE("DL3066", WARNING, user_by_name, "USER should be a number"),
	RULE("DL3067", WARNING, whole_file_system, "Whole file systems should not be copied"),
	RULE("DL4006", WARNING, pipefail, "pipefail should be set before a pipe"),
	{ .function = NULL },
};
