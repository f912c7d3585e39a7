/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Forms of words and what becomes of them: the rows of testdata/dockerfile-rows/expansion.txt. Here
 * is what a row cannot say: splitting, and the limits.
 */
#include "dockerfile-parser/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strv.h"

static const char *look_up(void *arg, const char *name, size_t name_len)
{
	cleanup_free char *text = xstrndup(name, name_len);

	return env_get(arg, text);
}

/* A result that starts with "!" is the start of the error message. */
static void check_row(struct strv *set, char escape, unsigned flags, const char *word,
		      const char *want)
{
	cleanup_free char *got = NULL;
	struct err err = ERR_INIT;
	int result = expand_word(word, escape, flags, look_up, set, &got, &err);

	if (want[0] == '!') {
		if (result == 0)
			fail_msg("%s gave \"%s\", not an error", word, got);
		if (strncmp(err.message, want + 1, strlen(want + 1)) != 0)
			fail_msg("%s failed with \"%s\"", word, err.message);
		return;
	}
	if (result < 0)
		fail_msg("%s failed with \"%s\"", word, err.message);
	if (strcmp(got, want) != 0)
		fail_msg("%s gave \"%s\", not \"%s\"", word, got, want);
}

/* A field of a row: what stands for a newline becomes one. */
static char *field(const char *text, size_t len)
{
	static const char mark[] = "\xe2\x8f\x8e";
	struct buf out;

	buf_init(&out, 1 << 16);
	for (size_t i = 0; i < len; i++) {
		bool newline = len - i >= 3 && memcmp(text + i, mark, 3) == 0;

		buf_addch(&out, newline ? '\n' : text[i]);
		i += newline ? 2 : 0;
	}
	return buf_steal(&out);
}

/* mark TAB word TAB result, or "set" TAB name TAB value. */
static void take_row(struct strv *set, const char *line)
{
	const char *word = strchr(line, '\t') + 1, *tab = strchr(word, '\t');
	cleanup_free char *one = field(word, (size_t)(tab - word));
	cleanup_free char *two = field(tab + 1, strcspn(tab + 1, "\n"));

	if (line[0] == 's')
		env_set(set, one, two);
	else
		check_row(set, line[0] == '`' ? '`' : '\\', line[0] == '<' ? EXPAND_RAW_QUOTES : 0,
			  one, two);
}

static void test_expand__rows(void **state)
{
	const char *root = getenv("srcdir");
	cleanup_free char *path =
		xasprintf("%s/testdata/dockerfile-rows/expansion.txt", root ? root : ".");
	FILE *stream = fopen(path, "re");
	cleanup_strv struct strv set = STRV_INIT;
	char *line = NULL;
	size_t cap = 0, n = 0;

	(void)state;
	assert_non_null(stream);
	while (getline(&line, &cap, stream) > 0) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		take_row(&set, line);
		n++;
	}
	free(line);
	fclose(stream);
	assert_true(n > 150);
}

static void check_words(const char *word, const char *const *want, size_t n)
{
	cleanup_strv struct strv set = STRV_INIT;
	struct err err = ERR_INIT;
	char **got;
	size_t n_got;

	strv_add(&set, "two=a b");
	strv_add(&set, "empty=");
	assert_int_equal(expand_words(word, '\\', look_up, &set, &got, &n_got, &err), 0);
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
	struct strv none = STRV_INIT;
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
	assert_int_equal(expand_word(deep, '\\', 0, look_up, &none, &got, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand__rows),
		cmocka_unit_test(test_expand__splits_after_expansion),
		cmocka_unit_test(test_expand__limits_results),
		cmocka_unit_test(test_expand__limits_time_and_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
