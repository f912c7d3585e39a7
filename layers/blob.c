/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/blob.c: immutable bytes, named by their digest.
 *
 * 1. A blob's file is written without a name (O_TMPFILE) and linked when it is whole, so a crash
 *    of ours leaves a blob or nothing. Where the file system cannot do that, it is a locked file
 *    under tmp/, renamed when whole.
 * 2. Files are not synced one by one. After a power cut before store_sync(), a blob may be shorter
 *    than it was; so whoever knows the size compares it, and blob_read() and every stream out of
 *    a layer verify the digest.
 * 3. A commit that finds the name taken by a file of another size replaces it: the new bytes were
 *    just hashed, the old ones are what a power cut left.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash_queue.h"
#include "base/mem.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/store.h"

#define BLOB_DIRECTORY "blobs/sha256"
#define BLOB_PATH_MAX  (sizeof(BLOB_DIRECTORY "/") + DIGEST_HEX_MAX)
#define WRITER_BLOCK   (128 * 1024)
#define BESIDE_MIN     (4 * 1024 * 1024)  /* bytes of a blob that is worth a thread */
#define ONCE_MIN       (64 * 1024 * 1024) /* bytes of it that are left in the page cache */

struct blob_writer {
	struct sink sink;
	struct store *store;
	int fd;
	char tmp_path[TMP_PATH_MAX]; /* "" for a file without a name */
	struct hasher hasher;
	struct hash_queue *queue; /* NULL: hasher has all that was flushed */
	bool beside;		  /* there may be a queue, once the blob is large */
	uint64_t size;		  /* bytes flushed */
	struct digest digest;	  /* when told by blob_writer_set_digest() */
	bool told;
	unsigned char *block; /* own, or the queue's */
	size_t room;	      /* bytes of block */
	size_t used;	      /* those not yet flushed */
	unsigned char own[WRITER_BLOCK];
};

