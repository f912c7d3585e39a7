/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lint: one pass over the tree finds what rules ask about (lint_scope.c), then each rule of the
 * tables looks at that by itself. Rules know nothing of each other and do not ask whether they are
 * silenced: lint_warn_at() drops what nobody wants to hear.
 */
#include "dockerfile-parser/lint_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define MESSAGE_MAX    2048
#define EXPANSIONS_MAX (16 * 1024 * 1024) /* bytes of all expansions */
#define NAMES_MAX      1000		  /* undefined names */

static const struct lint_check *const tables[] = {
	lint_from_checks,  lint_buildkit_checks, lint_hadolint_checks,
	lint_stage_checks, lint_package_checks,	 lint_cbuild_checks,
};

const struct lint_rule *lint_rule_at(size_t i, unsigned *ret_set, bool *ret_experimental)
{
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct lint_check *check = tables[t]; check->function; check++) {
			if (i-- > 0)
				continue;
			*ret_set = check->set;
			*ret_experimental = check->experimental;
			return &check->rule;
		}
	}
	return NULL;
}

static bool is_silenced(const struct lint *lint, const struct lint_check *check,
			const struct lint_step *step)
{
	if (lint_config_silences(&lint->config, check->rule.name, check->experimental))
		return true;
	for (size_t i = 0; i < lint->ignored.n; i++)
		if (!strcmp(lint->ignored.v[i], check->rule.name))
			return true;
	return lint_comments_silence(step->written, check->rule.name);
}

static void add_warning(struct lint *lint, const struct lint_check *check,
			const struct lint_step *step, struct range range, const char *message)
{
	struct lint_result *result = lint->result;

	if (result->n_warnings >= LINT_WARNINGS_MAX || is_silenced(lint, check, step))
		return;
	result->warnings = arena_grow(lint->arena, result->warnings, result->n_warnings,
				      &lint->cap_warnings, sizeof(*result->warnings));
	result->warnings[result->n_warnings++] = (struct lint_warning){
		.rule = &check->rule,
		.message = arena_strdup(lint->arena, message),
		.range = range,
	};
}

void lint_warn(struct lint *lint, const struct lint_check *check, const struct lint_step *step,
	       const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	add_warning(lint, check, step, step->written->range, message);
}

void lint_warn_at(struct lint *lint, const struct lint_check *check, const struct lint_step *step,
		  struct range range, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	add_warning(lint, check, step, range, message);
}

static struct lint_step *next(const struct lint *lint, const struct lint_step *step,
			      enum instruction_kind kind, size_t end)
{
	size_t i = step ? (size_t)(step - lint->steps) + 1 : 0;

	for (; i < end; i++)
		if (lint->steps[i].instruction->kind == kind && lint->steps[i].stage &&
		    lint->steps[i].stage->walked)
			return &lint->steps[i];
	return NULL;
}

struct lint_step *lint_next(const struct lint *lint, const struct lint_step *step,
			    enum instruction_kind kind)
{
	return next(lint, step, kind, lint->n_steps);
}

struct lint_step *lint_next_alone(const struct lint *lint, const struct lint_step *step,
				  enum instruction_kind kind)
{
	return next(lint, step, kind, lint->n_steps + lint->n_triggers);
}

const char *lint_quote(struct lint *lint, const char *text)
{
	cleanup_buf struct buf out;

	buf_init(&out, MESSAGE_MAX);
	buf_addch(&out, '"');
	for (const char *c = text; *c && out.len < MESSAGE_MAX - 8; c++) {
		if (*c == '"' || *c == '\\')
			buf_addf(&out, "\\%c", *c);
		else if (*c == '\n' || *c == '\t')
			buf_addf(&out, "\\%c", *c == '\n' ? 'n' : 't');
		else if ((unsigned char)*c < ' ' || *c == 0x7f)
			buf_addf(&out, "\\x%02x", (unsigned)(unsigned char)*c);
		else
			buf_addch(&out, *c);
	}
	buf_addch(&out, '"');
	return arena_strdup(lint->arena, out.data);
}

