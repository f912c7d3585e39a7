/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN --mount=type=cache: directories that outlive the build, in the store's mounts/.
 *
 *	mounts/<hex>/id		what the Dockerfile calls it, for people
 *	mounts/<hex>/0		the directory; 1, 2, ... for steps that do not share
 *	locks/mount.<hex>.<n>	held by every step that has one mounted, touched by it
 *
 * 1. <hex> is a digest of the id and of what a new directory would be like (from, source, mode,
 *    uid, gid), so no id is ever a path, and another id is another directory.
 * 2. A directory is filled in scratch and gets its name by one rename: whoever finds it finds it
 *    whole. Of two who make it at once the loser uses the other's.
 * 3. Without namespaces the directory is moved into the root of the step, so nobody shares it: who
 *    would waits. snapshot_lend() sees to it that it comes back.
 * 4. A step takes its locks in the order of <hex>, each once: no two steps wait for each other.
 */
#include "builder/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "builder/copy.h"

#define PATH_LEN (DIGEST_HEX_MAX + 32)

/* --- names and locks -------------------------------------------------------------------------- */

static void name_cache(struct step_mount *mount)
{
	const struct mount_request *request = &mount->request;
	cleanup_key struct key key;
	struct digest digest;
	char number[64];

	key_init(&key, "cache-mount");
	key_add(&key, "id", request->id);
	if (request->from) {
		key_add_digest(&key, "from", &mount->origin.key);
		key_add(&key, "source", request->source ? request->source : "/");
	}
	if (request->owned || !request->from) {
		snprintf(number, sizeof(number), "%o %u:%u", request->mode, request->uid,
			 request->gid);
		key_add(&key, "owner", number);
	}
	key_finish(&key, &digest);
	digest_hex(&digest, mount->hex);
}

/* Take the lock of directory n. *ret_fd is -1 when `try` and somebody has it. */
static int lock_cache(struct step_mounts *mounts, const struct step_mount *mount, unsigned n,
		      bool try, int *ret_fd, struct err *err)
{
	struct store *store = mounts->builder->options->store;
	bool exclusive = mount->request.sharing != MOUNT_SHARED || step_mounts_are_moved(mounts);
	char name[CACHE_LOCK_MAX];

	cache_mount_lock(mount->hex, n, name);
	if (store_lock(store, name, exclusive, true, ret_fd, err) < 0)
		return -1;
	if (*ret_fd >= 0 || try)
		return 0;
	builder_warn(mounts->builder,
		     "waiting for the cache mount \"%s\", which another build uses",
		     mount->request.id);
	return store_wait_lock(store, name, exclusive, ret_fd, err);
}

/* The number of the directory that this step may use; its lock is the mount's then. */
static int choose(struct step_mounts *mounts, struct step_mount *mount, unsigned *ret_n,
		  struct err *err)
{
	bool private = mount->request.sharing == MOUNT_PRIVATE;

	for (unsigned n = 0; n < CACHE_COPIES_MAX; n++) {
		if (lock_cache(mounts, mount, n, private, &mount->lock_fd, err) < 0)
			return -1;
		if (mount->lock_fd >= 0) {
			futimens(mount->lock_fd, NULL); /* when it was used last */
			*ret_n = n;
			return 0;
		}
	}
	return err_set(err, ERR_LIMIT, "more than %d builds use the cache mount \"%s\" at once",
		       CACHE_COPIES_MAX, mount->request.id);
}

/* --- making ----------------------------------------------------------------------------------- */

/* Fill a new cache with what `from` has; without mode, uid and gid its directory is as it is
 * there. */
static int seed(struct step_mount *mount, int dir_fd, struct err *err)
{
	const char *path =
		mount->request.source && *mount->request.source ? mount->request.source : "/";
	struct mount_request *request = &mount->request;
	struct copy_request copy_request = {
		.n_patterns = 1,
		.dest = "/",
		.from_root = mount->origin.owners,
	};
	cleanup_with(copy_free) struct copy *copy = NULL;
	struct stat st;

	if (origin_open(&mount->origin, err) < 0)
		return -1;
	if (inroot_stat(mount->origin.mount_fd, path, &st) < 0)
		return err_os(err, "\"%s\" in %s", path, mount->origin.what);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID, "\"%s\" in %s is not a directory", path,
			       mount->origin.what);
	if (!request->owned) {
		request->mode = st.st_mode & 07777;
		request->uid = mount->origin.owners ? st.st_uid : 0;
		request->gid = mount->origin.owners ? st.st_gid : 0;
	}
	free(mount->pattern);
	mount->pattern = mount_pattern(path);
	mount->patterns[0] = mount->pattern;
	copy_request.source = mount->origin.source;
	copy_request.patterns = mount->patterns;
	copy_request.now = clock_wall_ns() / 1000000000;
	if (copy_open(&copy_request, &copy, NULL, err) < 0)
		return -1;
	return copy_make_tree(copy, dir_fd, err);
}

