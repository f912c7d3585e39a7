/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/digest.h"
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
	struct userns_place place = { .store = dir,
				      .scratch = "scratch",
				      .search = "/nonexistent" };
	struct userns_info info;
	struct err err = ERR_INIT;
	char scratch[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(scratch, sizeof(scratch), "%s/scratch", dir);
	assert_int_equal(mkdir(scratch, 0700), 0);
	userns_probe(&place, &info);
	assert_false(userns_entered());
	assert_true(info.n_probes >= 6);
	for (size_t i = 0; i < info.n_probes; i++) {
		print_message("%-18s %s  %s\n", info.probes[i].name,
			      info.probes[i].ok ? "ok" : "NO", info.probes[i].detail);
		assert_true(*info.probes[i].detail);
	}
	print_message("%s\n", userns_rung_name(info.rung));
	assert_int_equal(info.rung == USERNS_ROOT, geteuid() == 0);
	assert_int_equal(rmdir(scratch), 0); /* empty again */
	assert_int_equal(file_remove_tree_at(AT_FDCWD, dir, &err), 0);
	place.store = "/nonexistent";
	userns_probe(&place, &info);
	assert_int_equal(info.rung, USERNS_NONE);
	assert_int_equal(err.kind, ERR_NONE);
}

static void key_of(const struct userns_place *place, struct digest *ret_key)
{
	struct err err = ERR_INIT;

	if (userns_probe_key(place, ret_key, &err) < 0)
		fail_msg("%s", err.message);
}

static void make_program(const char *dir, const char *name)
{
	char path[PROGRAM_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
}

static void test_userns__key_changes_with_what_matters(void **state)
{
	char dir[] = "/tmp/cbuild-test-key-XXXXXX";
	struct userns_place place = { .store = dir, .search = dir };
	struct err err = ERR_INIT;
	struct digest first, second;

	(void)state;
	assert_non_null(mkdtemp(dir));
	key_of(&place, &first);
	make_program(dir, "other"); /* the store's own times and files do not */
	key_of(&place, &second);
	assert_true(digest_equal(&first, &second));
	make_program(dir, "pasta");
	key_of(&place, &second);
	assert_false(digest_equal(&first, &second));
	place.search = "/nonexistent";
	key_of(&place, &second);
	assert_true(digest_equal(&first, &second));
	place.store = "/";
	key_of(&place, &second);
	assert_false(digest_equal(&first, &second));
	assert_int_equal(file_remove_tree_at(AT_FDCWD, dir, &err), 0);
}

static void test_userns__programs_are_found_as_exec_does(void **state)
{
	char dir[] = "/tmp/cbuild-test-path-XXXXXX", search[128], path[PROGRAM_PATH_MAX];
	char long_dir[2 * PROGRAM_PATH_MAX];
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	make_program(dir, "it");
	snprintf(search, sizeof(search), "/nonexistent:%s:/bin", dir);
	assert_true(program_find(search, "it", path));
	assert_memory_equal(path, dir, strlen(dir));
	assert_string_equal(path + strlen(dir), "/it");
	assert_false(program_find("/nonexistent:/also", "it", path));
	assert_false(program_find("", "it", path));
	memset(long_dir, 'x', sizeof(long_dir) - 1);
	long_dir[sizeof(long_dir) - 1] = '\0';
	assert_false(program_find(long_dir, "it", path));
	assert_int_equal(file_remove_tree_at(AT_FDCWD, dir, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_userns__subid_by_name_and_by_number),
		cmocka_unit_test(test_userns__subid_passes_over_nonsense),
		cmocka_unit_test(test_userns__subid_takes_so_many_ranges),
		cmocka_unit_test(test_userns__enter_gives_root_and_other_ids),
		cmocka_unit_test(test_userns__probe_names_a_rung_and_reasons),
		cmocka_unit_test(test_userns__key_changes_with_what_matters),
		cmocka_unit_test(test_userns__programs_are_found_as_exec_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
