/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/remote.h"

static void test_remote_name__kinds_are_buildkits(void **state)
{
	static const struct {
		const char *text;
		enum remote_kind kind;
	} rows[] = {
		{ "http://a/b", REMOTE_HTTP },
		{ "HTTPS://a/b", REMOTE_HTTP },
		{ "https://a/b.git", REMOTE_GIT },
		{ "https://a/b.git#v1:sub", REMOTE_GIT },
		{ "https://a/b.git?tag=v1", REMOTE_GIT },
		{ "https://a/b.git/c", REMOTE_HTTP },
		{ "https://a/b?x=.git", REMOTE_HTTP },
		{ "git@a.example:b.git", REMOTE_GIT },
		{ "me@a.example:b", REMOTE_GIT },
		{ "ssh://git@a/b", REMOTE_GIT },
		{ "git://a/b", REMOTE_GIT },
		{ "@a:b", REMOTE_NONE },
		{ "-o@a:b", REMOTE_NONE },
		{ "a@-b:c", REMOTE_NONE },
		{ "a@b:", REMOTE_NONE },
		{ "file:///a.git", REMOTE_NONE },
		{ "ext::sh", REMOTE_NONE },
		{ "a/b.git", REMOTE_NONE },
		{ "github.com/a/b", REMOTE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(remote_kind(rows[i].text), rows[i].kind);
}

static void test_remote_name__a_file_is_called_by_the_last_component(void **state)
{
	static const char *const rows[][2] = {
		{ "http://a/b/c.txt", "c.txt" },
		{ "http://a/b/c.txt?d=/e#f", "c.txt" },
		{ "http://a/b/", "b" },
		{ "http://a/", "__unnamed__" },
		{ "http://a", "__unnamed__" },
		{ "http://a?b/c", "__unnamed__" },
		{ "http://a/..", "__unnamed__" },
		{ "http://a/%2e%2e", "__unnamed__" },
		{ "http://a/..%2f..%2fetc%2fpasswd", "passwd" },
		{ "http://a/b%20c", "b c" },
		{ "http://a/b%00c", "__unnamed__" },
		{ "http://a/b%zz%4", "b%zz%4" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *name = remote_file_name(rows[i][0]);

		assert_string_equal(name, rows[i][1]);
	}
}

static void test_remote_name__passwords_are_taken_out(void **state)
{
	static const char *const rows[][2] = {
		{ "https://u:p@a/b@c", "https://a/b@c" },
		{ "ADD https://u:p@x@a/b https://t@c/d /e", "ADD https://a/b https://c/d /e" },
		{ "https://a/b?mail=x@y", "https://a/b?mail=x@y" },
		{ "no://", "no://" },
		{ "plain@text", "plain@text" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *text = remote_redact(rows[i][0]);

		assert_string_equal(text, rows[i][1]);
	}
}

static const char *or_none(const char *text)
{
	return text ? text : "(none)";
}

static void test_remote_name__places_are_taken_apart(void **state)
{
	static const char *const rows[][5] = {
		/* text, url, ref, subdir, checksum */
		{ "https://a/b.git", "https://a/b.git", NULL, NULL, NULL },
		{ "https://a/b.git#v1", "https://a/b.git", "v1", NULL, NULL },
		{ "https://a/b.git#:c/d", "https://a/b.git", NULL, "c/d", NULL },
		{ "https://a/b.git#v1:", "https://a/b.git", "v1", NULL, NULL },
		{ "git@a:b.git#feature/x:c", "git@a:b.git", "feature/x", "c", NULL },
		{ "https://a/b.git?branch=m&subdir=c%2Fd", "https://a/b.git", "refs/heads/m", "c/d",
		  NULL },
		{ "https://a/b.git?commit=0123456#v", "https://a/b.git", "v", NULL, "0123456" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct git_place place;
		struct err err = ERR_INIT;

		assert_int_equal(git_place_parse(rows[i][0], &place, &err), 0);
		assert_string_equal(place.url, rows[i][1]);
		assert_string_equal(or_none(place.ref), or_none(rows[i][2]));
		assert_string_equal(or_none(place.subdir), or_none(rows[i][3]));
		assert_string_equal(or_none(place.checksum), or_none(rows[i][4]));
		git_place_release(&place);
	}
}

static void test_remote_name__what_git_could_misread_is_refused(void **state)
{
	static const char *const rows[] = {
		"https://a/b.git#-f",
		"https://a/b.git#--upload-pack=x",
		"https://a/b.git#a..b",
		"https://a/b.git#a^{tree}",
		"https://a/b.git#a~1",
		"https://a/b.git#@{-1}",
		"https://a/b.git#@",
		"https://a/b.git#*",
		"https://a/b.git#+refs/heads/*",
		"https://a/b.git#a b",
		"https://a/b.git#a\nb",
		"https://a/b.git#m:../x",
		"https://a/b.git#m:x/../../y",
		"https://a/b.git?upload-pack=x",
		"https://a/b.git?tag=-x&tag=a%00",
		"https://a/b.git?checksum=xyz",
		"https://a/b.git?keep-git-dir=maybe",
		"ssh://-oProxyCommand=x/y.git",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct git_place place;
		struct err err = ERR_INIT;

		if (git_place_parse(rows[i], &place, &err) == 0)
			fail_msg("accepted: %s", rows[i]);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remote_name__kinds_are_buildkits),
		cmocka_unit_test(test_remote_name__a_file_is_called_by_the_last_component),
		cmocka_unit_test(test_remote_name__passwords_are_taken_out),
		cmocka_unit_test(test_remote_name__places_are_taken_apart),
		cmocka_unit_test(test_remote_name__what_git_could_misread_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
