/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mounts that are made first and put in their place later. Since Linux 5.12 the kernel has them: a
 * mount without a place is a descriptor. Where it has not, or a policy or an emulator refuses the
 * calls, mount_old.c does the same with mount(2), and callers see no difference.
 *
 * 1. All of the six calls or none: which it is is found out once, when the mount namespace is
 *    entered, by calling each of them with flags that do not exist. It is a fact about the
 *    process, hence the static variable; its children inherit it.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

static bool is_old;

/* --- the choice ----------------------------------------------------------------------------- */

static bool is_refused(int result)
{
	return result < 0 && (errno == ENOSYS || errno == EPERM);
}

void mount_choose_calls(void)
{
	struct mount_attr attr = { 0 };

	is_old = is_refused(fsopen("", ~0U)) || is_refused(fsconfig(-1, ~0U, NULL, NULL, 0)) ||
		 is_refused(fsmount(-1, ~0U, ~0U)) || is_refused(open_tree(-1, "", ~0U)) ||
		 is_refused(move_mount(-1, "", -1, "", ~0U)) ||
		 is_refused(mount_setattr(-1, "", ~0U, &attr, sizeof(attr)));
}

bool mount_is_old(void)
{
	return is_old;
}

int mount_prepare_calls(struct err *err)
{
	return is_old ? mount_old_prepare(err) : 0;
}

/* --- making --------------------------------------------------------------------------------- */

static int new_mount(const char *type, const struct mount_option *options, size_t n,
		     unsigned attributes)
{
	int context = fsopen(type, FSOPEN_CLOEXEC);
	int fd = -1, saved;

	if (context < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (fsconfig(context, options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     options[i].key, options[i].value, 0) < 0)
			goto out;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(context, FSMOUNT_CLOEXEC, attributes);
out:
	saved = errno;
	close(context);
	errno = saved;
	return fd;
}

static int clone_mount(int dir_fd, const char *path, bool tree, unsigned attributes)
{
	struct mount_attr attr = { .attr_set = attributes };
	unsigned depth = tree ? AT_RECURSIVE : 0;
	unsigned how = *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
	cleanup_fd int fd =
		open_tree(dir_fd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | how | depth);

	if (fd < 0 ||
	    (attributes && mount_setattr(fd, "", AT_EMPTY_PATH | depth, &attr, sizeof(attr)) < 0))
		return -1;
	return steal_fd(&fd);
}

int mount_new(const char *type, const struct mount_option *options, size_t n, unsigned attributes)
{
	return is_old ? mount_old_new(type, options, n, attributes)
		      : new_mount(type, options, n, attributes);
}

int mount_clone(int dir_fd, const char *path, bool tree, unsigned attributes)
{
	return is_old ? mount_old_clone(dir_fd, path, tree, attributes)
		      : clone_mount(dir_fd, path, tree, attributes);
}

/* Attached for a moment, on a directory of its own so that many can do it at once. */
static int make_and_detach(int dir_fd, mount_maker *make, void *arg, int *ret_fd, struct err *err)
{
	char random[FILE_RANDOM_MAX], point[sizeof("mount.") + FILE_RANDOM_MAX], path[64];
	int fd = -1;

	snprintf(point, sizeof(point), "mount.%s", file_random_name(random));
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, point);
	if (mkdirat(dir_fd, point, 0700) < 0)
		return err_os(err, "make a mount point");
	if (make(arg, path, err) == 0) {
		fd = open_tree(dir_fd, point, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (fd < 0)
			err_os(err, "detach a mount");
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && fd >= 0) {
			err_os(err, "detach a mount");
			close(steal_fd(&fd));
		}
	}
	unlinkat(dir_fd, point, AT_REMOVEDIR);
	if (fd < 0)
		return -1;
	*ret_fd = fd;
	return 0;
}

int mount_make(int dir_fd, mount_maker *make, void *arg, int *ret_fd, struct err *err)
{
	return is_old ? mount_old_make(make, arg, ret_fd, err)
		      : make_and_detach(dir_fd, make, arg, ret_fd, err);
}

/* --- putting in place ----------------------------------------------------------------------- */

int mount_attach(int mount_fd, int place_fd)
{
	if (is_old)
		return mount_old_attach(mount_fd, place_fd);
	return move_mount(mount_fd, "", place_fd, "",
			  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int mount_attach_at(int mount_fd, int dir_fd, const char *name)
{
	cleanup_fd int place = -1;

	if (!is_old)
		return move_mount(mount_fd, "", dir_fd, name, MOVE_MOUNT_F_EMPTY_PATH);
	place = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return place < 0 ? -1 : mount_old_attach(mount_fd, place);
}

int mount_attach_above_root(int mount_fd)
{
	return is_old ? mount_old_find(mount_fd) : mount_attach_at(mount_fd, AT_FDCWD, "/");
}

int mount_bind_on_itself(int dir_fd, const char *path)
{
	cleanup_fd int tree = -1;

	if (is_old) {
		if (mount(path, path, "none", MS_BIND | MS_REC, NULL) < 0)
			return -1;
		return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	tree = clone_mount(dir_fd, "", true, 0);
	if (tree < 0 || mount_attach(tree, dir_fd) < 0)
		return -1;
	return steal_fd(&tree);
}

void mount_close(int mount_fd)
{
	if (mount_fd < 0)
		return;
	if (is_old)
		mount_old_end(mount_fd);
	close(mount_fd);
}

int mount_leave(void)
{
	return is_old ? mount_old_leave() : 0;
}
