/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/image_remove.c: forgetting an image and what it alone held.
 *
 * 1. What other images need is found out first; one that cannot be read stops the removal, since
 *    nobody knows what it needs.
 * 2. Layers go first, from the top, then manifests, then the record, then the config. A crash in
 *    between leaves an image without some of its layers, which can be removed again.
 * 3. Nobody may add an image meanwhile that needs the same layers: the caller has the store to
 *    itself (see DESIGN: shared to use, exclusive to collect).
 */
#include <string.h>

#include "base/err.h"
#include "layers/image.h"
#include "layers/internal.h"
#include "layers/layer.h"
#include "layers/store.h"

struct digest_set {
	struct digest *digests;
	size_t n, cap;
};

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

static bool set_has(const struct digest_set *set, const struct digest *digest)
{
	return set->n && bsearch(digest, set->digests, set->n, sizeof(*digest), compare_digests);
}

/* The layers of all images but one. */
static int collect_needed(struct store *store, const struct digest *except,
			  struct digest_set *needed, struct err *err)
{
	cleanup_free struct digest *ids = NULL;
	size_t n = 0;

	if (image_ids_read(store, &ids, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		cleanup_with(image_free) struct image *image = NULL;

		if (digest_equal(&ids[i], except))
			continue;
		if (image_load(store, &ids[i], &image, err) < 0)
			return -1;
		for (size_t k = 0; k < image->n_layers; k++) {
			needed->digests = grow_vector(needed->digests, needed->n, &needed->cap,
						      sizeof(*needed->digests));
			needed->digests[needed->n++] = image->diff_ids[k];
		}
	}
	if (needed->n > 1)
		qsort(needed->digests, needed->n, sizeof(*needed->digests), compare_digests);
	return 0;
}

static int check_unnamed(struct store *store, const struct digest *id, struct err *err)
{
	struct image_name *names = NULL;
	char text[DIGEST_TEXT_MAX];
	size_t n = 0;
	int bad = 0;

	if (image_names_read(store, &names, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n && !bad; i++)
		if (digest_equal(&names[i].id, id))
			bad = err_set(err, ERR_DENIED, "image %s is still named %s",
				      digest_format(id, text), names[i].name);
	image_names_free(names, n);
	return bad;
}

static int remove_layers(struct store *store, const struct image *image,
			 const struct digest_set *needed, image_removed *on_removed, void *arg,
			 struct err *err)
{
	for (size_t i = image->n_layers; i-- > 0;) {
		const struct digest *diff_id = &image->diff_ids[i];

		if (set_has(needed, diff_id) ||
		    (!layer_known(store, diff_id) && layer_size(store, diff_id) == 0))
			continue;
		if (tree_remove(store, diff_id, err) < 0 || layer_forget(store, diff_id, err) < 0)
			return -1;
		if (on_removed)
			on_removed(arg, "layer", diff_id);
	}
	return 0;
}

static int remove_documents(struct store *store, const struct digest *id,
			    const struct image_state *state, struct err *err)
{
	if (state->came.size && blob_remove(store, &state->came.digest, err) < 0)
		return -1;
	for (size_t i = 0; i < state->n_made; i++)
		if (blob_remove(store, &state->made[i].digest, err) < 0)
			return -1;
	if (record_remove(store, "images/ids", id, err) < 0)
		return -1;
	return blob_remove(store, id, err);
}

int image_remove(struct store *store, const struct digest *id, image_removed *on_removed, void *arg,
		 struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	struct digest_set needed = { .n = 0 };
	struct err unreadable = ERR_INIT;
	char text[DIGEST_TEXT_MAX];
	struct image_state state;
	int bad;

	if (image_state_read(store, id, &state, err) < 0 || check_unnamed(store, id, err) < 0)
		return -1;
	/* without its config nothing tells its layers; the rest can still go */
	image_load(store, id, &image, &unreadable);
	bad = collect_needed(store, id, &needed, err) < 0 ||
	      (image && remove_layers(store, image, &needed, on_removed, arg, err) < 0) ||
	      remove_documents(store, id, &state, err) < 0;
	free(needed.digests);
	if (bad)
		return err_wrap(err, "remove image %s", digest_format(id, text));
	if (on_removed)
		on_removed(arg, "image", id);
	return 0;
}
