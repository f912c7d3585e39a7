/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/shared.h"

static const struct digest key = { { 1 } }, other_key = { { 2 } };

static struct step_record make_record(void)
{
	return (struct step_record){
		.layer = { .diff_id = { { 3 } }, .size = 10240 },
		.key = key,
		.created = 1700000000000000000,
		.wall_ns = 5,
	};
}

static const struct descriptor blob = { MEDIA_OCI_LAYER_GZIP, { { 4 } }, 512 };

static char *make_text(void)
{
	struct step_record record = make_record();
	cleanup_json json_t *parts = json_pack("[[s, s]]", "kind", "run");

	return shared_format(&key, &record, &blob, parts);
}

/* Parse the text with one change, as a cache that lies would make it: *member of the path is set to
 * value (NULL: removed). */
static int parse_with(const char *text, const char *path, json_t *value, struct err *err)
{
	cleanup_json json_t *root = NULL;
	cleanup_json json_t *parts = NULL;
	cleanup_free char *changed = NULL;
	struct step_record record;
	struct descriptor got;
	json_t *at;

	if (js_parse("manifest", text, strlen(text), &root, err) < 0)
		fail_msg("%s", err->message);
	at = root;
	if (!strncmp(path, "layer.", 6)) {
		at = json_array_get(json_object_get(root, "layers"), 0);
		path += 6;
	} else if (!strncmp(path, "annotation.", 11)) {
		at = json_object_get(root, "annotations");
		path += 11;
	}
	if (value)
		json_object_set_new(at, path, value);
	else
		json_object_del(at, path);
	changed = js_dump(root);
	return shared_parse(changed, &key, &record, &got, &parts, err);
}

static void test_shared__a_record_comes_back_as_it_was(void **state)
{
	struct step_record want = make_record(), got;
	cleanup_free char *text = make_text();
	cleanup_json json_t *parts = NULL;
	struct err err = ERR_INIT;
	struct descriptor layer;

	(void)state;
	if (shared_parse(text, &key, &got, &layer, &parts, &err) < 0)
		fail_msg("%s", err.message);
	assert_memory_equal(&got, &want, sizeof(got));
	assert_true(digest_equal(&layer.digest, &blob.digest));
	assert_int_equal(layer.size, blob.size);
	assert_int_equal(layer.media, blob.media);
	assert_int_equal(json_array_size(parts), 1);
}

