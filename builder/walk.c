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

void node_set_stat(struct node *node, const struct stat *stat)
{
	struct stat settled = *stat;

	node->dev = (uint32_t)stat->st_dev;
	node->ino = stat->st_ino;
	node->size = S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : stat->st_rdev;
	node->mtime = (int64_t)stat->st_mtim.tv_sec * 1000000000 + stat->st_mtim.tv_nsec;
	node->ctime = (int64_t)stat->st_ctim.tv_sec * 1000000000 + stat->st_ctim.tv_nsec;
	node->mode = (uint16_t)stat->st_mode;
	owner_settle(&settled);
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

/* Append each name of the open directory to source->names: its type, its bytes, a NUL. */
static int read_names(struct source *source, int fd, const char *path, size_t *ret_n,
		      struct err *err)
{
	_Alignas(struct dirent64) char block[32768];
	size_t n = 0;

	buf_clear(&source->names);
	for (;;) {
		ssize_t got = getdents64(fd, block, sizeof(block));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_os(err, "read the directory %s", *path ? path : source->path);
		if (got == 0)
			break;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(block + at);
			const char *name = entry->d_name;

			at += entry->d_reclen;
			if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
				continue;
			buf_addch(&source->names, (char)entry->d_type);
			buf_add(&source->names, name, strlen(name) + 1);
			n++;
		}
	}
	if (source->names.overflow)
		return err_set(err, ERR_LIMIT, "%s: too many names in one directory", path);
	*ret_n = n;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names, sorted, in the arena; the type stands in the byte before each. */
static const char **sort_names(struct source *source, size_t n)
{
	char *text = arena_alloc(source->arena, source->names.len + 1);
	const char **names = xmalloc((n + 1) * sizeof(*names));

	memcpy(text, source->names.data, source->names.len);
	for (size_t i = 0; i < n; i++) {
		names[i] = ++text;
		text += strlen(text) + 1;
	}
	qsort(names, n, sizeof(*names), compare_names);
	return names;
}

/* --- members ---------------------------------------------------------------------------------- */

/* Bring the rules' state to the directory whose members come next. */
static void enter_rules(struct source *source, const char *dir)
{
	size_t n = source->ignore ? ignore_count(source->ignore) : 0;

	if (!source->ignore)
		return;
	memset(source->dir_matched, 0, n * sizeof(bool));
	for (const char *at = dir; *at;) {
		at += strcspn(at, "/");
		buf_clear(&source->at);
		buf_add(&source->at, dir, (size_t)(at - dir));
		ignore_step(source->ignore, source->at.data, source->dir_matched);
		at += *at == '/';
	}
}

/* Whether the rules drop a member; *ret_maybe when something below it might be included. */
static bool is_ignored(struct source *source, const char *dir, const char *name, unsigned char type,
		       bool *ret_maybe)
{
	struct buf *at = &source->at;

	*ret_maybe = false;
	if (!source->ignore)
		return false;
	buf_clear(at);
	if (*dir) {
		buf_addstr(at, dir);
		buf_addch(at, '/');
	}
	buf_addstr(at, name);
	memcpy(source->matched, source->dir_matched, ignore_count(source->ignore) * sizeof(bool));
	if (!ignore_step(source->ignore, at->data, source->matched))
		return false;
	*ret_maybe = (type == DT_DIR || type == DT_UNKNOWN) &&
		     ignore_may_include_below(source->ignore, at->data);
	return !*ret_maybe;
}

static int read_link(struct source *source, int fd, struct node *node, struct err *err)
{
	char target[PATH_MAX], path[NODE_PATH_MAX];
	ssize_t len = readlinkat(fd, node->name, target, sizeof(target));

	if (len < 0 || len == (ssize_t)sizeof(target))
		return err_os(err, "read the link %s", node_path(NULL, node, path));
	node->link = arena_strndup(source->arena, target, (size_t)len);
	return 0;
}

/* Take what the index knows of a file whose stat data are the same. */
static void apply_record(struct source *source, struct node *node,
			 const struct index_record *record)
{
	if (node->dev != record->dev || node->ino != record->ino || node->size != record->size ||
	    node->mtime != record->mtime || node->ctime != record->ctime ||
	    node->dev != source->root.dev) {
		source->dirty = true;
		return;
	}
	node->digest = record->digest;
	node->sound = node->vouched = true;
	if (record->xattrs_len) {
		struct xattr_pack *list =
			arena_alloc(source->arena, sizeof(*list) + record->xattrs_len);

		list->len = record->xattrs_len;
		memcpy(list->bytes, stat_index_xattrs(source->index, record), list->len);
		node->xattrs = list;
	}
}

/* Stat the members whose names are given. A member that is gone again was never there. */
static int read_members(struct source *source, struct node *dir, int fd, const char *path,
			const char **names, size_t n, struct err *err)
{
	size_t n_records = 0, next = 0;
	const struct index_record *records =
		source->index ? stat_index_find(source->index, path, &n_records) : NULL;

	enter_rules(source, path);
	dir->children = arena_alloc(source->arena, (n + 1) * sizeof(*dir->children));
	for (size_t i = 0; i < n; i++) {
		struct node *node = &dir->children[dir->n_children];
		struct stat stat;
		bool maybe;
		int order = 1; /* of the record that is next to this name */

		if (is_ignored(source, path, names[i], (unsigned char)names[i][-1], &maybe))
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
		node_set_stat(node, &stat);
		dir->n_children++;
		if (S_ISLNK(stat.st_mode) && read_link(source, fd, node, err) < 0)
			return -1;
		if (!S_ISREG(stat.st_mode))
			continue;
		for (; next < n_records; next++) {
			order = strcmp(stat_index_name(source->index, &records[next]), names[i]);
			if (order >= 0)
				break;
			source->dirty = true; /* a file that is gone */
		}
		if (next < n_records && order == 0)
			apply_record(source, node, &records[next++]);
	}
	if (next < n_records)
		source->dirty = true;
	return 0;
}

/* Ignored directories exist only for what is included below them. */
static int hide_empty(struct source *source, struct node *dir, struct err *err)
{
	for (size_t i = 0; i < dir->n_children; i++) {
		struct node *child = &dir->children[i];

		if (!child->maybe)
			continue;
		if (node_load(source, child, err) < 0)
			return -1;
		child->hidden = true;
		for (size_t k = 0; k < child->n_children && child->hidden; k++)
			child->hidden = child->children[k].hidden;
	}
	return 0;
}

static int load(struct source *source, struct node *dir, const char *path, struct err *err)
{
	cleanup_fd int fd = inroot_open(source->dir_fd, path,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
	cleanup_free struct xattr_pack *xattrs = NULL;
	cleanup_free const char **names = NULL;
	struct stat stat;
	size_t n = 0;

	if (fd < 0)
		return err_os(err, "open the directory %s", *path ? path : source->path);
	if (fstat(fd, &stat) < 0)
		return err_os(err, "stat %s", path);
	node_set_stat(dir, &stat);
	node_take_owner(source, dir, fd);
	if (xattrs_read(fd, path, &xattrs, err) < 0 || read_names(source, fd, path, &n, err) < 0)
		return -1;
	if (xattrs) {
		struct xattr_pack *kept = arena_alloc(source->arena, sizeof(*kept) + xattrs->len);

		memcpy(kept, xattrs, sizeof(*kept) + xattrs->len);
		dir->xattrs = kept;
	}
	names = sort_names(source, n);
	return read_members(source, dir, fd, path, names, n, err);
}

int node_load(struct source *source, struct node *dir, struct err *err)
{
	if (dir->loaded)
		return 0;
	dir->n_children = 0;
	if (cancel_check(source->cancel, err) < 0 ||
	    load(source, dir, node_path(NULL, dir, source->path_read), err) < 0)
		return -1;
	dir->loaded = true;
	return source->ignore ? hide_empty(source, dir, err) : 0;
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
