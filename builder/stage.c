/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stage: its base, then its instructions one by one. The state is an image (config and
 * diff_ids) and the key of its file system; each step turns one state into the next.
 */
#include "builder/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/origin.h"
#include "builder/remote.h"
#include "builder/schedule.h"
#include "layers/layer.h"

#define HISTORY_COMMENT "cbuild.dockerfile.v1"

/* The key of a base's file system: what it consists of, whatever it is called. */
static void base_key(const struct image *image, struct digest *ret_key)
{
	char platform[PLATFORM_TEXT_MAX];
	cleanup_key struct key key;

	key_init(&key, "base");
	key_add(&key, "platform", platform_format(&image->platform, platform));
	for (size_t i = 0; i < image->n_layers; i++)
		key_add_digest(&key, "diff_id", &image->diff_ids[i]);
	key_finish(&key, ret_key);
}

/* The text of a trigger stands in no line of this file: its errors point at FROM. */
static void point_at_base(struct instruction *instruction, struct range range)
{
	instruction->range = instruction->line_range = instruction->args_range = range;
	for (size_t i = 0; i < instruction->n_args; i++)
		instruction->args[i].range = range;
	for (size_t i = 0; i < instruction->n_flags; i++)
		instruction->flags[i].range = range;
	for (size_t i = 0; i < instruction->n_heredocs; i++)
		instruction->heredocs[i].range = range;
}

/* The texts of ONBUILD that a stage of this file gives to those that stand on it. */
static void triggers_of(const struct stage *base, struct strv *ret_texts)
{
	if (base->plan->replaced) {
		strv_extend(ret_texts, &base->image->on_build);
		return;
	}
	for (size_t i = 0; i < base->plan->n_steps; i++)
		if (base->plan->steps[i].kind == INSTRUCTION_ONBUILD)
			strv_add(ret_texts, base->plan->steps[i].trigger->text);
}

/* They are steps as if they stood after FROM. What they read is needed as well. */
static int read_triggers(struct stage *stage, struct err *err)
{
	struct builder *builder = stage->builder;
	struct strv *texts = &stage->trigger_texts;

	if (stage->plan->base == STAGE_BASE_STAGE)
		triggers_of(&builder->stages[stage->plan->base_stage], texts);
	else if (!stage->plan->replaced)
		strv_extend(texts, &stage->image->on_build);
	stage->triggers = xcalloc(texts->n + 1, sizeof(*stage->triggers));
	for (size_t i = 0; i < texts->n; i++) {
		struct instruction *instruction;

		if (dockerfile_parse_trigger(builder->dockerfile, texts->v[i], &instruction, err) <
		    0)
			return err_wrap(err, "ONBUILD trigger \"%s\" of the base image",
					texts->v[i]);
		point_at_base(instruction, stage->plan->from->args[0].range);
		stage->triggers[i] = instruction;
		stage->count += step_counts(instruction);
		schedule_lock_plan(builder->schedule);
		builder->total += step_counts(instruction);
		plan_need(builder->plan, stage->plan->index, instruction);
		schedule_unlock_plan(builder->schedule);
	}
	return 0;
}

static int run_triggers(struct stage *stage, struct err *err)
{
	for (size_t i = 0; i < stage->trigger_texts.n; i++)
		if (step_apply(stage->builder, stage, stage->triggers[i], err) < 0)
			return err_wrap(err, "ONBUILD trigger \"%s\" of the base image",
					stage->trigger_texts.v[i]);
	return 0;
}

static int start_from_stage(struct stage *stage, struct err *err)
{
	struct builder *builder = stage->builder;
	struct stage *base = &builder->stages[stage->plan->base_stage];

	if (schedule_require(builder->schedule, base->plan->index, err) < 0)
		return -1;
	stage->image = image_copy(base->image);
	stage->unknown = base->unknown;
	stage->culprit = base->unknown ? base->culprit : 0;
	if (base->no_cache && !stage->no_cache)
		stage->no_cache = base->no_cache;
	stage_copy_costs(stage, base);
	strv_extend(&stage->env, &base->env);
	strv_extend(&stage->args, &base->args);
	stage->key = base->key;
	stage->created = base->created;
	stage->base_layers = base->base_layers;
	stage->base_history = base->base_history;
	return 0;
}

static void start_from_config(struct stage *stage)
{
	json_decref(stage->image->cache); /* the base's keys are not this image's */
	stage->image->cache = NULL;
	stage->unknown = digest_is_zero(&stage->base_id);
	base_key(stage->image, &stage->key);
	stage->created = stage->image->created;
	stage->base_layers = stage->image->n_layers;
	stage->base_history = stage->image->n_history;
	strv_extend(&stage->env, &stage->image->env);
}

