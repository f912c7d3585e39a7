/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layers that are elsewhere, when somebody needs their files. One that cannot be had, or is not
 * what it was said to be, is lost: build_run() begins again then, with what is here alone.
 */
#include "builder/shared.h"

#include "base/err.h"
#include "base/mem.h"
#include "builder/remote.h"

/* Fails with --offline, naming who would be asked. */
static int check_bring(const struct builder *builder, const struct digest *diff_id, struct err *err)
{
	struct layer_places places;
	char text[DIGEST_TEXT_MAX];
	cleanup_free char *who = NULL;

	if (layer_present(builder->options->store, diff_id))
		return 0;
	if (layer_places_read(builder->options->store, diff_id, &places, err) < 0)
		return -1;
	who = xasprintf("layer %.19s of %s", digest_format(diff_id, text),
			places.n ? places.v[0].repository : "an image");
	layer_places_release(&places);
	return remote_allowed(builder->options, who, err);
}

int shared_bring(struct stage *stage, const struct digest *diff_ids, size_t n, struct err *err)
{
	struct builder *builder = stage->builder;
	const struct build_options *options = builder->options;

	for (size_t i = 0; i < n; i++)
		if (check_bring(builder, &diff_ids[i], err) < 0)
			return -1;
	if (transport_fetch_layers(&options->transport, options->store, diff_ids, n, stage_transfer,
				   stage, err) == 0)
		return 0;
	if (!builder->here_only && err->kind != ERR_CANCELLED)
		builder->lost = true;
	return -1;
}

void shared_distrust(struct builder *builder, const struct image *image)
{
	for (size_t i = 0; i < image->n_layers; i++)
		if (layer_distrust(builder->options->store, &image->diff_ids[i]) &&
		    !builder->here_only)
			builder->lost = true;
}
