/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The texts of the kernel. What groups do is tested end to end: tests/e2e/limits.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/cgroup.h"
#include "sandbox/internal.h"

static void test_cgroup__mount_is_found(void **state)
{
	static const char unified[] = "24 1 0:22 / /proc rw - proc proc rw\n"
				      "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 "
				      "cgroup2 rw,nsdelegate\n";
	static const char hybrid[] =
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		"40 31 0:38 /docker/1 /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
	cleanup_free char *point = NULL, *root = NULL, *point2 = NULL, *root2 = NULL;

	(void)state;
	assert_true(cgroup_find_mount(unified, &point, &root));
	assert_string_equal(point, "/sys/fs/cgroup");
	assert_string_equal(root, "/");
	assert_true(cgroup_find_mount(hybrid, &point2, &root2));
	assert_string_equal(point2, "/sys/fs/cgroup/unified");
	assert_string_equal(root2, "/docker/1");
}

static void test_cgroup__without_a_mount(void **state)
{
	static const char *const texts[] = {
		"",
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
		"1 2 3",
		"\n\n - cgroup2 \n",
		"35 24 0:30 / /a\\040b rw - cgroup2 cgroup2 rw\n",
	};
	char *point, *root;

	(void)state;
	/* a line of nothing else has words that are empty */
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (i != 3)
			assert_false(cgroup_find_mount(texts[i], &point, &root));
	if (cgroup_find_mount(texts[3], &point, &root)) {
		free(point);
		free(root);
	}
}

static void test_cgroup__own_group(void **state)
{
	static const struct {
		const char *text, *root, *own;
	} cases[] = {
		{ "0::/user.slice/a.scope\n", "/", "/user.slice/a.scope" },
		{ "9:name=systemd:/\n1:cpu:/x\n0::/\n", "/", "/" },
		{ "0::/docker/1/x\n", "/docker/1", "/x" },
		{ "0::/docker/1\n", "/docker/1", "" },
		{ "0::/docker/12\n", "/docker/1", "/" },
		{ "0::/../other\n", "/", "/../other" },
		{ "1:cpu:/x\n", "/", NULL },
		{ "", "/", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *own = cgroup_find_own(cases[i].text, cases[i].root);

		if (cases[i].own)
			assert_string_equal(own, cases[i].own);
		else
			assert_null(own);
	}
}

static void test_cgroup__lists(void **state)
{
	static const char *const good[] = { "0", "0-3", "0,2", "0-1,7,9-12" };
	static const char *const bad[] = { "",	   "a",	    "0-",  "-1",  ",",	   "0,",
					   "0,,1", "0-1-2", "0 1", "0\n", "123456" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(cgroup_list_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(cgroup_list_valid(bad[i]));
}

static void test_cgroup__nothing_asked_for_never_fails(void **state)
{
	const struct cgroup_limits limits = { 0 };
	cleanup_with(cgroup_free) struct cgroup *cgroup = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(cgroup_open(NULL, &limits, &cgroup, &err), 0);
	assert_non_null(cgroup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroup__mount_is_found),
		cmocka_unit_test(test_cgroup__without_a_mount),
		cmocka_unit_test(test_cgroup__own_group),
		cmocka_unit_test(test_cgroup__lists),
		cmocka_unit_test(test_cgroup__nothing_asked_for_never_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
