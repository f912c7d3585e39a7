/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"

/* A fresh directory per test, removed afterwards by what is tested here. */
struct place {
	char path[64];
	int fd;
};

static int setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));

	snprintf(place->path, sizeof(place->path), "%s", "/tmp/cbuild-test-file.XXXXXX");
	if (!mkdtemp(place->path))
		return -1;
	place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = place;
	return place->fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	int status;

	close(place->fd);
	status = file_remove_tree_at(AT_FDCWD, place->path, &err);
	if (status < 0)
		fprintf(stderr, "%s\n", err.message);
	free(place);
	return status;
}

static void test_file__replace_is_whole(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	cleanup_buf struct buf buf;

	buf_init(&buf, 100);
	assert_int_equal(file_replace_at(place->fd, "a", "one", 3, 0644, false, &err), 0);
	assert_int_equal(file_replace_at(place->fd, "a", "two!", 4, 0644, true, &err), 0);
	assert_int_equal(file_read_at(place->fd, "a", &buf, &err), 0);
	assert_string_equal(buf.data, "two!");
}

static void test_file__once_is_all_of_it(void **state)
{
	static const char text[] = "some bytes of a large file";
	struct place *place = *state;
	char got[64] = "";
	cleanup_fd int fd = openat(place->fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_all_once(fd, text, 4), 0);
	assert_int_equal(write_all_once(fd, text + 4, sizeof(text) - 4), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read_once(fd, got, 10), 10);
	assert_int_equal(read_once(fd, got + 10, sizeof(got) - 10), sizeof(text) - 10);
	assert_memory_equal(got, text, sizeof(text));
	errno = 0;
	assert_int_equal(write_all_once(-1, text, 4), -1);
	assert_int_equal(errno, EBADF);
}

/* As on a pipe, which has no position, and where the kernel says no to the flag. */
static void test_file__once_of_a_pipe(void **state)
{
	char got[8] = "";
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write_all_once(fds[1], "bytes", 6), 0);
	close(fds[1]);
	assert_int_equal(read_once(fds[0], got, sizeof(got)), 6);
	assert_string_equal(got, "bytes");
	close(fds[0]);
}

