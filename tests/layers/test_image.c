/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "layers/image.h"
#include "tests/layers/store_fixture.h"

static struct image *parse(const char *text)
{
	struct err err = ERR_INIT;
	struct image *image;

	if (image_parse(text, strlen(text), &image, &err) < 0)
		fail_msg("%s", err.message);
	return image;
}

/* testdata/images/<name>/config.json, as others wrote it, gives canonical.json. */
static void check_golden(const char *name)
{
	cleanup_free char *in = xasprintf("images/%s/config.json", name);
	cleanup_free char *out = xasprintf("images/%s/canonical.json", name);
	cleanup_free char *text = NULL, *again = NULL;
	cleanup_buf struct buf config, canonical;
	struct image *image, *copy;
	size_t len;

	buf_init(&config, IMAGE_DOCUMENT_MAX);
	buf_init(&canonical, IMAGE_DOCUMENT_MAX);
	read_testdata(in, &config);
	read_testdata(out, &canonical);
	image = parse(config.data);
	copy = image_copy(image);
	image_free(image);
	text = image_format(copy, &len);
	image_free(copy);
	assert_string_equal(text, canonical.data);
	assert_int_equal(len, canonical.len);
	image = parse(text);
	again = image_format(image, &len);
	image_free(image);
	assert_string_equal(again, text);
}

static void test_image__configs_of_others_are_understood(void **state)
{
	(void)state;
	check_golden("buildah");
	check_golden("buildkit");
	check_golden("kaniko");
}

static void test_image__empty_and_absent_commands_differ(void **state)
{
	struct image *image = parse("{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":"
				    "{\"Cmd\":null,\"Entrypoint\":[]},"
				    "\"rootfs\":{\"type\":\"layers\"}}");

	(void)state;
	assert_false(image->has_cmd);
	assert_true(image->has_entrypoint);
	assert_false(image->has_shell);
	image_free(image);
}

static void test_image__bytes_that_are_no_text_do_not_get_lost(void **state)
{
	cleanup_free char *text = NULL;
	struct image *image = image_new();
	size_t len;

	(void)state;
	strv_add(&image->env, "A=\xff"
			      "b\xc3\xa4\xe2\x82");
	strv_add(&image->volumes, "/\xfe");
	text = image_format(image, &len);
	image_free(image);
	assert_non_null(strstr(text, "\"A=\xef\xbf\xbd"
				     "b\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\""));
	assert_non_null(strstr(text, "\"/\xef\xbf\xbd\""));
}

static void test_image__bad_configs_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{",
		"{}",
		"{\"rootfs\":[]}",
		"{\"rootfs\":{\"type\":\"tar\",\"diff_ids\":[]}}",
		"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:../../etc\"]}}",
		"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"rootfs\":{\"type\":\"layers\"}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"Rootfs\":{\"type\":\"layers\"}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"env\":[]}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Env\":{}}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Env\":[1]}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Env\":[\"a=\\u0000\"]}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Volumes\":[]}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Labels\":{\"a\":1}}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Healthcheck\":{\"Test\":\"x\"}}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Healthcheck\":{\"Retries\":[]}}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"history\":[1]}",
		"{\"rootfs\":{\"type\":\"layers\"},\"history\":{}}",
		"{\"rootfs\":{\"type\":\"layers\"},\"os\":\"a b\"}",
		"{\"rootfs\":{\"type\":\"layers\"},\"created\":7}",
		"{\"rootfs\":{\"type\":\"layers\"}} x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;
		struct image *image;

		if (image_parse(bad[i], strlen(bad[i]), &image, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_not_equal(err.kind, ERR_NONE);
	}
}

static void test_image__limits_hold(void **state)
{
	struct err err = ERR_INIT;
	cleanup_buf struct buf text;
	struct image *image;

	(void)state;
	buf_init(&text, 8 * 1024 * 1024);
	buf_addstr(&text, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
	for (int i = 0; i <= IMAGE_LAYERS_MAX; i++)
		buf_addf(&text, "%s\"sha256:%064d\"", i ? "," : "", i);
	buf_addstr(&text, "]}}");
	assert_int_equal(image_parse(text.data, text.len, &image, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_clear(&text);
	for (int i = 0; i < 100000; i++)
		buf_addch(&text, '[');
	assert_int_equal(image_parse(text.data, text.len, &image, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	buf_clear(&text);
	while (text.len <= IMAGE_DOCUMENT_MAX)
		buf_addstr(&text, "                                        ");
	assert_int_equal(image_parse(text.data, text.len, &image, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image__configs_of_others_are_understood),
		cmocka_unit_test(test_image__empty_and_absent_commands_differ),
		cmocka_unit_test(test_image__bytes_that_are_no_text_do_not_get_lost),
		cmocka_unit_test(test_image__bad_configs_are_refused),
		cmocka_unit_test(test_image__limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
