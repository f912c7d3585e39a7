/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_COPY_H
#define BUILDER_COPY_H

/*
 * builder/copy.h: COPY and ADD of local sources: what is selected, what of it belongs in the
 * key, and the layer it makes (Dockerfile reference, COPY and ADD; BuildKit's behaviour where
 * the reference is silent). Straight from the source into a layer: no mount, no container.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"

struct copy;
struct err;
struct hasher;
struct layer;
struct root;
struct source;
struct store;

/* A file whose content stands in the Dockerfile. */
struct copy_inline {
	const char *name; /* used when the destination is a directory */
	const char *content;
	size_t len;
};

/* A file that was fetched: a blob of the store. */
struct copy_remote {
	const char *name; /* used when the destination is a directory */
	struct digest digest;
	uint64_t size;
	int64_t mtime; /* seconds since 1970 */
	bool unpack;   /* when it is a tar archive */
	size_t before; /* how many of the patterns go before it */
};

struct copy_request {
	bool add;		     /* local tar archives are unpacked */
	struct source *source;	     /* may be NULL when there are no patterns */
	const char *const *patterns; /* expanded sources, as written otherwise */
	size_t n_patterns;
	const struct copy_remote *remotes;
	size_t n_remotes;
	const struct copy_inline *inlines;
	size_t n_inlines;
	const char *dest;	     /* expanded; absolute (WORKDIR joined); a final slash counts */
	const char *chown;	     /* "user[:group]", names or numbers; NULL */
	const char *chmod;	     /* octal or symbolic; NULL */
	bool from_root;		     /* --from: owners of the source are kept without chown */
	bool link;		     /* --link: made on an empty root */
	bool parents;		     /* --parents */
	const char *const *excludes; /* --exclude */
	size_t n_excludes;
	int64_t now; /* seconds since 1970: mtime of inline files, and of directories that had
		      * to be made when there is no other file: else that of the newest one */
};

/*
 * Select the entries. The request is copied; what it points to must outlive the copy.
 * ERR_NOT_FOUND when a source that is no wildcard matches nothing: the message says which rule
 * of which ignore file excludes it where that is the reason, and names a near match if there is
 * one. *ret_bad (may be NULL) is the index of the pattern at fault.
 */
int copy_open(const struct copy_request *request, struct copy **ret_copy, size_t *ret_bad,
	      struct err *err);
void copy_free(struct copy *copy);
DEFINE_CLEANUP(struct copy *, copy_free)

/*
 * Add to the key: for each entry its path under the source, type, mode, size, link target,
 * xattrs and content digest, owner when it counts; destination and flags. Never mtime.
 */
int copy_add_to_key(struct copy *copy, struct hasher *hasher, struct err *err);

/* What the key knows of an entry, as one digest: it changes when the entry does. Valid after
 * copy_add_to_key(). */
void copy_entry_digest(const struct copy *copy, size_t i, struct digest *ret_digest);

/*
 * Make the layer. `root` is what the destination is resolved in (links, existing directories,
 * /etc/passwd for names); NULL for an empty root. Parents of the destination are part of the
 * layer with the attributes they have, or 0755 and the chown owner when they are new.
 */
int copy_make_layer(struct copy *copy, struct store *store, struct root *root,
		    struct layer *ret_layer, struct err *err);

/*
 * The same as files in the empty directory dir_fd, which nobody else writes to: on an empty root,
 * without archives and inline files. For what is mounted and not kept. Needs userns_enter().
 */
int copy_make_tree(struct copy *copy, int dir_fd, struct err *err);

/*
 * Resolve "user[:group]" as USER and --chown do: digits are ids, names are looked up in the
 * root's /etc/passwd and /etc/group (BuildKit's limits: 10 MiB). Without a group the gid is the
 * user's own; for a number it is that of the account with it, else 0 (USER: primary_group), or
 * the number itself (--chown). `root` may be NULL. ERR_NOT_FOUND names the user and the file.
 */
int owner_resolve(struct root *root, const char *text, bool primary_group, unsigned *ret_uid,
		  unsigned *ret_gid, struct err *err);

/* Supplementary groups of a user by /etc/group; *ret_gids is freed by the caller. `home` gets the
 * home directory of /etc/passwd, or "/" (free()). */
int owner_groups(struct root *root, const char *user, unsigned **ret_gids, size_t *ret_n,
		 char **ret_home, struct err *err);

#endif
