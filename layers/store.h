/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_STORE_H
#define LAYERS_STORE_H

/*
 * layers/store.h: the store on disk: blobs by digest, records, locks, scratch space. Safe for
 * many processes at once: an object appears whole, by one link or rename, or not at all; what
 * lies under tmp/ belongs to the process that holds its lock.
 *
 *	blobs/sha256/<hex>	immutable bytes
 *	images/			names and image records (layers/image.h)
 *	layers/<hex>		layer records: size, known blobs (layers/layer.h)
 *	trees/<hex>/		unpacked layers, as overlayfs stacks them
 *	flat/<hex>/		unpacked layers where nothing can be mounted
 *	own/<hex>/ own-flat/<hex>/  the same where owners are only recorded
 *	nested/<hex>/		as trees/, for root in a user namespace
 *	steps/<aa>/<hex>	step records, written by builder/
 *	contexts/<hex>		context indexes, written by builder/
 *	fetches/<hex>		what is known of a URL's content, written by builder/
 *	builds/<hex>		what the last build did and why, written by builder/
 *	costs/<hex>		what the steps of an image cost, written by builder/
 *	probes/<hex>		what this machine allows, written by builder/
 *	mounts/<hex>/		cache mounts
 *	tmp/<random>/		one process's work in progress: files being written, directories,
 *				by number; tmp/<random>.lock is held while it is alive
 *	locks/<name>		lock files, never removed
 *	format			says that this directory is a store, and of which version
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mem.h"

struct buf;
struct cancel;
struct digest;
struct err;
struct sink;
struct store;

/*
 * Open the store at path, making it (0700) when `create`. A store that is not the caller's own
 * directory is refused with ERR_DENIED, a directory with other things in it with ERR_INVALID.
 * Must be called before userns_enter(). In a user namespace it stays usable. Fails with
 * ERR_NOT_FOUND without `create`.
 */
int store_open(const char *path, bool create, struct store **ret_store, struct err *err);
void store_free(struct store *store);

/*
 * From now on unpacked layers of this store are looked for, and made, in a form that needs no right
 * but to write files. They can be looked into and copied, and not be stacked by overlayfs. For
 * places where nothing can be mounted. Layers known in one form are converted when needed.
 */
void store_use_flat_trees(struct store *store);
bool store_has_flat_trees(const struct store *store);

/* Whether it was root who opened it: whatever namespace he enters later. */
bool store_is_roots(const struct store *store);

/*
 * To be said after this process has entered a user namespace: there overlayfs, and with it trees,
 * tell by other attributes which directories are opaque.
 */
void store_note_namespace(struct store *store);

/*
 * From now on owners of unpacked files are written down instead of given, for a process that can
 * give files to nobody but itself. Such trees are apart from others. With modes it has no rights
 * over files that are shut to it either: it stays in, and the modes are written down.
 */
enum owner_record { OWNER_GIVEN, OWNER_RECORDED, OWNER_AND_MODE_RECORDED };
void store_record_owners(struct store *store, bool modes);
bool store_records_owners(const struct store *store);

/* What to do with the files of a root that is copied for this process. */
enum owner_record store_owner_record(const struct store *store);

int store_fd(const struct store *store);	   /* its directory; stays the store's */
const char *store_path(const struct store *store); /* absolute, for messages */

/* No layer that comes from outside may unpack to more bytes than this; 0, as at first: any may. */
void store_limit_layers(struct store *store, uint64_t max_bytes);
uint64_t store_layer_max(const struct store *store);

/*
 * From now on work with this store that may take long (unpacking, copying, waiting for somebody
 * else's lock, the helper program of registry/) ends with ERR_CANCELLED once `cancel` was asked,
 * which stays the caller's; NULL, as at first: it goes on to its end. Nothing else ends: what a
 * step has finished is kept.
 */
void store_heed(struct store *store, const struct cancel *cancel);
const struct cancel *store_cancel(const struct store *store);

/*
 * Make everything written so far survive a power cut: one syncfs(). An error is remembered: a
 * later call fails too (a sync that failed once is never believed).
 */
int store_sync(struct store *store, struct err *err);

/* Begin to write out what there is, beside what the caller does next: store_sync() then has less to
 * wait for. One at a time; a call while one is under way does nothing. */
void store_begin_sync(struct store *store);

/*
 * Leave that to a later command: until store_sync() has succeeded, here or in another process,
 * store_is_synced() is false, and a power cut may take what is young.
 */
int store_put_off_sync(struct store *store, struct err *err);
bool store_is_synced(const struct store *store);

/* --- blobs ---------------------------------------------------------------------------------- */

struct blob_writer;

