/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our own rules: what costs a cache or a layer, and what means something else elsewhere. They
 * speak only of what the text proves, and never guess at what a base image holds.
 */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dockerfile-parser/internal.h"

#define LOOK_MAX 500 /* instructions that a rule looks back or ahead */

/* --- ArgBeforeUnrelatedRun -------------------------------------------------------------------- */

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The name stands in the text as a word; a script may read it without a "$". */
static bool contains_name(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; (at = strstr(at, name)); at++)
		if ((at == text || !is_name_byte(at[-1])) && !is_name_byte(at[len]))
			return true;
	return false;
}

/*
 * A value of an ARG is part of the key of each RUN below it. It stands too high when the next
 * RUN does not mention it and a later instruction of the stage does.
 */
static void arg_too_early(struct lint *lint, const struct lint_check *check,
			  const struct lint_step *arg, const char *name)
{
	const struct lint_step *run = NULL;
	unsigned left = LOOK_MAX;

	for (const struct lint_step *step = arg + 1; step < &lint->steps[arg->stage->end] && left--;
	     step++) {
		bool used = contains_name(step->instruction->text, name);

		if (used && !run)
			return;
		if (used) {
			lint_warn(lint, check, arg,
				  "A new value of %s runs line %u again, which does not use it: "
				  "declare it just above line %u",
				  name, run->instruction->range.start.line,
				  step->instruction->range.start.line);
			return;
		}
		if (step->instruction->kind == INSTRUCTION_RUN && !run)
			run = step;
	}
}

static void arg_before_run(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL; (step = lint_next(lint, step, INSTRUCTION_ARG));)
		for (size_t i = 0; i < step->instruction->n_args; i += 3)
			arg_too_early(lint, check, step, step->instruction->args[i].text);
}

/* --- CopyBeforeDependencies ------------------------------------------------------------------- */

/* Commands that fetch what a file of the context lists. */
static bool fetches_dependencies(const struct shell_command *command)
{
	static const char *const forms[][2] = {
		{ "npm", "ci" },	 { "npm", "install" },	  { "yarn", "install" },
		{ "pnpm", "install" },	 { "pip", "install" },	  { "pip3", "install" },
		{ "poetry", "install" }, { "bundle", "install" }, { "composer", "install" },
		{ "go", "mod" },	 { "cargo", "fetch" },	  { "mvn", "dependency:resolve" },
		{ "dotnet", "restore" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (shell_is(command, forms[i][0]) && !strcmp(shell_verb(command), forms[i][1]))
			return true;
	return false;
}

static bool copies_everything(const struct lint_step *step)
{
	const struct instruction *copy = step->instruction;

	if ((copy->kind != INSTRUCTION_COPY && copy->kind != INSTRUCTION_ADD) ||
	    instruction_flag(copy, "from"))
		return false;
	for (size_t i = 0; i + 1 < copy->n_args; i++)
		if (!copy->args[i].heredoc &&
		    (!strcmp(step->words[i], ".") || !strcmp(step->words[i], "./") ||
		     !strcmp(step->words[i], "/")))
			return true;
	return false;
}

static void copy_before_dependencies(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];
		const struct lint_step *copy = NULL;

		for (size_t k = stage->first; k < stage->end && stage->walked; k++) {
			const struct lint_step *step = &lint->steps[k];

			if (!copy && copies_everything(step))
				copy = step;
			for (size_t c = 0; copy && c < step->n_commands; c++) {
				if (!fetches_dependencies(&step->commands[c]))
					continue;
				lint_warn(lint, check, copy,
					  "Any change of the context runs line %u again: copy the "
					  "list of dependencies first, the rest below it",
					  step->instruction->range.start.line);
				k = stage->end;
				break;
			}
		}
	}
}

/* --- DeletedInLaterLayer ---------------------------------------------------------------------- */

/* Where COPY or ADD puts a single file or tree, when the text says it; free() it, or NULL. */
static char *copy_target(const struct lint_step *step, size_t i)
{
	const struct instruction *copy = step->instruction;
	const char *to = step->words[copy->n_args - 1];
	const char *slash = strrchr(step->words[i], '/');
	const char *name = slash ? slash + 1 : step->words[i];

	if (*to != '/' || copy->args[i].heredoc || strpbrk(step->words[i], "*?[$"))
		return NULL;
	if (to[strlen(to) - 1] != '/')
		return xstrdup(to);
	return *name && strcmp(name, ".") ? xasprintf("%s%s", to, name) : NULL;
}

