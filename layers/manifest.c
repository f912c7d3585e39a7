/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/manifest.c: manifests and indexes. A document that one parser could take for a manifest
 * and another for an index (CVE-2021-41190 and its like) is refused: one shape, one media type,
 * no key twice, no key that differs from a known one by case alone.
 */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "layers/image.h"
#include "layers/internal.h"

#define INDEX_ENTRIES_MAX 1000
#define EMPTY_CONFIG	  "application/vnd.oci.empty.v1+json"
#define SCHEMA1		  "application/vnd.docker.distribution.manifest.v1+"

static const char *const known_keys[] = { "schemaVersion", "mediaType", "artifactType", "config",
					  "layers",	   "manifests", "fsLayers",	"subject",
					  "annotations",   NULL };

/* Types under which servers send any JSON: they say nothing. */
static bool says_nothing(const char *content_type)
{
	static const char *const types[] = { "application/json", "text/plain",
					     "application/octet-stream" };
	size_t len = content_type ? strcspn(content_type, "; \t") : 0;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i]) == len && !strncasecmp(types[i], content_type, len))
			return true;
	return len == 0;
}

static int check_schema(const json_t *document, const char *body_type, const char *content_type,
			struct err *err)
{
	uint64_t version;

	if (js_uint(document, "schemaVersion", 0, &version, err) < 0)
		return -1;
	if (version == 1 || json_object_get(document, "fsLayers") ||
	    !strncmp(body_type, SCHEMA1, strlen(SCHEMA1)) ||
	    (content_type && !strncmp(content_type, SCHEMA1, strlen(SCHEMA1))))
		return err_set(err, ERR_UNSUPPORTED,
			       "schema 1 image manifests are not supported; ask the publisher to "
			       "rebuild the image");
	if (version != 2)
		return err_set(err, ERR_INVALID, "\"schemaVersion\" is not 2");
	return 0;
}

/*
 * The document and its media type, which may stand in it, be sent with it, or both and then
 * equal. *ret_media is MEDIA_UNKNOWN when neither says it.
 */
static int open_document(const char *text, size_t len, const char *content_type,
			 json_t **ret_document, enum media *ret_media, struct err *err)
{
	cleanup_json json_t *document = NULL;
	enum media sent = MEDIA_UNKNOWN, body;
	const char *body_type;

	if (document_parse("manifest", text, len, known_keys, &document, err) < 0)
		return -1;
	if (js_string(document, "mediaType", "", &body_type, err) < 0 ||
	    check_schema(document, body_type, content_type, err) < 0)
		return err_wrap(err, "manifest");
	if (!says_nothing(content_type)) {
		sent = media_parse(content_type);
		if (sent == MEDIA_UNKNOWN)
			return err_set(err, ERR_UNSUPPORTED, "manifest has media type \"%.100s\"",
				       content_type);
	}
	body = media_parse(body_type);
	if (body_type[0] && body == MEDIA_UNKNOWN)
		return err_set(err, ERR_UNSUPPORTED, "manifest has media type \"%.100s\"",
			       body_type);
	if (body != MEDIA_UNKNOWN && sent != MEDIA_UNKNOWN && body != sent)
		return err_set(err, ERR_INVALID,
			       "manifest says it is \"%s\" but was sent as \"%s\"",
			       media_name(body), media_name(sent));
	*ret_media = body != MEDIA_UNKNOWN ? body : sent;
	*ret_document = steal_pointer(&document);
	return 0;
}

/* Exactly the members of one shape. */
static int check_shape(const json_t *document, bool index, struct err *err)
{
	bool is_index = json_object_get(document, "manifests");
	bool is_manifest =
		json_object_get(document, "config") || json_object_get(document, "layers");

	if (is_index && is_manifest)
		return err_set(err, ERR_INVALID, "ambiguous: it has \"manifests\" and \"%s\"",
			       json_object_get(document, "layers") ? "layers" : "config");
	if (index ? is_manifest : is_index)
		return err_set(err, ERR_INVALID, "expected %s but found %s",
			       index ? "an index" : "a manifest",
			       index ? "a manifest" : "an index");
	if (index ? !is_index : !is_manifest)
		return err_set(err, ERR_INVALID, "it has no \"%s\"",
			       index ? "manifests" : "config");
	return 0;
}

/* --- manifests -------------------------------------------------------------------------------- */

void manifest_free(struct manifest *manifest)
{
	if (!manifest)
		return;
	free(manifest->layers);
	free(manifest->artifact_type);
	free(manifest);
}

