/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All claims hold twice: with the calls of Linux 5.12, and under a filter that refuses them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/userns.h"

#define ALL (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC)

struct place {
	char path[64];
	int fd;
};

static int setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));

	snprintf(place->path, sizeof(place->path), "/tmp/cbuild-test-mount-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->fd >= 0);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;

	close(place->fd);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, place->path, &err), 0);
	free(place);
	return 0;
}

static unsigned long flags_of(int dir_fd, const char *name)
{
	cleanup_fd int fd = openat(dir_fd, name, O_PATH | O_CLOEXEC);
	struct statvfs fs;

	assert_int_equal(fstatvfs(fd, &fs), 0);
	return fs.f_flag & ALL;
}

static int new_tmpfs(unsigned attributes)
{
	static const struct mount_option options[] = { { "mode", "0755" }, { "size", "1m" } };
	int fd = mount_new("tmpfs", options, ARRAY_SIZE(options), attributes);

	assert_true(fd >= 0);
	return fd;
}

/* A tmpfs on a new directory. */
static int attach_tmpfs(int dir_fd, const char *name, unsigned attributes)
{
	int fd = new_tmpfs(attributes);

	assert_int_equal(mkdirat(dir_fd, name, 0755), 0);
	assert_int_equal(mount_attach_at(fd, dir_fd, name), 0);
	return fd;
}

static void take_away(int dir_fd, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);
	assert_int_equal(umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW), 0);
}

