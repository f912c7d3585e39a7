/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FROM and --from=image: local first. A name that the store has is not asked for again unless
 * --pull says so, or it is of another platform than the one wanted. A plan asks nobody.
 *
 * FROM is done in the order of the file, and bases are fetched at once: a stage that has to wait
 * for its turn fetches its base meanwhile. What two bases have in common is fetched once, since the
 * helper holds a blob's lock while it fetches it.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/remote.h"
#include "builder/schedule.h"
#include "registry/reference.h"

/* The step that it is for has no number yet. */
static void transfer_ahead(void *arg, const struct transport_event *transfer)
{
	struct stage *stage = arg;

	if (transfer->state == TRANSPORT_NOTE)
		builder_warn(stage->builder, "%s", transfer->text);
}

static int pull(struct stage *stage, const struct reference *reference, bool ahead,
		struct digest *ret_id, struct err *err)
{
	const struct build_options *options = stage->builder->options;
	struct transport_options transport = options->transport;
	char familiar[REFERENCE_TEXT_MAX];
	struct transport_image image;

	transport.platform = &stage->plan->platform;
	transport.lazy = !stage->builder->here_only;
	if (remote_allowed(options, reference_familiar(reference, familiar), err) < 0)
		return -1;
	if (transport_pull(&transport, options->store, reference,
			   ahead ? transfer_ahead : stage_transfer, stage, &image, err) < 0)
		return -1;
	*ret_id = image.id;
	return 0;
}

int base_find(struct store *store, const struct reference *reference, struct digest *ret_id,
	      struct digest *ret_remote, struct image **ret_image, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];
	struct image_name found = { 0 };

	if (image_name_get(store, reference_format(reference, name), &found, err) < 0)
		return -1;
	*ret_id = found.id;
	*ret_remote = found.remote;
	image_name_release(&found);
	return image_load(store, ret_id, ret_image, err);
}

/* A damaged store may have lost a layer: then the image is fetched again. */
static bool is_whole(const struct builder *builder, const struct image *image)
{
	struct store *store = builder->options->store;

	for (size_t i = 0; i < image->n_layers; i++)
		if (builder->here_only ? !layer_present(store, &image->diff_ids[i])
				       : !layer_known(store, &image->diff_ids[i]))
			return false;
	return true;
}

/*
 * Whether an image of the store is good enough, by --pull. When a registry that is asked for a
 * newer one does not answer, what is here is taken.
 */
static int is_fresh(struct builder *builder, const struct reference *reference,
		    const struct digest *remote, bool *ret_fresh, struct err *err)
{
	const struct build_options *options = builder->options;
	char familiar[REFERENCE_TEXT_MAX];
	struct err why = ERR_INIT;
	struct digest now;

	*ret_fresh = true;
	if (options->pull != BUILD_PULL_NEWER || builder->planning || reference->has_digest)
		return 0;
	if (remote_allowed(builder->options, reference_familiar(reference, familiar), err) < 0)
		return -1;
	if (transport_resolve(&options->transport, options->store, reference, &now, &why) == 0)
		*ret_fresh = digest_equal(&now, remote);
	else if (why.kind == ERR_CANCELLED)
		return err_set(err, why.kind, "%s", why.message);
	else
		builder_warn(builder, "the image in the store is used: %s", why.message);
	return 0;
}

static int find_or_pull(struct stage *stage, const struct reference *reference, bool ahead,
			struct digest *ret_id, struct image **ret_image, struct err *err)
{
	struct builder *builder = stage->builder;
	const struct platform *platform = &stage->plan->platform;
	struct store *store = builder->options->store;
	char familiar[REFERENCE_TEXT_MAX];
	cleanup_with(image_free) struct image *image = NULL;
	struct digest remote;
	bool good;

