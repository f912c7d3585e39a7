/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layers that are elsewhere. A pull for a build, or a hit in a shared cache, needs no more of a
 * layer than its names: the diff_id, which images hold, and a blob that a repository has. Its
 * bytes are fetched when somebody needs them, and proved by both digests then.
 */
#include "layers/layer.h"

#include "base/err.h"
#include "layers/internal.h"
#include "layers/store.h"

int layer_add_place(struct store *store, const struct digest *diff_id, uint64_t size,
		    const struct descriptor *blob, const char *repository, struct err *err)
{
	struct layer_blob note = { .descriptor = *blob };
	int status;

	strv_add(&note.places, repository);
	status = layer_record_add(store, diff_id, size, &note, err);
	strv_release(&note.places);
	return status;
}

int layer_places_read(struct store *store, const struct digest *diff_id,
		      struct layer_places *ret_places, struct err *err)
{
	struct layer_places places = { 0 };
	struct layer_record record;

	if (layer_record_read(store, diff_id, &record, err) < 0)
		return -1;
	for (size_t i = 0; i < record.n_blobs; i++) {
		for (size_t k = 0; k < record.blobs[i].places.n; k++) {
			places.v = grow_vector(places.v, places.n, &places.cap, sizeof(*places.v));
			places.v[places.n++] = (struct layer_place){
				.blob = record.blobs[i].descriptor,
				.repository = xstrdup(record.blobs[i].places.v[k]),
			};
		}
	}
	layer_record_release(&record);
	*ret_places = places;
	return 0;
}

void layer_places_release(struct layer_places *places)
{
	for (size_t i = 0; i < places->n; i++)
		free(places->v[i].repository);
	free(places->v);
	*places = (struct layer_places){ 0 };
}

int layer_find_elsewhere(struct store *store, const struct digest *diff_id,
			 struct descriptor *ret_blob, struct err *err)
{
	char text[DIGEST_TEXT_MAX];
	struct layer_places places;
	bool found;

	if (layer_places_read(store, diff_id, &places, err) < 0)
		return -1;
	found = places.n > 0;
	if (found)
		*ret_blob = places.v[0].blob;
	layer_places_release(&places);
	return found ? 0
		     : err_set(err, ERR_NOT_FOUND, "layer %s is not in the store",
			       digest_format(diff_id, text));
}

bool layer_known(struct store *store, const struct digest *diff_id)
{
	struct err ignored = ERR_INIT;
	struct descriptor blob;

	return layer_present(store, diff_id) ||
	       layer_find_elsewhere(store, diff_id, &blob, &ignored) == 0;
}
