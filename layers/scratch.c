/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/scratch.c: work in progress under tmp/, and locks.
 *
 * A process that writes has one directory tmp/X, alive while a flock on tmp/X.lock is held; the
 * kernel drops it when the process dies. What the process has in the making is in there by number.
 * 1. The directory is made after its lock file is locked, and removed before its lock file is.
 * 2. Only the holder of a lock removes its file; so a maker that got the lock of a file which still
 *    has its name is safe from any sweep. One that has lost its name was swept in between: again.
 * 3. A forked child works in the same directory: its numbers are its parent's, so a number that is
 *    taken is passed over, and what it leaves goes with the parent's.
 * 4. Sweeping touches only names of our own form.
 * 5. What was lent to a directory goes home before it is removed (loan.c).
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/internal.h"
#include "layers/store.h"

#define LOCK_SUFFIX ".lock"
#define LOOK_MAX_MS 32 /* between two looks at a lock */
#define TRIES_MAX   100

static int lock_fd(int fd, int how)
{
	int bad;

	do
		bad = flock(fd, how);
	while (bad < 0 && errno == EINTR);
	return bad;
}

/* Lock without waiting a file that was opened by name. 1: it is ours and has its name; 0: not. */
static int own_file(int fd)
{
	struct stat st;

	return lock_fd(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Make tmp/<random>.lock and lock it; *ret_path is the name without its end. */
static int make_locked(struct store *store, char ret_path[WORKPLACE_PATH_MAX], int *ret_fd,
		       struct err *err)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		char random[FILE_RANDOM_MAX], path[WORKPLACE_PATH_MAX + sizeof(LOCK_SUFFIX)];
		cleanup_fd int fd = -1;

		snprintf(ret_path, WORKPLACE_PATH_MAX, "tmp/%s", file_random_name(random));
		snprintf(path, sizeof(path), "%s" LOCK_SUFFIX, ret_path);
		fd = openat(store_fd(store), path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return err_os(err, "make %s in the store", path);
		if (fd >= 0 && own_file(fd)) {
			*ret_fd = steal_fd(&fd);
			return 0;
		}
	}
	return err_set(err, ERR_FAILED, "cannot make a temporary file in the store");
}

/* Take home what is lent to any of a process's directories. False: some of it has to wait. */
static bool return_all(struct store *store, int dir_fd)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;
	bool all = true;

	if (!dir)
		file_close_at(&fd);
	while (dir && (item = readdir(dir))) {
		cleanup_fd int sub = -1;

		if (item->d_name[0] != '.')
			sub = openat(dir_fd, item->d_name,
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		all &= sub < 0 || loans_return(store, sub);
	}
	if (dir)
		closedir(dir);
	return all;
}

/* 1 when it has to stay for now. */
static int remove_workplace(struct store *store, int parent_fd, const char *name, struct err *err)
{
	cleanup_fd int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && !return_all(store, fd))
		return 1;
	return file_remove_tree_at(parent_fd, name, err);
}

/* --- the process's own directory -------------------------------------------------------------- */

void workplace_init(struct workplace *place)
{
	*place = (struct workplace){ .lock_fd = -1 };
	pthread_mutex_init(&place->guard, NULL);
}

void workplace_leave(struct store *store)
{
	struct workplace *place = store_workplace(store);
	char lock_path[WORKPLACE_PATH_MAX + sizeof(LOCK_SUFFIX)];
	struct err ignored = ERR_INIT;

	/* what cannot be removed now keeps its lock file, for the next sweep */
	if (place->lock_fd >= 0 &&
	    remove_workplace(store, store_fd(store), place->path, &ignored) == 0) {
		snprintf(lock_path, sizeof(lock_path), "%s" LOCK_SUFFIX, place->path);
		unlinkat(store_fd(store), lock_path, 0);
	}
	file_close_at(&place->lock_fd);
	pthread_mutex_destroy(&place->guard);
}

/* Guard held. */
static int enter_workplace(struct store *store, struct workplace *place, struct err *err)
{
	if (place->lock_fd < 0 && make_locked(store, place->path, &place->lock_fd, err) < 0)
		return -1;
	if (mkdirat(store_fd(store), place->path, 0700) < 0 && errno != EEXIST)
		return err_os(err, "make %s in the store", place->path);
	place->made = true;
	return 0;
}

/* A name that this process has not used yet. */
static int next_path(struct store *store, char ret_path[TMP_PATH_MAX], struct err *err)
{
	struct workplace *place = store_workplace(store);
	int bad = 0;

	pthread_mutex_lock(&place->guard);
	if (!place->made)
		bad = enter_workplace(store, place, err);
	if (!bad)
		snprintf(ret_path, TMP_PATH_MAX, "%s/%" PRIu64, place->path, place->next++);
	pthread_mutex_unlock(&place->guard);
	return bad;
}

int tmp_file_open(struct store *store, char ret_path[TMP_PATH_MAX], int *ret_fd, struct err *err)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		if (next_path(store, ret_path, err) < 0)
			return -1;
		*ret_fd = openat(store_fd(store), ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
				 0600);
		if (*ret_fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return err_os(err, "make %s in the store", ret_path);
}

/* --- scratch ---------------------------------------------------------------------------------- */

static int make_directory(struct scratch *scratch, struct err *err)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		char path[TMP_PATH_MAX];

		if (next_path(scratch->store, path, err) < 0)
			return -1;
		if (mkdirat(store_fd(scratch->store), path, 0700) == 0) {
			snprintf(scratch->path, sizeof(scratch->path), "%s", path);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return err_os(err, "make a directory in the store");
}

