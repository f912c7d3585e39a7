/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/lenders.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"
#include "layers/image.h"
#include "layers/store.h"
#include "registry/reference.h"

#define LENDERS_MAX 64 /* more are not worth reading */

static void add(struct store *store, struct lenders *lenders, const struct image_name *name,
		const char *repository)
{
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	struct err ignored = ERR_INIT;
	struct image_record record;
	struct lender lender = { 0 };
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (image_record_get(store, &name->id, &record, &ignored) < 0 || !record.manifest.size ||
	    blob_read(store, &record.manifest.digest, &text, &ignored) < 0 ||
	    manifest_parse(text.data, text.len, NULL, &manifest, &ignored) < 0)
		return;
	lender.repository = xstrdup(repository);
	lender.digests = xcalloc(manifest->n_layers + 1, sizeof(lender.digests[0]));
	for (; lender.n_digests < manifest->n_layers; lender.n_digests++)
		lender.digests[lender.n_digests] = manifest->layers[lender.n_digests].digest;
	lenders->items = grow_vector(lenders->items, lenders->n, &lenders->cap, sizeof(lender));
	lenders->items[lenders->n++] = lender;
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
		    strcmp(other.domain, reference->domain) != 0 ||
		    strcmp(other.path, reference->path) == 0)
			continue;
		add(store, ret_lenders, &list->names[i], other.path);
	}
	image_list_free(list);
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
