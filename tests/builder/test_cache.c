/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A step record counts only while it can be read and its layer is there. */
#include "tests/builder/copy_help.h"

#include "builder/internal.h"

static struct layer make_layer(struct place *place)
{
	const struct entry entry = { .path = "d", .type = ENTRY_DIRECTORY, .mode = 0755 };
	struct layer_writer *writer;
	struct layer layer;

	must(layer_writer_open(place->store, &writer, &oops));
	must(tar_writer_entry(layer_writer_tar(writer), &entry, &oops));
	must(layer_writer_commit(writer, &layer, &oops));
	layer_writer_free(writer);
	return layer;
}

static struct digest digest_text(const char *text)
{
	struct digest digest;

	digest_of(text, strlen(text), &digest);
	return digest;
}

static void put(struct place *place, const struct digest *key, const struct layer *layer)
{
	struct step_record record = {
		.layer = *layer,
		.key = digest_text("content"),
		.created = 1700000000123456789,
		.wall_ns = 3,
		.cpu_ns = 2,
		.peak_bytes = 1,
	};
	json_t *parts = json_array();

	must(cache_put(place->store, key, &record, parts, &oops));
	json_decref(parts);
}

static char *record_path(const struct place *place, const struct digest *key)
{
	char hex[DIGEST_HEX_MAX];

	digest_hex(key, hex);
	return xasprintf("%s/store/steps/%.2s/%s", place->path, hex, hex);
}

static void test_cache__what_is_put_is_got(void **state)
{
	struct digest key = digest_text("key"), content = digest_text("content");
	struct err err = ERR_INIT;
	struct step_record got;
	struct layer layer;
	struct place place;

	(void)state;
	place_open(&place, "", NULL);
	layer = make_layer(&place);
	assert_int_equal(cache_get(place.store, &key, &got, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	put(&place, &key, &layer);
	must(cache_get(place.store, &key, &got, &oops));
	assert_true(digest_equal(&got.layer.diff_id, &layer.diff_id));
	assert_true(digest_equal(&got.key, &content));
	assert_int_equal(got.layer.size, layer.size);
	assert_false(got.layer.empty);
	assert_true(got.created == 1700000000123456789);
	assert_int_equal(got.wall_ns, 3);
	assert_int_equal(got.cpu_ns, 2);
	assert_int_equal(got.peak_bytes, 1);
	place_close(&place);
}

static void test_cache__a_record_without_its_layer_is_none(void **state)
{
	struct digest key = digest_text("key");
	struct err err = ERR_INIT;
	struct step_record got;
	struct layer layer;
	struct place place;

	(void)state;
	place_open(&place, "", NULL);
	layer = make_layer(&place);
	put(&place, &key, &layer);
	must(blob_remove(place.store, &layer.diff_id, &oops));
	assert_int_equal(cache_get(place.store, &key, &got, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	layer.empty = true; /* a step that changed nothing needs no layer */
	put(&place, &key, &layer);
	must(cache_get(place.store, &key, &got, &oops));
	assert_true(got.layer.empty);
	place_close(&place);
}

static void test_cache__damage_is_told_once(void **state)
{
	struct digest key = digest_text("key");
	struct err err = ERR_INIT;
	struct step_record got;
	struct place place;
	struct layer layer;
	cleanup_free char *path = NULL;

	(void)state;
	place_open(&place, "", NULL);
	layer = make_layer(&place);
	put(&place, &key, &layer);
	path = record_path(&place, &key);
	assert_int_equal(truncate(path, 40), 0);
	assert_int_equal(cache_get(place.store, &key, &got, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(cache_get(place.store, &key, &got, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	put(&place, &key, &layer);
	must(cache_get(place.store, &key, &got, &oops));
	place_close(&place);
}

static void test_cache__a_record_of_another_shape_is_none(void **state)
{
	static const char *const shapes[] = {
		"{}",
		"{\"layer\":{}}",
		"{\"layer\":1}",
		"{\"layer\":{\"diff_id\":\"sha256:0\"}}",
	};
	struct digest key = digest_text("key");
	struct err err = ERR_INIT;
	struct step_record got;
	struct place place;

	(void)state;
	place_open(&place, "", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		must(record_write(place.store, "steps", &key, shapes[i], strlen(shapes[i]), &oops));
		assert_int_equal(cache_get(place.store, &key, &got, &err), -1);
		assert_int_equal(err.kind, ERR_NOT_FOUND);
	}
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache__what_is_put_is_got),
		cmocka_unit_test(test_cache__a_record_without_its_layer_is_none),
		cmocka_unit_test(test_cache__damage_is_told_once),
		cmocka_unit_test(test_cache__a_record_of_another_shape_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
