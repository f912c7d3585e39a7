/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directories of an overlay, all in one scratch directory until upper becomes a tree:
 *	upper/ work/	what RUN writes; upper begins with the attributes of the merged root
 *	top/		an extra lower, see top.c
 *	empty/		the only lower when there are no layers
 */
#include "layers/layer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/store.h"

DEFINE_CLEANUP(struct tar_writer *, tar_writer_free)

/* The public part comes first. */
struct stacked {
	struct snapshot snapshot;
	struct root *root;		 /* the caller's, up to settling or committing */
	char tree[SCRATCH_PATH_MAX + 8]; /* once settled: where fs/ and implied are, */
	bool root_implied;		 /* and whether the root is what the second names */
	struct mark mark;		 /* of a copy: when it was complete, */
	size_t copied;			 /* and of how many layers it was one */
};

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->upper && !snapshot->work)
		mark_release(&((struct stacked *)snapshot)->mark);
	for (size_t i = 0; i < snapshot->n_lowers; i++)
		free(snapshot->lowers[i]);
	free(snapshot->lowers);
	free(snapshot->upper);
	free(snapshot->work);
	scratch_free(snapshot->scratch);
	free(snapshot);
}

static void add_lower(struct snapshot *snapshot, char *path)
{
	snapshot->lowers =
		xreallocarray(snapshot->lowers, snapshot->n_lowers + 1, sizeof(*snapshot->lowers));
	snapshot->lowers[snapshot->n_lowers++] = path;
}

/* Whether the layer comes again above: all that it says is said there, and overlay takes no
 * directory twice (two RUNs that do the same within a second). */
static bool is_repeated(const struct root *root, const struct root_dir *dir, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (root_is_same(root, dir->layers[i], dir->layers[at]))
			return true;
	return false;
}

static int add_lowers(struct snapshot *snapshot, struct root *root, const struct root_dir *dir,
		      struct err *err)
{
	char path[ROOT_TREE_MAX], *extra = NULL;
	int fd;

	if (top_make(root, dir, snapshot->scratch, &extra, err) < 0)
		return -1;
	if (extra)
		add_lower(snapshot, extra);
	for (size_t i = 0; i < dir->n; i++)
		if (!is_repeated(root, dir, i))
			add_lower(snapshot, xstrdup(root_tree_path(root, dir->layers[i], path)));
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

/* An opaque root hides all layers below it; overlay itself does not look at that. */
static int fill(struct snapshot *snapshot, struct root *root, bool writable, struct err *err)
{
	struct root_found top;
	struct root_dir dir;
	int bad;

	if (root_top(root, &top, &dir, err) < 0)
		return -1;
	bad = add_lowers(snapshot, root, &dir, err);
	if (!bad && writable)
		bad = add_upper(snapshot, root, &top, err);
	root_dir_release(&dir);
	return bad;
}

int snapshot_prepare(struct root *root, bool writable, struct snapshot **ret_snapshot,
		     struct err *err)
{
	struct stacked *stacked = xcalloc(1, sizeof(*stacked));
	cleanup_with(snapshot_free) struct snapshot *snapshot = &stacked->snapshot;

