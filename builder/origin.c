/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "builder/origin.h"

#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/schedule.h"
#include "sandbox/sandbox.h"

static int find_named(struct stage *stage, struct named *named, struct range where,
		      struct origin *origin, struct err *err)
{
	struct err why = ERR_INIT;

	if (named_kind(named) == NAMED_IMAGE || named_kind(named) == NAMED_LAYOUT) {
		origin->owned = true;
		return named_image(stage, named, where, &origin->key, &origin->image, err);
	}
	if (named_tree(stage, named, origin, &why) < 0)
		return dockerfile_error(stage->builder->dockerfile, where, why.kind, err, "%s",
					why.message);
	return 0;
}

int origin_find(struct stage *stage, const char *name, struct range where, struct origin *origin,
		struct err *err)
{
	struct builder *builder = stage->builder;
	struct named *named;
	size_t index;

	origin->stage = stage;
	origin->what = name;
	origin->owners = true;
	if (!*name || strchr(name, '$'))
		return dockerfile_error(builder->dockerfile, where, ERR_INVALID, err,
					"--from takes the name or number of a stage, or an image; "
					"variables are not expanded in it");
	if (plan_find_stage(builder->plan, name, stage->plan->index, &index)) {
		if (schedule_require(builder->schedule, index, err) < 0)
			return -1;
		origin->image = builder->stages[index].image;
		origin->key = builder->stages[index].key;
		origin->no_cache = builder->stages[index].no_cache;
		return 0;
	}
	named = named_find(builder->named, name, &stage->plan->platform);
	if (named)
		return find_named(stage, named, where, origin, err);
	if (name[strspn(name, "0123456789")] == '\0')
		return dockerfile_error(builder->dockerfile, where, ERR_INVALID, err,
					"--from=%s: there is no stage of this number above", name);
	origin->owned = true;
	return base_load(stage, where, name, &origin->key, &origin->image, err);
}

int origin_mount(struct origin *origin, bool writable, struct err *err)
{
	struct store *store = origin->stage->builder->options->store;
	const struct image *image = origin->image;

	if (stage_require_trees(origin->stage, image, err) < 0 ||
	    root_open(store, image->diff_ids, image->n_layers, &origin->root, err) < 0 ||
	    root_open_files(store, origin->root, writable, &origin->snapshot, &origin->mount_fd,
			    err) < 0)
		return -1;
	return 0;
}

int origin_open(struct origin *origin, struct err *err)
{
	const struct build_options *options = origin->stage->builder->options;

	if (origin->source)
		return 0;
	if (origin->mount_fd < 0 && origin_mount(origin, false, err) < 0)
		return -1;
	return source_open_root(options->store, origin->mount_fd, origin->what, options->jobs,
				&origin->source, err);
}

void origin_release(struct origin *origin)
{
	if (!origin->borrowed) {
		source_free(origin->source);
		overlay_unmount(origin->mount_fd);
		snapshot_free(origin->snapshot);
		root_free(origin->root);
	}
	if (origin->owned)
		image_free(origin->image);
	*origin = (struct origin)ORIGIN_INIT;
}
