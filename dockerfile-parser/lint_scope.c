/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pass before the rules: which instruction belongs to which stage, what its words are after
 * expansion, and which variables were not set there. It follows the build's own rules of scope:
 *
 *  1. an ARG before FROM is seen by FROM, and by a bare ARG of its name in a stage
 *  2. a stage begins with the environment of its base, and PATH
 *  3. ENV names and values see what was set before the line; ARGs see those to their left
 *  4. below an image that nothing is known of, or a stage that does not count, no variable is
 *     undefined
 *
 * The words themselves are expanded in lint_expand.c.
 */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/mem.h"

/* --- before the first FROM ------------------------------------------------------------------- */

static void global_arg(struct lint *lint, const struct instruction *arg, struct strv *scope,
		       const struct strv *given)
{
	for (size_t i = 0; i + 2 < arg->n_args; i += 3) {
		const char *name = arg->args[i].text;
		const char *value = given ? env_get(given, name) : NULL;

		lint_add_name(&lint->global_names, name);
		if (!value && *arg->args[i + 2].text)
			value = lint_expand_quietly(lint, scope, arg->args[i + 1].text);
		if (value)
			env_set(scope, name, value);
	}
}

/* --- stages ---------------------------------------------------------------------------------- */

struct lint_stage *lint_find_stage(const struct lint *lint, const char *name, size_t before)
{
	unsigned long long number;
	char *end;

	for (size_t i = before; i-- > 0;)
		if (lint->stages[i].name && !strcasecmp(lint->stages[i].name, name))
			return &lint->stages[i];
	if (!isdigit((unsigned char)*name))
		return NULL;
	number = strtoull(name, &end, 10);
	return *end || number >= before ? NULL : &lint->stages[number];
}

static const char *lower(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text);

	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

static const char *stage_platform(struct lint *lint, const struct lint_stage *stage)
{
	const struct flag *flag = instruction_flag(stage->from->instruction, "platform");
	const char *target = lint->inputs->platform_args
				     ? env_get(lint->inputs->platform_args, "TARGETPLATFORM")
				     : NULL;
	struct lint_expansion expansion;

	if (!flag)
		return target ? target : "";
	lint_expand_global(lint, &lint->globals, flag->value, &expansion);
	lint_expansion_release(&expansion);
	return expansion.text ? expansion.text : "";
}

static bool has_triggers(const struct lint *lint, const struct lint_stage *stage)
{
	for (size_t i = stage->first; i < stage->end; i++)
		if (lint->steps[i].instruction->kind == INSTRUCTION_ONBUILD)
			return true;
	return false;
}

static void inherit_stage(struct lint *lint, struct lint_stage *stage)
{
	const struct lint_stage *parent = stage->parent;
	size_t size = 0;

	for (size_t i = 0; i < parent->env.n; i++)
		size += strlen(parent->env.v[i]);
	stage->platform = parent->platform;
	stage->shell_set = parent->shell_set;
	stage->pipefail = parent->pipefail;
	stage->workdir_set = parent->workdir_set;
	stage->env_known = parent->env_known && parent->walked && !has_triggers(lint, parent);
	if (size > lint->budget) {
		stage->env_known = false;
		return;
	}
	lint->budget -= size;
	strv_extend(&stage->env, &parent->env);
	strv_extend(&stage->declared, &parent->declared);
}

static void inherit_image(struct lint *lint, struct lint_stage *stage, const char *base)
{
	const struct lint_inputs *inputs = lint->inputs;

	stage->env_known = !strcmp(base, "scratch");
	if (!stage->env_known && inputs->base &&
	    inputs->base(inputs->base_arg, base, &stage->image)) {
		stage->has_image = true;
		stage->env_known = !stage->image.has_triggers;
		stage->shell_set = stage->image.has_shell;
		if (stage->image.env)
			strv_extend(&stage->env, stage->image.env);
	}
	if (!env_get(&stage->env, "PATH"))
		strv_add(&stage->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
				      "/sbin:/bin");
}

static struct lint_stage *begin_stage(struct lint *lint, struct lint_step *from)
{
	struct lint_stage *stage = &lint->stages[lint->n_stages];
	struct lint_expansion base;

