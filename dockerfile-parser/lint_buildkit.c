/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BuildKit's checks of everything after FROM. */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "dockerfile-parser/internal.h"

#define DOCS "https://docs.docker.com/go/dockerfile/rule/"

static bool is_blank(const char *line)
{
	return !line[strspn(line, " \t\v\f\r")];
}

/* The last physical line that an instruction takes, its heredocs aside: one whose last line asks
 * for more at the end of the file takes the empty lines there. */
static unsigned last_line(const struct dockerfile *dockerfile,
			  const struct instruction *instruction)
{
	unsigned last = instruction->line_range.end.line;
	const char *text = dockerfile->lines[last - 1];
	size_t len = strlen(text);

	while (len && strchr(" \t", text[len - 1]))
		len--;
	if (!len || text[len - 1] != dockerfile->directives.escape)
		return last;
	while (last < dockerfile->n_lines && is_blank(dockerfile->lines[last]))
		last++;
	return last;
}

/* An empty line between the lines of an instruction; one warning each, at its last line. */
static void no_empty_continuation(struct lint *lint, const struct lint_check *check)
{
	const struct dockerfile *dockerfile = lint->dockerfile;

	for (size_t i = 0; i < lint->n_steps; i++) {
		const struct instruction *instruction = lint->steps[i].instruction;
		unsigned last = last_line(dockerfile, instruction);
		struct range lines = { { last, 1 }, { last, 1 } };
		bool empty = false;

		for (unsigned line = instruction->line_range.start.line + 1; line <= last; line++)
			empty |= is_blank(dockerfile->lines[line - 1]);
		lines.end.column += (unsigned)strlen(dockerfile->lines[last - 1]);
		if (empty)
			lint_warn_at(lint, check, &lint->steps[i], lines,
				     "Empty continuation line");
	}
}

static bool has_case(const char *keyword, bool upper)
{
	for (; *keyword; keyword++)
		if (upper ? islower((unsigned char)*keyword) : isupper((unsigned char)*keyword))
			return false;
	return true;
}

/* ARGs before FROM are no instructions of a stage and do not count. */
static void consistent_casing(struct lint *lint, const struct lint_check *check)
{
	size_t lower = 0, upper = 0;
	bool want_upper;

	for (size_t i = 0; i < lint->n_steps; i++) {
		if (!lint->steps[i].stage)
			continue;
		lower += has_case(lint->steps[i].instruction->keyword, false);
		upper += has_case(lint->steps[i].instruction->keyword, true);
	}
	want_upper = lower <= upper;
	for (size_t i = 0; i < lint->n_steps; i++) {
		const struct lint_step *step = &lint->steps[i];

		if (step->stage && !has_case(step->instruction->keyword, want_upper))
			lint_warn(lint, check, step,
				  "Command '%s' should match the case of the command majority (%s)",
				  step->instruction->keyword,
				  want_upper ? "uppercase" : "lowercase");
	}
}

static void maintainer(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_steps; i++)
		if (lint->steps[i].instruction->kind == INSTRUCTION_MAINTAINER)
			lint_warn(lint, check, &lint->steps[i],
				  "Maintainer instruction is deprecated in favor of using label");
}

static void json_args(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_CMD, INSTRUCTION_ENTRYPOINT };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));)
			if (!step->instruction->json && !step->shell_set)
				lint_warn(lint, check, step,
					  "JSON arguments recommended for %s to prevent unintended "
					  "behavior related to OS signals",
					  step->instruction->keyword);
}

/* Only the first WORKDIR of a stage and of the stages below it: to mend it mends the others. */
static void workdir_relative(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		const struct lint_stage *stage = &lint->stages[i];
		bool set = stage->parent && stage->parent->workdir_set;

		for (size_t k = stage->first; k < stage->end && !set; k++) {
			const struct lint_step *step = &lint->steps[k];

			if (step->instruction->kind != INSTRUCTION_WORKDIR)
				continue;
			set = true;
			if (stage->walked && step->words[0][0] != '/')
				lint_warn(lint, check, step,
					  "Relative workdir %s can have unexpected results if the "
					  "base image changes",
					  lint_quote(lint, step->words[0]));
		}
	}
}

