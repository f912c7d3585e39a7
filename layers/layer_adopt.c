/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/layer_adopt.c: a layer from a file that was hashed while it was written. Loading an
 * archive learns what its members are after it has read them; a large one is neither copied nor,
 * when it is not compressed, read again.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/err.h"
#include "base/file.h"
#include "layers/internal.h"
#include "layers/layer.h"
#include "layers/store.h"

/* The file, or the blob that it became. */
static int open_bytes(struct scratch *scratch, const char *name, const struct digest *digest,
		      int *ret_fd, struct err *err)
{
	int fd = openat(scratch->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return blob_open(scratch->store, digest, ret_fd, NULL, err);
	if (fd < 0)
		return err_os(err, "open %s in the store", name);
	*ret_fd = fd;
	return 0;
}

static int hash_rest(struct decompressor *from, struct layer *layer, struct err *err)
{
	const unsigned char *data;
	size_t len;

	do {
		if (decompressor_next(from, &data, &len, err) < 0)
			return -1;
	} while (len);
	return decompressor_finish(from, &layer->diff_id, &layer->size, err);
}

int layer_adopt(struct scratch *scratch, const char *name, const struct descriptor *blob,
		const struct digest *want_diff_id, struct layer *ret_layer, struct err *err)
{
	struct layer_blob note = { .descriptor = *blob };
	cleanup_with(decompressor_free) struct decompressor *from = NULL;
	struct layer layer = { .diff_id = blob->digest, .size = blob->size };
	char got[DIGEST_TEXT_MAX], want[DIGEST_TEXT_MAX];
	enum compression compression;
	cleanup_fd int fd = -1;
	bool known;

	if (open_bytes(scratch, name, &blob->digest, &fd, err) < 0 ||
	    decompressor_open(fd, 0, "layer", store_layer_max(scratch->store), &from, err) < 0)
		return -1;
	compression = decompressor_compression(from, &known);
	if (!known) /* bzip2 or xz, which no image may hold */
		return layer_take(scratch->store, fd, want_diff_id, ret_layer, err);
	if (compression != COMPRESSION_NONE && hash_rest(from, &layer, err) < 0)
		return -1;
	if (want_diff_id && !digest_equal(&layer.diff_id, want_diff_id))
		return err_set(err, ERR_CORRUPT, "layer is %s, expected %s",
			       digest_format(&layer.diff_id, got),
			       digest_format(want_diff_id, want));
	note.descriptor.media = media_of_layer(compression);
	note.own = compression == COMPRESSION_NONE;
	if ((!blob_exists(scratch->store, &blob->digest, &note.descriptor.size) ||
	     note.descriptor.size != blob->size) &&
	    blob_adopt(scratch, name, &blob->digest, blob->size, err) < 0)
		return -1;
	note.descriptor.size = blob->size;
	if (layer_record_add(scratch->store, &layer.diff_id, layer.size, &note, err) < 0)
		return -1;
	*ret_layer = layer;
	return 0;
}