static const char *blob_path(const struct digest *digest, char path[BLOB_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(path, BLOB_PATH_MAX, BLOB_DIRECTORY "/%s", digest_hex(digest, hex));
	return path;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_out(struct blob_writer *writer, const void *data, size_t len, struct err *err)
{
	bool large = writer->beside && writer->size >= ONCE_MIN;

	if ((large ? write_all_once : write_all)(writer->fd, data, len) < 0)
		return err_os(err, "write a blob to the store");
	writer->size += len;
	return 0;
}

/* From here on the blob is hashed by a thread. */
static void open_queue(struct blob_writer *writer)
{
	writer->queue = hash_queue_new(&writer->hasher);
	writer->block = hash_queue_block(writer->queue);
	writer->room = HASH_QUEUE_BLOCK;
}

static int flush(struct blob_writer *writer, const void *data, size_t len, struct err *err)
{
	if (write_out(writer, data, len, err) < 0)
		return -1;
	hasher_add(&writer->hasher, data, len);
	if (writer->beside && writer->size >= BESIDE_MIN)
		open_queue(writer);
	return 0;
}

static int flush_block(struct blob_writer *writer, struct err *err)
{
	size_t used = writer->used;

	writer->used = 0;
	if (!used)
		return 0;
	if (!writer->queue)
		return flush(writer, writer->block, used, err);
	hash_queue_put(writer->queue, used);
	if (write_out(writer, writer->block, used, err) < 0)
		return -1;
	writer->block = hash_queue_block(writer->queue);
	return 0;
}

/* The queue hashes what is in its blocks alone, so that all goes through them. */
static int queue_write(struct blob_writer *writer, const unsigned char *data, size_t len,
		       struct err *err)
{
	while (len) {
		size_t room = writer->room - writer->used, some = len < room ? len : room;

		memcpy(writer->block + writer->used, data, some);
		writer->used += some;
		data += some;
		len -= some;
		if (writer->used == writer->room && flush_block(writer, err) < 0)
			return -1;
	}
	return 0;
}

static int writer_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct blob_writer *writer = (struct blob_writer *)sink;

	if (!writer->queue && len > writer->room - writer->used) {
		if (flush_block(writer, err) < 0)
			return -1;
		if (!writer->queue && len >= writer->room)
			return flush(writer, data, len, err);
	}
	if (writer->queue)
		return queue_write(writer, data, len, err);
	memcpy(writer->block + writer->used, data, len);
	writer->used += len;
	return 0;
}

static int writer_finish(struct sink *sink, struct err *err)
{
	return flush_block((struct blob_writer *)sink, err);
}

int blob_writer_open(struct store *store, struct blob_writer **ret_writer, struct err *err)
{
	cleanup_with(blob_writer_free) struct blob_writer *writer = xmalloc(sizeof(*writer));

	memset(writer, 0, offsetof(struct blob_writer, own));
	writer->block = writer->own;
	writer->room = sizeof(writer->own);
	writer->sink = (struct sink){ writer_write, writer_finish };
	writer->store = store;
	hasher_init(&writer->hasher);
	writer->fd = openat(store_fd(store), BLOB_DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0444);
	if (writer->fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return err_os(err, "open a temporary file in the store");
	if (writer->fd < 0 && tmp_file_open(store, writer->tmp_path, &writer->fd, err) < 0)
		return -1;
	*ret_writer = steal_pointer(&writer);
	return 0;
}

struct sink *blob_writer_sink(struct blob_writer *writer)
{
	return &writer->sink;
}

void blob_writer_hash_beside(struct blob_writer *writer)
{
	writer->beside = true;
}

int blob_writer_fd(struct blob_writer *writer)
{
	return writer->fd;
}

void blob_writer_set_digest(struct blob_writer *writer, const struct digest *digest, uint64_t size)
{
	writer->digest = *digest;
	writer->size = size;
	writer->told = true;
}

void blob_writer_free(struct blob_writer *writer)
{
	if (!writer)
		return;
	if (writer->tmp_path[0])
		unlinkat(store_fd(writer->store), writer->tmp_path, 0);
	file_close_at(&writer->fd);
	hash_queue_free(writer->queue);
	free(writer);
}

/* Link a file without a name. AT_EMPTY_PATH asks for a capability, /proc for a mounted /proc. */
static int link_unnamed(int fd, int dir_fd, const char *path)
{
	char proc[40];

	if (linkat(fd, "", dir_fd, path, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM && errno != EINVAL)
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, proc, dir_fd, path, AT_SYMLINK_FOLLOW);
}

/* Put a file under its final name: the unnamed fd, or the one at `from` when that is given. */
static int move_to(int dir_fd, int fd, const char *from, const char *path)
{
	if (!from)
		return link_unnamed(fd, dir_fd, path);
	if (renameat2(dir_fd, from, dir_fd, path, RENAME_NOREPLACE) == 0)
		return 0;
	/* EINVAL: the file system cannot say NOREPLACE */
	return errno == EINVAL ? renameat(dir_fd, from, dir_fd, path) : -1;
}

static int give_name(struct store *store, int fd, const char *from, uint64_t size, const char *path,
		     struct err *err)
{
	int dir_fd = store_fd(store);

	for (int tries = 0; tries < 3; tries++) {
		struct stat st;

		if (move_to(dir_fd, fd, from, path) == 0)
			return 0;
		if (errno != EEXIST)
			break;
		if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    (uint64_t)st.st_size == size)
			return 0;
		store_set_aside(store, path);
	}
	return err_os(err, "name a blob in the store");
}

int blob_writer_commit(struct blob_writer *writer, const struct digest *want,
		       struct digest *ret_digest, uint64_t *ret_size, struct err *err)
{
	char got_text[DIGEST_TEXT_MAX], want_text[DIGEST_TEXT_MAX];
	char path[BLOB_PATH_MAX];
	struct digest got = writer->digest;

	if (!writer->told) {
		if (flush_block(writer, err) < 0)
			return -1;
		if (writer->queue)
			hash_queue_finish(writer->queue, &got);
		else
			hasher_finish(&writer->hasher, &got);
	}
	if (want && !digest_equal(want, &got))
		return err_set(err, ERR_CORRUPT, "blob is %s, expected %s",
			       digest_format(&got, got_text), digest_format(want, want_text));
	if (writer->tmp_path[0] && fchmod(writer->fd, 0444) < 0)
		return err_os(err, "set the mode of a blob");
	if (give_name(writer->store, writer->fd, writer->tmp_path[0] ? writer->tmp_path : NULL,
		      writer->size, blob_path(&got, path), err) < 0)
		return -1;
	if (ret_digest)
		*ret_digest = got;
	if (ret_size)
		*ret_size = writer->size;
	return 0;
}

int blob_put(struct store *store, const void *data, size_t len, struct digest *ret_digest,
	     struct err *err)
{
	cleanup_with(blob_writer_free) struct blob_writer *writer = NULL;
	struct digest digest;
	uint64_t size;

	digest_of(data, len, &digest);
	if (!blob_exists(store, &digest, &size) || size != len) {
		if (blob_writer_open(store, &writer, err) < 0 ||
		    sink_write(&writer->sink, data, len, err) < 0 ||
		    blob_writer_commit(writer, &digest, NULL, NULL, err) < 0)
			return -1;
	}
	if (ret_digest)
		*ret_digest = digest;
	return 0;
}

int blob_adopt(struct scratch *scratch, const char *name, const struct digest *digest,
	       uint64_t size, struct err *err)
{
	cleanup_free char *from = xasprintf("%s/%s", scratch->path, name);
	char path[BLOB_PATH_MAX];

	if (fchmodat(scratch->dir_fd, name, 0444, 0) < 0)
		return err_os(err, "set the mode of a blob");
	return give_name(scratch->store, -1, from, size, blob_path(digest, path), err);
}

/* --- reading ---------------------------------------------------------------------------------- */

bool blob_exists(struct store *store, const struct digest *digest, uint64_t *ret_size)
{
	char path[BLOB_PATH_MAX];
	struct stat st;

	if (fstatat(store_fd(store), blob_path(digest, path), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return true;
}

int blob_open(struct store *store, const struct digest *digest, int *ret_fd, uint64_t *ret_size,
	      struct err *err)
{
	char path[BLOB_PATH_MAX], text[DIGEST_TEXT_MAX];
	cleanup_fd int fd = -1;
	struct stat st;

	fd = openat(store_fd(store), blob_path(digest, path),
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "blob %s is not in the store",
			       digest_format(digest, text));
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_os(err, "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CORRUPT, "%s is not a regular file", path);
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int blob_read(struct store *store, const struct digest *digest, struct buf *buf, struct err *err)
{
	char path[BLOB_PATH_MAX], text[DIGEST_TEXT_MAX];
	cleanup_fd int fd = -1;
	size_t start = buf->len;
	struct digest got;

	/* first by blob_open(), for its words about what is absent */
	if (blob_open(store, digest, &fd, NULL, err) < 0)
		return -1;
	blob_path(digest, path);
	if (file_read_at(store_fd(store), path, buf, err) < 0)
		return err_wrap(err, "read a blob");
	digest_of(buf->data + start, buf->len - start, &got);
	if (!digest_equal(&got, digest)) {
		store_set_aside(store, path);
		return err_set(err, ERR_CORRUPT,
			       "blob %s is damaged; it was set aside as %s~damaged",
			       digest_format(digest, text), path);
	}
	return 0;
}

int blob_remove(struct store *store, const struct digest *digest, struct err *err)
{
	char path[BLOB_PATH_MAX];

	if (unlinkat(store_fd(store), blob_path(digest, path), 0) < 0 && errno != ENOENT)
		return err_os(err, "remove %s", path);
	return 0;
}