static void undefined_var(struct lint *lint, const struct lint_check *check)
{
	for (size_t i = 0; i < lint->n_steps; i++) {
		const struct lint_step *step = &lint->steps[i];

		if (!step->stage || !step->stage->walked)
			continue;
		for (size_t k = 0; k < step->n_undefined; k++) {
			const char *near = step->undefined[k].near;

			lint_warn(lint, check, step, "Usage of undefined variable '$%s'%s%s%s",
				  step->undefined[k].name, near ? " (did you mean $" : "",
				  near ? near : "", near ? "?)" : "");
		}
	}
}

/* The earlier ones are reported: they are what has no effect. */
static void multiple_instructions(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = {
		INSTRUCTION_CMD,
		INSTRUCTION_ENTRYPOINT,
		INSTRUCTION_HEALTHCHECK,
	};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		const struct lint_step *before = NULL;

		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));) {
			if (before && before->stage == step->stage &&
			    !lint_comments_silence(step->instruction, check->rule.name))
				lint_warn(lint, check, before,
					  "Multiple %s instructions should not be used in the same "
					  "stage because only the last one will be used",
					  step->instruction->keyword);
			before = step;
		}
	}
}

static void legacy_format(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ENV, INSTRUCTION_LABEL };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));) {
			const struct instruction *pairs = step->instruction;

			if (!*pairs->args[2].text)
				lint_warn(lint, check, step,
					  "\"%s key=value\" should be used instead of legacy \"%s "
					  "key value\" format",
					  pairs->keyword, pairs->keyword);
		}
	}
}

static bool listed(const char *const *words, size_t n, const char *word, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(words[i]) == len && !strncasecmp(words[i], word, len))
			return true;
	return false;
}

/* Whole words between underscores, whatever their case. */
bool lint_is_secret(const char *name)
{
	static const char *const secrets[] = {
		"apikey",   "auth",  "credential", "credentials", "key",
		"password", "pword", "passwd",	   "secret",	  "token",
	};
	static const char *const harmless[] = { "public", "file", "version" };
	bool secret = false;

	for (;;) {
		size_t len = strcspn(name, "_");

		if (listed(harmless, ARRAY_SIZE(harmless), name, len))
			return false;
		secret |= listed(secrets, ARRAY_SIZE(secrets), name, len);
		if (!name[len])
			return secret;
		name += len + 1;
	}
}

static void secrets_in_env(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ARG, INSTRUCTION_ENV };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));)
			for (size_t i = 0; i < step->instruction->n_args; i += 3)
				if (lint_is_secret(step->words[i]))
					lint_warn(
						lint, check, step,
						"Do not use ARG or ENV instructions for sensitive "
						"data (%s %s)",
						kinds[k] == INSTRUCTION_ARG ? "ARG" : "ENV",
						lint_quote(lint, step->words[i]));
}

