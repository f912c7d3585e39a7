/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root that nothing can be mounted in: what a step gets besides its layers is put into the
 * directory itself, and taken out again when the step has ended (place.c). So /dev, /proc, /sys,
 * the files of /etc and whatever RUN mounts leave no trace in the layer, just as with mounts.
 *
 * 1. A directory that is mounted is moved in and moved back. Nothing keeps the step from writing to
 *    it: who wants that thrown away gives a copy.
 * 2. A file that is never to be on a disk is on one as long as the step lasts. It is emptied
 *    through a descriptor when all processes are dead, whatever names it has got meanwhile, by the
 *    reaper; so also when the caller was killed.
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

#define KEPT_FD_MIN 16 /* above what the child makes */

void plain_init(struct plain *plain)
{
	*plain = (struct plain){ .null_fd = -1, .proc_fd = -1 };
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

	if (places_put_dir(&plain->places, spec, "/dev", false, 0755, &dev, err) < 0)
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
		if (places_put_file(&plain->places, spec, path, false, &fd, err) < 0)
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
		    places_put_dir(&plain->places, spec, empty[i], false, 0555, &fd, err) < 0)
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

/* Those that are kept open ascend, see take_stdio(). */
static int keep_to_empty(struct plain *plain, int fd, struct err *err)
{
	int least = plain->n_kept ? plain->kept_fds[plain->n_kept - 1] + 1 : KEPT_FD_MIN;
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, least);

	if (kept < 0)
		return err_os(err, "duplicate a descriptor");
	plain->kept_fds = grow_vector(plain->kept_fds, plain->n_kept, &plain->cap_kept,
				      sizeof(*plain->kept_fds));
	plain->kept_fds[plain->n_kept++] = kept;
	return 0;
}

static int place_file(struct plain *plain, const struct sandbox_spec *spec,
		      const struct sandbox_mount *mount, struct err *err)
{
	cleanup_fd int fd = -1;

	if (places_put_file(&plain->places, spec, mount->target, true, &fd, err) < 0)
		return -1;
	if (mount->kind == SANDBOX_MOUNT_BIND)
		return copy_bound(mount, fd, err);
	if (keep_to_empty(plain, fd, err) < 0)
		return -1;
	if (write_all(fd, mount->data, mount->len) < 0 || fchown(fd, mount->uid, mount->gid) < 0 ||
	    fchmod(fd, mount->mode) < 0)
		return err_os(err, "write the file for %s", mount->target);
	return 0;
}

static int place_mount(struct plain *plain, const struct sandbox_spec *spec,
		       const struct sandbox_mount *mount, struct err *err)
{
	cleanup_fd int fd = -1;

	if (*mount->target != '/')
		return err_set(err, ERR_INVALID, "not the place of a mount: %s", mount->target);
	if (mount->kind == SANDBOX_MOUNT_TMPFS)
		return places_put_dir(&plain->places, spec, mount->target, true,
				      mount->mode ? mount->mode & 07777 : 0755, &fd, err);
	if (mount->same_as)
		return places_put_link(&plain->places, spec, mount->target, mount->same_as, err);
	if (mount->home_name)
		return places_move(&plain->places, spec, mount->target, mount->home_fd,
				   mount->home_name, err);
	return place_file(plain, spec, mount, err);
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

	if (spec->network == SANDBOX_NETWORK_PRIVATE)
		return refuse("a network of the step's own (--network=private)", err);
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
	places_settle(&plain->places);
	return 0;
}

int plain_restore(const struct sandbox_spec *spec, struct plain *plain, struct err *err)
{
	bool emptied = true;

	for (size_t i = 0; i < plain->n_kept; i++) {
		emptied &= ftruncate(plain->kept_fds[i], 0) == 0;
		close(plain->kept_fds[i]);
	}
	plain->n_kept = 0;
	if (places_take_out(&plain->places, spec->aside_fd, err) < 0)
		return -1;
	return emptied ? 0 : err_os(err, "empty a file that was mounted");
}

void plain_release(struct plain *plain)
{
	free(plain->kept_fds);
	file_close_at(&plain->null_fd);
	file_close_at(&plain->proc_fd);
	plain_init(plain);
}
