/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A layer whose times are none later than a given one, for images that are to be the same whenever
 * they are built. It is the layer written again, entry by entry: a layer that was made here comes
 * out as it was, byte for byte, but for those times.
 */
#include "layers/layer.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/store.h"

#define BLOCK (64 * 1024)

DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)

static int copy_content(struct tar_reader *from, struct tar_writer *to, unsigned char *block,
			struct err *err)
{
	ssize_t got;

	while ((got = tar_reader_read(from, block, BLOCK, err)) > 0)
		if (tar_writer_data(to, block, (size_t)got, err) < 0)
			return -1;
	return got < 0 ? -1 : 0;
}

static int copy_entries(struct tar_reader *from, int64_t latest, struct tar_writer *to,
			bool *ret_changed, struct err *err)
{
	cleanup_free unsigned char *block = xmalloc(BLOCK);
	const struct entry *next;
	int more;

	*ret_changed = false;
	while ((more = tar_reader_next(from, &next, err)) > 0) {
		struct entry entry = *next;

		if (entry.mtime > latest) {
			entry.mtime = latest;
			*ret_changed = true;
		}
		if (tar_writer_entry(to, &entry, err) < 0)
			return -1;
		if (entry.type == ENTRY_FILE && copy_content(from, to, block, err) < 0)
			return -1;
	}
	return more;
}

/* The tar of a layer as a file: the blob that holds it, or what the tree gives, in a file that
 * `spool` keeps without a name. */
static int open_tar(struct store *store, const struct digest *diff_id, struct blob_writer **spool,
		    int *ret_fd, struct err *err)
{
	struct descriptor blob;

	if (layer_find_blob(store, diff_id, &blob, err) == 0)
		return blob_open(store, &blob.digest, ret_fd, NULL, err);
	if (err->kind != ERR_NOT_FOUND || blob_writer_open(store, spool, err) < 0 ||
	    tree_stream(store, diff_id, blob_writer_sink(*spool), err) < 0 ||
	    sink_finish(blob_writer_sink(*spool), err) < 0)
		return -1;
	*ret_fd = fcntl(blob_writer_fd(*spool), F_DUPFD_CLOEXEC, 0);
	if (*ret_fd < 0 || lseek(*ret_fd, 0, SEEK_SET) < 0)
		return err_os(err, "read a temporary file of the store");
	return 0;
}

static int clamp(struct store *store, const struct digest *diff_id, int fd, int64_t latest,
		 struct layer *ret_layer, struct err *err)
{
	cleanup_with(tar_reader_free) struct tar_reader *reader = NULL;
	cleanup_with(layer_writer_free) struct layer_writer *writer = NULL;
	char text[DIGEST_TEXT_MAX];
	struct digest got;
	bool changed;
	uint64_t size;

	if (tar_reader_open(fd, digest_format(diff_id, text), TAR_READER_LAYER, 0, &reader, err) <
		    0 ||
	    layer_writer_open(store, &writer, err) < 0 ||
	    copy_entries(reader, latest, layer_writer_tar(writer), &changed, err) < 0 ||
	    tar_reader_finish(reader, &got, &size, err) < 0)
		return -1;
	if (!digest_equal(&got, diff_id))
		return err_set(err, ERR_CORRUPT, "the layer %s is damaged", text);
	if (changed)
		return layer_writer_commit(writer, ret_layer, err);
	*ret_layer = (struct layer){ .diff_id = *diff_id, .size = size };
	return 0;
}

int layer_clamp(struct store *store, const struct digest *diff_id, int64_t latest,
		struct layer *ret_layer, struct err *err)
{
	cleanup_with(blob_writer_free) struct blob_writer *spool = NULL;
	cleanup_fd int fd = -1;

	if (open_tar(store, diff_id, &spool, &fd, err) < 0)
		return -1;
	return clamp(store, diff_id, fd, latest, ret_layer, err);
}
