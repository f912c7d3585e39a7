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

/* One place for each kind of tree: flat or not, with owners that are only recorded or not; and what
 * root stacks in a user namespace, where the opaque marks of his other trees cannot be read. */
static const char *const homes[] = { "trees", "flat", "own", "own-flat", "nested" };

#define KIND_FLAT     1u
#define KIND_RECORDED 2u
#define KIND_NESTED   4u

static unsigned kind_of(const struct store *store)
{
	unsigned kind = (store_has_flat_trees(store) ? KIND_FLAT : 0) |
			(store_records_owners(store) ? KIND_RECORDED : 0);

	if (kind == 0 && store_is_roots(store) &&
	    !strcmp(store_opaque_name(store), OPAQUE_NAME_USER))
		return KIND_NESTED;
	return kind;
}

static const char *opaque_name_of(unsigned kind)
{
	if (kind == KIND_NESTED)
		return OPAQUE_NAME_USER;
	return kind & KIND_FLAT ? TAR_OPAQUE : overlay_opaque_name();
}

/* In flat trees, which those without rights use too, modes are always recorded with the owners: who
 * has rights reads both right. */
enum owner_record tree_owner_record(const struct store *store)
{
	return store_records_owners(store) && store_has_flat_trees(store)
		       ? OWNER_AND_MODE_RECORDED
		       : store_owner_record(store);
}

