/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cache mounts out of a tar that anybody may have made.
 *  1. It is unpacked under tmp/ by a process whose root is the target, and looked through: names
 * that are scopes, in each an id and numbered directories, and nothing else.
 *  2. Only then directories are replaced, each under its lock: old and new change places in one
 * system call, or where the file system cannot do that the old one is put aside first, and back
 * when the new one cannot take its place. What was there goes with the scratch directory.
 */
#include "builder/cache_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/strv.h"
#include "builder/mount.h"
#include "builder/remote.h"
#include "layers/store.h"

struct import {
	struct store *store;
	struct tree tree;
	struct strv scopes; /* in it */
	unsigned replaced;  /* directories that were put aside */
};

static int strange(const char *scope, const char *name, struct err *err)
{
	return err_set(err, ERR_INVALID, "not an export of cache mounts: \"%.80s%s%.80s\" in it",
		       scope, *name ? "/" : "", name);
}

/* --- looking through it ----------------------------------------------------------------------- */

static bool is_directory(int dir_fd, const char *path)
{
	struct stat st;

	return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int check_scope(const struct import *import, const char *scope, struct err *err)
{
	cleanup_strv struct strv names = STRV_INIT;
	bool has_id = false;

	if (!cache_mount_is_scope(scope) || !is_directory(import->tree.dir_fd, scope))
		return strange(scope, "", err);
	if (cache_mount_names(import->tree.dir_fd, scope, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		cleanup_free char *path = xasprintf("%s/%s", scope, names.v[i]);
		unsigned n;

		if (!strcmp(names.v[i], "id"))
			has_id = true;
		else if (!cache_mount_copy(names.v[i], &n) ||
			 !is_directory(import->tree.dir_fd, path))
			return strange(scope, names.v[i], err);
	}
	return has_id ? 0 : strange(scope, "no id", err);
}

/* --- putting it in place ---------------------------------------------------------------------- */

static int put_id(const struct import *import, const char *scope, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/id", scope);
	cleanup_free char *place = xasprintf("mounts/%s/id", scope);
	cleanup_free char *text = NULL;
	size_t len;

	if (inroot_read(import->tree.dir_fd, path, CACHE_ID_MAX, &text, &len, err) < 0)
		return -1;
	if (strlen(text) != len)
		return strange(scope, "id", err);
	return file_replace_at(store_fd(import->store), place, text, len, 0600, false, err);
}

/* Two renames; a crash between them leaves the step with an empty cache. */
static int replace(struct import *import, const char *from, const char *place, struct err *err)
{
	cleanup_free char *old = xasprintf("old.%u", import->replaced++);
	int scratch_dir = import->tree.scratch->dir_fd, store_dir = store_fd(import->store);

	if (renameat(store_dir, place, scratch_dir, old) < 0)
		return err_os(err, "put %s aside", place);
	if (renameat(import->tree.dir_fd, from, store_dir, place) == 0)
		return 0;
	err_os(err, "put %s in its place", place);
	if (renameat(scratch_dir, old, store_dir, place) < 0)
		err_wrap(err, "what was there is lost (%s)", strerrordesc_np(errno));
	return -1;
}

static int put_in_place(struct import *import, const char *from, const char *place, struct err *err)
{
	int from_dir = import->tree.dir_fd, store_dir = store_fd(import->store);

	if (renameat2(from_dir, from, store_dir, place, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno == EINVAL)
		return replace(import, from, place, err);
	if (errno != ENOENT || renameat(from_dir, from, store_dir, place) < 0)
		return err_os(err, "put %s in its place", place);
	return 0;
}

static int put_copy(struct import *import, const char *scope, const char *copy, unsigned n,
		    struct err *err)
{
	cleanup_free char *from = xasprintf("%s/%s", scope, copy);
	cleanup_free char *place = xasprintf("mounts/%s/%s", scope, copy);
	char name[CACHE_LOCK_MAX];
	cleanup_fd int lock = -1;

	if (store_lock(import->store, cache_mount_lock(scope, n, name), true, false, &lock, err) <
	    0)
		return -1;
	futimens(lock, NULL);
	return put_in_place(import, from, place, err);
}

static int put_scope(struct import *import, const char *scope, struct err *err)
{
	cleanup_free char *dir = xasprintf("mounts/%s", scope);
	cleanup_strv struct strv names = STRV_INIT;
	unsigned n;

	if (mkdirat(store_fd(import->store), dir, 0700) < 0 && errno != EEXIST)
		return err_os(err, "make %s in the store", dir);
	if (put_id(import, scope, err) < 0 ||
	    cache_mount_names(import->tree.dir_fd, scope, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (cache_mount_copy(names.v[i], &n) &&
		    put_copy(import, scope, names.v[i], n, err) < 0)
			return -1;
	return 0;
}

static int run(struct import *import, int fd, struct err *err)
{
	if (tree_unpack(import->store, fd, "the archive", &import->tree, err) < 0 ||
	    cache_mount_names(import->tree.dir_fd, ".", &import->scopes, err) < 0)
		return -1;
	for (size_t i = 0; i < import->scopes.n; i++)
		if (check_scope(import, import->scopes.v[i], err) < 0)
			return -1;
	if (mkdirat(store_fd(import->store), "mounts", 0700) < 0 && errno != EEXIST)
		return err_os(err, "make directory mounts");
	for (size_t i = 0; i < import->scopes.n; i++)
		if (put_scope(import, import->scopes.v[i], err) < 0)
			return -1;
	return store_sync(import->store, err);
}

int cache_mounts_import(struct store *store, int fd, size_t *ret_n, struct err *err)
{
	struct import import = { .store = store, .tree = TREE_INIT, .scopes = STRV_INIT };
	cleanup_fd int file = -1;
	int status = spool(store, fd, &file, err);

	if (status == 0)
		status = run(&import, file, err);
	*ret_n = import.scopes.n;
	strv_release(&import.scopes);
	tree_release(&import.tree);
	return status;
}
