/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/pool.h"

#define SOON_NS UINT64_C(2000000000) /* much less than any wait below, on any machine */

static void ask_later(void *cancel)
{
	usleep(20000);
	cancel_ask(cancel);
}

static struct cancel *make(void)
{
	struct err err = ERR_INIT;
	struct cancel *cancel;

	assert_int_equal(cancel_new(&cancel, &err), 0);
	return cancel;
}

static void test_cancel__is_seen_by_who_looks(void **state)
{
	cleanup_with(cancel_free) struct cancel *cancel = make();
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(cancel_check(NULL, &err), 0);
	assert_int_equal(cancel_check(cancel, &err), 0);
	cancel_ask(cancel);
	cancel_ask(cancel);
	assert_int_equal(cancel_check(cancel, &err), -1);
	assert_int_equal(err.kind, ERR_CANCELLED);
}

static void test_cancel__wakes_who_waits(void **state)
{
	cleanup_with(cancel_free) struct cancel *cancel = make();
	struct pool *pool = pool_open(1, ask_later, cancel);
	uint64_t began = clock_monotonic_ns();
	struct err err = ERR_INIT;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(cancel_await(cancel, ends[0], &err), -1);
	assert_int_equal(err.kind, ERR_CANCELLED);
	assert_int_equal(cancel_pause(cancel, 60000, &err), -1);
	assert_true(clock_monotonic_ns() - began < SOON_NS);
	pool_close(pool);
	assert_int_equal(cancel_pause(NULL, 1, &err), 0);
	close(ends[1]);
	assert_int_equal(cancel_await(NULL, ends[0], &err), 0);
	close(ends[0]);
}

static int sleep_long(void *arg, void *result, struct err *err)
{
	(void)result;
	(void)err;
	(void)arg;
	pause();
	return 0;
}

static void test_cancel__ends_a_child(void **state)
{
	cleanup_with(cancel_free) struct cancel *cancel = make();
	struct pool *pool = pool_open(1, ask_later, cancel);
	struct err err = ERR_INIT;
	unsigned char none;

	(void)state;
	assert_int_equal(child_call_heeding(sleep_long, NULL, cancel, &none, 0, &err), -1);
	assert_int_equal(err.kind, ERR_CANCELLED);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	pool_close(pool);
}

static void test_cancel__ends_a_copy(void **state)
{
	cleanup_with(cancel_free) struct cancel *cancel = make();
	cleanup_fd int from = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	cleanup_fd int to = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct pool *pool = pool_open(1, ask_later, cancel);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(file_copy(from, to, UINT64_MAX / 2, cancel, &err), -1);
	assert_int_equal(err.kind, ERR_CANCELLED);
	pool_close(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancel__is_seen_by_who_looks),
		cmocka_unit_test(test_cancel__wakes_who_waits),
		cmocka_unit_test(test_cancel__ends_a_child),
		cmocka_unit_test(test_cancel__ends_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