static void test_shared__a_record_without_a_layer_comes_back(void **state)
{
	struct step_record record = make_record(), got;
	cleanup_json json_t *parts = NULL;
	cleanup_free char *text = NULL;
	struct err err = ERR_INIT;
	struct descriptor layer = { 0 };

	(void)state;
	record.layer.empty = true;
	text = shared_format(&key, &record, &layer, NULL);
	if (shared_parse(text, &key, &got, &layer, &parts, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(got.layer.empty);
	assert_int_equal(json_array_size(parts), 0);
}

static void test_shared__parts_are_left_out_when_they_are_long(void **state)
{
	cleanup_json json_t *parts = json_array();
	struct step_record record = make_record();
	cleanup_free char *text = NULL;

	(void)state;
	for (unsigned i = 0; i < TAG_TEXT_MAX / 8; i++)
		json_array_append_new(parts, json_pack("[s, s]", "argument", "A=1"));
	text = shared_format(&key, &record, &blob, parts);
	assert_true(strlen(text) <= TAG_TEXT_MAX);
	assert_null(strstr(text, "argument"));
}

/* An ARG of a stage that is not in the image can be a token. */
static void test_shared__the_environment_is_nobody_elses(void **state)
{
	cleanup_json json_t *parts = json_pack("[[s, s], [s, s], [s, s]]", "environment",
					       "TOKEN=canary", "argument", "make", "environment",
					       "PATH=/bin");
	struct step_record record = make_record();
	cleanup_free char *text = NULL;

	(void)state;
	text = shared_format(&key, &record, &blob, parts);
	assert_non_null(strstr(text, "make"));
	assert_null(strstr(text, "canary"));
	assert_null(strstr(text, "environment"));
}

static void test_shared__a_record_of_another_key_is_refused(void **state)
{
	cleanup_json json_t *parts = NULL;
	cleanup_free char *text = make_text();
	struct step_record record;
	struct err err = ERR_INIT;
	struct descriptor layer;

	(void)state;
	assert_int_equal(shared_parse(text, &other_key, &record, &layer, &parts, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_string_equal(err.message, "it is of another step");
}

static void test_shared__what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *path, *text;
		json_int_t number;
	} lies[] = {
		{ "artifactType", "application/vnd.other", 0 },
		{ "artifactType", NULL, 0 },
		{ "annotations", NULL, 0 },
		{ "layers", NULL, 0 },
		{ "annotation.vnd.cbuild.cache.key", NULL, 0 },
		{ "annotation.vnd.cbuild.cache.key", "sha256:../../etc/passwd", 0 },
		{ "annotation.vnd.cbuild.cache.record", NULL, 0 },
		{ "annotation.vnd.cbuild.cache.record", "{", 0 },
		{ "annotation.vnd.cbuild.cache.record", "{\"layer\":{}}", 0 },
		{ "layer.digest", "sha256:0", 0 },
		{ "layer.digest", NULL, 0 },
		{ "layer.size", NULL, -1 },
		{ "layer.size", NULL, 1000000 }, /* its tar has 10240 */
		{ "layer.size", NULL, INT64_MAX },
		{ "layer.mediaType", "text/plain", 0 },
		{ "layer.mediaType", "application/vnd.oci.image.layer.v1.tar",
		  0 }, /* digest != diff_id */
	};
	cleanup_free char *text = make_text();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct err err = ERR_INIT;
		json_t *value = lies[i].text	 ? json_string(lies[i].text)
				: lies[i].number ? json_integer(lies[i].number)
						 : NULL;

		if (parse_with(text, lies[i].path, value, &err) == 0)
			fail_msg("%s %s was believed", lies[i].path,
				 lies[i].text ? lies[i].text : "");
	}
}

static void test_shared__what_is_no_manifest_is_refused(void **state)
{
	static const char *const texts[] = { "", "null", "[]", "{}", "<html>", "{\"layers\":[]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup_json json_t *parts = NULL;
		struct step_record record;
		struct err err = ERR_INIT;
		struct descriptor layer;

		assert_int_equal(shared_parse(texts[i], &key, &record, &layer, &parts, &err), -1);
	}
}

static void test_shared__an_image_vouches_only_for_its_own_layers(void **state)
{
	struct step_record record = make_record(), got;
	cleanup_with(image_free) struct image *image = image_new();
	cleanup_json json_t *element = NULL;
	struct err err = ERR_INIT;
	struct digest got_key;

	(void)state;
	record.key = other_key; /* of a COPY --from */
	image->created = record.created;
	element = shared_format_inline(&key, &record, image);
	assert_int_equal(shared_parse_inline(element, image, &got_key, &got, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	image_add_layer(image, &record.layer.diff_id);
	if (shared_parse_inline(element, image, &got_key, &got, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(digest_equal(&got_key, &key));
	assert_true(digest_equal(&got.key, &other_key));
	assert_true(digest_equal(&got.layer.diff_id, &record.layer.diff_id));
	assert_int_equal(got.layer.size, record.layer.size);
	assert_int_equal(got.created, record.created);
}

static void test_shared__what_an_image_cannot_have_is_refused(void **state)
{
	static const struct {
		const char *member, *text;
		json_int_t number;
	} lies[] = {
		{ "key", "sha256:0000000000000000000000000000000000000000000000000000000000000000",
		  0 },
		{ "key", "sha256:1", 0 },
		{ "size", NULL, 0 },
		{ "size", NULL, -1 },
		{ "size", NULL, INT64_MAX },
		{ "created", NULL, -1 },
		{ "parent", "none", 0 },
	};
	struct step_record record = make_record(), got;
	cleanup_with(image_free) struct image *image = image_new();

	(void)state;
	image_add_layer(image, &record.layer.diff_id);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		cleanup_json json_t *element = shared_format_inline(&key, &record, image);
		struct err err = ERR_INIT;
		struct digest got_key;

		json_object_set_new(element, lies[i].member,
				    lies[i].text ? json_string(lies[i].text)
						 : json_integer(lies[i].number));
		if (shared_parse_inline(element, image, &got_key, &got, &err) == 0)
			fail_msg("%s %s was believed", lies[i].member,
				 lies[i].text ? lies[i].text : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared__a_record_comes_back_as_it_was),
		cmocka_unit_test(test_shared__a_record_without_a_layer_comes_back),
		cmocka_unit_test(test_shared__parts_are_left_out_when_they_are_long),
		cmocka_unit_test(test_shared__the_environment_is_nobody_elses),
		cmocka_unit_test(test_shared__a_record_of_another_key_is_refused),
		cmocka_unit_test(test_shared__what_cannot_be_is_refused),
		cmocka_unit_test(test_shared__what_is_no_manifest_is_refused),
		cmocka_unit_test(test_shared__an_image_vouches_only_for_its_own_layers),
		cmocka_unit_test(test_shared__what_an_image_cannot_have_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
