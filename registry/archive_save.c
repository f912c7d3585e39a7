/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry/archive_save.c: images into one tar. First a list is made of all that goes in, with
 * digests and sizes, so that what is missing is found before a byte is written; then the members
 * are written in canonical order. The same images give the same bytes.
 *
 * Both formats are an OCI layout. docker's has manifest.json and `repositories` beside it, as
 * docker save writes since 25, and holds the layers uncompressed, named by their diff_id: nothing
 * is compressed, and a docker of any age loads it without decompressing.
 */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sink.h"
#include "layers/entry.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/reference.h"
#include "registry/transport.h"

DEFINE_CLEANUP(struct tar_writer *, tar_writer_free)

#define BLOB_DIRECTORY	"blobs/sha256/"
#define MEMBER_PATH_MAX (sizeof(BLOB_DIRECTORY) + DIGEST_HEX_MAX)

/* A member blobs/sha256/<hex>. */
struct item {
	struct digest digest;
	uint64_t size;
	char *text;    /* its bytes, when they are in no blob */
	bool is_layer; /* a layer, to be streamed; else a blob of the store */
};

struct saver {
	struct store *store;
	enum archive_format format;
	struct item *items;
	size_t n, cap;
	json_t *index;	      /* "manifests" of index.json */
	json_t *manifest;     /* manifest.json */
	json_t *repositories; /* name → tag → top layer */
};

static void saver_release(struct saver *saver)
{
	for (size_t i = 0; i < saver->n; i++)
		free(saver->items[i].text);
	free(saver->items);
	json_decref(saver->index);
	json_decref(saver->manifest);
	json_decref(saver->repositories);
}

