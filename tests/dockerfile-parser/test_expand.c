/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dockerfile-parser/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

static const struct variable {
	const char *name;
	const char *value;
} variables[] = {
	{ "v", "value" },	   { "empty", "" },	      { "img", "a/b/c" },
	{ "file", "x.tar.gz" },	   { "two", "a b" },	      { "quote", "it's" },
	{ "lines", "ab\ncd" },	   { "uni", "h\xc3\xa9llo" }, { "dollar", "$v" },
	{ "n\xc3\xa9", "accent" }, { "rep", "aaa" },	      { "star", "a*b" },
};

static const char *look_up(void *arg, const char *name, size_t name_len)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		if (strlen(variables[i].name) == name_len &&
		    memcmp(variables[i].name, name, name_len) == 0)
			return variables[i].value;
	return NULL;
}

/* A result that starts with "!" is the start of the error message. */
struct row {
	const char *word;
	const char *want;
};

static void check_row(const struct row *row, char escape, unsigned flags)
{
	cleanup_free char *got = NULL;
	struct err err = ERR_INIT;
	int result = expand_word(row->word, escape, flags, look_up, NULL, &got, &err);

	if (row->want[0] == '!') {
		if (result == 0)
			fail_msg("%s gave \"%s\", not an error", row->word, got);
		if (strncmp(err.message, row->want + 1, strlen(row->want + 1)) != 0)
			fail_msg("%s failed with \"%s\"", row->word, err.message);
		return;
	}
	if (result < 0)
		fail_msg("%s failed with \"%s\"", row->word, err.message);
	if (strcmp(got, row->want) != 0)
		fail_msg("%s gave \"%s\", not \"%s\"", row->word, got, row->want);
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i], '\\', 0);
}