static int make_cache(struct step_mounts *mounts, struct step_mount *mount, const char *path,
		      struct err *err)
{
	int store_dir = store_fd(mounts->builder->options->store);
	const struct mount_request *request = &mount->request;
	struct scratch *scratch;
	cleanup_free char *name = xasprintf("cache.%zu", (size_t)(mount - mounts->v));
	cleanup_fd int fd = -1;

	if (step_mounts_scratch(mounts, &scratch, err) < 0)
		return -1;
	if (mkdirat(scratch->dir_fd, name, 0700) < 0)
		return err_os(err, "make the cache directory");
	fd = openat(scratch->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_os(err, "open the cache directory");
	if (request->from && seed(mount, fd, err) < 0)
		return -1;
	if (fchown(fd, request->uid, request->gid) < 0 || fchmod(fd, request->mode) < 0)
		return err_os(err, "give the cache directory to %u:%u", request->uid, request->gid);
	if (renameat2(scratch->dir_fd, name, store_dir, path, RENAME_NOREPLACE) < 0 &&
	    errno != EEXIST)
		return err_os(err, "name the cache directory");
	return 0;
}

static int make_parent(struct step_mounts *mounts, const struct step_mount *mount, struct err *err)
{
	int store_dir = store_fd(mounts->builder->options->store);
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "mounts/%s", mount->hex);
	if (mkdirat(store_dir, "mounts", 0700) < 0 && errno != EEXIST)
		return err_os(err, "make directory mounts");
	if (mkdirat(store_dir, path, 0700) < 0 && errno != EEXIST)
		return err_os(err, "make the cache directory");
	snprintf(path, sizeof(path), "mounts/%s/id", mount->hex);
	if (faccessat(store_dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return file_replace_at(store_dir, path, mount->request.id, strlen(mount->request.id), 0600,
			       false, err);
}

static int find_home(int store_dir, struct step_mount *mount, unsigned n, struct err *err)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "mounts/%s", mount->hex);
	snprintf(mount->home_name, sizeof(mount->home_name), "%u", n);
	mount->copy_number = n;
	mount->home_fd = openat(store_dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return mount->home_fd < 0 ? err_os(err, "open %s", path) : 0;
}

static int open_cache(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	int store_dir = store_fd(mounts->builder->options->store);
	int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char path[PATH_LEN];
	unsigned n = 0;

	if (make_parent(mounts, mount, err) < 0 || choose(mounts, mount, &n, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "mounts/%s/%u", mount->hex, n);
	mount->source_fd = openat(store_dir, path, flags);
	if (mount->source_fd < 0 && errno == ENOENT) {
		if (make_cache(mounts, mount, path, err) < 0)
			return -1;
		mount->source_fd = openat(store_dir, path, flags);
	}
	if (mount->source_fd < 0)
		return err_os(err, "open the cache directory");
	return step_mounts_are_moved(mounts) ? find_home(store_dir, mount, n, err) : 0;
}

/* --- all of a step ---------------------------------------------------------------------------- */

static int compare_caches(const void *a, const void *b)
{
	const struct step_mount *x = *(struct step_mount *const *)a;
	const struct step_mount *y = *(struct step_mount *const *)b;
	int order = strcmp(x->hex, y->hex);

	/* of the same cache, the one that shares least decides */
	return order ? order : (int)y->request.sharing - (int)x->request.sharing;
}

static int open_next(struct step_mounts *mounts, struct step_mount *mount,
		     const struct step_mount *before, struct err *err)
{
	struct err why = ERR_INIT;

	if (before && !strcmp(before->hex, mount->hex)) {
		mount->source_fd = fcntl(before->source_fd, F_DUPFD_CLOEXEC, 3);
		if (step_mounts_are_moved(mounts))
			mount->same_as = before->same_as ? before->same_as : before->request.target;
		return mount->source_fd < 0 ? err_os(err, "duplicate a descriptor") : 0;
	}
	if (open_cache(mounts, mount, &why) < 0)
		return mount_error(mounts->builder->dockerfile, &mount->request, &why, err);
	return 0;
}

int mount_caches_open(struct step_mounts *mounts, struct err *err)
{
	struct step_mount *caches[MOUNTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < mounts->n; i++) {
		if (mounts->v[i].request.type != MOUNT_CACHE)
			continue;
		name_cache(&mounts->v[i]);
		caches[n++] = &mounts->v[i];
	}
	if (n)
		qsort(caches, n, sizeof(struct step_mount *), compare_caches);
	for (size_t i = 0; i < n; i++)
		if (open_next(mounts, caches[i], i ? caches[i - 1] : NULL, err) < 0)
			return -1;
	return 0;
}
