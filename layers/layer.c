/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layers as bytes. Which form serves:
 *  1. A blob that came from elsewhere is the layer's own: its digest is what others know. It is
 *     handed on as it is, whatever compression is asked for.
 *  2. A blob that was made here is one way to pack the layer; others are made when asked for.
 *  3. A tar is streamed from a blob where one is here, an uncompressed one first, else from the
 *     tree. Whatever its source, it is hashed on the way, and must be the diff_id.
 *  4. One process at a time packs a layer; the next finds the blob.
 */
#include "layers/layer.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/store.h"

#define EMPTY_TAR 1024 /* bytes: the end blocks alone */

/* --- writing ---------------------------------------------------------------------------------- */

struct layer_writer {
	struct store *store;
	struct blob_writer *blob;
	struct tar_writer *tar;
};

int layer_writer_open(struct store *store, struct layer_writer **ret_writer, struct err *err)
{
	struct layer_writer *writer = xcalloc(1, sizeof(*writer));

	writer->store = store;
	if (blob_writer_open(store, &writer->blob, err) < 0) {
		layer_writer_free(writer);
		return -1;
	}
	blob_writer_hash_beside(writer->blob);
	writer->tar = tar_writer_new(blob_writer_sink(writer->blob));
	*ret_writer = writer;
	return 0;
}

struct tar_writer *layer_writer_tar(struct layer_writer *writer)
{
	return writer->tar;
}

static int add_own_tar(struct store *store, const struct digest *diff_id, uint64_t size,
		       struct err *err)
{
	struct layer_blob blob = { .descriptor = { MEDIA_OCI_LAYER, *diff_id, size }, .own = true };

	return layer_record_add(store, diff_id, size, &blob, err);
}

int layer_writer_commit(struct layer_writer *writer, struct layer *ret_layer, struct err *err)
{
	struct layer layer = { 0 };

	if (tar_writer_end(writer->tar, err) < 0 ||
	    blob_writer_commit(writer->blob, NULL, &layer.diff_id, &layer.size, err) < 0 ||
	    add_own_tar(writer->store, &layer.diff_id, layer.size, err) < 0)
		return -1;
	layer.empty = layer.size == EMPTY_TAR;
	*ret_layer = layer;
	return 0;
}

void layer_writer_free(struct layer_writer *writer)
{
	if (!writer)
		return;
	tar_writer_free(writer->tar);
	blob_writer_free(writer->blob);
	free(writer);
}

/* --- taking ----------------------------------------------------------------------------------- */

static bool is_empty_tar(const struct layer *layer)
{
	static const unsigned char zeros[EMPTY_TAR];
	struct digest digest;

	if (layer->size != EMPTY_TAR)
		return layer->size == 0;
	digest_of(zeros, sizeof(zeros), &digest);
	return digest_equal(&digest, &layer->diff_id);
}

/* Everything of `from` into a sink. */
static int pour(struct decompressor *from, struct sink *to, struct err *err)
{
	const unsigned char *data;
	size_t len;

	do {
		if (decompressor_next(from, &data, &len, err) < 0 ||
		    (len && sink_write(to, data, len, err) < 0))
			return -1;
	} while (len);
	return 0;
}

static int check_diff_id(const struct digest *want, const struct digest *got, struct err *err)
{
	char got_text[DIGEST_TEXT_MAX], want_text[DIGEST_TEXT_MAX];

	if (digest_equal(want, got))
		return 0;
	return err_set(err, ERR_CORRUPT, "layer is %s, expected %s", digest_format(got, got_text),
		       digest_format(want, want_text));
}

/*
 * gzip and zstd are kept as they come. What no image may hold (bzip2, xz) is kept uncompressed;
 * then, and for a plain tar, blob and layer are the same bytes, which are hashed once.
 */
