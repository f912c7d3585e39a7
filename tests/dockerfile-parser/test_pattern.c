/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dockerfile-parser/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct row {
	const char *pattern;
	const char *path;
	int want;
} rows[] = {
	{ "abc", "abc", 1 },
	{ "", "", 1 },
	{ "", "a", 0 },
	{ "*", "abc", 1 },
	{ "*", "", 1 },
	{ "*c", "abc", 1 },
	{ "a*", "a", 1 },
	{ "a*", "ab/c", 0 },
	{ "a*/b", "abc/b", 1 },
	{ "a*/b", "a/c/b", 0 },
	{ "**", "a/b", 0 },
	{ "a**b", "axxb", 1 },
	{ "*a*b*c", "xaybzc", 1 },
	{ "*a*b*c", "xaybz", 0 },
	{ "a*b*c*d*e*/f", "axbxcxdxe/f", 1 },
	{ "a*b*c*d*e*/f", "axbxcxdxexxx/f", 1 },
	{ "a*b*c*d*e*/f", "axbxcxdxe/xxx/f", 0 },
	{ "a*b?c*x", "abxbbxdbxebxczzx", 1 },
	{ "a*b?c*x", "abxbbxdbxebxczzy", 0 },
	{ "a?c", "abc", 1 },
	{ "a?c", "a/c", 0 },
	{ "a?b",
	  "a\xe2\x98\xba"
	  "b",
	  1 },
	{ "a???b",
	  "a\xe2\x98\xba"
	  "b",
	  0 },
	{ "ab[c]", "abc", 1 },
	{ "ab[b-d]", "abc", 1 },
	{ "ab[e-g]", "abc", 0 },
	{ "ab[^c]", "abc", 0 },
	{ "ab[^e-g]", "abc", 1 },
	{ "a[^a]b",
	  "a\xe2\x98\xba"
	  "b",
	  1 },
	{ "a[^a]b", "a/b", 1 },
	{ "[a-\xce\xb6]*", "\xce\xb1", 1 },
	{ "*[a-\xce\xb6]", "A", 0 },
	{ "[[]x", "[x", 1 },
	{ "[\\]a]", "]", 1 },
	{ "[\\-]", "-", 1 },
	{ "[x\\-]", "z", 0 },
	{ "[\\-x]", "-", 1 },
	{ "a\\*b", "a*b", 1 },
	{ "a\\*b", "ab", 0 },
	{ "a\\b", "ab", 1 },
	{ "fil[e]", "file", 1 },
	{ "*x", "xxx", 1 },
	{ "[]a]", "]", -1 },
	{ "[-]", "-", -1 },
	{ "[x-]", "x", -1 },
	{ "[-x]", "x", -1 },
	{ "[a-b-c]", "a", -1 },
	{ "[", "a", -1 },
	{ "[^", "a", -1 },
	{ "[^bc", "a", -1 },
	{ "a[", "a", -1 },
	{ "a[", "x", -1 },
	{ "a/b[", "x", -1 },
	{ "\\", "a", -1 },
	{ "a\\", "a", -1 },
};

static void test_pattern__matches_as_go_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int got = pattern_match(rows[i].pattern, rows[i].path);

		if (got != rows[i].want)
			fail_msg("%s on %s gave %d", rows[i].pattern, rows[i].path, got);
	}
}

static void test_pattern__knows_globs(void **state)
{
	(void)state;
	assert_true(pattern_is_glob("a*"));
	assert_true(pattern_is_glob("?"));
	assert_true(pattern_is_glob("[a]"));
	assert_true(pattern_is_glob("a\\b"));
	assert_false(pattern_is_glob("a/b]"));
	assert_false(pattern_is_glob(""));
}

static void test_pattern__is_never_slow(void **state)
{
	char path[4001], pattern[4001];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + sizeof(pattern) - 3, "b", 2);
	assert_int_equal(pattern_match(pattern, path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pattern__matches_as_go_does),
		cmocka_unit_test(test_pattern__knows_globs),
		cmocka_unit_test(test_pattern__is_never_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
