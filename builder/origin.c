/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What COPY --from and RUN --mount from= name: a stage above, or an image. Finding it gives its
 * key, which touches no files; mounting it is for a step that is really run.
 */
#include "builder/internal.h"

#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

static int use_stage(struct builder *builder, size_t index, struct origin *origin, struct err *err)
{
	if (stage_require(builder, index, err) < 0)
		return -1;
	origin->image = builder->stages[index].image;
	origin->key = builder->stages[index].key;
	return 0;
}

int origin_find(struct builder *builder, struct stage *stage, const char *from, struct range where,
		struct origin *ret_origin, struct err *err)
{
	struct origin origin = ORIGIN_INIT;
	size_t index;

	origin.what = from;
	if (!*from || strchr(from, '$'))
		return dockerfile_error(builder->dockerfile, where, ERR_INVALID, err,
					"--from takes the name or number of a stage, or an image; "
					"variables are not expanded in it");
	if (plan_find_stage(builder->plan, from, stage->plan->index, &index)) {
		if (use_stage(builder, index, &origin, err) < 0)
			return -1;
	} else if (from[strspn(from, "0123456789")] == '\0') {
		return dockerfile_error(builder->dockerfile, where, ERR_INVALID, err,
					"--from=%s: there is no stage of this number above", from);
	} else {
		if (base_load(builder, builder->dockerfile, where, from, &stage->plan->platform,
			      &origin.key, &origin.image, err) < 0)
			return -1;
		origin.owned = true;
	}
	*ret_origin = origin;
	return 0;
}

int origin_mount(struct builder *builder, struct origin *origin, bool writable, struct err *err)
{
	struct store *store = builder->options->store;
	const struct image *image = origin->image;
	struct overlay overlay;

	if (builder_require_trees(builder, image, err) < 0 ||
	    root_open(store, image->diff_ids, image->n_layers, &origin->root, err) < 0 ||
	    snapshot_prepare(origin->root, writable, &origin->snapshot, err) < 0)
		return -1;
	overlay = (struct overlay){
		.dir_fd = store_fd(store),
		.lowers = (const char *const *)origin->snapshot->lowers,
		.n_lowers = origin->snapshot->n_lowers,
		.upper = origin->snapshot->upper,
		.work = origin->snapshot->work,
	};
	return overlay_mount(&overlay, false, &origin->mount_fd, err);
}

int origin_open(struct builder *builder, struct origin *origin, struct err *err)
{
	if (origin->mount_fd < 0 && origin_mount(builder, origin, false, err) < 0)
		return -1;
	return source_open_root(origin->mount_fd, origin->what, builder->options->jobs,
				&origin->source, err);
}

void origin_release(struct origin *origin)
{
	source_free(origin->source);
	if (origin->mount_fd >= 0)
		close(origin->mount_fd);
	snapshot_free(origin->snapshot);
	root_free(origin->root);
	if (origin->owned)
		image_free(origin->image);
	*origin = (struct origin)ORIGIN_INIT;
}
