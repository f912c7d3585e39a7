/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dockerfile-parser/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

static const struct row {
	const char *rules;
	const char *path;
	unsigned line; /* of the rule that decides */
	bool excluded;
} rows[] = {
	{ "", "a", 0, false },
	{ "a", "a", 1, true },
	{ "a", "ab", 0, false },
	{ "a", "b/a", 0, false },
	{ "a", "a/b/c", 1, true },
	{ "/a/", "a", 1, true },
	{ "./a", "a", 1, true },
	{ "b/../a", "a", 1, true },
	{ "  a  ", "a", 1, true },
	{ "\xef\xbb\xbf"
	  "a",
	  "a", 1, true },
	{ "a\r\nb\r\n", "b", 2, true },
	{ "\n\nb", "b", 3, true },
	/* comments only in the first column */
	{ "#a\n", "#a", 0, false },
	{ " #a\n", "#a", 1, true },
	/* the last match wins */
	{ "*\n!a", "a", 2, false },
	{ "*\n!a", "b", 1, true },
	{ "!a\n*", "a", 2, true },
	{ "*\n! a", "a", 2, false },
	{ "*.md\n!README*.md\nREADME-secret.md", "README-secret.md", 3, true },
	{ "*.md\n!README*.md\nREADME-secret.md", "README-x.md", 2, false },
	{ "!!a", "!a", 0, false },
	{ "*\n!!a", "!a", 2, false },
	/* a file below an excluded directory can come back */
	{ "dir\n!dir/file", "dir/file", 2, false },
	{ "dir\n!dir/file", "dir/other", 1, true },
	{ "dir\n!dir/sub", "dir/sub/x/y", 2, false },
	/* a rule that was not asked about a directory says nothing below it */
	{ "a\n!a/b\na", "a/b/c", 2, false },
	/* stars and slashes */
	{ "*", "a/b", 1, true },
	{ "*/b", "a/b", 1, true },
	{ "*/b", "b", 0, false },
	{ "*/b", "x/a/b", 0, false },
	{ "a?c", "abc", 1, true },
	{ "a?c", "a/c", 0, false },
	{ "*.go", "x.go", 1, true },
	{ "*.go", "d/x.go", 0, false },
	{ "**/*.go", "x.go", 1, true },
	{ "**/*.go", "a/b/x.go", 1, true },
	{ "**/*.go", "a/b/x.gox", 0, false },
	{ "**/x", "x", 1, true },
	{ "**/x", "a/b/x", 1, true },
	{ "**/x", "a/bx", 0, false },
	{ "**/x", "a/x/c", 1, true },
	{ "**", "a/b", 1, true },
	{ "a/**", "a", 0, false },
	{ "a/**", "a/b/c", 1, true },
	{ "a/**/c", "a/c", 1, true },
	{ "a/**/c", "a/b/x/c", 1, true },
	{ "a/**/c", "a/bc", 0, false },
	{ "**/a/**", "x/a/y", 1, true },
	{ "**/a/**", "x/a", 0, false },
	{ "**/a*/**/c", "x/ab/y/z/c", 1, true },
	{ "**.x", "a/b.x", 1, true },
	{ "a**", "ab/c", 1, true },
	{ "a*b/**", "axb/c/d", 1, true },
	{ "[a-c]x", "bx", 1, true },
	{ "[^a-c]x", "bx", 0, false },
	{ "[^a-c]x", "dx", 1, true },
	{ "a\\*", "a*", 1, true },
	{ "a\\*", "ab", 0, false },
	{ "a.b", "axb", 0, false },
	{ "?", "\xc3\xa9", 1, true },
	{ ".", "a", 0, false },
	{ "/", "a", 0, false },
	{ "..", "a", 0, false },
};

static void test_ignore__rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		struct ignore *ignore;
		unsigned line;
		bool got;

		if (ignore_parse(".dockerignore", rows[i].rules, strlen(rows[i].rules), &ignore,
				 &err) < 0)
			fail_msg("%s: %s", rows[i].rules, err.message);
		got = ignore_excludes(ignore, rows[i].path, &line);
		if (got != rows[i].excluded || line != rows[i].line)
			fail_msg("\"%s\" on %s: %d by line %u", rows[i].rules, rows[i].path, got,
				 line);
		ignore_free(ignore);
	}
}

static void check_error(const char *text, size_t len, enum err_kind kind, const char *message)
{
	struct err err = ERR_INIT;
	struct ignore *ignore;

	assert_int_equal(ignore_parse("f", text, len, &ignore, &err), -1);
	assert_int_equal(err.kind, kind);
	assert_string_equal(err.message, message);
}

