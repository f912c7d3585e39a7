/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A record among others: an OCI artifact (image-spec, "guidance for artifacts") whose annotations
 * hold the key and the record as the store has it, and whose one layer is the step's, or "{}" when
 * the step changed nothing:
 *
 *	{"schemaVersion":2, "mediaType":..., "artifactType":ARTIFACT_TYPE, "config":{...},
 *	 "layers":[{...}], "annotations":{KEY:"sha256:...", RECORD:"{...}"}}
 *
 * The key stands in it since a tag proves nothing. A record names no other record but its parent's
 * key, so there is nothing to follow and no loop.
 */
#include "builder/shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#define ARTIFACT_TYPE "application/vnd.cbuild.cache.step.v1+json"
#define EMPTY_TYPE    "application/vnd.oci.empty.v1+json"
#define EMPTY_DIGEST  "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define KEY	      "vnd.cbuild.cache.key"
#define RECORD	      "vnd.cbuild.cache.record"

#define LAYER_MAX  (UINT64_C(1) << 40) /* bytes of a layer's tar */
#define BLOB_SLACK (64 * 1024) /* a blob may be that much longer than its tar, and an eighth */

const char *shared_tag(const struct digest *key, char tag[SHARED_TAG_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(tag, SHARED_TAG_MAX, "cb1-%s", digest_hex(key, hex));
	return tag;
}

/* --- manifests -------------------------------------------------------------------------------- */

static json_t *format_empty(void)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "mediaType", EMPTY_TYPE, "digest", EMPTY_DIGEST,
			 "size", 2, "data", "e30=");
}

static json_t *format_layer(const struct step_record *record, const struct descriptor *blob)
{
	char text[DIGEST_TEXT_MAX];

	if (record->layer.empty)
		return format_empty();
	return json_pack("{s:s, s:s, s:I}", "mediaType", media_name(media_as_oci(blob->media)),
			 "digest", digest_format(&blob->digest, text), "size",
			 (json_int_t)blob->size);
}

static char *format(const struct digest *key, const struct step_record *record,
		    const struct descriptor *blob, json_t *parts)
{
	cleanup_json json_t *object = step_record_json(record, parts);
	cleanup_json json_t *manifest = NULL;
	cleanup_free char *text = js_dump(object);
	char key_text[DIGEST_TEXT_MAX];

	manifest = json_pack("{s:i, s:s, s:s, s:o, s:[o], s:{s:s, s:s}}", "schemaVersion", 2,
			     "mediaType", media_name(MEDIA_OCI_MANIFEST), "artifactType",
			     ARTIFACT_TYPE, "config", format_empty(), "layers",
			     format_layer(record, blob), "annotations", KEY,
			     digest_format(key, key_text), RECORD, text);
	return js_dump(manifest);
}

/* Without the environment: an ARG of a stage that is not in the image may hold what only those who
 * build it are to know. */
static json_t *parts_for_others(const json_t *parts)
{
	json_t *told = json_array();

	for (size_t i = 0; i < json_array_size(parts); i++) {
		json_t *part = json_array_get(parts, i);
		const char *name = json_string_value(json_array_get(part, 0));

		if (name && strcmp(name, "environment"))
			json_array_append(told, part);
	}
	return told;
}

char *shared_format(const struct digest *key, const struct step_record *record,
		    const struct descriptor *blob, const json_t *parts)
{
	cleanup_json json_t *nothing = json_array();
	cleanup_json json_t *told = parts_for_others(parts);
	char *text = format(key, record, blob, told);

	if (strlen(text) <= TAG_TEXT_MAX)
		return text;
	free(text);
	return format(key, record, blob, nothing);
}

static int check_key(const json_t *annotations, const struct digest *key, struct err *err)
{
	struct digest said;

	if (js_digest(annotations, KEY, &said, err) < 0)
		return -1;
	return digest_equal(&said, key) ? 0 : err_set(err, ERR_CORRUPT, "it is of another step");
}

static bool is_possible(const struct layer *layer)
{
	return layer->size && layer->size <= LAYER_MAX;
}

static int check_layer(const struct step_record *record, const struct descriptor *blob,
		       struct err *err)
{
	const struct layer *layer = &record->layer;

	switch (blob->media) {
	case MEDIA_OCI_LAYER:
		if (!digest_equal(&blob->digest, &layer->diff_id))
			return err_set(err, ERR_CORRUPT, "its layer is another one");
		break;
	case MEDIA_OCI_LAYER_GZIP:
	case MEDIA_OCI_LAYER_ZSTD:
		break;
	default:
		return err_set(err, ERR_INVALID, "its layer is of no type that we know");
	}
	if (!blob->size || !is_possible(layer) ||
	    blob->size > layer->size + layer->size / 8 + BLOB_SLACK)
		return err_set(err, ERR_LIMIT, "the size of its layer cannot be right");
	return 0;
}

