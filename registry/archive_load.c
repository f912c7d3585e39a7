/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry/archive_load.c: images out of archives. docker's manifest.json is believed before an OCI
 * index.json when both are there, as docker does: it has the names.
 *
 * An image is stored from the bottom up: layers (each checked to be the one that the config
 * names), manifest and config, record, names. A failure leaves the images before it, and of its
 * own at most layers.
 */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "layers/image.h"
#include "layers/store.h"
#include "registry/bundle.h"
#include "registry/reference.h"
#include "registry/transport.h"

#define ARCHIVE_IMAGES_MAX 1000
#define ARCHIVE_NAMES_MAX  1000
#define INDEX_DEPTH_MAX	   4
#define ANNOTATION_NAME	   "io.containerd.image.name"
#define ANNOTATION_REF	   "org.opencontainers.image.ref.name"

struct loader {
	struct store *store;
	struct bundle *bundle;
	archive_loaded *on_image;
	void *arg;
};

static int load_config(const struct loader *loader, const struct member *member,
		       struct image **ret_image, struct err *err)
{
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (bundle_read(loader->bundle, member, &text, err) < 0 ||
	    image_parse(text.data, text.len, ret_image, err) < 0)
		return err_wrap(err, "%s", member->path);
	return 0;
}

/* The record, and at most one name, which may be no reference at all. */
static int record_image(const struct loader *loader, const struct image_record *record,
			const char *name, struct err *err)
{
	char text[REFERENCE_TEXT_MAX];
	struct reference reference;

	if (image_record_put(loader->store, record, err) < 0)
		return -1;
	if (name) {
		if (reference_parse(name, &reference, err) < 0)
			return err_wrap(err, "the archive's name \"%.200s\"", name);
		/* a name by digest says what the bytes say */
		reference.has_digest = false;
		name = reference.tag[0] ? reference_format(&reference, text) : NULL;
	}
	if (name && image_tag(loader->store, name, &record->id, NULL, err) < 0)
		return -1;
	if (loader->on_image)
		loader->on_image(loader->arg, name, &record->id);
	return 0;
}

/* --- docker ----------------------------------------------------------------------------------- */

/* "<hex>.json" and "blobs/sha256/<hex>" promise a digest; other names promise nothing. */
static int check_promise(const char *path, const struct digest *got, struct err *err)
{
	const char *leaf = strrchr(path, '/');
	struct digest promised;
	char hex[DIGEST_HEX_MAX];

	leaf = leaf ? leaf + 1 : path;
	if (strnlen(leaf, DIGEST_HEX_MAX) < DIGEST_HEX_MAX - 1)
		return 0;
	snprintf(hex, sizeof(hex), "%.*s", DIGEST_HEX_MAX - 1, leaf);
	if (!digest_parse_hex(hex, &promised) ||
	    (leaf[DIGEST_HEX_MAX - 1] && strcmp(leaf + DIGEST_HEX_MAX - 1, ".json")))
		return 0;
	if (!digest_equal(&promised, got))
		return err_set(err, ERR_CORRUPT, "%s is sha256:%s", path, digest_hex(got, hex));
	return 0;
}

static int keep_docker_layers(const struct loader *loader, const json_t *layers,
			      const struct image *image, struct err *err)
{
	json_t *item;
	size_t i;

	if (json_array_size(layers) != image->n_layers)
		return err_set(err, ERR_INVALID,
			       "manifest.json names %zu layers, the image's config %zu",
			       json_array_size(layers), image->n_layers);
	json_array_foreach(layers, i, item)
	{
		const char *path = json_string_value(item);
		const struct member *member;

		if (!path)
			return err_set(err, ERR_INVALID, "manifest.json: a layer is not a string");
		if (bundle_need(loader->bundle, path, "manifest.json", &member, err) < 0 ||
		    bundle_keep_layer(loader->bundle, member, &image->diff_ids[i], err) < 0)
			return -1;
	}
	return 0;
}

static int name_docker_image(const struct loader *loader, const struct image_record *record,
			     const json_t *names, struct err *err)
{
	json_t *item;
	size_t i;

	if (json_array_size(names) > ARCHIVE_NAMES_MAX)
		return err_set(err, ERR_LIMIT, "manifest.json: an image has more than %d names",
			       ARCHIVE_NAMES_MAX);
	if (json_array_size(names) == 0)
		return record_image(loader, record, NULL, err);
	json_array_foreach(names, i, item)
	{
		if (!json_is_string(item))
			return err_set(err, ERR_INVALID, "manifest.json: a name is not a string");
		if (record_image(loader, record, json_string_value(item), err) < 0)
			return -1;
	}
	return 0;
}

