/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "registry/reference.h"

#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UPPER "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"

static const struct {
	const char *text, *normal, *familiar;
} accepted[] = {
	{ "ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest" },
	{ "p1", "docker.io/library/p1:latest", "p1:latest" },
	{ "foo:5000/bar", "foo:5000/bar:latest", "foo:5000/bar:latest" },
	{ "host:5000", "docker.io/library/host:5000", "host:5000" },
	{ "localhost", "docker.io/library/localhost:latest", "localhost:latest" },
	{ "localhost:5000", "docker.io/library/localhost:5000", "localhost:5000" },
	{ "localhost/a", "localhost/a:latest", "localhost/a:latest" },
	{ "a.b", "docker.io/library/a.b:latest", "a.b:latest" },
	{ "a.b/c:d", "a.b/c:d", "a.b/c:d" },
	{ "user/img:latest", "docker.io/user/img:latest", "user/img:latest" },
	{ "docker.io/x", "docker.io/library/x:latest", "x:latest" },
	{ "docker.io/library/x", "docker.io/library/x:latest", "x:latest" },
	{ "index.docker.io/x/y", "docker.io/x/y:latest", "x/y:latest" },
	{ "registry-1.docker.io/x", "registry-1.docker.io/x:latest",
	  "registry-1.docker.io/x:latest" },
	{ "docker.io/library/x/y", "docker.io/library/x/y:latest", "library/x/y:latest" },
	{ "docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest" },
	{ "docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest" },
	{ "docker.io/library/" HEX, "docker.io/library/" HEX ":latest",
	  "docker.io/library/" HEX ":latest" },
	{ "Foo/bar", "Foo/bar:latest", "Foo/bar:latest" },
	{ "[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest" },
	{ "[::1]/a", "[::1]/a:latest", "[::1]/a:latest" },
	{ "foo:BAR@sha256:" HEX, "docker.io/library/foo:BAR@sha256:" HEX, "foo:BAR@sha256:" HEX },
	{ "foo@sha256:" HEX, "docker.io/library/foo@sha256:" HEX, "foo@sha256:" HEX },
	{ "a--b/c__d/e.f-g", "docker.io/a--b/c__d/e.f-g:latest", "a--b/c__d/e.f-g:latest" },
	{ "golang:1.23.0-alpine3.20", "docker.io/library/golang:1.23.0-alpine3.20",
	  "golang:1.23.0-alpine3.20" },
};

static const struct {
	const char *text, *message;
} refused[] = {
	{ HEX, "invalid repository name (" HEX "), cannot specify 64-byte hexadecimal strings" },
	{ "Foo", "invalid reference format: repository name (library/Foo) must be lowercase" },
	{ "foo/Bar", "invalid reference format: repository name (foo/Bar) must be lowercase" },
	{ "a/B:c", "invalid reference format: repository name (a/B) must be lowercase" },
	{ "foo@SHA256:" HEX,
	  "invalid reference format: repository name (library/foo@SHA256) must be lowercase" },
	{ "foo@sha256:" UPPER, "invalid checksum digest format" },
	{ "foo@sha256:0123456789abcdef0123456789abcdef", "invalid checksum digest length" },
	{ "foo@blake3:" HEX, "unsupported digest algorithm" },
	{ "foo@sha512:" HEX HEX, "sha512 digests are not supported" },
	{ "foo@sha256:../../etc/passwd", "invalid reference format" },
	{ "", "invalid reference format" },
	{ "a..b", "invalid reference format" },
	{ "a___b", "invalid reference format" },
	{ "-a", "invalid reference format" },
	{ "a-", "invalid reference format" },
	{ "a._b", "invalid reference format" },
	{ "foo:", "invalid reference format" },
	{ "foo@", "invalid reference format" },
	{ "foo:.x", "invalid reference format" },
	{ "x.y/", "invalid reference format" },
	{ "x.y//a", "invalid reference format" },
	{ "host:/a", "invalid reference format" },
	{ "http://x/a", "invalid reference format" },
	{ "::1/a", "invalid reference format" },
	{ "a b", "invalid reference format" },
	{ "a/b\n", "invalid reference format" },
	{ "host:5x/a", "invalid reference format" },
	{ "-h.x/a", "invalid reference format" },
};

static void test_reference__normalises(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		struct err err = ERR_INIT;
		struct reference reference;
		char text[REFERENCE_TEXT_MAX];

		if (reference_parse(accepted[i].text, &reference, &err) < 0)
			fail_msg("%s: %s", accepted[i].text, err.message);
		assert_string_equal(reference_format(&reference, text), accepted[i].normal);
		assert_string_equal(reference_familiar(&reference, text), accepted[i].familiar);
	}
}

static void test_reference__normal_form_is_a_fixed_point(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		struct err err = ERR_INIT;
		struct reference reference;
		char text[REFERENCE_TEXT_MAX];

		assert_int_equal(reference_parse(accepted[i].normal, &reference, &err), 0);
		assert_string_equal(reference_format(&reference, text), accepted[i].normal);
		assert_int_equal(reference_parse(accepted[i].familiar, &reference, &err), 0);
		assert_string_equal(reference_format(&reference, text), accepted[i].normal);
	}
}

static void test_reference__refuses_with_dockers_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct err err = ERR_INIT;
		struct reference reference;

		if (reference_parse(refused[i].text, &reference, &err) == 0)
			fail_msg("accepted: %s", refused[i].text);
		assert_string_equal(err.message, refused[i].message);
	}
}

static void test_reference__limits_hold(void **state)
{
	char text[6000];
	struct reference reference;
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[255] = '\0';
	memcpy(text, "x/", 2);
	assert_int_equal(reference_parse(text, &reference, &err), 0);
	text[255] = 'a';
	text[256] = '\0';
	assert_int_equal(reference_parse(text, &reference, &err), -1);
	assert_string_equal(err.message, "repository name must not be more than 255 characters");
	text[256] = 'a';
	text[5999] = '\0';
	assert_int_equal(reference_parse(text, &reference, &err), -1);
	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[2 + 128] = '\0';
	assert_int_equal(reference_parse(text, &reference, &err), 0);
	text[2 + 128] = 'a';
	text[2 + 129] = '\0';
	assert_int_equal(reference_parse(text, &reference, &err), -1);
	memset(text, 'a', sizeof(text));
	memcpy(text + 300, ".b/c", 5);
	assert_int_equal(reference_parse(text, &reference, &err), -1);
}

static void test_reference__repository_leaves_the_version_out(void **state)
{
	struct reference reference;
	struct err err = ERR_INIT;
	char text[REFERENCE_TEXT_MAX];

	(void)state;
	assert_int_equal(reference_parse("ubuntu:20.04", &reference, &err), 0);
	assert_string_equal(reference_repository(&reference, false, text),
			    "docker.io/library/ubuntu");
	assert_string_equal(reference_repository(&reference, true, text), "ubuntu");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference__normalises),
		cmocka_unit_test(test_reference__normal_form_is_a_fixed_point),
		cmocka_unit_test(test_reference__refuses_with_dockers_words),
		cmocka_unit_test(test_reference__limits_hold),
		cmocka_unit_test(test_reference__repository_leaves_the_version_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
