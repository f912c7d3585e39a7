/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A build, from the text to the name:
 *  1. parse, plan: pure
 *  2. stages, those that need no other at once (schedule.c): each step is a key; a known key is a
 *     result, else the step is run
 *  3. BuildKit's checks are run: by now every base is in the store; before 2 as well when they
 *     may fail the build
 *  4. the config is put, everything is synced, then the names change, and are synced
 * Until 4 nothing that a user can see has changed; what 2 has finished stays as cache. In a build
 * where every key is known no user namespace is entered and nothing is mounted or unpacked.
 */
#include "builder/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/mount.h"
#include "builder/origin.h"
#include "builder/shared.h"
#include "dockerfile-parser/lint.h"
#include "builder/report.h"
#include "builder/schedule.h"
#include "sandbox/net.h"

void builder_event(struct builder *builder, struct build_event *event)
{
	schedule_lock_plan(builder->schedule);
	event->total = builder->total;
	schedule_unlock_plan(builder->schedule);
	if (!builder->listener)
		return;
	pthread_mutex_lock(&builder->listening);
	builder->listener(builder->arg, event);
	pthread_mutex_unlock(&builder->listening);
}

void builder_warn(struct builder *builder, const char *format, ...)
{
	struct build_event event = { .kind = BUILD_EVENT_WARNING };
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	event.text = text;
	event.len = strlen(text);
	builder_event(builder, &event);
}

int builder_enter(struct builder *builder, struct err *err)
{
	const struct build_options *options = builder->options;
	int status = 0;

	if (rights_enter(options->store, options->isolation, err) < 0)
		return -1;
	schedule_lock(builder->schedule);
	if (!builder->cgroup)
		status = cgroup_open(options->cgroup_parent, &options->cgroup_limits,
				     &builder->cgroup, err);
	schedule_unlock(builder->schedule);
	return status;
}

static int open_context(struct builder *builder, struct err *err)
{
	const struct build_options *options = builder->options;

	if (options->context_fd < 0)
		return err_set(err, ERR_NOT_FOUND, "there is no build context to copy from");
	if (options->context_remote)
		return source_open_root(options->store, options->context_fd, options->context_path,
					options->jobs, &builder->context, err);
	if (options->ignore_text && !builder->ignore &&
	    ignore_parse(options->ignore_name, options->ignore_text, options->ignore_len,
			 &builder->ignore, err) < 0)
		return -1;
	return source_open_context(options->store, options->context_path, options->context_fd,
				   builder->ignore, options->jobs, &builder->context, err);
}

int builder_context(struct builder *builder, struct source **ret_source, struct err *err)
{
	int status = 0;

	schedule_lock(builder->schedule);
	if (!builder->context)
		status = open_context(builder, err);
	*ret_source = builder->context;
	schedule_unlock(builder->schedule);
	return status;
}

/* Each name once: the last value given. */
static void copy_build_args(const struct strv *given, struct strv *ret_args)
{
	for (size_t i = 0; i < given->n; i++) {
		size_t len = strcspn(given->v[i], "=");
		cleanup_free char *name = xstrndup(given->v[i], len);

		env_set(ret_args, name, given->v[i][len] ? given->v[i] + len + 1 : "");
	}
}

/* A stage that does not exist is a mistake, and would be ignored otherwise. */
static int check_no_cache(struct builder *builder, struct err *err)
{
	const struct strv *stages = &builder->options->no_cache_stages;
	size_t index;

	for (size_t i = 0; i < stages->n; i++) {
		if (!plan_find_stage(builder->plan, stages->v[i], builder->plan->n_stages, &index))
			return err_set(err, ERR_INVALID, "--no-cache-filter: no stage \"%s\" in %s",
				       stages->v[i], builder->options->dockerfile_name);
		strv_addf(&builder->no_cache_names, "--no-cache-filter %s", stages->v[i]);
	}
	return 0;
}

size_t build_dockerfile_max(const struct build_options *options)
{
	return options->dockerfile_max ? options->dockerfile_max : DOCKERFILE_MAX;
}

int builder_parse(struct builder *builder, struct err *err)
{
	const struct build_options *options = builder->options;

	copy_build_args(&options->build_args, &builder->build_args);
	if (dockerfile_parse_large(options->dockerfile_name, options->dockerfile_text,
				   options->dockerfile_len, build_dockerfile_max(options),
				   &builder->dockerfile, err) < 0)
		return -1;
	return dockerfile_check_stages(builder->dockerfile, err);
}

int builder_plan(struct builder *builder, struct err *err)
{
	struct platform platform;

	if (builder->options->platform)
		platform = *builder->options->platform;
	else
		platform_host(&platform);
	if (plan_make(builder->dockerfile, &builder->build_args, builder->options->target,
		      &platform, &builder->plan, err) < 0 ||
	    check_no_cache(builder, err) < 0 ||
	    named_parse(&builder->options->contexts, &builder->named, err) < 0)
		return -1;
	plan_use_contexts(builder->plan, builder->named);
	return 0;
}