/* The step in the same stage, above `run`, that put the path there; NULL when none did. */
static const struct lint_step *made_by(const struct lint_step *run, const char *path)
{
	unsigned left = LOOK_MAX;

	for (const struct lint_step *step = run - 1; step > run->stage->from && left--; step--) {
		if (step->instruction->kind != INSTRUCTION_COPY &&
		    step->instruction->kind != INSTRUCTION_ADD)
			continue;
		for (size_t i = 0; i + 1 < step->instruction->n_args; i++) {
			cleanup_free char *target = copy_target(step, i);

			if (target && !strcmp(target, path))
				return step;
		}
	}
	return NULL;
}

static void deleted_later(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL; (step = lint_next(lint, step, INSTRUCTION_RUN));) {
		for (size_t c = 0; c < step->n_commands; c++) {
			const struct shell_command *command = &step->commands[c];

			for (size_t i = 1; shell_is(command, "rm") && i < command->n_words; i++) {
				const struct lint_step *made = made_by(step, command->words[i]);

				if (made)
					lint_warn(lint, check, step,
						  "%s stays in the layer of line %u: use RUN "
						  "--mount=type=bind instead of COPY and rm",
						  command->words[i],
						  made->instruction->range.start.line);
			}
		}
	}
}

/* --- MeansSomethingElse ----------------------------------------------------------------------- */

/* What a line becomes in buildah or kaniko when that is not what BuildKit and cbuild make of it;
 * NULL when it is the same. */
static const char *elsewhere(const struct lint_step *step)
{
	const struct instruction *instruction = step->instruction;
	const char *text = instruction->text;

	switch (instruction->kind) {
	case INSTRUCTION_RUN:
		if (instruction->n_heredocs)
			return "kaniko runs no heredoc: its body is lost and the step succeeds";
		return instruction_flag(instruction, "mount")
			       ? "kaniko ignores --mount: what was mounted is not there"
			       : NULL;
	case INSTRUCTION_COPY:
	case INSTRUCTION_ADD:
		if (instruction->n_heredocs)
			return "kaniko refuses heredocs";
		if (instruction_flag(instruction, "checksum"))
			return "kaniko does not check --checksum";
		break;
	case INSTRUCTION_CMD:
	case INSTRUCTION_ENTRYPOINT:
		return step->shell_set && !instruction->json
			       ? "buildah ignores SHELL here and uses /bin/sh -c"
			       : NULL;
	case INSTRUCTION_HEALTHCHECK:
		return "buildah drops HEALTHCHECK in its default format";
	case INSTRUCTION_MAINTAINER:
		return "kaniko skips MAINTAINER";
	case INSTRUCTION_VOLUME:
		return "kaniko loses what later steps write to a volume";
	default:
		break;
	}
	if (instruction->kind != INSTRUCTION_RUN && strstr(text, "${")) {
		if (strstr(text, ":?"))
			return "buildah expands ${name:?word} to the word instead of failing";
		if (strstr(text, "##") || strstr(text, "%%"))
			return "buildah's * in ${name##pattern} stops at /";
	}
	return NULL;
}

static void means_something_else(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_steps; i++) {
		const struct lint_step *step = &lint->steps[i];
		const char *what = step->stage && step->stage->walked ? elsewhere(step) : NULL;

		if (what)
			lint_warn(lint, check, step, "%s", what);
	}
}

/* --- CopySourceExcluded ----------------------------------------------------------------------- */

/* BuildKit's CopyIgnoredFile is silent when there are "!" rules; this one follows them. */
static void copy_source_excluded(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ADD, INSTRUCTION_COPY };
	const struct ignore *ignore = lint->inputs->ignore;
	unsigned line;

	if (!ignore_has_exceptions(ignore))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));) {
			const struct instruction *copy = step->instruction;

			for (size_t i = 0; i + 1 < copy->n_args; i++) {
				const char *source = step->words[i] + strspn(step->words[i], "/");
				cleanup_free char *clean = path_clean(source, strlen(source));

				if (copy->args[i].heredoc || instruction_flag(copy, "from") ||
				    lint_is_remote(source) || pattern_is_glob(clean) ||
				    !strcmp(clean, ".") || !ignore_excludes(ignore, clean, &line) ||
				    ignore_may_include_below(ignore, clean))
					continue;
				lint_warn(lint, check, step, "%s:%u `%s` excludes %s",
					  ignore_name(ignore), line, ignore_rule(ignore, line),
					  clean);
			}
		}
	}
}

