/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_ORIGIN_H
#define BUILDER_ORIGIN_H

/*
 * builder/origin.h: what a name means in FROM, --from= and from=: a stage, a named context
 * (--build-context), or an image, in this order. COPY, ADD and RUN --mount ask here and nowhere
 * else.
 */

#include <stdbool.h>

#include "builder/internal.h"

struct origin {
	struct stage *stage; /* that reads it */
	const char *what;    /* the name, for messages */
	struct image *image; /* a stage's or an image's; NULL: a named tree */
	struct digest key;   /* of the image's file system; of a tree only its place: files are
			      * keyed by content */
	const char *no_cache; /* of a stage: why it was run whatever was known, or NULL */
	bool owned;	     /* image is freed with this */
	bool owners;	     /* owners of files mean something */
	struct root *root;   /* the image's layers, and */
	struct snapshot *snapshot;
	int mount_fd; /* the mounted view of them, once it is opened */
	struct source *source; /* to copy from; a named tree's is there at once */
	bool borrowed;	     /* source and mount_fd are the named tree's */
};

#define ORIGIN_INIT                                                                                \
	{                                                                                          \
		.mount_fd = -1                                                                     \
	}

/* Find it; a stage is built to its end, an image fetched. Errors point at `where`. */
int origin_find(struct stage *stage, const char *name, struct range where, struct origin *origin,
		struct err *err);

/* Mount an image's or stage's files, detached; with `writable`, what is written is thrown away with
 * the origin. */
int origin_mount(struct origin *origin, bool writable, struct err *err);

/* Make its files readable: origin->source, and origin->mount_fd as a directory. */
int origin_open(struct origin *origin, struct err *err);
void origin_release(struct origin *origin);

/* --- named.c: --build-context ----------------------------------------------------------------- */

enum named_kind {
	NAMED_DIRECTORY,
	NAMED_IMAGE,  /* docker-image://reference */
	NAMED_LAYOUT, /* oci-layout://path[:tag|@digest] */
	NAMED_REMOTE, /* http(s) tar, git */
};

struct named_list;
struct named;

/* Read "name=value"s. Directories are opened now, all else when it is first used. ERR_INVALID. */
int named_parse(const struct strv *given, struct named_list **ret_list, struct err *err);
void named_free(struct named_list *list);

/* The context that replaces a name for a platform ("name::os/arch" goes before "name"). Names are
 * compared as references: "alpine" is "alpine:latest". NULL when there is none; so for a NULL
 * list. */
struct named *named_find(const struct named_list *list, const char *name,
			 const struct platform *platform);

enum named_kind named_kind(const struct named *named);
const char *named_value(const struct named *named);

/* The image of a NAMED_IMAGE or NAMED_LAYOUT; *ret_image is the caller's. */
int named_image(struct stage *stage, struct named *named, struct range where, struct digest *ret_id,
		struct image **ret_image, struct err *err);

/* The files of one of the others: what *origin has of it stays the list's. */
int named_tree(struct stage *stage, struct named *named, struct origin *origin, struct err *err);

/* Write the indexes of the directories that were read. */
void named_save(struct builder *builder);

/* --- base_tree.c ------------------------------------------------------------------------------ */

/* Make the files of a named tree the one layer of an image that is empty so far. */
int base_tree(struct stage *stage, struct named *named, struct err *err);

#endif