/*
 * Begin a blob: what is written to blob_writer_sink() goes to an unnamed file. commit() gives it
 * its name: with `want`, only if the digest is that (else ERR_CORRUPT and nothing is left). Bytes
 * that are there already are no error. free() after commit, or instead of it, to give up.
 * The sink's finish() need not be called.
 */
int blob_writer_open(struct store *store, struct blob_writer **ret_writer, struct err *err);
struct sink *blob_writer_sink(struct blob_writer *writer);
/* Before the first byte: once it is large, it is hashed by a thread while it is written. */
void blob_writer_hash_beside(struct blob_writer *writer);
int blob_writer_commit(struct blob_writer *writer, const struct digest *want,
		       struct digest *ret_digest, uint64_t *ret_size, struct err *err);
void blob_writer_free(struct blob_writer *writer);
/* The descriptor written to, for copy_file_range; the caller then tells the digest at commit by
 * blob_writer_set_digest() from its own hashing of the same bytes. */
int blob_writer_fd(struct blob_writer *writer);
void blob_writer_set_digest(struct blob_writer *writer, const struct digest *digest, uint64_t size);

/* A small blob from memory. */
int blob_put(struct store *store, const void *data, size_t len, struct digest *ret_digest,
	     struct err *err);

/*
 * A file that was written in a scratch directory becomes a blob by renaming, when there is none
 * yet: for bytes whose use is only known after them. digest and size are the caller's own hashing.
 */
struct scratch;
int blob_adopt(struct scratch *scratch, const char *name, const struct digest *digest,
	       uint64_t size, struct err *err);

bool blob_exists(struct store *store, const struct digest *digest, uint64_t *ret_size);

/* Open for reading; *ret_size (may be NULL) in bytes. ERR_NOT_FOUND when absent. The bytes are
 * not re-hashed. */
int blob_open(struct store *store, const struct digest *digest, int *ret_fd, uint64_t *ret_size,
	      struct err *err);

/* Read a small blob whole (limit: buf's) and verify its digest; ERR_CORRUPT names it and sets it
 * aside. */
int blob_read(struct store *store, const struct digest *digest, struct buf *buf, struct err *err);

/* Remove; absent is no error. */
int blob_remove(struct store *store, const struct digest *digest, struct err *err);

/* --- records: small JSON files replaced whole ------------------------------------------------ */

/* kind is a directory ("layers", "steps", ...). steps are spread over 256 subdirectories. Each
 * record is one JSON object with a "crc" member that the store adds and checks; a reader gets the
 * object as it was given to record_write(). A damaged one is ERR_CORRUPT once, which names it, and
 * is set aside (<name>~damaged): from then on it is ERR_NOT_FOUND. Removing what is absent is no
 * error. */
int record_read(struct store *store, const char *kind, const struct digest *name, struct buf *buf,
		struct err *err);
int record_write(struct store *store, const char *kind, const struct digest *name, const void *data,
		 size_t len, struct err *err);
int record_remove(struct store *store, const char *kind, const struct digest *name,
		  struct err *err);

/* --- scratch and locks ----------------------------------------------------------------------- */

#define SCRATCH_PATH_MAX 64

/* A directory of one's own under tmp/, removed by scratch_free() or store_free(), or by the next
 * store_sweep(). */
struct scratch {
	struct store *store;
	char path[SCRATCH_PATH_MAX]; /* relative to store_fd() */
	int dir_fd;
};
int scratch_open(struct store *store, struct scratch **ret_scratch, struct err *err);
void scratch_free(struct scratch *scratch);

/* Remove what dead processes left under tmp/. Needs the rights of userns_enter() for trees. */
int store_sweep(struct store *store, struct err *err);

/*
 * flock on locks/<name> (name: [A-Za-z0-9._-]+). Waits unless `try`, in which case a taken lock
 * gives *ret_fd = -1. Released by close(), or by store_unlock() even while a child that was forked
 * meanwhile has a copy. The descriptor is close-on-exec.
 */
int store_lock(struct store *store, const char *name, bool exclusive, bool try, int *ret_fd,
	       struct err *err);

/* store_lock() that waits, for as long as the store is not told to give up (store_heed()). */
int store_wait_lock(struct store *store, const char *name, bool exclusive, int *ret_fd,
		    struct err *err);

/* An exclusive lock of one key, without waiting, among all that are taken from locks/<name>: as
 * many as one likes in one file. *ret_fd is -1 when somebody, maybe another thread, has it. */
int store_lock_key(struct store *store, const char *name, const struct digest *key, int *ret_fd,
		   struct err *err);

/* Release a lock of either kind, set *fd to -1. Fine for -1. */
void store_unlock(int *fd);

DEFINE_CLEANUP(struct store *, store_free)
DEFINE_CLEANUP(struct blob_writer *, blob_writer_free)
DEFINE_CLEANUP(struct scratch *, scratch_free)

#endif
