/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_FILE_H
#define BASE_FILE_H

/*
 * base/file.h: files of our own: short reads and writes looped, EINTR retried, replacement
 * atomic. For paths that an image, a context or a Dockerfile influences, see base/inroot.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

struct buf;
struct cancel;
struct err;

static inline void file_close_at(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define cleanup_fd __attribute__((__cleanup__(file_close_at)))

/* The descriptor in a variable, which is -1 afterwards. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Up to len bytes; fewer only at the end of the file. The count, or -1 with errno. */
ssize_t read_all(int fd, void *data, size_t len);
ssize_t pread_all(int fd, void *data, size_t len, off_t offset);

/* All len bytes or -1 with errno. */
int write_all(int fd, const void *data, size_t len);

/*
 * As read(), EINTR retried, and write_all(), for large files that nobody is about to read again:
 * where the kernel and the file system can (Linux 6.14), bytes are not kept in the page cache that
 * were not there; and what is written is on its way to the disk at once, so that a sync at the end
 * has little left.
 */
ssize_t read_once(int fd, void *data, size_t len);
int write_all_once(int fd, const void *data, size_t len);

/*
 * A relative path may be longer than a system call takes. Open directories on the way, links in it
 * followed, until what is left is short enough, and leave that in *path. The directory to
 * use it with: dir_fd itself, or *ret_owned_fd, which the caller closes (-1 when there is none).
 * -1 with errno.
 */
int file_near(int dir_fd, const char **path, int *ret_owned_fd);

/* Read path under dir_fd whole into buf (which has the limit: ERR_LIMIT past it). A missing file
 * is ERR_NOT_FOUND; what is no regular file is ERR_INVALID. */
int file_read_at(int dir_fd, const char *path, struct buf *buf, struct err *err);

/* Replace path by these bytes, by a temporary name and rename(). With durable, synced before. */
int file_replace_at(int dir_fd, const char *path, const void *data, size_t len, mode_t mode,
		    bool durable, struct err *err);

/*
 * The same by hand: write to fd (opened for reading and writing), then commit, or release to give
 * up. path and dir_fd stay the caller's. Releasing what was committed is no error.
 */
struct file_draft {
	int dir_fd, fd;
	const char *path;
	char tmp[4096]; /* the name it has meanwhile */
};
int file_draft_open(int dir_fd, const char *path, mode_t mode, struct file_draft *draft,
		    struct err *err);
int file_draft_commit(struct file_draft *draft, bool durable, struct err *err);
void file_draft_release(struct file_draft *draft);

/* Make path and what is missing above it, 0755 & ~umask each. */
int file_mkdirs_at(int dir_fd, const char *path, mode_t mode, struct err *err);

/*
 * Remove name under dir_fd with all below it: by descriptors, no link followed, without
 * recursion of the C stack, directories made writable first. Absent is no error.
 */
int file_remove_tree_at(int dir_fd, const char *name, struct err *err);

/*
 * Where an open directory is: the directory that holds it, which the caller closes, and its name
 * there. For trees in which nobody moves things. -1 with errno; ENOENT when it has no name.
 */
#define FILE_NAME_MAX 256
int file_own_name(int dir_fd, int *ret_parent_fd, char name[FILE_NAME_MAX]);

/* Copy len bytes from in's position to out's, in the kernel where it can. ERR_CORRUPT when `in`
 * ends early, ERR_CANCELLED when `cancel` (may be NULL) was asked. */
int file_copy(int in, int out, uint64_t len, const struct cancel *cancel, struct err *err);

/* 16 hexadecimal digits of randomness for temporary names. */
#define FILE_RANDOM_MAX 17
const char *file_random_name(char name[FILE_RANDOM_MAX]);

#endif