/* --- ChmodOfParents, LinkWithChmod ------------------------------------------------------------ */

/* Directories that a base image has, as good as always. */
static bool is_usual_directory(const char *path, size_t len)
{
	static const char *const usual[] = {
		"",	      "/bin",		"/etc",		  "/home",     "/lib",
		"/opt",	      "/root",		"/run",		  "/sbin",     "/srv",
		"/tmp",	      "/usr",		"/var",		  "/usr/bin",  "/usr/lib",
		"/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/usr/local/sbin",
		"/usr/share", "/var/lib",
	};

	while (len && path[len - 1] == '/')
		len--;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (strlen(usual[i]) == len && !strncmp(usual[i], path, len))
			return true;
	return false;
}

/* Whether something above in the stage, or in those below it, made the directory or a member. */
static bool is_made_above(const struct lint *lint, const struct lint_step *step, const char *path,
			  size_t len)
{
	unsigned left = LOOK_MAX;

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (const struct lint_step *above = step - 1; above >= lint->steps && left--; above--)
		for (size_t i = 0; i < above->instruction->n_args; i++) {
			const char *at = strstr(above->words[i], "/");

			for (; at; at = strchr(at + 1, '/'))
				if (!strncmp(at, path, len))
					return true;
		}
	return false;
}

/* An octal mode goes to the directories that are made on the way, too. */
static void chmod_of_parents(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ADD, INSTRUCTION_COPY };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));) {
			const struct flag *chmod = instruction_flag(step->instruction, "chmod");
			const char *to = step->words[step->instruction->n_args - 1];
			const char *slash = strrchr(to, '/');
			char *end;

			if (!chmod || !*chmod->value || *to != '/' ||
			    strtoull(chmod->value, &end, 8) & 0111 || *end ||
			    is_usual_directory(to, (size_t)(slash - to)) ||
			    is_made_above(lint, step, to, (size_t)(slash - to)))
				continue;
			lint_warn(lint, check, step,
				  "--chmod=%s also goes to directories that are made for %s: "
				  "nobody but root could enter them",
				  chmod->value, to);
		}
	}
}

static void link_with_chmod(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ADD, INSTRUCTION_COPY };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (struct lint_step *step = NULL; (step = lint_next_alone(lint, step, kinds[k]));)
			if (instruction_flag_bool(step->instruction, "link") &&
			    instruction_flag(step->instruction, "chmod"))
				lint_warn(
					lint, check, step,
					"BuildKit ignores --link beside --chmod: the step depends "
					"on those above it");
}

#define RULE(name, severity, experimental, function, text)                                         \
	{                                                                                          \
		{ name, text, "", LINT_##severity }, LINT_CBUILD, experimental, function, NULL     \
	}

const struct lint_check lint_cbuild_checks[] = {
	RULE("ArgBeforeUnrelatedRun", INFO, false, arg_before_run,
	     "An ARG should stand below the RUN that does not use it"),
	RULE("CopyBeforeDependencies", INFO, false, copy_before_dependencies,
	     "Dependencies should be installed before the whole context is copied"),
	RULE("DeletedInLaterLayer", INFO, false, deleted_later,
	     "What a later layer deletes still takes its place in the image"),
	RULE("MeansSomethingElse", WARNING, true, means_something_else,
	     "The line means something else in buildah or kaniko"),
	RULE("CopySourceExcluded", WARNING, false, copy_source_excluded,
	     "A source of COPY or ADD is excluded by the ignore file"),
	RULE("ChmodOfParents", WARNING, false, chmod_of_parents,
	     "An octal --chmod without x makes parent directories that nobody can enter"),
	RULE("LinkWithChmod", WARNING, false, link_with_chmod,
	     "--link has no effect beside --chmod"),
	{ .function = NULL },
};
