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

static void check_message(struct dockerfile *file, struct range range, const char *want)
{
	struct err err = ERR_INIT;

	assert_int_equal(dockerfile_error(file, range, ERR_NOT_FOUND, &err, "no %s", "x"), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.message, want);
}

static void test_diag__points(void **state)
{
	const char *lines[] = { "FROM a", "\tRUN h\xc3\xa9llo w", "RUN \x1b[2J\xff \xe2\x80\xae",
				"" };
	struct dockerfile file = { .name = "D", .lines = lines, .n_lines = ARRAY_SIZE(lines) };

	(void)state;
	check_message(&file, (struct range){ { 1, 6 }, { 1, 7 } },
		      "D:1:6: no x\n  1 | FROM a\n    |      ^");
	check_message(&file, (struct range){ { 1, 1 }, { 1, 5 } },
		      "D:1:1: no x\n  1 | FROM a\n    | ^^^^");
	/* one caret for a character, tabs stay tabs */
	check_message(&file, (struct range){ { 2, 6 }, { 2, 12 } },
		      "D:2:6: no x\n  2 | \tRUN h\xc3\xa9llo w\n    | \t    ^^^^^");
	/* a range over lines ends with the first */
	check_message(&file, (struct range){ { 1, 6 }, { 2, 3 } },
		      "D:1:6: no x\n  1 | FROM a\n    |      ^");
	/* nothing reaches the terminal that would act there */
	check_message(&file, (struct range){ { 3, 1 }, { 3, 4 } },
		      "D:3:1: no x\n  3 | RUN ?[2J? ?\n    | ^^^");
	check_message(&file, (struct range){ { 4, 1 }, { 4, 1 } }, "D:4:1: no x\n  4 | \n    | ^");
	/* positions outside the text do no harm */
	check_message(&file, (struct range){ { 4, 9 }, { 4, 99 } }, "D:4:9: no x\n  4 | \n    | ^");
	check_message(&file, (struct range){ { 9, 1 }, { 9, 2 } }, "D:9:1: no x");
	check_message(&file, (struct range){ { 0, 0 }, { 0, 0 } }, "D:0:0: no x");
}

static void test_diag__shows_a_window_of_long_lines(void **state)
{
	cleanup_free char *line = xmalloc(10001);
	const char *lines[1] = { line };
	struct dockerfile file = { .name = "D", .lines = lines, .n_lines = 1 };
	struct err err = ERR_INIT;

	(void)state;
	memset(line, 'a', 10000);
	line[10000] = '\0';
	line[5000] = 'X';
	dockerfile_error(&file, (struct range){ { 1, 5001 }, { 1, 10001 } }, 0, &err, "m");
	assert_int_equal(err.kind, ERR_INVALID);
	assert_true(strlen(err.message) < 300);
	assert_non_null(strstr(err.message, "aaXaa"));
	assert_non_null(strstr(err.message, "\n    |                                         ^^"));
}

static void test_diag__cuts_long_messages(void **state)
{
	const char *lines[] = { "FROM a" };
	struct dockerfile file = { .name = "D", .lines = lines, .n_lines = 1 };
	cleanup_free char *long_text = xmalloc(100001);
	struct err err = ERR_INIT;

	(void)state;
	memset(long_text, '\n', 100000);
	long_text[100000] = '\0';
	dockerfile_error(&file, (struct range){ { 1, 1 }, { 1, 2 } }, 0, &err, "%s", long_text);
	assert_non_null(strstr(err.message, "\n  1 | FROM a\n    | ^"));
}

static void test_diag__suggests(void **state)
{
	static const char *const names[] = { "from", "chown", "chmod", "link", "exclude" };
	static const struct row {
		const char *word;
		const char *want;
	} rows[] = {
		{ "frm", "from" },
		{ "form", "from" },
		{ "FROM", "from" },
		{ "chwon", "chown" },
		{ "chmd", "chmod" },
		{ "lnk", "link" },
		{ "excludes", "exclude" },
		{ "something", NULL },
		{ "x", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = suggest(rows[i].word, names, ARRAY_SIZE(names));

		if (!got != !rows[i].want || (got && strcmp(got, rows[i].want) != 0))
			fail_msg("%s gave %s", rows[i].word, got ? got : "nothing");
	}
	assert_null(suggest("a word that is longer than all that are compared", names, 5));
	assert_null(suggest("from", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diag__points),
		cmocka_unit_test(test_diag__shows_a_window_of_long_lines),
		cmocka_unit_test(test_diag__cuts_long_messages),
		cmocka_unit_test(test_diag__suggests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
