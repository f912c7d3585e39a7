/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan is a function of the Dockerfile, the build arguments, the target and the platform:
 * nothing is read, nothing is fetched. A stage can depend only on stages above it, so the list
 * of stages is in building order already, and marking what the target needs is one pass upwards.
 */
#include "builder/internal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/origin.h"

/* What FROM and global ARGs may refer to: platform ARGs, overridden by global ones. */
static void global_scope(const struct plan *plan, struct strv *ret_scope)
{
	strv_extend(ret_scope, &plan->global_args);
	for (size_t i = 0; i < plan->platform_args.n; i++) {
		cleanup_free char *name =
			xstrndup(plan->platform_args.v[i], strcspn(plan->platform_args.v[i], "="));

		if (!env_get(ret_scope, name))
			strv_add(ret_scope, plan->platform_args.v[i]);
	}
}

static int global_arg(struct plan *plan, const struct instruction *arg,
		      const struct strv *build_args, struct err *err)
{
	for (size_t i = 0; i + 2 < arg->n_args; i += 3) {
		const char *given = env_get(build_args, arg->args[i].text);
		cleanup_strv struct strv scope = STRV_INIT;
		cleanup_free char *value = NULL;

		global_scope(plan, &scope);
		if (given)
			value = xstrdup(given);
		else if (*arg->args[i + 2].text &&
			 scope_expand(plan->dockerfile, &scope, &arg->args[i + 1], &value, err) < 0)
			return -1;
		if (value)
			env_set(&plan->global_args, arg->args[i].text, value);
	}
	return 0;
}

static int from_platform(struct plan *plan, struct plan_stage *stage, const struct strv *scope,
			 struct err *err)
{
	const struct flag *flag = instruction_flag(stage->from, "platform");
	cleanup_free char *text = NULL;
	struct err why = ERR_INIT;
	struct word word;

	if (!flag)
		return 0;
	word = (struct word){ .text = flag->value, .range = flag->range };
	if (scope_expand(plan->dockerfile, scope, &word, &text, err) < 0)
		return -1;
	if (!*text)
		return dockerfile_error(plan->dockerfile, flag->range, ERR_INVALID, err,
					"empty platform value from expression %s", flag->value);
	if (platform_parse(text, &stage->platform, &why) < 0)
		return dockerfile_error(plan->dockerfile, flag->range, ERR_INVALID, err, "%s",
					why.message);
	return 0;
}

static char *lower(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text);

	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

static bool valid_name(const char *name)
{
	if (*name < 'a' || *name > 'z')
		return false;
	for (; *name; name++)
		if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) &&
		    !strchr("-_.", *name))
			return false;
	return true;
}

static int add_stage(struct plan *plan, const struct instruction *from, struct err *err)
{
	struct plan_stage *stage = &plan->stages[plan->n_stages];
	const struct platform target = stage->platform;
	cleanup_strv struct strv scope = STRV_INIT;
	cleanup_free char *base = NULL;
	size_t index;

	stage->index = plan->n_stages;
	stage->from = from;
	stage->steps = from + 1;
	global_scope(plan, &scope);
	if (from_platform(plan, stage, &scope, err) < 0 ||
	    scope_expand(plan->dockerfile, &scope, &from->args[0], &base, err) < 0)
		return -1;
	if (!*base)
		return dockerfile_error(plan->dockerfile, from->args[0].range, ERR_INVALID, err,
					"base name (%s) should not be blank", from->args[0].text);
	if (from->n_args == 3) {
		stage->name = lower(plan->arena, from->args[2].text);
		if (!valid_name(stage->name))
			return dockerfile_error(plan->dockerfile, from->args[2].range, ERR_INVALID,
						err,
						"invalid name for build stage: \"%s\", name can't "
						"start with a number or contain symbols",
						from->args[2].text);
	}
	if (!strcmp(base, "scratch")) {
		stage->base = STAGE_BASE_SCRATCH;
		stage->platform = target; /* whatever --platform says */
	} else if (plan_find_stage(plan, base, plan->n_stages, &index) &&
		   plan->stages[index].name && !strcmp(plan->stages[index].name, base)) {
		/* FROM, unlike --from, knows no numbers, and names in lower case alone */
		stage->base = STAGE_BASE_STAGE;
		stage->base_stage = index;
		stage->platform = plan->stages[index].platform; /* whatever --platform says */
	} else {
		stage->base = STAGE_BASE_IMAGE;
		stage->base_image = arena_strdup(plan->arena, base);
	}
	plan->n_stages++;
	return 0;
}