static const char *path_in(unsigned kind, const struct digest *diff_id, const char *below,
			   char path[TREE_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(path, TREE_PATH_MAX, "%s/%s%s%s", homes[kind], digest_hex(diff_id, hex),
		 *below ? "/" : "", below);
	return path;
}

const char *tree_path(const struct store *store, const struct digest *diff_id, const char *below,
		      char path[TREE_PATH_MAX])
{
	return path_in(kind_of(store), diff_id, below, path);
}

static bool exists_in(struct store *store, unsigned kind, const struct digest *diff_id)
{
	char path[TREE_PATH_MAX];

	return faccessat(store_fd(store), path_in(kind, diff_id, "implied", path), F_OK, 0) == 0;
}

bool tree_exists(struct store *store, const struct digest *diff_id)
{
	return exists_in(store, kind_of(store), diff_id);
}

/* The store's own kind, or another one there is a tree of; -1: none. */
static int find_kind(struct store *store, const struct digest *diff_id)
{
	if (tree_exists(store, diff_id))
		return (int)kind_of(store);
	for (unsigned kind = ARRAY_SIZE(homes); kind-- > 0;)
		if (exists_in(store, kind, diff_id))
			return (int)kind;
	return -1;
}

bool tree_exists_somehow(struct store *store, const struct digest *diff_id)
{
	return find_kind(store, diff_id) >= 0;
}

/* --- implied directories ---------------------------------------------------------------------- */

/* Takes text. */
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

static int read_implied(struct store *store, const char *path, struct path_set *ret_set,
			struct err *err)
{
	cleanup_buf struct buf text;
	size_t len;

	buf_init(&text, IMPLIED_MAX);
	if (file_read_at(store_fd(store), path, &text, err) < 0)
		return -1;
	len = text.len;
	if (path_set_parse(buf_steal(&text), len, ret_set) < 0)
		return err_set(err, ERR_CORRUPT, "%s is damaged", path);
	return 0;
}

/* They are the same in a tree of any kind. */
int tree_read_implied(struct store *store, const struct digest *diff_id, struct path_set *ret_set,
		      struct err *err)
{
	int kind = find_kind(store, diff_id);
	char path[TREE_PATH_MAX];

	path_in(kind < 0 ? 0 : (unsigned)kind, diff_id, "implied", path);
	return read_implied(store, path, ret_set, err);
}

/* --- life ------------------------------------------------------------------------------------- */

int tree_publish(struct store *store, const char *dir, const struct digest *diff_id,
		 struct err *err)
{
	const char *home = homes[kind_of(store)];
	char path[TREE_PATH_MAX];

	if (mkdirat(store_fd(store), home, 0700) < 0 && errno != EEXIST)
		return err_os(err, "make %s/ in the store", home);
	tree_path(store, diff_id, "", path);
	if (renameat(store_fd(store), dir, store_fd(store), path) == 0)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return 0;
	return err_os(err, "rename %s to %s", dir, path);
}

/* Under tmp/ first: a tree that has its name is whole. */
static int remove_in(struct store *store, unsigned kind, const struct digest *diff_id,
		     struct err *err)
{
	cleanup_with(scratch_free) struct scratch *scratch = NULL;
	char path[TREE_PATH_MAX], gone[SCRATCH_PATH_MAX + 8];

	if (!exists_in(store, kind, diff_id))
		return 0;
	if (scratch_open(store, &scratch, err) < 0)
		return -1;
	snprintf(gone, sizeof(gone), "%s/tree", scratch->path);
	if (renameat(store_fd(store), path_in(kind, diff_id, "", path), store_fd(store), gone) <
		    0 &&
	    errno != ENOENT)
		return err_os(err, "rename %s", path);
	return file_remove_tree_at(scratch->dir_fd, "tree", err);
}

int tree_remove(struct store *store, const struct digest *diff_id, struct err *err)
{
	for (unsigned kind = 0; kind < ARRAY_SIZE(homes); kind++)
		if (remove_in(store, kind, diff_id, err) < 0)
			return -1;
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

static int stream(int fs_fd, unsigned kind, const struct path_set *implied, struct tar_writer *tar,
		  struct err *err)
{
	cleanup_with(walk_free) struct walk *walk =
		walk_new(fs_fd, opaque_name_of(kind), kind & KIND_RECORDED);
	struct walk_item item;
	int more;

	while ((more = walk_next(walk, &item, err)) > 0)
		if (stream_item(walk, &item, implied, tar, err) < 0)
			return -1;
	return more < 0 ? -1 : tar_writer_end(tar, err);
}

static int stream_into(int fs_fd, unsigned kind, const struct path_set *implied, struct sink *sink,
		       struct err *err)
{
	cleanup_with(tar_writer_free) struct tar_writer *tar = tar_writer_new(sink);

	return stream(fs_fd, kind, implied, tar, err);
}

int tree_stream_at(int fs_fd, bool recorded_owners, const struct path_set *implied,
		   struct sink *sink, struct err *err)
{
	return stream_into(fs_fd, recorded_owners ? KIND_RECORDED : 0, implied, sink, err);
}

/* From the tree of either notation. The bytes are hashed in passing: what is not the layer any more
 * must not leave as it. */
int tree_stream(struct store *store, const struct digest *diff_id, struct sink *sink,
		struct err *err)
{
	int kind = find_kind(store, diff_id);
	char path[TREE_PATH_MAX], text[DIGEST_TEXT_MAX];
	struct sink_digest check;
	struct path_set implied;
	cleanup_fd int fs_fd = -1;
	struct digest got;
	int bad;

	path_in(kind < 0 ? 0 : (unsigned)kind, diff_id, "fs", path);
	fs_fd = openat(store_fd(store), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fs_fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "the layer %s is not unpacked",
			       digest_format(diff_id, text));
	if (fs_fd < 0)
		return err_os(err, "open %s", path);
	if (read_implied(store, path_in((unsigned)kind, diff_id, "implied", path), &implied, err) <
	    0)
		return -1;
	sink_digest_init(&check, sink);
	bad = stream_into(fs_fd, (unsigned)kind, &implied, &check.sink, err);
	path_set_release(&implied);
	if (bad)
		return err_wrap(err, "%s", path);
	hasher_finish(&check.hasher, &got);
	if (digest_equal(&got, diff_id))
		return 0;
	if (kind == 0 && kind_of(store) == KIND_NESTED)
		return err_set(err, ERR_UNSUPPORTED,
			       "the layer %s was made by root outside of this user namespace, who "
			       "alone can read which directories are opaque in it (fix, one of: "
			       "CAP_SYS_ADMIN, a store of its own by --root, or --no-cache)",
			       digest_format(diff_id, text));
	return err_set(err, ERR_CORRUPT, "%s does not hold the layer any more", path);
}
