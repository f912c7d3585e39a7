/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_NODE_H
#define BUILDER_NODE_H

/*
 * builder/node.h: what a source knows of its directory: a tree of nodes, each directory read when
 * it is first asked for. Shared by source, walk, stat_index and copy; nobody else includes it.
 *
 * Several threads may select from one source. What makes or changes nodes (reading directories,
 * lookups, hashing) is done with the lock of the source held; nodes that a copy has selected, and
 * whose content is known, do not change any more and are read without it.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/digest.h"
#include "builder/stat_index.h"
#include "layers/entry.h"

struct arena;
struct cancel;
struct err;
struct ignore;
struct stat_index;
struct store;

#define NODE_PATH_MAX	4096   /* bytes of a path under the source, with its NUL */
#define NODE_XATTRS_MAX 262144 /* bytes of names and values on one file */

/* Extended attributes in the form that the index keeps and keys hash: for each, sorted by name,
 * the name and a NUL, the length of the value as 4 bytes (lowest first), the value. */
struct xattr_pack {
	uint32_t len; /* bytes */
	unsigned char bytes[];
};

/* Packed: a context may have hundreds of thousands. Beyond the first of them the arena they are in
 * spills to a file. */
struct node {
	const char *name;    /* "" for the root */
	struct node *parent; /* NULL for the root */
	uint64_t ino;
	union {
		uint64_t size; /* of a regular file */
		uint64_t rdev; /* of a device; 0 for others */
	};
	int64_t mtime, ctime; /* ns since 1970 */
	uint32_t dev;	      /* the kernel's have 32 bits */
	uint32_t uid, gid;
	uint16_t mode;	  /* as st_mode */
	bool loaded : 1;  /* a directory whose children are known */
	bool maybe : 1;	  /* an ignored directory: there only for what a rule includes below */
	bool hidden : 1;  /* such a directory with nothing in it: as if absent */
	bool linked : 1;  /* a regular file with other names */
	bool sound : 1;	  /* stat data vouches for digest and xattrs from now on */
	bool queued : 1;  /* about to be hashed */
	bool vouched : 1; /* digest came from the index */
	union {
		struct digest digest; /* of a regular file's content; zero while not known */
		struct {
			struct node *children; /* of a directory, once loaded; sorted by name */
			uint32_t n_children;
		};
	};
	union {
		const char *link;		 /* of a symlink */
		const struct xattr_pack *xattrs; /* of others; NULL when there are none */
	};
};

struct source {
	pthread_mutex_t lock;	     /* see above */
	struct store *store;	     /* NULL for a root: it has no index */
	const struct cancel *cancel; /* the store's, when it was opened */
	char *path;		     /* of a context: absolute; of a root: what to call it */
	int dir_fd;		     /* the caller's */
	const struct ignore *ignore;
	unsigned jobs;
	bool has_ctime; /* the file system's ctime can be believed */
	bool dirty;	/* the index on disk is not what we know */
	bool damaged;	/* the index on disk was not readable */
	struct stat_index *index;
	struct arena *arena;
	pthread_mutex_t growing; /* of the arena, by walkers */
	struct node root;
	struct walker *walker; /* of who holds the lock; NULL: there was nothing to read yet */
};

/* --- walk.c ----------------------------------------------------------------------------------- */

/* Read a directory unless that was done. */
int node_load(struct source *source, struct node *dir, struct err *err);

/* What one thread needs to read directories of the source; different ones at once. */
struct walker;
struct walker *walker_new(struct source *source);
int walker_load(struct walker *walker, struct node *dir, struct err *err);
void walker_free(struct walker *walker); /* NULL is fine. Tells the source what it noticed. */

/* --- walk_ahead.c ----------------------------------------------------------------------------- */

/*
 * Read a directory and all below it, on the threads of the source where that is worth it. What
 * cannot be read is left to node_load(), whose error does not depend on the threads.
 */
void source_read_ahead(struct source *source, struct node *dir);

/* The child of that name of a loaded directory, or NULL. */
struct node *node_child(const struct node *dir, const char *name, size_t len);

/* The path of node below `top` ("" for top itself; NULL top: from the source's root). Returns
 * path. No node has a longer one: node_load() sees to it. */
const char *node_path(const struct node *top, const struct node *node, char path[NODE_PATH_MAX]);

/*
 * Find a clean relative path below `from`, links followed inside the source, the last one with
 * `follow`. *ret_node is NULL when nothing is there.
 */
int source_lookup(struct source *source, struct node *from, const char *path, bool follow,
		  struct node **ret_node, struct err *err);

/* --- source.c --------------------------------------------------------------------------------- */

/* Give each of these regular files its digest and xattrs, where the index did not. */
int source_hash(struct source *source, struct node **nodes, size_t n, struct err *err);

/* Open a regular file whose digest is known. ERR_CORRUPT when it is not what it was then. */
int node_open(struct source *source, const struct node *node, int *ret_fd, struct err *err);

/* Whether an open file still has the stat data of its node. ERR_CORRUPT names it otherwise. */
int node_check(struct source *source, const struct node *node, int fd, struct err *err);

/* euid: see owner_settle() */
void node_set_stat(struct node *node, const struct stat *stat, uid_t euid);

/* The owner of an open file of an image, where the store only recorded it. */
void node_take_owner(const struct source *source, struct node *node, int fd);

/* --- xattrs.c --------------------------------------------------------------------------------- */

/* Those of fd that belong into an image: *ret_list is NULL or the caller's (free()). */
int xattrs_read(int fd, const char *path, struct xattr_pack **ret_list, struct err *err);

/* From a member of an archive. NULL when there are none; else the caller's. */
struct xattr_pack *xattrs_pack(const struct xattr *xattrs, size_t n);

/* The list as entries have it: *ret_xattrs is the caller's (free()) and points into list, which
 * may be NULL. */
void xattrs_unpack(const struct xattr_pack *list, struct xattr **ret_xattrs, size_t *ret_n);

/* Whether these bytes are such a list. */
bool xattrs_are_sound(const unsigned char *bytes, size_t len);

/* --- stat_index.c ----------------------------------------------------------------------------- */

/* The index of a context path. NULL when there is none, or with *ret_damaged set when it is not
 * sound: an index is no more than a help. */
struct stat_index *stat_index_open(struct store *store, const char *path, bool *ret_damaged);
void stat_index_free(struct stat_index *index);

/* The records of a directory, sorted by name; NULL and 0 for an unknown one. */
const struct index_record *stat_index_find(struct stat_index *index, const char *dir,
					   size_t *ret_n);

const char *stat_index_name(const struct stat_index *index, const struct index_record *record);
const unsigned char *stat_index_xattrs(const struct stat_index *index,
				       const struct index_record *record);

/* Replace the index by what the source knows; directories that it did not look at keep their
 * records. */
int stat_index_save(const struct source *source, struct err *err); /* stat_index_write.c */

#endif
