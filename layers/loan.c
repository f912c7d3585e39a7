/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories of the store that are moved into a scratch directory for a while: before it is
 * removed, by its owner or by a sweep after his death, they go home.
 *
 * 1. The note of them, `loans` in the scratch directory, is there before the first is moved.
 * 2. What is found at the noted place is what was lent only if it is the same directory. A step may
 *    have made anything of the place: it is looked for inside the scratch directory (base/inroot).
 * 3. It goes home under the lock that its users hold, and not over what is there meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "layers/internal.h"
#include "layers/layer.h"
#include "layers/store.h"

#define LOANS_FILE "loans"
#define LOANS_MAX  (1 << 20) /* bytes of the note */
#define FIELDS	   4	     /* home, lock, place, inode: each with its NUL */

int snapshot_lend(struct snapshot *snapshot, const struct loan *loans, size_t n, struct err *err)
{
	int store_dir = store_fd(snapshot->store);
	cleanup_buf struct buf text;

	buf_init(&text, LOANS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		if (fstatat(store_dir, loans[i].home, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_os(err, "stat %s", loans[i].home);
		buf_addf(&text, "%s%c%s%c%s%c%" PRIu64 "%c", loans[i].home, 0, loans[i].lock, 0,
			 loans[i].place, 0, (uint64_t)st.st_ino, 0);
	}
	if (text.overflow)
		return err_set(err, ERR_LIMIT, "the names of what is mounted are too long");
	return file_replace_at(snapshot->scratch->dir_fd, LOANS_FILE, text.data, text.len, 0600,
			       false, err);
}

/* -1 with errno; ENOENT when it is not there. */
static int move_home(struct store *store, int root_fd, const char *const field[FIELDS])
{
	cleanup_fd int fd = inroot_open(root_fd, field[2], O_PATH | O_DIRECTORY, 0);
	cleanup_fd int parent = -1;
	char name[FILE_NAME_MAX], inode[24];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	snprintf(inode, sizeof(inode), "%" PRIu64, (uint64_t)st.st_ino);
	errno = ENOENT;
	if (strcmp(inode, field[3]) || file_own_name(fd, &parent, name) < 0)
		return -1;
	return renameat2(parent, name, store_fd(store), field[0], RENAME_NOREPLACE);
}

/* False when somebody uses the home now. */
static bool return_loan(struct store *store, int root_fd, const char *const field[FIELDS])
{
	struct err ignored = ERR_INIT;
	struct stat st;
	int lock;

	if (fstatat(store_fd(store), field[0], &st, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	if (store_lock(store, field[1], true, true, &lock, &ignored) < 0 || lock < 0)
		return false;
	move_home(store, root_fd, field);
	store_unlock(&lock);
	return true;
}

bool loans_return(struct store *store, int scratch_fd)
{
	cleanup_fd int root_fd =
		openat(scratch_fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct err ignored = ERR_INIT;
	cleanup_buf struct buf text;
	const char *field[FIELDS];
	size_t n = 0;
	bool all = true;

	buf_init(&text, LOANS_MAX);
	if (root_fd < 0 || file_read_at(scratch_fd, LOANS_FILE, &text, &ignored) < 0)
		return true;
	for (const char *at = text.data; at < text.data + text.len; at += strlen(at) + 1) {
		field[n++] = at;
		if (n == FIELDS)
			all &= return_loan(store, root_fd, field);
		n %= FIELDS;
	}
	return all;
}