	snapshot->store = root_store(root);
	stacked->root = root;
	if (root_use_trees(root, err) < 0 ||
	    scratch_open(snapshot->store, &snapshot->scratch, err) < 0 ||
	    fill(snapshot, root, writable, err) < 0)
		return err_wrap(err, "prepare a root");
	*ret_snapshot = steal_pointer(&snapshot);
	return 0;
}

static int open_upper(const struct snapshot *snapshot, const char *name, int *ret_fd,
		      struct err *err)
{
	*ret_fd = openat(snapshot->scratch->dir_fd, name,
			 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_os(err, "open %s", snapshot->upper) : 0;
}

int snapshot_copy(struct root *root, struct snapshot **ret_snapshot, struct err *err)
{
	struct stacked *stacked = xcalloc(1, sizeof(*stacked));
	cleanup_with(snapshot_free) struct snapshot *snapshot = &stacked->snapshot;
	cleanup_fd int fd = -1;

	snapshot->store = root_store(root);
	stacked->root = root;
	mark_init(&stacked->mark);
	if (root_use_trees(root, err) < 0 ||
	    scratch_open(snapshot->store, &snapshot->scratch, err) < 0 ||
	    scratch_make(snapshot->scratch, "upper", &snapshot->upper, &fd, err) < 0 ||
	    native_copy(root, fd, err) < 0 ||
	    mark_open(&stacked->mark, snapshot->scratch->dir_fd, err) < 0 ||
	    mark_note(&stacked->mark, err) < 0 || mark_set(&stacked->mark, err) < 0)
		return err_wrap(err, "copy a root");
	stacked->copied = root_count(root);
	*ret_snapshot = steal_pointer(&snapshot);
	return 0;
}

int snapshot_renew(struct snapshot *snapshot, struct err *err)
{
	struct stacked *stacked = (struct stacked *)snapshot;
	cleanup_fd int fd = -1;

	assert(snapshot->reusable);
	snapshot->reusable = false;
	if (root_use_trees(stacked->root, err) < 0 || open_upper(snapshot, "upper", &fd, err) < 0)
		return err_wrap(err, "copy layers");
	if (stacked->copied < root_count(stacked->root) &&
	    (native_copy_from(stacked->root, stacked->copied, fd, err) < 0 ||
	     mark_note(&stacked->mark, err) < 0))
		return err_wrap(err, "copy layers");
	stacked->copied = root_count(stacked->root);
	return mark_set(&stacked->mark, err);
}

/* --- commit ----------------------------------------------------------------------------------- */

static int write_layer(struct stacked *stacked, struct diff_result *result, struct layer *ret_layer,
		       struct err *err)
{
	cleanup_with(tar_writer_free) struct tar_writer *tar = NULL;
	cleanup_fd int upper_fd = -1;
	struct sink_digest digest;