static int take(struct store *store, struct decompressor *from, struct blob_writer *blob,
		const struct digest *want, struct layer *layer, struct err *err)
{
	bool known;
	enum compression compression = decompressor_compression(from, &known);
	struct layer_blob note = { .descriptor.media = media_of_layer(compression) };
	struct sink_fd plain;

	if (compression == COMPRESSION_NONE) {
		sink_fd_init(&plain, blob_writer_fd(blob));
		if (pour(from, &plain.sink, err) < 0)
			return -1;
	} else if (decompressor_tap(from, blob_writer_sink(blob), err) < 0) {
		return -1;
	}
	if (decompressor_finish(from, &layer->diff_id, &layer->size, err) < 0 ||
	    (want && check_diff_id(want, &layer->diff_id, err) < 0))
		return -1;
	if (compression == COMPRESSION_NONE)
		blob_writer_set_digest(blob, &layer->diff_id, layer->size);
	if (blob_writer_commit(blob, NULL, &note.descriptor.digest, &note.descriptor.size, err) < 0)
		return -1;
	note.own = compression == COMPRESSION_NONE;
	return layer_record_add(store, &layer->diff_id, layer->size, &note, err);
}

int layer_take(struct store *store, int fd, const struct digest *want_diff_id,
	       struct layer *ret_layer, struct err *err)
{
	cleanup_with(decompressor_free) struct decompressor *from = NULL;
	cleanup_with(blob_writer_free) struct blob_writer *blob = NULL;
	struct layer layer = { 0 };

	if (decompressor_open(fd, -1, "layer", store_layer_max(store), &from, err) < 0 ||
	    blob_writer_open(store, &blob, err) < 0 ||
	    take(store, from, blob, want_diff_id, &layer, err) < 0)
		return -1;
	layer.empty = is_empty_tar(&layer);
	*ret_layer = layer;
	return 0;
}

int layer_remember(struct store *store, const struct layer *layer, struct err *err)
{
	return layer_record_add(store, &layer->diff_id, layer->size, NULL, err);
}

/* --- forms ------------------------------------------------------------------------------------ */

uint64_t layer_size(struct store *store, const struct digest *diff_id)
{
	struct err err = ERR_INIT;
	struct layer_record record;
	uint64_t size;

	if (layer_record_read(store, diff_id, &record, &err) < 0)
		return 0;
	size = record.size;
	layer_record_release(&record);
	return size;
}

static bool is_here(struct store *store, const struct descriptor *blob)
{
	uint64_t size;

	return blob_exists(store, &blob->digest, &size) && (!blob->size || blob->size == size);
}

/* The one present with the highest rank above 0. */
static bool choose(struct store *store, const struct layer_record *record,
		   unsigned (*rank)(const struct layer_blob *, enum compression),
		   enum compression compression, struct descriptor *ret_blob)
{
	unsigned best = 0;

	for (size_t i = 0; i < record->n_blobs; i++) {
		unsigned got = rank(&record->blobs[i], compression);

		if (got > best && is_here(store, &record->blobs[i].descriptor)) {
			best = got;
			*ret_blob = record->blobs[i].descriptor;
		}
	}
	return best > 0;
}

static unsigned rank_to_read(const struct layer_blob *blob, enum compression compression)
{
	return media_compression(blob->descriptor.media) == compression ? 2 : 1;
}

static unsigned rank_to_hand_on(const struct layer_blob *blob, enum compression compression)
{
	bool same = media_compression(blob->descriptor.media) == compression;

	return blob->own ? same : 2 + (unsigned)same;
}

int layer_find_blob(struct store *store, const struct digest *diff_id, struct descriptor *ret_blob,
		    struct err *err)
{
	char text[DIGEST_TEXT_MAX];
	struct layer_record record;
	bool found;

	if (layer_record_read(store, diff_id, &record, err) < 0)
		return -1;
	found = choose(store, &record, rank_to_read, COMPRESSION_NONE, ret_blob);
	layer_record_release(&record);
	return found ? 0
		     : err_set(err, ERR_NOT_FOUND, "layer %s is not in the store",
			       digest_format(diff_id, text));
}

