/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is told of the step that a stage has under way. Everything here belongs to the stage; what
 * it has in common with others is the listener.
 */
#include "builder/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/report.h"
#include "builder/schedule.h"
#include "builder/shared.h"

#define WAIT_TOLD_MS 64	 /* the wait after which it is said that there is one */
#define WAIT_MAX_MS  128 /* between two looks */

unsigned stage_number(const struct stage *stage)
{
	return stage->first + stage->position - 1;
}

void stage_event(struct stage *stage, struct build_event *event)
{
	event->step = stage_number(stage);
	event->name = stage->name;
	builder_event(stage->builder, event);
}

void stage_transfer(void *arg, const struct transport_event *transfer)
{
	struct build_event event = { .kind = BUILD_EVENT_TRANSFER, .transfer = transfer };

	stage_event(arg, &event);
}

void stage_begin(struct stage *stage, const char *text)
{
	struct build_event event = { .kind = BUILD_EVENT_BEGIN };
	cleanup_free char *unnamed = NULL;
	const char *name = stage->plan->name;

	if (stage->builder->alone)
		name = "";
	else if (!name)
		name = unnamed = xasprintf("stage-%zu", stage->plan->index);
	snprintf(stage->name, sizeof(stage->name), "[%s%s%u/%u] %s", name, *name ? " " : "",
		 ++stage->position, stage->count, text);
	stage->began = clock_monotonic_ns();
	stage->open = true;
	explain_begin(stage, text);
	stage_event(stage, &event);
}

void stage_end(struct stage *stage, enum build_event_kind kind)
{
	struct build_event event = {
		.kind = kind,
		.duration_ns = clock_monotonic_ns() - stage->began,
	};

	if (kind == BUILD_EVENT_CACHED)
		event.text = report_current(stage)->from;
	store_unlock(&stage->lock_fd);
	stage->open = false;
	stage_event(stage, &event);
}

void stage_finish(struct stage *stage, bool cached, const struct step_record *record)
{
	explain_finish(stage, cached, record);
	if (cached)
		stage->cached++;
	else
		stage->executed++;
	stage_end(stage, cached ? BUILD_EVENT_CACHED : BUILD_EVENT_DONE);
}

/* A record whose layer is here, or may be elsewhere. */
static bool read_record(struct builder *builder, const struct digest *key,
			struct step_record *ret_record)
{
	struct store *store = builder->options->store;
	struct step_record record;
	struct err why = ERR_INIT;

	if (cache_get(store, key, &record, &why) < 0) {
		if (why.kind != ERR_NOT_FOUND)
			builder_warn(builder, "the step is run again: %s", why.message);
		return false;
	}
	if (builder->here_only && !record.layer.empty &&
	    !layer_present(store, &record.layer.diff_id))
		return false;
	*ret_record = record;
	return true;
}

bool stage_look_up(struct stage *stage, const struct digest *key, struct step_record *ret_record)
{
	struct builder *builder = stage->builder;

	if (stage->no_cache)
		return false;
	if (!read_record(builder, key, ret_record) &&
	    !(shared_find(builder, key) && read_record(builder, key, ret_record)))
		return false;
	explain_hit(stage, key, &ret_record->key, shared_origin(builder, key));
	return true;
}

/* Take the lock of a key. */
static int lock_key(struct stage *stage, const struct digest *key, struct err *err)
{
	struct transport_event note = {
		.state = TRANSPORT_NOTE,
		.text = "waiting for the same step in another stage or build",
	};
	unsigned ms = 1;

	for (;;) {
		if (store_lock_key(stage->builder->options->store, "steps", key, &stage->lock_fd,
				   err) < 0)
			return -1;
		if (stage->lock_fd >= 0)
			return 0;
		if (ms == WAIT_TOLD_MS)
			stage_transfer(stage, &note);
		if (schedule_pause(stage->builder->schedule, ms, err) < 0)
			return -1;
		if (ms < WAIT_MAX_MS)
			ms *= 2;
	}
}

int stage_claim(struct stage *stage, const struct digest *key, bool *ret_known,
		struct step_record *ret_record, struct err *err)
{
	*ret_known = stage_look_up(stage, key, ret_record);
	if (*ret_known || stage->no_cache || stage->builder->planning)
		return 0;
	if (lock_key(stage, key, err) < 0)
		return -1;
	/* it may have been done between the look and the lock, too */
	*ret_known = stage_look_up(stage, key, ret_record);
	if (*ret_known)
		store_unlock(&stage->lock_fd);
	return 0;
}

static void unpacking(void *arg, const struct digest *diff_id, bool done)
{
	char text[DIGEST_TEXT_MAX];
	struct transport_event transfer = { .state = TRANSPORT_NOTE, .digest = *diff_id };
	cleanup_free char *note = NULL;

	if (done)
		return;
	note = xasprintf("unpacking %.19s", digest_format(diff_id, text));
	transfer.text = note;
	stage_transfer(arg, &transfer);
}

/* Those layers that have their names. The others are trees, see defer.c. */
static struct digest *named_layers(const struct image *image, size_t *ret_n)
{
	struct digest *named = xcalloc(image->n_layers + 1, sizeof(*named));
	size_t n = 0;

	for (size_t i = 0; i < image->n_layers; i++)
		if (!digest_is_zero(&image->diff_ids[i]))
			named[n++] = image->diff_ids[i];
	*ret_n = n;
	return named;
}

int stage_require_trees(struct stage *stage, const struct image *image, struct err *err)
{
	const struct build_options *options = stage->builder->options;
	size_t n;
	cleanup_free struct digest *named = named_layers(image, &n);

	if (builder_enter(stage->builder, err) < 0 || shared_bring(stage, named, n, err) < 0)
		return -1;
	if (layer_require_trees(options->store, named, n, options->jobs, unpacking, stage, err) ==
	    0)
		return 0;
	if (err->kind != ERR_OS && err->kind != ERR_CANCELLED)
		shared_distrust(stage->builder, image);
	return -1;
}

int stage_require_root(struct stage *stage, const struct image *image, struct err *err)
{
	struct store *store = stage->builder->options->store;
	size_t n;
	cleanup_free struct digest *named = named_layers(image, &n);
	bool trees;

	if (root_is_ready(store, named, n, &trees) && !trees && n == image->n_layers)
		return 0;
	if (builder_enter(stage->builder, err) < 0)
		return -1;
	/* of another kind, perhaps, than before */
	return root_is_ready(store, named, n, &trees)
		       ? 0
		       : stage_require_trees(stage, image, err);
}