int scratch_open(struct store *store, struct scratch **ret_scratch, struct err *err)
{
	cleanup_with(scratch_free) struct scratch *scratch = xcalloc(1, sizeof(*scratch));

	scratch->store = store;
	scratch->dir_fd = -1;
	if (make_directory(scratch, err) < 0)
		return -1;
	scratch->dir_fd =
		openat(store_fd(store), scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scratch->dir_fd < 0)
		return err_os(err, "open %s in the store", scratch->path);
	*ret_scratch = steal_pointer(&scratch);
	return 0;
}

/* The descriptor is closed last: freeing a directory's blocks may wait for the disk, and would with
 * the directory above locked, in which others want to begin something. */
void scratch_free(struct scratch *scratch)
{
	struct err ignored = ERR_INIT;

	if (!scratch)
		return;
	if (scratch->path[0] &&
	    (scratch->dir_fd < 0 || loans_return(scratch->store, scratch->dir_fd)))
		file_remove_tree_at(store_fd(scratch->store), scratch->path, &ignored);
	file_close_at(&scratch->dir_fd);
	free(scratch);
}

/* --- sweeping --------------------------------------------------------------------------------- */

static int sweep_one(struct store *store, int tmp_fd, const char *name, struct err *err)
{
	size_t len = strspn(name, "0123456789abcdef");
	char dir_name[FILE_RANDOM_MAX], lock_name[FILE_RANDOM_MAX + sizeof(LOCK_SUFFIX)];
	cleanup_fd int fd = -1;
	struct stat st;
	int bad;

	if (len != FILE_RANDOM_MAX - 1 || (name[len] && strcmp(name + len, LOCK_SUFFIX)))
		return 0;
	if (fstatat(tmp_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	snprintf(dir_name, sizeof(dir_name), "%.*s", (int)len, name);
	snprintf(lock_name, sizeof(lock_name), "%s" LOCK_SUFFIX, dir_name);
	if (S_ISDIR(st.st_mode)) /* normally removed on behalf of its lock file */
		return faccessat(tmp_fd, lock_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0
			       ? 0
			       : remove_workplace(store, tmp_fd, dir_name, err);
	fd = openat(tmp_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || !own_file(fd))
		return 0;
	bad = name[len] ? remove_workplace(store, tmp_fd, dir_name, err) : 0;
	if (!bad)
		unlinkat(tmp_fd, name, 0);
	return bad;
}

int store_sweep(struct store *store, struct err *err)
{
	cleanup_fd int tmp_fd = openat(store_fd(store), "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = tmp_fd < 0 ? -1 : openat(tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;
	int bad = 0;

	if (!dir) {
		file_close_at(&fd);
		return err_os(err, "open the store's tmp directory");
	}
	while ((item = readdir(dir))) {
		struct err mine = ERR_INIT;

		/* one that resists must not keep the others */
		if (sweep_one(store, tmp_fd, item->d_name, &mine) < 0 && !bad) {
			*err = mine;
			bad = err_wrap(err, "sweep the store");
		}
	}
	closedir(dir);
	return bad;
}

/* --- locks ------------------------------------------------------------------------------------ */

static bool is_lock_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-");

	return len > 0 && len <= 200 && !name[len] && name[0] != '.';
}

static int open_lock(struct store *store, const char *name, struct err *err)
{
	char path[256];
	int fd;

	assert(is_lock_name(name));
	snprintf(path, sizeof(path), "locks/%s", name);
	fd = openat(store_fd(store), path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_os(err, "open %s in the store", path) : fd;
}

int store_lock(struct store *store, const char *name, bool exclusive, bool try, int *ret_fd,
	       struct err *err)
{
	cleanup_fd int fd = open_lock(store, name, err);

	if (fd < 0)
		return -1;
	if (lock_fd(fd, (exclusive ? LOCK_EX : LOCK_SH) | (try ? LOCK_NB : 0)) < 0) {
		if (!try || errno != EWOULDBLOCK)
			return err_os(err, "lock %s in the store", name);
		*ret_fd = -1;
		return 0;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Nobody who waits in flock() can be told of anything else: with a store that heeds, it is asked
 * again and again. */
int store_wait_lock(struct store *store, const char *name, bool exclusive, int *ret_fd,
		    struct err *err)
{
	const struct cancel *cancel = store_cancel(store);

	for (unsigned ms = 1;; ms = ms < LOOK_MAX_MS ? 2 * ms : LOOK_MAX_MS) {
		if (store_lock(store, name, exclusive, cancel != NULL, ret_fd, err) < 0)
			return -1;
		if (*ret_fd >= 0)
			return 0;
		if (cancel_pause(cancel, ms, err) < 0)
			return -1;
	}
}

/* One byte of the file stands for the key: its first bits are the byte's place. */
int store_lock_key(struct store *store, const char *name, const struct digest *key, int *ret_fd,
		   struct err *err)
{
	cleanup_fd int fd = open_lock(store, name, err);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (fd < 0)
		return -1;
	memcpy(&lock.l_start, key->bytes, sizeof(lock.l_start));
	lock.l_start &= INT64_MAX >> 1;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return err_os(err, "lock %s in the store", name);
		*ret_fd = -1;
		return 0;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

void store_unlock(int *fd)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (*fd < 0)
		return;
	lock_fd(*fd, LOCK_UN);
	fcntl(*fd, F_OFD_SETLK, &all);
	close(*fd);
	*fd = -1;
}
