/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root that nothing can be mounted in: what a step gets besides its layers is put into the
 * directory itself, and taken out again when the step has ended.
 *
 * 1. What is in the way is renamed aside and comes back, as it was. So /dev, /proc, /sys, the
 *    files of /etc and whatever RUN mounts leave no trace in the layer, just as with mounts.
 * 2. Places are resolved inside the root before the step runs, while nobody else is in it, and
 *    taken out by descriptors, when all its processes are dead.
 * 3. A directory that something was put into gets its time back, unless the step changed it too.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

/* Something that was put somewhere. */
struct placed {
	int parent_fd;
	char *leaf;
	char aside[24];		/* what was there, in aside_fd; "" when nothing was */
	struct timespec before; /* of the parent, when nothing had been done to it */
};

void plain_init(struct plain *plain)
{
	*plain = (struct plain){ .null_fd = -1, .proc_fd = -1 };
}

static void set_time(int dir_fd, const struct timespec *time)
{
	struct timespec times[2] = { *time, *time };

	utimensat(dir_fd, ".", times, 0); /* of a directory of our own */
}

/* --- putting -------------------------------------------------------------------------------- */

/* Make the place free, and remember it. The parent's descriptor becomes the place's. */
static int take_place(struct plain *plain, int aside_fd, int parent_fd, const char *leaf,
		      struct err *err)
{
	struct placed *placed;
	struct stat st;

	plain->placed = grow_vector(plain->placed, plain->n, &plain->cap, sizeof(*plain->placed));
	placed = &plain->placed[plain->n++];
	*placed = (struct placed){ .parent_fd = parent_fd, .leaf = xstrdup(leaf) };
	if (fstat(parent_fd, &st) < 0)
		return err_os(err, "stat the directory of %s", leaf);
	placed->before = st.st_mtim;
	snprintf(placed->aside, sizeof(placed->aside), "aside%zu", plain->n);
	if (renameat(parent_fd, leaf, aside_fd, placed->aside) == 0)
		return 0;
	if (errno != ENOENT)
		return err_os(err, "put %s aside", leaf);
	placed->aside[0] = '\0';
	return 0;
}

/* The directory that holds the last component, with what is missing on the way to it, whose first
 * part is a place of its own. */
static int open_parent(struct plain *plain, const struct sandbox_spec *spec, const char *path,
		       const char **ret_leaf, struct err *err)
{
	cleanup_free char *part = xstrdup(path + strspn(path, "/"));
	int fd, holder;

	for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *leaf;

		*slash = '\0';
		fd = inroot_open(spec->root_fd, part, O_PATH | O_DIRECTORY, 0);
		if (fd < 0 && errno == ENOENT) {
			holder = inroot_open_parent(spec->root_fd, part, &leaf);
			if (holder < 0)
				return err_os(err, "open the directory of %s", path);
			if (take_place(plain, spec->aside_fd, holder, leaf, err) < 0)
				return -1;
			if (mkdirat(holder, leaf, 0755) < 0)
				return err_os(err, "make a directory for %s", path);
			*slash = '/';
			break;
		}
		file_close_at(&fd);
		*slash = '/';
	}
	fd = -1;
	if (strchr(part, '/')) {
		cleanup_free char *above = xstrndup(part, (size_t)(strrchr(part, '/') - part));

		if (inroot_mkdirs(spec->root_fd, above, 0755, 0, 0, &fd, err) < 0)
			return -1;
		close(fd);
	}
	fd = inroot_open_parent(spec->root_fd, path, ret_leaf);
	return fd < 0 ? err_os(err, "open the directory of %s", path) : fd;
}

static int place(struct plain *plain, const struct sandbox_spec *spec, const char *path,
		 int *ret_parent, const char **ret_leaf, struct err *err)
{
	int parent = open_parent(plain, spec, path, ret_leaf, err);

	if (parent < 0 || take_place(plain, spec->aside_fd, parent, *ret_leaf, err) < 0)
		return -1;
	*ret_parent = parent;
	return 0;
}

