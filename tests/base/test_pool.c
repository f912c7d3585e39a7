/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/ordered.h"
#include "base/pool.h"

static int square(void *arg, size_t i, struct err *err)
{
	(void)err;
	((size_t *)arg)[i] = i * i;
	return 0;
}

static void test_pool__results_go_by_index(void **state)
{
	size_t results[1000];
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned workers = 1; workers < 9; workers++) {
		memset(results, 0, sizeof(results));
		assert_int_equal(pool_each(workers, 1000, square, results, &err), 0);
		for (size_t i = 0; i < 1000; i++)
			assert_int_equal(results[i], i * i);
	}
	assert_int_equal(pool_each(4, 0, square, NULL, &err), 0);
}

static int fail_from(void *arg, size_t i, struct err *err)
{
	if (i >= *(size_t *)arg)
		return err_set(err, ERR_FAILED, "%zu", i);
	return 0;
}

static void test_pool__the_lowest_failure_is_told(void **state)
{
	struct err err = ERR_INIT;
	size_t from = 17;

	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pool_each(8, 100, fail_from, &from, &err), -1);
		assert_string_equal(err.message, "17");
	}
}

struct job {
	int number, result;
};

static int twice(void *job, struct err *err)
{
	(void)err;
	if (((struct job *)job)->number % 7 == 0)
		usleep(500);
	((struct job *)job)->result = ((struct job *)job)->number * 2;
	return 0;
}

static int check_order(void *arg, void *job, struct err *err)
{
	int *expected = arg;

	(void)err;
	assert_int_equal(((struct job *)job)->number, *expected);
	assert_int_equal(((struct job *)job)->result, *expected * 2);
	++*expected;
	return 0;
}

static void test_ordered__delivers_in_order(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers < 5; workers++) {
		struct job jobs[200];
		struct err err = ERR_INIT;
		int expected = 0;
		struct ordered *ordered = ordered_new(workers, twice, check_order, &expected);

		for (int i = 0; i < 200; i++) {
			jobs[i] = (struct job){ .number = i };
			assert_int_equal(ordered_put(ordered, &jobs[i], &err), 0);
		}
		assert_int_equal(ordered_drain(ordered, &err), 0);
		assert_int_equal(expected, 200);
		ordered_free(ordered);
	}
}

static int answer(void *arg, void *result, struct err *err)
{
	(void)err;
	*(int *)result = *(int *)arg + 1;
	return 0;
}

static int complain(void *arg, void *result, struct err *err)
{
	(void)arg;
	(void)result;
	return err_set(err, ERR_CORRUPT, "bad bytes");
}

static int die(void *arg, void *result, struct err *err)
{
	(void)arg;
	(void)result;
	(void)err;
	raise(SIGKILL);
	return 0;
}

static void test_child__gives_results_errors_and_deaths_back(void **state)
{
	struct err err = ERR_INIT;
	int in = 41, out = 0;

	(void)state;
	assert_int_equal(child_call(answer, &in, &out, sizeof(out), &err), 0);
	assert_int_equal(out, 42);
	assert_int_equal(child_call(complain, NULL, NULL, 0, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_string_equal(err.message, "bad bytes");
	assert_int_equal(child_call(die, NULL, NULL, 0, &err), -1);
	assert_int_equal(err.kind, ERR_FAILED);
	assert_non_null(strstr(err.message, "signal 9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool__results_go_by_index),
		cmocka_unit_test(test_pool__the_lowest_failure_is_told),
		cmocka_unit_test(test_ordered__delivers_in_order),
		cmocka_unit_test(test_child__gives_results_errors_and_deaths_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