static void test_file__read_says_what_is_wrong(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	cleanup_buf struct buf buf;

	buf_init(&buf, 2);
	assert_int_equal(file_read_at(place->fd, "absent", &buf, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(mkfifoat(place->fd, "fifo", 0600), 0);
	assert_int_equal(file_read_at(place->fd, "fifo", &buf, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_int_equal(file_replace_at(place->fd, "big", "123", 3, 0644, false, &err), 0);
	assert_int_equal(file_read_at(place->fd, "big", &buf, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

static void test_file__removes_deep_and_unwritable_trees(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	int at, next;

	assert_int_equal(mkdirat(place->fd, "deep", 0755), 0);
	at = openat(place->fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 1500; i++) {
		assert_int_equal(mkdirat(at, "directory-with-a-long-name", 0700), 0);
		next = openat(at, "directory-with-a-long-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0400));
		fchmod(at, 0500);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(symlinkat("/", place->fd, "deep-link"), 0);
	assert_int_equal(file_remove_tree_at(place->fd, "deep", &err), 0);
	assert_int_equal(file_remove_tree_at(place->fd, "deep-link", &err), 0);
	assert_int_equal(file_remove_tree_at(place->fd, "deep", &err), 0); /* absent is fine */
	assert_int_equal(faccessat(place->fd, "deep", F_OK, 0), -1);
}

static void test_inroot__links_stay_inside(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	struct stat st;
	char *data;
	size_t len;

	assert_int_equal(file_mkdirs_at(place->fd, "etc/deep/er", 0755, &err), 0);
	assert_int_equal(file_replace_at(place->fd, "etc/passwd", "mine", 4, 0644, false, &err), 0);
	assert_int_equal(symlinkat("/etc/passwd", place->fd, "absolute"), 0);
	assert_int_equal(symlinkat("../../../../../etc/passwd", place->fd, "dots"), 0);
	assert_int_equal(symlinkat("/", place->fd, "etc/deep/er/top"), 0);
	assert_int_equal(inroot_read(place->fd, "absolute", 100, &data, &len, &err), 0);
	assert_string_equal(data, "mine");
	free(data);
	assert_int_equal(inroot_read(place->fd, "dots", 100, &data, &len, &err), 0);
	assert_string_equal(data, "mine");
	free(data);
	assert_int_equal(
		inroot_read(place->fd, "/etc/deep/er/top/../etc/passwd", 100, &data, &len, &err),
		0);
	assert_string_equal(data, "mine");
	free(data);
	assert_int_equal(inroot_lstat(place->fd, "absolute", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(inroot_stat(place->fd, "absolute", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(inroot_read(place->fd, "absolute", 3, &data, &len, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

static void test_inroot__parent_and_leaf(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	const char *leaf;
	int fd;

	assert_int_equal(file_mkdirs_at(place->fd, "a/b", 0755, &err), 0);
	fd = inroot_open_parent(place->fd, "/a/b/c", &leaf);
	assert_true(fd >= 0);
	assert_string_equal(leaf, "c");
	close(fd);
	fd = inroot_open_parent(place->fd, "/", &leaf);
	assert_true(fd >= 0);
	assert_string_equal(leaf, ".");
	close(fd);
	assert_int_equal(inroot_open_parent(place->fd, "a/..", &leaf), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(inroot_open_parent(place->fd, "absent/x", &leaf), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_inroot__mkdirs_follows_links_inside(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	struct stat st;
	int fd;

	assert_int_equal(mkdirat(place->fd, "real", 0755), 0);
	assert_int_equal(symlinkat("/real", place->fd, "link"), 0);
	assert_int_equal(inroot_mkdirs(place->fd, "/link/x/y", 0750, getuid(), getgid(), &fd, &err),
			 0);
	close(fd);
	assert_int_equal(fstatat(place->fd, "real/x/y", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

/* A link that leads nowhere inside may lead to something outside. */
static void test_inroot__mkdirs_changes_nothing_outside(void **state)
{
	struct place *place = *state;
	char outside[] = "/tmp/cbuild-test-outside-XXXXXX";
	struct err err = ERR_INIT;
	struct stat st;
	int fd;

	assert_non_null(mkdtemp(outside));
	assert_int_equal(symlinkat(outside, place->fd, "link"), 0);
	assert_int_equal(inroot_mkdirs(place->fd, "/link", 0755, getuid(), getgid(), &fd, &err), -1);
	assert_int_equal(inroot_mkdirs(place->fd, "/link/x", 0755, getuid(), getgid(), &fd, &err),
			 -1);
	assert_int_equal(stat(outside, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(rmdir(outside), 0);
}

/* Where it is cut there are two slashes: the rest is not absolute for that. */
static void test_file__near_stays_relative(void **state)
{
	struct place *place = *state;
	const char *head = "./", *rest;
	cleanup_fd int owned_fd = -1;
	struct buf path;

	buf_init(&path, 2 * PATH_MAX);
	while (path.len < PATH_MAX - 2)
		buf_addstr(&path, head);
	buf_addstr(&path, ".//etc/passwd");
	rest = path.data;
	assert_true(file_near(place->fd, &rest, &owned_fd) >= 0);
	assert_string_equal(rest, "etc/passwd");
	buf_release(&path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file__replace_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file__once_is_all_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file__once_of_a_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file__read_says_what_is_wrong, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_file__removes_deep_and_unwritable_trees, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_file__near_stays_relative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inroot__links_stay_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inroot__parent_and_leaf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inroot__mkdirs_follows_links_inside, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_inroot__mkdirs_changes_nothing_outside, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