bool layer_present(struct store *store, const struct digest *diff_id)
{
	struct err err = ERR_INIT;
	struct descriptor blob;

	return tree_exists_somehow(store, diff_id) ||
	       layer_find_blob(store, diff_id, &blob, &err) == 0;
}

static int stream_blob(struct store *store, const struct digest *diff_id,
		       const struct descriptor *blob, struct sink *sink, struct err *err)
{
	cleanup_with(decompressor_free) struct decompressor *from = NULL;
	char text[DIGEST_TEXT_MAX];
	cleanup_fd int fd = -1;
	struct digest got;
	uint64_t size;

	if (blob_open(store, &blob->digest, &fd, NULL, err) < 0 ||
	    decompressor_open(fd, -1, digest_format(&blob->digest, text), 0, &from, err) < 0 ||
	    pour(from, sink, err) < 0 || decompressor_finish(from, &got, &size, err) < 0)
		return -1;
	return check_diff_id(diff_id, &got, err);
}

int layer_stream(struct store *store, const struct digest *diff_id, struct sink *sink,
		 struct err *err)
{
	struct descriptor blob;

	if (layer_find_blob(store, diff_id, &blob, err) == 0)
		return stream_blob(store, diff_id, &blob, sink, err);
	if (err->kind != ERR_NOT_FOUND || !tree_exists_somehow(store, diff_id))
		return -1;
	return tree_stream(store, diff_id, sink, err);
}

/* --- packing ---------------------------------------------------------------------------------- */

static int find_packed(struct store *store, const struct digest *diff_id,
		       enum compression compression, bool *ret_found, struct descriptor *ret_blob,
		       struct err *err)
{
	struct layer_record record;

	if (layer_record_read(store, diff_id, &record, err) < 0)
		return -1;
	*ret_found = choose(store, &record, rank_to_hand_on, compression, ret_blob);
	layer_record_release(&record);
	return 0;
}

static int pack(struct store *store, const struct digest *diff_id, enum compression compression,
		struct descriptor *ret_blob, struct err *err)
{
	cleanup_with(compressor_free) struct compressor *compressor = NULL;
	cleanup_with(blob_writer_free) struct blob_writer *writer = NULL;
	struct layer_blob blob = { .descriptor.media = media_of_layer(compression), .own = true };

	if (blob_writer_open(store, &writer, err) < 0)
		return -1;
	compressor = compressor_new(compression, pool_processors(), blob_writer_sink(writer));
	if (layer_stream(store, diff_id, compressor_sink(compressor), err) < 0 ||
	    sink_finish(compressor_sink(compressor), err) < 0 ||
	    blob_writer_commit(writer, NULL, &blob.descriptor.digest, &blob.descriptor.size, err) <
		    0 ||
	    layer_record_add(store, diff_id, 0, &blob, err) < 0)
		return -1;
	*ret_blob = blob.descriptor;
	return 0;
}

int layer_blob(struct store *store, const struct digest *diff_id, enum compression compression,
	       struct descriptor *ret_blob, struct err *err)
{
	char text[DIGEST_TEXT_MAX], lock_name[24];
	cleanup_fd int lock = -1;
	bool found;

	if (find_packed(store, diff_id, compression, &found, ret_blob, err) < 0)
		return -1;
	if (found)
		return 0;
	if (!layer_present(store, diff_id))
		return layer_find_elsewhere(store, diff_id, ret_blob, err);
	/* few names, since lock files stay for ever; packing two layers at once is rare */
	snprintf(lock_name, sizeof(lock_name), "pack-%x", diff_id->bytes[0] & 15);
	if (store_lock(store, lock_name, true, false, &lock, err) < 0 ||
	    find_packed(store, diff_id, compression, &found, ret_blob, err) < 0)
		return -1;
	if (found)
		return 0;
	if (pack(store, diff_id, compression, ret_blob, err) < 0)
		return err_wrap(err, "pack layer %s", digest_format(diff_id, text));
	return 0;
}
