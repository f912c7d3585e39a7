/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Step records: steps/<aa>/<key> says which layer a step gave and what it cost. A record is a
 * hint: it counts only while its layer is in the store or can be fetched, and what cannot be read
 * is as if it were not there.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#define RECORD_MAX (4 * 1024 * 1024)

int step_record_parse(const json_t *root, struct step_record *ret_record, struct err *err)
{
	json_t *layer, *cost;
	uint64_t created, empty;

	if (js_object(root, "layer", &layer, err) < 0 || js_object(root, "cost", &cost, err) < 0)
		return -1;
	if (!layer)
		return err_set(err, ERR_CORRUPT, "step record without a layer");
	if (js_digest(layer, "diff_id", &ret_record->layer.diff_id, err) < 0 ||
	    js_digest(root, "key", &ret_record->key, err) < 0 ||
	    js_uint(layer, "size", 0, &ret_record->layer.size, err) < 0 ||
	    js_uint(layer, "empty", 0, &empty, err) < 0 ||
	    js_uint(root, "created", 0, &created, err) < 0 ||
	    js_uint(cost, "wall_ns", 0, &ret_record->wall_ns, err) < 0 ||
	    js_uint(cost, "cpu_ns", 0, &ret_record->cpu_ns, err) < 0 ||
	    js_uint(cost, "peak_bytes", 0, &ret_record->peak_bytes, err) < 0 ||
	    js_uint(cost, "read_bytes", 0, &ret_record->read_bytes, err) < 0 ||
	    js_uint(cost, "written_bytes", 0, &ret_record->written_bytes, err) < 0)
		return -1;
	ret_record->layer.empty = empty != 0;
	ret_record->created = (int64_t)created;
	return 0;
}

int cache_get(struct store *store, const struct digest *key, struct step_record *ret_record,
	      struct err *err)
{
	struct step_record record = { 0 };
	cleanup_json json_t *root = NULL;
	cleanup_buf struct buf text;

	buf_init(&text, RECORD_MAX);
	if (record_read(store, "steps", key, &text, err) < 0)
		return -1;
	if (js_parse("step record", text.data, text.len, &root, err) < 0 ||
	    step_record_parse(root, &record, err) < 0)
		return err_set(err, ERR_NOT_FOUND, "no usable record");
	if (!record.layer.empty && !layer_known(store, &record.layer.diff_id))
		return err_set(err, ERR_NOT_FOUND, "the layer of the record is gone");
	*ret_record = record;
	return 0;
}

int cache_get_parts(struct store *store, const struct digest *key, json_t **ret_parts,
		    struct err *err)
{
	cleanup_json json_t *root = NULL;
	json_t *parts;
	cleanup_buf struct buf text;

	buf_init(&text, RECORD_MAX);
	if (record_read(store, "steps", key, &text, err) < 0 ||
	    js_parse("step record", text.data, text.len, &root, err) < 0 ||
	    js_array(root, "parts", &parts, err) < 0)
		return -1;
	if (!json_array_size(parts))
		return err_set(err, ERR_NOT_FOUND, "a step record without parts");
	*ret_parts = json_incref(parts);
	return 0;
}

json_t *step_record_json(const struct step_record *record, json_t *parts)
{
	char diff_id[DIGEST_TEXT_MAX], key_text[DIGEST_TEXT_MAX];

	return json_pack("{s:s, s:{s:s, s:I, s:i}, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:O}", "key",
			 digest_format(&record->key, key_text), "layer", "diff_id",
			 digest_format(&record->layer.diff_id, diff_id), "size",
			 (json_int_t)record->layer.size, "empty", (int)record->layer.empty,
			 "created", (json_int_t)record->created, "cost", "wall_ns",
			 (json_int_t)record->wall_ns, "cpu_ns", (json_int_t)record->cpu_ns,
			 "peak_bytes", (json_int_t)record->peak_bytes, "read_bytes",
			 (json_int_t)record->read_bytes, "written_bytes",
			 (json_int_t)record->written_bytes, "parts", parts);
}

int cache_put(struct store *store, const struct digest *key, const struct step_record *record,
	      json_t *parts, struct err *err)
{
	cleanup_json json_t *root = step_record_json(record, parts);
	cleanup_free char *text = js_dump(root);

	return record_write(store, "steps", key, text, strlen(text), err);
}
