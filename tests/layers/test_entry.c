/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "layers/entry.h"
#include "layers/internal.h"

static void test_entry__paths_are_in_order_of_a_walk(void **state)
{
	static const char *const order[] = {
		"",   "a",   "a/b", "a/b/c", "a/b.c", "a\001",	  "a b",
		"a!", "a-b", "a.b", "ab",    "b",     "\xc3\xa4",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; j < ARRAY_SIZE(order); j++) {
			int got = entry_path_compare(order[i], order[j]);

			assert_int_equal((got > 0) - (got < 0), (i > j) - (i < j));
		}
}

static void test_entry__marks_come_before_members(void **state)
{
	static const struct entry order[] = {
		{ .path = "", .type = ENTRY_DIRECTORY },
		{ .path = "", .type = ENTRY_OPAQUE },
		{ .path = "a", .type = ENTRY_WHITEOUT },
		{ .path = "z", .type = ENTRY_WHITEOUT },
		{ .path = "a", .type = ENTRY_FILE },
		{ .path = "d", .type = ENTRY_DIRECTORY },
		{ .path = "d", .type = ENTRY_OPAQUE },
		{ .path = "d/x", .type = ENTRY_WHITEOUT },
		{ .path = "d/y", .type = ENTRY_WHITEOUT },
		{ .path = "d/e", .type = ENTRY_DIRECTORY },
		{ .path = "d/e", .type = ENTRY_OPAQUE },
		{ .path = "d/e/f", .type = ENTRY_FILE },
		{ .path = "d/x", .type = ENTRY_FILE },
		{ .path = "d.x", .type = ENTRY_FILE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; j < ARRAY_SIZE(order); j++) {
			int got = entry_compare(&order[i], &order[j]);

			assert_int_equal((got > 0) - (got < 0), (i > j) - (i < j));
		}
}

static void test_entry__unclean_paths_are_refused(void **state)
{
	static const char *const bad[] = {
		"/a", "a/", "a//b", ".", "..", "a/..", "./a", "a/./b", ".wh.a", "d/.wh..wh..opq/x",
	};
	struct err err = ERR_INIT;
	char name[ENTRY_PATH_MAX + 100];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(entry_check_path(bad[i], &err), -1);
		assert_int_equal(err.kind, ERR_INVALID);
	}
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	assert_int_equal(entry_check_path(name, &err), 0);
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(entry_check_path(name, &err), -1);
	name[256] = 'n';
	for (size_t i = 100; i < sizeof(name); i += 100)
		name[i] = '/';
	name[ENTRY_PATH_MAX - 1] = '\0';
	assert_int_equal(entry_check_path(name, &err), 0);
	name[ENTRY_PATH_MAX - 1] = 'n';
	name[ENTRY_PATH_MAX] = '\0';
	assert_int_equal(entry_check_path(name, &err), -1);
	assert_int_equal(entry_check_path("", &err), 0);
	assert_int_equal(entry_check_path("a/...b/.w", &err), 0);
}

static void test_entry__names_are_normalised_into_the_root(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "./", "" },
		{ "/", "" },
		{ "a", "a" },
		{ "/etc/passwd", "etc/passwd" },
		{ "../../x", "x" },
		{ "a/../b", "b" },
		{ "a/b/../../../c", "c" },
		{ "./a//b/./c/", "a/b/c" },
		{ "a/..", "" },
		{ "..", "" },
		{ "...", "..." },
		{ "a/b/..", "a" },
	};
	char to[ENTRY_PATH_MAX], big[ENTRY_PATH_MAX + 1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(entry_normalise(cases[i][0], to));
		assert_string_equal(to, cases[i][1]);
	}
	memset(big, 'b', sizeof(big));
	big[256] = '\0';
	assert_false(entry_normalise(big, to));
	big[256] = 'b';
	for (size_t i = 0; i < sizeof(big); i += 200)
		big[i] = '/';
	big[sizeof(big) - 1] = '\0';
	assert_false(entry_normalise(big, to));
	big[ENTRY_PATH_MAX] = '\0'; /* the leading slash goes */
	assert_true(entry_normalise(big, to));
	assert_int_equal(strlen(to), ENTRY_PATH_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry__paths_are_in_order_of_a_walk),
		cmocka_unit_test(test_entry__marks_come_before_members),
		cmocka_unit_test(test_entry__unclean_paths_are_refused),
		cmocka_unit_test(test_entry__names_are_normalised_into_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