bool plan_find_stage(const struct plan *plan, const char *name, size_t before, size_t *ret_index)
{
	char *end;
	unsigned long number;

	for (size_t i = before; i-- > 0;) {
		if (plan->stages[i].name && !strcasecmp(plan->stages[i].name, name)) {
			*ret_index = i;
			return true;
		}
	}
	if (!isdigit((unsigned char)*name))
		return false;
	errno = 0;
	number = strtoul(name, &end, 10);
	if (errno || *end || number >= before)
		return false;
	*ret_index = number;
	return true;
}

const char *plan_near_stage(const struct plan *plan, const char *name, unsigned line)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; i < plan->n_stages && n < ARRAY_SIZE(names); i++)
		if (plan->stages[i].name && plan->stages[i].from->range.start.line < line)
			names[n++] = plan->stages[i].name;
	return suggest(name, names, n);
}

static int choose_target(struct plan *plan, const char *target, struct err *err)
{
	const char *near;

	plan->target = plan->n_stages - 1;
	if (!target || !*target || plan_find_stage(plan, target, plan->n_stages, &plan->target))
		return 0;
	near = plan_near_stage(plan, target, UINT_MAX);
	return err_set(err, ERR_NOT_FOUND, "%s: target stage \"%s\" could not be found%s%s%s",
		       plan->dockerfile->name, target, near ? " (did you mean " : "",
		       near ? near : "", near ? "?)" : "");
}

static void need(struct plan *plan, size_t before, const char *from)
{
	size_t index;

	if (plan_find_stage(plan, from, before, &index))
		plan->stages[index].needed = true;
}

/* from= inside --mount=...: the stage, when it is one. */
static void need_mount(struct plan *plan, size_t before, const struct flag *flag)
{
	struct flag_option *options;
	struct err ignored = ERR_INIT;
	size_t n;

	if (flag_options_parse(plan->arena, flag->value, &options, &n, &ignored) < 0)
		return; /* reported when the step is made */
	for (size_t i = 0; i < n; i++)
		if (!strcmp(options[i].key, "from"))
			need(plan, before, options[i].value);
}

/* What an instruction of a stage reads. */
static void need_step(struct plan *plan, size_t index, const struct instruction *step)
{
	for (size_t i = 0; i < step->n_flags; i++) {
		if (!strcmp(step->flags[i].name, "from"))
			need(plan, index, step->flags[i].value);
		else if (!strcmp(step->flags[i].name, "mount"))
			need_mount(plan, index, &step->flags[i]);
	}
}

/* What the stages up to `last` that are needed need: all of it stands above them. */
static void need_above(struct plan *plan, size_t last)
{
	for (size_t i = last + 1; i-- > 0;) {
		struct plan_stage *stage = &plan->stages[i];

		if (!stage->needed)
			continue;
		if (stage->base == STAGE_BASE_STAGE)
			plan->stages[stage->base_stage].needed = true;
		for (size_t k = 0; k < stage->n_steps; k++)
			need_step(plan, i, &stage->steps[k]);
	}
}

static void mark_needed(struct plan *plan)
{
	plan->stages[plan->target].needed = true;
	need_above(plan, plan->target);
}

void plan_need(struct plan *plan, size_t index, const struct instruction *trigger)
{
	need_step(plan, index, trigger);
	need_above(plan, index);
}

