/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The private mount namespace in which roots are put together. Usually unshare() and one call that
 * stops propagation are all. In a plain chroot, without a mount of its own at "/", more is needed:
 *
 * 1. "/" of a chroot is no mount, so neither can its propagation be set nor can pivot_root() leave
 *    it; and a step that walked up through a second chroot() would come out in the directories
 *    above. So the namespace's root becomes the chroot's directory, before anything runs: setns()
 *    to the namespace we are in leads to its real root, from there propagation is stopped,
 *    the directory is bound on itself and becomes the root, and what was above is unmounted.
 * 2. Descriptors from before lie in the old namespace, and the kernel spells their paths from its
 *    root: the directory's own path there is kept, to be taken off again (mount_reopen()).
 *    They have a path only while that namespace lives: where this process was the only one in it,
 *    as the first process of a container is, a descriptor has to keep it.
 * 3. Layers are named through /proc/self/fd. Where there is no /proc, one is mounted: nobody else
 *    sees it.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

/* Where this process's "/" was in the mount namespace that was left; "" for its root. It is a
 * fact about the process, as userns.c's is. */
static char old_root[PATH_MAX];
static int old_namespace = -1; /* kept open */

static int open_same(const char *path, const struct stat *theirs)
{
	cleanup_fd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat ours;

	if (fd < 0 || fstat(fd, &ours) < 0 || ours.st_dev != theirs->st_dev ||
	    ours.st_ino != theirs->st_ino)
		return -1;
	return steal_fd(&fd);
}

int mount_reopen(int fd)
{
	size_t above = strlen(old_root);
	char link[40], path[PATH_MAX];
	struct stat theirs;
	ssize_t len;
	int here = -1;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len > 0 && path[0] == '/' && fstat(fd, &theirs) == 0) {
		path[len] = '\0';
		here = open_same(path, &theirs);
		if (here < 0 && above && !strncmp(path, old_root, above))
			here = open_same(path[above] ? path + above : "/", &theirs);
	}
	return here >= 0 ? here : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* --- out of a chroot ------------------------------------------------------------------------ */

/* Whether the directory is a root of a mount that nothing is above: 1, 0; -1 with errno. */
static int is_real_root(int fd)
{
	struct statx ours, real;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &ours) < 0 ||
	    statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, &real) < 0)
		return -1;
	return ours.stx_ino == real.stx_ino && ours.stx_mnt_id == real.stx_mnt_id;
}

/* "/" is the real root now, and fd the directory that was it. */
static int take_over(int fd, struct err *err)
{
	cleanup_fd int tree = -1;

	if (fchdir(fd) < 0 || !getcwd(old_root, sizeof(old_root)))
		return err_os(err, "find the directory that is the root here");
	tree = mount_bind_on_itself(fd, old_root);
	if (tree < 0)
		return err_os(err, "bind the directory that is the root here on itself");
	if (fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_os(err, "make the directory that is the root here a real one");
	return 0;
}

/* To the namespace's root and back, to where the process was. Without CAP_SYS_CHROOT it was nowhere
 * else. */
static int stop_propagation(struct err *err)
{
	cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int self = pidfd_open(getpid(), 0);
	bool moved = root >= 0 && self >= 0 && setns(self, CLONE_NEWNS) == 0;

	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return err_os(err, "cannot make the mount namespace private");
	if (!moved)
		return 0;
	if (is_real_root(root) == 0)
		return take_over(root, err);
	if (cwd >= 0 && fchdir(cwd) < 0)
		return err_os(err, "enter the working directory");
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

/* A /proc that is there but not of this pid namespace has no "self". */
static int supply_proc(struct err *err)
{
	if (access("/proc/self/fd", F_OK) == 0)
		return 0;
	if (mkdir("/proc", 0555) < 0 && errno != EEXIST)
		return err_os(err, "there is no /proc, and it cannot be made");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_os(err, "there is no /proc, and it cannot be mounted");
	return 0;
}

int mountns_enter(struct err *err)
{
	if (old_namespace < 0)
		old_namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNS) < 0)
		return err_os(err, "cannot create a mount namespace");
	mount_choose_calls();
	if (stop_propagation(err) < 0 || supply_proc(err) < 0 || mount_prepare_calls(err) < 0)
		return -1;
	return 0;
}
