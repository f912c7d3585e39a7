/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/store.c: the directory of the store.
 *
 * 1. A directory becomes a store when its `format` file is complete; that is written last, so a
 *    crash before it leaves a directory that the next store_open() finishes.
 * 2. A directory without `format` is only taken when it holds nothing but our own names. So no
 *    directory of somebody's is ever swept by mistake.
 * 3. All work goes through the descriptor that was opened and checked here, before any user
 *    namespace: afterwards neither the path nor the owner's number means the same.
 */
#include "layers/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "layers/internal.h"

static const char store_format[] = "cbuild store 1\n";

static const char *const store_directories[] = {
	"blobs",  "blobs/sha256", "images",   "images/ids", "images/names", "layers",
	"trees",  "steps",	  "contexts", "fetches",    "builds",	    "costs",
	"mounts", "tmp",	  "locks",    "flat",	    "own",	    "own-flat",
	"nested",
};

/* Stands in the store while what a build wrote was not synced on purpose. */
#define UNSYNCED "unsynced"

struct store {
	char *path;
	int dir_fd;
	uint64_t layer_max;
	bool sync_failed;
	bool flat_trees;
	bool is_roots; /* it was opened by him, maybe the root of a container */
	_Atomic(const char *) opaque_name; /* that overlayfs reads where we are */
	enum owner_record owners;
	const struct cancel *cancel;
	struct workplace workplace;
	pthread_mutex_t early_guard; /* stages begin as they come */
	struct pool *early;	     /* see store_begin_sync() */
	atomic_bool early_runs;
};

int store_fd(const struct store *store)
{
	return store->dir_fd;
}

struct workplace *store_workplace(struct store *store)
{
	return &store->workplace;
}

void store_use_flat_trees(struct store *store)
{
	store->flat_trees = true;
}

bool store_has_flat_trees(const struct store *store)
{
	return store->flat_trees;
}

bool store_is_roots(const struct store *store)
{
	return store->is_roots;
}

void store_note_namespace(struct store *store)
{
	store->opaque_name = overlay_opaque_name();
}

const char *store_opaque_name(const struct store *store)
{
	return store->opaque_name;
}

void store_record_owners(struct store *store, bool modes)
{
	store->owners = modes ? OWNER_AND_MODE_RECORDED : OWNER_RECORDED;
}

bool store_records_owners(const struct store *store)
{
	return store->owners != OWNER_GIVEN;
}

enum owner_record store_owner_record(const struct store *store)
{
	return store->owners;
}

const char *store_path(const struct store *store)
{
	return store->path;
}

void store_limit_layers(struct store *store, uint64_t max_bytes)
{
	store->layer_max = max_bytes;
}

uint64_t store_layer_max(const struct store *store)
{
	return store->layer_max;
}

void store_heed(struct store *store, const struct cancel *cancel)
{
	store->cancel = cancel;
}

const struct cancel *store_cancel(const struct store *store)
{
	return store->cancel;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	pool_close(store->early);
	pthread_mutex_destroy(&store->early_guard);
	workplace_leave(store);
	file_close_at(&store->dir_fd);
	free(store->path);
	free(store);
}

static char *absolute_path(const char *path, struct err *err)
{
	cleanup_free char *cwd = NULL;

	if (path[0] == '/')
		return xstrdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd) {
		err_os(err, "find the current directory");
		return NULL;
	}
	return xasprintf("%s/%s", cwd, path);
}

static int make_directory(const char *path, struct err *err)
{
	cleanup_free char *parent = xstrdup(path);
	char *slash = strrchr(parent, '/');

	while (slash > parent && !slash[1]) { /* trailing slashes */
		*slash = '\0';
		slash = strrchr(parent, '/');
	}
	*slash = '\0';
	if (parent[0] && file_mkdirs_at(AT_FDCWD, parent, 0755, err) < 0)
		return -1;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_os(err, "make directory %s", path);
	return 0;
}

static int check_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_os(err, "stat %s", path);
	if (st.st_uid != geteuid())
		return err_set(err, ERR_DENIED, "%s belongs to user %u, not to user %u", path,
			       (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & 022)
		return err_set(err, ERR_DENIED, "%s can be written by others", path);
	return 0;
}

static bool is_our_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(store_directories); i++)
		if (!strcmp(name, store_directories[i]))
			return true;
	return !strcmp(name, "format") || !strcmp(name, "synced");
}

static int check_nothing_foreign(int dir_fd, const char *path, struct err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;
	int bad = 0;

	if (!dir) {
		file_close_at(&fd);
		return err_os(err, "open %s", path);
	}
	while (!bad && (item = readdir(dir)))
		if (strcmp(item->d_name, ".") && strcmp(item->d_name, "..") &&
		    !is_our_name(item->d_name))
			bad = err_set(err, ERR_INVALID,
				      "%s is not a store: it holds %s; name an empty directory",
				      path, item->d_name);
	closedir(dir);
	return bad;
}

