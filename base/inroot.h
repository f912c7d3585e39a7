/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_INROOT_H
#define BASE_INROOT_H

/*
 * base/inroot.h: the only door to paths that an image, a context or a Dockerfile influences.
 * Every path is resolved by the kernel inside a root directory (openat2 RESOLVE_IN_ROOT, so a
 * link to /etc means the root's etc and ".." stops at the root), with bounded retries when
 * renames race. Links in the last component are followed only where a function says so.
 */

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct err;

/* openat2() in the root; flags as open()'s, O_CLOEXEC added; add O_NOFOLLOW not to follow the
 * leaf. The descriptor, or -1 with errno (not err: callers often expect ENOENT). */
int inroot_open(int root_fd, const char *path, int flags, mode_t mode);

/*
 * The directory that holds path's last component (links in it followed inside the root), and
 * that component in *ret_leaf (points into path). "/" and "." give the root and ".". A last
 * component of ".." is ERR_INVALID. The descriptor, or -1 with errno.
 */
int inroot_open_parent(int root_fd, const char *path, const char **ret_leaf);

/* lstat and stat inside the root. 0, or -1 with errno. */
int inroot_lstat(int root_fd, const char *path, struct stat *ret_stat);
int inroot_stat(int root_fd, const char *path, struct stat *ret_stat);

/* Open the directory path, making what is missing with the mode and owner given. */
int inroot_mkdirs(int root_fd, const char *path, mode_t mode, uid_t uid, gid_t gid, int *ret_fd,
		  struct err *err);

/*
 * Read the regular file at path (links followed inside the root) into fresh memory, at most max
 * bytes (ERR_LIMIT). Opened without blocking: a FIFO or device is ERR_INVALID, absence is
 * ERR_NOT_FOUND. *ret_data is NUL-terminated, free() it.
 */
int inroot_read(int root_fd, const char *path, size_t max, char **ret_data, size_t *ret_len,
		struct err *err);

#endif
