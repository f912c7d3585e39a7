/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/mem.h"

#define COPY_MAX ((size_t)16 * 1024 * 1024) /* bytes of one copy_file_range() */

#ifndef RWF_DONTCACHE /* glibc before 2.42 */
#define RWF_DONTCACHE 0x80
#endif

ssize_t read_all(int fd, void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = read(fd, (char *)data + done, len - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t pread_all(int fd, void *data, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = pread(fd, (char *)data + done, len - done, offset + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int write_all(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t put = write(fd, (const char *)data + done, len - done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		done += (size_t)put;
	}
	return 0;
}

/* --- once ------------------------------------------------------------------------------------- */

/* Whether the flag is what a call failed for. */
static bool is_not_supported(void)
{
	return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
}

ssize_t read_once(int fd, void *data, size_t len)
{
	struct iovec all = { data, len };
	ssize_t got;

	do {
		got = preadv2(fd, &all, 1, -1, RWF_DONTCACHE);
		if (got < 0 && is_not_supported())
			got = read(fd, data, len);
	} while (got < 0 && errno == EINTR);
	return got;
}

int write_all_once(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct iovec rest = { (char *)data + done, len - done };
		ssize_t put = pwritev2(fd, &rest, 1, -1, RWF_DONTCACHE);

		if (put < 0 && is_not_supported()) {
			put = write(fd, rest.iov_base, rest.iov_len);
			if (put > 0)
				sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		}
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		done += (size_t)put;
	}
	return 0;
}

int file_read_at(int dir_fd, const char *path, struct buf *buf, struct err *err)
{
	cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char block[16384];
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: no such file", path);
	if (fd < 0)
		return err_os(err, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_os(err, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s: not a regular file", path);
	for (;;) {
		ssize_t got = read_all(fd, block, sizeof(block));

		if (got < 0)
			return err_os(err, "read %s", path);
		if (buf_add(buf, block, (size_t)got) < 0)
			return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, buf->max);
		if ((size_t)got < sizeof(block)) /* read_all() came to the end */
			return 0;
	}
}

int file_draft_open(int dir_fd, const char *path, mode_t mode, struct file_draft *draft,
		    struct err *err)
{
	char name[FILE_RANDOM_MAX];

	draft->dir_fd = dir_fd;
	draft->path = path;
	draft->fd = -1;
	if (snprintf(draft->tmp, sizeof(draft->tmp), "%s.%s", path, file_random_name(name)) >=
	    (int)sizeof(draft->tmp))
		return err_set(err, ERR_LIMIT, "%.100s...: name too long", path);
	draft->fd = openat(dir_fd, draft->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (draft->fd < 0)
		return err_os(err, "create %s", draft->tmp);
	return 0;
}

int file_draft_commit(struct file_draft *draft, bool durable, struct err *err)
{
	int fd = draft->fd, bad = durable && fsync(fd) < 0;

	draft->fd = -1;
	if (bad)
		err_os(err, "write %s", draft->path);
	if (close(fd) < 0 && !bad)
		bad = err_os(err, "write %s", draft->path);
	if (!bad && renameat(draft->dir_fd, draft->tmp, draft->dir_fd, draft->path) < 0)
		bad = err_os(err, "rename %s to %s", draft->tmp, draft->path);
	if (bad)
		unlinkat(draft->dir_fd, draft->tmp, 0);
	return bad ? -1 : 0;
}

void file_draft_release(struct file_draft *draft)
{
	if (draft->fd < 0)
		return;
	file_close_at(&draft->fd);
	unlinkat(draft->dir_fd, draft->tmp, 0);
}

int file_replace_at(int dir_fd, const char *path, const void *data, size_t len, mode_t mode,
		    bool durable, struct err *err)
{
	struct file_draft draft;

	if (file_draft_open(dir_fd, path, mode, &draft, err) < 0)
		return -1;
	if (write_all(draft.fd, data, len) < 0) {
		err_os(err, "write %s", path);
		file_draft_release(&draft);
		return -1;
	}
	return file_draft_commit(&draft, durable, err);
}

int file_near(int dir_fd, const char **path, int *ret_owned_fd)
{
	cleanup_fd int near = -1;
	char piece[PATH_MAX];

	while (strlen(*path) >= PATH_MAX) {
		size_t len = PATH_MAX - 1;
		int next;

		while (len > 0 && (*path)[len] != '/')
			len--;
		if (len == 0) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(piece, *path, len);
		piece[len] = '\0';
		next = openat(near < 0 ? dir_fd : near, piece, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return -1;
		file_close_at(&near);
		near = next;
		*path += len;
		*path += strspn(*path, "/"); /* what begins with one would be absolute */
	}
	*ret_owned_fd = steal_fd(&near);
	return *ret_owned_fd < 0 ? dir_fd : *ret_owned_fd;
}

int file_mkdirs_at(int dir_fd, const char *path, mode_t mode, struct err *err)
{
	cleanup_free char *part = xstrdup(path);

	for (char *slash = part + 1;; slash++) {
		char kept = *slash;

		if (kept && kept != '/')
			continue;
		*slash = '\0';
		if (mkdirat(dir_fd, part, mode) < 0 && errno != EEXIST)
			return err_os(err, "make directory %s", part);
		*slash = kept;
		if (!kept)
			return 0;
	}
}

/* One directory that is being emptied; a stack of these stands for the path from the top. */
struct emptied {
	DIR *dir;
	char *name;
};

static DIR *open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0)
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? NULL : fdopendir(fd);
}

/* unlinkat() that makes an unwritable parent writable first. */
static int unlink_hard(int dir_fd, const char *name, int flags)
{
	if (unlinkat(dir_fd, name, flags) == 0)
		return 0;
	if (errno != EACCES || fchmod(dir_fd, 0700) < 0)
		return -1;
	return unlinkat(dir_fd, name, flags);
}

/* Moves a directory, whose "..", own parent and new parent must all be writable. */
static int hang_under(int top_fd, int dir_fd, const char *name)
{
	char random[FILE_RANDOM_MAX];

	file_random_name(random);
	if (renameat(dir_fd, name, top_fd, random) == 0)
		return 0;
	if (errno != EACCES || fchmod(top_fd, 0700) < 0 || fchmod(dir_fd, 0700) < 0 ||
	    fchmodat(dir_fd, name, 0700, 0) < 0)
		return -1;
	return renameat(dir_fd, name, top_fd, random);
}

/*
 * The stack holds one open directory per level. Trees deeper than descriptors allow cannot be
 * walked so; such a level is flattened by moving it up next to the top (rename within the same
 * file system) and emptied from there.
 */
#define REMOVE_DEPTH_MAX 200

int file_remove_tree_at(int dir_fd, const char *name, struct err *err)
{
	struct emptied stack[REMOVE_DEPTH_MAX];
	size_t depth = 0;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	stack[0].dir = open_dir(dir_fd, name);
	if (!stack[0].dir)
		return err_os(err, "remove %s", name);
	stack[0].name = xstrdup(name);
	for (depth = 1; depth > 0;) {
		struct emptied *top = &stack[depth - 1];
		int fd = dirfd(top->dir);
		struct dirent *item;

		errno = 0;
		item = readdir(top->dir);
		if (!item && errno)
			goto failed;
		if (!item) {
			int above = depth > 1 ? dirfd(stack[depth - 2].dir) : dir_fd;

			if (unlink_hard(above, top->name, AT_REMOVEDIR) < 0) {
				if (errno != ENOTEMPTY && errno != EEXIST)
					goto failed;
				rewinddir(top->dir);
				continue;
			}
			closedir(top->dir);
			free(top->name);
			depth--;
			continue;
		}
		if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, ".."))
			continue;
		if (item->d_type != DT_DIR && unlink_hard(fd, item->d_name, 0) == 0)
			continue;
		if (item->d_type != DT_DIR && errno != EISDIR && errno != EPERM)
			goto failed;
		if (depth == REMOVE_DEPTH_MAX) {
			/* too deep: hang it under the top directory, to be met again there */
			if (hang_under(dirfd(stack[0].dir), fd, item->d_name) < 0)
				goto failed;
			continue;
		}
		stack[depth].dir = open_dir(fd, item->d_name);
		if (!stack[depth].dir)
			goto failed;
		stack[depth++].name = xstrdup(item->d_name);
	}
	return 0;
failed:
	err_os(err, "remove below %s", name);
	while (depth-- > 0) {
		closedir(stack[depth].dir);
		free(stack[depth].name);
	}
	return -1;
}

static int copy_by_blocks(int in, int out, uint64_t len, const struct cancel *cancel,
			  struct err *err)
{
	const size_t size = 256 * 1024;
	cleanup_free char *block = xmalloc(size);

	while (len > 0) {
		ssize_t got;

		if (cancel_check(cancel, err) < 0)
			return -1;
		got = read_all(in, block, len < size ? (size_t)len : size);
		if (got < 0)
			return err_os(err, "read");
		if (got == 0)
			return err_set(err, ERR_CORRUPT, "file ended early");
		if (write_all(out, block, (size_t)got) < 0)
			return err_os(err, "write");
		len -= (uint64_t)got;
	}
	return 0;
}

/* The directory's stream; it takes the descriptor. */
static int find_inode(DIR *dir, const struct stat *wanted, char name[FILE_NAME_MAX])
{
	const struct dirent *item;

	while ((item = readdir(dir))) {
		struct stat st;

		if (strcmp(item->d_name, ".") && strcmp(item->d_name, "..") &&
		    fstatat(dirfd(dir), item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ino == wanted->st_ino && st.st_dev == wanted->st_dev) {
			snprintf(name, FILE_NAME_MAX, "%s", item->d_name);
			return 0;
		}
	}
	errno = ENOENT;
	return -1;
}

int file_own_name(int dir_fd, int *ret_parent_fd, char name[FILE_NAME_MAX])
{
	cleanup_fd int parent = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = parent < 0 ? -1 : fcntl(parent, F_DUPFD_CLOEXEC, 0), bad;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct stat st;

	if (!dir) {
		file_close_at(&fd);
		return -1;
	}
	bad = fstat(dir_fd, &st) < 0 || find_inode(dir, &st, name) < 0;
	closedir(dir);
	if (bad)
		return -1;
	*ret_parent_fd = steal_fd(&parent);
	return 0;
}

int file_copy(int in, int out, uint64_t len, const struct cancel *cancel, struct err *err)
{
	while (len > 0) {
		size_t want = len < COPY_MAX ? (size_t)len : COPY_MAX;
		ssize_t got;

		if (cancel_check(cancel, err) < 0)
			return -1;
		got = copy_file_range(in, NULL, out, NULL, want, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
				errno == EOPNOTSUPP || errno == EPERM || errno == EBADF))
			return copy_by_blocks(in, out, len, cancel, err);
		if (got < 0)
			return err_os(err, "copy");
		if (got == 0) /* some file systems of the kernel's own say 0 for "not here" */
			return copy_by_blocks(in, out, len, cancel, err);
		len -= (uint64_t)got;
	}
	return 0;
}

const char *file_random_name(char name[FILE_RANDOM_MAX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[(FILE_RANDOM_MAX - 1) / 2];

	if (getentropy(bytes, sizeof(bytes)) < 0)
		abort();
	for (size_t i = 0; i < sizeof(bytes); i++) {
		name[2 * i] = digits[bytes[i] >> 4];
		name[2 * i + 1] = digits[bytes[i] & 15];
	}
	name[FILE_RANDOM_MAX - 1] = '\0';
	return name;
}
