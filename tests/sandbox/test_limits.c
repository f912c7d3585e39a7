/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

static void test_limits__parses(void **state)
{
	static const struct {
		const char *text;
		int resource;
		uint64_t soft, hard;
	} good[] = {
		{ "nofile=1024:2048", RLIMIT_NOFILE, 1024, 2048 },
		{ "core=0", RLIMIT_CORE, 0, 0 },
		{ "memlock=-1:-1", RLIMIT_MEMLOCK, UINT64_MAX, UINT64_MAX },
		{ "stack=8388608:-1", RLIMIT_STACK, 8388608, UINT64_MAX },
		{ "cpu=18446744073709551614", RLIMIT_CPU, UINT64_MAX - 1, UINT64_MAX - 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct sandbox_limit limit;
		struct err err = ERR_INIT;

		assert_int_equal(sandbox_limit_parse(good[i].text, &limit, &err), 0);
		assert_int_equal(limit.resource, good[i].resource);
		assert_true(limit.soft == good[i].soft && limit.hard == good[i].hard);
		assert_memory_equal(limit.name, good[i].text, strlen(limit.name));
	}
}

static void test_limits__refuses(void **state)
{
	static const char *const bad[] = {
		"",	      "nofile",	     "nofile=",	  "=1",
		"files=1",    "NOFILE=1",    "nofile=1:", "nofile=:1",
		"nofile=2:1", "nofile=-1:5", "nofile=-2", "nofile=1:2:3",
		"nofile=1k",  "nofile= 1",   "nofile=1 ", "nofile=99999999999999999999",
		"nofile=+1",  "nofilex=1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sandbox_limit limit;
		struct err err = ERR_INIT;

		assert_int_equal(sandbox_limit_parse(bad[i], &limit, &err), -1);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits__parses),
		cmocka_unit_test(test_limits__refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
