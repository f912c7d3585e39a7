/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The child moves the prepared mounts into place, makes those that belong to its own namespaces
 * (/proc, /sys, message queues), covers what must not be seen and enters the new root. All of
 * this runs under the rules of init.c.
 *
 * 1. The scaffold lies on the old root and the new root on the scaffold. pivot_root() puts the
 *    old root, with the scaffold still on it, on top of the new one: two umounts take both away,
 *    the files that were bound from them stay. That nothing is left on top is checked: what lay
 *    there would be what ".." of the new root leads to.
 * 2. What an image says about /dev, /proc and /sys is opened without following links; other
 *    places are resolved inside the root by the kernel. /etc files are mounted on the very name,
 *    link or not, so a dangling resolv.conf link is covered and not followed.
 *    What is bound from the scaffold is read-only by its own mount: the scaffold cannot be, since
 *    a step that another thread starts just now may have inherited the writer of its files.
 * 3. The caller's mounts come before the masks, so nothing can be mounted around them.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

#define PROC_MASKED                                                                                \
	"mount proc (parts of /proc are masked, as in a container; fix, one of: start it with "    \
	"--security-opt systempaths=unconfined (podman: unmask=ALL), or --isolation=chroot, "      \
	"which is weaker)"
#define PLAIN (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* One of /dev, /proc, /sys: missing only where an image hid the stub layer's. */
static int open_place(int root_fd, const char *name, struct init_report *report)
{
	int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(root_fd, name, flags);

	if (fd < 0 && errno == ENOENT && mkdirat(root_fd, name, 0755) == 0)
		fd = openat(root_fd, name, flags);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return init_fail(report, ERR_INVALID,
				 "a mount point of the image is not a directory:", name);
	if (fd < 0)
		return init_fail_os(report, "open a mount point", name);
	return fd;
}

static int put(int root_fd, const char *name, int mount_fd, struct init_report *report)
{
	cleanup_fd int place = open_place(root_fd, name, report);

	if (place < 0)
		return -1;
	if (mount_attach(mount_fd, place) < 0)
		return init_fail_os(report, "mount", name);
	return 0;
}

static int put_dev(int root_fd, const struct mounts *mounts, struct init_report *report)
{
	cleanup_fd int queue = mount_new("mqueue", NULL, 0, PLAIN);
	const struct {
		const char *name;
		int fd;
	} parts[] = {
		{ "pts", mounts->pts_fd },
		{ "shm", mounts->shm_fd },
		{ "mqueue", queue },
	};

	if (put(root_fd, "dev", mounts->dev_fd, report) < 0)
		return -1;
	for (size_t i = 0; i < MOUNTS_NODES; i++)
		if (mount_attach_at(mounts->node_fds[i], mounts->dev_fd, mounts_node_names[i]) < 0)
			return init_fail_os(report, "mount in /dev", mounts_node_names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].fd < 0) /* a kernel without message queues */
			continue;
		if (mount_attach_at(parts[i].fd, mounts->dev_fd, parts[i].name) < 0)
			return init_fail_os(report, "mount in /dev", parts[i].name);
	}
	return 0;
}