static int load_docker_image(const struct loader *loader, const json_t *item, struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	struct image_record record = { .stored = 0 };
	const struct member *config;
	json_t *layers, *names;
	const char *path;

	if (!json_is_object(item))
		return err_set(err, ERR_INVALID, "manifest.json: an image is not an object");
	if (js_string(item, "Config", "", &path, err) < 0 ||
	    js_array(item, "Layers", &layers, err) < 0 ||
	    js_array(item, "RepoTags", &names, err) < 0)
		return err_wrap(err, "manifest.json");
	if (bundle_need(loader->bundle, path, "manifest.json", &config, err) < 0 ||
	    check_promise(path, &config->digest, err) < 0 ||
	    load_config(loader, config, &image, err) < 0 ||
	    keep_docker_layers(loader, layers, image, err) < 0 ||
	    bundle_keep(loader->bundle, config, err) < 0)
		return -1;
	record.id = config->digest;
	return name_docker_image(loader, &record, names, err);
}

static int load_docker(const struct loader *loader, const struct member *member, struct err *err)
{
	cleanup_json json_t *list = NULL;
	cleanup_buf struct buf text;
	json_t *item;
	size_t i;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (bundle_read(loader->bundle, member, &text, err) < 0 ||
	    js_parse("manifest.json", text.data, text.len, &list, err) < 0)
		return -1;
	if (!json_is_array(list) || json_array_size(list) == 0)
		return err_set(err, ERR_INVALID, "manifest.json names no images");
	if (json_array_size(list) > ARCHIVE_IMAGES_MAX)
		return err_set(err, ERR_LIMIT, "the archive has more than %d images",
			       ARCHIVE_IMAGES_MAX);
	json_array_foreach(list, i, item) if (load_docker_image(loader, item, err) < 0) return -1;
	return 0;
}

/* --- OCI -------------------------------------------------------------------------------------- */

/* An image that index.json names, by the entry's place. */
struct named_entry {
	const struct index_entry *entry;
	const char *name; /* NULL when it has none; belongs to the document */
	unsigned match;	  /* of its platform with the host's */
};

/* A ref.name that is only a tag names no repository. */
static const char *entry_name(const json_t *item)
{
	const json_t *annotations = json_object_get(item, "annotations");
	const char *name = json_string_value(json_object_get(annotations, ANNOTATION_NAME));

	if (name && *name)
		return name;
	name = json_string_value(json_object_get(annotations, ANNOTATION_REF));
	return name && strpbrk(name, "/:") ? name : NULL;
}

static int keep_oci_layers(const struct loader *loader, const struct manifest *manifest,
			   const struct image *image, struct err *err)
{
	if (manifest->n_layers != image->n_layers)
		return err_set(err, ERR_INVALID, "the manifest names %zu layers, the config %zu",
			       manifest->n_layers, image->n_layers);
	for (size_t i = 0; i < manifest->n_layers; i++) {
		const struct member *member;

		if (bundle_need_blob(loader->bundle, &manifest->layers[i].digest, &member, err) <
			    0 ||
		    bundle_keep_layer(loader->bundle, member, &image->diff_ids[i], err) < 0)
			return -1;
	}
	return 0;
}

static int load_oci_manifest(const struct loader *loader, const struct descriptor *descriptor,
			     const char *name, struct err *err)
{
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	cleanup_with(image_free) struct image *image = NULL;
	struct image_record record = { .stored = 0 };
	const struct member *member, *config;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (bundle_need_blob(loader->bundle, &descriptor->digest, &member, err) < 0 ||
	    bundle_read(loader->bundle, member, &text, err) < 0 ||
	    manifest_parse(text.data, text.len, media_name(descriptor->media), &manifest, err) <
		    0 ||
	    bundle_need_blob(loader->bundle, &manifest->config.digest, &config, err) < 0 ||
	    load_config(loader, config, &image, err) < 0 ||
	    keep_oci_layers(loader, manifest, image, err) < 0 ||
	    bundle_keep(loader->bundle, member, err) < 0 ||
	    bundle_keep(loader->bundle, config, err) < 0)
		return -1;
	record.id = manifest->config.digest;
	record.manifest = (struct descriptor){ manifest->media, member->digest, member->size };
	return record_image(loader, &record, name, err);
}

