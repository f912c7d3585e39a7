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

static char bytes[] = "value \n";

/* One secret, whose value is "value" and blanks. */
static int ask(char *id, const char *url, bool git, char **ret_value, struct err *err)
{
	const struct build_secret secret = { .id = id, .data = bytes, .len = strlen(bytes) };
	const struct build_options options = { .secrets = &secret, .n_secrets = 1 };

	return remote_authorization(&options, url, git, ret_value, err);
}

static void test_remote_auth__ids(void **state)
{
	static const struct {
		const char *id, *url;
		bool git;
		const char *value; /* NULL: the secret is for somebody else */
	} rows[] = {
		{ "HTTP_AUTH_TOKEN_a.b", "https://a.b/x", false, "Bearer value" },
		{ "HTTP_AUTH_HEADER_a.b", "https://A.B?x", false, "value" },
		{ "HTTP_AUTH_HEADER_a.b:81", "http://a.b:81", false, "value" },
		{ "HTTP_AUTH_HEADER_a.b", "http://a.b:81/", false, "value" },
		{ "HTTP_AUTH_HEADER_a.b:80", "http://a.b:81/", false, NULL },
		{ "HTTP_AUTH_HEADER_a.b", "https://c@a.b/x", false, "value" },
		{ "HTTP_AUTH_HEADER_a.b", "https://b/@a.b/x", false, NULL },
		{ "HTTP_AUTH_HEADER_a.b", "https://x.a.b/", false, NULL },
		{ "HTTP_AUTH_HEADER", "https://a.b/", false, NULL },
		{ "HTTP_AUTH_TOKEN_a.b", "https://a.b/x.git", true, NULL },
		{ "GIT_AUTH_HEADER.a.b", "https://a.b/x.git", true, "value" },
		{ "GIT_AUTH_HEADER", "https://a.b/x.git", true, "value" },
		{ "GIT_AUTH_HEADER.c", "https://a.b/x.git", true, NULL },
		{ "GIT_AUTH_TOKEN", "https://a.b/x.git", true,
		  "Basic eC1hY2Nlc3MtdG9rZW46dmFsdWU=" },
		{ "GIT_AUTH_TOKEN", "ssh://git@a.b/x.git", true, NULL },
		{ "GIT_AUTH_TOKEN", "git@a.b:x.git", true, NULL },
		{ "GIT_AUTH_TOKEN", "https://a.b/x", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *id = xstrdup(rows[i].id);
		cleanup_with(remote_forget) char *value = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(ask(id, rows[i].url, rows[i].git, &value, &err), 0);
		if (!value != !rows[i].value || (value && strcmp(value, rows[i].value) != 0))
			fail_msg("%s for %s gives %s", id, rows[i].url, value ? value : "none");
	}
}

/* A header cannot be smuggled in. */
static void test_remote_auth__control_characters(void **state)
{
	struct build_secret secret = { .data = bytes };
	const struct build_options options = { .secrets = &secret, .n_secrets = 1 };
	static const char *const values[] = { "a\r\nX: y", "a\tb", "a\x7f" };
	char id[] = "GIT_AUTH_TOKEN";

	(void)state;
	secret.id = id;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		cleanup_free char *data = xstrdup(values[i]);
		struct err err = ERR_INIT;
		char *value;

		secret.data = data;
		secret.len = strlen(data);
		assert_int_equal(
			remote_authorization(&options, "https://a/b.git", true, &value, &err), -1);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_null(strstr(err.message, "X: y"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remote_auth__ids),
		cmocka_unit_test(test_remote_auth__control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
