/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/image_manifest.c: the manifest of an image. One that came with the image is kept as it
 * came, while all that it names is here or can be fetched. Those made here are a function of the
 * layers' blobs, so they are made again on each request, and remembered only to be removed with the
 * image.
 */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "layers/image.h"
#include "layers/internal.h"
#include "layers/layer.h"
#include "layers/store.h"

/* Whether the blob, which is the layer's, is here or somewhere. */
static bool can_be_had(struct store *store, const struct digest *diff_id,
		       const struct descriptor *blob)
{
	struct layer_places places;
	struct err ignored = ERR_INIT;
	bool found = false;
	uint64_t size;

	if (blob_exists(store, &blob->digest, &size) && size == blob->size)
		return true;
	if (layer_places_read(store, diff_id, &places, &ignored) < 0)
		return false;
	for (size_t i = 0; i < places.n && !found; i++)
		found = digest_equal(&places.v[i].blob.digest, &blob->digest);
	layer_places_release(&places);
	return found;
}

/* Whether all that a manifest of the image names can be had. */
static bool is_complete(struct store *store, const struct digest *id,
			const struct descriptor *descriptor)
{
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	cleanup_with(image_free) struct image *image = NULL;
	struct err ignored = ERR_INIT;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (blob_read(store, &descriptor->digest, &text, &ignored) < 0 ||
	    manifest_parse(text.data, text.len, media_name(descriptor->media), &manifest,
			   &ignored) < 0 ||
	    image_load(store, id, &image, &ignored) < 0 || image->n_layers != manifest->n_layers)
		return false;
	for (size_t i = 0; i < manifest->n_layers; i++)
		if (!can_be_had(store, &image->diff_ids[i], &manifest->layers[i]))
			return false;
	return true;
}

static struct descriptor in_form(struct descriptor descriptor, bool docker)
{
	descriptor.media =
		docker ? media_as_docker(descriptor.media) : media_as_oci(descriptor.media);
	return descriptor;
}

static int make_manifest(struct store *store, const struct digest *id, enum compression compression,
			 bool docker, struct descriptor *ret_made, struct err *err)
{
	cleanup_with(manifest_free) struct manifest *manifest = xcalloc(1, sizeof(*manifest));
	struct descriptor made = { .media = MEDIA_OCI_MANIFEST };
	cleanup_with(image_free) struct image *image = NULL;
	cleanup_free char *text = NULL;
	size_t len;

	if (image_load(store, id, &image, err) < 0)
		return -1;
	made = in_form(made, docker);
	manifest->media = made.media;
	manifest->config = (struct descriptor){ .media = MEDIA_OCI_CONFIG, .digest = *id };
	manifest->config = in_form(manifest->config, docker);
	if (!blob_exists(store, id, &manifest->config.size))
		return err_set(err, ERR_NOT_FOUND, "the image's config is gone");
	manifest->layers = xcalloc(image->n_layers + 1, sizeof(*manifest->layers));
	for (size_t i = 0; i < image->n_layers; i++) {
		struct descriptor *layer = &manifest->layers[i];

		if (layer_blob(store, &image->diff_ids[i], compression, layer, err) < 0)
			return err_wrap(err, "layer %zu", i + 1);
		*layer = in_form(*layer, docker);
		manifest->n_layers++;
	}
	text = manifest_format(manifest, &len);
	made.size = len;
	if (blob_put(store, text, len, &made.digest, err) < 0)
		return -1;
	*ret_made = made;
	return 0;
}

int image_manifest(struct store *store, const struct digest *id, enum compression compression,
		   bool docker, struct descriptor *ret_manifest, struct err *err)
{
	char digest[DIGEST_TEXT_MAX];
	struct image_state state;
	struct descriptor made;

	if (image_state_read(store, id, &state, err) < 0)
		return -1;
	if (state.came.size &&
	    state.came.media == (docker ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST) &&
	    is_complete(store, id, &state.came)) {
		*ret_manifest = state.came;
		return 0;
	}
	if (make_manifest(store, id, compression, docker, &made, err) < 0 ||
	    image_state_add_made(store, id, &state, &made, err) < 0)
		return err_wrap(err, "manifest of image %s", digest_format(id, digest));
	*ret_manifest = made;
	return 0;
}
