/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_SELECTION_H
#define BUILDER_SELECTION_H

/*
 * builder/selection.h: what a COPY has selected: one match for each source (a wildcard may have
 * many), and the entries of each in canonical order. Shared by the copy_*.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "builder/copy.h"
#include "builder/mode.h"
#include "builder/node.h"

struct ignore;
struct tar_writer;
struct assembly;
struct out;

/* One selected entry. */
struct item {
	struct node *node;
	uint32_t match;
	uint32_t group : 31;  /* files of one inode in a match: 1 + the first item of it; else 0 */
	uint32_t passage : 1; /* a directory that is there only for what is selected below it */
};

/* One source: a file, or a directory whose members are copied. */
struct match {
	struct node *top;
	const char *name; /* that a file gets in a directory: as it was found, links not followed */
	size_t pattern;	  /* the source that it is of */
	size_t first, n;  /* items; of a directory not itself */
};

#define ITEMS_BLOCK 512

struct copy {
	struct copy_request request;
	struct arena *arena;
	struct mode_change chmod; /* with request.chmod */
	struct match *matches;
	size_t n_matches, cap_matches;
	struct item **items; /* in blocks of ITEMS_BLOCK; see copy_item() */
	size_t n_items, n_blocks, cap_blocks;
	struct ignore *excludes;
	struct buf path; /* scratch */
};

/* --- copy.c ----------------------------------------------------------------------------------- */

/* Item i, whose source must be there. Items and nodes are meant to be gone through in order: every
 * so often, the memory of those that were seen is let go. */
struct item *copy_item(const struct copy *copy, size_t i);

/* Digests and attributes of all items, those that are not known yet. */
int copy_require_content(struct copy *copy, struct err *err);

/* --- copy_select.c ---------------------------------------------------------------------------- */

/* Resolve one pattern into matches and items. */
int copy_select(struct copy *copy, const char *pattern, struct err *err);

/* A path as BuildKit takes it: "/" put before it and cleaned; "" is the root. The caller's. */
char *copy_clean_path(const char *path);

/* --- copy_archive.c --------------------------------------------------------------------------- */

struct unpacking {
	const struct cancel *cancel; /* NULL for none */
	struct assembly *assembly;
	bool chown;
	unsigned uid, gid;
	int scratch_fd;		      /* content of all archives, one after another */
	uint64_t size;		      /* of it so far */
	uint64_t first_group, groups; /* groups given out so far, above first_group */
};

/* Put the members of the archive under dir. `what` is what errors call it. */
int archive_unpack(struct unpacking *unpacking, int fd, const char *what, const char *dir,
		   struct err *err);

/* --- copy_write.c ----------------------------------------------------------------------------- */

/*
 * The members of a directory when nothing else is copied: their entries are made, in canonical
 * order, as they are written, so that a large tree is not in memory twice. make() gets an entry
 * that has its path.
 */
struct stretch {
	const char *place;
	const struct match *match; /* NULL: there is none */
	const struct copy *copy;
	int (*make)(void *arg, const struct item *item, struct out *out, struct err *err);
	void *arg;
};

struct writing {
	struct source *source; /* of the files that have a node; read by its `jobs` threads */
	struct assembly *assembly;
	struct out **outs; /* its entries, in canonical order, the dead left out */
	size_t n_outs;
	struct stretch stretch; /* comes after those */
	int scratch_fd;		/* content of archives */
	uint64_t n_groups;	/* no entry has a higher one */
	struct tar_writer *tar; /* copy_write() */
	int dir_fd;		/* copy_write_tree() */
};

/* Write all entries, in canonical order. */
int copy_write(struct writing *writing, struct err *err);

/* Set writing->outs, which becomes the caller's, and its length. */
void copy_sort(struct writing *writing);

/* --- copy_tree.c ------------------------------------------------------------------------------ */

/* Make all entries in an empty directory. */
int copy_write_tree(struct writing *writing, struct err *err);

#endif
