/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry/layout.c: an image out of an OCI image layout (image-spec, image-layout.md), a
 * directory. Nothing in it is believed: documents must have the digest they are called by, layers
 * the one that the config names.
 */
#include "registry/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/json.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/transport.h"

#define INDEX_DEPTH_MAX 4

struct layout {
	struct store *store;
	int dir_fd;
	const struct platform *platform;
};

const char *layout_blob_path(const struct digest *digest, char path[LAYOUT_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(path, LAYOUT_PATH_MAX, LAYOUT_BLOBS "/%s", digest_hex(digest, hex));
	return path;
}

const char *layout_ref_name(const json_t *entry)
{
	return json_string_value(
		json_object_get(json_object_get(entry, "annotations"), LAYOUT_REF_NAME));
}

static int read_document(const struct layout *layout, const struct digest *digest, char **ret_text,
			 size_t *ret_len, struct err *err)
{
	char path[LAYOUT_PATH_MAX];
	struct digest got;

	if (inroot_read(layout->dir_fd, layout_blob_path(digest, path), IMAGE_DOCUMENT_MAX,
			ret_text, ret_len, err) < 0)
		return -1;
	digest_of(*ret_text, *ret_len, &got);
	if (!digest_equal(&got, digest))
		return err_set(err, ERR_CORRUPT, "%s has another digest than its name", path);
	return 0;
}

static int take_layers(const struct layout *layout, const struct manifest *manifest,
		       const struct image *image, struct err *err)
{
	if (manifest->n_layers != image->n_layers)
		return err_set(err, ERR_INVALID, "the manifest names %zu layers, the config %zu",
			       manifest->n_layers, image->n_layers);
	for (size_t i = 0; i < manifest->n_layers; i++)
		if (layout_take_layer(layout->store, layout->dir_fd, &manifest->layers[i],
				      &image->diff_ids[i], err) < 0)
			return -1;
	return 0;
}

/* The documents of one image. */
struct documents {
	struct manifest *manifest;
	struct image *image;
	char *manifest_text, *config_text;
	size_t manifest_len, config_len;
};

static void documents_release(struct documents *documents)
{
	manifest_free(documents->manifest);
	image_free(documents->image);
	free(documents->manifest_text);
	free(documents->config_text);
}

static int read_documents(const struct layout *layout, const struct descriptor *descriptor,
			  struct documents *documents, struct err *err)
{
	if (read_document(layout, &descriptor->digest, &documents->manifest_text,
			  &documents->manifest_len, err) < 0 ||
	    manifest_parse(documents->manifest_text, documents->manifest_len,
			   media_name(descriptor->media), &documents->manifest, err) < 0 ||
	    read_document(layout, &documents->manifest->config.digest, &documents->config_text,
			  &documents->config_len, err) < 0)
		return -1;
	return image_parse(documents->config_text, documents->config_len, &documents->image, err);
}

static int take(const struct layout *layout, const struct documents *documents,
		struct digest *ret_id, struct err *err)
{
	const struct manifest *manifest = documents->manifest;
	struct image_record record = { .id = manifest->config.digest };
	struct digest digest;

	if (blob_put(layout->store, documents->manifest_text, documents->manifest_len, &digest,
		     err) < 0)
		return -1;
	record.manifest = (struct descriptor){ manifest->media, digest, documents->manifest_len };
	if (take_layers(layout, manifest, documents->image, err) < 0 ||
	    blob_put(layout->store, documents->config_text, documents->config_len, &digest, err) <
		    0 ||
	    image_record_put(layout->store, &record, err) < 0)
		return -1;
	*ret_id = record.id;
	return 0;
}

/* A manifest, or the one that an index has for the platform. */
static int descend(const struct layout *layout, struct descriptor *descriptor, struct err *err)
{
	for (int depth = 0; media_as_oci(descriptor->media) == MEDIA_OCI_INDEX; depth++) {
		cleanup_with(index_free) struct image_index *index = NULL;
		const struct index_entry *chosen;
		cleanup_free char *text = NULL;
		size_t len;

		if (depth == INDEX_DEPTH_MAX)
			return err_set(err, ERR_LIMIT, "indexes are nested more than %d deep",
				       INDEX_DEPTH_MAX);
		if (read_document(layout, &descriptor->digest, &text, &len, err) < 0 ||
		    index_parse(text, len, media_name(descriptor->media), &index, err) < 0 ||
		    index_choose(index, layout->platform, &chosen, err) < 0)
			return -1;
		*descriptor = chosen->descriptor;
	}
	return 0;
}

/* "v1" is meant by "v1" and by "name:v1". */
static bool name_has_tag(const char *name, const char *tag)
{
	const char *colon = name ? strrchr(name, ':') : NULL;

	if (!name)
		return false;
	return !strcmp(name, tag) || (colon && !strchr(colon, '/') && !strcmp(colon + 1, tag));
}

static int choose(const struct image_index *index, const json_t *document, const char *tag,
		  const struct digest *digest, struct descriptor *ret_descriptor, struct err *err)
{
	const json_t *manifests = json_object_get(document, "manifests");
	char text[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < index->n_entries; i++) {
		const struct descriptor *descriptor = &index->entries[i].descriptor;
		const char *name = layout_ref_name(json_array_get(manifests, i));

		if (digest ? !digest_equal(&descriptor->digest, digest)
			   : !name_has_tag(name, tag ? tag : "latest"))
			continue;
		*ret_descriptor = *descriptor;
		return 0;
	}
	if (!digest && !tag && index->n_entries == 1) {
		*ret_descriptor = index->entries[0].descriptor;
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "index.json has no image \"%s\"",
		       digest ? digest_format(digest, text)
		       : tag  ? tag
			      : "latest");
}

/* The documents of the image of that name. */
static int find(const struct layout *layout, const char *tag, const struct digest *digest,
		struct documents *documents, struct err *err)
{
	cleanup_with(index_free) struct image_index *index = NULL;
	cleanup_json json_t *document = NULL;
	struct descriptor descriptor;
	cleanup_free char *text = NULL;
	size_t len;

	if (inroot_read(layout->dir_fd, "index.json", IMAGE_DOCUMENT_MAX, &text, &len, err) < 0 ||
	    js_parse("index.json", text, len, &document, err) < 0 ||
	    index_parse(text, len, NULL, &index, err) < 0 ||
	    choose(index, document, tag, digest, &descriptor, err) < 0 ||
	    descend(layout, &descriptor, err) < 0)
		return -1;
	return read_documents(layout, &descriptor, documents, err);
}

int layout_load(struct store *store, int dir_fd, const char *tag, const struct digest *digest,
		const struct platform *platform, struct digest *ret_id, struct err *err)
{
	const struct layout layout = { .store = store, .dir_fd = dir_fd, .platform = platform };
	struct documents documents = { .manifest = NULL };
	int status = find(&layout, tag, digest, &documents, err);

	if (status == 0)
		status = take(&layout, &documents, ret_id, err);
	documents_release(&documents);
	return status;
}

int layout_read(int dir_fd, const char *tag, const struct digest *digest,
		const struct platform *platform, struct digest *ret_id, struct image **ret_image,
		struct err *err)
{
	const struct layout layout = { .dir_fd = dir_fd, .platform = platform };
	struct documents documents = { .manifest = NULL };
	int status = find(&layout, tag, digest, &documents, err);

	if (status == 0) {
		*ret_id = documents.manifest->config.digest;
		*ret_image = steal_pointer(&documents.image);
	}
	documents_release(&documents);
	return status;
}