static void test_ignore__refuses_bad_patterns(void **state)
{
	(void)state;
	check_error("a\n!\n", 4, ERR_INVALID, "f:2: illegal exclusion pattern: \"!\"");
	check_error("a[", 2, ERR_INVALID, "f:1: syntax error in pattern: \"a[\"");
	check_error("a\\", 2, ERR_INVALID, "f:1: syntax error in pattern: \"a\\\"");
	check_error("a\0b", 3, ERR_INVALID, "f: NUL byte: is this UTF-8 text?");
}

static void test_ignore__has_limits(void **state)
{
	cleanup_free char *text = xmalloc(IGNORE_MAX + 1);
	struct ignore *ignore;
	struct err err;

	(void)state;
	memset(text, 'a', IGNORE_MAX + 1);
	assert_int_equal(ignore_parse("f", text, IGNORE_MAX + 1, &ignore, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(ignore_parse("f", text, IGNORE_PATTERN_MAX + 1, &ignore, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(ignore_parse("f", text, IGNORE_PATTERN_MAX, &ignore, &err), 0);
	ignore_free(ignore);
}

static void test_ignore__nothing_excludes_nothing(void **state)
{
	unsigned line = 7;

	(void)state;
	assert_false(ignore_excludes(NULL, "a", &line));
	assert_int_equal(line, 0);
	assert_false(ignore_may_include_below(NULL, "a"));
	assert_null(ignore_rule(NULL, 1));
	ignore_free(NULL);
}

static bool may_include(const char *rules, const char *path)
{
	struct err err = ERR_INIT;
	struct ignore *ignore;
	bool got;

	assert_int_equal(ignore_parse("f", rules, strlen(rules), &ignore, &err), 0);
	got = ignore_may_include_below(ignore, path);
	ignore_free(ignore);
	return got;
}

static void test_ignore__says_where_to_descend(void **state)
{
	(void)state;
	assert_false(may_include("dir", "dir"));
	assert_true(may_include("dir\n!dir/file", "dir"));
	assert_true(may_include("dir\n!dir/a/b", "dir/a"));
	assert_false(may_include("dir\n!dir/a/b", "dir/c"));
	assert_false(may_include("dir\n!dir", "dir"));
	assert_false(may_include("dir\n!dirx/y", "dir"));
	assert_true(may_include("dir\n!**/x", "dir"));
	assert_true(may_include("dir\n!d*/x", "dir"));
	assert_false(may_include("dir\n!e*/x", "dir"));
	assert_true(may_include("dir\n!dir/*", "dir"));
}

static void test_ignore__shows_its_rules(void **state)
{
	static const char rules[] = "# x\n !a/../b \n";
	struct err err = ERR_INIT;
	struct ignore *ignore;

	(void)state;
	assert_int_equal(ignore_parse("f", rules, strlen(rules), &ignore, &err), 0);
	assert_string_equal(ignore_rule(ignore, 2), "!a/../b");
	assert_null(ignore_rule(ignore, 1));
	ignore_free(ignore);
}

static void test_ignore__many_rules(void **state)
{
	cleanup_free char *text = xmalloc(1000 * 8 + 1);
	struct err err = ERR_INIT;
	struct ignore *ignore;
	unsigned line;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, 9, "d%d\n", i);
	assert_int_equal(ignore_parse("f", text, len, &ignore, &err), 0);
	assert_true(ignore_excludes(ignore, "d999/x", &line));
	assert_int_equal(line, 1000);
	ignore_free(ignore);
}

static void test_ignore__is_never_slow(void **state)
{
	char path[2001], rule[1001];
	struct err err = ERR_INIT;
	struct ignore *ignore;

	(void)state;
	for (size_t i = 0; i + 5 < sizeof(rule); i += 5)
		memcpy(rule + i, "**/a*", 5);
	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 200 == 199 ? '/' : 'a';
	path[sizeof(path) - 2] = 'b';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ignore_parse("f", rule, 995, &ignore, &err), 0);
	assert_false(ignore_excludes(ignore, path, NULL));
	ignore_free(ignore);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ignore__rules),
		cmocka_unit_test(test_ignore__refuses_bad_patterns),
		cmocka_unit_test(test_ignore__has_limits),
		cmocka_unit_test(test_ignore__nothing_excludes_nothing),
		cmocka_unit_test(test_ignore__says_where_to_descend),
		cmocka_unit_test(test_ignore__shows_its_rules),
		cmocka_unit_test(test_ignore__many_rules),
		cmocka_unit_test(test_ignore__is_never_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
