/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FROM and --from=image: local first. A name that the store has is not asked for again unless
 * --pull says so, or it is of another platform than the one wanted.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "registry/reference.h"

static void forward(void *arg, const struct transport_event *transfer)
{
	struct builder *builder = arg;
	struct build_event event = {
		.kind = BUILD_EVENT_TRANSFER,
		.step = builder->step,
		.transfer = transfer,
	};

	builder_event(builder, &event);
}

static int pull(struct builder *builder, const struct reference *reference,
		const struct platform *platform, struct digest *ret_id, struct err *err)
{
	struct transport_options transport = builder->options->transport;
	struct transport_image image;

	transport.platform = platform;
	if (transport_pull(&transport, builder->options->store, reference, forward, builder, &image,
			   err) < 0)
		return -1;
	*ret_id = image.id;
	return 0;
}

int base_find(struct store *store, const struct reference *reference, struct digest *ret_id,
	      struct image **ret_image, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];
	struct image_name found = { 0 };

	if (image_name_get(store, reference_format(reference, name), &found, err) < 0)
		return -1;
	*ret_id = found.id;
	image_name_release(&found);
	return image_load(store, ret_id, ret_image, err);
}

/* A damaged store may have lost a layer: then the image is fetched again. */
static bool is_whole(struct store *store, const struct image *image)
{
	for (size_t i = 0; i < image->n_layers; i++)
		if (!layer_present(store, &image->diff_ids[i]))
			return false;
	return true;
}

static int find_or_pull(struct builder *builder, const struct reference *reference,
			const struct platform *platform, struct digest *ret_id,
			struct image **ret_image, struct err *err)
{
	struct store *store = builder->options->store;
	char familiar[REFERENCE_TEXT_MAX];
	struct image *image = NULL;

	if (builder->options->pull != BUILD_PULL_ALWAYS &&
	    base_find(store, reference, ret_id, &image, err) == 0) {
		if (builder->options->pull == BUILD_PULL_NEVER ||
		    (platform_match(platform, &image->platform) && is_whole(store, image))) {
			*ret_image = image;
			return 0;
		}
		image_free(image);
	}
	if (builder->options->pull == BUILD_PULL_NEVER)
		return err_set(err, ERR_NOT_FOUND,
			       "%s: not in the store, and --pull=never was given",
			       reference_familiar(reference, familiar));
	err_clear(err);
	if (pull(builder, reference, platform, ret_id, err) < 0)
		return -1;
	return image_load(store, ret_id, ret_image, err);
}

int base_load(struct builder *builder, const struct dockerfile *dockerfile, struct range where,
	      const char *name, const struct platform *platform, struct digest *ret_id,
	      struct image **ret_image, struct err *err)
{
	char want[PLATFORM_TEXT_MAX], have[PLATFORM_TEXT_MAX];
	struct reference reference;
	struct err why = ERR_INIT;

	if (reference_parse(name, &reference, &why) < 0)
		return dockerfile_error(dockerfile, where, ERR_INVALID, err, "%s: %s", name,
					why.message);
	if (find_or_pull(builder, &reference, platform, ret_id, ret_image, &why) < 0)
		return dockerfile_error(dockerfile, where, why.kind, err, "%s", why.message);
	if (!platform_match(platform, &(*ret_image)->platform))
		builder_warn(builder, "%s is for %s, not for %s", name,
			     platform_format(&(*ret_image)->platform, have),
			     platform_format(platform, want));
	return 0;
}
