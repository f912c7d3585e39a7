/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving to shared caches, after the build: what its steps were is in its report, and the records
 * are in the store, whether the steps ran or were known. With mode=min, and for records inside the
 * image, only the steps count whose layers the image has: those of the target and of the stages it
 * is FROM.
 */
#include "builder/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/report.h"
#include "registry/reference.h"

/* --- which steps ------------------------------------------------------------------------------ */

static bool is_of_image(const struct builder *builder, const struct step_report *step)
{
	size_t at = builder->plan->target;

	for (;;) {
		const struct plan_stage *plan = &builder->plan->stages[at];
		char label[STAGE_LABEL_MAX];
		const char *name;

		stage_label(&builder->stages[at], label, &name);
		if (!strcmp(step->stage, name))
			return true;
		if (plan->base != STAGE_BASE_STAGE)
			return false;
		at = plan->base_stage;
	}
}

/* Call function for each record of the build, in its order; of some there is none. */
typedef int each_function(void *arg, const struct digest *key, const struct step_record *record,
			  struct err *err);

static int call(struct builder *builder, const struct digest *key, each_function *function,
		void *arg, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct step_record record;

	if (digest_is_zero(key) || cache_get(builder->options->store, key, &record, &ignored) < 0)
		return 0;
	return function(arg, key, &record, err);
}

static int each_record(struct builder *builder, bool max, each_function *function, void *arg,
		       struct err *err)
{
	for (size_t i = 0; i < builder->report->n_steps; i++) {
		const struct step_report *step = &builder->report->steps[i];

		if (!max && !is_of_image(builder, step))
			continue;
		if (call(builder, &step->key, function, arg, err) < 0 ||
		    call(builder, &step->quick, function, arg, err) < 0)
			return -1;
	}
	return 0;
}

/* The same for the layers whose times were put right. */
static int each_epoch_record(struct builder *builder, each_function *function, void *arg,
			     struct err *err)
{
	for (size_t i = 0; i < builder->n_epoch_keys; i++)
		if (call(builder, &builder->epoch_keys[i], function, arg, err) < 0)
			return -1;
	return 0;
}

/* --- in the image ----------------------------------------------------------------------------- */

/* Of a step whose layer the image has, or that has none: SOURCE_DATE_EPOCH may have put another in
 * its place. */
static int add_element(void *arg, const struct digest *key, const struct step_record *record,
		       struct err *err)
{
	struct image *image = arg;
	bool found = record->layer.empty;

	(void)err;
	for (size_t i = 0; i < image->n_layers && !found; i++)
		found = digest_equal(&image->diff_ids[i], &record->layer.diff_id);
	if (found)
		json_array_append_new(image->cache, shared_format_inline(key, record, image));
	return 0;
}

void shared_add_inline(struct builder *builder, struct image *image)
{
	const struct build_options *options = builder->options;
	struct err never = ERR_INIT;

	for (size_t i = 0; i < options->n_cache_to; i++) {
		if (options->cache_to[i].kind != BUILD_CACHE_INLINE)
			continue;
		json_decref(image->cache);
		image->cache = json_array();
		each_record(builder, false, add_element, image, &never);
	}
}

/* --- elsewhere -------------------------------------------------------------------------------- */

struct parcel {
	struct builder *builder;
	const struct build_cache *cache;
	struct tagged *tags;
	char **names;
	size_t n, cap_tags, cap_names;
};

static void parcel_release(struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->n; i++) {
		free(parcel->tags[i].text);
		free(parcel->names[i]);
	}
	free(parcel->tags);
	free(parcel->names);
}

static int pack(void *arg, const struct digest *key, const struct step_record *record,
		struct err *err)
{
	struct parcel *parcel = arg;
	struct store *store = parcel->builder->options->store;
	struct tagged tag = { .replace = shared_has_lied(parcel->builder, key) };
	struct err ignored = ERR_INIT;
	cleanup_json json_t *parts = NULL;
	char name[SHARED_TAG_MAX];

	if (!record->layer.empty) {
		tag.diff_id = record->layer.diff_id;
		if (layer_blob(store, &tag.diff_id, parcel->cache->compression, &tag.blob, err) < 0)
			return -1;
	}
	if (cache_get_parts(store, key, &parts, &ignored) < 0)
		parts = NULL;
	parcel->tags =
		grow_vector(parcel->tags, parcel->n, &parcel->cap_tags, sizeof(*parcel->tags));
	parcel->names =
		grow_vector(parcel->names, parcel->n, &parcel->cap_names, sizeof(*parcel->names));
	tag.tag = parcel->names[parcel->n] = xstrdup(shared_tag(key, name));
	tag.text = shared_format(key, record, &tag.blob, parts);
	parcel->tags[parcel->n++] = tag;
	return 0;
}

/* Events are its last step's. */
static struct stage *target_of(const struct builder *builder)
{
	return &builder->stages[builder->plan->target];
}

static int send_to_registry(const struct parcel *parcel, struct err *err)
{
	const struct build_options *options = parcel->builder->options;
	struct reference reference;

	if (reference_parse(parcel->cache->place, &reference, err) < 0)
		return -1;
	return transport_put_tags(&options->transport, options->store, &reference, parcel->tags,
				  parcel->n, stage_transfer, target_of(parcel->builder), err);
}

static int send_to_directory(const struct parcel *parcel, struct err *err)
{
	const struct build_options *options = parcel->builder->options;
	cleanup_free struct digest *diff_ids = xcalloc(parcel->n + 1, sizeof(*diff_ids));
	cleanup_fd int dir_fd = -1;
	size_t n = 0;

	for (size_t i = 0; i < parcel->n; i++)
		if (!digest_is_zero(&parcel->tags[i].diff_id))
			diff_ids[n++] = parcel->tags[i].diff_id;
	if (file_mkdirs_at(AT_FDCWD, parcel->cache->place, 0755, err) < 0 ||
	    transport_fetch_layers(&options->transport, options->store, diff_ids, n, stage_transfer,
				   target_of(parcel->builder), err) < 0)
		return -1;
	dir_fd = open(parcel->cache->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_os(err, "open %s", parcel->cache->place);
	return layout_put_tags(options->store, dir_fd, parcel->tags, parcel->n, err);
}

static int export_to(struct builder *builder, const struct build_cache *cache, struct err *err)
{
	struct parcel parcel = { .builder = builder, .cache = cache };
	int status = each_record(builder, cache->max, pack, &parcel, err);

	if (status == 0)
		status = each_epoch_record(builder, pack, &parcel, err);
	if (status == 0)
		status = cache->kind == BUILD_CACHE_REGISTRY ? send_to_registry(&parcel, err)
							     : send_to_directory(&parcel, err);
	parcel_release(&parcel);
	return status;
}

int shared_export(struct builder *builder, struct err *err)
{
	const struct build_options *options = builder->options;

	for (size_t i = 0; i < options->n_cache_to; i++) {
		const struct build_cache *cache = &options->cache_to[i];

		if (cache->kind == BUILD_CACHE_INLINE || export_to(builder, cache, err) == 0)
			continue;
		if (!cache->ignore_error || err->kind == ERR_CANCELLED)
			return err_wrap(err, "export the cache to %s", cache->place);
		builder_warn(builder, "the cache was not exported to %s: %s", cache->place,
			     err->message);
		err_clear(err);
	}
	return 0;
}
