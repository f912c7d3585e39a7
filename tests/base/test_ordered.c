/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "base/err.h"
#include "base/ordered.h"

#define N_JOBS 200

struct job {
	unsigned number;
	unsigned result;
};

struct outcome {
	unsigned n;
	unsigned fail_at; /* job at which delivery fails */
};

/* Early jobs take longer, so that they would be overtaken. */
static int square(void *arg, struct err *err)
{
	struct job *job = arg;
	struct timespec pause = { 0, (long)(job->number % 7 == 0) * 2000000 };

	nanosleep(&pause, NULL);
	if (job->number == 1000)
		return err_set(err, ERR_FAILED, "job 1000");
	job->result = job->number * job->number;
	return 0;
}

static int deliver(void *arg, void *job, struct err *err)
{
	struct outcome *outcome = arg;
	const struct job *done = job;

	if (done->number == outcome->fail_at)
		return err_set(err, ERR_LIMIT, "full");
	assert_int_equal(done->number, outcome->n);
	assert_int_equal(done->result, done->number * done->number);
	outcome->n++;
	return 0;
}

static void test_ordered__jobs_are_delivered_in_order(void **state)
{
	static const unsigned workers[] = { 1, 2, 5 };

	(void)state;
	for (size_t w = 0; w < 3; w++) {
		struct outcome outcome = { 0, N_JOBS };
		struct ordered *ordered = ordered_new(workers[w], square, deliver, &outcome);
		struct job jobs[N_JOBS];
		struct err err = ERR_INIT;

		for (unsigned i = 0; i < N_JOBS; i++) {
			jobs[i] = (struct job){ i, 0 };
			assert_int_equal(ordered_put(ordered, &jobs[i], &err), 0);
			assert_true(i + 1 - outcome.n <= ordered_depth(ordered));
		}
		assert_int_equal(ordered_drain(ordered, &err), 0);
		assert_int_equal(outcome.n, N_JOBS);
		ordered_free(ordered);
	}
}

static void test_ordered__failures_come_back(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers < 4; workers++) {
		struct outcome outcome = { 0, 1 };
		struct ordered *ordered = ordered_new(workers, square, deliver, &outcome);
		struct job good = { 0, 0 }, unwanted = { 1, 0 }, bad = { 1000, 0 };
		struct err err = ERR_INIT;

		if (ordered_put(ordered, &good, &err) == 0 &&
		    ordered_put(ordered, &unwanted, &err) == 0)
			assert_int_equal(ordered_drain(ordered, &err), -1);
		assert_int_equal(err.kind, ERR_LIMIT);
		ordered_free(ordered);

		ordered = ordered_new(workers, square, deliver, &outcome);
		if (ordered_put(ordered, &bad, &err) == 0)
			assert_int_equal(ordered_drain(ordered, &err), -1);
		assert_int_equal(err.kind, ERR_FAILED);
		ordered_free(ordered);
	}
}

static void test_ordered__what_is_under_way_may_be_dropped(void **state)
{
	struct outcome outcome = { 0, N_JOBS };
	struct ordered *ordered = ordered_new(3, square, deliver, &outcome);
	struct job jobs[4] = { { 0, 0 }, { 1, 0 }, { 2, 0 }, { 3, 0 } };
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ordered_put(ordered, &jobs[i], &err), 0);
	ordered_free(ordered);
	ordered_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordered__jobs_are_delivered_in_order),
		cmocka_unit_test(test_ordered__failures_come_back),
		cmocka_unit_test(test_ordered__what_is_under_way_may_be_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
