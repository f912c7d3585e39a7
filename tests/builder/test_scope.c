/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/internal.h"

static void test_scope__lookup_takes_whole_names(void **state)
{
	cleanup_strv struct strv env = STRV_INIT;

	(void)state;
	strv_add(&env, "AB=1");
	strv_add(&env, "A=2=3");
	strv_add(&env, "E=");
	assert_string_equal(scope_lookup(&env, "A", 1), "2=3");
	assert_string_equal(scope_lookup(&env, "ABC", 2), "1");
	assert_string_equal(scope_lookup(&env, "E", 1), "");
	assert_null(scope_lookup(&env, "B", 1));
	assert_null(scope_lookup(&env, "ABC", 3));
}

static void test_scope__platform_args(void **state)
{
	const struct platform target = { .os = "linux", .architecture = "arm", .variant = "v7" };
	const struct platform build = { .os = "linux", .architecture = "amd64" };
	cleanup_strv struct strv args = STRV_INIT;

	(void)state;
	scope_add_platforms(&args, &target, &build, NULL);
	assert_string_equal(env_get(&args, "TARGETPLATFORM"), "linux/arm/v7");
	assert_string_equal(env_get(&args, "TARGETOS"), "linux");
	assert_string_equal(env_get(&args, "TARGETARCH"), "arm");
	assert_string_equal(env_get(&args, "TARGETVARIANT"), "v7");
	assert_string_equal(env_get(&args, "BUILDPLATFORM"), "linux/amd64");
	assert_string_equal(env_get(&args, "BUILDARCH"), "amd64");
	assert_string_equal(env_get(&args, "BUILDVARIANT"), "");
	assert_string_equal(env_get(&args, "TARGETSTAGE"), "default");
	assert_int_equal(args.n, 11);
}

static void test_scope__proxies_in_either_case(void **state)
{
	(void)state;
	assert_true(scope_is_proxy("HTTP_PROXY"));
	assert_true(scope_is_proxy("no_proxy"));
	assert_true(scope_is_proxy("all_proxy"));
	assert_false(scope_is_proxy("Http_Proxy"));
	assert_false(scope_is_proxy("HTTP_PROXY_X"));
}

static void test_scope__errors_point_at_the_word(void **state)
{
	static const char text[] = "FROM a\nUSER x${b\n";
	cleanup_strv struct strv env = STRV_INIT;
	struct dockerfile *dockerfile;
	struct err err = ERR_INIT;
	char *out = NULL;

	(void)state;
	assert_int_equal(dockerfile_parse("Dockerfile", text, sizeof(text) - 1, &dockerfile, &err),
			 0);
	assert_int_equal(
		scope_expand(dockerfile, &env, &dockerfile->instructions[1].args[0], &out, &err),
		-1);
	assert_null(out);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, "Dockerfile:2:6: "));
	dockerfile_free(dockerfile);
}

static void test_scope__escape_is_the_files(void **state)
{
	static const char text[] = "# escape=`\nFROM a\nUSER `$A-$A\n";
	cleanup_strv struct strv env = STRV_INIT;
	cleanup_free char *out = NULL;
	struct dockerfile *dockerfile;
	struct err err = ERR_INIT;

	(void)state;
	strv_add(&env, "A=1");
	assert_int_equal(dockerfile_parse("Dockerfile", text, sizeof(text) - 1, &dockerfile, &err),
			 0);
	assert_int_equal(
		scope_expand(dockerfile, &env, &dockerfile->instructions[1].args[0], &out, &err),
		0);
	assert_string_equal(out, "$A-1");
	dockerfile_free(dockerfile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scope__lookup_takes_whole_names),
		cmocka_unit_test(test_scope__platform_args),
		cmocka_unit_test(test_scope__proxies_in_either_case),
		cmocka_unit_test(test_scope__errors_point_at_the_word),
		cmocka_unit_test(test_scope__escape_is_the_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
