/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "base/digest.h"
#include "layers/internal.h"
#include "tests/layers/store_fixture.h"

static void test_record__comes_back_as_it_was(void **state)
{
	static const char *const texts[] = { "{}", "{\"a\":1}",
					     "{\"a\":{\"b\":[1,2]},\"c\":\"x\"}" };
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest name;

	digest_of("x", 1, &name);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup_buf struct buf text;

		buf_init(&text, strlen(texts[i]));
		assert_int_equal(record_write(fixture->store, "layers", &name, texts[i],
					      strlen(texts[i]), &err),
				 0);
		assert_int_equal(record_read(fixture->store, "layers", &name, &text, &err), 0);
		assert_string_equal(text.data, texts[i]);
	}
}

static void test_record__form_on_disk_is_fixed(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest name = { { 0xab } };
	cleanup_buf struct buf text;

	buf_init(&text, 1000);
	assert_int_equal(record_write(fixture->store, "steps", &name, "{\"size\":12}", 11, &err),
			 0);
	assert_int_equal(file_read_at(store_fd(fixture->store),
				      "steps/ab/ab00000000000000000000000000000000000000000000000"
				      "000000000000000",
				      &text, &err),
			 0);
	assert_string_equal(text.data, "{\"crc\":\"7c735c61\",\"size\":12}");
}

static void test_record__absent_is_not_found(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest name = { { 1 } };
	cleanup_buf struct buf text;

	buf_init(&text, 1000);
	assert_int_equal(record_read(fixture->store, "steps", &name, &text, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(record_remove(fixture->store, "steps", &name, &err), 0);
}

static void test_record__any_damage_is_seen_once(void **state)
{
	struct fixture *fixture = *state;
	int dir_fd = store_fd(fixture->store);
	static const char good[] = "{\"size\":12}";
	cleanup_buf struct buf text, bytes;
	struct err err = ERR_INIT;

	buf_init(&text, 1000);
	buf_init(&bytes, 1000);
	assert_int_equal(record_put_at(fixture->store, "layers/x", good, strlen(good), &err), 0);
	assert_int_equal(file_read_at(dir_fd, "layers/x", &bytes, &err), 0);
	for (size_t i = 0; i < 2 * bytes.len; i++) { /* each byte changed, each cut */
		cleanup_free char *bad = xstrndup(bytes.data, bytes.len);
		size_t len = i < bytes.len ? bytes.len : i - bytes.len;

		if (i < bytes.len)
			bad[i] ^= 1;
		assert_int_equal(file_replace_at(dir_fd, "layers/x", bad, len, 0600, false, &err),
				 0);
		assert_int_equal(record_get_at(fixture->store, "layers/x", &text, &err), -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
		assert_non_null(strstr(err.message, "layers/x"));
		assert_int_equal(record_get_at(fixture->store, "layers/x", &text, &err), -1);
		assert_int_equal(err.kind, ERR_NOT_FOUND);
		assert_int_equal(faccessat(dir_fd, "layers/x~damaged", F_OK, 0), 0);
	}
}

static void test_record__larger_than_the_reader_takes(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest name = { { 1 } };
	cleanup_buf struct buf text;

	buf_init(&text, 10);
	assert_int_equal(record_write(fixture->store, "steps", &name, "{\"size\":12}", 11, &err),
			 0);
	assert_int_equal(record_read(fixture->store, "steps", &name, &text, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)
	const struct CMUnitTest tests[] = {
		TEST(test_record__comes_back_as_it_was),
		TEST(test_record__form_on_disk_is_fixed),
		TEST(test_record__absent_is_not_found),
		TEST(test_record__any_damage_is_seen_once),
		TEST(test_record__larger_than_the_reader_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