/* A manifest, or the one that an index has for this host. */
static int load_oci_entry(const struct loader *loader, const struct index_entry *entry,
			  const char *name, struct err *err)
{
	struct descriptor descriptor = entry->descriptor;
	struct platform host;

	platform_host(&host);
	for (int depth = 0; media_as_oci(descriptor.media) == MEDIA_OCI_INDEX; depth++) {
		cleanup_with(index_free) struct image_index *index = NULL;
		const struct index_entry *chosen;
		const struct member *member;
		cleanup_buf struct buf text;

		buf_init(&text, IMAGE_DOCUMENT_MAX);
		if (depth == INDEX_DEPTH_MAX)
			return err_set(err, ERR_LIMIT, "indexes are nested more than %d deep",
				       INDEX_DEPTH_MAX);
		if (bundle_need_blob(loader->bundle, &descriptor.digest, &member, err) < 0 ||
		    bundle_read(loader->bundle, member, &text, err) < 0 ||
		    index_parse(text.data, text.len, media_name(descriptor.media), &index, err) <
			    0 ||
		    index_choose(index, &host, &chosen, err) < 0)
			return -1;
		descriptor = chosen->descriptor;
	}
	return load_oci_manifest(loader, &descriptor, name, err);
}

/* Of entries with one name, the one for this host has it; of equals the first. */
static bool is_outdone(const struct named_entry *entries, size_t n, size_t i)
{
	for (size_t k = 0; entries[i].name && k < n; k++) {
		if (k == i || !entries[k].name || strcmp(entries[k].name, entries[i].name))
			continue;
		if (entries[k].match > entries[i].match ||
		    (entries[k].match == entries[i].match && k < i))
			return true;
	}
	return false;
}

static size_t collect_entries(const json_t *document, const struct image_index *index,
			      struct named_entry *entries)
{
	const json_t *list = json_object_get(document, "manifests");
	struct platform host;
	size_t n = 0;

	platform_host(&host);
	for (size_t i = 0; i < index->n_entries; i++) {
		const struct index_entry *entry = &index->entries[i];
		enum media media = media_as_oci(entry->descriptor.media);

		if (entry->attestation || (media != MEDIA_OCI_MANIFEST && media != MEDIA_OCI_INDEX))
			continue;
		entries[n++] = (struct named_entry){
			.entry = entry,
			.name = entry_name(json_array_get(list, i)),
			.match = entry->has_platform ? platform_match(&host, &entry->platform) : 1,
		};
	}
	return n;
}

static int load_oci(const struct loader *loader, const struct member *member, struct err *err)
{
	cleanup_with(index_free) struct image_index *index = NULL;
	cleanup_free struct named_entry *entries = NULL;
	cleanup_json json_t *document = NULL;
	cleanup_buf struct buf text;
	size_t n;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (bundle_read(loader->bundle, member, &text, err) < 0 ||
	    index_parse(text.data, text.len, NULL, &index, err) < 0 ||
	    js_parse("index.json", text.data, text.len, &document, err) < 0)
		return err_wrap(err, "index.json");
	entries = xcalloc(index->n_entries + 1, sizeof(*entries));
	n = collect_entries(document, index, entries);
	if (n == 0)
		return err_set(err, ERR_INVALID, "index.json names no images");
	for (size_t i = 0; i < n; i++)
		if (!is_outdone(entries, n, i) &&
		    load_oci_entry(loader, entries[i].entry, entries[i].name, err) < 0)
			return -1;
	return 0;
}

/* ---------------------------------------------------------------------------------------------- */

int archive_load(struct store *store, int fd, archive_loaded *on_image, void *arg, struct err *err)
{
	cleanup_with(bundle_free) struct bundle *bundle = NULL;
	struct loader loader = { .store = store, .on_image = on_image, .arg = arg };
	const struct member *member;
	int bad;

	if (bundle_open(store, fd, &bundle, err) < 0)
		return err_wrap(err, "load the archive");
	loader.bundle = bundle;
	if ((member = bundle_find(bundle, "manifest.json")))
		bad = load_docker(&loader, member, err);
	else if ((member = bundle_find(bundle, "index.json")))
		bad = load_oci(&loader, member, err);
	else if (bundle_find(bundle, "repositories"))
		bad = err_set(err, ERR_UNSUPPORTED,
			      "it was made by a docker older than 1.10; save it again");
	else
		bad = err_set(err, ERR_INVALID,
			      "it is no archive of images: it has neither "
			      "manifest.json nor index.json");
	return bad ? err_wrap(err, "load the archive") : 0;
}
