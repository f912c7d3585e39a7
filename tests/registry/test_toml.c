/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "registry/toml.h"

static const struct {
	const char *text, *json;
} accepted[] = {
	{ "", "{}" },
	{ "# only a comment", "{}" },
	{ "a = 1\r\nb = \"x\"\r\n", "{\"a\":1,\"b\":\"x\"}" },
	{ "a = true\nb=false # why\n", "{\"a\":true,\"b\":false}" },
	{ "a = [ 'x', \"y\",\n # more\n 'z', ]", "{\"a\":[\"x\",\"y\",\"z\"]}" },
	{ "a = -1_000", "{\"a\":-1000}" },
	{ "a.b.c = 1\na.d = 2", "{\"a\":{\"b\":{\"c\":1},\"d\":2}}" },
	{ "\"a b\".'c.d' = 1", "{\"a b\":{\"c.d\":1}}" },
	{ "[t]\na=1\n[t.u]\nb=2\n[v]", "{\"t\":{\"a\":1,\"u\":{\"b\":2}},\"v\":{}}" },
	{ "[[r]]\na=1\n[[r.m]]\nb=2\n[[r.m]]\nb=3\n[[r]]\na=4",
	  "{\"r\":[{\"a\":1,\"m\":[{\"b\":2},{\"b\":3}]},{\"a\":4}]}" },
	{ "a = { b = 1, c = [ 2 ] }", "{\"a\":{\"b\":1,\"c\":[2]}}" },
	{ "a = \"t\\tq\\\"u\\u00e9\\U0001F600\"",
	  "{\"a\":\"t\\tq\\\"u\xc3\xa9\xf0\x9f\x98\x80\"}" },
	{ "a = \"\"\"\nx\ny\\\n   z\"\"\"", "{\"a\":\"x\\nyz\"}" },
	{ "a = '''\nC:\\n'''", "{\"a\":\"C:\\\\n\"}" },
	{ "a = ''", "{\"a\":\"\"}" },
};

static const struct {
	const char *text, *message;
} refused[] = {
	{ "a", "f:1: \"=\" was expected after a key" },
	{ "a =", "f:1: a value was expected" },
	{ "\na = 1\na = 2", "f:3: a key that was given before" },
	{ "a = \"x", "f:1: a string without an end" },
	{ "a = \"x\ny\"", "f:1: a string without an end" },
	{ "a = 1 b = 2", "f:1: the line should end here" },
	{ "a = 1.5", "f:1: floats, dates and other bases are not supported here" },
	{ "a = 2020-01-01", "f:1: floats, dates and other bases are not supported here" },
	{ "a = [1", "f:1: \",\" or \"]\" was expected" },
	{ "a = {b=1", "f:1: \",\" or \"}\" was expected" },
	{ "[a", "f:1: \"]\" was expected" },
	{ "[[a]", "f:1: \"]\" was expected" },
	{ "a=1\n[a]", "f:2: a key that is a table and something else" },
	{ "a = \"\\q\"", "f:1: an unknown escape" },
	{ "a = \"\\ud800\"", "f:1: an escape that is no character" },
	{ "a = 99999999999999999999", "f:1: a number that is too large" },
	{ "a = \"\xff\"", "f:1: a string that is not UTF-8" },
	{ "= 1", "f:1: a key was expected" },
};

static void test_toml__reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		struct err err = ERR_INIT;
		cleanup_json json_t *root = NULL;
		cleanup_free char *json = NULL;

		if (toml_parse("f", accepted[i].text, strlen(accepted[i].text), &root, &err) < 0)
			fail_msg("%s: %s", accepted[i].text, err.message);
		json = js_dump(root);
		assert_string_equal(json, accepted[i].json);
	}
}

static void test_toml__refuses_with_line_and_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct err err = ERR_INIT;
		cleanup_json json_t *root = NULL;

		if (toml_parse("f", refused[i].text, strlen(refused[i].text), &root, &err) == 0)
			fail_msg("accepted: %s", refused[i].text);
		assert_string_equal(err.message, refused[i].message);
	}
}

static void test_toml__depth_is_limited(void **state)
{
	struct err err = ERR_INIT;
	cleanup_json json_t *root = NULL;
	char text[2000];

	(void)state;
	memset(text, '[', sizeof(text));
	memcpy(text, "a=", 2);
	assert_int_equal(toml_parse("f", text, sizeof(text), &root, &err), -1);
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "a.", 2);
	assert_int_equal(toml_parse("f", text, sizeof(text), &root, &err), -1);
	assert_int_equal(toml_parse("f", "a=1\0b", 5, &root, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_toml__reads),
		cmocka_unit_test(test_toml__refuses_with_line_and_reason),
		cmocka_unit_test(test_toml__depth_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