static int start_from_image(struct stage *stage, struct err *err)
{
	const struct plan_stage *plan = stage->plan;

	if (base_load(stage, plan->from->args[0].range, plan->base_image, &stage->base_id,
		      &stage->image, err) < 0)
		return -1;
	start_from_config(stage);
	return 0;
}

static void start_from_scratch(struct stage *stage)
{
	stage->image = image_new();
	stage->image->platform = stage->plan->platform;
	free(stage->image->working_dir);
	stage->image->working_dir = xstrdup("/");
	base_key(stage->image, &stage->key);
}

static int start_from_named(struct stage *stage, struct err *err)
{
	const struct plan_stage *plan = stage->plan;
	enum named_kind kind = named_kind(plan->named);
	struct range where = plan->from->args[0].range;
	struct err why = ERR_INIT;

	if (kind == NAMED_IMAGE || kind == NAMED_LAYOUT) {
		if (named_image(stage, plan->named, where, &stage->base_id, &stage->image, err) < 0)
			return -1;
		start_from_config(stage);
		return 0;
	}
	start_from_scratch(stage);
	if (base_tree(stage, plan->named, &why) < 0)
		return dockerfile_error(stage->builder->dockerfile, where, why.kind, err, "%s",
					why.message);
	return 0;
}

/* What FROM says, or what stands in its place. */
static const char *base_text(const struct plan_stage *plan)
{
	if (plan->base == STAGE_BASE_NAMED)
		return named_value(plan->named);
	return plan->base == STAGE_BASE_IMAGE ? plan->base_image : plan->from->args[0].text;
}

/* Why no step of the stage may use the cache, or NULL. */
static const char *no_cache_option(const struct builder *builder, const struct stage *stage)
{
	const struct strv *stages = &builder->options->no_cache_stages;

	if (builder->options->no_cache)
		return "--no-cache";
	for (size_t i = 0; i < stages->n; i++) {
		size_t index;

		if (plan_find_stage(builder->plan, stages->v[i], builder->plan->n_stages, &index) &&
		    index == stage->plan->index)
			return builder->no_cache_names.v[i];
	}
	return NULL;
}

static void begin_from(struct stage *stage)
{
	cleanup_free char *shown = remote_redact(base_text(stage->plan));
	cleanup_free char *text = xasprintf("FROM %s", shown);

	stage_begin(stage, text);
}

/* The image is there. What runs the triggers does not hand them on. */
static void end_from(struct stage *stage)
{
	cleanup_free char *shown = remote_redact(base_text(stage->plan));

	if (!stage->plan->replaced)
		strv_release(&stage->image->on_build);
	if (!env_get(&stage->image->env, "PATH")) {
		env_set(&stage->image->env, "PATH", DEFAULT_PATH);
		env_set(&stage->env, "PATH", DEFAULT_PATH);
	}
	explain_base(stage, shown);
	stage_end(stage, BUILD_EVENT_DONE);
}

static int load_base(struct stage *stage, struct err *err)
{
	switch (stage->plan->base) {
	case STAGE_BASE_IMAGE:
		return start_from_image(stage, err);
	case STAGE_BASE_NAMED:
		return start_from_named(stage, err);
	default:
		start_from_scratch(stage);
		return 0;
	}
}

/* In turn: number the steps, for which the base must be known unless it is a stage. */
static int number_steps(struct stage *stage, struct err *err)
{
	struct builder *builder = stage->builder;
	bool own = stage->plan->base != STAGE_BASE_STAGE;

	stage->no_cache = no_cache_option(builder, stage);
	stage->first = builder->numbered + 1;
	if (own) {
		begin_from(stage);
		if (load_base(stage, err) < 0)
			return -1;
	}
	if (read_triggers(stage, err) < 0)
		return -1;
	builder->numbered += stage->count;
	if (own)
		end_from(stage);
	return 0;
}

/* Stages that nothing needed before the triggers of this one were read have their turn with it. */
static int take_turn(struct stage *stage, struct err *err)
{
	struct builder *builder = stage->builder;

	if (number_steps(stage, err) < 0)
		return -1;
	schedule_set_numbered(builder->schedule, stage);
	for (size_t i = 0; i < stage->plan->index; i++) {
		struct stage *other = &builder->stages[i];

		if (!builder->plan->stages[i].needed || other->numbered)
			continue;
		schedule_lock_plan(builder->schedule);
		builder->total += other->count;
		schedule_unlock_plan(builder->schedule);
		if (number_steps(other, err) < 0)
			return -1;
		schedule_set_numbered(builder->schedule, other);
		i = SIZE_MAX; /* its triggers may need what stands above it: from the beginning */
	}
	return 0;
}

