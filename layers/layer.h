/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_LAYER_H
#define LAYERS_LAYER_H

/*
 * layers/layer.h: a layer is one thing in three forms, named by its diff_id (the sha256 of its
 * tar): tree, tar and blob. It exists in at least one form; each other is made from it when first
 * needed. Trees do not depend on their parents.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/mem.h"
#include "layers/entry.h"
#include "layers/media.h"

struct buf;
struct err;
struct store;

struct layer {
	struct digest diff_id;
	uint64_t size; /* bytes of the tar */
	bool empty;    /* no entries: the step changed nothing */
};

/* --- making layers ---------------------------------------------------------------------------- */

/*
 * A layer written entry by entry (COPY, ADD): its tar is stored uncompressed as the blob whose
 * digest is the diff_id. Entries in canonical order.
 */
struct layer_writer;
int layer_writer_open(struct store *store, struct layer_writer **ret_writer, struct err *err);
struct tar_writer *layer_writer_tar(struct layer_writer *writer);
int layer_writer_commit(struct layer_writer *writer, struct layer *ret_layer, struct err *err);
void layer_writer_free(struct layer_writer *writer);
DEFINE_CLEANUP(struct layer_writer *, layer_writer_free)

/*
 * Take a layer that comes as tar, compressed or not, from fd: the bytes become a blob, the
 * diff_id is computed on the way. With want_diff_id, anything else is ERR_CORRUPT. The members
 * are not looked at. For load, import.
 */
int layer_take(struct store *store, int fd, const struct digest *want_diff_id,
	       struct layer *ret_layer, struct err *err);

/*
 * As layer_take() for bytes that are hashed already: the file `name` in a scratch directory, whose
 * sha256 and size are given, becomes a blob by renaming. It is only read again when it is
 * compressed. May be called again for the same file.
 */
struct scratch;
int layer_adopt(struct scratch *scratch, const char *name, const struct descriptor *blob,
		const struct digest *want_diff_id, struct layer *ret_layer, struct err *err);

/*
 * Read the members of a layer that was taken, as unpacking would. What cannot be unpacked (cut,
 * no tar at all, members that no layer may have) is an error that names `what`, and the layer is
 * forgotten.
 */
int layer_check(struct store *store, const struct digest *diff_id, const char *what,
		struct err *err);

/*
 * The same layer with no time later than `latest` (seconds since 1970): itself when it has none,
 * else a new one, stored as a tar. Only for layers that were made here, which are canonical.
 */
int layer_clamp(struct store *store, const struct digest *diff_id, int64_t latest,
		struct layer *ret_layer, struct err *err);

/*
 * Read a layer that may be another one than it is called. If so, its blobs and its record are
 * forgotten, and the result is true; not for one that is not here.
 */
bool layer_distrust(struct store *store, const struct digest *diff_id);

/*
 * Remember that `blob` holds the layer and that a repository ("docker.io/library/x") has it: the
 * layer can be had although none of its forms is here. size: bytes of its tar, 0 when not known.
 */
int layer_add_place(struct store *store, const struct digest *diff_id, uint64_t size,
		    const struct descriptor *blob, const char *repository, struct err *err);

/* Where a layer can be had. */
struct layer_place {
	struct descriptor blob;
	char *repository;
};

struct layer_places {
	struct layer_place *v;
	size_t n, cap;
};

int layer_places_read(struct store *store, const struct digest *diff_id,
		      struct layer_places *ret_places, struct err *err);
void layer_places_release(struct layer_places *places);

/* --- forms ------------------------------------------------------------------------------------ */

/* Size of the tar in bytes, 0 when not known. */
uint64_t layer_size(struct store *store, const struct digest *diff_id);

/* Whether some form of it is here (a tree, or a blob whose bytes are present). */
bool layer_present(struct store *store, const struct digest *diff_id);

/* Whether it is, or some place is known to have it. */
bool layer_known(struct store *store, const struct digest *diff_id);

/*
 * The blob of the layer in a compression: one that is known and present (a pulled layer keeps
 * its own whatever the compression asked: its bytes are what others know it by), else made and
 * remembered. *ret_blob is its descriptor. When no form of the layer is present, it is of a blob
 * that a place has, else the error is ERR_NOT_FOUND.
 */
int layer_blob(struct store *store, const struct digest *diff_id, enum compression compression,
	       struct descriptor *ret_blob, struct err *err);

