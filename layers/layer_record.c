/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of a layer besides its forms:
 *
 *	{"size":10240,"blobs":[{"mediaType":"...","digest":"sha256:...","size":512,"own":true,
 *				"places":["docker.io/library/x"]}]}
 *
 * A record is only ever added to, under the lock "layer-records"; it is read without one. Losing
 * it loses no more than work: blobs are made again.
 */
#include "layers/internal.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "layers/store.h"

#define RECORD_MAX (64 * 1024)
#define BLOBS_MAX  64 /* a layer that keeps being pulled in other compressions */

void layer_record_release(struct layer_record *record)
{
	for (size_t i = 0; i < record->n_blobs; i++)
		strv_release(&record->blobs[i].places);
	free(record->blobs);
	*record = (struct layer_record){ 0 };
}

static void parse_places(const json_t *array, struct strv *places)
{
	for (size_t i = 0; i < json_array_size(array) && i < LAYER_PLACES_MAX; i++) {
		const char *place = json_string_value(json_array_get(array, i));

		if (place)
			strv_add(places, place);
	}
}

static int parse_blob(const json_t *object, struct layer_blob *ret_blob, struct err *err)
{
	struct layer_blob blob = { 0 };
	const char *media;

	if (js_string(object, "mediaType", "", &media, err) < 0 ||
	    js_digest(object, "digest", &blob.descriptor.digest, err) < 0 ||
	    js_uint(object, "size", 0, &blob.descriptor.size, err) < 0)
		return -1;
	blob.descriptor.media = media_parse(media);
	blob.own = json_is_true(json_object_get(object, "own"));
	parse_places(json_object_get(object, "places"), &blob.places);
	*ret_blob = blob;
	return 0;
}

static int parse(const struct buf *text, struct layer_record *record, struct err *err)
{
	cleanup_json json_t *object = NULL;
	json_t *blobs;
	size_t n;

	if (js_parse("layer record", text->data, text->len, &object, err) < 0 ||
	    js_uint(object, "size", 0, &record->size, err) < 0 ||
	    js_array(object, "blobs", &blobs, err) < 0)
		return -1;
	n = json_array_size(blobs);
	if (n > BLOBS_MAX)
		n = BLOBS_MAX;
	record->blobs = xcalloc(n + 1, sizeof(*record->blobs));
	record->cap_blobs = n + 1;
	for (; record->n_blobs < n; record->n_blobs++)
		if (parse_blob(json_array_get(blobs, record->n_blobs),
			       &record->blobs[record->n_blobs], err) < 0)
			return -1;
	return 0;
}

int layer_record_read(struct store *store, const struct digest *diff_id,
		      struct layer_record *ret_record, struct err *err)
{
	struct layer_record record = { 0 };
	cleanup_buf struct buf text;

	buf_init(&text, RECORD_MAX);
	if (record_read(store, "layers", diff_id, &text, err) < 0 ||
	    parse(&text, &record, err) < 0) {
		layer_record_release(&record);
		if (err->kind == ERR_OS)
			return -1;
		err_clear(err);
	}
	*ret_record = record;
	return 0;
}

static json_t *format_blob(const struct layer_blob *blob)
{
	char text[DIGEST_TEXT_MAX];
	cleanup_json json_t *places = json_array();
	json_t *object = json_object();

	json_object_set_new(object, "mediaType", json_string(media_name(blob->descriptor.media)));
	json_object_set_new(object, "digest",
			    json_string(digest_format(&blob->descriptor.digest, text)));
	json_object_set_new(object, "size", json_integer((json_int_t)blob->descriptor.size));
	if (blob->own)
		json_object_set_new(object, "own", json_true());
	for (size_t i = 0; i < blob->places.n; i++)
		json_array_append_new(places, json_string(blob->places.v[i]));
	if (json_array_size(places))
		json_object_set(object, "places", places);
	return object;
}

static int write_record(struct store *store, const struct digest *diff_id,
			const struct layer_record *record, struct err *err)
{
	cleanup_json json_t *object = json_object();
	cleanup_free char *text = NULL;
	json_t *blobs = json_array();

	if (record->size)
		json_object_set_new(object, "size", json_integer((json_int_t)record->size));
	for (size_t i = 0; i < record->n_blobs; i++)
		json_array_append_new(blobs, format_blob(&record->blobs[i]));
	json_object_set_new(object, "blobs", blobs);
	text = js_dump(object);
	return record_write(store, "layers", diff_id, text, strlen(text), err);
}

/* Newest first; whether something changed. */
static bool add_places(struct strv *places, const struct strv *more)
{
	struct strv all = STRV_INIT;

	if (!more->n || (places->n && !strcmp(places->v[0], more->v[0])))
		return false;
	strv_extend(&all, more);
	for (size_t i = 0; i < places->n && all.n < LAYER_PLACES_MAX; i++)
		if (strcmp(places->v[i], more->v[0]))
			strv_add(&all, places->v[i]);
	strv_release(places);
	*places = all;
	return true;
}

/* Whether the record changed. A blob that others know is never again called our own. */
static bool add_blob(struct layer_record *record, const struct layer_blob *blob)
{
	struct layer_blob *known;

	for (size_t i = 0; i < record->n_blobs; i++) {
		bool changed;

		known = &record->blobs[i];
		if (!digest_equal(&known->descriptor.digest, &blob->descriptor.digest))
			continue;
		changed = add_places(&known->places, &blob->places);
		if (blob->own || !known->own)
			return changed;
		known->descriptor = blob->descriptor;
		known->own = false;
		return true;
	}
	if (record->n_blobs == BLOBS_MAX) {
		strv_release(&record->blobs[0].places);
		memmove(record->blobs, record->blobs + 1,
			--record->n_blobs * sizeof(*record->blobs));
	}
	record->blobs = grow_vector(record->blobs, record->n_blobs, &record->cap_blobs,
				    sizeof(*record->blobs));
	known = &record->blobs[record->n_blobs++];
	*known = (struct layer_blob){ .descriptor = blob->descriptor, .own = blob->own };
	strv_extend(&known->places, &blob->places);
	return true;
}

int layer_record_add(struct store *store, const struct digest *diff_id, uint64_t size,
		     const struct layer_blob *blob, struct err *err)
{
	struct layer_record record;
	cleanup_fd int lock = -1;
	bool changed = false;
	int status = 0;

	if (store_lock(store, "layer-records", true, false, &lock, err) < 0 ||
	    layer_record_read(store, diff_id, &record, err) < 0)
		return -1;
	if (size && record.size != size) {
		record.size = size;
		changed = true;
	}
	if (blob)
		changed |= add_blob(&record, blob);
	if (changed)
		status = write_record(store, diff_id, &record, err);
	layer_record_release(&record);
	return status;
}

int layer_forget(struct store *store, const struct digest *diff_id, struct err *err)
{
	struct layer_record record;
	int status = 0;

	if (layer_record_read(store, diff_id, &record, err) < 0)
		return -1;
	for (size_t i = 0; i < record.n_blobs && status == 0; i++)
		status = blob_remove(store, &record.blobs[i].descriptor.digest, err);
	layer_record_release(&record);
	return status < 0 ? -1 : record_remove(store, "layers", diff_id, err);
}