static int parse_layer(const json_t *manifest, const struct step_record *record,
		       struct descriptor *ret_blob, struct err *err)
{
	struct descriptor blob = { 0 };
	const char *media;
	json_t *layers, *layer;

	if (js_array(manifest, "layers", &layers, err) < 0)
		return -1;
	layer = json_array_get(layers, 0);
	if (json_array_size(layers) != 1 || !json_is_object(layer))
		return err_set(err, ERR_INVALID, "it has not one layer");
	if (record->layer.empty) {
		*ret_blob = blob;
		return 0;
	}
	if (js_string(layer, "mediaType", "", &media, err) < 0 ||
	    js_digest(layer, "digest", &blob.digest, err) < 0 ||
	    js_uint(layer, "size", 0, &blob.size, err) < 0)
		return -1;
	blob.media = media_parse(media);
	*ret_blob = blob;
	return check_layer(record, &blob, err);
}

static int parse_record(const json_t *annotations, struct step_record *ret_record,
			json_t **ret_parts, struct err *err)
{
	cleanup_json json_t *root = NULL;
	const char *text;
	json_t *parts;

	if (js_string(annotations, RECORD, "", &text, err) < 0 ||
	    js_parse("its record", text, strlen(text), &root, err) < 0 ||
	    step_record_parse(root, ret_record, err) < 0 ||
	    js_array(root, "parts", &parts, err) < 0)
		return -1;
	*ret_parts = parts ? json_incref(parts) : json_array();
	return 0;
}

int shared_parse(const char *text, const struct digest *key, struct step_record *ret_record,
		 struct descriptor *ret_blob, json_t **ret_parts, struct err *err)
{
	cleanup_json json_t *manifest = NULL;
	cleanup_json json_t *parts = NULL;
	struct step_record record = { .created = 0 };
	json_t *annotations;
	const char *type;

	if (js_parse("its manifest", text, strlen(text), &manifest, err) < 0 ||
	    js_string(manifest, "artifactType", "", &type, err) < 0 ||
	    js_object(manifest, "annotations", &annotations, err) < 0)
		return -1;
	if (strcmp(type, ARTIFACT_TYPE) || !annotations)
		return err_set(err, ERR_INVALID, "it is no record of a step");
	if (check_key(annotations, key, err) < 0 ||
	    parse_record(annotations, &record, &parts, err) < 0 ||
	    parse_layer(manifest, &record, ret_blob, err) < 0)
		return -1;
	*ret_record = record;
	*ret_parts = json_incref(parts);
	return 0;
}

/* --- in images -------------------------------------------------------------------------------- */

json_t *shared_format_inline(const struct digest *key, const struct step_record *record,
			     const struct image *image)
{
	int64_t created = record->created < image->created ? record->created : image->created;
	char text[DIGEST_TEXT_MAX];
	json_t *object = json_object();

	/* no costs, and no time that is not the image's anyway: its bytes are to be the same
	 * elsewhere */
	json_object_set_new(object, "key", json_string(digest_format(key, text)));
	if (!digest_equal(key, &record->key))
		json_object_set_new(object, "parent",
				    json_string(digest_format(&record->key, text)));
	json_object_set_new(object, "created", json_integer(created));
	if (record->layer.empty)
		return object;
	json_object_set_new(object, "diff_id",
			    json_string(digest_format(&record->layer.diff_id, text)));
	json_object_set_new(object, "size", json_integer((json_int_t)record->layer.size));
	return object;
}

static int check_inline_layer(const struct image *image, const struct layer *layer, struct err *err)
{
	if (!is_possible(layer))
		return err_set(err, ERR_LIMIT, "the size of its layer cannot be right");
	for (size_t i = 0; i < image->n_layers; i++)
		if (digest_equal(&image->diff_ids[i], &layer->diff_id))
			return 0;
	return err_set(err, ERR_CORRUPT, "its layer is none of the image's");
}

int shared_parse_inline(const json_t *element, const struct image *image, struct digest *ret_key,
			struct step_record *ret_record, struct err *err)
{
	struct step_record record = { .created = 0 };
	uint64_t created;

	if (js_digest(element, "key", ret_key, err) < 0 ||
	    js_uint(element, "created", 0, &created, err) < 0 ||
	    js_uint(element, "size", 0, &record.layer.size, err) < 0)
		return -1;
	if (digest_is_zero(ret_key))
		return err_set(err, ERR_INVALID, "it is of no step");
	record.key = *ret_key;
	record.created = (int64_t)created;
	if (json_object_get(element, "parent") &&
	    js_digest(element, "parent", &record.key, err) < 0)
		return -1;
	record.layer.empty = !json_object_get(element, "diff_id");
	if (!record.layer.empty && (js_digest(element, "diff_id", &record.layer.diff_id, err) < 0 ||
				    check_inline_layer(image, &record.layer, err) < 0))
		return -1;
	*ret_record = record;
	return 0;
}
