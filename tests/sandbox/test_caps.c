/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/err.h"
#include "sandbox/internal.h"
#include "sandbox/userns.h"

struct seen {
	uint64_t effective;
	uint64_t bounding;
	int ambient;
};

static int limit_in_child(void *arg, void *result, struct err *err)
{
	struct seen *seen = result;

	if (userns_enter(err) < 0)
		return -1;
	if (caps_limit(*(const uint64_t *)arg) < 0)
		return err_os(err, "caps_limit");
	seen->effective = caps_effective();
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1)
			seen->bounding |= UINT64_C(1) << cap;
	seen->ambient = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0);
	return 0;
}

static void expect_limit(uint64_t keep)
{
	struct err err = ERR_INIT;
	struct seen seen;

	if (child_call(limit_in_child, &keep, &seen, sizeof(seen), &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(seen.effective, keep);
	assert_int_equal(seen.bounding, keep);
	assert_int_equal(seen.ambient, 0);
}

static void test_caps__limit_leaves_what_is_kept(void **state)
{
	(void)state;
	expect_limit(CAPS_DEFAULT);
	expect_limit(0);
	expect_limit(1);
}

static int limit_twice(void *arg, void *result, struct err *err)
{
	(void)arg;
	(void)result;
	/* asking for more than is held is no error: root may lack some */
	if (userns_enter(err) < 0)
		return -1;
	if (caps_limit(CAPS_DEFAULT & ~UINT64_C(1)) < 0 || caps_limit(CAPS_DEFAULT) < 0)
		return err_os(err, "caps_limit");
	if (caps_effective() != (CAPS_DEFAULT & ~UINT64_C(1)))
		return err_set(err, ERR_FAILED, "effective set is wrong");
	return 0;
}

static void test_caps__limit_accepts_missing_capabilities(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (child_call(limit_twice, NULL, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caps__limit_leaves_what_is_kept),
		cmocka_unit_test(test_caps__limit_accepts_missing_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
