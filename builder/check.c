/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lint with what the builder knows: build arguments, platforms, the ignore file, and those base
 * images that are in the store. BuildKit's checks are part of each build; all rules are part of
 * build_check().
 */
#include "builder/check.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/internal.h"
#include "dockerfile-parser/lint.h"
#include "dockerfile-parser/outline.h"
#include "registry/reference.h"

/* An image that a rule was told of; it lives until lint_run() is through. */
struct known {
	struct known *next;
	struct image *image;
	char platform[PLATFORM_TEXT_MAX];
};

struct lookup {
	struct store *store;
	const struct plan *plan; /* NULL when there is none */
	struct known *known;
};

static void release_known(struct known *known)
{
	while (known) {
		struct known *next = known->next;

		image_free(known->image);
		free(known);
		known = next;
	}
}

/* Whether a --build-context stands for the name, or stages want it for different platforms: then
 * what the store has under that name is not, or not for all of them, what they begin with. */
static bool means_other_things(const struct plan *plan, const char *name)
{
	const struct platform *first = NULL;

	for (size_t i = 0; plan && i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];

		if (!stage->base_image || strcmp(stage->base_image, name) != 0)
			continue;
		if (stage->base != STAGE_BASE_IMAGE)
			return true;
		if (first && !platform_match(first, &stage->platform))
			return true;
		first = &stage->platform;
	}
	return false;
}

/* Whatever its platform: a rule compares that. */
static bool find_base(void *arg, const char *name, struct lint_base *ret_base)
{
	struct lookup *lookup = arg;
	struct err ignored = ERR_INIT;
	struct reference reference;
	struct known *known;
	struct image *image;
	struct digest id, remote;

	if (!lookup->store || means_other_things(lookup->plan, name) ||
	    reference_parse(name, &reference, &ignored) < 0 ||
	    base_find(lookup->store, &reference, &id, &remote, &image, &ignored) < 0)
		return false;
	known = xcalloc(1, sizeof(*known));
	known->image = image;
	known->next = lookup->known;
	lookup->known = known;
	*ret_base = (struct lint_base){
		.env = &image->env,
		.platform = platform_format(&image->platform, known->platform),
		.has_shell = image->shell.n > 0,
		.has_triggers = image->on_build.n > 0,
	};
	return true;
}

static bool is_image_name(const char *name)
{
	struct err ignored = ERR_INIT;
	struct reference reference;

	return reference_parse(name, &reference, &ignored) == 0;
}

/* One per stage: whether its instructions count. Those that a --build-context replaces do not. */
static bool *counting_stages(const struct plan *plan, bool all)
{
	bool *counts = xcalloc(plan->n_stages + 1, sizeof(*counts));

	for (size_t i = 0; i < plan->n_stages; i++)
		counts[i] = (all || plan->stages[i].needed) && !plan->stages[i].replaced;
	return counts;
}

static int read_ignore(const struct build_options *options, struct ignore **ret_ignore,
		       struct err *err)
{
	*ret_ignore = NULL;
	if (!options->ignore_text)
		return 0;
	return ignore_parse(options->ignore_name, options->ignore_text, options->ignore_len,
			    ret_ignore, err);
}

/* TARGETPLATFORM and so on, also when there is no plan. */
static void platform_args(const struct builder *builder, struct strv *args)
{
	struct platform host;

	if (builder->plan) {
		strv_extend(args, &builder->plan->platform_args);
		return;
	}
	platform_host(&host);
	scope_add_platforms(args, builder->options->platform ? builder->options->platform : &host,
			    &host, builder->options->target);
}

DEFINE_CLEANUP(struct ignore *, ignore_free)

/* all_stages: whatever the target needs, and also when there is no plan. */
static int lint(const struct builder *builder, struct lint_inputs *inputs, bool all_stages,
		struct lint_result **ret_result, struct err *err)
{
	struct lookup lookup = { .store = builder->options->store, .plan = builder->plan };
	cleanup_with(ignore_free) struct ignore *ignore = NULL;
	cleanup_free bool *stages = NULL;
	cleanup_strv struct strv platforms = STRV_INIT;
	int status;

