/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hadolint's rules that look at several instructions of a stage. */
#include "dockerfile-parser/lint_internal.h"

#include <string.h>

#include "base/mem.h"

#define WIKI "https://github.com/hadolint/hadolint/wiki/"

/* Of the last stage: the others are not shipped. */
static void last_user_root(struct lint *lint, const struct lint_check *check)
{
	const struct lint_stage *last = &lint->stages[lint->n_stages - 1];
	const struct lint_step *user = NULL;

	for (size_t i = last->first; i < last->end; i++)
		if (lint->steps[i].instruction->kind == INSTRUCTION_USER)
			user = &lint->steps[i];
	if (!user || !last->walked)
		return;
	if (!strncmp(user->words[0], "root", strcspn(user->words[0], ":")) ||
	    !strncmp(user->words[0], "0", strcspn(user->words[0], ":")))
		lint_warn(lint, check, user, "The last USER should not be root");
}

/* "C:" and a variable count as absolute: nobody knows. */
static bool is_relative(const char *path)
{
	return *path && !strchr("/$\\", *path) && path[1] != ':';
}

static void copy_without_workdir(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];
		bool set = stage->parent && stage->parent->workdir_set;

		for (size_t k = stage->first; k < stage->end; k++) {
			const struct lint_step *step = &lint->steps[k];

			set |= step->instruction->kind == INSTRUCTION_WORKDIR;
			if (set || !stage->walked || step->instruction->kind != INSTRUCTION_COPY)
				continue;
			if (is_relative(step->words[step->instruction->n_args - 1]))
				lint_warn(lint, check, step,
					  "COPY to a relative path without a WORKDIR above");
		}
	}
}

/* With the same flags they could be one; a heredoc is many commands already. */
static bool could_be_one(const struct instruction *a, const struct instruction *b)
{
	if (a->n_flags != b->n_flags || a->n_heredocs || b->n_heredocs || a->json || b->json)
		return false;
	for (size_t i = 0; i < a->n_flags; i++)
		if (strcmp(a->flags[i].name, b->flags[i].name) ||
		    strcmp(a->flags[i].value, b->flags[i].value))
			return false;
	return true;
}

static void consecutive_runs(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 1; i < lint->n_steps; i++) {
		const struct lint_step *step = &lint->steps[i], *before = &lint->steps[i - 1];

		if (step->instruction->kind == INSTRUCTION_RUN && step->stage->walked &&
		    before->instruction->kind == INSTRUCTION_RUN &&
		    could_be_one(step->instruction, before->instruction))
			lint_warn(lint, check, step, "Several RUN in a row: consider one");
	}
}

static bool runs(const struct lint_step *step, const char *program)
{
	for (size_t i = 0; i < step->n_commands; i++)
		if (shell_is(&step->commands[i], program))
			return true;
	return false;
}

/* At the first of the program that comes second. */
static void wget_and_curl(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];
		bool wget = false, curl = false;

		for (size_t k = stage->first; k < stage->end && !(wget && curl); k++) {
			wget |= runs(&lint->steps[k], "wget");
			curl |= runs(&lint->steps[k], "curl");
			if (wget && curl && stage->walked)
				lint_warn(lint, check, &lint->steps[k],
					  "Use either wget or curl, not both");
		}
	}
}

#define RULE(name, severity, function, text)                                                       \
	{                                                                                          \
		{ name, text, WIKI name, LINT_##severity }, LINT_HADOLINT, false, function, NULL   \
	}

const struct lint_check lint_stage_checks[] = {
	RULE("DL3002", WARNING, last_user_root, "The last USER should not be root"),
	RULE("DL3045", WARNING, copy_without_workdir, "COPY to a relative path needs a WORKDIR"),
	RULE("DL3059", INFO, consecutive_runs, "Several RUN in a row should be one"),
	RULE("DL4001", WARNING, wget_and_curl, "wget and curl should not both be used"),
	{ .function = NULL },
};
