/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees: a layer as a directory that overlay stacks. A tree is filled under tmp/ and appears by
 * one rename of its directory, whose record is written before; what has a name is whole.
 */
#include "layers/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/sink.h"
#include "layers/store.h"

#define IMPLIED_MAX (256 * 1024 * 1024)

DEFINE_CLEANUP(struct tar_writer *, tar_writer_free)

const char *tree_path(const struct digest *diff_id, const char *below, char path[TREE_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(path, TREE_PATH_MAX, "trees/%s%s%s", digest_hex(diff_id, hex), *below ? "/" : "",
		 below);
	return path;
}

bool tree_exists(struct store *store, const struct digest *diff_id)
{
	char path[TREE_PATH_MAX];

	return faccessat(store_fd(store), tree_path(diff_id, "implied", path), F_OK, 0) == 0;
}

/* --- implied directories ---------------------------------------------------------------------- */

int path_set_parse(char *text, size_t len, struct path_set *ret_set)
{
	struct path_set set = { .text = text };
	size_t cap = 0;

	if (len && text[len - 1]) {
		free(text);
		return -1;
	}
	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		set.paths = grow_vector(set.paths, set.n, &cap, sizeof(*set.paths));
		set.paths[set.n++] = text + at;
	}
	*ret_set = set;
	return 0;
}

bool path_set_has(const struct path_set *set, const char *path)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = entry_path_compare(path, set->paths[middle]);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

void path_set_release(struct path_set *set)
{
	free(set->text);
	free(set->paths);
	*set = (struct path_set){ 0 };
}

int tree_read_implied(struct store *store, const struct digest *diff_id, struct path_set *ret_set,
		      struct err *err)
{
	char path[TREE_PATH_MAX];
	cleanup_buf struct buf text;
	size_t len;

	buf_init(&text, IMPLIED_MAX);
	if (file_read_at(store_fd(store), tree_path(diff_id, "implied", path), &text, err) < 0)
		return -1;
	len = text.len;
	if (path_set_parse(buf_steal(&text), len, ret_set) < 0)
		return err_set(err, ERR_CORRUPT, "%s is damaged", path);
	return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

int tree_publish(struct store *store, const char *dir, const struct digest *diff_id,
		 struct err *err)
{
	char path[TREE_PATH_MAX];

	if (mkdirat(store_fd(store), "trees", 0700) < 0 && errno != EEXIST)
		return err_os(err, "make trees/ in the store");
	tree_path(diff_id, "", path);
	if (renameat(store_fd(store), dir, store_fd(store), path) == 0)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return 0;
	return err_os(err, "rename %s to %s", dir, path);
}

/* Under tmp/ first: a tree that has its name is whole. */
int tree_remove(struct store *store, const struct digest *diff_id, struct err *err)
{
	char path[TREE_PATH_MAX], gone[SCRATCH_PATH_MAX + 8];
	struct scratch *scratch;

	if (!tree_exists(store, diff_id))
		return 0;
	if (scratch_open(store, &scratch, err) < 0)
		return -1;
	snprintf(gone, sizeof(gone), "%s/tree", scratch->path);
	if (renameat(store_fd(store), tree_path(diff_id, "", path), store_fd(store), gone) < 0 &&
	    errno != ENOENT) {
		err_os(err, "rename %s", path);
		scratch_free(scratch);
		return -1;
	}
	if (file_remove_tree_at(scratch->dir_fd, "tree", err) < 0) {
		scratch_free(scratch);
		return -1;
	}
	scratch_free(scratch);
	return 0;
}

/* --- as tar ----------------------------------------------------------------------------------- */

static int stream_item(struct walk *walk, const struct walk_item *item,
		       const struct path_set *implied, struct tar_writer *tar, struct err *err)
{
	cleanup_fd int fd = -1;

	if (item->kind == WALK_LEAVE)
		return 0;
	if (item->kind == WALK_DIRECTORY) {
		struct entry mark = { .path = item->path, .type = ENTRY_OPAQUE };

		if (!path_set_has(implied, item->path) &&
		    walk_write(walk, item, item->fd, tar, err) < 0)
			return -1;
		return item->opaque ? tar_writer_entry(tar, &mark, err) : 0;
	}
	if (S_ISREG(item->stat.st_mode)) {
		fd = walk_open_file(item, err);
		if (fd < 0)
			return -1;
	}
	return walk_write(walk, item, fd, tar, err);
}

static int stream(int fs_fd, const struct path_set *implied, struct tar_writer *tar,
		  struct err *err)
{
	cleanup_with(walk_free) struct walk *walk = walk_new(fs_fd);
	struct walk_item item;
	int more;

	while ((more = walk_next(walk, &item, err)) > 0)
		if (stream_item(walk, &item, implied, tar, err) < 0)
			return -1;
	return more < 0 ? -1 : tar_writer_end(tar, err);
}

/* The bytes are hashed in passing: what is not the layer any more must not leave as it. */
int tree_stream(struct store *store, const struct digest *diff_id, struct sink *sink,
		struct err *err)
{
	cleanup_with(tar_writer_free) struct tar_writer *tar = NULL;
	char path[TREE_PATH_MAX], text[DIGEST_TEXT_MAX];
	struct sink_digest check;
	struct path_set implied;
	cleanup_fd int fs_fd = -1;
	struct digest got;
	int bad;

	tree_path(diff_id, "fs", path);
	fs_fd = openat(store_fd(store), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fs_fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "the layer %s is not unpacked",
			       digest_format(diff_id, text));
	if (fs_fd < 0)
		return err_os(err, "open %s", path);
	if (tree_read_implied(store, diff_id, &implied, err) < 0)
		return -1;
	sink_digest_init(&check, sink);
	tar = tar_writer_new(&check.sink);
	bad = stream(fs_fd, &implied, tar, err);
	path_set_release(&implied);
	if (bad)
		return err_wrap(err, "%s", path);
	hasher_finish(&check.hasher, &got);
	if (!digest_equal(&got, diff_id))
		return err_set(err, ERR_CORRUPT, "%s does not hold the layer any more", path);
	return 0;
}
