/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading directories into nodes: one open, some getdents64(), one fstatat() per member, and
 * nothing at all for what the ignore rules drop. Only directories that somebody asks for are
 * read. Members are sorted by name, so a depth-first walk is the canonical order of a layer
 * (layers/entry.h), and the index, which is sorted likewise, is merged on the way.
 */
#include "builder/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "builder/source.h"
#include "dockerfile-parser/dockerfile.h"

#define NAMES_MAX (256 * 1024 * 1024) /* bytes of the names in one directory */
#define LINKS_MAX 255		      /* followed while one path is looked up */

const char *node_path(const struct node *top, const struct node *node, char path[NODE_PATH_MAX])
{
	size_t at = NODE_PATH_MAX - 1;

	path[at] = '\0';
	for (; node != top && node->parent; node = node->parent) {
		size_t len = strlen(node->name);

		if (len + 1 > at)
			break;
		if (path[at])
			path[--at] = '/';
		at -= len;
		memcpy(path + at, node->name, len);
	}
	memmove(path, path + at, NODE_PATH_MAX - at);
	return path;
}

struct walker {
	struct source *source;
	uid_t euid;
	bool dirty;		       /* something differs from the index */
	struct buf names;	       /* the directory entries being read */
	struct buf at;		       /* a path */
	char path_read[NODE_PATH_MAX]; /* of the directory being read. Not on the stack:
					* directories may be nested deeply */
	bool *dir_matched;	       /* with ignore: the rules' state of a directory, */
	bool *matched;		       /* and of a member */
};

struct walker *walker_new(struct source *source)
{
	struct walker *walker = xcalloc(1, sizeof(*walker));
	size_t n = source->ignore ? ignore_count(source->ignore) : 0;

	walker->source = source;
	walker->euid = geteuid();
	walker->dir_matched = xcalloc(n + 1, sizeof(bool));
	walker->matched = xcalloc(n + 1, sizeof(bool));
	buf_init(&walker->names, NAMES_MAX);
	buf_init(&walker->at, 4 * NODE_PATH_MAX);
	return walker;
}

void walker_free(struct walker *walker)
{
	if (!walker)
		return;
	walker->source->dirty |= walker->dirty;
	buf_release(&walker->names);
	buf_release(&walker->at);
	free(walker->dir_matched);
	free(walker->matched);
	free(walker);
}

/* Memory that is the source's. */
static void *keep(struct walker *walker, size_t size)
{
	struct source *source = walker->source;
	void *got;

	pthread_mutex_lock(&source->growing);
	got = arena_alloc(source->arena, size);
	pthread_mutex_unlock(&source->growing);
	return got;
}

/* --- stat data -------------------------------------------------------------------------------- */

void node_set_stat(struct node *node, const struct stat *stat, uid_t euid)
{
	struct stat settled = *stat;

	node->dev = (uint32_t)stat->st_dev;
	node->ino = stat->st_ino;
	node->size = S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : stat->st_rdev;
	node->mtime = (int64_t)stat->st_mtim.tv_sec * 1000000000 + stat->st_mtim.tv_nsec;
	node->ctime = (int64_t)stat->st_ctim.tv_sec * 1000000000 + stat->st_ctim.tv_nsec;
	node->mode = (uint16_t)stat->st_mode;
	owner_settle(&settled, euid);
	node->uid = settled.st_uid;
	node->gid = settled.st_gid;
	node->linked = S_ISREG(stat->st_mode) && stat->st_nlink > 1;
}

