/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "layers/image.h"

struct parse_case {
	const char *text;
	const char *result; /* NULL: an error */
};

static void test_platform__spellings_are_normalised(void **state)
{
	static const struct parse_case cases[] = {
		{ "linux/amd64", "linux/amd64" },
		{ "Linux/AMD64", "linux/amd64" },
		{ "linux/x86_64", "linux/amd64" },
		{ "linux/x86-64/v1", "linux/amd64" },
		{ "linux/amd64/v3", "linux/amd64/v3" },
		{ "linux/amd64/3", "linux/amd64/v3" },
		{ "linux/arm64", "linux/arm64" },
		{ "linux/aarch64", "linux/arm64" },
		{ "linux/arm64/v8", "linux/arm64" },
		{ "linux/arm64/8.0", "linux/arm64" },
		{ "linux/arm64/v9", "linux/arm64/v9" },
		{ "linux/arm", "linux/arm/v7" },
		{ "linux/arm/7", "linux/arm/v7" },
		{ "linux/arm/v6", "linux/arm/v6" },
		{ "linux/armhf", "linux/arm/v7" },
		{ "linux/armel", "linux/arm/v6" },
		{ "linux/i386", "linux/386" },
		{ "macos/arm64", "darwin/arm64" },
		{ "windows(10.0.17763)/amd64", "windows/amd64" },
		{ "arm64", "linux/arm64" },
		{ "aarch64", "linux/arm64" },
		{ "s390x", "linux/s390x" },
		{ "", NULL },
		{ "/", NULL },
		{ "linux/", NULL },
		{ "/amd64", NULL },
		{ "linux//v8", NULL },
		{ "linux/arm/v7/", NULL },
		{ "linux/arm/v7/x", NULL },
		{ "linux/am d64", NULL },
		{ "nonsense", NULL },
		{ "windows(10", NULL },
		{ "windows)10(", NULL },
		{ "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct platform platform;
		struct err err = ERR_INIT;
		char text[PLATFORM_TEXT_MAX];

		if (!cases[i].result) {
			assert_int_equal(platform_parse(cases[i].text, &platform, &err), -1);
			assert_int_equal(err.kind, ERR_INVALID);
			continue;
		}
		if (platform_parse(cases[i].text, &platform, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_string_equal(platform_format(&platform, text), cases[i].result);
	}
}

static void test_platform__os_version_is_kept(void **state)
{
	struct err err = ERR_INIT;
	struct platform platform;

	(void)state;
	assert_int_equal(platform_parse("windows(10.0.17763)/amd64", &platform, &err), 0);
	assert_string_equal(platform.os_version, "10.0.17763");
}

static unsigned match(const char *want_text, const char *have_arch, const char *have_variant)
{
	struct platform want, have = { .os = "linux" };
	struct err err = ERR_INIT;

	assert_int_equal(platform_parse(want_text, &want, &err), 0);
	snprintf(have.architecture, sizeof(have.architecture), "%s", have_arch);
	snprintf(have.variant, sizeof(have.variant), "%s", have_variant);
	return platform_match(&want, &have);
}

static void test_platform__lower_variants_serve_in_order(void **state)
{
	(void)state;
	assert_true(match("linux/arm/v7", "arm", "v7") > match("linux/arm/v7", "arm", "v6"));
	assert_true(match("linux/arm/v7", "arm", "v6") > match("linux/arm/v7", "arm", "v5"));
	assert_true(match("linux/arm/v7", "arm", "v5") > match("linux/arm/v7", "arm", ""));
	assert_true(match("linux/arm/v7", "arm", "") > 0);
	assert_int_equal(match("linux/arm/v6", "arm", "v7"), 0);
	assert_true(match("linux/amd64/v3", "amd64", "v2") > match("linux/amd64/v3", "amd64", ""));
	assert_int_equal(match("linux/amd64", "amd64", "v2"), 0);
	assert_int_equal(match("linux/arm64", "arm64", "v8"), match("linux/arm64", "aarch64", ""));
	assert_true(match("linux/arm64/v9.1", "arm64", "v9") > 0);
	assert_true(match("linux/arm64/v9", "arm64", "v8.5") > 0);
	assert_int_equal(match("linux/arm64/v9", "arm64", "v8.6"), 0);
	assert_int_equal(match("linux/arm64", "arm64", "v8.1"), 0);
}

static void test_platform__other_architectures_never_serve(void **state)
{
	struct platform want = { .os = "linux", .architecture = "amd64" };
	struct platform have = { .os = "windows", .architecture = "amd64" };

	(void)state;
	assert_int_equal(match("linux/amd64", "386", ""), 0);
	assert_int_equal(match("linux/arm64", "arm", "v7"), 0);
	assert_int_equal(platform_match(&want, &have), 0);
}

static void test_platform__host_serves_itself(void **state)
{
	struct platform host;

	(void)state;
	platform_host(&host);
	assert_string_equal(host.os, "linux");
	assert_true(platform_match(&host, &host) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_platform__spellings_are_normalised),
		cmocka_unit_test(test_platform__os_version_is_kept),
		cmocka_unit_test(test_platform__lower_variants_serve_in_order),
		cmocka_unit_test(test_platform__other_architectures_never_serve),
		cmocka_unit_test(test_platform__host_serves_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