/* A user may make a sysfs only for a network namespace of his own; else the host's is bound. */
static int put_sys(int root_fd, int *ret_fd, struct init_report *report)
{
	cleanup_fd int fd = mount_new("sysfs", NULL, 0, PLAIN | MOUNT_ATTR_RDONLY);

	if (fd < 0)
		fd = mount_clone(AT_FDCWD, "/sys", true, PLAIN | MOUNT_ATTR_RDONLY);
	if (fd < 0)
		return init_fail_os(report, "mount", "sys");
	if (put(root_fd, "sys", fd, report) < 0)
		return -1;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int put_etc_file(int etc_fd, const char *name, int scaffold_fd, struct init_report *report)
{
	cleanup_fd int text = mount_clone(scaffold_fd, name, false, MOUNT_ATTR_RDONLY);
	cleanup_fd int place = openat(etc_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (place < 0 && errno == ENOENT) {
		cleanup_fd int made =
			openat(etc_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		if (made >= 0)
			place = openat(etc_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (text < 0 || place < 0 || fstat(place, &st) < 0)
		return init_fail_os(report, "open in /etc", name);
	if (S_ISDIR(st.st_mode))
		return init_fail(report, ERR_INVALID,
				 "the image has a directory where a file of /etc must be:", name);
	if (mount_attach(text, place) < 0)
		return init_fail_os(report, "mount in /etc", name);
	return 0;
}

static int put_etc(int root_fd, int scaffold_fd, struct init_report *report)
{
	cleanup_fd int etc = inroot_open(root_fd, "etc", O_PATH | O_DIRECTORY, 0);

	if (etc < 0 && errno == ENOENT && mkdirat(root_fd, "etc", 0755) == 0)
		etc = inroot_open(root_fd, "etc", O_PATH | O_DIRECTORY, 0);
	if (etc < 0 && errno == EEXIST)
		return init_fail(report, ERR_INVALID,
				 "the image has a link that leads nowhere:", "/etc");
	if (etc < 0)
		return init_fail_os(report, "open", "/etc");
	for (size_t i = 0; i < ARRAY_SIZE(mounts_etc_names); i++)
		if (put_etc_file(etc, mounts_etc_names[i], scaffold_fd, report) < 0)
			return -1;
	return 0;
}

/* --- the caller's mounts -------------------------------------------------------------------- */

static int make_leaf(int parent_fd, const char *name, bool is_dir)
{
	int fd;

	if (is_dir)
		return mkdirat(parent_fd, name, 0755);
	fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

/* Open the place of a mount, making what is missing on the way to it. -1 with errno. */
static int open_target(int root_fd, const char *path, bool is_dir)
{
	char so_far[PATH_MAX];
	cleanup_fd int parent = inroot_open(root_fd, "/", O_PATH | O_DIRECTORY, 0);
	size_t end;

	for (size_t start = strspn(path, "/"); parent >= 0; start = end + strspn(path + end, "/")) {
		end = start + strcspn(path + start, "/");

		bool last = path[end + strspn(path + end, "/")] == '\0';
		bool want_dir = !last || is_dir;
		int flags = O_PATH | (want_dir ? O_DIRECTORY : 0);
		int fd;

		memcpy(so_far, path, end);
		so_far[end] = '\0';
		fd = inroot_open(root_fd, so_far, flags, 0);
		if (fd < 0 && errno == ENOENT && make_leaf(parent, so_far + start, want_dir) == 0)
			fd = inroot_open(root_fd, so_far, flags, 0);
		if (fd < 0 || last)
			return fd;
		close(parent);
		parent = fd;
	}
	return -1;
}

/* A file of the scaffold is for its reader alone: nothing in it is a program. */
static int clone_file(const struct mounts *mounts, size_t i)
{
	char name[MOUNTS_NAME_MAX];

	mounts_extra_name(i, name);
	return mount_clone(mounts->scaffold_fd, name, false, PLAIN | MOUNT_ATTR_RDONLY);
}

static int put_extra(const struct sandbox_spec *spec, const struct mounts *mounts,
		     struct init_report *report)
{
	for (size_t i = 0; i < mounts->n_extra; i++) {
		const char *target = spec->mounts[i].target;
		cleanup_fd int place = open_target(spec->root_fd, target, mounts->extra_is_dir[i]);

		cleanup_fd int file = -1;

		if (place < 0)
			return init_fail_os(report, "make the place of a mount", target);
		if (mounts->extra_fds[i] < 0)
			file = clone_file(mounts, i);
		if (mount_attach(mounts->extra_fds[i] < 0 ? file : mounts->extra_fds[i], place) < 0)
			return init_fail_os(report, "mount", target);
	}
	return 0;
}

/* --- masks ---------------------------------------------------------------------------------- */

static int cover(int dir_fd, const char *name, const struct mounts *mounts)
{
	cleanup_fd int place = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int mask = -1;
	struct stat st;

	if (place < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	if (place < 0 || fstat(place, &st) < 0)
		return -1;
	mask = S_ISDIR(st.st_mode)
		       ? mount_clone(mounts->scaffold_fd, "empty", false, MOUNT_ATTR_RDONLY)
		       : mount_clone(mounts->dev_fd, "null", false, 0);
	return mask < 0 ? -1 : mount_attach(mask, place);
}

static int make_read_only(int dir_fd, const char *name)
{
	cleanup_fd int place = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int tree = -1;

	if (place < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	tree = mount_clone(place, "", true, PLAIN | MOUNT_ATTR_RDONLY);
	return tree < 0 ? -1 : mount_attach(tree, place);
}

/* "devices/system/cpu/cpuN/thermal_throttle": a side channel that other tenants would share. */
static int cover_thermal(int sys_fd, const struct mounts *mounts, struct init_report *report)
{
	cleanup_fd int cpus =
		openat(sys_fd, "devices/system/cpu", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	static const char tail[] = "/thermal_throttle";

	for (unsigned cpu = 0; cpus >= 0 && cpu < 10000; cpu++) {
		char name[8 + sizeof(tail)] = "cpu";
		size_t len = 3;

		for (unsigned power = cpu < 10	   ? 1
				      : cpu < 100  ? 10
				      : cpu < 1000 ? 100
						   : 1000;
		     power > 0; power /= 10)
			name[len++] = (char)('0' + cpu / power % 10);
		memcpy(name + len, tail, sizeof(tail));
		if (faccessat(cpus, name, F_OK, 0) < 0)
			return 0;
		if (cover(cpus, name, mounts) < 0)
			return init_fail_os(report, "cover in /sys", "thermal_throttle");
	}
	return 0;
}

static int put_masks(int proc_fd, int sys_fd, const struct mounts *mounts,
		     struct init_report *report)
{
	static const char *const proc[] = {
		"acpi",		 "asound",     "interrupts",  "kcore",	     "keys",
		"latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi",
	};
	static const char *const sys[] = { "firmware", "devices/virtual/powercap", "fs/selinux" };
	static const char *const read_only[] = { "bus", "fs", "irq", "sys", "sysrq-trigger" };

	for (size_t i = 0; i < ARRAY_SIZE(proc); i++)
		if (cover(proc_fd, proc[i], mounts) < 0)
			return init_fail_os(report, "cover in /proc", proc[i]);
	for (size_t i = 0; i < ARRAY_SIZE(sys); i++)
		if (cover(sys_fd, sys[i], mounts) < 0)
			return init_fail_os(report, "cover in /sys", sys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
		if (make_read_only(proc_fd, read_only[i]) < 0)
			return init_fail_os(report, "make read-only in /proc", read_only[i]);
	return cover_thermal(sys_fd, mounts, report);
}

/* -------------------------------------------------------------------------------------------- */

int rootfs_assemble(const struct sandbox_spec *spec, const struct mounts *mounts,
		    struct init_report *report)
{
	cleanup_fd int proc = mount_new("proc", NULL, 0, PLAIN);
	cleanup_fd int sys = -1;

	if (proc < 0 && errno == EPERM)
		return init_fail_os(report, PROC_MASKED, NULL);
	if (proc < 0)
		return init_fail_os(report, "mount", "proc");
	if (mount_attach_above_root(mounts->scaffold_fd) < 0 ||
	    mount_attach(spec->root_fd, mounts->scaffold_fd) < 0)
		return init_fail_os(report, "attach the root", NULL);
	if (put(spec->root_fd, "proc", proc, report) < 0 ||
	    put_dev(spec->root_fd, mounts, report) < 0 ||
	    put_sys(spec->root_fd, &sys, report) < 0 ||
	    put_etc(spec->root_fd, mounts->scaffold_fd, report) < 0 ||
	    put_extra(spec, mounts, report) < 0)
		return -1;
	if (spec->all_capabilities)
		return 0;
	return put_masks(proc, sys, mounts, report);
}

int rootfs_enter(int root_fd, struct init_report *report)
{
	struct stat above, root;

	if (fchdir(root_fd) < 0)
		return init_fail_os(report, "enter the root", NULL);
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return init_fail_os(report, "pivot_root", NULL);
	if (umount2(".", MNT_DETACH) < 0)
		return init_fail_os(report, "leave the scaffold", NULL);
	if (umount2(".", MNT_DETACH) < 0)
		return init_fail_os(report, "leave the old root", NULL);
	if (chdir("/") < 0)
		return init_fail_os(report, "enter the root", NULL);
	if (stat("/..", &above) < 0 || fstat(root_fd, &root) < 0 || above.st_dev != root.st_dev ||
	    above.st_ino != root.st_ino) {
		errno = EXDEV;
		return init_fail_os(report, "leave the old root", "something is above the new one");
	}
	return 0;
}