static const char *member_path(const struct digest *digest, char path[MEMBER_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(path, MEMBER_PATH_MAX, BLOB_DIRECTORY "%s", digest_hex(digest, hex));
	return path;
}

/* --- collecting ------------------------------------------------------------------------------- */

static void add_item(struct saver *saver, struct item item)
{
	saver->items = grow_vector(saver->items, saver->n, &saver->cap, sizeof(*saver->items));
	saver->items[saver->n++] = item;
}

static int add_blob(struct saver *saver, const struct descriptor *blob, struct err *err)
{
	struct item item = { .digest = blob->digest };
	char text[DIGEST_TEXT_MAX];

	if (!blob_exists(saver->store, &item.digest, &item.size))
		return err_set(err, ERR_NOT_FOUND, "blob %s is not in the store",
			       digest_format(&item.digest, text));
	if (item.size != blob->size)
		return err_set(err, ERR_CORRUPT, "blob %s has %llu bytes instead of %llu",
			       digest_format(&item.digest, text), (unsigned long long)item.size,
			       (unsigned long long)blob->size);
	add_item(saver, item);
	return 0;
}

/* The size must be known before the content: count it when nobody ever did. */
static int measure_layer(struct store *store, const struct digest *diff_id, uint64_t *ret_size,
			 struct err *err)
{
	struct sink_digest count;

	*ret_size = layer_size(store, diff_id);
	if (*ret_size)
		return 0;
	sink_digest_init(&count, NULL);
	if (layer_stream(store, diff_id, &count.sink, err) < 0)
		return -1;
	*ret_size = count.size;
	return 0;
}

static int add_layer(struct saver *saver, const struct digest *diff_id,
		     struct descriptor *ret_layer, struct err *err)
{
	struct item item = { .digest = *diff_id, .is_layer = true };
	char text[DIGEST_TEXT_MAX];

	if (!layer_present(saver->store, diff_id))
		return err_set(err, ERR_NOT_FOUND, "layer %s is not in the store",
			       digest_format(diff_id, text));
	if (measure_layer(saver->store, diff_id, &item.size, err) < 0)
		return -1;
	add_item(saver, item);
	*ret_layer = (struct descriptor){ MEDIA_OCI_LAYER, *diff_id, item.size };
	return 0;
}

/* docker's form: a manifest of our own, of uncompressed layers. */
static int collect_docker(struct saver *saver, const struct digest *id, const struct image *image,
			  struct descriptor *ret_manifest, struct err *err)
{
	cleanup_with(manifest_free) struct manifest *manifest = xcalloc(1, sizeof(*manifest));
	struct item item = { .is_layer = false };
	size_t len;

	manifest->media = MEDIA_OCI_MANIFEST;
	manifest->config = (struct descriptor){ .media = MEDIA_OCI_CONFIG, .digest = *id };
	blob_exists(saver->store, id, &manifest->config.size);
	manifest->layers = xcalloc(image->n_layers + 1, sizeof(*manifest->layers));
	for (size_t i = 0; i < image->n_layers; i++, manifest->n_layers++)
		if (add_layer(saver, &image->diff_ids[i], &manifest->layers[i], err) < 0)
			return -1;
	if (add_blob(saver, &manifest->config, err) < 0)
		return -1;
	item.text = manifest_format(manifest, &len);
	item.size = len;
	digest_of(item.text, len, &item.digest);
	add_item(saver, item);
	*ret_manifest = (struct descriptor){ MEDIA_OCI_MANIFEST, item.digest, len };
	return 0;
}

/* OCI's form: the image's manifest and all that it names. */
static int collect_oci(struct saver *saver, const struct digest *id,
		       struct descriptor *ret_manifest, struct err *err)
{
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (image_manifest(saver->store, id, COMPRESSION_GZIP, false, ret_manifest, err) < 0 ||
	    blob_read(saver->store, &ret_manifest->digest, &text, err) < 0 ||
	    manifest_parse(text.data, text.len, NULL, &manifest, err) < 0 ||
	    add_blob(saver, ret_manifest, err) < 0 || add_blob(saver, &manifest->config, err) < 0)
		return -1;
	for (size_t i = 0; i < manifest->n_layers; i++)
		if (add_blob(saver, &manifest->layers[i], err) < 0)
			return -1;
	return 0;
}

/* --- the documents that name images ----------------------------------------------------------- */

static json_t *format_platform(const struct platform *platform)
{
	json_t *object = json_object();

	json_object_set_new(object, "architecture", json_string(platform->architecture));
	json_object_set_new(object, "os", json_string(platform->os));
	if (platform->variant[0])
		json_object_set_new(object, "variant", json_string(platform->variant));
	return object;
}

/* An entry of index.json, named as containerd does; other tools look for the tag alone. */
static void add_index_entry(struct saver *saver, const struct descriptor *manifest,
			    const struct platform *platform, const char *name, const char *tag)
{
	json_t *entry = json_object(), *annotations = json_object();
	char text[DIGEST_TEXT_MAX];

	json_object_set_new(entry, "mediaType", json_string(media_name(manifest->media)));
	json_object_set_new(entry, "digest", json_string(digest_format(&manifest->digest, text)));
	json_object_set_new(entry, "size", json_integer((json_int_t)manifest->size));
	if (name) {
		json_object_set_new(annotations, "io.containerd.image.name", json_string(name));
		json_object_set_new(annotations, "org.opencontainers.image.ref.name",
				    json_string(tag));
		json_object_set(entry, "annotations", annotations);
	}
	json_decref(annotations);
	json_object_set_new(entry, "platform", format_platform(platform));
	json_array_append_new(saver->index, entry);
}

/* The image's object in manifest.json; one image has one, with all its names. */
static json_t *manifest_entry(struct saver *saver, const struct digest *id,
			      const struct image *image)
{
	char path[MEMBER_PATH_MAX];
	json_t *entry, *layers;
	size_t i;

	member_path(id, path);
	json_array_foreach(saver->manifest, i,
			   entry) if (!strcmp(json_string_value(json_object_get(entry, "Config")),
					      path)) return entry;
	entry = json_object();
	layers = json_array();
	json_object_set_new(entry, "Config", json_string(path));
	json_object_set_new(entry, "RepoTags", json_null());
	for (i = 0; i < image->n_layers; i++)
		json_array_append_new(layers, json_string(member_path(&image->diff_ids[i], path)));
	json_object_set_new(entry, "Layers", layers);
	json_array_append_new(saver->manifest, entry);
	return entry;
}

static void add_docker_name(struct saver *saver, json_t *entry, const struct image *image,
			    const struct reference *reference)
{
	char text[REFERENCE_TEXT_MAX], hex[DIGEST_HEX_MAX];
	json_t *tags = json_object_get(entry, "RepoTags"), *repository;

	if (json_is_null(tags)) {
		tags = json_array();
		json_object_set_new(entry, "RepoTags", tags);
	}
	json_array_append_new(tags, json_string(reference_familiar(reference, text)));
	if (image->n_layers == 0)
		return;
	reference_repository(reference, true, text);
	repository = json_object_get(saver->repositories, text);
	if (!repository) {
		repository = json_object();
		json_object_set_new(saver->repositories, text, repository);
	}
	digest_hex(&image->diff_ids[image->n_layers - 1], hex);
	json_object_set_new(repository, reference->tag, json_string(hex));
}

static int collect_image(struct saver *saver, const struct archive_image *wanted, struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	char text[REFERENCE_TEXT_MAX];
	struct reference reference;
	struct descriptor manifest;
	bool named = wanted->name != NULL;
	json_t *entry;

	if (named) {
		if (reference_parse(wanted->name, &reference, err) < 0)
			return -1;
		reference.has_digest = false;
		named = reference.tag[0] != '\0';
	}
	if (image_load(saver->store, &wanted->id, &image, err) < 0)
		return -1;
	if (saver->format == ARCHIVE_OCI
		    ? collect_oci(saver, &wanted->id, &manifest, err) < 0
		    : collect_docker(saver, &wanted->id, image, &manifest, err) < 0)
		return -1;
	add_index_entry(saver, &manifest, &image->platform,
			named ? reference_format(&reference, text) : NULL,
			named ? reference.tag : NULL);
	entry = manifest_entry(saver, &wanted->id, image);
	if (named)
		add_docker_name(saver, entry, image, &reference);
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	return memcmp(&((const struct item *)a)->digest, &((const struct item *)b)->digest,
		      sizeof(struct digest));
}

/* Images share layers, and two names may mean one image. */
static void sort_items(struct saver *saver)
{
	size_t kept = 0;

	if (saver->n > 1)
		qsort(saver->items, saver->n, sizeof(*saver->items), compare_items);
	for (size_t i = 0; i < saver->n; i++) {
		if (kept && digest_equal(&saver->items[i].digest, &saver->items[kept - 1].digest))
			free(saver->items[i].text);
		else
			saver->items[kept++] = saver->items[i];
	}
	saver->n = kept;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The content of one member; more than was announced is an error. */
struct member_sink {
	struct sink sink;
	struct tar_writer *tar;
	uint64_t left;
};

static int member_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct member_sink *member = (struct member_sink *)sink;

	if (len > member->left)
		return err_set(err, ERR_CORRUPT, "it is larger than its record says");
	member->left -= len;
	return tar_writer_data(member->tar, data, len, err);
}

static int member_finish(struct sink *sink, struct err *err)
{
	(void)sink;
	(void)err;
	return 0;
}

static int write_layer(struct saver *saver, struct tar_writer *tar, const struct item *item,
		       const struct entry *entry, struct err *err)
{
	struct member_sink member = { { member_write, member_finish }, tar, item->size };
	char text[DIGEST_TEXT_MAX];

	if (tar_writer_entry(tar, entry, err) < 0)
		return -1;
	if (layer_stream(saver->store, &item->digest, &member.sink, err) < 0)
		return err_wrap(err, "layer %s", digest_format(&item->digest, text));
	if (member.left)
		return err_set(err, ERR_CORRUPT, "layer %s is smaller than its record says",
			       digest_format(&item->digest, text));
	return 0;
}

static int write_blob(struct saver *saver, struct tar_writer *tar, const struct item *item,
		      const struct entry *entry, struct err *err)
{
	char text[DIGEST_TEXT_MAX];
	cleanup_fd int fd = -1;
	struct digest got;

	if (blob_open(saver->store, &item->digest, &fd, NULL, err) < 0 ||
	    tar_writer_file(tar, entry, fd, &got, err) < 0)
		return -1;
	if (!digest_equal(&got, &item->digest))
		return err_set(err, ERR_CORRUPT, "blob %s is damaged",
			       digest_format(&item->digest, text));
	return 0;
}

static int write_text(struct tar_writer *tar, const char *path, const char *text, size_t len,
		      struct err *err)
{
	struct entry entry = { .path = path, .type = ENTRY_FILE, .mode = 0644, .size = len };

	return tar_writer_entry(tar, &entry, err) < 0 ? -1 : tar_writer_data(tar, text, len, err);
}

static int write_json(struct tar_writer *tar, const char *path, const json_t *value,
		      struct err *err)
{
	cleanup_free char *text = js_dump(value);

	return write_text(tar, path, text, strlen(text), err);
}

static int write_item(struct saver *saver, struct tar_writer *tar, const struct item *item,
		      struct err *err)
{
	char path[MEMBER_PATH_MAX];
	struct entry entry = {
		.path = member_path(&item->digest, path),
		.type = ENTRY_FILE,
		.mode = 0644,
		.size = item->size,
	};

	if (item->text)
		return write_text(tar, path, item->text, item->size, err);
	if (item->is_layer)
		return write_layer(saver, tar, item, &entry, err);
	return write_blob(saver, tar, item, &entry, err);
}

static int write_blobs(struct saver *saver, struct tar_writer *tar, struct err *err)
{
	static const char *const directories[] = { "blobs", "blobs/sha256" };

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		struct entry entry = { .path = directories[i],
				       .type = ENTRY_DIRECTORY,
				       .mode = 0755 };

		if (tar_writer_entry(tar, &entry, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < saver->n; i++)
		if (write_item(saver, tar, &saver->items[i], err) < 0)
			return -1;
	return 0;
}

static int write_documents(struct saver *saver, struct tar_writer *tar, struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	cleanup_json json_t *index = json_object();
	bool docker = saver->format == ARCHIVE_DOCKER;

	json_object_set_new(index, "schemaVersion", json_integer(2));
	json_object_set_new(index, "mediaType", json_string(media_name(MEDIA_OCI_INDEX)));
	json_object_set(index, "manifests", saver->index);
	if (write_json(tar, "index.json", index, err) < 0 ||
	    (docker && write_json(tar, "manifest.json", saver->manifest, err) < 0) ||
	    write_text(tar, "oci-layout", layout, sizeof(layout) - 1, err) < 0 ||
	    (docker && json_object_size(saver->repositories) &&
	     write_json(tar, "repositories", saver->repositories, err) < 0))
		return -1;
	return tar_writer_end(tar, err);
}

static int collect_and_write(struct saver *saver, const struct archive_image *images, size_t n,
			     int fd, struct err *err)
{
	cleanup_with(tar_writer_free) struct tar_writer *tar = NULL;
	struct sink_fd out;

	for (size_t i = 0; i < n; i++)
		if (collect_image(saver, &images[i], err) < 0)
			return -1;
	sort_items(saver);
	sink_fd_init(&out, fd);
	tar = tar_writer_new(&out.sink);
	if (write_blobs(saver, tar, err) < 0 || write_documents(saver, tar, err) < 0)
		return -1;
	return sink_finish(&out.sink, err);
}

int archive_save(struct store *store, const struct archive_image *images, size_t n,
		 enum archive_format format, int fd, struct err *err)
{
	struct saver saver = { .store = store, .format = format };
	int bad;

	saver.index = json_array();
	saver.manifest = json_array();
	saver.repositories = json_object();
	bad = collect_and_write(&saver, images, n, fd, err);
	saver_release(&saver);
	return bad ? err_wrap(err, "save") : 0;
}
