/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlay takes a directory's owner, mode and times from the topmost layer that has it. A layer
 * that has it only to hold others (implied directories) must not win, so an extra lower on top of
 * all gets the directory as the layers that name it say, and the directories on the way to it.
 */
#include "layers/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/err.h"
#include "base/file.h"
#include "layers/store.h"

static int copy_xattrs(int from_fd, int to_fd, struct err *err)
{
	struct xattr_list list;
	int bad;

	xattr_list_init(&list);
	bad = xattr_list_read(&list, from_fd, err);
	for (size_t i = 0; !bad && i < list.n; i++)
		if (fsetxattr(to_fd, list.v[i].name, list.v[i].value, list.v[i].len, 0) < 0)
			bad = err_os(err, "set attribute %s", list.v[i].name);
	xattr_list_release(&list);
	return bad;
}

int root_dress(struct root *root, const char *path, const struct root_found *found, int fd,
	       struct err *err)
{
	struct timespec times[2] = { found->stat.st_mtim, found->stat.st_mtim };
	cleanup_fd int from_fd = -1;

	if (owner_give(fd, found->stat.st_uid, found->stat.st_gid, found->stat.st_mode & 07777,
		       store_owner_record(root_store(root))) < 0)
		return err_os(err, "set the owner of /%s", path);
	if (!found->implied) {
		from_fd = root_open_in(root, found->layer, path, err);
		if (from_fd < 0 || copy_xattrs(from_fd, fd, err) < 0)
			return -1;
	}
	if (futimens(fd, times) < 0)
		return err_os(err, "set the time of /%s", path);
	return 0;
}

int scratch_make(struct scratch *scratch, const char *name, char **ret_path, int *ret_fd,
		 struct err *err)
{
	int fd;