static int prepare(struct builder *builder, struct err *err)
{
	struct build_event event = { .kind = BUILD_EVENT_PLAN };
	bool has_epoch;
	int64_t epoch;
	size_t needed = 0;

	if (builder_parse(builder, err) < 0 || builder_plan(builder, err) < 0 ||
	    epoch_find(builder, &has_epoch, &epoch, err) < 0) /* said before anything is run */
		return -1;
	builder->stages = xcalloc(builder->plan->n_stages, sizeof(*builder->stages));
	for (size_t i = 0; i < builder->plan->n_stages; i++) {
		struct plan_stage *plan = &builder->plan->stages[i];

		needed += plan->needed;
		builder->stages[i].builder = builder;
		builder->stages[i].lock_fd = -1;
		pthread_mutex_init(&builder->stages[i].placing, NULL);
		builder->stages[i].plan = plan;
		builder->stages[i].report = build_report_new(NULL, NULL);
		builder->stages[i].count = 1;
		for (size_t k = 0; k < plan->n_steps; k++)
			builder->stages[i].count += step_counts(&plan->steps[k]);
		if (plan->needed)
			builder->total += builder->stages[i].count;
	}
	builder->alone = needed == 1;
	if (!builder->planning && builder_has_check_options(builder) &&
	    builder_lint(builder, err) < 0)
		return -1;
	builder_event(builder, &event);
	return builder->planning || builder->here_only ? 0 : shared_open(builder, err);
}

/* --label, in the order given, after all that the Dockerfile says. */
static int add_labels(struct image *image, const struct strv *labels, struct err *err)
{
	for (size_t i = 0; i < labels->n; i++) {
		size_t len = strcspn(labels->v[i], "=");
		cleanup_free char *name = xstrndup(labels->v[i], len);

		if (json_object_set_new(
			    image->labels, name,
			    json_string(labels->v[i][len] ? labels->v[i] + len + 1 : "")) < 0)
			return err_set(err, ERR_INVALID, "label %s is not UTF-8", name);
	}
	return 0;
}

/* Whether the store had the image before: then it is as safe as it will be. */
static bool is_known(struct store *store, const struct image *image)
{
	struct err ignored = ERR_INIT;
	struct image_record record;
	struct digest id;
	size_t len;
	cleanup_free char *text = image_format(image, &len);

	digest_of(text, len, &id);
	return image_record_get(store, &id, &record, &ignored) == 0;
}

/* Give the image its names, those that mean something else so far. */
static int tag(struct builder *builder, const struct digest *id, bool *ret_changed, struct err *err)
{
	const struct build_options *options = builder->options;

	*ret_changed = false;
	for (size_t i = 0; i < options->tags.n; i++) {
		struct image_name old = { 0 };
		struct err ignored = ERR_INIT;
		bool same =
			image_name_get(options->store, options->tags.v[i], &old, &ignored) == 0 &&
			digest_equal(&old.id, id);

		image_name_release(&old);
		if (same)
			continue;
		if (image_tag(options->store, options->tags.v[i], id, NULL, err) < 0)
			return -1;
		*ret_changed = true;
	}
	return 0;
}

static int sync_store(const struct build_options *options, struct err *err)
{
	if (options->no_sync)
		return store_put_off_sync(options->store, err);
	return store_sync(options->store, err);
}

static void count_steps(const struct builder *builder, struct build_result *result)
{
	for (size_t i = 0; i < builder->plan->n_stages; i++) {
		result->executed += builder->stages[i].executed;
		result->cached += builder->stages[i].cached;
	}
}

static int publish(struct builder *builder, struct build_result *result, struct err *err)
{
	const struct build_options *options = builder->options;
	struct stage *stage = &builder->stages[builder->plan->target];
	struct err late = ERR_INIT;
	bool known, tagged, has_epoch;
	int64_t epoch;

	stage->image->created = stage->created;
	stage->image->has_created = true;
	if (epoch_find(builder, &has_epoch, &epoch, err) < 0 ||
	    (has_epoch && epoch_apply(builder, stage, epoch, err) < 0))
		return -1;
	if (add_labels(stage->image, &options->labels, err) < 0)
		return -1;
	shared_add_inline(builder, stage->image);
	count_steps(builder, result);
	known = !result->executed && is_known(options->store, stage->image) &&
		(options->no_sync || store_is_synced(options->store));
	if (image_put(options->store, stage->image, &result->id, err) < 0 ||
	    (!known && sync_store(options, err) < 0) || tag(builder, &result->id, &tagged, err) < 0)
		return -1;
	if (!known && stage_save_costs(options->store, stage, &result->id, &late) < 0)
		builder_warn(builder, "the costs of the image were not kept: %s", late.message);
	if (tagged && sync_store(options, err) < 0)
		return -1;
	return shared_export(builder, err);
}

void builder_init(struct builder *builder, const struct build_options *options)
{
	builder->options = options;
	builder->report = build_report_new(options->context_path, options->dockerfile_path);
	builder->schedule = schedule_new(builder);
	builder->net = net_new();
	pthread_mutex_init(&builder->listening, NULL);
}

