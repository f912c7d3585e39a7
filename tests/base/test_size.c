/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/size.h"

static void test_size__reads_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512b", 512 },
		{ "1k", 1024 },
		{ "64M", 64 << 20 },
		{ "64mb", 64 << 20 },
		{ "1GB", 1 << 30 },
		{ "1t", UINT64_C(1) << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t bytes = 1;

		assert_int_equal(size_parse(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
}

static void test_size__refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"m",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1mm",
		"1.5m",
		"1p",
		"0x10",
		"1bb",
		"18446744073709551616",
		"18446744073709551615k",
		"99999999t",
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(size_parse(bad[i], &bytes), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size__reads_units),
		cmocka_unit_test(test_size__refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
