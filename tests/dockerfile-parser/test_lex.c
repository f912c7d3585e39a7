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

static struct dockerfile *parse(const char *text)
{
	struct dockerfile *file = NULL;
	struct err err = ERR_INIT;

	if (dockerfile_parse("D", text, strlen(text), &file, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return file;
}

static void check_error(const char *text, size_t len, enum err_kind kind, const char *message)
{
	struct dockerfile *file;
	struct err err = ERR_INIT;

	assert_int_equal(dockerfile_parse("D", text, len, &file, &err), -1);
	assert_int_equal(err.kind, kind);
	if (strncmp(err.message, message, strlen(message)) != 0)
		fail_msg("%s", err.message);
}

static void test_lex__directives(void **state)
{
	static const struct row {
		const char *text;
		const char *syntax;
		const char *check;
		char escape;
	} rows[] = {
		{ "FROM a", NULL, NULL, '\\' },
		{ "# syntax=x\nFROM a", "x", NULL, '\\' },
		{ "#syntax=x y\nFROM a", "x", NULL, '\\' },
		{ "  # SynTax  =  x  \nFROM a", "x", NULL, '\\' },
		{ "# escape=`\nFROM a", NULL, NULL, '`' },
		{ "# escape=\\\nFROM a", NULL, NULL, '\\' },
		{ "# check=skip=all;error=true\nFROM a", NULL, "skip=all;error=true", '\\' },
		{ "#syntax=x\n#check=skip=a\n#escape=`\nFROM a", "x", "skip=a", '`' },
		{ "#syntax=x\r\n#escape=`\r\nFROM a", "x", NULL, '`' },
		{ "\xef\xbb\xbf#escape=`\nFROM a", NULL, NULL, '`' },
		/* the first line that is none ends them */
		{ "\n# escape=`\nFROM a", NULL, NULL, '\\' },
		{ "# comment\n# escape=`\nFROM a", NULL, NULL, '\\' },
		{ "# unknown=x\n# escape=`\nFROM a", NULL, NULL, '\\' },
		{ "#\n# escape=`\nFROM a", NULL, NULL, '\\' },
		{ "FROM a\n# escape=`", NULL, NULL, '\\' },
		{ "# escape=\nFROM a", NULL, NULL, '\\' },
		{ "# es cape=`\nFROM a", NULL, NULL, '\\' },
		{ "# 1escape=`\nFROM a", NULL, NULL, '\\' },
		/* no continuation */
		{ "# syntax=x \\\nFROM a", "x", NULL, '\\' },
		{ "#!/bin/x\n# syntax=x\n# check=y\nFROM a", "x", "y", '\\' },
		{ "#!/bin/x\n# escape=`\nFROM a", NULL, NULL, '\\' },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dockerfile *file = parse(rows[i].text);
		const struct directives *got = &file->directives;

		if (got->escape != rows[i].escape || !got->syntax != !rows[i].syntax ||
		    !got->check != !rows[i].check ||
		    (got->syntax && strcmp(got->syntax, rows[i].syntax) != 0) ||
		    (got->check && strcmp(got->check, rows[i].check) != 0))
			fail_msg("%s", rows[i].text);
		dockerfile_free(file);
	}
}

static void test_lex__refuses_bad_directives(void **state)
{
	static const char twice[] = "# syntax=a\n# Syntax=b\nFROM a";
	static const char bad[] = "# escape=x\nFROM a";

	(void)state;
	check_error(twice, strlen(twice), ERR_INVALID,
		    "D:2:10: only one Syntax parser directive can be used");
	check_error(bad, strlen(bad), ERR_INVALID,
		    "D:1:10: invalid escape token 'x' does not match ` or \\");
}

/* The argument of the last RUN. */
static void test_lex__logical_lines(void **state)
{
	static const struct row {
		const char *text;
		const char *want;
	} rows[] = {
		{ "RUN a\\\nb", "ab" },
		{ "RUN a \\\n  b", "a   b" },
		{ "RUN a \\  \t\nb", "a b" },
		{ "RUN a \\\r\nb\r\n", "a b" },
		{ "RUN a \\\n\nb", "a b" },
		{ "RUN a \\\n \t \nb", "a b" },
		{ "RUN a \\\n# c\nb", "a b" },
		{ "RUN a \\\n  # c \\\nb", "a b" },
		{ "RUN a \\\n#", "a" },
		{ "RUN a \\", "a" },
		{ "RUN a \\\\\nRUN b", "b" },
		{ "RUN a \\\\\\\nRUN b", "b" },
		{ "RUN a\\ b", "a\\ b" },
		{ "RUN a # b", "a # b" },
		{ "\\\nRUN a", "a" },
		{ "  RUN a  ", "a" },
		{ "\tRUN\ta", "a" },
		{ "\xc2\xa0RUN a\xe3\x80\x80", "a" },
		{ "# escape=`\nRUN a `\nb\\\nRUN c", "c" },
		{ "# escape=`\nRUN a `\nb", "a b" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dockerfile *file = parse(rows[i].text);
		const struct instruction *last = &file->instructions[file->n_instructions - 1];

		if (strcmp(last->args[0].text, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].text, last->args[0].text);
		dockerfile_free(file);
	}
}

static void check_comments(const char *text, size_t n, const char *first)
{
	struct dockerfile *file = parse(text);
	const struct instruction *last = &file->instructions[file->n_instructions - 1];

	assert_int_equal(last->n_comments, n);
	if (n)
		assert_string_equal(last->comments[0], first);
	dockerfile_free(file);
}

static void test_lex__comments_directly_above(void **state)
{
	(void)state;
	check_comments("# a\nFROM x", 1, "a");
	check_comments("# a\n  #b \nFROM x", 2, "a");
	check_comments("# a\n\n# b\nFROM x", 1, "b");
	check_comments("# a\n\nFROM x", 0, NULL);
	check_comments("# a\nFROM x\nRUN y", 0, NULL);
	check_comments("# syntax=a\nFROM x", 0, NULL);
	check_comments("FROM x\n# check=skip=a\nRUN y", 1, "check=skip=a");
}

static void check_heredoc(const char *text, const char *name, const char *content, bool expand)
{
	struct dockerfile *file = parse(text);
	const struct instruction *last = &file->instructions[file->n_instructions - 1];

	assert_int_equal(last->n_heredocs, 1);
	assert_string_equal(last->heredocs[0].name, name);
	assert_string_equal(last->heredocs[0].content, content);
	assert_int_equal(last->heredocs[0].content_len, strlen(content));
	assert_int_equal(last->heredocs[0].expand, expand);
	dockerfile_free(file);
}

static void test_lex__heredocs(void **state)
{
	(void)state;
	check_heredoc("RUN <<E\nE", "E", "", true);
	check_heredoc("RUN <<E\na\n\n #b\\\nE\n", "E", "a\n\n #b\\\n", true);
	check_heredoc("RUN <<E\na\r\nE\r\n", "E", "a\r\n", true);
	check_heredoc("RUN <<E\n E\nE \nE", "E", " E\nE \n", true);
	check_heredoc("RUN <<-E\n\t\ta\tb\n\t \tc\n\t\tE\n", "E", "a\tb\n \tc\n", true);
	check_heredoc("RUN <<'E'\n$x\nE", "E", "$x\n", false);
	check_heredoc("RUN <<\"E\"\nE", "E", "", false);
	check_heredoc("RUN <<E'F'\nEF", "EF", "", false);
	check_heredoc("RUN <<\\E\nE", "E", "", true);
	check_heredoc("RUN <<$x\n$x", "$x", "", true);
	check_heredoc("RUN 12<<E cat\nE", "E", "", true);
	check_heredoc("RUN cat \\\n <<E\nx\nE", "E", "x\n", true);
	check_heredoc("# escape=`\nRUN cat `\n <<E\nx`\nE", "E", "x`\n", true);
	check_heredoc("COPY <<E /x\nE", "E", "", true);
	check_heredoc("ONBUILD ADD <<E /x\nE", "E", "", true);
}

static void check_range(struct range range, unsigned line, unsigned column, unsigned end_line,
			unsigned end_column)
{
	assert_int_equal(range.start.line, line);
	assert_int_equal(range.start.column, column);
	assert_int_equal(range.end.line, end_line);
	assert_int_equal(range.end.column, end_column);
}

static void test_lex__positions(void **state)
{
	struct dockerfile *file = parse("FROM a\n COPY --from=b \\\n# x\n\tc \\\n\n  dd <<E /\nE\n"
					"RUN [\"a\", \\\n \"b\"]\nENV x=1 \\\n yy=22\n");
	const struct instruction *copy = &file->instructions[1];

	(void)state;
	check_range(copy->range, 2, 2, 7, 2);
	check_range(copy->line_range, 2, 2, 6, 11);
	check_range(copy->flags[0].range, 2, 7, 2, 15);
	check_range(copy->args_range, 4, 2, 6, 11);
	check_range(copy->args[0].range, 4, 2, 4, 3);
	check_range(copy->args[1].range, 6, 3, 6, 5);
	check_range(copy->args[2].range, 6, 6, 6, 9);
	check_range(copy->heredocs[0].range, 6, 6, 6, 9);
	check_range(file->instructions[2].args[1].range, 9, 2, 9, 5);
	check_range(file->instructions[3].args[3].range, 11, 2, 11, 4);
	check_range(file->instructions[3].args[4].range, 11, 5, 11, 7);
	assert_int_equal(file->n_lines, 11);
	assert_string_equal(file->lines[3], "\tc \\");
	dockerfile_free(file);
}

static void test_lex__limits(void **state)
{
	cleanup_free char *text = xmalloc(DOCKERFILE_MAX + 1);
	struct dockerfile *file;
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'x', DOCKERFILE_MAX + 1);
	memcpy(text, "FROM ", 5);
	check_error(text, DOCKERFILE_MAX + 1, ERR_LIMIT, "D: larger than 1048576 bytes");
	check_error(text, DOCKERFILE_LINE_MAX + 1, ERR_LIMIT,
		    "D:1:1: line longer than 65535 bytes");
	text[DOCKERFILE_LINE_MAX] = '\n';
	assert_int_equal(dockerfile_parse("D", text, DOCKERFILE_LINE_MAX + 1, &file, &err), 0);
	dockerfile_free(file);
	memset(text, '\n', DOCKERFILE_MAX);
	check_error(text, DOCKERFILE_MAX, ERR_INVALID, "D:1:1: file with no instructions");
	check_error("FROM a\nRUN \0", 12, ERR_INVALID, "D:2:5: NUL byte");
	check_error("", 0, ERR_INVALID, "D:1:1: file with no instructions");
}

/* A line of 64 KiB may go on. */
static void test_lex__long_logical_lines(void **state)
{
	cleanup_free char *text = xmalloc(DOCKERFILE_MAX);
	struct dockerfile *file;
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'x', DOCKERFILE_MAX);
	memcpy(text, "RUN ", 4);
	for (size_t at = 60000; at + 2 < DOCKERFILE_MAX; at += 60000)
		memcpy(text + at, "\\\n", 2);
	assert_int_equal(dockerfile_parse("D", text, DOCKERFILE_MAX, &file, &err), 0);
	assert_int_equal(file->n_instructions, 1);
	assert_int_equal(strlen(file->instructions[0].args[0].text), DOCKERFILE_MAX - 4 - 2 * 17);
	dockerfile_free(file);
}

/* The limit can be told; lines are no longer for it. */
static void test_lex__a_large_file(void **state)
{
	const size_t size = 3 * DOCKERFILE_MAX;
	cleanup_free char *text = xmalloc(size);
	struct dockerfile *file;
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'x', size);
	memcpy(text, "RUN ", 4);
	for (size_t at = 60000; at + 2 < size; at += 60000)
		memcpy(text + at, "\\\n", 2);
	assert_int_equal(dockerfile_parse_large("D", text, size, size - 1, &file, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_string_equal(err.message, "D: larger than 3145727 bytes");
	assert_int_equal(dockerfile_parse_large("D", text, size, size, &file, &err), 0);
	assert_int_equal(strlen(file->instructions[0].args[0].text), size - 4 - 2 * 52);
	dockerfile_free(file);
	memset(text + 4, 'x', DOCKERFILE_LINE_MAX + 1);
	assert_int_equal(dockerfile_parse_large("D", text, size, size, &file, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.message, "D:1:1: line longer than 65535 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lex__directives),
		cmocka_unit_test(test_lex__refuses_bad_directives),
		cmocka_unit_test(test_lex__logical_lines),
		cmocka_unit_test(test_lex__comments_directly_above),
		cmocka_unit_test(test_lex__heredocs),
		cmocka_unit_test(test_lex__positions),
		cmocka_unit_test(test_lex__limits),
		cmocka_unit_test(test_lex__long_logical_lines),
		cmocka_unit_test(test_lex__a_large_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