void builder_release(struct builder *builder)
{
	for (size_t i = 0; builder->stages && i < builder->plan->n_stages; i++) {
		image_free(builder->stages[i].image);
		image_free(builder->stages[i].ahead);
		root_free(builder->stages[i].root);
		strv_release(&builder->stages[i].env);
		strv_release(&builder->stages[i].args);
		free(builder->stages[i].costs);
		strv_release(&builder->stages[i].trigger_texts);
		free(builder->stages[i].triggers);
		build_report_free(builder->stages[i].report);
		pthread_mutex_destroy(&builder->stages[i].placing);
	}
	free(builder->stages);
	shared_free(builder->shared);
	free(builder->epoch_keys);
	ssh_agents_free(builder);
	net_free(builder->net); /* its processes are in our group */
	cgroup_free(builder->cgroup);
	strv_release(&builder->build_args);
	strv_release(&builder->no_cache_names);
	build_report_free(builder->report);
	build_report_free(builder->earlier);
	source_free(builder->context);
	named_free(builder->named);
	ignore_free(builder->ignore);
	lint_free(builder->lint);
	plan_free(builder->plan);
	dockerfile_free(builder->dockerfile);
	schedule_free(builder->schedule);
	pthread_mutex_destroy(&builder->listening);
}

/* The steps that were under way; the one that the error is of comes last. */
static void announce_failure(struct builder *builder, struct stage *failed, const struct err *err)
{
	struct build_event event = {
		.kind = BUILD_EVENT_FAILED,
		.text = err->message,
		.len = strlen(err->message),
	};

	for (size_t i = 0; i < builder->plan->n_stages; i++)
		if (builder->stages[i].open && &builder->stages[i] != failed)
			stage_end(&builder->stages[i], BUILD_EVENT_CANCELLED);
	if (failed && failed->position)
		stage_event(failed, &event);
}

/* What the checks found is said last, whether the build succeeds or not. */
static void announce_lint(struct builder *builder)
{
	struct build_event event = { .kind = BUILD_EVENT_LINT, .lint = builder->lint };

	if (builder->lint && builder->lint->n_warnings)
		builder_event(builder, &event);
}

/* The steps of all stages, and what is remembered of them whether they end well or not. */
static int run_stages(struct builder *builder, struct err *err)
{
	struct build_event event = { .kind = BUILD_EVENT_REPORT, .report = builder->report };
	struct err late = ERR_INIT;
	struct stage *failed;
	int status;

	status = schedule_run(builder->schedule, &failed, err);
	if (builder->context && source_save(builder->context, &late) < 0)
		builder_warn(builder, "the context index was not saved: %s", late.message);
	named_save(builder);
	explain_gather(builder);
	if (status < 0 && !builder->planning) {
		announce_failure(builder, failed, err);
		builder_lint(builder, &late);
	}
	if (builder->planning)
		return status;
	explain_save(builder);
	if (status == 0)
		builder_event(builder, &event);
	return status;
}

static int run(struct builder *builder, struct build_result *result, struct err *err)
{
	if (prepare(builder, err) < 0 || run_stages(builder, err) < 0)
		return -1;
	for (size_t i = 0; i < builder->plan->unused_args.n; i++)
		builder_warn(builder, "build argument %s was given but no ARG declares it",
			     builder->plan->unused_args.v[i]);
	if (builder_lint(builder, err) < 0)
		return -1;
	return publish(builder, result, err);
}

static int begin(struct builder *builder, struct build_result *result, struct err *err)
{
	builder_init(builder, builder->options);
	return run(builder, result, err);
}

/* What others promised could not be had: all over, with what is here. Once. */
static int begin_again(struct builder *builder, struct build_result *result, struct err *err)
{
	struct builder next = {
		.options = builder->options,
		.listener = builder->listener,
		.arg = builder->arg,
		.here_only = true,
	};

	builder_warn(builder, "the build begins again, without layers that are elsewhere: %s",
		     err->message);
	err_clear(err);
	builder_release(builder);
	*builder = next;
	*result = (struct build_result){ 0 };
	return begin(builder, result, err);
}

int build_run(const struct build_options *options, build_listener *listener, void *arg,
	      struct build_result *ret_result, struct err *err)
{
	struct builder builder = { .options = options, .listener = listener, .arg = arg };
	struct build_result result = { 0 };
	int status = begin(&builder, &result, err);

	if (status < 0 && builder.lost)
		status = begin_again(&builder, &result, err);
	announce_lint(&builder);
	if (status == 0)
		*ret_result = result;
	builder_release(&builder);
	return status;
}

int build_plan(const struct build_options *options, struct build_report **ret_report,
	       struct err *err)
{
	struct builder builder = { .planning = true };
	int status;

	builder_init(&builder, options);
	status = prepare(&builder, err);
	if (status == 0)
		status = run_stages(&builder, err);
	if (status == 0)
		*ret_report = steal_pointer(&builder.report);
	builder_release(&builder);
	return status;
}
