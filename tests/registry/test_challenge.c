/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "registry/challenge.h"

static void test_challenge__reads_what_registries_send(void **state)
{
	cleanup_challenges struct challenges list = { 0 };
	const struct challenge *bearer;

	(void)state;
	challenges_parse("Bearer realm=\"https://auth.x/token\",service=\"tokreg\","
			 "scope=\"repository:x/y:pull,push repository:p/q:pull\","
			 "error=\"invalid_token\"",
			 &list);
	assert_int_equal(list.n, 1);
	bearer = challenges_find(&list, "bearer");
	assert_non_null(bearer);
	assert_string_equal(bearer->realm, "https://auth.x/token");
	assert_string_equal(bearer->service, "tokreg");
	assert_string_equal(bearer->scope, "repository:x/y:pull,push repository:p/q:pull");
	assert_string_equal(bearer->error, "invalid_token");
}

static void test_challenge__several_in_one_header(void **state)
{
	cleanup_challenges struct challenges list = { 0 };

	(void)state;
	challenges_parse("Negotiate, Basic realm=\"a, b\" , Digest abc123==, "
			 "BEARER Realm = \"x\\\"y\" ,SERVICE=z",
			 &list);
	assert_int_equal(list.n, 4);
	assert_string_equal(list.items[0].scheme, "negotiate");
	assert_string_equal(list.items[1].scheme, "basic");
	assert_string_equal(list.items[1].realm, "a, b");
	assert_string_equal(list.items[2].scheme, "digest");
	assert_string_equal(list.items[3].realm, "x\"y");
	assert_string_equal(list.items[3].service, "z");
}

static void test_challenge__several_headers_add_up(void **state)
{
	cleanup_challenges struct challenges list = { 0 };

	(void)state;
	challenges_parse("Basic realm=one", &list);
	challenges_parse("Bearer realm=two", &list);
	assert_int_equal(list.n, 2);
	assert_string_equal(challenges_find(&list, "bearer")->realm, "two");
}

static void test_challenge__first_of_a_repeated_parameter_counts(void **state)
{
	cleanup_challenges struct challenges list = { 0 };

	(void)state;
	challenges_parse("Bearer realm=one, realm=two", &list);
	assert_string_equal(list.items[0].realm, "one");
}

static void test_challenge__nonsense_is_harmless(void **state)
{
	static const char *const headers[] = {
		"",
		",",
		" , ,",
		"\"",
		"Bearer realm=\"unterminated",
		"Bearer realm=",
		"=",
		"a=b",
		"Bearer realm=\"x\\",
		"Bearer ,,,",
		"Bearer realm",
		"\x01\x02",
		"a b c d e",
		"Basic abc=def=ghi",
		"Bearer \"x\"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		cleanup_challenges struct challenges list = { 0 };

		challenges_parse(headers[i], &list);
		assert_true(list.n <= CHALLENGES_MAX);
	}
}

static void test_challenge__number_is_limited(void **state)
{
	cleanup_challenges struct challenges list = { 0 };
	char header[1001];

	(void)state;
	for (size_t i = 0; i < 1000; i += 2)
		memcpy(header + i, "a,", 2);
	header[1000] = '\0';
	challenges_parse(header, &list);
	assert_int_equal(list.n, CHALLENGES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenge__reads_what_registries_send),
		cmocka_unit_test(test_challenge__several_in_one_header),
		cmocka_unit_test(test_challenge__several_headers_add_up),
		cmocka_unit_test(test_challenge__first_of_a_repeated_parameter_counts),
		cmocka_unit_test(test_challenge__nonsense_is_harmless),
		cmocka_unit_test(test_challenge__number_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
