/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/userns.h"

static void test_userns__subid_by_name_and_by_number(void **state)
{
	struct subid subid;

	(void)state;
	subid_parse("root:1:2\nme:100000:65536\nother:5:6\n1000:300000:1000\nme:400000:1", "me",
		    1000, &subid);
	assert_int_equal(subid.n, 3);
	assert_int_equal(subid.ranges[0].start, 100000);
	assert_int_equal(subid.ranges[0].count, 65536);
	assert_int_equal(subid.ranges[1].start, 300000);
	assert_int_equal(subid.ranges[2].count, 1);
	assert_int_equal(subid.total, 65536 + 1000 + 1);
	subid_parse("me:100000:65536\n", NULL, 1000, &subid);
	assert_int_equal(subid.n, 0);
	subid_parse("me2:1:1\nm:1:1\n10000:1:1\n100:1:1\n", "me", 1000, &subid);
	assert_int_equal(subid.n, 0);
}

static void test_userns__subid_passes_over_nonsense(void **state)
{
	static const char *const lines[] = {
		"",
		"me",
		"me:",
		"me::",
		"me:1",
		"me:1:",
		"me:1:0",
		"me:x:1",
		"me:1:1x",
		"me:-1:5",
		"me:4294967296:1",
		"me:4294967295:2",
		"me:1:4294967295",
		"me: 1:1",
		":1:1",
		"#me:1:1",
	};
	struct subid subid;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		subid_parse(lines[i], "me", 1000, &subid);
		assert_int_equal(subid.n, 0);
	}
}

static void test_userns__subid_takes_so_many_ranges(void **state)
{
	char text[SUBID_RANGES_MAX * 40 * 2] = "";
	struct subid subid;
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 2 * SUBID_RANGES_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "me:%u:10\n", 1000 * i);
	subid_parse(text, "me", 1, &subid);
	assert_int_equal(subid.n, SUBID_RANGES_MAX);
	assert_int_equal(subid.total, 10 * SUBID_RANGES_MAX);
}

static int enter(void *arg, void *result, struct err *err)
{
	char path[] = "/tmp/cbuild-test-userns-XXXXXX";
	bool mapped_more = userns_is_rootless();
	cleanup_fd int fd = -1;
	struct subid uids, gids;

	(void)arg;
	(void)result;
	userns_ranges(&uids, &gids);
	if (userns_entered())
		return err_set(err, ERR_FAILED, "entered before it was asked for");
	if (userns_enter(err) < 0 || userns_enter(err) < 0)
		return -1;
	if (!userns_entered() || geteuid() != 0 || getegid() != 0 ||
	    userns_is_rootless() != mapped_more)
		return err_set(err, ERR_FAILED, "not entered");
	fd = mkstemp(path);
	unlink(path);
	if ((!mapped_more || (uids.n > 0 && gids.n > 0)) && (fd < 0 || fchown(fd, 1234, 4321) < 0))
		return err_os(err, "chown");
	return 0;
}

static void test_userns__enter_gives_root_and_other_ids(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (child_call(enter, NULL, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_userns__probe_names_a_rung_and_reasons(void **state)
{
	char dir[] = "/tmp/cbuild-test-probe-XXXXXX";
	struct userns_info info;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	userns_probe(dir, &info);
	assert_false(userns_entered());
	assert_true(info.n_probes >= 6);
	for (size_t i = 0; i < info.n_probes; i++) {
		print_message("%-18s %s  %s\n", info.probes[i].name,
			      info.probes[i].ok ? "ok" : "NO", info.probes[i].detail);
		assert_true(*info.probes[i].detail);
	}
	print_message("%s\n", userns_rung_name(info.rung));
	assert_int_equal(info.rung == USERNS_ROOT, geteuid() == 0);
	assert_int_equal(rmdir(dir), 0);
	userns_probe("/nonexistent", &info);
	assert_int_equal(info.rung, USERNS_NONE);
	assert_int_equal(err.kind, ERR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_userns__subid_by_name_and_by_number),
		cmocka_unit_test(test_userns__subid_passes_over_nonsense),
		cmocka_unit_test(test_userns__subid_takes_so_many_ranges),
		cmocka_unit_test(test_userns__enter_gives_root_and_other_ids),
		cmocka_unit_test(test_userns__probe_names_a_rung_and_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
