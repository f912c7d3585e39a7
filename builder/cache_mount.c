/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cache mounts as a whole: mounts/ of the store, which mount_cache.c describes. Locks are taken in
 * the order of scopes, as steps take theirs, which have one of each scope at most.
 */
#include "builder/cache_mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strv.h"
#include "builder/mount.h"
#include "builder/remote.h"
#include "layers/layer.h"
#include "layers/store.h"

#define CACHES_MAX   100000
#define SCOPE_DIGITS 64

const char *cache_mount_lock(const char *hex, unsigned n, char name[CACHE_LOCK_MAX])
{
	snprintf(name, CACHE_LOCK_MAX, "mount.%s.%u", hex, n);
	return name;
}

/* --- directories ------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int cache_mount_names(int dir_fd, const char *path, struct strv *names, struct err *err)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;
	int bad = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (!dir) {
		err_os(err, "open %s", path);
		file_close_at(&fd);
		return -1;
	}
	while (!bad && (item = readdir(dir))) {
		if (strcmp(item->d_name, ".") && strcmp(item->d_name, ".."))
			strv_add(names, item->d_name);
		if (names->n > CACHES_MAX)
			bad = err_set(err, ERR_LIMIT, "more than %d names in %s", CACHES_MAX, path);
	}
	closedir(dir);
	if (bad)
		return -1;
	if (names->n)
		qsort(names->v, names->n, sizeof(*names->v), compare_names);
	return 0;
}

bool cache_mount_is_scope(const char *name)
{
	return strlen(name) == SCOPE_DIGITS && strspn(name, "0123456789abcdef") == SCOPE_DIGITS;
}

bool cache_mount_copy(const char *name, unsigned *ret_n)
{
	size_t len = strlen(name);
	unsigned n = 0;

	if (!len || len > 3 || strspn(name, "0123456789") != len || (len > 1 && *name == '0'))
		return false;
	for (size_t i = 0; i < len; i++)
		n = n * 10 + (unsigned)(name[i] - '0');
	*ret_n = n;
	return true;
}

/* --- looking ---------------------------------------------------------------------------------- */

void cache_mounts_free(struct cache_mounts *mounts)
{
	if (!mounts)
		return;
	for (size_t i = 0; i < mounts->n; i++)
		free(mounts->v[i].id);
	free(mounts->v);
	free(mounts);
}

static int64_t mtime_of(int dir_fd, const char *path)
{
	struct stat st;

	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
}

