/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directories of an overlay, all in one scratch directory until upper becomes a tree:
 *	upper/ work/	what RUN writes; upper begins with the attributes of the merged root
 *	top/		an extra lower, see top.c
 *	empty/		the only lower when there are no layers
 */
#include "layers/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/store.h"

#define IMPLIED_MAX (256 * 1024 * 1024)

DEFINE_CLEANUP(struct tar_writer *, tar_writer_free)

/* The public part comes first. */
struct stacked {
	struct snapshot snapshot;
	struct digest *diff_ids;
	size_t n;
};

void snapshot_free(struct snapshot *snapshot)
{
	struct stacked *stacked = (struct stacked *)snapshot;

	if (!snapshot)
		return;
	for (size_t i = 0; i < snapshot->n_lowers; i++)
		free(snapshot->lowers[i]);
	free(snapshot->lowers);
	free(snapshot->upper);
	free(snapshot->work);
	scratch_free(snapshot->scratch);
	free(stacked->diff_ids);
	free(stacked);
}

static void add_lower(struct snapshot *snapshot, char *path)
{
	snapshot->lowers =
		xreallocarray(snapshot->lowers, snapshot->n_lowers + 1, sizeof(*snapshot->lowers));
	snapshot->lowers[snapshot->n_lowers++] = path;
}

static int add_lowers(struct stacked *stacked, struct root *root, const struct root_dir *dir,
		      struct err *err)
{
	struct snapshot *snapshot = &stacked->snapshot;
	char path[TREE_PATH_MAX], *extra = NULL;
	int fd;

	if (top_make(root, dir, snapshot->scratch, &extra, err) < 0)
		return -1;
	if (extra)
		add_lower(snapshot, extra);
	for (size_t i = 0; i < dir->n; i++)
		add_lower(snapshot,
			  xstrdup(tree_path(&stacked->diff_ids[dir->layers[i]], "fs", path)));
	if (snapshot->n_lowers)
		return 0;
	if (scratch_make(snapshot->scratch, "empty", &extra, &fd, err) < 0)
		return -1;
	close(fd);
	add_lower(snapshot, extra);
	return 0;
}

static int add_upper(struct snapshot *snapshot, struct root *root, const struct root_found *top,
		     struct err *err)
{
	cleanup_fd int upper_fd = -1, work_fd = -1;

	if (scratch_make(snapshot->scratch, "upper", &snapshot->upper, &upper_fd, err) < 0 ||
	    scratch_make(snapshot->scratch, "work", &snapshot->work, &work_fd, err) < 0)
		return -1;
	return root_dress(root, "", top, upper_fd, err);
}

static int check_trees(const struct stacked *stacked, struct err *err)
{
	char text[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < stacked->n; i++)
		if (!tree_exists(stacked->snapshot.store, &stacked->diff_ids[i]))
			return err_set(err, ERR_NOT_FOUND, "layer %s is not unpacked",
				       digest_format(&stacked->diff_ids[i], text));
	return 0;
}

/* An opaque root hides all layers below it; overlay itself does not look at that. */
static int fill(struct stacked *stacked, struct root *root, bool writable, struct err *err)
{
	struct root_found top;
	struct root_dir dir;
	int bad;

	if (root_top(root, &top, &dir, err) < 0)
		return -1;
	bad = add_lowers(stacked, root, &dir, err);
	if (!bad && writable)
		bad = add_upper(&stacked->snapshot, root, &top, err);
	root_dir_release(&dir);
	return bad;
}

int snapshot_prepare(struct store *store, const struct digest *diff_ids, size_t n, bool writable,
		     struct snapshot **ret_snapshot, struct err *err)
{
	struct stacked *stacked = xcalloc(1, sizeof(*stacked));
	cleanup_with(snapshot_free) struct snapshot *snapshot = &stacked->snapshot;
	cleanup_with(root_free) struct root *root = NULL;

	snapshot->store = store;
	stacked->n = n;
	stacked->diff_ids = xcalloc(n + 1, sizeof(*diff_ids));
	if (n)
		memcpy(stacked->diff_ids, diff_ids, n * sizeof(*diff_ids));
	if (check_trees(stacked, err) < 0 || root_open(store, diff_ids, n, &root, err) < 0 ||
	    scratch_open(store, &snapshot->scratch, err) < 0 ||
	    fill(stacked, root, writable, err) < 0)
		return err_wrap(err, "prepare a root");
	*ret_snapshot = steal_pointer(&snapshot);
	return 0;
}

/* --- commit ----------------------------------------------------------------------------------- */

static int write_layer(struct stacked *stacked, struct diff_result *result, struct layer *ret_layer,
		       struct err *err)
{
	cleanup_with(tar_writer_free) struct tar_writer *tar = NULL;
	cleanup_with(root_free) struct root *root = NULL;
	cleanup_fd int upper_fd = -1;
	struct sink_digest digest;

	if (root_open(stacked->snapshot.store, stacked->diff_ids, stacked->n, &root, err) < 0)
		return -1;
	upper_fd = openat(stacked->snapshot.scratch->dir_fd, "upper",
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper_fd < 0)
		return err_os(err, "open %s", stacked->snapshot.upper);
	sink_digest_init(&digest, NULL);
	tar = tar_writer_new(&digest.sink);
	if (diff_write(root, upper_fd, tar, result, err) < 0 || sink_finish(&digest.sink, err) < 0)
		return -1;
	*ret_layer = (struct layer){ digest.digest, digest.size, result->empty };
	return 0;
}

/* The layer's record is there before its tree has a name. */
static int place_tree(struct snapshot *snapshot, const struct buf *implied,
		      const struct layer *layer, struct err *err)
{
	char dir[SCRATCH_PATH_MAX + 8];
	int scratch_fd = snapshot->scratch->dir_fd;

	if (mkdirat(scratch_fd, "tree", 0700) < 0 ||
	    renameat(scratch_fd, "upper", scratch_fd, "tree/fs") < 0)
		return err_os(err, "make a tree of %s", snapshot->upper);
	if (file_replace_at(scratch_fd, "tree/implied", implied->data, implied->len, 0600, false,
			    err) < 0 ||
	    layer_remember(snapshot->store, layer, err) < 0)
		return -1;
	snprintf(dir, sizeof(dir), "%s/tree", snapshot->scratch->path);
	return tree_publish(snapshot->store, dir, &layer->diff_id, err);
}

int snapshot_commit(struct snapshot *snapshot, struct layer *ret_layer, unsigned *ret_skipped,
		    struct err *err)
{
	cleanup_buf struct buf implied;
	struct diff_result result = { .implied = &implied };
	struct layer layer;

	if (!snapshot->upper)
		return err_set(err, ERR_INVALID, "the snapshot is read-only");
	buf_init(&implied, IMPLIED_MAX);
	if (write_layer((struct stacked *)snapshot, &result, &layer, err) < 0 ||
	    place_tree(snapshot, &implied, &layer, err) < 0)
		return err_wrap(err, "make a layer");
	*ret_layer = layer;
	if (ret_skipped)
		*ret_skipped = result.sockets;
	return 0;
}
