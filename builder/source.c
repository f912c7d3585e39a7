/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file is hashed when some COPY selects it and no record of the index has its stat data. What
 * makes a record worthy of trust:
 *  1. Its stat data were the same before and after the content was read.
 *  2. The last change (ctime) was clearly older than the beginning of the read. A file that is
 *     younger may change again within the same tick of the clock and look the same: its digest is
 *     used now, and not recorded (git's racy-timestamp rule, applied per file).
 *  3. The file lies on the context's own file system, and that keeps a real ctime. Where ctime is
 *     another machine's, or made up, content is always read.
 * ctime cannot be set by a program, so other content under an equal size and mtime is noticed.
 */
#include "builder/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/arena.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "base/pool.h"
#include "builder/node.h"
#include "dockerfile-parser/dockerfile.h"
#include "layers/store.h"

#define NODES_KEPT	(4 * 1024 * 1024) /* bytes of nodes in memory; more spill to the store */
#define BLOCK_SIZE	(256 * 1024)
#define GROUP_FILES	64		  /* hashed by one worker in one go, at most */
#define GROUP_BYTES	(4 * 1024 * 1024) /* a group is full when it has as many */
#define YOUNG_NS	20000000	  /* two ticks of a kernel at 100 Hz */
#define YOUNG_COARSE_NS 2000000000	  /* where timestamps are whole seconds */

/* --- opening ---------------------------------------------------------------------------------- */

/* Whether ctime on this file system changes with every change. An unknown one is believed; those
 * that are known to take it from elsewhere, or to have none, are not. */
static bool has_ctime(int dir_fd)
{
	static const long without[] = {
		FUSE_SUPER_MAGIC,	NFS_SUPER_MAGIC, SMB_SUPER_MAGIC,   (long)SMB2_SUPER_MAGIC,
		(long)CIFS_SUPER_MAGIC, V9FS_MAGIC,	 MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(dir_fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		if ((long)fs.f_type == without[i])
			return false;
	return true;
}

static int open_common(struct store *store, int dir_fd, const char *path, unsigned jobs,
		       struct source **ret_source, struct err *err)
{
	struct source *source;
	struct stat stat;

	if (fstat(dir_fd, &stat) < 0)
		return err_os(err, "stat %s", path);
	if (!S_ISDIR(stat.st_mode))
		return err_set(err, ERR_INVALID, "%s is not a directory", path);
	source = xcalloc(1, sizeof(*source));
	pthread_mutex_init(&source->lock, NULL);
	pthread_mutex_init(&source->growing, NULL);
	source->path = xstrdup(path);
	source->dir_fd = dir_fd;
	source->cancel = store_cancel(store);
	source->jobs = jobs ? jobs : 1;
	source->arena = arena_new();
	arena_spill(source->arena, store_fd(store), NODES_KEPT);
	source->root.name = "";
	node_set_stat(&source->root, &stat, geteuid());
	*ret_source = source;
	return 0;
}

int source_open_context(struct store *store, const char *path, int dir_fd,
			const struct ignore *ignore, unsigned jobs, struct source **ret_source,
			struct err *err)
{
	struct source *source;

	if (open_common(store, dir_fd, path, jobs, &source, err) < 0)
		return -1;
	source->store = store;
	source->ignore = ignore;
	source->has_ctime = has_ctime(dir_fd);
	if (source->has_ctime)
		source->index = stat_index_open(store, path, &source->damaged);
	source->dirty = source->damaged;
	*ret_source = source;
	return 0;
}

int source_open_root(struct store *store, int dir_fd, const char *what, unsigned jobs,
		     struct source **ret_source, struct err *err)
{
	return open_common(store, dir_fd, what, jobs, ret_source, err);
}

int source_save(struct source *source, struct err *err)
{
	if (!source->store || !source->has_ctime || !source->dirty)
		return 0;
	if (stat_index_save(source, err) < 0)
		return err_wrap(err, "remember the context %s", source->path);
	source->dirty = false;
	if (!source->damaged)
		return 0;
	source->damaged = false;
	return err_set(err, ERR_CORRUPT,
		       "the index of the context %s was damaged: all of it was "
		       "read again",
		       source->path);
}

void source_free(struct source *source)
{
	if (!source)
		return;
	stat_index_free(source->index);
	arena_free(source->arena);
	walker_free(source->walker);
	pthread_mutex_destroy(&source->lock);
	pthread_mutex_destroy(&source->growing);
	free(source->path);
	free(source);
}

/* --- content ---------------------------------------------------------------------------------- */

static int changed(const struct source *source, const char *path, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "%s in %s changed while it was read", path, source->path);
}

static int open_file(struct source *source, const char *path, struct err *err)
{
	int fd =
		inroot_open(source->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
		return changed(source, path, err);
	if (fd < 0)
		return err_os(err, "open %s in %s", path, source->path);
	return fd;
}

static bool same_file(const struct node *node, const struct stat *stat)
{
	struct node now = { .name = "" };

	node_set_stat(&now, stat, 0); /* owners are not compared */
	return S_ISREG(stat->st_mode) && now.dev == node->dev && now.ino == node->ino &&
	       now.size == node->size && now.mtime == node->mtime && now.ctime == node->ctime;
}

int node_check(struct source *source, const struct node *node, int fd, struct err *err)
{
	char path[NODE_PATH_MAX];
	struct stat stat;

	if (fstat(fd, &stat) < 0)
		return err_os(err, "stat %s", node_path(NULL, node, path));
	if (!same_file(node, &stat))
		return changed(source, node_path(NULL, node, path), err);
	return 0;
}

int node_open(struct source *source, const struct node *node, int *ret_fd, struct err *err)
{
	char path[NODE_PATH_MAX];
	cleanup_fd int fd = open_file(source, node_path(NULL, node, path), err);

	if (fd < 0 || node_check(source, node, fd, err) < 0)
		return -1;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the clock of ctime */
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Rule 2 at the top. A ctime in the future is never old enough. */
static bool is_settled(const struct node *node, int64_t began)
{
	bool coarse = node->ctime % 1000000000 == 0 && node->mtime % 1000000000 == 0;

	return node->ctime < began - (coarse ? YOUNG_COARSE_NS : YOUNG_NS);
}

static int hash_content(const struct source *source, int fd, const char *path, unsigned char *block,
			struct node *node, struct err *err)
{
	struct hasher hasher;
	uint64_t total = 0;

	hasher_init(&hasher);
	while (total < node->size) {
		uint64_t left = node->size - total;
		ssize_t got;

		if (cancel_check(source->cancel, err) < 0)
			return -1;
		got = read_all(fd, block, left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE);
		if (got < 0)
			return err_os(err, "read %s", path);
		if (got == 0)
			break; /* shorter than it was: node_check() will say so */
		hasher_add(&hasher, block, (size_t)got);
		total += (uint64_t)got;
	}
	hasher_finish(&hasher, &node->digest);
	return 0;
}

static int hash_file(struct source *source, struct node *node, unsigned char *block,
		     struct err *err)
{
	struct digest none = { 0 };
	char path[NODE_PATH_MAX];
	cleanup_fd int fd = open_file(source, node_path(NULL, node, path), err);
	struct xattr_pack *xattrs = NULL;
	int64_t began = wall_ns();
	struct stat stat;

	if (fd < 0)
		return -1;
	if (fstat(fd, &stat) < 0)
		return err_os(err, "stat %s", path);
	if (!S_ISREG(stat.st_mode))
		return changed(source, path, err);
	node_set_stat(node, &stat, geteuid());
	if (xattrs_read(fd, path, &xattrs, err) < 0)
		return -1;
	node->xattrs = xattrs;
	if (hash_content(source, fd, path, block, node, err) < 0 ||
	    node_check(source, node, fd, err) < 0) {
		node->digest = none;
		return -1;
	}
	node_take_owner(source, node, fd);
	node->sound = source->has_ctime && node->dev == source->root.dev && is_settled(node, began);
	return 0;
}

struct hashing {
	struct source *source;
	struct node **nodes;
	size_t *groups; /* where each begins, and the end */
	size_t n_groups;
};

static int hash_group(void *arg, size_t i, struct err *err)
{
	struct hashing *hashing = arg;
	cleanup_free unsigned char *block = xmalloc(BLOCK_SIZE);

	for (size_t k = hashing->groups[i]; k < hashing->groups[i + 1]; k++)
		if (hash_file(hashing->source, hashing->nodes[k], block, err) < 0)
			return -1;
	return 0;
}

/* Small files go together, so that a worker's block is worth its allocation. */
static void make_groups(struct hashing *hashing, size_t n)
{
	uint64_t bytes = 0;
	size_t cap = 0;

	for (size_t i = 0; i <= n; i++) {
		size_t begun = hashing->n_groups ? hashing->groups[hashing->n_groups - 1] : 0;

		if (i == 0 || i == n || i - begun == GROUP_FILES || bytes >= GROUP_BYTES) {
			hashing->groups = grow_vector(hashing->groups, hashing->n_groups, &cap,
						      sizeof(*hashing->groups));
			hashing->groups[hashing->n_groups++] = i;
			bytes = 0;
		}
		if (i < n)
			bytes += hashing->nodes[i]->size;
	}
	hashing->n_groups--; /* the last is the end */
}

int source_hash(struct source *source, struct node **nodes, size_t n, struct err *err)
{
	cleanup_free struct node **queue = xmalloc((n + 1) * sizeof(*queue));
	struct hashing hashing = { .source = source, .nodes = queue };
	size_t n_queue = 0;
	int bad = 0;

	for (size_t i = 0; i < n; i++)
		if (S_ISREG(nodes[i]->mode) && !nodes[i]->queued &&
		    digest_is_zero(&nodes[i]->digest)) {
			nodes[i]->queued = true;
			queue[n_queue++] = nodes[i];
		}
	if (!n_queue)
		return 0;
	make_groups(&hashing, n_queue);
	bad = pool_each(source->jobs, hashing.n_groups, hash_group, &hashing, err);
	free(hashing.groups);
	for (size_t i = 0; i < n_queue; i++) {
		struct node *node = queue[i];
		struct xattr_pack *read = (struct xattr_pack *)node->xattrs;

		node->queued = false;
		source->dirty |= node->sound;
		if (!read)
			continue;
		node->xattrs = arena_alloc(source->arena, sizeof(*read) + read->len);
		memcpy((void *)node->xattrs, read, sizeof(*read) + read->len);
		free(read);
	}
	return bad;
}