static int take_config(const json_t *document, struct manifest *manifest, struct err *err)
{
	const json_t *config = json_object_get(document, "config");
	const char *media, *artifact;

	if (js_string(document, "artifactType", "", &artifact, err) < 0)
		return -1;
	if (!config)
		return err_set(err, ERR_INVALID, "it has no \"config\"");
	if (descriptor_from_json(config, &manifest->config, &media, err) < 0)
		return err_wrap(err, "\"config\"");
	if (media_as_oci(manifest->config.media) != MEDIA_OCI_CONFIG)
		return err_set(err, ERR_UNSUPPORTED, "it is not a container image (%s \"%.100s\")",
			       artifact[0] ? "artifact type" : "config",
			       artifact[0] ? artifact : media);
	if (manifest->config.size > IMAGE_DOCUMENT_MAX)
		return err_set(err, ERR_LIMIT, "the config is larger than %d bytes",
			       IMAGE_DOCUMENT_MAX);
	if (artifact[0])
		manifest->artifact_type = xstrdup(artifact);
	return 0;
}

static int take_layers(const json_t *document, struct manifest *manifest, struct err *err)
{
	json_t *array, *item;
	size_t i;

	if (js_array(document, "layers", &array, err) < 0)
		return -1;
	if (json_array_size(array) > IMAGE_LAYERS_MAX)
		return err_set(err, ERR_LIMIT, "it has more than %d layers", IMAGE_LAYERS_MAX);
	manifest->layers = xcalloc(json_array_size(array) + 1, sizeof(*manifest->layers));
	json_array_foreach(array, i, item)
	{
		struct descriptor *layer = &manifest->layers[i];
		const char *media;

		if (descriptor_from_json(item, layer, &media, err) < 0)
			return err_wrap(err, "layer %zu", i + 1);
		if (layer->media == MEDIA_FOREIGN_LAYER)
			return err_set(err, ERR_UNSUPPORTED,
				       "layer %zu is not distributed with the image (\"%s\")",
				       i + 1, media);
		if (media_of_layer(media_compression(layer->media)) != media_as_oci(layer->media))
			return err_set(err, ERR_UNSUPPORTED, "layer %zu has media type \"%.100s\"",
				       i + 1, media);
		manifest->n_layers++;
	}
	return 0;
}

static int read_manifest(const json_t *document, struct manifest *manifest, struct err *err)
{
	if (check_shape(document, false, err) < 0 || take_config(document, manifest, err) < 0 ||
	    take_layers(document, manifest, err) < 0)
		return -1;
	if (manifest->media == MEDIA_UNKNOWN)
		manifest->media = manifest->config.media == MEDIA_DOCKER_CONFIG
					  ? MEDIA_DOCKER_MANIFEST
					  : MEDIA_OCI_MANIFEST;
	if (media_as_oci(manifest->media) != MEDIA_OCI_MANIFEST)
		return err_set(err, ERR_INVALID, "expected a manifest but found \"%s\"",
			       media_name(manifest->media));
	return 0;
}

int manifest_parse(const char *text, size_t len, const char *content_type,
		   struct manifest **ret_manifest, struct err *err)
{
	cleanup_with(manifest_free) struct manifest *manifest = xcalloc(1, sizeof(*manifest));
	cleanup_json json_t *document = NULL;

	if (open_document(text, len, content_type, &document, &manifest->media, err) < 0)
		return -1;
	if (read_manifest(document, manifest, err) < 0)
		return err_wrap(err, "manifest");
	*ret_manifest = steal_pointer(&manifest);
	return 0;
}

char *manifest_format(const struct manifest *manifest, size_t *ret_len)
{
	cleanup_json json_t *document = json_object();
	json_t *layers = json_array();
	char *text;

	json_object_set_new(document, "schemaVersion", json_integer(2));
	json_object_set_new(document, "mediaType", json_string(media_name(manifest->media)));
	if (manifest->artifact_type)
		json_object_set_new(document, "artifactType",
				    text_to_json(manifest->artifact_type));
	json_object_set_new(document, "config", descriptor_to_json(&manifest->config));
	for (size_t i = 0; i < manifest->n_layers; i++)
		json_array_append_new(layers, descriptor_to_json(&manifest->layers[i]));
	json_object_set_new(document, "layers", layers);
	text = js_dump(document);
	*ret_len = strlen(text);
	return text;
}

