/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layers are handed to the kernel one by one (lowerdir+, Linux 6.5) as /proc/self/fd/N/<name>:
 * nothing in a name can be taken for a separator, no path of the host shows in the mount table of
 * the sandbox, and the working directory, which threads share, is left alone. Older kernels take
 * all layers in one page of mount(2) options; names are then numbers of descriptors, for a child
 * whose working directory is /proc/self/fd.
 *
 * 1. The lowest layer is always one of ours: stub/, with the empty mount points, or an empty
 *    directory inside it. So the kernel has the two layers it wants, and no step leaves mount
 *    points behind in the upper directory.
 * 2. stub/ appears in dir_fd by rename, whole; whoever loses the race throws his own away. The
 *    times in it are fixed, since a copy-up carries them into layers.
 * 3. `volatile` marks the work directory, so work must be fresh for each mount.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

#define STUB	    "stub"
#define STUB_EMPTY  "stub/proc"
#define OPTIONS_MAX 4095 /* of mount(2): a page and its NUL */

/* --- the lowest layer ----------------------------------------------------------------------- */

static const char *const stub_dirs[] = { "dev", "proc", "sys", "etc" };
static const char *const stub_files[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf" };

static int fill_stub(int fd, struct err *err)
{
	static const struct timespec epoch[2];

	for (size_t i = 0; i < ARRAY_SIZE(stub_dirs); i++)
		if (mkdirat(fd, stub_dirs[i], 0755) < 0 || fchmodat(fd, stub_dirs[i], 0755, 0) < 0)
			return err_os(err, "make %s in the stub layer", stub_dirs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(stub_files); i++) {
		cleanup_fd int file =
			openat(fd, stub_files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		if (file < 0 || fchmod(file, 0644) < 0 || futimens(file, epoch) < 0)
			return err_os(err, "make %s in the stub layer", stub_files[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(stub_dirs); i++)
		if (utimensat(fd, stub_dirs[i], epoch, 0) < 0)
			return err_os(err, "set times of the stub layer");
	if (fchmod(fd, 0755) < 0 || futimens(fd, epoch) < 0)
		return err_os(err, "set times of the stub layer");
	return 0;
}

static int make_stub(int dir_fd, struct err *err)
{
	char random[FILE_RANDOM_MAX], name[sizeof(STUB) + FILE_RANDOM_MAX];
	cleanup_fd int fd = -1;

	if (faccessat(dir_fd, STUB, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	snprintf(name, sizeof(name), STUB ".%s", file_random_name(random));
	if (mkdirat(dir_fd, name, 0755) < 0)
		return err_os(err, "make the stub layer");
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err_os(err, "open the stub layer");
	else if (fill_stub(fd, err) == 0) {
		if (renameat2(dir_fd, name, dir_fd, STUB, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EEXIST)
			return file_remove_tree_at(dir_fd, name, err);
		err_os(err, "rename the stub layer");
	}
	struct err ignored = ERR_INIT;
	file_remove_tree_at(dir_fd, name, &ignored);
	return -1;
}

/* --- lowerdir+ ------------------------------------------------------------------------------ */

/* The kernel says more about a refused option than errno does. */
static int fail_context(int context, const char *what, struct err *err)
{
	int saved = errno;
	char message[256];
	ssize_t len = read(context, message, sizeof(message) - 1);

	errno = saved;
	if (len <= 2)
		return err_os(err, "%s", what);
	message[len] = '\0';
	message[strcspn(message, "\n")] = '\0';
	return err_os(err, "%s (%s)", what, message + 2); /* after "e " */
}

static int set_option(int context, const char *key, const char *value, struct err *err)
{
	char what[64];

	if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) == 0)
		return 0;
	snprintf(what, sizeof(what), "set the overlay option %s", key);
	return fail_context(context, what, err);
}

static int set_layer(int context, const char *key, int dir_fd, const char *name, struct err *err)
{
	char path[256]; /* what fsconfig() takes */
	int len = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);

	if (len < 0 || (size_t)len >= sizeof(path))
		return err_set(err, ERR_LIMIT, "the name of a layer is too long: %s", name);
	return set_option(context, key, path, err);
}

static int set_options(int context, const struct overlay *overlay, const char *bottom,
		       struct err *err)
{
	bool rootless = userns_is_rootless();
	static const char *const pairs[][2] = { { "index", "off" }, { "metacopy", "off" } };

	if (set_option(context, "source", "overlay", err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (set_option(context, pairs[i][0], pairs[i][1], err) < 0)
			return -1;
	if (rootless ? set_option(context, "userxattr", NULL, err) < 0
		     : set_option(context, "redirect_dir", "nofollow", err) < 0)
		return -1;
	for (size_t i = 0; i < overlay->n_lowers; i++)
		if (set_layer(context, "lowerdir+", overlay->dir_fd, overlay->lowers[i], err) < 0)
			return -1;
	if (set_layer(context, "lowerdir+", overlay->dir_fd, bottom, err) < 0)
		return -1;
	if (!overlay->upper)
		return 0;
	if (set_layer(context, "upperdir", overlay->dir_fd, overlay->upper, err) < 0 ||
	    set_layer(context, "workdir", overlay->dir_fd, overlay->work, err) < 0)
		return -1;
	return set_option(context, "volatile", NULL, err);
}

static unsigned mount_attributes(const struct overlay *overlay)
{
	return MOUNT_ATTR_NODEV | (overlay->upper ? 0 : MOUNT_ATTR_RDONLY);
}

static int mount_newest(const struct overlay *overlay, const char *bottom, int *ret_fd,
			struct err *err)
{
	cleanup_fd int context = fsopen("overlay", FSOPEN_CLOEXEC);
	int fd;

	if (context < 0)
		return err_os(err, "overlayfs");
	if (set_options(context, overlay, bottom, err) < 0)
		return -1;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fail_context(context, "mount the layers", err);
	fd = fsmount(context, FSMOUNT_CLOEXEC, mount_attributes(overlay));
	if (fd < 0)
		return err_os(err, "mount the layers");
	*ret_fd = fd;
	return 0;
}

/* Whether this kernel stacks layers one by one: an unknown option is refused with EINVAL. Before
 * 6.5 nothing is refused until the file system is made. */
static bool knows_lowerdir_plus(int dir_fd, const char *bottom)
{
	cleanup_fd int trial = fsopen("overlay", FSOPEN_CLOEXEC);
	struct err ignored = ERR_INIT;

	return trial >= 0 && set_layer(trial, "lowerdir+", dir_fd, bottom, &ignored) == 0 &&
	       fsconfig(trial, FSCONFIG_SET_FLAG, "no-such-option", NULL, 0) < 0;
}

/* --- mount(2) ------------------------------------------------------------------------------- */

struct old_mount {
	const struct overlay *overlay;
	const char *bottom;
	const char *place;
};

/* Open a layer and add its number to the options. It stays open. */
static int add_layer(const struct overlay *overlay, const char *name, struct buf *options,
		     struct err *err)
{
	int fd = openat(overlay->dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_os(err, "open the layer %s", name);
	buf_addf(options, "%d", fd);
	return 0;
}

static int join_options(const struct overlay *overlay, const char *bottom, struct buf *options,
			struct err *err)
{
	buf_addstr(options, "lowerdir=");
	for (size_t i = 0; i < overlay->n_lowers; i++) {
		if (add_layer(overlay, overlay->lowers[i], options, err) < 0)
			return -1;
		buf_addstr(options, ":");
	}
	if (add_layer(overlay, bottom, options, err) < 0)
		return -1;
	if (overlay->upper) {
		buf_addstr(options, ",upperdir=");
		if (add_layer(overlay, overlay->upper, options, err) < 0)
			return -1;
		buf_addstr(options, ",workdir=");
		if (add_layer(overlay, overlay->work, options, err) < 0)
			return -1;
		buf_addstr(options, ",volatile");
	}
	buf_addf(options, ",index=off,metacopy=off,%s",
		 userns_is_rootless() ? "userxattr" : "redirect_dir=nofollow");
	if (options->overflow)
		return err_set(err, ERR_LIMIT,
			       "%zu layers do not fit into the mount options of this kernel; Linux "
			       "6.5 or newer is needed",
			       overlay->n_lowers);
	return 0;
}

/* In a child, whose descriptors and working directory are its own; the mount namespace is ours. */
static int mount_in_child(void *arg, void *result, struct err *err)
{
	const struct old_mount *job = arg;
	unsigned long flags = MS_NODEV | (job->overlay->upper ? 0 : MS_RDONLY);
	cleanup_buf struct buf options;

	(void)result;
	buf_init(&options, OPTIONS_MAX);
	if (join_options(job->overlay, job->bottom, &options, err) < 0)
		return -1;
	if (chdir("/proc/self/fd") < 0)
		return err_os(err, "enter /proc/self/fd");
	if (mount("overlay", job->place, "overlay", flags, options.data) < 0)
		return err_os(err, "mount the layers");
	return 0;
}

static int make_old(void *arg, const char *place, struct err *err)
{
	struct old_mount *job = arg;

	job->place = place;
	return child_call(mount_in_child, job, NULL, 0, err);
}

static int mount_old(const struct overlay *overlay, const char *bottom, int *ret_fd,
		     struct err *err)
{
	struct old_mount job = { .overlay = overlay, .bottom = bottom };

	return mount_make(overlay->dir_fd, make_old, &job, ret_fd, err);
}

/* --- where it cannot work --------------------------------------------------------------------- */

/* What the kernel says to it is EINVAL. A container's own root is usually one. */
int overlay_check(int dir_fd, struct err *err)
{
	struct statfs fs;

	if (fstatfs(dir_fd, &fs) < 0)
		return err_os(err, "look at the store's file system");
	if (fs.f_type != OVERLAYFS_SUPER_MAGIC)
		return 0;
	return err_set(err, ERR_UNSUPPORTED,
		       "the store lies on an overlayfs, as in a container, and overlayfs cannot be "
		       "stacked on itself (fix, one of: put the store on a volume or a tmpfs by "
		       "--root or CBUILD_ROOT, or --isolation=chroot, which is weaker)");
}

/* --- attaching ------------------------------------------------------------------------------ */

int overlay_attach(int mount_fd, int place_fd, struct err *err)
{
	cleanup_fd int place = mount_reopen(place_fd);

	if (place < 0 || mount_attach(mount_fd, place) < 0)
		return err_os(err, "attach a mount");
	return 0;
}

void overlay_unmount(int mount_fd)
{
	mount_close(mount_fd);
}

void overlay_detach(int mount_fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", mount_fd);
	umount2(path, MNT_DETACH);
}

/* -------------------------------------------------------------------------------------------- */

/* Without any layer nor upper directory there is nothing to stack: the bottom itself. */
static int mount_bottom(int dir_fd, const char *bottom, int *ret_fd, struct err *err)
{
	int fd = mount_clone(dir_fd, bottom, false, MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY);

	if (fd < 0)
		return err_os(err, "mount the stub layer");
	*ret_fd = fd;
	return 0;
}

int overlay_mount_by(enum overlay_way way, const struct overlay *overlay, bool with_stubs,
		     int *ret_fd, struct err *err)
{
	const char *bottom = with_stubs ? STUB : STUB_EMPTY;
	cleanup_fd int dir = mount_reopen(overlay->dir_fd);
	struct overlay here = *overlay;

	if (dir < 0)
		return err_os(err, "open the store");
	here.dir_fd = dir;
	if (overlay->n_lowers >= OVERLAY_LOWERS_MAX)
		return err_set(err, ERR_LIMIT, "%zu layers are more than overlayfs can stack",
			       overlay->n_lowers);
	if (make_stub(dir, err) < 0)
		return -1;
	if (overlay->n_lowers == 0 && !overlay->upper)
		return mount_bottom(dir, bottom, ret_fd, err);
	if (way == OVERLAY_NEWEST && !mount_is_old()) {
		if (mount_newest(&here, bottom, ret_fd, err) == 0)
			return 0;
		if (knows_lowerdir_plus(dir, bottom))
			return -1;
		err_clear(err);
	}
	return mount_old(&here, bottom, ret_fd, err);
}

int overlay_mount(const struct overlay *overlay, bool with_stubs, int *ret_fd, struct err *err)
{
	return overlay_mount_by(OVERLAY_NEWEST, overlay, with_stubs, ret_fd, err);
}