static int place_dir(struct plain *plain, const struct sandbox_spec *spec, const char *path,
		     mode_t mode, int *ret_fd, struct err *err)
{
	const char *leaf;
	int parent;

	if (place(plain, spec, path, &parent, &leaf, err) < 0)
		return -1;
	if (mkdirat(parent, leaf, 0700) < 0 || fchmodat(parent, leaf, mode, 0) < 0)
		return err_os(err, "make %s", path);
	*ret_fd = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_os(err, "open %s", path) : 0;
}

/* An empty file, open for writing. */
static int place_file(struct plain *plain, const struct sandbox_spec *spec, const char *path,
		      struct err *err)
{
	const char *leaf;
	int parent, fd;

	if (place(plain, spec, path, &parent, &leaf, err) < 0)
		return -1;
	fd = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_os(err, "make %s", path) : fd;
}

/* --- what every step gets ------------------------------------------------------------------- */

/* A node that cannot be made, or not be opened (the file system is nodev): of null a file remains,
 * into which things can be thrown. */
static int make_node(int dev_fd, size_t i, struct err *err)
{
	const char *name = mounts_node_names[i];
	int fd = -1;

	if (mknodat(dev_fd, name, S_IFCHR | 0666, mounts_node_device(i)) == 0) {
		if (fchmodat(dev_fd, name, 0666, 0) < 0)
			return err_os(err, "make /dev/%s", name);
		fd = openat(dev_fd, name, O_WRONLY | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0 || errno != EACCES)
			goto made;
		unlinkat(dev_fd, name, 0);
	}
	if (strcmp(name, "null"))
		return 0;
	fd = openat(dev_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0)
		return err_os(err, "make /dev/null");
made:
	file_close_at(&fd);
	return 0;
}

static int place_dev(struct plain *plain, const struct sandbox_spec *spec, struct err *err)
{
	cleanup_fd int dev = -1;

	if (place_dir(plain, spec, "/dev", 0755, &dev, err) < 0)
		return -1;
	for (size_t i = 0; i < MOUNTS_NODES; i++)
		if (make_node(dev, i, err) < 0)
			return -1;
	if (mkdirat(dev, "shm", 0700) < 0 || fchmodat(dev, "shm", 01777, 0) < 0)
		return err_os(err, "make /dev/shm");
	return 0;
}

static int place_etc(struct plain *plain, const struct sandbox_spec *spec, struct err *err)
{
	char hostname[HOST_NAME_MAX + 1] = "localhost"; /* nobody can give it another one */

	gethostname(hostname, sizeof(hostname) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(mounts_etc_names); i++) {
		char path[32];
		cleanup_fd int fd = -1;
		cleanup_buf struct buf text;

		buf_init(&text, ETC_TEXT_MAX);
		snprintf(path, sizeof(path), "/etc/%s", mounts_etc_names[i]);
		if (mounts_etc_text(spec, hostname, i, &text, err) < 0)
			return -1;
		fd = place_file(plain, spec, path, err);
		if (fd < 0)
			return -1;
		if (write_all(fd, text.data, text.len) < 0 || fchmod(fd, 0644) < 0)
			return err_os(err, "write %s", path);
	}
	return 0;
}

/* A path of the image's that is a link leads nowhere that could be put aside. */
static int check_place(const struct sandbox_spec *spec, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(spec->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_os(err, "stat /%s", name);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID,
			       "a mount point of the image is not a directory: %s", name);
	return 0;
}

static int place_own(struct plain *plain, const struct sandbox_spec *spec, struct err *err)
{
	static const char *const empty[] = { "/proc", "/sys" };

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		cleanup_fd int fd = -1;

		if (check_place(spec, empty[i] + 1, err) < 0 ||
		    place_dir(plain, spec, empty[i], 0555, &fd, err) < 0)
			return -1;
	}
	if (check_place(spec, "dev", err) < 0 || place_dev(plain, spec, err) < 0)
		return -1;
	return place_etc(plain, spec, err);
}

/* --- the caller's mounts -------------------------------------------------------------------- */

