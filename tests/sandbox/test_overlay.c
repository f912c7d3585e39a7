/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

static const enum overlay_way ways[] = { OVERLAY_NEWEST, OVERLAY_OLD_MOUNT };

struct place {
	char path[64];
	int dir_fd;
};

static void make_file(int dir_fd, const char *path, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static int setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	struct err err = ERR_INIT;

	snprintf(place->path, sizeof(place->path), "/tmp/cbuild-test-overlay-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->dir_fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (userns_enter(&err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(mkdirat(place->dir_fd, "low", 0755), 0);
	assert_int_equal(mkdirat(place->dir_fd, "low/d", 0755), 0);
	assert_int_equal(mkdirat(place->dir_fd, "high", 0755), 0);
	make_file(place->dir_fd, "low/a", "low");
	make_file(place->dir_fd, "low/b", "low");
	make_file(place->dir_fd, "high/a", "high");
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;

	close(place->dir_fd);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, place->path, &err), 0);
	free(place);
	return 0;
}

static int mount_place(struct place *place, enum overlay_way way, const char *const *lowers,
		       size_t n, const char *upper, bool with_stubs)
{
	struct overlay overlay = { .dir_fd = place->dir_fd, .lowers = lowers, .n_lowers = n };
	struct err err = ERR_INIT;
	char work[40];
	int fd = -1;

	if (upper) {
		snprintf(work, sizeof(work), "%s-work", upper);
		assert_int_equal(mkdirat(place->dir_fd, upper, 0755), 0);
		assert_int_equal(mkdirat(place->dir_fd, work, 0755), 0);
		overlay.upper = upper;
		overlay.work = work;
	}
	if (overlay_mount_by(way, &overlay, with_stubs, &fd, &err) < 0)
		fail_msg("%s", err.message);
	return fd;
}

static void expect_text(int dir_fd, const char *path, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	char data[64];
	ssize_t len;

	assert_true(fd >= 0);
	len = read_all(fd, data, sizeof(data));
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, strlen(text));
}

static void test_overlay__first_layer_is_the_topmost(void **state)
{
	static const char *const lowers[] = { "high", "low" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_fd int fd = mount_place(*state, ways[i], lowers, 2, NULL, false);

		expect_text(fd, "a", "high");
		expect_text(fd, "b", "low");
		assert_int_equal(faccessat(fd, "proc", F_OK, 0), -1);
	}
}

static void test_overlay__mount_is_nodev_and_read_only_without_upper(void **state)
{
	static const char *const lowers[] = { "low" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_fd int fd = mount_place(*state, ways[i], lowers, 1, NULL, true);
		struct statvfs st;

		assert_int_equal(fstatvfs(fd, &st), 0);
		assert_true(st.f_flag & ST_NODEV);
		assert_true(st.f_flag & ST_RDONLY);
		assert_int_equal(mkdirat(fd, "x", 0755), -1);
		assert_int_equal(errno, EROFS);
	}
}

static void test_overlay__writes_go_to_upper_alone(void **state)
{
	static const char *const lowers[] = { "high", "low" };
	static const char *const uppers[] = { "up-new", "up-old" };
	struct place *place = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_fd int fd = mount_place(place, ways[i], lowers, 2, uppers[i], true);
		cleanup_fd int upper = openat(place->dir_fd, uppers[i], O_RDONLY | O_CLOEXEC);
		struct stat st;

		make_file(fd, "a", "written");
		assert_int_equal(unlinkat(fd, "b", 0), 0);
		assert_int_equal(unlinkat(fd, "d", AT_REMOVEDIR), 0);
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		expect_text(fd, "a", "written");
		expect_text(place->dir_fd, "low/b", "low");
		expect_text(place->dir_fd, "high/a", "high");
		expect_text(upper, "a", "written");
		assert_int_equal(fstatat(upper, "b", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(S_ISCHR(st.st_mode));
		assert_int_equal(st.st_rdev, 0);
		assert_int_equal(faccessat(upper, "proc", F_OK, 0), -1);
	}
}

static void test_overlay__opaque_mark_has_the_prefix_of_the_namespace(void **state)
{
	static const char *const lowers[] = { "low" };
	struct place *place = *state;
	cleanup_fd int fd = mount_place(place, OVERLAY_NEWEST, lowers, 1, "up-opaque", false);
	cleanup_fd int dir = -1;
	char value[4];

	assert_int_equal(unlinkat(fd, "d", AT_REMOVEDIR), 0);
	assert_int_equal(mkdirat(fd, "d", 0755), 0);
	dir = openat(place->dir_fd, "up-opaque/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(
		fgetxattr(dir,
			  userns_is_rootless() ? "user.overlay.opaque" : "trusted.overlay.opaque",
			  value, sizeof(value)),
		1);
	assert_int_equal(*value, 'y');
}

static void test_overlay__no_layers_at_all_is_a_root(void **state)
{
	static const char *const uppers[] = { "up-none-new", "up-none-old" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_fd int fd = mount_place(*state, ways[i], NULL, 0, uppers[i], true);
		cleanup_fd int empty = mount_place(*state, ways[i], NULL, 0, NULL, false);

		assert_int_equal(faccessat(fd, "etc/resolv.conf", F_OK, 0), 0);
		assert_int_equal(faccessat(empty, "etc", F_OK, 0), -1);
		make_file(fd, "hello", "hello");
	}
}

static void test_overlay__stub_has_fixed_times(void **state)
{
	struct place *place = *state;
	static const char *const names[] = { "stub", "stub/etc", "stub/etc/hosts", "stub/proc" };

	close(mount_place(place, OVERLAY_NEWEST, NULL, 0, NULL, true));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct stat st;

		assert_int_equal(fstatat(place->dir_fd, names[i], &st, 0), 0);
		assert_int_equal(st.st_mtim.tv_sec, 0);
		assert_int_equal(st.st_mode & 07777, S_ISDIR(st.st_mode) ? 0755 : 0644);
	}
}

