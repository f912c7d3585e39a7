/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_LENDERS_H
#define REGISTRY_LENDERS_H

/*
 * registry/lenders.h: which repositories of a registry are known to have which blobs: those that
 * images in the store were pulled from or pushed to, and those that the records of layers name. A
 * push then need not send the layers of its base.
 */

#include <stddef.h>

struct digest;
struct err;
struct reference;
struct store;

struct lender {
	struct digest *digests; /* of the layers in the manifest */
	size_t n_digests;
	char *repository;
};

struct lenders {
	struct lender *items;
	size_t n;
	size_t cap;
};

/* Those on the reference's registry, but for its own repository. */
int lenders_find(struct store *store, const struct reference *reference,
		 struct lenders *ret_lenders, struct err *err);

/* And those that have a blob of this layer. */
int lenders_add(struct lenders *lenders, struct store *store, const struct reference *reference,
		const struct digest *diff_id, struct err *err);

/* A repository that has the blob, or NULL. */
const char *lenders_of(const struct lenders *lenders, const struct digest *digest);

void lenders_release(struct lenders *lenders);

#endif