static int count_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int count = 0, c;

	assert_non_null(file);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static void test_mount__new_one_has_options_and_attributes(void **state)
{
	struct place *place = *state;
	int fd = attach_tmpfs(place->fd, "new", MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY);
	struct stat st;
	struct statvfs fs;

	assert_int_equal(flags_of(place->fd, "new"), ST_NOSUID | ST_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(fstatvfs(fd, &fs), 0);
	assert_int_equal(fs.f_blocks * fs.f_frsize, 1 << 20);
	mount_close(fd);
	assert_int_equal(flags_of(place->fd, "new"), ST_NOSUID | ST_RDONLY);
	take_away(place->fd, "new");
}

static void test_mount__can_be_used_before_it_is_attached(void **state)
{
	struct place *place = *state;
	int fd = new_tmpfs(MOUNT_ATTR_NODEV);

	assert_int_equal(mkdirat(fd, "inside", 0755), 0);
	assert_int_equal(mkdirat(place->fd, "used", 0755), 0);
	assert_int_equal(mount_attach_at(fd, place->fd, "used"), 0);
	assert_int_equal(faccessat(place->fd, "used/inside", F_OK, 0), 0);
	mount_close(fd);
	take_away(place->fd, "used");
	assert_int_equal(faccessat(place->fd, "used/inside", F_OK, 0), -1);
}

static void test_mount__clone_keeps_attributes_and_has_more(void **state)
{
	struct place *place = *state;
	int from = attach_tmpfs(place->fd, "from", MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV);
	int clone = mount_clone(place->fd, "from", false, MOUNT_ATTR_RDONLY);
	struct statvfs fs;

	assert_true(clone >= 0);
	assert_int_equal(fstatvfs(clone, &fs), 0);
	assert_int_equal(fs.f_flag & ALL, ST_NOEXEC | ST_NODEV | ST_RDONLY);
	assert_int_equal(flags_of(place->fd, "from"), ST_NOEXEC | ST_NODEV);
	assert_int_equal(mkdirat(clone, "x", 0755), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(mkdirat(from, "x", 0755), 0);
	mount_close(clone);
	mount_close(from);
	take_away(place->fd, "from");
}

static void test_mount__file_is_cloned_onto_a_file(void **state)
{
	struct place *place = *state;
	int clone;

	close(openat(place->fd, "text", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	close(openat(place->fd, "over", O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
	clone = mount_clone(place->fd, "text", false, MOUNT_ATTR_RDONLY);
	assert_true(clone >= 0);
	assert_int_equal(mount_attach_at(clone, place->fd, "over"), 0);
	mount_close(clone);
	assert_int_equal(openat(place->fd, "over", O_WRONLY | O_CLOEXEC), -1);
	assert_int_equal(errno, EROFS);
	take_away(place->fd, "over");
}

static void test_mount__tree_has_its_attributes_everywhere(void **state)
{
	static const char odd[] = "odd \\ \t\nname";
	struct place *place = *state;
	int top = attach_tmpfs(place->fd, "tree", MOUNT_ATTR_NOSUID);
	int inner = attach_tmpfs(top, odd, MOUNT_ATTR_NOEXEC);
	int deep = attach_tmpfs(inner, "deep", 0);
	int clone = mount_clone(top, "", true, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	cleanup_fd int inner_clone = -1;

	assert_true(clone >= 0);
	assert_int_equal(mkdirat(place->fd, "copy", 0755), 0);
	assert_int_equal(mount_attach_at(clone, place->fd, "copy"), 0);
	assert_int_equal(flags_of(place->fd, "copy"), ST_NOSUID | ST_RDONLY | ST_NODEV);
	inner_clone = openat(clone, odd, O_PATH | O_CLOEXEC);
	assert_int_equal(flags_of(clone, odd), ST_NOEXEC | ST_RDONLY | ST_NODEV);
	assert_int_equal(flags_of(inner_clone, "deep"), ST_RDONLY | ST_NODEV);
	assert_int_equal(flags_of(inner, "deep"), 0);
	mount_close(clone);
	mount_close(deep);
	mount_close(inner);
	mount_close(top);
	take_away(place->fd, "copy");
	take_away(place->fd, "tree");
}

static void test_mount__link_is_not_followed(void **state)
{
	struct place *place = *state;
	int clone;
	struct stat st;

	assert_int_equal(symlinkat("/etc/passwd", place->fd, "link"), 0);
	clone = mount_clone(place->fd, "link", false, 0);
	if (clone >= 0) {
		assert_int_equal(fstat(clone, &st), 0);
		assert_true(S_ISLNK(st.st_mode));
	}
	mount_close(clone);
}

/* The second one was closed by somebody who knows nothing of mounts. */
static void test_mount__nothing_is_left_mounted(void **state)
{
	int before = count_mounts();

	(void)state;
	for (int i = 0; i < 3; i++) {
		mount_close(new_tmpfs(0));
		close(new_tmpfs(0));
	}
	mount_close(new_tmpfs(0));
	assert_int_equal(count_mounts(), before);
}

/* As the sandbox does: what was prepared is attached by a child in a namespace of its own. */
static void test_mount__child_attaches_what_was_prepared(void **state)
{
	struct place *place = *state;
	int fd = new_tmpfs(MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC), status;
	struct stat st;
	pid_t pid;

	assert_int_equal(mkdirat(fd, "prepared", 0755), 0);
	assert_int_equal(mkdirat(place->fd, "child", 0755), 0);
	pid = fork();
	if (pid == 0) {
		char path[80];
		bool good;

		snprintf(path, sizeof(path), "%s/child", place->path);
		good = unshare(CLONE_NEWNS) == 0 && mount_attach_at(fd, AT_FDCWD, path) == 0 &&
		       fchdir(fd) == 0 && stat("prepared", &st) == 0 && mkdir("new", 0755) == 0;
		snprintf(path, sizeof(path), "%s/child/new", place->path);
		_exit(good && access(path, F_OK) == 0 && flags_of(AT_FDCWD, path) != 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(faccessat(place->fd, "child/new", F_OK, 0), -1);
	assert_int_equal(fstatat(fd, "new", &st, 0), 0);
	mount_close(fd);
}

/* -------------------------------------------------------------------------------------------- */

static int refuse_calls(struct err *err)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsopen, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open_tree, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_move_mount, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount_setattr, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(insns), .filter = insns };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return err_os(err, "install a filter");
	return 0;
}

/* Ids first: newuidmap is setuid, so it takes a capability to install a filter. */
static int run_group(bool refuse)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_mount__new_one_has_options_and_attributes),
		TEST(test_mount__can_be_used_before_it_is_attached),
		TEST(test_mount__clone_keeps_attributes_and_has_more),
		TEST(test_mount__file_is_cloned_onto_a_file),
		TEST(test_mount__tree_has_its_attributes_everywhere),
		TEST(test_mount__link_is_not_followed),
		TEST(test_mount__nothing_is_left_mounted),
		TEST(test_mount__child_attaches_what_was_prepared),
	};
	struct err err = ERR_INIT;

	if (userns_enter_files(&err) < 0 || (refuse && refuse_calls(&err) < 0) ||
	    userns_enter(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	if (refuse && !mount_is_old())
		return 1;
	return cmocka_run_group_tests_name(refuse ? "mount(2)" : "fsmount()", tests, NULL, NULL);
}

int main(void)
{
	int status, failed = 0;

	for (int refuse = 0; refuse < 2; refuse++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(run_group(refuse));
		failed |= waitpid(pid, &status, 0) != pid || status != 0;
	}
	return failed;
}