	stage->index = lint->n_stages;
	stage->from = from;
	stage->walked = !lint->inputs->stages || lint->inputs->stages[stage->index];
	stage->first = stage->end = (size_t)(from - lint->steps) + 1;
	stage->platform = stage_platform(lint, stage);
	lint_expand_global(lint, &lint->globals, from->instruction->args[0].text, &base);
	lint_expansion_release(&base);
	from->words[0] = base.text ? base.text : "";
	if (!isdigit((unsigned char)*from->words[0]))
		stage->parent = lint_find_stage(lint, from->words[0], stage->index);
	if (stage->parent)
		inherit_stage(lint, stage);
	else
		inherit_image(lint, stage, from->words[0]);
	if (from->instruction->n_args == 3)
		stage->name = lower(lint->arena, from->instruction->args[2].text);
	lint->n_stages++;
	return stage;
}

/* --- instructions ---------------------------------------------------------------------------- */

static void expand_flags(struct lint *lint, struct lint_step *step, const struct strv *env)
{
	static const char *const names[] = { "chown", "chmod", "checksum", "exclude", "mount" };

	for (size_t i = 0; i < step->instruction->n_flags; i++)
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			if (!strcmp(step->instruction->flags[i].name, names[k]))
				lint_expand_word(lint, step, env,
						 step->instruction->flags[i].value);
}

static void expand_heredocs(struct lint *lint, struct lint_step *step, const struct strv *env)
{
	for (size_t i = 0; i < step->instruction->n_heredocs; i++)
		if (step->instruction->heredocs[i].expand)
			lint_expand_heredoc(lint, step, env,
					    step->instruction->heredocs[i].content);
}

static void expand_args(struct lint *lint, struct lint_step *step, const struct strv *env)
{
	const struct instruction *instruction = step->instruction;

	for (size_t i = 0; i < instruction->n_args; i++)
		if (!instruction->args[i].heredoc)
			step->words[i] =
				lint_expand_word(lint, step, env, instruction->args[i].text);
}

/* BuildKit does not say which variables an EXPOSE misses. */
static void expose_step(struct lint *lint, struct lint_step *step)
{
	for (size_t i = 0; i < step->instruction->n_args; i++) {
		const char *text = lint_expand_quietly(lint, &step->stage->env, step->words[i]);

		if (text)
			step->words[i] = text;
	}
}

static void env_step(struct lint *lint, struct lint_step *step)
{
	struct strv *env = &step->stage->env;

	expand_args(lint, step, env);
	for (size_t i = 0; i + 2 < step->instruction->n_args; i += 3)
		env_set(env, step->words[i], step->words[i + 1]);
}

static void arg_step(struct lint *lint, struct lint_step *step)
{
	const struct instruction *arg = step->instruction;
	struct strv *env = &step->stage->env;

	for (size_t i = 0; i + 2 < arg->n_args; i += 3) {
		const char *name = arg->args[i].text, *value = NULL;

		if (lint->inputs->build_args)
			value = env_get(lint->inputs->build_args, name);
		if (!value && *arg->args[i + 2].text)
			value = step->words[i + 1] =
				lint_expand_word(lint, step, env, arg->args[i + 1].text);
		else if (!value)
			value = env_get(&lint->globals, name);
		if (value && !lint_never_set(name))
			env_set(env, name, value);
		lint_add_name(&step->stage->declared, name);
	}
}

/* SHELL [..., "-o", "pipefail", ...], or -eo pipefail */
static bool sets_pipefail(const struct instruction *shell)
{
	for (size_t i = 0; i < shell->n_args; i++)
		if (!strcmp(shell->args[i].text, "pipefail"))
			return true;
	return false;
}

/* What the shell gets: the line, or the heredoc that stands for it. */
static const char *run_text(const struct instruction *run)
{
	if (run->n_heredocs == 1 && !strncmp(run->args[0].text, "<<", 2) &&
	    strncmp(run->heredocs[0].content, "#!", 2) != 0)
		return run->heredocs[0].content;
	return run->args[0].text;
}

static void find_commands(struct lint *lint, struct lint_step *step)
{
	const struct instruction *run = step->instruction;

	if (!run->n_args)
		return;
	if (!run->json) {
		shell_parse(lint->arena, run_text(run), &step->commands, &step->n_commands);
		return;
	}
	step->commands = arena_alloc(lint->arena, sizeof(*step->commands));
	step->commands[0] = (struct shell_command){ step->words, run->n_args, false };
	step->n_commands = 1;
}

