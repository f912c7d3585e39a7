/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The merged file system of some layers, looked up the way overlayfs does it: from the top down,
 * until a whiteout, an opaque directory or something that is no directory ends the search.
 *
 * A merged directory is the list of the layers that take part in it. A child is looked up in
 * these only, so each prefix of a path is known to be a real directory in the layer that is
 * asked, and a plain fstatat() of the whole path meets no link. Trees do not change.
 */
#include "layers/layer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "layers/internal.h"
#include "layers/store.h"

enum look_kind { LOOK_ABSENT, LOOK_WHITEOUT, LOOK_OTHER, LOOK_DIRECTORY };

/* What one layer has at a path. */
struct look {
	enum look_kind kind;
	struct stat stat;
	bool named;  /* a directory that the layer's tar names */
	bool opaque; /* a directory that hides what is below it; told only when asked */
};

struct root_layer {
	struct digest diff_id; /* zero while it is not known; then */
	char *place;	       /* is where the tree is, which is open */
	bool loaded, has_implied;
	int fs_fd;		 /* of its tree, or -1; */
	const char *opaque_name; /* the tree's notation when it was opened, */
	bool recorded_owners;	 /* and whether its owners are */
	struct path_set implied;
	int blob_fd; /* of its tar, or -1 */
	struct tar_index *index;
	bool has_top; /* every lookup begins with the layer's root: it is kept */
	struct look top;
	char *absent; /* the first name its tree was found to lack: "etc", mostly, which each step
		       * asks for several times */
};

struct root {
	struct store *store;
	struct root_layer *layers; /* bottom first */
	size_t n, cap;
};

void root_free(struct root *root)
{
	if (!root)
		return;
	for (size_t i = 0; i < root->n; i++) {
		struct root_layer *layer = &root->layers[i];

		free(layer->place);
		free(layer->absent);
		file_close_at(&layer->fs_fd);
		file_close_at(&layer->blob_fd);
		path_set_release(&layer->implied);
		tar_index_free(layer->index);
	}
	free(root->layers);
	free(root);
}

/* Layers are opened when something is first looked up in them. */
int root_open(struct store *store, const struct digest *diff_ids, size_t n, struct root **ret_root,
	      struct err *err)
{
	cleanup_with(root_free) struct root *root = xcalloc(1, sizeof(*root));

	root->store = store;
	for (size_t i = 0; i < n; i++)
		if (root_push(root, &diff_ids[i], err) < 0)
			return -1;
	*ret_root = steal_pointer(&root);
	return 0;
}