/* Stream the canonical tar (or the pulled tar, uncompressed) of the layer into a sink. */
int layer_stream(struct store *store, const struct digest *diff_id, struct sink *sink,
		 struct err *err);

/*
 * Make the trees of these layers, those that are missing, several at once. Each is unpacked by a
 * forked process whose root is the target. Needs userns_enter(). The diff_id is verified.
 * on_layer (may be NULL) is told when one begins (done false) and ends.
 */
typedef void layer_progress(void *arg, const struct digest *diff_id, bool done);
int layer_require_trees(struct store *store, const struct digest *diff_ids, size_t n,
			unsigned jobs, layer_progress *on_layer, void *arg, struct err *err);

/*
 * Unpack a tar that is no layer (compressed or not, fd at its beginning) into the directory fs/,
 * which is made in dir_fd, by a forked process whose root is that. Owners and modes are the
 * tar's; ".wh." names are plain names. What lies beside fs/ is not of interest. Needs
 * userns_enter(). `what` names the tar in errors; after one, what is there is the caller's to
 * remove.
 */
int tar_unpack(struct store *store, int fd, const char *what, int dir_fd, struct err *err);

/* Of a file of a root, as fstat() told it to a process that is not root (there is no namespace in
 * which it could be): what it unpacked is root's in the image, or recorded. euid: geteuid(), which
 * is a system call, so that who looks at many files asks once. */
void owner_settle(struct stat *stat, uid_t euid);

/* The owner and mode that an image says an open file has, where they could not be given to it, into
 * what fstat() told. False: that is right already. */
bool owner_recorded(int fd, struct stat *stat);

/*
 * The way back: what is in a directory and `wanted` (by its path; a directory that is not wanted is
 * left out alone, not what is in it) as a tar, compressed, to fd. Sockets and whiteouts are left
 * out. ERR_INVALID for names that begin with ".wh.".
 */
typedef bool tar_wanted(void *arg, const char *path);
int tar_pack(int dir_fd, tar_wanted *wanted, void *arg, enum compression compression, int fd,
	     struct err *err);

/* Bytes on the disk that the directory and all in it take, as far as it can be read. */
uint64_t dir_usage(int dir_fd);

/* --- roots: stacked layers ---------------------------------------------------------------------
 * Lookups in the merged file system of some layers without any mount: through trees, or the
 * headers of our own uncompressed tars. Bottom layer first, as in diff_ids. */
struct root;
int root_open(struct store *store, const struct digest *diff_ids, size_t n,
	      struct root **ret_root, struct err *err);
void root_free(struct root *root);

/* One layer more on top; what is open stays open. How many there are. */
int root_push(struct root *root, const struct digest *diff_id, struct err *err);
size_t root_count(const struct root *root);

/* The layer, a settled snapshot's, has got its name: see snapshot_push(). */
void root_name(struct root *root, size_t layer, const struct digest *diff_id);
DEFINE_CLEANUP(struct root *, root_free)

#define ROOT_PATH_MAX 4096

struct root_entry {
	struct stat stat;	  /* type, mode, owner, size, mtime, rdev */
	char path[ROOT_PATH_MAX]; /* where it really is, relative to the root, links resolved */
	char link[ROOT_PATH_MAX]; /* target, when it is a symlink (not followed) */
};

/*
 * Look path up; links in its directories are followed inside the root, and in the last component
 * with follow. ERR_NOT_FOUND when absent; then ret_entry->path holds the resolved path of what
 * would be it when only the last component is missing, else "".
 * Layers whose tree is missing and that are not our own tars are ERR_UNSUPPORTED: call
 * layer_require_trees() first.
 */
int root_lookup(struct root *root, const char *path, bool follow, struct root_entry *ret_entry,
		struct err *err);

/* Whether root_lookup() works as it is, or layer_require_trees() is needed first. *ret_trees: it
 * reads owners from what is unpacked, which are right in the user namespace alone. */
bool root_is_ready(struct store *store, const struct digest *diff_ids, size_t n, bool *ret_trees);

/* A regular file's content, links followed, at most max bytes (/etc/passwd and the like). */
int root_read(struct root *root, const char *path, size_t max, struct buf *buf, struct err *err);

/* --- snapshots: a root to run in -------------------------------------------------------------- */

/*
 * The directories of an overlay over some layers. All names relative to store_fd(). Entries of
 * foreign layers that name a/b but not a do not reset a's owner and mode: an extra lower with
 * the right directories is put on top when needed.
 */
