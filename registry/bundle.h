/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_BUNDLE_H
#define REGISTRY_BUNDLE_H

/*
 * registry/bundle.h: the members of an archive that is being loaded. They may come through a pipe
 * and in any order, so each is spooled to a scratch directory of the store and hashed on the way;
 * those that turn out to be layers and documents of an image become blobs by renaming.
 */

#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"

struct buf;
struct err;
struct layer;
struct scratch;
struct store;

struct member {
	char *path;    /* relative and clean */
	char *link;    /* path of another member, for links; NULL for files */
	char file[24]; /* its name in the scratch directory */
	struct digest digest;
	uint64_t size;	 /* bytes */
	size_t position; /* in the archive */
};

struct bundle {
	struct store *store;
	struct scratch *scratch;
	struct member *members; /* by path, then position */
	size_t n, cap;
};

/* Read a tar, maybe compressed, to its end. */
int bundle_open(struct store *store, int fd, struct bundle **ret_bundle, struct err *err);
void bundle_free(struct bundle *bundle);
DEFINE_CLEANUP(struct bundle *, bundle_free)

/* The file of that name, links followed; of members with one name the last, as tar unpacks them.
 * NULL when there is none. */
const struct member *bundle_find(const struct bundle *bundle, const char *path);

/* As bundle_find(), but absence is ERR_INVALID; `by` says what names it. */
int bundle_need(const struct bundle *bundle, const char *path, const char *by,
		const struct member **ret_member, struct err *err);

/* The member blobs/sha256/<hex> of an OCI layout, whose bytes are checked to be it. */
int bundle_need_blob(const struct bundle *bundle, const struct digest *digest,
		     const struct member **ret_member, struct err *err);

/* Read a document whole, at most IMAGE_DOCUMENT_MAX bytes and buf's own limit. */
int bundle_read(const struct bundle *bundle, const struct member *member, struct buf *buf,
		struct err *err);

/* Make a blob of a document. */
int bundle_keep(const struct bundle *bundle, const struct member *member, struct err *err);

/* Make a layer of a member; ERR_CORRUPT when it is not the one wanted. */
int bundle_keep_layer(const struct bundle *bundle, const struct member *member,
		      const struct digest *diff_id, struct err *err);

#endif