static int by_line(const void *a, const void *b)
{
	const struct lint_warning *x = a, *y = b;

	if (x->range.start.line != y->range.start.line)
		return x->range.start.line < y->range.start.line ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Stable: the order of the tables stays within a line. */
static void sort_warnings(struct lint_result *result)
{
	struct lint_warning *sorted;

	if (result->n_warnings < 2)
		return;
	sorted = arena_alloc(result->arena, result->n_warnings * sizeof(*sorted));
	memcpy(sorted, result->warnings, result->n_warnings * sizeof(*sorted));
	for (size_t width = 1; width < result->n_warnings; width *= 2) {
		struct lint_warning *from = result->warnings;

		for (size_t i = 0; i < result->n_warnings; i += 2 * width) {
			size_t middle = i + width, end = i + 2 * width, a = i, b;

			if (middle > result->n_warnings)
				middle = result->n_warnings;
			if (end > result->n_warnings)
				end = result->n_warnings;
			b = middle;
			for (size_t k = i; k < end; k++) {
				bool first =
					b == end || (a < middle && by_line(&from[a], &from[b]) < 0);

				sorted[k] = from[first ? a++ : b++];
			}
		}
		result->warnings = sorted;
		sorted = from;
	}
}

/* The tree may go before the result does. */
static void copy_source(struct lint_result *result, const struct dockerfile *dockerfile)
{
	result->name = arena_strdup(result->arena, dockerfile->name);
	result->lines =
		arena_alloc(result->arena, (dockerfile->n_lines + 1) * sizeof(*result->lines));
	result->n_lines = dockerfile->n_lines;
	for (size_t i = 0; i < dockerfile->n_lines; i++)
		result->lines[i] = arena_strdup(result->arena, dockerfile->lines[i]);
}

static void run_checks(struct lint *lint)
{
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct lint_check *check = tables[t]; check->function; check++)
			if (check->set & lint->inputs->sets)
				check->function(lint, check);
}

int lint_run(const struct dockerfile *dockerfile, const struct lint_inputs *inputs,
	     struct lint_result **ret_result, struct err *err)
{
	const char *options = inputs->config ? inputs->config : dockerfile->directives.check;
	struct lint lint = {
		.dockerfile = dockerfile,
		.inputs = inputs,
		.budget = EXPANSIONS_MAX,
		.names_left = NAMES_MAX,
	};

	if (lint_config_parse(options ? options : "", &lint.config, err) < 0)
		return -1;
	lint.arena = arena_new();
	lint.result = arena_alloc(lint.arena, sizeof(*lint.result));
	lint.result->arena = lint.arena;
	lint.result->fail = lint.config.fail;
	lint_global_ignores(dockerfile, &lint.ignored);
	lint_scope_fill(&lint);
	run_checks(&lint);
	sort_warnings(lint.result);
	if (lint.result->n_warnings)
		copy_source(lint.result, dockerfile);
	lint_scope_release(&lint);
	lint_config_release(&lint.config);
	strv_release(&lint.ignored);
	*ret_result = lint.result;
	return 0;
}

void lint_free(struct lint_result *result)
{
	if (result)
		arena_free(result->arena);
}

int lint_error(const struct lint_result *result, struct err *err)
{
	cleanup_buf struct buf rules;

	buf_init(&rules, ERR_MESSAGE_MAX / 2);
	for (size_t i = 0; i < result->n_warnings; i++) {
		bool again = false;

		for (size_t k = 0; k < i && !again; k++)
			again = result->warnings[k].rule == result->warnings[i].rule;
		if (!again)
			buf_addf(&rules, "%s%s", rules.len ? ", " : "",
				 result->warnings[i].rule->name);
	}
	return err_set(err, ERR_INVALID, "lint violation found for rules: %s", rules.data);
}