struct snapshot {
	struct store *store;
	struct scratch *scratch;
	char **lowers; /* topmost first; at least one (an empty directory for no layers) */
	size_t n_lowers;
	char *upper; /* NULL for a read-only view */
	char *work;  /* NULL: there are no lowers, `upper` is a copy of the whole root */
	bool reusable; /* then, after snapshot_commit(): snapshot_renew() may be called */
};

/* Over the layers of the root, which must outlive the snapshot and stay as it is. Their trees must
 * be there (layer_require_trees()). */
int snapshot_prepare(struct root *root, bool writable, struct snapshot **ret_snapshot,
		     struct err *err);

/*
 * The same for a place without overlayfs: `upper` is a directory with all that the layers hold,
 * to be run in as it is. That takes a copy of every file (or shares its blocks, where the file
 * system can). The store has flat trees.
 */
int snapshot_copy(struct root *root, struct snapshot **ret_snapshot, struct err *err);

/*
 * Make a copy that was committed one of its root as that is now, to be run in again: what the
 * commit gave is in it and must be the root's next layer, unless it was empty; layers above are
 * copied over it. So a step costs what it changes, and a walk. Not when the commit says that it is
 * not reusable: then files in it are the same as some outside, and would change with them.
 */
int snapshot_renew(struct snapshot *snapshot, struct err *err);

/* A directory of the store that is moved into a copied root for the time of a step. */
struct loan {
	const char *home;  /* relative to store_fd() */
	const char *lock;  /* store_lock() that who moves it holds */
	const char *place; /* where it will be in the root */
};

/*
 * Note what will be moved into the copy, and is moved back by the caller when he can: if he is
 * killed, or fails, it goes home before the copy is removed. The notes replace earlier ones.
 */
int snapshot_lend(struct snapshot *snapshot, const struct loan *loans, size_t n, struct err *err);

/* A place that something will be mounted on. */
struct snapshot_point {
	const char *path; /* absolute, clean; links in it are followed inside the root */
	bool is_dir;
};

/*
 * Give places to mounts where the layers have none: an extra lower on top of the others holds
 * them, and the directories on the way with the attributes they have. So nothing of them is in
 * the upper directory, and there is nothing to be cleaned up. Places below another point, and in
 * dev, proc and sys, which are mounts themselves, are left out. Once per snapshot, before it is
 * mounted; `root` is over its layers.
 */
int snapshot_add_points(struct snapshot *snapshot, struct root *root,
			const struct snapshot_point *points, size_t n, struct err *err);

/*
 * What the upper directory holds becomes a layer: unchanged copy-ups are left out, whiteouts and
 * opaque marks translated, the canonical tar hashed, the directory moved to trees/. Nothing may
 * be mounted on it any more. Names that a layer cannot hold are ERR_INVALID; sockets are left
 * out and counted in *ret_skipped (may be NULL).
 */
int snapshot_commit(struct snapshot *snapshot, struct layer *ret_layer, unsigned *ret_skipped,
		    struct err *err);

/*
 * The same in steps, so that the digest need not be waited for. snapshot_settle() leaves out what
 * was not changed: from then on the directory is the layer, and stays as it is. *ret_empty: there
 * is nothing in it. snapshot_push() puts it on top of a root, with no name; lookups in that, and
 * snapshots over it, work at once. snapshot_digest() may run in another thread and computes what
 * the layer is called; then snapshot_name() moves the directory to trees/, which nobody may do
 * while a snapshot over such a root is prepared and mounted; root_name() tells the root. The
 * snapshot must live as long as anything is mounted over it; snapshot_tidy() removes before then
 * what nothing can be mounted on, once snapshot_name() was called.
 */
int snapshot_settle(struct snapshot *snapshot, bool *ret_empty, unsigned *ret_skipped,
		    struct err *err);
int snapshot_push(const struct snapshot *snapshot, struct root *root, struct err *err);
int snapshot_digest(const struct snapshot *snapshot, struct layer *ret_layer, struct err *err);
int snapshot_name(const struct snapshot *snapshot, const struct layer *layer, struct err *err);
void snapshot_tidy(struct snapshot *snapshot);
void snapshot_free(struct snapshot *snapshot);
DEFINE_CLEANUP(struct snapshot *, snapshot_free)

#endif
