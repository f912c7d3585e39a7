/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dockerfile-parser/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
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

static void test_flags__quotes_and_escapes(void **state)
{
	static const struct row {
		const char *line;
		const char *value; /* of --chown */
		const char *first; /* argument */
	} rows[] = {
		{ "COPY --chown=a b c", "a", "b" },
		{ "COPY   --chown=a\t b c", "a", "b" },
		{ "COPY --chown=\"a b\" b c", "a b", "b" },
		{ "COPY --chown='a b' b c", "a b", "b" },
		{ "COPY --chown=a\\ b b c", "a b", "b" },
		{ "COPY --chown=a\\\"b b c", "a\"b", "b" },
		{ "COPY --chown='a\\'b' b c", "a'b", "b" },
		{ "COPY --chown=a'b'\"c\" b c", "abc", "b" },
		{ "COPY --chow\"n=a\" b c", "a", "b" },
		{ "COPY --chown=$x b c", "$x", "b" },
		{ "COPY --chown=a=b b c", "a=b", "b" },
		{ "COPY --chown= b c", "", "b" },
		{ "COPY --chown=\xc3\xa9 b c", "\xc3\xa9", "b" },
		{ "COPY --chown=a -- --b c", "a", "--b" },
		{ "COPY --chown=a -b c", "a", "-b" },
		{ "# escape=`\nCOPY --chown=a\\ b` b c", "a b`", "b" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dockerfile *file = parse(rows[i].line);
		const struct flag *flag = instruction_flag(&file->instructions[0], "chown");

		if (!flag || strcmp(flag->value, rows[i].value) != 0 ||
		    strcmp(file->instructions[0].args[0].text, rows[i].first) != 0)
			fail_msg("%s: %s", rows[i].line, flag ? flag->value : "no flag");
		dockerfile_free(file);
	}
}

static void test_flags__only_before_arguments(void **state)
{
	struct dockerfile *file = parse("COPY a --from=b c\nRUN x --mount=y\n");

	(void)state;
	assert_int_equal(file->instructions[0].n_flags, 0);
	assert_string_equal(file->instructions[0].args[1].text, "--from=b");
	assert_string_equal(file->instructions[1].args[0].text, "x --mount=y");
	dockerfile_free(file);
}

static void test_flags__booleans(void **state)
{
	struct dockerfile *file = parse("COPY --link --parents=False a b\nADD --link=TRUE a b\n");

	(void)state;
	assert_true(instruction_flag_bool(&file->instructions[0], "link"));
	assert_false(instruction_flag_bool(&file->instructions[0], "parents"));
	assert_true(instruction_flag_bool(&file->instructions[1], "link"));
	assert_false(instruction_flag_bool(&file->instructions[1], "unpack"));
	assert_null(instruction_flag(&file->instructions[1], "unpack"));
	dockerfile_free(file);
}

static void test_flags__repeat(void **state)
{
	struct dockerfile *file = parse("RUN --mount=target=/a --mount=target=/b x\n"
					"COPY --exclude=a --exclude=b c d\n");

	(void)state;
	assert_int_equal(file->instructions[0].n_flags, 2);
	assert_string_equal(file->instructions[0].flags[1].value, "target=/b");
	assert_int_equal(file->instructions[1].n_flags, 2);
	dockerfile_free(file);
}

static void test_flags__limit(void **state)
{
	cleanup_free char *text = xmalloc(12 * 1001 + 16);
	struct dockerfile *file;
	struct err err = ERR_INIT;
	size_t len = 5;

	(void)state;
	memcpy(text, "COPY ", 5);
	for (size_t i = 0; i < 1001; i++, len += 12)
		memcpy(text + len, "--exclude=a ", 12);
	memcpy(text + len, "b c", 3);
	assert_int_equal(dockerfile_parse("D", text, len + 3, &file, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

/* Options written "key=value|key", or "!" and the start of the error. */
static void check_options(const char *text, const char *want)
{
	struct arena *arena = arena_new();
	struct flag_option *options;
	struct err err = ERR_INIT;
	char got[256] = "";
	size_t n, len = 0;

	if (flag_options_parse(arena, text, &options, &n, &err) < 0) {
		snprintf(got, sizeof(got), "!%s", err.message);
		n = 0;
	}
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s%s%s", i ? "|" : "",
					options[i].key, options[i].has_value ? "=" : "",
					options[i].value);
	if (want[0] == '!' ? strncmp(got, want, strlen(want)) != 0 : strcmp(got, want) != 0)
		fail_msg("%s gave %s", text, got);
	arena_free(arena);
}

static void test_flags__options(void **state)
{
	(void)state;
	check_options("type=cache,target=/x", "type=cache|target=/x");
	check_options("Type=Cache,RO", "type=Cache|ro");
	check_options("a=b=c", "a=b=c");
	check_options("a=", "a=");
	check_options("\"source=a,b\",ro", "source=a,b|ro");
	check_options("\"a=\"\"q\"\"\"", "a=\"q\"");
	check_options("a, b=c", "a| b=c");
	check_options("a,", "a|");
	check_options(",", "|");
	check_options("", "!empty list");
	check_options("a=\"b\"", "!bare \"");
	check_options("\"a", "!missing \"");
	check_options("\"a\"b", "!text after the quoted field");
}

static void test_flags__durations(void **state)
{
	static const struct row {
		const char *text;
		int64_t want; /* INT64_MIN for an error */
	} rows[] = {
		{ "0", 0 },
		{ "+0", 0 },
		{ "5s", 5000000000 },
		{ "1h2m3s", 3723000000000 },
		{ "1.5h", 5400000000000 },
		{ "-1.5h", -5400000000000 },
		{ ".5s", 500000000 },
		{ "1.s", 1000000000 },
		{ "100ns", 100 },
		{ "1us", 1000 },
		{ "1\xc2\xb5s", 1000 },
		{ "1\xce\xbcs", 1000 },
		{ "10.25ms", 10250000 },
		{ "0.3333333333333333333h", 1200000000000 },
		{ "9223372036s", 9223372036000000000 },
		{ "9223372037s", INT64_MIN },
		{ "99999999999999999999s", INT64_MIN },
		{ "2562047h2562047h", INT64_MIN },
		{ "", INT64_MIN },
		{ "-", INT64_MIN },
		{ "3", INT64_MIN },
		{ "s", INT64_MIN },
		{ ".s", INT64_MIN },
		{ "1d", INT64_MIN },
		{ "1s ", INT64_MIN },
		{ "1.2.3s", INT64_MIN },
		{ "1S", INT64_MIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		int64_t got;

		if (duration_parse(rows[i].text, &got, &err) < 0)
			got = INT64_MIN;
		if (got != rows[i].want)
			fail_msg("%s gave %lld", rows[i].text, (long long)got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags__quotes_and_escapes),
		cmocka_unit_test(test_flags__only_before_arguments),
		cmocka_unit_test(test_flags__booleans),
		cmocka_unit_test(test_flags__repeat),
		cmocka_unit_test(test_flags__limit),
		cmocka_unit_test(test_flags__options),
		cmocka_unit_test(test_flags__durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