	if (mkdirat(scratch->dir_fd, name, 0755) < 0)
		return err_os(err, "make %s/%s", scratch->path, name);
	fd = openat(scratch->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_os(err, "open %s/%s", scratch->path, name);
	*ret_path = xasprintf("%s/%s", scratch->path, name);
	*ret_fd = fd;
	return 0;
}

/* --- implied directories ---------------------------------------------------------------------- */

struct place {
	struct root_dir dir;
	struct root_found found;
	char *path;
	bool made; /* in top/ */
};

struct patch {
	struct root *root;
	struct scratch *scratch;
	struct place *stack; /* the way from the root to the current directory */
	size_t depth, cap;
	int top_fd; /* -1 until something is needed */
	char *top_path;
	struct xattr_list a, b;
};

static int open_place(int top_fd, const char *path)
{
	const char *rest = *path ? path : ".";
	cleanup_fd int owned_fd = -1;
	int dir_fd = file_near(top_fd, &rest, &owned_fd);

	return dir_fd < 0 ? -1
			  : openat(dir_fd, rest, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_place(int top_fd, const char *path)
{
	cleanup_fd int owned_fd = -1;
	int dir_fd = file_near(top_fd, &path, &owned_fd);

	return dir_fd < 0 ? -1 : mkdirat(dir_fd, path, 0700);
}

/* Directories in top/ get their time after all that is in them. */
static int pop_to(struct patch *patch, size_t depth, struct err *err)
{
	int bad = 0;

	while (patch->depth > depth) {
		struct place *place = &patch->stack[--patch->depth];
		cleanup_fd int fd = -1;

		if (place->made && !bad) {
			fd = open_place(patch->top_fd, place->path);
			bad = fd < 0 ? err_os(err, "open /%s", place->path)
				     : root_dress(patch->root, place->path, &place->found, fd, err);
		}
		root_dir_release(&place->dir);
		free(place->path);
	}
	return bad;
}

static int push(struct patch *patch, const char *path, struct err *err)
{
	struct place place = { 0 };
	int bad;

	bad = patch->depth == 0 ? root_top(patch->root, &place.found, &place.dir, err)
				: root_step(patch->root, &patch->stack[patch->depth - 1].dir, path,
					    &place.found, &place.dir, err);
	if (bad)
		return -1;
	place.path = xstrdup(path);
	patch->stack = grow_vector(patch->stack, patch->depth, &patch->cap, sizeof(*patch->stack));
	patch->stack[patch->depth++] = place;
	return 0;
}

static bool is_at_or_above(const char *path, const char *below)
{
	size_t len = strlen(path);

	return !len || (!strncmp(path, below, len) && (!below[len] || below[len] == '/'));
}

/* The stack leads to path afterwards, as far as there are directories. */
static int go_to(struct patch *patch, const char *path, struct err *err)
{
	size_t keep = patch->depth;

	while (keep > 0 && !is_at_or_above(patch->stack[keep - 1].path, path))
		keep--;
	if (pop_to(patch, keep, err) < 0 || (keep == 0 && push(patch, "", err) < 0))
		return -1;
	for (;;) {
		const struct place *at = &patch->stack[patch->depth - 1];
		size_t len = strlen(at->path);
		const char *rest = path + len + (len && path[len] == '/');
		cleanup_free char *next = NULL;

		if (at->found.kind != ROOT_DIRECTORY || !*rest)
			return 0;
		next = xstrndup(path, (size_t)(rest - path) + strcspn(rest, "/"));
		if (push(patch, next, err) < 0)
			return -1;
	}
}

/* Whether overlay would show other attributes than those that count: 1, 0, or -1. */
static int is_reset(struct patch *patch, const struct place *place, struct err *err)
{
	const struct stat *want = &place->found.stat, *have = &place->found.top;
	cleanup_fd int want_fd = -1, have_fd = -1;

	if (place->found.kind != ROOT_DIRECTORY)
		return 0;
	if (want->st_mode != have->st_mode || want->st_uid != have->st_uid ||
	    want->st_gid != have->st_gid)
		return 1;
	if (*place->path && (want->st_mtim.tv_sec != have->st_mtim.tv_sec ||
			     want->st_mtim.tv_nsec != have->st_mtim.tv_nsec))
		return 1;
	if (!place->found.implied && place->found.layer == place->found.top_layer)
		return 0;
	patch->a.n = 0;
	if (!place->found.implied) {
		want_fd = root_open_in(patch->root, place->found.layer, place->path, err);
		if (want_fd < 0 || xattr_list_read(&patch->a, want_fd, err) < 0)
			return -1;
	}
	have_fd = root_open_in(patch->root, place->found.top_layer, place->path, err);
	if (have_fd < 0 || xattr_list_read(&patch->b, have_fd, err) < 0)
		return -1;
	return !xattr_list_equal(&patch->a, &patch->b);
}

/* Make what the stack holds, in top/. */
static int make_way(struct patch *patch, struct err *err)
{
	if (patch->top_fd < 0 &&
	    scratch_make(patch->scratch, "top", &patch->top_path, &patch->top_fd, err) < 0)
		return -1;
	for (size_t i = 0; i < patch->depth; i++) {
		struct place *place = &patch->stack[i];

		if (!place->made && *place->path && make_place(patch->top_fd, place->path) < 0)
			return err_os(err, "make /%s", place->path);
		place->made = true;
	}
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	return entry_path_compare(*(const char *const *)a, *(const char *const *)b);
}

/* All implied directories of the layers that are seen, sorted; the strings stay the root's. */
static int collect_implied(struct root *root, const struct root_dir *dir, const char ***ret_paths,
			   size_t *ret_n, struct err *err)
{
	cleanup_free const char **paths = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < dir->n; i++) {
		const struct path_set *set;

		if (root_implied(root, dir->layers[i], &set, err) < 0)
			return -1;
		for (size_t at = 0; at < set->n; at++) {
			paths = grow_vector(paths, n, &cap, sizeof(*paths));
			paths[n++] = set->paths[at];
		}
	}
	if (n)
		qsort(paths, n, sizeof(*paths), compare_paths);
	*ret_paths = steal_pointer(&paths);
	*ret_n = n;
	return 0;
}

static int patch_paths(struct patch *patch, const char **paths, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct place *place;
		int reset;

		if (i && !strcmp(paths[i - 1], paths[i]))
			continue;
		if (go_to(patch, paths[i], err) < 0)
			return -1;
		place = &patch->stack[patch->depth - 1];
		reset = strcmp(place->path, paths[i]) ? 0 : is_reset(patch, place, err);
		if (reset < 0 || (reset && make_way(patch, err) < 0))
			return -1;
	}
	return pop_to(patch, 0, err);
}

int top_make(struct root *root, const struct root_dir *dir, struct scratch *scratch,
	     char **ret_path, struct err *err)
{
	struct patch patch = { .root = root, .scratch = scratch, .top_fd = -1 };
	cleanup_free const char **paths = NULL;
	struct err ignored = ERR_INIT;
	size_t n;
	int bad;

	if (collect_implied(root, dir, &paths, &n, err) < 0)
		return -1;
	xattr_list_init(&patch.a);
	xattr_list_init(&patch.b);
	bad = patch_paths(&patch, paths, n, err);
	pop_to(&patch, 0, &ignored);
	free(patch.stack);
	file_close_at(&patch.top_fd);
	xattr_list_release(&patch.a);
	xattr_list_release(&patch.b);
	if (bad)
		free(patch.top_path);
	else
		*ret_path = patch.top_path;
	return bad;
}