static int copy_bound(const struct sandbox_mount *mount, int to, struct err *err)
{
	char path[40];
	cleanup_fd int from = -1;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", mount->source_fd);
	if (fstat(mount->source_fd, &st) < 0)
		return err_os(err, "stat what is mounted on %s", mount->target);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: a directory cannot be mounted with --isolation=chroot",
			       mount->target);
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 || file_copy(from, to, (uint64_t)st.st_size, NULL, err) < 0)
		return err_os(err, "copy what is mounted on %s", mount->target);
	if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 0777) < 0)
		return err_os(err, "set owner and mode of %s", mount->target);
	return 0;
}

static int place_mount(struct plain *plain, const struct sandbox_spec *spec,
		       const struct sandbox_mount *mount, struct err *err)
{
	cleanup_fd int fd = -1;

	if (*mount->target != '/')
		return err_set(err, ERR_INVALID, "not the place of a mount: %s", mount->target);
	if (mount->kind == SANDBOX_MOUNT_TMPFS)
		return place_dir(plain, spec, mount->target,
				 mount->mode ? mount->mode & 07777 : 0755, &fd, err);
	fd = place_file(plain, spec, mount->target, err);
	if (fd < 0)
		return -1;
	if (mount->kind == SANDBOX_MOUNT_BIND)
		return copy_bound(mount, fd, err);
	if (write_all(fd, mount->data, mount->len) < 0 || fchown(fd, mount->uid, mount->gid) < 0 ||
	    fchmod(fd, mount->mode) < 0)
		return err_os(err, "write the file for %s", mount->target);
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

static int refuse(const char *what, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED,
		       "%s needs namespaces, which --isolation=chroot does without", what);
}

int plain_prepare(const struct sandbox_spec *spec, struct plain *plain, struct err *err)
{
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (spec->network != SANDBOX_NETWORK_HOST)
		return refuse("a network of the step's own (--network=none or private)", err);
	if (spec->all_capabilities)
		return refuse("--security=insecure", err);
	plain->abi = landlock_abi();
	plain->null_fd = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, 3);
	if (proc >= 0)
		plain->proc_fd = fcntl(proc, F_DUPFD_CLOEXEC, 8); /* above what the child makes */
	if (plain->null_fd < 0)
		return err_os(err, "open /dev/null");
	if (plain->abi < LANDLOCK_SCOPES && plain->proc_fd < 0)
		return err_set(
			err, ERR_UNSUPPORTED,
			"processes that a step leaves behind could not be found: there is "
			"no /proc, and this kernel has no Landlock with scopes (Linux 6.12)");
	if (place_own(plain, spec, err) < 0)
		return -1;
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (place_mount(plain, spec, &spec->mounts[i], err) < 0)
			return -1;
	for (size_t i = plain->n; i-- > 0;)
		set_time(plain->placed[i].parent_fd, &plain->placed[i].before);
	return 0;
}

/* In reverse: the first note of a directory's time is that of before. */
static int take_out(struct placed *placed, int aside_fd, struct err *err)
{
	struct timespec time;
	struct stat st;

	if (fstat(placed->parent_fd, &st) < 0)
		return err_os(err, "stat the directory of %s", placed->leaf);
	time = st.st_mtim;
	if (file_remove_tree_at(placed->parent_fd, placed->leaf, err) < 0)
		return -1;
	if (placed->aside[0] &&
	    renameat(aside_fd, placed->aside, placed->parent_fd, placed->leaf) < 0)
		return err_os(err, "put %s back", placed->leaf);
	set_time(placed->parent_fd, &time);
	return 0;
}

int plain_restore(const struct sandbox_spec *spec, struct plain *plain, struct err *err)
{
	for (size_t i = plain->n; i-- > 0;)
		if (take_out(&plain->placed[i], spec->aside_fd, err) < 0)
			return -1;
	return 0;
}

void plain_release(struct plain *plain)
{
	for (size_t i = 0; i < plain->n; i++) {
		file_close_at(&plain->placed[i].parent_fd);
		free(plain->placed[i].leaf);
	}
	free(plain->placed);
	file_close_at(&plain->null_fd);
	file_close_at(&plain->proc_fd);
	plain_init(plain);
}
