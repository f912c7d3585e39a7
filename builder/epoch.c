/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SOURCE_DATE_EPOCH. It is in no key: what the steps gave is kept with its own times, and an image
 * that is to have others gets them when it is finished. So another epoch, such as that of the next
 * commit, runs nothing again. A layer with its times put right is remembered like a step's.
 */
#include "builder/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/shared.h"

#define SECOND	    1000000000
#define SECONDS_MAX 9000000000 /* the year 2255; more does not fit into an image's times, in ns */

static const char *find_text(const struct builder *builder)
{
	const char *given = env_get(&builder->build_args, EPOCH_ARG);

	return given ? given : env_get(&builder->plan->global_args, EPOCH_ARG);
}

int epoch_find(const struct builder *builder, bool *ret_given, int64_t *ret_epoch, struct err *err)
{
	const char *text = find_text(builder);
	unsigned long long seconds;

	*ret_given = false;
	if (!text || !*text)
		return 0;
	errno = 0;
	seconds = strtoull(text, NULL, 10);
	if (strspn(text, "0123456789") != strlen(text) || errno || seconds > SECONDS_MAX)
		return err_set(err, ERR_INVALID,
			       EPOCH_ARG ": expected seconds since 1970, got \"%s\"", text);
	*ret_given = true;
	*ret_epoch = (int64_t)seconds;
	return 0;
}

/* The key of a layer with its times put right. */
static void make_key(const struct digest *diff_id, int64_t epoch, struct key *key,
		     struct digest *ret_key)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)epoch);
	key_init(key, "epoch");
	key_add_digest(key, "layer", diff_id);
	key_add(key, "latest", text);
	key_finish(key, ret_key);
}

static int clamp_layer(struct stage *stage, struct digest *diff_id, int64_t epoch, struct err *err)
{
	struct store *store = stage->builder->options->store;
	struct step_record record = { .created = epoch * SECOND };
	struct err ignored = ERR_INIT;
	cleanup_key struct key key;

	make_key(diff_id, epoch, &key, &record.key);
	if (cache_get(store, &record.key, &record, &ignored) < 0 &&
	    (shared_bring(stage, diff_id, 1, err) < 0 ||
	     layer_clamp(store, diff_id, epoch, &record.layer, err) < 0 ||
	     cache_put(store, &record.key, &record, key.parts, err) < 0))
		return -1;
	*diff_id = record.layer.diff_id;
	return 0;
}

/* The keys of all layers, for shared caches: they are asked at once, and get the records later. */
static void find_keys(struct builder *builder, const struct stage *stage, int64_t epoch)
{
	const struct image *image = stage->image;

	builder->epoch_keys = xcalloc(image->n_layers + 1, sizeof(*builder->epoch_keys));
	for (size_t i = stage->base_layers; i < image->n_layers; i++) {
		cleanup_key struct key key;

		make_key(&image->diff_ids[i], epoch, &key,
			 &builder->epoch_keys[builder->n_epoch_keys++]);
	}
	shared_ask(builder, builder->epoch_keys, builder->n_epoch_keys);
}

int epoch_apply(struct builder *builder, struct stage *stage, int64_t epoch, struct err *err)
{
	struct image *image = stage->image;

	image->created = epoch * SECOND;
	for (size_t i = stage->base_history; i < image->n_history; i++)
		image->history[i].created = epoch * SECOND;
	if (builder->options->keep_times)
		return 0;
	find_keys(builder, stage, epoch);
	for (size_t i = stage->base_layers; i < image->n_layers; i++)
		if (clamp_layer(stage, &image->diff_ids[i], epoch, err) < 0)
			return err_wrap(err, EPOCH_ARG);
	return 0;
}