void plan_use_contexts(struct plan *plan, const struct named_list *contexts)
{
	for (size_t i = 0; i < plan->n_stages; i++) {
		struct plan_stage *stage = &plan->stages[i];
		struct named *named =
			stage->name ? named_find(contexts, stage->name, &stage->platform) : NULL;

		stage->needed = false;
		stage->replaced = named != NULL;
		if (!named && stage->base == STAGE_BASE_IMAGE)
			named = named_find(contexts, stage->base_image, &stage->platform);
		if (!named)
			continue;
		stage->base = STAGE_BASE_NAMED;
		stage->named = named;
		if (stage->replaced)
			stage->n_steps = 0;
	}
	mark_needed(plan);
}

/* --build-arg names that no ARG declares, and that are not predefined. */
static void find_unused(struct plan *plan, const struct strv *build_args)
{
	for (size_t i = 0; i < build_args->n; i++) {
		cleanup_free char *name =
			xstrndup(build_args->v[i], strcspn(build_args->v[i], "="));
		bool used = scope_is_proxy(name) || !strncmp(name, "BUILDKIT_", 9) ||
			    !strcmp(name, EPOCH_ARG) || env_get(&plan->platform_args, name);

		for (size_t k = 0; k < plan->dockerfile->n_instructions && !used; k++) {
			const struct instruction *arg = &plan->dockerfile->instructions[k];

			for (size_t a = 0; arg->kind == INSTRUCTION_ARG && a < arg->n_args; a += 3)
				used |= !strcmp(arg->args[a].text, name);
		}
		if (!used)
			strv_add(&plan->unused_args, name);
	}
}

static int fill(struct plan *plan, const struct strv *build_args, const char *target,
		const struct platform *platform, struct err *err)
{
	const struct dockerfile *dockerfile = plan->dockerfile;

	for (size_t i = 0; i < dockerfile->n_instructions; i++) {
		const struct instruction *instruction = &dockerfile->instructions[i];

		if (instruction->kind == INSTRUCTION_FROM) {
			plan->stages[plan->n_stages].platform = *platform;
			if (add_stage(plan, instruction, err) < 0)
				return -1;
		} else if (plan->n_stages > 0) {
			plan->stages[plan->n_stages - 1].n_steps++;
		} else if (instruction->kind != INSTRUCTION_ARG) {
			return dockerfile_error(dockerfile, instruction->range, ERR_INVALID, err,
						"no build stage in current context: %s must come "
						"after FROM",
						instruction->keyword);
		} else if (global_arg(plan, instruction, build_args, err) < 0) {
			return -1;
		}
	}
	if (plan->n_stages == 0)
		return err_set(err, ERR_INVALID,
			       "%s: no FROM: a Dockerfile needs at least one build stage",
			       dockerfile->name);
	if (choose_target(plan, target, err) < 0)
		return -1;
	mark_needed(plan);
	find_unused(plan, build_args);
	return 0;
}

int plan_make(const struct dockerfile *dockerfile, const struct strv *build_args,
	      const char *target, const struct platform *platform, struct plan **ret_plan,
	      struct err *err)
{
	struct arena *arena = arena_new();
	struct plan *plan = arena_alloc(arena, sizeof(*plan));
	struct platform host;

	plan->arena = arena;
	plan->dockerfile = dockerfile;
	plan->stages = arena_alloc(arena, (dockerfile->n_instructions + 1) * sizeof(*plan->stages));
	platform_host(&host);
	scope_add_platforms(&plan->platform_args, platform, &host, target);
	for (size_t i = 0; i < plan->platform_args.n; i++) {
		cleanup_free char *name =
			xstrndup(plan->platform_args.v[i], strcspn(plan->platform_args.v[i], "="));
		const char *given = env_get(build_args, name);

		if (given)
			env_set(&plan->platform_args, name, given);
	}
	if (fill(plan, build_args, target, platform, err) < 0) {
		plan_free(plan);
		return -1;
	}
	*ret_plan = plan;
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	strv_release(&plan->global_args);
	strv_release(&plan->platform_args);
	strv_release(&plan->unused_args);
	arena_free(plan->arena);
}