static void test_overlay__missing_layer_is_an_error(void **state)
{
	static const char *const lowers[] = { "low", "gone" };
	struct place *place = *state;
	struct overlay overlay = { .dir_fd = place->dir_fd, .lowers = lowers, .n_lowers = 2 };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct err err = ERR_INIT;
		int fd = -1;

		assert_int_equal(overlay_mount_by(ways[i], &overlay, true, &fd, &err), -1);
		assert_int_equal(fd, -1);
		assert_int_equal(err.os_errno, ENOENT);
	}
}

static void test_overlay__as_many_layers_as_the_kernel_takes(void **state)
{
	struct place *place = *state;
	const char **lowers = xcalloc(OVERLAY_LOWERS_MAX, sizeof(*lowers));
	char(*names)[8] = xcalloc(OVERLAY_LOWERS_MAX, sizeof(*names));
	struct overlay overlay = { .dir_fd = place->dir_fd, .lowers = lowers };
	struct err err = ERR_INIT;
	int fd = -1;

	for (size_t i = 0; i < OVERLAY_LOWERS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "l%zu", i);
		lowers[i] = names[i];
		assert_int_equal(mkdirat(place->dir_fd, names[i], 0755), 0);
	}
	make_file(place->dir_fd, "l498/deep", "deep");
	fd = mount_place(place, OVERLAY_NEWEST, lowers, OVERLAY_LOWERS_MAX - 1, NULL, true);
	expect_text(fd, "deep", "deep");
	close(fd);
	overlay.n_lowers = OVERLAY_LOWERS_MAX;
	assert_int_equal(overlay_mount(&overlay, true, &fd, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	overlay.n_lowers = OVERLAY_LOWERS_MAX - 1;
	assert_int_equal(overlay_mount_by(OVERLAY_OLD_MOUNT, &overlay, true, &fd, &err), 0);
	close(fd);
	free(lowers);
	free(names);
}

static void test_overlay__any_name_of_a_layer_is_one_layer(void **state)
{
	static const char *const lowers[] = { "low:high", "low,upperdir=x", "low\\x" };
	struct place *place = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lowers); i++) {
		assert_int_equal(mkdirat(place->dir_fd, lowers[i], 0755), 0);
		for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
			cleanup_fd int fd =
				mount_place(place, ways[way], &lowers[i], 1, NULL, false);

			assert_int_equal(faccessat(fd, "a", F_OK, 0), -1);
		}
	}
}

static void test_overlay__nothing_is_left_in_the_store(void **state)
{
	struct place *place = *state;
	static const char *const lowers[] = { "low" };
	struct stat before, after;

	close(mount_place(place, OVERLAY_OLD_MOUNT, lowers, 1, NULL, true));
	assert_int_equal(fstat(place->dir_fd, &before), 0);
	close(mount_place(place, OVERLAY_OLD_MOUNT, lowers, 1, NULL, true));
	assert_int_equal(fstat(place->dir_fd, &after), 0);
	assert_int_equal(before.st_nlink, after.st_nlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlay__first_layer_is_the_topmost),
		cmocka_unit_test(test_overlay__mount_is_nodev_and_read_only_without_upper),
		cmocka_unit_test(test_overlay__writes_go_to_upper_alone),
		cmocka_unit_test(test_overlay__opaque_mark_has_the_prefix_of_the_namespace),
		cmocka_unit_test(test_overlay__no_layers_at_all_is_a_root),
		cmocka_unit_test(test_overlay__stub_has_fixed_times),
		cmocka_unit_test(test_overlay__missing_layer_is_an_error),
		cmocka_unit_test(test_overlay__as_many_layers_as_the_kernel_takes),
		cmocka_unit_test(test_overlay__any_name_of_a_layer_is_one_layer),
		cmocka_unit_test(test_overlay__nothing_is_left_in_the_store),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