/* 1: the format file is there and whole; 0: it is missing or was never finished. */
static int check_format(int dir_fd, const char *path, struct err *err)
{
	cleanup_buf struct buf text;
	struct err mine = ERR_INIT;

	buf_init(&text, sizeof(store_format) - 1);
	if (file_read_at(dir_fd, "format", &text, &mine) < 0) {
		if (mine.kind == ERR_NOT_FOUND)
			return 0;
		if (mine.kind != ERR_LIMIT) {
			*err = mine;
			return err_wrap(err, "%s", path);
		}
	} else if (!strcmp(text.data, store_format)) {
		return 1;
	} else if (!strncmp(text.data, store_format, text.len)) {
		return 0;
	}
	return err_set(err, ERR_UNSUPPORTED, "%s is a store of another version", path);
}

static int write_format(int dir_fd, struct err *err)
{
	cleanup_fd int fd = openat(dir_fd, "format", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	/* not truncated: two processes that make the same store write the same bytes */
	if (fd < 0 || write_all(fd, store_format, sizeof(store_format) - 1) < 0)
		return err_os(err, "write the store's format file");
	return 0;
}

/*
 * What lies below tmp/ belongs to builds that have nothing to do with each other. ext4 then looks
 * for a quiet part of the disk for each, where it would else search for a free inode beside all
 * those that are in use or have just been removed. A hint: other file systems do not know it.
 */
static void spread_tmp(int dir_fd)
{
	cleanup_fd int fd = openat(dir_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int flags;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return;
	flags |= FS_TOPDIR_FL;
	ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int make_layout(struct store *store, struct err *err)
{
	struct err ignored = ERR_INIT;

	/* names that come and go in a store: another process has just made it */
	if (check_nothing_foreign(store->dir_fd, store->path, err) < 0)
		return check_format(store->dir_fd, store->path, &ignored) == 1 ? 0 : -1;
	if (fchmod(store->dir_fd, 0700) < 0)
		return err_os(err, "set the mode of %s", store->path);
	for (size_t i = 0; i < ARRAY_SIZE(store_directories); i++)
		if (mkdirat(store->dir_fd, store_directories[i], 0700) < 0 && errno != EEXIST)
			return err_os(err, "make %s in %s", store_directories[i], store->path);
	spread_tmp(store->dir_fd);
	return write_format(store->dir_fd, err);
}

int store_open(const char *path, bool create, struct store **ret_store, struct err *err)
{
	cleanup_with(store_free) struct store *store = xcalloc(1, sizeof(*store));
	int whole;

	store->dir_fd = -1;
	store->is_roots = geteuid() == 0;
	store_note_namespace(store);
	workplace_init(&store->workplace);
	pthread_mutex_init(&store->early_guard, NULL);
	store->path = absolute_path(path, err);
	if (!store->path)
		return -1;
	store->dir_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir_fd < 0 && errno == ENOENT && create) {
		if (make_directory(store->path, err) < 0)
			return err_wrap(err, "make the store");
		store->dir_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (store->dir_fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "there is no store at %s", path);
	if (store->dir_fd < 0)
		return err_os(err, "open the store %s", path);
	if (check_owner(store->dir_fd, store->path, err) < 0)
		return err_wrap(err, "open the store");
	whole = check_format(store->dir_fd, store->path, err);
	if (whole < 0)
		return err_wrap(err, "open the store");
	if (!whole && !create)
		return err_set(err, ERR_NOT_FOUND, "there is no store at %s", path);
	if (!whole && make_layout(store, err) < 0)
		return err_wrap(err, "make the store");
	if (boot_check(store, err) < 0)
		return err_wrap(err, "open the store");
	*ret_store = steal_pointer(&store);
	return 0;
}

/* An error is left to store_sync(): the kernel tells of one once for each open descriptor. */
static void write_out(void *arg)
{
	struct store *store = arg;
	cleanup_fd int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		syncfs(fd);
	store->early_runs = false;
}

void store_begin_sync(struct store *store)
{
	pthread_mutex_lock(&store->early_guard);
	if (!store->early_runs) {
		pool_close(store->early);
		store->early_runs = true;
		store->early = pool_open(1, write_out, store);
	}
	pthread_mutex_unlock(&store->early_guard);
}

int store_sync(struct store *store, struct err *err)
{
	int64_t began = clock_wall_ns();

	if (store->sync_failed)
		return err_set(err, ERR_CORRUPT,
			       "%s: an earlier sync failed, what was written since is not safe",
			       store->path);
	unlinkat(store->dir_fd, UNSYNCED, 0); /* first: who puts off from now on leaves it again */
	if (syncfs(store->dir_fd) < 0) {
		struct err ignored = ERR_INIT;

		store->sync_failed = true;
		err_os(err, "sync %s", store->path);
		store_put_off_sync(store, &ignored);
		return -1;
	}
	return boot_note_sync(store, began, err);
}

int store_put_off_sync(struct store *store, struct err *err)
{
	return file_replace_at(store->dir_fd, UNSYNCED, "", 0, 0600, false, err);
}

bool store_is_synced(const struct store *store)
{
	return faccessat(store->dir_fd, UNSYNCED, F_OK, 0) < 0;
}