void node_take_owner(const struct source *source, struct node *node, int fd)
{
	struct stat stat = { .st_mode = node->mode };

	if (source->index || !owner_recorded(fd, &stat))
		return;
	node->mode = (uint16_t)stat.st_mode;
	node->uid = stat.st_uid;
	node->gid = stat.st_gid;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Append each name of the open directory to walker->names: its type, its bytes, a NUL. */
static int read_names(struct walker *walker, int fd, const char *path, size_t *ret_n,
		      struct err *err)
{
	_Alignas(struct dirent64) char block[32768];
	size_t n = 0;

	buf_clear(&walker->names);
	for (;;) {
		ssize_t got = getdents64(fd, block, sizeof(block));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_os(err, "read the directory %s",
				      *path ? path : walker->source->path);
		if (got == 0)
			break;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(block + at);
			const char *name = entry->d_name;

			at += entry->d_reclen;
			if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
				continue;
			buf_addch(&walker->names, (char)entry->d_type);
			buf_add(&walker->names, name, strlen(name) + 1);
			n++;
		}
	}
	if (walker->names.overflow)
		return err_set(err, ERR_LIMIT, "%s: too many names in one directory", path);
	*ret_n = n;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names, sorted, in the arena; the type stands in the byte before each. */
static const char **sort_names(struct walker *walker, size_t n)
{
	char *text = keep(walker, walker->names.len + 1);
	const char **names = xmalloc((n + 1) * sizeof(*names));

	memcpy(text, walker->names.data, walker->names.len);
	for (size_t i = 0; i < n; i++) {
		names[i] = ++text;
		text += strlen(text) + 1;
	}
	qsort(names, n, sizeof(*names), compare_names);
	return names;
}

/* --- members ---------------------------------------------------------------------------------- */

/* Bring the rules' state to the directory whose members come next. */
static void enter_rules(struct walker *walker, const char *dir)
{
	const struct ignore *ignore = walker->source->ignore;
	size_t n = ignore ? ignore_count(ignore) : 0;

	if (!ignore)
		return;
	memset(walker->dir_matched, 0, n * sizeof(bool));
	for (const char *at = dir; *at;) {
		at += strcspn(at, "/");
		buf_clear(&walker->at);
		buf_add(&walker->at, dir, (size_t)(at - dir));
		ignore_step(ignore, walker->at.data, walker->dir_matched);
		at += *at == '/';
	}
}

/* Whether the rules drop a member; *ret_maybe when something below it might be included. */
static bool is_ignored(struct walker *walker, const char *dir, const char *name, unsigned char type,
		       bool *ret_maybe)
{
	const struct ignore *ignore = walker->source->ignore;
	struct buf *at = &walker->at;

	*ret_maybe = false;
	if (!ignore)
		return false;
	buf_clear(at);
	if (*dir) {
		buf_addstr(at, dir);
		buf_addch(at, '/');
	}
	buf_addstr(at, name);
	memcpy(walker->matched, walker->dir_matched, ignore_count(ignore) * sizeof(bool));
	if (!ignore_step(ignore, at->data, walker->matched))
		return false;
	*ret_maybe = (type == DT_DIR || type == DT_UNKNOWN) &&
		     ignore_may_include_below(ignore, at->data);
	return !*ret_maybe;
}

static int read_link(struct walker *walker, int fd, struct node *node, struct err *err)
{
	char target[PATH_MAX], path[NODE_PATH_MAX];
	ssize_t len = readlinkat(fd, node->name, target, sizeof(target));

	if (len < 0 || len == (ssize_t)sizeof(target))
		return err_os(err, "read the link %s", node_path(NULL, node, path));
	node->link = memcpy(keep(walker, (size_t)len + 1), target, (size_t)len);
	return 0;
}

/* Take what the index knows of a file whose stat data are the same. */
static void apply_record(struct walker *walker, struct node *node,
			 const struct index_record *record)
{
	const struct source *source = walker->source;

	if (node->dev != record->dev || node->ino != record->ino || node->size != record->size ||
	    node->mtime != record->mtime || node->ctime != record->ctime ||
	    node->dev != source->root.dev) {
		walker->dirty = true;
		return;
	}
	node->digest = record->digest;
	node->sound = node->vouched = true;
	if (record->xattrs_len) {
		struct xattr_pack *list = keep(walker, sizeof(*list) + record->xattrs_len);

		list->len = record->xattrs_len;
		memcpy(list->bytes, stat_index_xattrs(source->index, record), list->len);
		node->xattrs = list;
	}
}

/* Stat the members whose names are given. A member that is gone again was never there. */
static int read_members(struct walker *walker, struct node *dir, int fd, const char *path,
			const char **names, size_t n, struct err *err)
{
	const struct source *source = walker->source;
	size_t n_records = 0, next = 0;
	const struct index_record *records =
		source->index ? stat_index_find(source->index, path, &n_records) : NULL;

	enter_rules(walker, path);
	dir->children = keep(walker, (n + 1) * sizeof(*dir->children));
	for (size_t i = 0; i < n; i++) {
		struct node *node = &dir->children[dir->n_children];
		struct stat stat;
		bool maybe;
		int order = 1; /* of the record that is next to this name */

		if (is_ignored(walker, path, names[i], (unsigned char)names[i][-1], &maybe))
			continue;
		if (strlen(path) + 1 + strlen(names[i]) >= NODE_PATH_MAX)
			return err_set(err, ERR_LIMIT, "%.100s.../%s: path too long", path,
				       names[i]);
		if (fstatat(fd, names[i], &stat, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			return err_os(err, "stat %s%s%s", path, *path ? "/" : "", names[i]);
		}
		if (S_ISSOCK(stat.st_mode) || (maybe && !S_ISDIR(stat.st_mode)))
			continue;
		node->name = names[i];
		node->parent = dir;
		node->maybe = maybe;
		node_set_stat(node, &stat, walker->euid);
		dir->n_children++;
		if (S_ISLNK(stat.st_mode) && read_link(walker, fd, node, err) < 0)
			return -1;
		if (!S_ISREG(stat.st_mode))
			continue;
		for (; next < n_records; next++) {
			order = strcmp(stat_index_name(source->index, &records[next]), names[i]);
			if (order >= 0)
				break;
			walker->dirty = true; /* a file that is gone */
		}
		if (next < n_records && order == 0)
			apply_record(walker, node, &records[next++]);
	}
	if (next < n_records)
		walker->dirty = true;
	return 0;
}

/* Ignored directories exist only for what is included below them. */
static int hide_empty(struct walker *walker, struct node *dir, struct err *err)
{
	for (size_t i = 0; i < dir->n_children; i++) {
		struct node *child = &dir->children[i];

		if (!child->maybe)
			continue;
		if (walker_load(walker, child, err) < 0)
			return -1;
		child->hidden = true;
		for (size_t k = 0; k < child->n_children && child->hidden; k++)
			child->hidden = child->children[k].hidden;
	}
	return 0;
}

static int load(struct walker *walker, struct node *dir, const char *path, struct err *err)
{
	cleanup_fd int fd = inroot_open(walker->source->dir_fd, path,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
	cleanup_free struct xattr_pack *xattrs = NULL;
	cleanup_free const char **names = NULL;
	struct stat stat;
	size_t n = 0;

	if (fd < 0)
		return err_os(err, "open the directory %s", *path ? path : walker->source->path);
	if (fstat(fd, &stat) < 0)
		return err_os(err, "stat %s", path);
	node_set_stat(dir, &stat, walker->euid);
	node_take_owner(walker->source, dir, fd);
	if (xattrs_read(fd, path, &xattrs, err) < 0 || read_names(walker, fd, path, &n, err) < 0)
		return -1;
	if (xattrs) {
		struct xattr_pack *kept = keep(walker, sizeof(*kept) + xattrs->len);

		memcpy(kept, xattrs, sizeof(*kept) + xattrs->len);
		dir->xattrs = kept;
	}
	names = sort_names(walker, n);
	return read_members(walker, dir, fd, path, names, n, err);
}

int walker_load(struct walker *walker, struct node *dir, struct err *err)
{
	if (dir->loaded)
		return 0;
	dir->n_children = 0;
	if (cancel_check(walker->source->cancel, err) < 0 ||
	    load(walker, dir, node_path(NULL, dir, walker->path_read), err) < 0 ||
	    (walker->source->ignore && hide_empty(walker, dir, err) < 0))
		return -1;
	dir->loaded = true;
	return 0;
}

int node_load(struct source *source, struct node *dir, struct err *err)
{
	int status;

	if (dir->loaded)
		return 0;
	if (!source->walker)
		source->walker = walker_new(source);
	source->walker->euid = geteuid();
	status = walker_load(source->walker, dir, err);
	source->dirty |= source->walker->dirty;
	return status;
}

/* --- lookups ---------------------------------------------------------------------------------- */

struct node *node_child(const struct node *dir, const char *name, size_t len)
{
	size_t low = 0, high = dir->n_children;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct node *child = &dir->children[middle];
		int order = strncmp(child->name, name, len);

		if (order == 0 && child->name[len])
			order = 1;
		if (order == 0)
			return child->hidden ? NULL : child;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int source_lookup(struct source *source, struct node *from, const char *path, bool follow,
		  struct node **ret_node, struct err *err)
{
	cleanup_free char *rest = xstrdup(path);
	struct node *at = from;
	unsigned links = 0;
	char *next = rest;

	*ret_node = NULL;
	while (*next) {
		size_t len = strcspn(next, "/");
		struct node *child;

		if (len == 0 || (len == 1 && *next == '.')) {
			next += len + (next[len] == '/');
			continue;
		}
		if (!S_ISDIR(at->mode))
			return 0;
		if (len == 2 && next[0] == '.' && next[1] == '.') {
			at = at->parent ? at->parent : at;
			next += len;
			continue;
		}
		if (node_load(source, at, err) < 0)
			return -1;
		child = node_child(at, next, len);
		if (!child)
			return 0;
		next += len;
		if (S_ISLNK(child->mode) && (follow || next[strspn(next, "/")])) {
			char *longer = xasprintf("%s%s", child->link, next);

			if (++links > LINKS_MAX || strlen(longer) > NODE_PATH_MAX) {
				free(longer);
				return err_set(err, ERR_INVALID, "%s: too many symbolic links",
					       path);
			}
			at = child->link[0] == '/' ? &source->root : at;
			free(rest);
			next = rest = longer;
			continue;
		}
		at = child;
	}
	*ret_node = at;
	return 0;
}
