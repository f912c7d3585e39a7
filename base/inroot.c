/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * openat2() answers EAGAIN when a rename raced with a path that holds "..": retried a bounded
 * number of times, after which the EAGAIN is the caller's. No string comparison of paths ever
 * decides what is inside.
 */
#include "base/inroot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define RETRIES_MAX 200

int inroot_open(int root_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = flags & (O_CREAT | O_TMPFILE) ? mode & 07777 : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; i < RETRIES_MAX; i++) {
		long fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));

		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			return (int)fd;
	}
	return -1;
}

int inroot_open_parent(int root_fd, const char *path, const char **ret_leaf)
{
	size_t len = strlen(path);
	cleanup_free char *parent = NULL;
	const char *leaf;
	size_t end = len;

	while (end > 0 && path[end - 1] == '/')
		end--;
	leaf = path + end;
	while (leaf > path && leaf[-1] != '/')
		leaf--;
	if (end == 0 || (end - (size_t)(leaf - path) == 1 && *leaf == '.')) {
		*ret_leaf = ".";
		return inroot_open(root_fd, end ? path : "/", O_PATH | O_DIRECTORY, 0);
	}
	if (!strncmp(leaf, "..", 2) && end - (size_t)(leaf - path) == 2) {
		errno = EINVAL;
		return -1;
	}
	if (path[end]) { /* a trailing slash would reach *ret_leaf */
		errno = EINVAL;
		return -1;
	}
	parent = xstrndup(path, (size_t)(leaf - path));
	*ret_leaf = leaf;
	return inroot_open(root_fd, *parent ? parent : ".", O_PATH | O_DIRECTORY, 0);
}

static int stat_with(int root_fd, const char *path, int flags, struct stat *ret_stat)
{
	cleanup_fd int fd = inroot_open(root_fd, path, O_PATH | flags, 0);

	if (fd < 0)
		return -1;
	return fstatat(fd, "", ret_stat, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

int inroot_lstat(int root_fd, const char *path, struct stat *ret_stat)
{
	return stat_with(root_fd, path, O_NOFOLLOW, ret_stat);
}

int inroot_stat(int root_fd, const char *path, struct stat *ret_stat)
{
	return stat_with(root_fd, path, 0, ret_stat);
}

/*
 * Owner and mode are set through a descriptor of what was just made: what has the name already is
 * left alone. It may be a link that leads nowhere inside the root, but somewhere outside of it.
 */
static int make_one(int parent_fd, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	cleanup_fd int fd = -1;

	if (mkdirat(parent_fd, name, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, uid, gid) < 0)
		return -1;
	return fchmod(fd, mode);
}

int inroot_mkdirs(int root_fd, const char *path, mode_t mode, uid_t uid, gid_t gid, int *ret_fd,
		  struct err *err)
{
	cleanup_free char *part = xstrdup(path);
	cleanup_fd int at = inroot_open(root_fd, "/", O_PATH | O_DIRECTORY, 0);
	char *next = part;

	if (at < 0)
		return err_os(err, "open the root");
	while (*next) {
		char *slash = strchr(next, '/');
		cleanup_free char *so_far = NULL;
		int fd;

		if (slash)
			*slash = '\0';
		if (*next && strcmp(next, ".")) {
			so_far = xstrndup(path, (size_t)(next - part) + strlen(next));
			fd = inroot_open(root_fd, so_far, O_PATH | O_DIRECTORY, 0);
			if (fd < 0 && errno == ENOENT) {
				if (make_one(at, next, mode, uid, gid) < 0)
					return err_os(err, "make directory %s", so_far);
				fd = inroot_open(root_fd, so_far, O_PATH | O_DIRECTORY, 0);
			}
			if (fd < 0)
				return err_os(err, "open directory %s", so_far);
			close(at);
			at = fd;
		}
		if (!slash)
			break;
		next = slash + 1;
	}
	*ret_fd = steal_fd(&at);
	return 0;
}

int inroot_read(int root_fd, const char *path, size_t max, char **ret_data, size_t *ret_len,
		struct err *err)
{
	cleanup_fd int fd = inroot_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	cleanup_free char *data = NULL;
	struct stat st;
	ssize_t got;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "%s: no such file", path);
	if (fd < 0)
		return err_os(err, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_os(err, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max);
	data = xmalloc((size_t)st.st_size + 1);
	got = read_all(fd, data, (size_t)st.st_size);
	if (got < 0)
		return err_os(err, "read %s", path);
	data[got] = '\0';
	*ret_data = steal_pointer(&data);
	*ret_len = (size_t)got;
	return 0;
}