static void init_step(struct lint *lint, struct lint_step *step,
		      const struct instruction *instruction)
{
	step->instruction = step->written = instruction;
	step->words = arena_alloc(lint->arena, (instruction->n_args + 1) * sizeof(*step->words));
	for (size_t i = 0; i < instruction->n_args; i++)
		step->words[i] = instruction->args[i].text;
}

/* What a trigger will find is not known: its words stay as written. */
static void add_trigger(struct lint *lint, const struct lint_step *onbuild)
{
	struct lint_step *step = &lint->steps[lint->n_steps + lint->n_triggers++];

	init_step(lint, step, onbuild->instruction->trigger);
	step->written = onbuild->instruction;
	step->stage = onbuild->stage;
	step->shell_set = onbuild->shell_set;
	step->pipefail = onbuild->pipefail;
	if (step->instruction->kind == INSTRUCTION_RUN)
		find_commands(lint, step);
}

static void walk_step(struct lint *lint, struct lint_step *step)
{
	struct lint_stage *stage = step->stage;

	step->shell_set = stage->shell_set;
	step->pipefail = stage->pipefail;
	switch (step->instruction->kind) {
	case INSTRUCTION_ADD:
	case INSTRUCTION_COPY:
		expand_flags(lint, step, &stage->env);
		expand_args(lint, step, &stage->env);
		expand_heredocs(lint, step, &stage->env);
		break;
	case INSTRUCTION_LABEL:
	case INSTRUCTION_STOPSIGNAL:
	case INSTRUCTION_USER:
	case INSTRUCTION_VOLUME:
	case INSTRUCTION_WORKDIR:
		expand_args(lint, step, &stage->env);
		break;
	case INSTRUCTION_ENV:
		env_step(lint, step);
		break;
	case INSTRUCTION_ARG:
		arg_step(lint, step);
		break;
	case INSTRUCTION_EXPOSE:
		expose_step(lint, step);
		break;
	case INSTRUCTION_RUN:
		expand_flags(lint, step, &stage->env);
		find_commands(lint, step);
		break;
	case INSTRUCTION_ONBUILD:
		add_trigger(lint, step);
		break;
	case INSTRUCTION_SHELL:
		stage->shell_set = true;
		stage->pipefail = sets_pipefail(step->instruction);
		break;
	default:
		break;
	}
	if (step->instruction->kind == INSTRUCTION_WORKDIR)
		stage->workdir_set = true;
}

void lint_scope_fill(struct lint *lint)
{
	const struct dockerfile *dockerfile = lint->dockerfile;
	struct lint_stage *stage = NULL;

	lint->n_steps = dockerfile->n_instructions;
	lint->steps = arena_alloc(lint->arena, 2 * lint->n_steps * sizeof(*lint->steps));
	lint->stages = arena_alloc(lint->arena, (lint->n_steps + 1) * sizeof(*lint->stages));
	if (lint->inputs->platform_args) {
		strv_extend(&lint->globals, lint->inputs->platform_args);
		strv_extend(&lint->defaults, lint->inputs->platform_args);
	}
	for (size_t i = 0; i < lint->n_steps; i++) {
		struct lint_step *step = &lint->steps[i];

		init_step(lint, step, &dockerfile->instructions[i]);
		if (step->instruction->kind == INSTRUCTION_FROM) {
			stage = begin_stage(lint, step);
			step->stage = stage;
		} else if (stage) {
			step->stage = stage;
			stage->end = i + 1;
			walk_step(lint, step);
		} else if (step->instruction->kind == INSTRUCTION_ARG) {
			global_arg(lint, step->instruction, &lint->globals,
				   lint->inputs->build_args);
			global_arg(lint, step->instruction, &lint->defaults, NULL);
		}
	}
}

void lint_scope_release(struct lint *lint)
{
	for (size_t i = 0; i < lint->n_stages; i++) {
		strv_release(&lint->stages[i].env);
		strv_release(&lint->stages[i].declared);
	}
	strv_release(&lint->globals);
	strv_release(&lint->defaults);
	strv_release(&lint->global_names);
}
