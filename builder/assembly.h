/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_ASSEMBLY_H
#define BUILDER_ASSEMBLY_H

/*
 * builder/assembly.h: the layer of a COPY while it is put together: what has been put so far, seen
 * over the root below it. Shared by copy_layer, copy_archive and assembly. Paths are relative,
 * clean, and "" is the root.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/entry.h"

struct arena;
struct err;
struct node;
struct root;
struct xattr_pack;

#define ASSEMBLY_PATH_MAX    4096
#define ASSEMBLY_ENTRIES_MAX (8 * 1024 * 1024)

/* One entry of the layer. */
struct out {
	const char *path;
	enum entry_type type;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t mtime;	  /* seconds */
	const char *link; /* of a symlink */
	unsigned dev_major, dev_minor;
	const struct xattr_pack *xattrs;

	/* content of a file: one of */
	const struct node *node;
	const void *data;
	uint64_t offset; /* into the scratch file of an archive */
	uint64_t size;
	uint64_t group; /* files of one inode have the same; 0: no other names */

	bool fresh;    /* nothing of the root below is seen under this path */
	bool over_dir; /* and there is a directory below that must be hidden */
	bool dead;     /* replaced together with the directory it was in */
};

/* What is to be found at a path. */
enum assembly_kind {
	ASSEMBLY_NONE,
	ASSEMBLY_DIRECTORY,
	ASSEMBLY_LINK,
	ASSEMBLY_OTHER,
};

/* By hash of the path. */
struct assembly_slot {
	uint32_t hash;
	uint32_t nth; /* 1 + the index of the entry; 0: none */
};

struct assembly {
	struct arena *arena;
	struct root *root; /* NULL: nothing is below */
	struct out **outs; /* in the order they were first put */
	size_t n, cap;
	struct assembly_slot *slots;
	size_t n_slots; /* a power of two */
	/* of directories that have to be made: */
	mode_t new_mode;
	uid_t new_uid;
	gid_t new_gid;
	int64_t now;
};

/* The arena should be one that spills (base/arena.h). */
void assembly_init(struct assembly *assembly, struct arena *arena, struct root *root);
void assembly_release(struct assembly *assembly);

/* Join, and bound. ERR_LIMIT. */
int assembly_join(const char *dir, const char *name, char path[ASSEMBLY_PATH_MAX], struct err *err);

/* Look path up, whose directories are no links; a link is not followed and is shown as
 * *ret_link (may be NULL; valid as long as the assembly). */
int assembly_lookup(struct assembly *assembly, const char *path, enum assembly_kind *ret_kind,
		    const char **ret_link, struct err *err);

/*
 * Follow all links in path: `real` is where it really is, whatever of it exists. *ret_kind says
 * what is there. A directory of it that is none is ERR_INVALID.
 */
int assembly_resolve(struct assembly *assembly, const char *path, char real[ASSEMBLY_PATH_MAX],
		     enum assembly_kind *ret_kind, struct err *err);

/* Make path and what is missing above it. Links are followed; `real` is where it came to be. */
int assembly_mkdirs(struct assembly *assembly, const char *path, char real[ASSEMBLY_PATH_MAX],
		    struct err *err);

/*
 * Put an entry at path, whose parent exists: *ret_out is new or the one that was there, all but
 * its path and flags reset, to be filled in; with `keep`, a directory keeps what it has. What a
 * non-directory replaces is gone, with all below it.
 */
int assembly_put(struct assembly *assembly, const char *path, enum entry_type type, bool keep,
		 struct out **ret_out, struct err *err);

/* Give out the attributes of the directory that the root below has at path. */
int assembly_show(struct assembly *assembly, const char *path, struct out *out, struct err *err);

/* The entry at path, or NULL. */
struct out *assembly_find(const struct assembly *assembly, const char *path);

#endif
