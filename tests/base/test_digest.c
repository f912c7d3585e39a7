/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/err.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_digest__of_known_bytes(void **state)
{
	char text[DIGEST_TEXT_MAX];
	struct digest digest;

	(void)state;
	digest_of("abc", 3, &digest);
	assert_string_equal(digest_format(&digest, text), "sha256:" ABC);
}

static void test_digest__parse_takes_only_the_canonical_form(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256:",
		ABC,
		"SHA256:" ABC,
		"sha256:" ABC "0",
		"sha256:BA" ABC,
		"sha256:../../../../etc/passwd",
		"md5:" ABC,
		"sha256: " ABC,
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
	};
	struct err err = ERR_INIT;
	struct digest digest;

	(void)state;
	assert_int_equal(digest_parse("sha256:" ABC, &digest, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(digest_parse(bad[i], &digest, &err), -1);
		assert_int_equal(err.kind, ERR_INVALID);
	}
	assert_int_equal(digest_parse("sha512:" ABC ABC, &digest, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
}

static void test_digest__a_hasher_may_be_copied(void **state)
{
	struct hasher one, other;
	struct digest a, b;

	(void)state;
	hasher_init(&one);
	hasher_add(&one, "a", 1);
	other = one;
	hasher_add(&one, "bc", 2);
	hasher_add(&other, "bc", 2);
	hasher_finish(&one, &a);
	hasher_finish(&other, &b);
	assert_true(digest_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest__of_known_bytes),
		cmocka_unit_test(test_digest__parse_takes_only_the_canonical_form),
		cmocka_unit_test(test_digest__a_hasher_may_be_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
