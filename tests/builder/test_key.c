/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Golden keys: testdata/keys/<case>.txt holds the parts and the key they must give, for ever: a
 * key that changes makes every cache worthless. Lines: "kind K", "text NAME VALUE", "list NAME"
 * followed by "- VALUE" lines, and at the end "key HEX".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "builder/internal.h"

static const char *const golden[] = { "base", "copy", "empty-list", "run", "workdir" };

struct reading {
	struct key key;
	struct strv list;
	char list_name[64];
	bool in_list;
};

static void end_list(struct reading *reading)
{
	if (reading->in_list)
		key_add_strv(&reading->key, reading->list_name, &reading->list);
	strv_release(&reading->list);
	reading->in_list = false;
}

/* True when the line was the last one; then *ret_hex is the key it names. */
static bool read_line(struct reading *reading, char *line, const char **ret_hex)
{
	char *value = strchr(line, ' ');

	if (value)
		*value++ = '\0';
	if (!strcmp(line, "-")) {
		assert_true(reading->in_list);
		strv_add(&reading->list, value ? value : "");
		return false;
	}
	end_list(reading);
	assert_non_null(value);
	*ret_hex = value;
	if (!strcmp(line, "key"))
		return true;
	if (!strcmp(line, "kind")) {
		key_init(&reading->key, value);
	} else if (!strcmp(line, "list")) {
		snprintf(reading->list_name, sizeof(reading->list_name), "%s", value);
		reading->in_list = true;
	} else {
		char *text = strchr(value, ' ');

		assert_string_equal(line, "text");
		if (text)
			*text++ = '\0';
		key_add(&reading->key, value, text ? text : "");
	}
	return false;
}

static void check_golden(const char *name)
{
	const char *srcdir = getenv("srcdir");
	cleanup_free char *path = xasprintf("%s/testdata/keys/%s.txt", srcdir ? srcdir : ".", name);
	FILE *file = fopen(path, "re");
	struct reading reading = { .in_list = false };
	char line[512], hex[DIGEST_HEX_MAX];
	const char *want = NULL;
	struct digest digest;
	bool done = false;

	if (!file)
		fail_msg("%s is missing", path);
	while (!done && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		done = read_line(&reading, line, &want);
	}
	fclose(file);
	assert_true(done);
	key_finish(&reading.key, &digest);
	if (strcmp(digest_hex(&digest, hex), want))
		fail_msg("%s: the key is %s", path, hex);
	key_release(&reading.key);
}

static void test_key__golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(golden); i++)
		check_golden(golden[i]);
}

/* The key of "kind;name=value;..." where "name*" takes a list separated by commas. */
static struct digest key_of(const char *text)
{
	cleanup_free char *copy = xstrdup(text);
	char *rest = copy, *item = strsep(&rest, ";");
	struct digest digest;
	cleanup_key struct key key;

	key_init(&key, item);
	while ((item = strsep(&rest, ";"))) {
		char *value = strchr(item, '=');
		cleanup_strv struct strv list = STRV_INIT;

		*value++ = '\0';
		if (value[-2] != '*') {
			key_add(&key, item, value);
			continue;
		}
		value[-2] = '\0';
		while (*value) {
			size_t len = strcspn(value, ",");

			strv_addn(&list, value, len);
			value += len + (value[len] == ',');
		}
		key_add_strv(&key, item, &list);
	}
	key_finish(&key, &digest);
	return digest;
}

static void test_key__what_differs_has_another_key(void **state)
{
	static const char *const texts[] = {
		"k",	       "k;a=",	       "k;a=b",	      "k;b=a",
		"k2;a=b",      "k;a=b;c=d",    "k;c=d;a=b",   "k;a=bc;d=",
		"k;a=b;cd=",   "k;a*=",	       "k;a*=b",      "k;a*=b,c",
		"k;a*=c,b",    "k;a*=bc",      "k;a*=b;a*=c", "k;a*=b,c;d*=",
		"k;a*=b;d*=c", "k;a*=;d*=b,c", "k;a=b;a=c",   "k;a#=1;a=b;x=",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
			struct digest a = key_of(texts[i]), b = key_of(texts[k]);

			if (digest_equal(&a, &b) != (i == k))
				fail_msg("\"%s\" and \"%s\"", texts[i], texts[k]);
		}
	}
}

static void test_key__parts_are_kept_for_explaining(void **state)
{
	char big[5000];
	cleanup_key struct key key;
	const char *name, *value;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	key_init(&key, "run");
	key_add(&key, "user", "me");
	key_add(&key, "script", big);
	key_add(&key, "bytes", "\xff\xfe");
	assert_int_equal(json_array_size(key.parts), 4);
	assert_int_equal(json_unpack(json_array_get(key.parts, 1), "[s, s]", &name, &value), 0);
	assert_string_equal(name, "user");
	assert_string_equal(value, "me");
	for (size_t i = 2; i < 4; i++) { /* too long, or no text: as digests */
		assert_int_equal(json_unpack(json_array_get(key.parts, i), "[s, s]", &name, &value),
				 0);
		assert_int_equal(strncmp(value, "sha256:", 7), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key__golden),
		cmocka_unit_test(test_key__what_differs_has_another_key),
		cmocka_unit_test(test_key__parts_are_kept_for_explaining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