	if (read_ignore(builder->options, &ignore, err) < 0)
		return -1;
	platform_args(builder, &platforms);
	stages = builder->plan ? counting_stages(builder->plan, all_stages) : NULL;
	inputs->config = env_get(&builder->build_args, "BUILDKIT_DOCKERFILE_CHECK");
	inputs->build_args = &builder->build_args;
	inputs->platform_args = &platforms;
	inputs->ignore = ignore;
	inputs->stages = stages;
	inputs->base = find_base;
	inputs->base_arg = &lookup;
	inputs->is_image_name = is_image_name;
	status = lint_run(builder->dockerfile, inputs, ret_result, err);
	release_known(lookup.known);
	return status;
}

int builder_lint(struct builder *builder, struct err *err)
{
	struct lint_inputs inputs = { .sets = LINT_BUILDKIT };

	lint_free(builder->lint);
	builder->lint = NULL;
	if (lint(builder, &inputs, false, &builder->lint, err) < 0)
		return -1;
	if (builder->lint->fail && builder->lint->n_warnings)
		return lint_error(builder->lint, err);
	return 0;
}

bool builder_has_check_options(const struct builder *builder)
{
	const char *given = env_get(&builder->build_args, "BUILDKIT_DOCKERFILE_CHECK");
	const char *options = given ? given : builder->dockerfile->directives.check;

	return options != NULL;
}

/* --- without a build ------------------------------------------------------------------------- */

static int check(struct builder *builder, const struct strv *registries,
		 struct lint_result **ret_result, struct err *err)
{
	struct lint_inputs inputs = {
		.sets = LINT_BUILDKIT | LINT_HADOLINT | LINT_CBUILD,
		.registries = registries,
	};
	const char *target = builder->options->target;
	int status;

	if (builder_parse(builder, err) < 0)
		return -1;
	status = builder_plan(builder, err);
	if (status < 0) {
		struct err why = ERR_INIT;

		return lint(builder, &inputs, true, ret_result, &why) < 0 ? -1 : status;
	}
	return lint(builder, &inputs, !target || !*target, ret_result, err);
}

int build_check(const struct build_options *options, const struct strv *registries,
		struct lint_result **ret_result, struct err *err)
{
	struct builder builder = { 0 };
	int status;

	*ret_result = NULL;
	builder_init(&builder, options);
	status = check(&builder, registries, ret_result, err);
	builder_release(&builder);
	return status;
}

int build_targets(const struct build_options *options, json_t **ret_targets, struct err *err)
{
	struct builder builder = { 0 };
	int status;

	builder_init(&builder, options);
	status = builder_parse(&builder, err);
	if (status == 0)
		*ret_targets = outline_targets(builder.dockerfile);
	builder_release(&builder);
	return status;
}

static json_t *outline(const struct builder *builder)
{
	cleanup_strv struct strv platforms = STRV_INIT;
	cleanup_free bool *stages = counting_stages(builder->plan, false);
	struct lookup lookup = { .store = builder->options->store, .plan = builder->plan };
	struct lint_inputs inputs = {
		.build_args = &builder->build_args,
		.platform_args = &platforms,
		.stages = stages,
		.base = find_base,
		.base_arg = &lookup,
	};
	json_t *result;

	platform_args(builder, &platforms);
	result = outline_of(builder->dockerfile, &inputs, builder->plan->target);
	release_known(lookup.known);
	return result;
}

int build_outline(const struct build_options *options, json_t **ret_outline, struct err *err)
{
	struct builder builder = { 0 };
	int status = -1;

	builder_init(&builder, options);
	if (builder_parse(&builder, err) == 0 && builder_plan(&builder, err) == 0) {
		*ret_outline = outline(&builder);
		status = 0;
	}
	builder_release(&builder);
	return status;
}