static int wait_for_turn(struct stage *stage, struct err *err)
{
	struct schedule *schedule = stage->builder->schedule;
	cleanup_with(image_free) struct image *image = NULL;
	struct digest id = { 0 };
	bool mine;

	if (schedule_must_wait(schedule, stage) && base_fetch_ahead(stage, &id, &image, err) < 0)
		return -1;
	if (schedule_begin_turn(schedule, stage, &mine, err) < 0)
		return -1;
	if (!mine)
		return 0;
	stage->ahead_id = id;
	stage->ahead = steal_pointer(&image);
	if (take_turn(stage, err) < 0)
		return -1;
	schedule_end_turn(schedule);
	return 0;
}

static int start(struct stage *stage, struct err *err)
{
	if (wait_for_turn(stage, err) < 0)
		return -1;
	if (stage->plan->base == STAGE_BASE_STAGE) {
		if (start_from_stage(stage, err) < 0)
			return -1;
		begin_from(stage);
		end_from(stage);
	}
	return run_triggers(stage, err);
}

/* One instruction; in a plan, those that stand on what nobody knows are only named. */
static int apply(struct builder *builder, struct stage *stage,
		 const struct instruction *instruction, struct err *err)
{
	if (!stage->unknown)
		return step_apply(builder, stage, instruction, err);
	if (step_counts(instruction)) {
		cleanup_free char *text = step_shown(instruction);

		stage_begin(stage, text);
		explain_unknown(stage);
	}
	return 0;
}

static int build(struct stage *stage, struct err *err)
{
	if (start(stage, err) < 0)
		return -1;
	for (size_t i = 0; i < stage->plan->n_steps; i++)
		if (apply(stage->builder, stage, &stage->plan->steps[i], err) < 0)
			return -1;
	return 0;
}

int stage_build(struct stage *stage, struct err *err)
{
	struct err later = ERR_INIT;
	int status = build(stage, err);

	if (stage_collect(stage, status < 0 ? &later : err) < 0)
		status = -1;
	snapshot_free(steal_pointer(&stage->tree));
	store_unlock(&stage->lock_fd);
	return status;
}

int stage_root(struct builder *builder, struct stage *stage, struct root **ret_root,
	       struct err *err)
{
	const struct image *image = stage->image;

	if (!stage->root && root_open(builder->options->store, NULL, 0, &stage->root, err) < 0)
		return -1;
	while (root_count(stage->root) < image->n_layers)
		if (root_push(stage->root, &image->diff_ids[root_count(stage->root)], err) < 0)
			return -1;
	*ret_root = stage->root;
	return 0;
}

static void add_history(struct stage *stage, char *created_by, bool empty)
{
	struct image_history entry = {
		.created = stage->created,
		.has_created = true,
		.created_by = created_by,
		.comment = (char *)HISTORY_COMMENT,
		.empty_layer = empty,
	};

	image_add_history(stage->image, &entry);
}

void stage_add_result(struct stage *stage, const struct step_record *record,
		      const struct digest *key, const char *created_by)
{
	stage->key = *key;
	stage->created = record->created;
	if (!record->layer.empty)
		image_add_layer(stage->image, &record->layer.diff_id);
	add_history(stage, (char *)created_by, record->layer.empty);
	stage_add_cost(stage, record);
}

void stage_add_history(struct stage *stage, const char *format, ...)
{
	char *text;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	add_history(stage, text, true);
	free(text);
}

void stage_args_prefix(const struct stage *stage, struct buf *out)
{
	if (!stage->args.n)
		return;
	buf_addf(out, "|%zu ", stage->args.n);
	for (size_t i = 0; i < stage->args.n; i++) {
		size_t len = strcspn(stage->args.v[i], "=");
		const char *value = scope_lookup((void *)&stage->env, stage->args.v[i], len);

		buf_addf(out, "%.*s=%s ", (int)len, stage->args.v[i], value ? value : "");
	}
}

/* Lexical cleaning as Go's path.Join: what the links on the way mean is settled in the root. */
static void clean_into(struct buf *out, const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && !strncmp(path, "..", 2)) {
			while (out->len > 0 && out->data[out->len - 1] != '/')
				out->data[--out->len] = '\0';
			if (out->len > 0)
				out->data[--out->len] = '\0';
		} else if (len > 0 && !(len == 1 && *path == '.')) {
			buf_addch(out, '/');
			buf_add(out, path, len);
		}
		path += len;
		while (*path == '/')
			path++;
	}
}

char *stage_path(const struct stage *stage, const char *path, bool keep_slash)
{
	size_t len = strlen(path);
	bool slash = len > 0 && (path[len - 1] == '/' || !strcmp(path, ".") ||
				 (len > 1 && !strcmp(path + len - 2, "/.")));
	struct buf out;

	buf_init(&out, DOCKERFILE_EXPANSION_MAX * 2);
	if (*path != '/')
		clean_into(&out, stage->image->working_dir);
	clean_into(&out, path);
	if (out.len == 0 || (slash && keep_slash))
		buf_addch(&out, '/');
	return buf_steal(&out);
}