/* --- indexes ---------------------------------------------------------------------------------- */

void index_free(struct image_index *index)
{
	if (!index)
		return;
	free(index->entries);
	free(index);
}

static bool is_attestation(const json_t *item, const struct index_entry *entry)
{
	const json_t *annotations = json_object_get(item, "annotations");

	return json_object_get(annotations, "vnd.docker.reference.type") ||
	       json_string_length(json_object_get(item, "artifactType")) > 0 ||
	       (entry->has_platform && !strcmp(entry->platform.os, "unknown") &&
		!strcmp(entry->platform.architecture, "unknown"));
}

static int take_entry(const json_t *item, struct index_entry *entry, struct err *err)
{
	json_t *platform;

	if (descriptor_from_json(item, &entry->descriptor, NULL, err) < 0 ||
	    js_object(item, "platform", &platform, err) < 0)
		return -1;
	if (platform) {
		if (platform_from_json(platform, &entry->platform, err) < 0)
			return err_wrap(err, "\"platform\"");
		entry->has_platform = entry->platform.os[0] && entry->platform.architecture[0];
	}
	entry->attestation = is_attestation(item, entry);
	return 0;
}

static int read_index(const json_t *document, struct image_index *index, struct err *err)
{
	json_t *array, *item;
	size_t i;

	if (check_shape(document, true, err) < 0 ||
	    js_array(document, "manifests", &array, err) < 0)
		return -1;
	if (index->media == MEDIA_UNKNOWN)
		index->media = MEDIA_OCI_INDEX;
	if (media_as_oci(index->media) != MEDIA_OCI_INDEX)
		return err_set(err, ERR_INVALID, "expected an index but found \"%s\"",
			       media_name(index->media));
	if (json_array_size(array) > INDEX_ENTRIES_MAX)
		return err_set(err, ERR_LIMIT, "it has more than %d entries", INDEX_ENTRIES_MAX);
	index->entries = xcalloc(json_array_size(array) + 1, sizeof(*index->entries));
	json_array_foreach(array, i, item)
	{
		if (take_entry(item, &index->entries[i], err) < 0)
			return err_wrap(err, "entry %zu", i + 1);
		index->n_entries++;
	}
	return 0;
}

int index_parse(const char *text, size_t len, const char *content_type,
		struct image_index **ret_index, struct err *err)
{
	cleanup_with(index_free) struct image_index *index = xcalloc(1, sizeof(*index));
	cleanup_json json_t *document = NULL;

	if (open_document(text, len, content_type, &document, &index->media, err) < 0)
		return -1;
	if (read_index(document, index, err) < 0)
		return err_wrap(err, "index");
	*ret_index = steal_pointer(&index);
	return 0;
}

static bool is_candidate(const struct index_entry *entry)
{
	enum media media = media_as_oci(entry->descriptor.media);

	return !entry->attestation && (media == MEDIA_OCI_MANIFEST || media == MEDIA_OCI_INDEX);
}

static int none_serves(const struct image_index *index, const struct platform *platform,
		       struct err *err)
{
	char text[PLATFORM_TEXT_MAX];
	cleanup_buf struct buf have;

	buf_init(&have, 2000);
	for (size_t i = 0; i < index->n_entries; i++)
		if (is_candidate(&index->entries[i]))
			buf_addf(&have, "%s%s", have.len ? ", " : "",
				 platform_format(&index->entries[i].platform, text));
	return err_set(err, ERR_NOT_FOUND, "no match for platform %s; available: %s%s",
		       platform_format(platform, text), have.len ? have.data : "nothing",
		       have.overflow ? ", ..." : "");
}

int index_choose(const struct image_index *index, const struct platform *platform,
		 const struct index_entry **ret_entry, struct err *err)
{
	const struct index_entry *best = NULL, *silent = NULL;
	unsigned best_match = 0;

	for (size_t i = 0; i < index->n_entries; i++) {
		const struct index_entry *entry = &index->entries[i];
		unsigned match;

		if (!is_candidate(entry))
			continue;
		if (!entry->has_platform && !silent)
			silent = entry;
		match = entry->has_platform ? platform_match(platform, &entry->platform) : 0;
		if (match > best_match) {
			best_match = match;
			best = entry;
		}
	}
	/* an entry without platform may be the one: its config tells */
	if (!best)
		best = silent;
	if (!best)
		return none_serves(index, platform, err);
	*ret_entry = best;
	return 0;
}