	if ((builder->options->pull != BUILD_PULL_ALWAYS || builder->planning) &&
	    base_find(store, reference, ret_id, &remote, &image, err) == 0) {
		good = builder->options->pull == BUILD_PULL_NEVER ||
		       (platform_match(platform, &image->platform) && is_whole(builder, image));
		if (good && is_fresh(builder, reference, &remote, &good, err) < 0)
			return -1;
		if (good) {
			*ret_image = steal_pointer(&image);
			return 0;
		}
	}
	if (builder->options->pull == BUILD_PULL_NEVER)
		return err_set(err, ERR_NOT_FOUND,
			       "%s: not in the store, and --pull=never was given",
			       reference_familiar(reference, familiar));
	err_clear(err);
	if (builder->planning) {
		*ret_id = (struct digest){ 0 };
		*ret_image = image_new();
		(*ret_image)->platform = *platform;
		return 0;
	}
	if (schedule_work(builder->schedule, err) < 0 ||
	    pull(stage, reference, ahead, ret_id, err) < 0)
		return -1;
	return image_load(store, ret_id, ret_image, err);
}

/* Who mistypes the name of a stage asks for an image that nobody has. */
static int not_loaded(const struct builder *builder, const struct dockerfile *dockerfile,
		      struct range where, const char *name, const struct err *why, struct err *err)
{
	const char *near = plan_near_stage(builder->plan, name, where.start.line);

	if (!near)
		return dockerfile_error(dockerfile, where, why->kind, err, "%s", why->message);
	return dockerfile_error(dockerfile, where, why->kind, err,
				"%s (did you mean the stage %s?)", why->message, near);
}

static int load(struct stage *stage, struct range where, const char *name, bool ahead,
		struct digest *ret_id, struct image **ret_image, struct err *err)
{
	struct builder *builder = stage->builder;
	const struct dockerfile *dockerfile = builder->dockerfile;
	struct reference reference;
	struct err why = ERR_INIT;

	if (reference_parse(name, &reference, &why) < 0)
		return dockerfile_error(dockerfile, where, ERR_INVALID, err, "%s: %s", name,
					why.message);
	if (find_or_pull(stage, &reference, ahead, ret_id, ret_image, &why) < 0)
		return not_loaded(builder, dockerfile, where, name, &why, err);
	return 0;
}

/* Whether a stage above has the same base: it is fetched once, by that. */
static bool is_repeated(const struct stage *stage)
{
	const struct builder *builder = stage->builder;
	const struct plan_stage *mine = stage->plan;
	bool repeated = false;

	schedule_lock_plan(builder->schedule);
	for (size_t i = 0; i < mine->index && !repeated; i++) {
		const struct plan_stage *other = &builder->plan->stages[i];

		repeated = other->needed && other->base == STAGE_BASE_IMAGE &&
			   !strcmp(other->base_image, mine->base_image);
	}
	schedule_unlock_plan(builder->schedule);
	return repeated;
}

int base_fetch_ahead(struct stage *stage, struct digest *ret_id, struct image **ret_image,
		     struct err *err)
{
	const struct plan_stage *plan = stage->plan;

	if (plan->base != STAGE_BASE_IMAGE || is_repeated(stage))
		return 0;
	return load(stage, plan->from->args[0].range, plan->base_image, true, ret_id, ret_image,
		    err);
}

int base_load(struct stage *stage, struct range where, const char *name, struct digest *ret_id,
	      struct image **ret_image, struct err *err)
{
	const struct platform *platform = &stage->plan->platform;
	char want[PLATFORM_TEXT_MAX], have[PLATFORM_TEXT_MAX];

	if (stage->ahead && name == stage->plan->base_image) {
		*ret_id = stage->ahead_id;
		*ret_image = steal_pointer(&stage->ahead);
	} else if (load(stage, where, name, false, ret_id, ret_image, err) < 0) {
		return -1;
	}
	if (!platform_match(platform, &(*ret_image)->platform))
		builder_warn(stage->builder, "%s is for %s, not for %s", name,
			     platform_format(&(*ret_image)->platform, have),
			     platform_format(platform, want));
	return 0;
}