	if (open_upper(&stacked->snapshot, "upper", &upper_fd, err) < 0)
		return -1;
	sink_digest_init(&digest, NULL);
	tar = tar_writer_new(&digest.sink);
	if (diff_write(stacked->root, upper_fd, tar, result, err) < 0 ||
	    sink_finish(&digest.sink, err) < 0)
		return -1;
	*ret_layer = (struct layer){ digest.digest, digest.size, result->empty };
	return 0;
}

/* The upper directory becomes what a tree consists of. */
static int make_tree(struct stacked *stacked, const struct diff_result *result, struct err *err)
{
	struct snapshot *snapshot = &stacked->snapshot;
	int scratch_fd = snapshot->scratch->dir_fd;
	cleanup_fd int fd = -1;

	if (mkdirat(scratch_fd, "tree", 0700) < 0 ||
	    renameat(scratch_fd, "upper", scratch_fd, "tree/fs") < 0)
		return err_os(err, "make a tree of %s", snapshot->upper);
	fd = openat(scratch_fd, "tree/implied", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	/* one path, that of the root, and its NUL; or nothing */
	if (fd < 0 || write_all(fd, "", result->root_implied) < 0)
		return err_os(err, "write %s/tree/implied", snapshot->scratch->path);
	stacked->root_implied = result->root_implied;
	snprintf(stacked->tree, sizeof(stacked->tree), "%s/tree", snapshot->scratch->path);
	return 0;
}

/* The layer's record is there before its tree has a name. */
int snapshot_name(const struct snapshot *snapshot, const struct layer *layer, struct err *err)
{
	const struct stacked *stacked = (const struct stacked *)snapshot;

	if (layer_remember(snapshot->store, layer, err) < 0)
		return -1;
	return tree_publish(snapshot->store, stacked->tree, &layer->diff_id, err);
}

/* Nobody stacks a layer that was made without overlayfs here: its tar is what is kept. */
static int commit_copy(struct stacked *stacked, struct diff_result *result, struct layer *ret_layer,
		       struct err *err)
{
	struct snapshot *snapshot = &stacked->snapshot;
	cleanup_with(layer_writer_free) struct layer_writer *writer = NULL;
	cleanup_fd int fd = -1;

	mark_close(&stacked->mark);
	if (mark_note(&stacked->mark, err) < 0 || open_upper(snapshot, "upper", &fd, err) < 0 ||
	    layer_writer_open(snapshot->store, &writer, err) < 0 ||
	    diff_write_whole(stacked->root, fd, &stacked->mark, layer_writer_tar(writer), result,
			     err) < 0 ||
	    layer_writer_commit(writer, ret_layer, err) < 0)
		return -1;
	stacked->copied += !ret_layer->empty;
	snapshot->reusable = !result->linked;
	return 0;
}

int snapshot_commit(struct snapshot *snapshot, struct layer *ret_layer, unsigned *ret_skipped,
		    struct err *err)
{
	struct diff_result result = { 0 };
	struct layer layer;

	if (!snapshot->upper)
		return err_set(err, ERR_INVALID, "the snapshot is read-only");
	if (snapshot->work ? write_layer((struct stacked *)snapshot, &result, &layer, err) < 0 ||
				     make_tree((struct stacked *)snapshot, &result, err) < 0 ||
				     snapshot_name(snapshot, &layer, err) < 0
			   : commit_copy((struct stacked *)snapshot, &result, &layer, err) < 0)
		return err_wrap(err, "make a layer");
	*ret_layer = layer;
	if (ret_skipped)
		*ret_skipped = result.sockets;
	return 0;
}

/* --- in steps --------------------------------------------------------------------------------- */

int snapshot_settle(struct snapshot *snapshot, bool *ret_empty, unsigned *ret_skipped,
		    struct err *err)
{
	struct stacked *stacked = (struct stacked *)snapshot;
	struct diff_result result = { 0 };
	cleanup_fd int upper_fd = -1;

	if (!snapshot->upper)
		return err_set(err, ERR_INVALID, "the snapshot is read-only");
	if (open_upper(snapshot, "upper", &upper_fd, err) < 0 ||
	    diff_write(stacked->root, upper_fd, NULL, &result, err) < 0 ||
	    make_tree(stacked, &result, err) < 0)
		return err_wrap(err, "make a layer");
	*ret_empty = result.empty;
	*ret_skipped = result.sockets;
	return 0;
}

void snapshot_tidy(struct snapshot *snapshot)
{
	/* a layer that was there already has left its tree here, which later steps may stand on */
	if (faccessat(snapshot->scratch->dir_fd, "tree", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		scratch_free(steal_pointer(&snapshot->scratch));
}

int snapshot_push(const struct snapshot *snapshot, struct root *root, struct err *err)
{
	const struct stacked *stacked = (const struct stacked *)snapshot;

	return root_push_settled(root, stacked->tree, stacked->root_implied, err);
}

int snapshot_digest(const struct snapshot *snapshot, struct layer *ret_layer, struct err *err)
{
	const struct stacked *stacked = (const struct stacked *)snapshot;
	char text[1] = "";
	const char *paths[] = { text };
	struct path_set implied = { .text = text, .paths = paths, .n = stacked->root_implied };
	cleanup_fd int fs_fd = -1;
	struct sink_digest digest;

	sink_digest_init(&digest, NULL);
	if (open_upper(snapshot, "tree/fs", &fs_fd, err) < 0 ||
	    tree_stream_at(fs_fd, store_records_owners(snapshot->store), &implied, &digest.sink,
			   err) < 0 ||
	    sink_finish(&digest.sink, err) < 0)
		return err_wrap(err, "digest a layer");
	*ret_layer = (struct layer){ .diff_id = digest.digest, .size = digest.size };
	return 0;
}
