/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/lenders.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/reference.h"

#define LENDERS_MAX 64 /* more are not worth reading */

/* On the same registry, under another name. */
static bool is_neighbour(const struct reference *other, const struct reference *reference)
{
	return strcmp(other->domain, reference->domain) == 0 &&
	       strcmp(other->path, reference->path) != 0;
}

static void add(struct lenders *lenders, const struct digest *digests, size_t n,
		const char *repository)
{
	struct lender lender = { .n_digests = n, .repository = xstrdup(repository) };

	lender.digests = xcalloc(n + 1, sizeof(*digests));
	for (size_t i = 0; i < n; i++)
		lender.digests[i] = digests[i];
	lenders->items = grow_vector(lenders->items, lenders->n, &lenders->cap, sizeof(lender));
	lenders->items[lenders->n++] = lender;
}

static void add_image(struct store *store, struct lenders *lenders, const struct image_name *name,
		      const char *repository)
{
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	struct err ignored = ERR_INIT;
	struct image_record record;
	cleanup_free struct digest *digests = NULL;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (image_record_get(store, &name->id, &record, &ignored) < 0 || !record.manifest.size ||
	    blob_read(store, &record.manifest.digest, &text, &ignored) < 0 ||
	    manifest_parse(text.data, text.len, NULL, &manifest, &ignored) < 0)
		return;
	digests = xcalloc(manifest->n_layers + 1, sizeof(*digests));
	for (size_t i = 0; i < manifest->n_layers; i++)
		digests[i] = manifest->layers[i].digest;
	add(lenders, digests, manifest->n_layers, repository);
}

int lenders_find(struct store *store, const struct reference *reference,
		 struct lenders *ret_lenders, struct err *err)
{
	struct image_list *list;

	if (image_list(store, &list, err) < 0)
		return -1;
	*ret_lenders = (struct lenders){ 0 };
	for (size_t i = 0; i < list->n_names && ret_lenders->n < LENDERS_MAX; i++) {
		struct err ignored = ERR_INIT;
		struct reference other;

		if (digest_is_zero(&list->names[i].remote) ||
		    reference_parse(list->names[i].name, &other, &ignored) < 0 ||
		    !is_neighbour(&other, reference))
			continue;
		add_image(store, ret_lenders, &list->names[i], other.path);
	}
	image_list_free(list);
	return 0;
}

int lenders_add(struct lenders *lenders, struct store *store, const struct reference *reference,
		const struct digest *diff_id, struct err *err)
{
	struct layer_places places;

	if (layer_places_read(store, diff_id, &places, err) < 0)
		return -1;
	for (size_t i = 0; i < places.n; i++) {
		struct err ignored = ERR_INIT;
		struct reference other;

		if (reference_parse(places.v[i].repository, &other, &ignored) == 0 &&
		    is_neighbour(&other, reference))
			add(lenders, &places.v[i].blob.digest, 1, other.path);
	}
	layer_places_release(&places);
	return 0;
}

const char *lenders_of(const struct lenders *lenders, const struct digest *digest)
{
	for (size_t i = 0; i < lenders->n; i++)
		for (size_t j = 0; j < lenders->items[i].n_digests; j++)
			if (digest_equal(&lenders->items[i].digests[j], digest))
				return lenders->items[i].repository;
	return NULL;
}

void lenders_release(struct lenders *lenders)
{
	for (size_t i = 0; i < lenders->n; i++) {
		free(lenders->items[i].digests);
		free(lenders->items[i].repository);
	}
	free(lenders->items);
	*lenders = (struct lenders){ 0 };
}
