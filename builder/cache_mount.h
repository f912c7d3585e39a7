/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_CACHE_MOUNT_H
#define BUILDER_CACHE_MOUNT_H

/*
 * builder/cache_mount.h: the directories of RUN --mount=type=cache, looked at and carried from
 * store to store. One that a step has mounted is waited for before it is read or replaced.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"

struct err;
struct store;
struct strv;

struct cache_mount {
	/* Tells it from others of the same id: what it was made from (from, source) and for whom
	 * (mode, uid, gid). Lower-case hexadecimal digits. */
	char scope[DIGEST_HEX_MAX];
	char *id;	 /* as the Dockerfile has it: any bytes */
	unsigned copies; /* directories: more than one when steps did not share it */
	uint64_t size;	 /* bytes on the disk */
	int64_t used;	 /* ns since 1970 */
};

struct cache_mounts {
	struct cache_mount *v; /* by id, then by scope */
	size_t n, cap;
};

/* All of them. Enters the user namespace: the files are other users'. */
int cache_mounts_list(struct store *store, struct cache_mounts **ret_mounts, struct err *err);
void cache_mounts_free(struct cache_mounts *mounts);
DEFINE_CLEANUP(struct cache_mounts *, cache_mounts_free)

/*
 * Write those with these ids (none: all) to fd as a tar, compressed by zstd: "<scope>/id", and the
 * directories "<scope>/0", ... *ret_n says how many; ERR_NOT_FOUND for an id that none has.
 */
int cache_mounts_export(struct store *store, const struct strv *ids, int fd, size_t *ret_n,
			struct err *err);

/*
 * Take them from such a tar (compressed or not; fd may be a pipe). It is unpacked by a process
 * whose root is the target, and looked through, before anything changes; directories that are here
 * already are replaced. ERR_INVALID for a tar that holds anything else.
 */
int cache_mounts_import(struct store *store, int fd, size_t *ret_n, struct err *err);

#endif
