/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A layer that came from outside, read through as unpacking would read it, with nothing made. */
#include "layers/layer.h"

#include "base/err.h"
#include "base/file.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/store.h"

DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)

static int read_through(int fd, const char *what, uint64_t max_bytes, struct err *err)
{
	cleanup_with(tar_reader_free) struct tar_reader *reader = NULL;
	const struct entry *entry;
	struct digest digest;
	uint64_t size;
	int more;

	if (tar_reader_open(fd, what, TAR_READER_LAYER, max_bytes, &reader, err) < 0)
		return -1;
	while ((more = tar_reader_next(reader, &entry, err)) > 0)
		;
	return more < 0 ? -1 : tar_reader_finish(reader, &digest, &size, err);
}

int layer_check(struct store *store, const struct digest *diff_id, const char *what,
		struct err *err)
{
	struct err ignored = ERR_INIT;
	struct descriptor blob;
	cleanup_fd int fd = -1;

	if (layer_find_blob(store, diff_id, &blob, err) < 0 ||
	    blob_open(store, &blob.digest, &fd, NULL, err) < 0)
		return -1;
	if (read_through(fd, what, store_layer_max(store), err) == 0)
		return 0;
	layer_forget(store, diff_id, &ignored);
	return -1;
}

bool layer_distrust(struct store *store, const struct digest *diff_id)
{
	struct err why = ERR_INIT, ignored = ERR_INIT;
	char text[DIGEST_TEXT_MAX];
	struct sink_digest nowhere;
	struct descriptor blob;

	if (layer_find_blob(store, diff_id, &blob, &ignored) < 0)
		return false;
	sink_digest_init(&nowhere, NULL);
	if ((layer_stream(store, diff_id, &nowhere.sink, &why) == 0 &&
	     layer_check(store, diff_id, digest_format(diff_id, text), &why) == 0) ||
	    why.kind == ERR_OS)
		return false;
	layer_forget(store, diff_id, &ignored);
	return true;
}
