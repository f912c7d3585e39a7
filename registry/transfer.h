/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_TRANSFER_H
#define REGISTRY_TRANSFER_H

/* registry/transfer.h: one blob from a registry into the store, or back. */

#include <stddef.h>

struct descriptor;
struct err;
struct remote;
struct session;

/*
 * Fetch the blob unless the store has it, from the first of the remotes that can give it. The
 * bytes are digested as they come; those that are not the blob's are not kept (ERR_CORRUPT). Two
 * processes that want the same blob fetch it once.
 */
int blob_download(struct session *session, struct remote *const *remotes, size_t n,
		  const struct descriptor *blob, struct err *err);

/* Send the blob unless the registry has it, or `mount_from` (NULL: unknown), another repository
 * there, can lend it. ERR_NOT_FOUND when neither is so and it is not in the store. */
int blob_upload(struct session *session, struct remote *remote, const struct descriptor *blob,
		const char *mount_from, struct err *err);

struct digest;
struct lenders;
struct providers;

/* The same for the blob of a layer that may not be in the store: then it is fetched first. */
int layer_upload(struct session *session, struct remote *remote, const struct digest *diff_id,
		 const struct descriptor *blob, const struct lenders *lenders,
		 struct providers *providers, struct err *err);

#endif
