/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void test_buf__grows_and_ends_with_nul(void **state)
{
	cleanup_buf struct buf buf;

	(void)state;
	buf_init(&buf, 1 << 20);
	assert_string_equal(buf.data, "");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&buf, "%d,", i), 0);
	assert_int_equal(buf.len, 3890);
	assert_int_equal(buf.data[buf.len], 0);
}

static void test_buf__refuses_past_its_limit_and_stays_refusing(void **state)
{
	cleanup_buf struct buf buf;

	(void)state;
	buf_init(&buf, 4);
	assert_int_equal(buf_addstr(&buf, "abcd"), 0);
	assert_int_equal(buf_addch(&buf, 'e'), -1);
	assert_true(buf.overflow);
	assert_int_equal(buf_add(&buf, "", 0), -1);
	assert_string_equal(buf.data, "abcd");
	buf_clear(&buf);
	assert_int_equal(buf_addch(&buf, 'x'), 0);
}

static void test_buf__steal_leaves_an_empty_one(void **state)
{
	cleanup_buf struct buf buf;
	cleanup_free char *text = NULL;

	(void)state;
	buf_init(&buf, 100);
	buf_addstr(&buf, "hello");
	text = buf_steal(&buf);
	assert_string_equal(text, "hello");
	assert_string_equal(buf.data, "");
	assert_int_equal(buf_addstr(&buf, "again"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf__grows_and_ends_with_nul),
		cmocka_unit_test(test_buf__refuses_past_its_limit_and_stays_refusing),
		cmocka_unit_test(test_buf__steal_leaves_an_empty_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
