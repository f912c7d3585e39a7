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

static void test_json__rejects_what_parsers_differ_on(void **state)
{
	static const char *const bad[] = { "{\"a\":1,\"a\":2}",
					   "{}{}",
					   "{\"a\":1e999}",
					   "{'a':1}",
					   "[1,]",
					   "\"\\ud800\"",
					   "nul",
					   "" };
	struct err err = ERR_INIT;
	json_t *value;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(js_parse("test", bad[i], strlen(bad[i]), &value, &err), -1);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

static void test_json__deep_nesting_is_an_error_not_a_crash(void **state)
{
	const size_t depth = 1000000;
	cleanup_free char *text = xmalloc(depth);
	struct err err = ERR_INIT;
	json_t *value;

	(void)state;
	memset(text, '[', depth);
	assert_int_equal(js_parse("test", text, depth, &value, &err), -1);
}

static void test_json__many_values_are_an_error_before_they_take_memory(void **state)
{
	const size_t len = 8 * JS_VALUES_MAX;
	cleanup_free char *text = xmalloc(len);
	struct err err = ERR_INIT;
	json_t *value;

	(void)state;
	for (size_t i = 0; i < len; i++)
		text[i] = "{},"[i % 3];
	text[0] = '[';
	text[len - 1] = ']';
	assert_int_equal(js_parse("test", text, len, &value, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_string_equal(err.message, "test: more than 1048576 values");
	memset(text, ' ', len); /* long, but not many */
	text[0] = '[';
	text[len - 1] = ']';
	assert_int_equal(js_parse("test", text, len, &value, &err), 0);
	json_decref(value);
}

static void test_json__dumps_as_go(void **state)
{
	cleanup_json json_t *value = json_pack("{s:s, s:[i]}", "b", "<a & b>", "a", 1);
	cleanup_free char *text = js_dump(value);

	(void)state;
	assert_string_equal(text, "{\"b\":\"\\u003ca \\u0026 b\\u003e\",\"a\":[1]}");
}

static void test_json__members_are_typed(void **state)
{
	static const char text[] = "{\"s\":\"x\",\"n\":5,\"m\":-1,\"null\":null}";
	struct err err = ERR_INIT;
	const char *string;
	uint64_t number;
	json_t *value;

	(void)state;
	assert_int_equal(js_parse("test", text, sizeof(text) - 1, &value, &err), 0);
	assert_int_equal(js_string(value, "s", NULL, &string, &err), 0);
	assert_string_equal(string, "x");
	assert_int_equal(js_string(value, "null", "d", &string, &err), 0);
	assert_string_equal(string, "d");
	assert_int_equal(js_string(value, "n", NULL, &string, &err), -1);
	assert_int_equal(js_uint(value, "n", 0, &number, &err), 0);
	assert_int_equal(number, 5);
	assert_int_equal(js_uint(value, "m", 0, &number, &err), -1);
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json__rejects_what_parsers_differ_on),
		cmocka_unit_test(test_json__deep_nesting_is_an_error_not_a_crash),
		cmocka_unit_test(test_json__many_values_are_an_error_before_they_take_memory),
		cmocka_unit_test(test_json__dumps_as_go),
		cmocka_unit_test(test_json__members_are_typed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