bool lint_is_remote(const char *source)
{
	static const char *const prefixes[] = { "http://", "https://", "git://", "git@", "ssh://" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(source, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* With "!" rules nobody can say without looking: a file below may be included again. */
static void copy_ignored_file(struct lint *lint, const struct lint_check *check)
{
	static const enum instruction_kind kinds[] = { INSTRUCTION_ADD, INSTRUCTION_COPY };
	const struct ignore *ignore = lint->inputs->ignore;

	if (!ignore || ignore_has_exceptions(ignore))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (struct lint_step *step = NULL; (step = lint_next(lint, step, kinds[k]));) {
			const struct instruction *copy = step->instruction;

			for (size_t i = 0; i + 1 < copy->n_args; i++) {
				const char *source = step->words[i] + strspn(step->words[i], "/");
				cleanup_free char *clean = path_clean(source, strlen(source));

				if (copy->args[i].heredoc || instruction_flag(copy, "from") ||
				    lint_is_remote(source) || !ignore_excludes(ignore, clean, NULL))
					continue;
				lint_warn(lint, check, step,
					  "Attempting to %s file %s that is excluded by "
					  ".dockerignore",
					  kinds[k] == INSTRUCTION_ADD ? "Add" : "Copy",
					  lint_quote(lint, clean));
			}
		}
	}
}

typedef void port_function(struct lint *lint, const struct lint_check *check,
			   const struct lint_step *step, const char *port);

/* EXPOSE splits again after expansion. */
static void each_port(struct lint *lint, const struct lint_check *check, port_function *function)
{
	for (struct lint_step *step = NULL; (step = lint_next(lint, step, INSTRUCTION_EXPOSE));) {
		for (size_t i = 0; i < step->instruction->n_args; i++) {
			const char *rest = step->words[i] + strspn(step->words[i], " \t");

			while (*rest) {
				size_t len = strcspn(rest, " \t");
				cleanup_free char *port = xstrndup(rest, len);

				function(lint, check, step, port);
				rest += len;
				rest += strspn(rest, " \t");
			}
		}
	}
}

static void port_casing(struct lint *lint, const struct lint_check *check,
			const struct lint_step *step, const char *port)
{
	const char *last = strrchr(port, ':');
	const char *slash = strchr(last ? last : port, '/');

	if (slash && !has_case(slash, false))
		lint_warn(lint, check, step,
			  "Defined protocol '%s' in EXPOSE instruction should be lowercase", port);
}

static void port_format(struct lint *lint, const struct lint_check *check,
			const struct lint_step *step, const char *port)
{
	const char *last = strrchr(port, ':');

	if (last && last > port)
		lint_warn(lint, check, step,
			  "EXPOSE instruction should not define an IP address or host-port "
			  "mapping, found '%s'",
			  port);
}

static void expose_casing(struct lint *lint, const struct lint_check *check)
{
	each_port(lint, check, port_casing);
}

static void expose_format(struct lint *lint, const struct lint_check *check)
{
	each_port(lint, check, port_format);
}

#define RULE(name, page, function, text)                                                           \
	{                                                                                          \
		{ name, text, DOCS page "/", LINT_WARNING }, LINT_BUILDKIT, false, function, NULL  \
	}

const struct lint_check lint_buildkit_checks[] = {
	RULE("NoEmptyContinuation", "no-empty-continuation", no_empty_continuation,
	     "Empty continuation lines will become errors in a future release"),
	RULE("ConsistentInstructionCasing", "consistent-instruction-casing", consistent_casing,
	     "All commands within the Dockerfile should use the same casing (either upper or "
	     "lower)"),
	RULE("MaintainerDeprecated", "maintainer-deprecated", maintainer,
	     "The MAINTAINER instruction is deprecated, use a label instead to define an image "
	     "author"),
	RULE("JSONArgsRecommended", "json-args-recommended", json_args,
	     "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related "
	     "to OS signals"),
	RULE("WorkdirRelativePath", "workdir-relative-path", workdir_relative,
	     "Relative workdir without an absolute workdir declared within the build can have "
	     "unexpected results if the base image changes"),
	RULE("UndefinedVar", "undefined-var", undefined_var,
	     "Variables should be defined before their use"),
	RULE("MultipleInstructionsDisallowed", "multiple-instructions-disallowed",
	     multiple_instructions,
	     "Multiple instructions of the same type should not be used in the same stage"),
	RULE("LegacyKeyValueFormat", "legacy-key-value-format", legacy_format,
	     "Legacy key/value format with whitespace separator should not be used"),
	RULE("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env", secrets_in_env,
	     "Sensitive data should not be used in the ARG or ENV commands"),
	RULE("CopyIgnoredFile", "copy-ignored-file", copy_ignored_file,
	     "Attempting to Copy file that is excluded by .dockerignore"),
	RULE("ExposeProtoCasing", "expose-proto-casing", expose_casing,
	     "Protocol in EXPOSE instruction should be lowercase"),
	RULE("ExposeInvalidFormat", "expose-invalid-format", expose_format,
	     "IP address and host-port mapping should not be used in EXPOSE instruction. This will "
	     "become an error in a future release"),
	{ .function = NULL },
};