static void test_expand__names(void **state)
{
	static const struct row rows[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "$v", "value" },
		{ "${v}", "value" },
		{ "a$v-b", "avalue-b" },
		{ "$v$v", "valuevalue" },
		{ "$unset", "" },
		{ "${unset}", "" },
		{ "$empty.", "." },
		{ "$", "$" },
		{ "a$", "a$" },
		{ "$ x", "$ x" },
		{ "$.", "$." },
		/* positional and special parameters are names, and unset */
		{ "$1x", "x" },
		{ "$12x", "x" },
		{ "$@|$*|$#|$?|$-|$$|$!|$0", "|||||||" },
		{ "$_x", "" },
		{ "$n\xc3\xa9", "accent" },
		{ "${n\xc3\xa9}", "accent" },
		{ "$v\xe2\x86\x92", "value\xe2\x86\x92" },
		/* a value is not expanded again */
		{ "$dollar", "$v" },
		{ "${unset:-$dollar}", "$v" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__defaults(void **state)
{
	static const struct row rows[] = {
		{ "${v:-w}", "value" },	      { "${empty:-w}", "w" },
		{ "${unset:-w}", "w" },	      { "${v-w}", "value" },
		{ "${empty-w}", "" },	      { "${unset-w}", "w" },
		{ "${v:+w}", "w" },	      { "${empty:+w}", "" },
		{ "${unset:+w}", "" },	      { "${v+w}", "w" },
		{ "${empty+w}", "w" },	      { "${unset+w}", "" },
		{ "${v:?w}", "value" },	      { "${empty?w}", "" },
		{ "${v?}", "value" },	      { "${unset:-}", "" },
		{ "${unset:-$v}", "value" },  { "${unset:-${empty:-${v}}}", "value" },
		{ "${unset:-a\\}b}", "a}b" }, { "${unset:-\"a}b\"}", "a}b" },
		{ "${unset:-'a}b'}", "a}b" }, { "${unset:-a b}", "a b" },
		{ "x${unset:-y}z", "xyz" },   { "${unset:-$two}", "a b" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__required(void **state)
{
	static const struct row rows[] = {
		{ "${unset:?say so}", "!unset: say so" },
		{ "${unset?say so}", "!unset: say so" },
		{ "${empty:?say so}", "!empty: say so" },
		{ "${unset:?}", "!unset: is not allowed to be unset" },
		{ "${empty:?}", "!empty: is not allowed to be empty" },
		{ "${unset:?$v}", "!unset: value" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__trimming(void **state)
{
	static const struct row rows[] = {
		/* "*" matches "/" too */
		{ "${img#*/}", "b/c" },
		{ "${img##*/}", "c" },
		{ "${img%/*}", "a/b" },
		{ "${img%%/*}", "a" },
		{ "${file%.*}", "x.tar" },
		{ "${file%%.*}", "x" },
		{ "${file#*.}", "tar.gz" },
		{ "${file##*.}", "gz" },
		{ "${v#val}", "ue" },
		{ "${v#xxx}", "value" },
		{ "${v%ue}", "val" },
		{ "${v#?}", "alue" },
		{ "${v%?}", "valu" },
		{ "${v##*}", "" },
		{ "${v#*}", "value" },
		{ "${v%%*}", "" },
		{ "${v%*}", "value" },
		{ "${uni#h?}", "llo" },
		{ "${uni%?llo}", "h" },
		{ "${v#[v]}", "value" },
		{ "${star#a\\*}", "b" },
		{ "${star%\\*b}", "a" },
		{ "${v#a\\*}", "value" },
		{ "${v#$empty}", "value" },
		{ "${img#${unset:-a/}}", "b/c" },
		{ "${unset#x}", "" },
		/* "*" and "?" do not cross a newline */
		{ "${lines##*d}", "ab\ncd" },
		{ "${lines##*b}", "\ncd" },
		{ "${v#a\\b}", "!invalid pattern" },
		{ "${v:#x}", "!unsupported modifier (:#)" },
		{ "${v:%x}", "!unsupported modifier (:%)" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__replacing(void **state)
{
	static const struct row rows[] = {
		{ "${v/a/b}", "vblue" },
		{ "${rep/a/b}", "baa" },
		{ "${rep//a/b}", "bbb" },
		{ "${img//\\//-}", "a-b-c" },
		{ "${img/\\//-}", "a-b/c" },
		{ "${v/a*u/-}", "v-e" },
		{ "${img/*b/x}", "x/c" },
		{ "${img//?/x}", "xxxxx" },
		{ "${v//x/y}", "value" },
		{ "${v/a/}", "vlue" },
		{ "${v/a/$two}", "va blue" },
		{ "${rep//a/$unset}", "" },
		{ "${uni/\xc3\xa9/e}", "hello" },
		{ "${v//*/x}", "x" },
		{ "${rep///-}", "-a-a-a-" },
		{ "${unset/a/b}", "" },
		/* only // takes the replacement for a template */
		{ "${v//a/'[$0]'}", "v[a]lue" },
		{ "${v//a/'[$1]'}", "v[]lue" },
		{ "${v//a/'[$$]'}", "v[$]lue" },
		{ "${v/a/'[$1]'}", "v[$1]lue" },
		{ "${v/a}", "!syntax error: missing '/' in ${}" },
		{ "${v/a/b", "!syntax error: missing '}'" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__quotes_and_escapes(void **state)
{
	static const struct row rows[] = {
		{ "'$v'", "$v" },
		{ "\"$v\"", "value" },
		{ "'a\\b'", "a\\b" },
		{ "\\$v", "$v" },
		{ "\"\\$v\"", "$v" },
		{ "\"a\\\"b\"", "a\"b" },
		{ "\"a\\\\b\"", "a\\b" },
		{ "\"a\\nb\"", "a\\nb" },
		{ "a\\nb", "anb" },
		{ "a\\\\b", "a\\b" },
		{ "\\'", "'" },
		{ "a\\", "a" },
		{ "\"it's\"", "it's" },
		{ "$quote", "it's" },
		{ "'a''b'\"c\"d", "abcd" },
		{ "\"a", "!unexpected end of statement while looking for matching double-quote" },
		{ "'a", "!unexpected end of statement while looking for matching single-quote" },
		{ "\"a\\", "!unexpected end of statement while looking for matching double-quote" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__bad_substitutions(void **state)
{
	static const struct row rows[] = {
		{ "${", "!syntax error: missing '}'" },
		{ "${v", "!syntax error: missing '}'" },
		{ "${v:", "!syntax error: missing '}'" },
		{ "${v:-w", "!syntax error: missing '}'" },
		{ "${}", "!syntax error: bad substitution" },
		{ "${{v}}", "!syntax error: bad substitution" },
		{ "${:x}", "!syntax error: bad substitution" },
		{ "${v,,}", "!unsupported modifier (,)" },
		{ "${v:0:1}", "!unsupported modifier (:0)" },
		{ "${v^}", "!unsupported modifier (^)" },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_expand__backtick_as_escape(void **state)
{
	static const struct row rows[] = {
		{ "`$v", "$v" },
		{ "C:\\dir", "C:\\dir" },
		{ "\"a`\"b\"", "a\"b" },
		{ "a``b", "a`b" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i], '`', 0);
}

/* What the builder does to the bodies of COPY <<EOF. */
static void test_expand__raw_quotes(void **state)
{
	static const struct row rows[] = {
		{ "it's '$v' \"$v\"\n", "it's 'value' \"value\"\n" },
		{ "\\$v\n", "$v\n" },
		{ "\\\n", "\n" },
		{ "\\\\\n", "\\\n" },
		{ "${unset:-'w'}", "'w'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i], '\\', EXPAND_RAW_QUOTES);
}

static void check_words(const char *word, const char *const *want, size_t n)
{
	struct err err = ERR_INIT;
	char **got;
	size_t n_got;

	assert_int_equal(expand_words(word, '\\', look_up, NULL, &got, &n_got, &err), 0);
	assert_int_equal(n_got, n);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(got[i], want[i]);
		free(got[i]);
	}
	assert_null(got[n]);
	free(got);
}

static void test_expand__splits_after_expansion(void **state)
{
	(void)state;
	check_words("$two c", (const char *[]){ "a", "b", "c" }, 3);
	check_words("\"$two\" c", (const char *[]){ "a b", "c" }, 2);
	check_words("a\\ b", (const char *[]){ "a b" }, 1);
	check_words("x$two", (const char *[]){ "xa", "b" }, 2);
	check_words("  ", NULL, 0);
	check_words("$empty", NULL, 0);
	check_words("'' a", (const char *[]){ "a" }, 1);
}

static const char *megabyte(void *arg, const char *name, size_t name_len)
{
	(void)name;
	(void)name_len;
	return arg;
}

static void test_expand__limits_results(void **state)
{
	static const char *const words[] = { "$a$a",	  "${a:-$a}$a", "\"$a$a\"", "${a//x/xx}",
					     "${a/x/$a}", "${a:+$a$a}", "x${a:+$a}" };
	cleanup_free char *value = xmalloc(DOCKERFILE_EXPANSION_MAX + 1);

	(void)state;
	memset(value, 'x', DOCKERFILE_EXPANSION_MAX);
	value[DOCKERFILE_EXPANSION_MAX] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct err err = ERR_INIT;
		char *got;

		assert_int_equal(expand_word(words[i], '\\', 0, megabyte, value, &got, &err), -1);
		assert_int_equal(err.kind, ERR_LIMIT);
	}
}

static void test_expand__limits_time_and_depth(void **state)
{
	cleanup_free char *value = xmalloc(DOCKERFILE_EXPANSION_MAX);
	cleanup_free char *deep = xmalloc(5 * 1000 + 1);
	struct err err = ERR_INIT;
	char *got;

	(void)state;
	memset(value, 'x', DOCKERFILE_EXPANSION_MAX - 1);
	value[DOCKERFILE_EXPANSION_MAX - 1] = '\0';
	assert_int_equal(expand_word("${a/x*y/}", '\\', 0, megabyte, value, &got, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	for (size_t i = 0; i < 1000; i++)
		memcpy(deep + 5 * i, "${a:-", 5);
	deep[5 * 1000] = '\0';
	assert_int_equal(expand_word(deep, '\\', 0, look_up, NULL, &got, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand__names),
		cmocka_unit_test(test_expand__defaults),
		cmocka_unit_test(test_expand__required),
		cmocka_unit_test(test_expand__trimming),
		cmocka_unit_test(test_expand__replacing),
		cmocka_unit_test(test_expand__quotes_and_escapes),
		cmocka_unit_test(test_expand__bad_substitutions),
		cmocka_unit_test(test_expand__backtick_as_escape),
		cmocka_unit_test(test_expand__raw_quotes),
		cmocka_unit_test(test_expand__splits_after_expansion),
		cmocka_unit_test(test_expand__limits_results),
		cmocka_unit_test(test_expand__limits_time_and_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