int root_push(struct root *root, const struct digest *diff_id, struct err *err)
{
	if (root->n == ROOT_LAYERS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d layers", ROOT_LAYERS_MAX);
	root->layers = grow_vector(root->layers, root->n, &root->cap, sizeof(*root->layers));
	root->layers[root->n++] = (struct root_layer){
		.diff_id = *diff_id,
		.fs_fd = -1,
		.blob_fd = -1,
	};
	return 0;
}

int root_push_settled(struct root *root, const char *tree, bool root_implied, struct err *err)
{
	static const struct digest unknown;
	struct root_layer *layer;

	if (root_push(root, &unknown, err) < 0)
		return -1;
	layer = &root->layers[root->n - 1];
	layer->place = xasprintf("%s/fs", tree);
	layer->fs_fd = openat(store_fd(root->store), layer->place,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (layer->fs_fd < 0)
		return err_os(err, "open %s", layer->place);
	layer->opaque_name = tree_opaque_name(root->store);
	layer->recorded_owners = store_records_owners(root->store);
	if (root_implied)
		path_set_parse(xcalloc(1, 1), 1, &layer->implied); /* one path: that of the root */
	layer->has_implied = layer->loaded = true;
	return 0;
}

void root_name(struct root *root, size_t at, const struct digest *diff_id)
{
	root->layers[at].diff_id = *diff_id;
	free(steal_pointer(&root->layers[at].place));
}

bool root_is_same(const struct root *root, size_t a, size_t b)
{
	const struct root_layer *x = &root->layers[a], *y = &root->layers[b];

	return !x->place && !y->place && digest_equal(&x->diff_id, &y->diff_id);
}

const char *root_tree_path(const struct root *root, size_t at, char path[ROOT_TREE_MAX])
{
	_Static_assert(ROOT_TREE_MAX >= TREE_PATH_MAX, "a named tree's path fits");

	if (!root->layers[at].place)
		return tree_path(root->store, &root->layers[at].diff_id, "fs", path);
	snprintf(path, ROOT_TREE_MAX, "%s", root->layers[at].place);
	return path;
}

size_t root_count(const struct root *root)
{
	return root->n;
}

const char *root_opaque_name(const struct root *root, size_t layer)
{
	return root->layers[layer].opaque_name;
}

const struct digest *root_diff_id(const struct root *root, size_t layer)
{
	return &root->layers[layer].diff_id;
}

struct store *root_store(const struct root *root)
{
	return root->store;
}

/* --- one layer -------------------------------------------------------------------------------- */

static int load(struct root *root, struct root_layer *layer, struct err *err)
{
	char path[TREE_PATH_MAX], text[DIGEST_TEXT_MAX];

	if (layer->loaded)
		return 0;
	if (tree_exists(root->store, &layer->diff_id)) {
		tree_path(root->store, &layer->diff_id, "fs", path);
		layer->fs_fd = openat(store_fd(root->store), path,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (layer->fs_fd < 0)
			return err_os(err, "open %s", path);
		layer->opaque_name = tree_opaque_name(root->store);
		layer->recorded_owners = store_records_owners(root->store);
	} else {
		digest_format(&layer->diff_id, text);
		/* Uncompressed: the blob is the tar, and its digest the diff_id. */
		if (!blob_exists(root->store, &layer->diff_id, NULL))
			return err_set(err, ERR_UNSUPPORTED, "layer %s is not unpacked", text);
		if (layer->blob_fd < 0 &&
		    blob_open(root->store, &layer->diff_id, &layer->blob_fd, NULL, err) < 0)
			return -1;
		if (tar_index_read(layer->blob_fd, text, &layer->index, err) < 0)
			return -1;
	}
	layer->loaded = true;
	return 0;
}

/* The tree may have been opened before this process entered a user namespace. */
static void close_foreign_tree(struct root *root, struct root_layer *layer)
{
	if (layer->place || layer->fs_fd < 0 ||
	    !strcmp(layer->opaque_name, tree_opaque_name(root->store)))
		return;
	close(steal_fd(&layer->fs_fd));
	path_set_release(&layer->implied);
	layer->has_implied = layer->has_top = false;
}

int root_use_trees(struct root *root, struct err *err)
{
	char text[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < root->n; i++) {
		struct root_layer *layer = &root->layers[i];

		close_foreign_tree(root, layer);
		if (layer->fs_fd >= 0)
			continue;
		if (!tree_exists(root->store, &layer->diff_id))
			return err_set(err, ERR_NOT_FOUND, "layer %s is not unpacked",
				       digest_format(&layer->diff_id, text));
		tar_index_free(steal_pointer(&layer->index));
		layer->loaded = false;
		if (load(root, layer, err) < 0)
			return -1;
	}
	return 0;
}

bool root_is_ready(struct store *store, const struct digest *diff_ids, size_t n, bool *ret_trees)
{
	struct err ignored = ERR_INIT;
	struct root *root;
	bool ready = true;

	*ret_trees = false;
	if (root_open(store, diff_ids, n, &root, &ignored) < 0)
		return false;
	for (size_t i = 0; i < n && ready; i++) {
		bool tree = tree_exists(store, &diff_ids[i]);

		*ret_trees |= tree;
		ready = tree || load(root, &root->layers[i], &ignored) == 0;
	}
	root_free(root);
	return ready;
}

int root_implied(struct root *root, size_t at, const struct path_set **ret_set, struct err *err)
{
	struct root_layer *layer = &root->layers[at];

	if (!layer->has_implied &&
	    tree_read_implied(root->store, &layer->diff_id, &layer->implied, err) < 0)
		return -1;
	layer->has_implied = true;
	*ret_set = &layer->implied;
	return 0;
}

int root_open_in(struct root *root, size_t at, const char *path, struct err *err)
{
	const char *rest = *path ? path : ".";
	cleanup_fd int owned_fd = -1;
	int dir_fd = file_near(root->layers[at].fs_fd, &rest, &owned_fd);
	int fd = dir_fd < 0 ? -1
			    : openat(dir_fd, rest,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? err_os(err, "open %s", path) : fd;
}

static int stat_in(int fs_fd, const char *path, struct stat *ret_stat)
{
	const char *rest = *path ? path : ".";
	cleanup_fd int owned_fd = -1;
	int dir_fd = file_near(fs_fd, &rest, &owned_fd);

	return dir_fd < 0 ? -1 : fstatat(dir_fd, rest, ret_stat, AT_SYMLINK_NOFOLLOW);
}

static int look_in_tree(struct root *root, size_t at, const char *path, bool ask_opaque,
			struct look *ret_look, struct err *err)
{
	struct root_layer *layer = &root->layers[at];
	struct look look = { .kind = LOOK_OTHER };
	const struct path_set *implied;

	if (stat_in(layer->fs_fd, path, &look.stat) < 0) {
		if (errno != ENOENT)
			return err_os(err, "stat %s", path);
		look.kind = LOOK_ABSENT;
		*ret_look = look;
		return 0;
	}
	if (layer->recorded_owners)
		owner_settle(&look.stat, geteuid());
	if (S_ISREG(look.stat.st_mode) && layer->recorded_owners) {
		cleanup_fd int fd = root_open_in(root, at, path, err);

		if (fd < 0)
			return -1;
		owner_recorded(fd, &look.stat);
	} else if (overlay_is_whiteout(&look.stat, layer->opaque_name)) {
		look.kind = LOOK_WHITEOUT;
	} else if (S_ISDIR(look.stat.st_mode)) {
		if (root_implied(root, at, &implied, err) < 0)
			return -1;
		look.kind = LOOK_DIRECTORY;
		look.named = !path_set_has(implied, path);
		if (ask_opaque || layer->recorded_owners) {
			cleanup_fd int fd = root_open_in(root, at, path, err);

			if (fd < 0)
				return -1;
			look.opaque = ask_opaque && overlay_is_opaque(fd, layer->opaque_name);
			if (layer->recorded_owners)
				owner_recorded(fd, &look.stat);
		}
	}
	*ret_look = look;
	return 0;
}

static void spell_implied(struct stat *st)
{
	*st = (struct stat){ .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
}

/* Whether path is the directory of the member, by the names alone. */
static bool is_above(const char *path, const struct tar_member *member)
{
	size_t len = strlen(path);

	return !len || (!strncmp(member->path, path, len) && member->path[len] == '/');
}

static void look_in_tar(const struct tar_index *index, const char *path, struct look *ret_look)
{
	size_t at = tar_index_find(index, path);
	struct look look = { .kind = LOOK_ABSENT };

	for (; at < index->n && !strcmp(index->members[at].path, path); at++) {
		const struct tar_member *member = &index->members[at];

		switch (member->type) {
		case ENTRY_OPAQUE:
			look.opaque = true;
			break;
		case ENTRY_WHITEOUT:
			look.kind = LOOK_WHITEOUT;
			break;
		case ENTRY_DIRECTORY:
			/* A whiteout beside a directory hides what lies below the directory. */
			look.opaque |= look.kind == LOOK_WHITEOUT;
			look.kind = LOOK_DIRECTORY;
			look.named = true;
			look.stat = member->stat;
			break;
		default:
			look.kind = LOOK_OTHER;
			look.stat = member->stat;
		}
	}
	if (look.kind == LOOK_ABSENT &&
	    (!*path || look.opaque || (at < index->n && is_above(path, &index->members[at])))) {
		look.kind = LOOK_DIRECTORY;
		spell_implied(&look.stat);
	}
	*ret_look = look;
}

static int look_in(struct root *root, size_t at, const char *path, bool ask_opaque,
		   struct look *ret_look, struct err *err)
{
	struct root_layer *layer = &root->layers[at];

	if (load(root, layer, err) < 0)
		return -1;
	if (layer->fs_fd < 0) {
		look_in_tar(layer->index, path, ret_look);
		return 0;
	}
	if (*path) {
		if (layer->absent && !strcmp(layer->absent, path)) {
			*ret_look = (struct look){ .kind = LOOK_ABSENT };
			return 0;
		}
		if (look_in_tree(root, at, path, ask_opaque, ret_look, err) < 0)
			return -1;
		if (!layer->absent && ret_look->kind == LOOK_ABSENT)
			layer->absent = xstrdup(path);
		return 0;
	}
	if (!layer->has_top && look_in_tree(root, at, "", true, &layer->top, err) < 0)
		return -1;
	layer->has_top = true;
	*ret_look = layer->top;
	return 0;
}

/* --- all of them ------------------------------------------------------------------------------ */

void root_dir_release(struct root_dir *dir)
{
	free(dir->layers);
	*dir = (struct root_dir){ 0 };
}

/* One more layer says that it has a directory there. */
static void add_directory(struct root_found *found, struct root_dir *dir, size_t layer,
			  const struct look *look)
{
	if (found->kind == ROOT_ABSENT) {
		*found = (struct root_found){
			.kind = ROOT_DIRECTORY,
			.layer = layer,
			.top_layer = layer,
			.top = look->stat,
			.implied = true,
		};
		spell_implied(&found->stat);
	}
	if (found->implied && look->named) {
		found->implied = false;
		found->layer = layer;
		found->stat = look->stat;
	}
	dir->layers[dir->n++] = layer;
}

int root_step(struct root *root, const struct root_dir *in, const char *path,
	      struct root_found *ret_found, struct root_dir *ret_dir, struct err *err)
{
	struct root_found found = { .kind = ROOT_ABSENT };
	struct root_dir dir = { 0 };

	dir.layers = xcalloc(in->n + 1, sizeof(*dir.layers));
	for (size_t i = 0; i < in->n; i++) {
		size_t layer = in->layers[i];
		struct look look = { .kind = LOOK_ABSENT };

		if (look_in(root, layer, path, i + 1 < in->n, &look, err) < 0) {
			root_dir_release(&dir);
			return -1;
		}
		if (look.kind == LOOK_OTHER && found.kind == ROOT_ABSENT)
			found = (struct root_found){
				.kind = ROOT_OTHER,
				.layer = layer,
				.top_layer = layer,
				.stat = look.stat,
			};
		if (look.kind == LOOK_DIRECTORY)
			add_directory(&found, &dir, layer, &look);
		if (look.kind == LOOK_OTHER || look.kind == LOOK_WHITEOUT || look.opaque)
			break;
	}
	*ret_found = found;
	if (ret_dir)
		*ret_dir = dir;
	else
		root_dir_release(&dir);
	return 0;
}

int root_top(struct root *root, struct root_found *ret_found, struct root_dir *ret_dir,
	     struct err *err)
{
	struct root_dir all = { xcalloc(root->n + 1, sizeof(*all.layers)), root->n };
	int bad;

	for (size_t i = 0; i < root->n; i++)
		all.layers[i] = root->n - 1 - i;
	bad = root_step(root, &all, "", ret_found, ret_dir, err);
	root_dir_release(&all);
	if (!bad && ret_found->kind == ROOT_ABSENT) { /* no layers */
		*ret_found = (struct root_found){ .kind = ROOT_DIRECTORY, .implied = true };
		spell_implied(&ret_found->stat);
		ret_found->top = ret_found->stat;
	}
	return bad;
}

static const struct tar_member *member_of(const struct tar_index *index, const char *path)
{
	size_t at = tar_index_find(index, path);

	while (at < index->n && (index->members[at].type == ENTRY_WHITEOUT ||
				 index->members[at].type == ENTRY_OPAQUE))
		at++;
	assert(at < index->n && !strcmp(index->members[at].path, path));
	return &index->members[at];
}

int root_read_link(struct root *root, const struct root_found *found, const char *path,
		   char target[ENTRY_LINK_MAX], struct err *err)
{
	const struct root_layer *layer = &root->layers[found->layer];
	cleanup_fd int owned_fd = -1;
	const char *rest = path;
	ssize_t len = -1;
	int dir_fd;

	if (layer->fs_fd < 0) {
		snprintf(target, ENTRY_LINK_MAX, "%s", member_of(layer->index, path)->link);
		return 0;
	}
	dir_fd = file_near(layer->fs_fd, &rest, &owned_fd);
	if (dir_fd >= 0)
		len = readlinkat(dir_fd, rest, target, ENTRY_LINK_MAX - 1);
	if (len < 0)
		return err_os(err, "read link %s", path);
	target[len] = '\0';
	return 0;
}

/* From the layer that is a tar: where the content is. */
int root_open_content(struct root *root, const struct root_found *found, const char *path,
		      uint64_t *ret_offset, struct err *err)
{
	const struct root_layer *layer = &root->layers[found->layer];
	int fd;

	*ret_offset = 0;
	if (layer->fs_fd >= 0)
		return root_open_in(root, found->layer, path, err);
	*ret_offset = member_of(layer->index, path)->offset;
	fd = fcntl(layer->blob_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? err_os(err, "open the layer of %s", path) : fd;
}