static void measure(struct store *store, struct cache_mount *mount, const char *copy)
{
	cleanup_free char *path = xasprintf("mounts/%s/%s", mount->scope, copy);
	cleanup_free char *lock_path = NULL;
	char lock[CACHE_LOCK_MAX];
	cleanup_fd int fd = -1;
	unsigned n = 0;
	int64_t used;

	if (!cache_mount_copy(copy, &n))
		return;
	fd = openat(store_fd(store), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	mount->copies++;
	mount->size += dir_usage(fd);
	lock_path = xasprintf("locks/%s", cache_mount_lock(mount->scope, n, lock));
	used = mtime_of(store_fd(store), lock_path);
	if (used > mount->used)
		mount->used = used;
}

/* One that is being made has no id or no directory yet: it is left out. */
static int look_at(struct store *store, const char *scope, struct cache_mounts *mounts,
		   struct err *err)
{
	cleanup_free char *dir = xasprintf("mounts/%s", scope);
	cleanup_free char *id_path = xasprintf("%s/id", dir);
	struct cache_mount mount = { .copies = 0 };
	cleanup_strv struct strv copies = STRV_INIT;
	cleanup_buf struct buf id;
	struct err ignored = ERR_INIT;

	buf_init(&id, CACHE_ID_MAX);
	snprintf(mount.scope, sizeof(mount.scope), "%s", scope);
	if (file_read_at(store_fd(store), id_path, &id, &ignored) < 0)
		return 0;
	if (cache_mount_names(store_fd(store), dir, &copies, err) < 0)
		return -1;
	for (size_t i = 0; i < copies.n; i++)
		measure(store, &mount, copies.v[i]);
	if (!mount.copies)
		return 0;
	mount.id = buf_steal(&id);
	mounts->v = grow_vector(mounts->v, mounts->n, &mounts->cap, sizeof(*mounts->v));
	mounts->v[mounts->n++] = mount;
	return 0;
}

static int compare_mounts(const void *a, const void *b)
{
	const struct cache_mount *x = a, *y = b;
	int order = strcmp(x->id, y->id);

	return order ? order : strcmp(x->scope, y->scope);
}

int cache_mounts_list(struct store *store, struct cache_mounts **ret_mounts, struct err *err)
{
	cleanup_with(cache_mounts_free) struct cache_mounts *mounts = xcalloc(1, sizeof(*mounts));
	cleanup_strv struct strv scopes = STRV_INIT;

	if (rights_enter(store, BUILD_ISOLATION_AUTO, err) < 0 ||
	    cache_mount_names(store_fd(store), "mounts", &scopes, err) < 0)
		return -1;
	for (size_t i = 0; i < scopes.n; i++)
		if (cache_mount_is_scope(scopes.v[i]) &&
		    look_at(store, scopes.v[i], mounts, err) < 0)
			return -1;
	if (mounts->n)
		qsort(mounts->v, mounts->n, sizeof(*mounts->v), compare_mounts);
	*ret_mounts = steal_pointer(&mounts);
	return 0;
}

/* --- out -------------------------------------------------------------------------------------- */

struct chosen {
	struct strv scopes; /* sorted */
	int *locks;
	size_t n_locks, cap_locks;
};

static void chosen_release(struct chosen *chosen)
{
	for (size_t i = 0; i < chosen->n_locks; i++)
		close(chosen->locks[i]);
	free(chosen->locks);
	strv_release(&chosen->scopes);
}

static int choose_id(const struct cache_mounts *mounts, const char *id, struct chosen *chosen,
		     struct err *err)
{
	size_t before = chosen->scopes.n;

	for (size_t i = 0; i < mounts->n; i++)
		if (!id || !strcmp(mounts->v[i].id, id))
			strv_add(&chosen->scopes, mounts->v[i].scope);
	if (id && chosen->scopes.n == before)
		return err_set(err, ERR_NOT_FOUND, "no cache mount has the id \"%s\"", id);
	return 0;
}

static int choose(struct store *store, const struct strv *ids, struct chosen *chosen,
		  struct err *err)
{
	cleanup_with(cache_mounts_free) struct cache_mounts *mounts = NULL;

	if (cache_mounts_list(store, &mounts, err) < 0 ||
	    (!ids->n && choose_id(mounts, NULL, chosen, err) < 0))
		return -1;
	for (size_t i = 0; i < ids->n; i++)
		if (choose_id(mounts, ids->v[i], chosen, err) < 0)
			return -1;
	if (chosen->scopes.n)
		qsort(chosen->scopes.v, chosen->scopes.n, sizeof(char *), compare_names);
	for (size_t i = 1; i < chosen->scopes.n; i++)
		if (!strcmp(chosen->scopes.v[i], chosen->scopes.v[i - 1]))
			strv_remove(&chosen->scopes, i--); /* an id given twice */
	return 0;
}

/* Nobody has them mounted while this is held; a step that has is waited for. */
static int lock_scope(struct store *store, const char *scope, struct chosen *chosen,
		      struct err *err)
{
	cleanup_free char *dir = xasprintf("mounts/%s", scope);
	cleanup_strv struct strv copies = STRV_INIT;
	char name[CACHE_LOCK_MAX];

	if (cache_mount_names(store_fd(store), dir, &copies, err) < 0)
		return -1;
	for (size_t i = 0; i < copies.n; i++) {
		unsigned copy;
		int fd;

		if (!cache_mount_copy(copies.v[i], &copy))
			continue;
		if (store_lock(store, cache_mount_lock(scope, copy, name), true, false, &fd, err) <
		    0)
			return -1;
		chosen->locks = grow_vector(chosen->locks, chosen->n_locks, &chosen->cap_locks,
					    sizeof(int));
		chosen->locks[chosen->n_locks++] = fd;
	}
	return 0;
}

static bool is_chosen(void *arg, const char *path)
{
	const struct chosen *chosen = arg;
	char name[SCOPE_DIGITS + 1];
	const char *at = name;

	if (strcspn(path, "/") != SCOPE_DIGITS)
		return false;
	memcpy(name, path, SCOPE_DIGITS);
	name[SCOPE_DIGITS] = '\0';
	return chosen->scopes.n &&
	       bsearch(&at, chosen->scopes.v, chosen->scopes.n, sizeof(char *), compare_names);
}

static int export_chosen(struct store *store, struct chosen *chosen, int fd, struct err *err)
{
	cleanup_fd int dir_fd = -1;

	for (size_t i = 0; i < chosen->scopes.n; i++)
		if (lock_scope(store, chosen->scopes.v[i], chosen, err) < 0)
			return -1;
	if (mkdirat(store_fd(store), "mounts", 0700) < 0 && errno != EEXIST)
		return err_os(err, "make directory mounts");
	dir_fd = openat(store_fd(store), "mounts", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return err_os(err, "open mounts/ in the store");
	return tar_pack(dir_fd, is_chosen, chosen, COMPRESSION_ZSTD, fd, err);
}

int cache_mounts_export(struct store *store, const struct strv *ids, int fd, size_t *ret_n,
			struct err *err)
{
	struct chosen chosen = { .scopes = STRV_INIT };
	int status = choose(store, ids, &chosen, err);

	if (status == 0)
		status = export_chosen(store, &chosen, fd, err);
	*ret_n = chosen.scopes.n;
	chosen_release(&chosen);
	return status;
}
