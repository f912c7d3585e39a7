/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/strv.h"

static void test_strv__keeps_order_and_ends_with_null(void **state)
{
	cleanup_strv struct strv strv = STRV_INIT;

	(void)state;
	assert_null(strv_argv(&strv)[0]);
	for (int i = 0; i < 100; i++)
		strv_addf(&strv, "%d", i);
	strv_remove(&strv, 50);
	assert_int_equal(strv.n, 99);
	assert_string_equal(strv.v[49], "49");
	assert_string_equal(strv.v[50], "51");
	assert_null(strv.v[99]);
}

static void test_strv__env_set_replaces_in_place(void **state)
{
	cleanup_strv struct strv env = STRV_INIT;

	(void)state;
	strv_add(&env, "AB=1");
	strv_add(&env, "A=2");
	env_set(&env, "A", "3");
	env_set(&env, "C", "");
	assert_int_equal(env.n, 3);
	assert_string_equal(env.v[1], "A=3");
	assert_string_equal(env_get(&env, "AB"), "1");
	assert_string_equal(env_get(&env, "C"), "");
	assert_null(env_get(&env, "B"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strv__keeps_order_and_ends_with_null),
		cmocka_unit_test(test_strv__env_set_replaces_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
