/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths in a merged root: links and ".." are followed here, over what root.c says of each single
 * name. The merged directories on the way are kept on a stack, which is what ".." pops; nothing
 * is ever above its bottom.
 */
#include "layers/layer.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "layers/internal.h"

#define LINKS_MAX 40

struct place {
	struct root_dir dir;
	struct root_found found;
	size_t path_len;
};

struct lookup {
	struct root *root;
	const char *what; /* the path as it was given, for messages */
	struct place *stack;
	size_t depth, cap;
	char path[ROOT_PATH_MAX]; /* resolved so far */
	char *rest;
	unsigned links;
};

static void pop_to(struct lookup *lookup, size_t depth)
{
	while (lookup->depth > depth)
		root_dir_release(&lookup->stack[--lookup->depth].dir);
	lookup->path[depth ? lookup->stack[depth - 1].path_len : 0] = '\0';
}

static void push(struct lookup *lookup, const struct root_found *found, struct root_dir dir)
{
	lookup->stack =
		grow_vector(lookup->stack, lookup->depth, &lookup->cap, sizeof(*lookup->stack));
	lookup->stack[lookup->depth++] = (struct place){
		.dir = dir,
		.found = *found,
		.path_len = strlen(lookup->path),
	};
}

/* Cut the next component off lookup->rest into name. False at the end. */
static bool next_name(struct lookup *lookup, char name[ENTRY_NAME_MAX + 1], bool *ret_bad)
{
	char *rest = lookup->rest + strspn(lookup->rest, "/");
	size_t len = strcspn(rest, "/");

	*ret_bad = len > ENTRY_NAME_MAX;
	if (!len || *ret_bad)
		return false;
	memcpy(name, rest, len);
	name[len] = '\0';
	memmove(lookup->rest, rest + len, strlen(rest + len) + 1);
	return true;
}

static bool is_last(const struct lookup *lookup)
{
	return !lookup->rest[strspn(lookup->rest, "/")];
}

static int add_name(struct lookup *lookup, const char *name, struct err *err)
{
	size_t len = strlen(lookup->path);
	int put = snprintf(lookup->path + len, sizeof(lookup->path) - len, "%s%s", len ? "/" : "",
			   name);

	if (put < 0 || (size_t)put >= sizeof(lookup->path) - len)
		return err_set(err, ERR_INVALID, "%.200s: path too long", lookup->what);
	return 0;
}

static int follow(struct lookup *lookup, const char *target, struct err *err)
{
	char *longer;

	if (++lookup->links > LINKS_MAX)
		return err_set(err, ERR_INVALID, "%s: too many levels of symbolic links",
			       lookup->what);
	if (*target == '/')
		pop_to(lookup, 1);
	else
		pop_to(lookup, lookup->depth);
	longer = xasprintf("%s/%s", target, lookup->rest);
	free(lookup->rest);
	lookup->rest = longer;
	return 0;
}

static int fail_absent(struct lookup *lookup, bool keep_path, struct err *err)
{
	if (!keep_path)
		lookup->path[0] = '\0';
	return err_set(err, ERR_NOT_FOUND, "%s: no such file or directory", lookup->what);
}

/* 1: *ret_found, which is no directory, is the end; 0: go on. */
static int take_name(struct lookup *lookup, const char *name, bool follow_last,
		     struct root_found *ret_found, char target[ENTRY_LINK_MAX], struct err *err)
{
	struct root_dir dir;

	if (add_name(lookup, name, err) < 0 ||
	    root_step(lookup->root, &lookup->stack[lookup->depth - 1].dir, lookup->path, ret_found,
		      &dir, err) < 0)
		return -1;
	if (ret_found->kind == ROOT_DIRECTORY) {
		push(lookup, ret_found, dir);
		return 0;
	}
	root_dir_release(&dir);
	if (ret_found->kind == ROOT_ABSENT)
		return fail_absent(lookup, is_last(lookup), err);
	if (S_ISLNK(ret_found->stat.st_mode)) {
		if (root_read_link(lookup->root, ret_found, lookup->path, target, err) < 0)
			return -1;
		if (follow_last || !is_last(lookup))
			return follow(lookup, target, err);
	}
	return is_last(lookup) ? 1 : fail_absent(lookup, false, err);
}

static int resolve(struct lookup *lookup, bool follow_last, struct root_found *ret_found,
		   char target[ENTRY_LINK_MAX], struct err *err)
{
	char name[ENTRY_NAME_MAX + 1];
	struct root_dir dir;
	bool bad;

	if (root_top(lookup->root, ret_found, &dir, err) < 0)
		return -1;
	push(lookup, ret_found, dir);
	while (next_name(lookup, name, &bad)) {
		int done = 0;

		if (!strcmp(name, ".."))
			pop_to(lookup, lookup->depth > 1 ? lookup->depth - 1 : 1);
		else if (strcmp(name, "."))
			done = take_name(lookup, name, follow_last, ret_found, target, err);
		if (done)
			return done < 0 ? -1 : 0;
	}
	if (bad)
		return err_set(err, ERR_INVALID, "%.200s: name too long", lookup->what);
	*ret_found = lookup->stack[lookup->depth - 1].found;
	return 0;
}

int root_find(struct root *root, const char *path, bool follow_last, struct root_entry *ret_entry,
	      struct root_found *ret_found, struct err *err)
{
	struct lookup lookup = { .root = root, .what = path, .rest = xstrdup(path) };
	char target[ENTRY_LINK_MAX] = "";
	int bad = resolve(&lookup, follow_last, ret_found, target, err);

	if (!bad || err->kind == ERR_NOT_FOUND)
		memcpy(ret_entry->path, lookup.path, sizeof(lookup.path));
	if (!bad) {
		ret_entry->stat = ret_found->stat;
		ret_entry->link[0] = '\0';
		if (S_ISLNK(ret_found->stat.st_mode))
			memcpy(ret_entry->link, target, sizeof(target));
	}
	pop_to(&lookup, 0);
	free(lookup.stack);
	free(lookup.rest);
	return bad;
}

int root_lookup(struct root *root, const char *path, bool follow_last, struct root_entry *ret_entry,
		struct err *err)
{
	struct root_found found;

	return root_find(root, path, follow_last, ret_entry, &found, err);
}

int root_read(struct root *root, const char *path, size_t max, struct buf *buf, struct err *err)
{
	cleanup_free struct root_entry *entry = xcalloc(1, sizeof(*entry));
	cleanup_free char *data = NULL;
	struct root_found found;
	cleanup_fd int fd = -1;
	uint64_t offset;
	ssize_t got;
	size_t size;

	if (root_find(root, path, true, entry, &found, err) < 0)
		return -1;
	if (!S_ISREG(found.stat.st_mode))
		return err_set(err, ERR_INVALID, "%s: not a regular file", path);
	if ((uint64_t)found.stat.st_size > max)
		return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max);
	size = (size_t)found.stat.st_size;
	fd = root_open_content(root, &found, entry->path, &offset, err);
	if (fd < 0)
		return -1;
	data = xmalloc(size + 1);
	got = pread_all(fd, data, size, (off_t)offset);
	if (got < 0)
		return err_os(err, "read %s", path);
	if ((size_t)got < size)
		return err_set(err, ERR_CORRUPT, "%s: its layer is cut short", path);
	if (buf_add(buf, data, size) < 0)
		return err_set(err, ERR_LIMIT, "%s: larger than its buffer", path);
	return 0;
}
