/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layer of a COPY, put together in memory (assembly.h) in the order of the sources, each seeing
 * what came before it, then written (copy_write.c).
 */
#include "builder/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/selection.h"
#include "builder/assembly.h"
#include "layers/layer.h"
#include "layers/store.h"

#define ENTRIES_KEPT (2 * 1024 * 1024) /* bytes of entries in memory; more spill to the store */

DEFINE_CLEANUP(struct arena *, arena_free)

struct making {
	struct copy *copy;
	struct assembly assembly;
	struct unpacking unpacking;
	struct scratch *scratch; /* holds what unpacking writes; opened when needed */
	struct stretch *stretch; /* NULL: the assembly is to have all */
	bool hides;
	char hidden[ASSEMBLY_PATH_MAX]; /* a directory that is new to the root below */
	const char *dest;		/* clean */
	bool slash;			/* the destination was written as a directory */
	bool chown;
	unsigned uid, gid;
};

/* --- putting ---------------------------------------------------------------------------------- */

static mode_t mode_of(const struct making *making, mode_t mode, bool directory)
{
	if (!making->copy->request.chmod)
		return mode & 07777;
	return mode_apply(&making->copy->chmod, mode, directory);
}

static int64_t seconds_of(int64_t ns)
{
	return ns / 1000000000 - (ns % 1000000000 < 0);
}

static void fill(const struct making *making, const struct item *item, struct out *out)
{
	const struct node *node = item->node;
	bool keep = making->copy->request.from_root;

	out->mode = out->type == ENTRY_SYMLINK
			    ? 0777
			    : mode_of(making, node->mode, out->type == ENTRY_DIRECTORY);
	out->uid = making->chown ? making->uid : keep ? node->uid : 0;
	out->gid = making->chown ? making->gid : keep ? node->gid : 0;
	out->mtime = seconds_of(node->mtime);
	if (out->type == ENTRY_SYMLINK)
		out->link = node->link;
	else
		out->xattrs = node->xattrs;
	if (out->type == ENTRY_CHAR || out->type == ENTRY_BLOCK) {
		out->dev_major = major(node->rdev);
		out->dev_minor = minor(node->rdev);
	}
	if (out->type == ENTRY_FILE) {
		out->node = node;
		out->size = node->size;
		out->group = item->group;
	}
}

/* A file over a directory, or a directory over anything else, is an error. */
static int check_place(struct making *making, const char *path, bool directory,
		       enum assembly_kind *ret_kind, struct err *err)
{
	if (assembly_lookup(&making->assembly, path, ret_kind, NULL, err) < 0)
		return -1;
	if (!directory && *ret_kind == ASSEMBLY_DIRECTORY)
		return err_set(err, ERR_INVALID, "cannot replace to directory /%s with file", path);
	if (directory && *ret_kind != ASSEMBLY_DIRECTORY && *ret_kind != ASSEMBLY_NONE)
		return err_set(err, ERR_INVALID, "cannot copy to non-directory: /%s", path);
	return 0;
}

static int put_item(struct making *making, const struct item *item, const char *path,
		    struct err *err)
{
	bool directory = S_ISDIR(item->node->mode);
	enum assembly_kind kind;
	struct out *out;

	if (check_place(making, path, directory, &kind, err) < 0)
		return -1;
	if (item->passage && kind == ASSEMBLY_DIRECTORY) {
		/* BuildKit gives it the source's mode and leaves the rest. */
		if (assembly_put(&making->assembly, path, ENTRY_DIRECTORY, true, &out, err) < 0)
			return -1;
		out->mode = item->node->mode & 07777;
		return 0;
	}
	if (assembly_put(&making->assembly, path, entry_type_of(item->node->mode), false, &out,
			 err) < 0)
		return -1;
	fill(making, item, out);
	return 0;
}

/* Where a source lands: directories that have to be made for it are made. *ret_kind is what is
 * at `path`. */
static int find_place(struct making *making, const char *name, bool directory,
		      char path[ASSEMBLY_PATH_MAX], struct err *err)
{
	const char *leaf = strrchr(making->dest, '/');
	cleanup_free char *above = xstrndup(making->dest, leaf ? (size_t)(leaf - making->dest) : 0);
	enum assembly_kind kind;
	const char *need = making->slash ? making->dest : above;
	char made[ASSEMBLY_PATH_MAX];

	if (assembly_mkdirs(&making->assembly, need, made, err) < 0 ||
	    assembly_resolve(&making->assembly, making->dest, path, &kind, err) < 0)
		return -1;
	if (directory && kind == ASSEMBLY_OTHER)
		return err_set(err, ERR_INVALID, "cannot copy to non-directory: /%s", path);
	if (directory)
		return assembly_mkdirs(&making->assembly, path, made, err);
	if (kind == ASSEMBLY_DIRECTORY) {
		memcpy(made, path, strlen(path) + 1);
		return assembly_join(made, name, path, err);
	}
	memcpy(made, path, strlen(path) + 1);
	leaf = strrchr(path, '/');
	made[leaf ? leaf - path : 0] = '\0'; /* what a dangling link names may be deep */
	return assembly_mkdirs(&making->assembly, made, (char[ASSEMBLY_PATH_MAX]){ "" }, err);
}

static int put_directory(struct making *making, const struct match *match, const char *place,
			 struct err *err)
{
	for (size_t i = match->first; i < match->first + match->n; i++) {
		const struct item *item = copy_item(making->copy, i);
		char below[NODE_PATH_MAX], path[ASSEMBLY_PATH_MAX];

		node_path(match->top, item->node, below);
		if (assembly_join(place, below, path, err) < 0 ||
		    put_item(making, item, path, err) < 0)
			return -1;
	}
	return 0;
}

/* --- archives --------------------------------------------------------------------------------- */

static int open_scratch(struct making *making, struct store *store, struct err *err)
{
	if (making->scratch)
		return 0;
	if (scratch_open(store, &making->scratch, err) < 0)
		return -1;
	making->unpacking.scratch_fd = openat(making->scratch->dir_fd, "content",
					      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (making->unpacking.scratch_fd < 0)
		return err_os(err, "make a temporary file in the store");
	making->unpacking.assembly = &making->assembly;
	making->unpacking.chown = making->chown;
	making->unpacking.uid = making->uid;
	making->unpacking.gid = making->gid;
	making->unpacking.first_group = making->copy->n_items; /* the items have theirs */
	return 0;
}

/* Unpack an archive into the destination, which becomes a directory. */
static int unpack(struct making *making, struct store *store, int fd, const char *what,
		  struct err *err)
{
	char path[ASSEMBLY_PATH_MAX];

	making->assembly.new_mode = 0755;
	if (open_scratch(making, store, err) < 0 ||
	    assembly_mkdirs(&making->assembly, making->dest, path, err) < 0)
		return -1;
	return archive_unpack(&making->unpacking, fd, what, path, err);
}

/* ADD: unpack the file when it is an archive; *ret_done says so. */
static int try_archive(struct making *making, struct store *store, const struct match *match,
		       bool *ret_done, struct err *err)
{
	struct source *source = making->copy->request.source;
	cleanup_fd int fd = -1;
	char what[NODE_PATH_MAX];

	*ret_done = false;
	if (!making->copy->request.add || !S_ISREG(match->top->mode))
		return 0;
	if (node_open(source, match->top, &fd, err) < 0)
		return -1;
	if (!tar_detect(fd))
		return 0;
	node_path(NULL, match->top, what);
	if (unpack(making, store, fd, what, err) < 0 || node_check(source, match->top, fd, err) < 0)
		return -1;
	*ret_done = true;
	return 0;
}

/* --- sources ---------------------------------------------------------------------------------- */

/* The mode of directories that have to be made for a file. */
static mode_t parent_mode(const struct copy *copy)
{
	return copy->request.chmod && copy->chmod.octal ? copy->chmod.mode : 0755;
}

/* Whether nothing of the root below is seen under a directory above path, which comes in order:
 * then there is nothing to look up. */
static bool is_hidden(const struct making *making, const char *path)
{
	size_t len = strlen(making->hidden);

	return making->hides && (!len || (!strncmp(path, making->hidden, len) && path[len] == '/'));
}

static void hide(struct making *making, const char *dir)
{
	making->hides = true;
	memcpy(making->hidden, dir, strlen(dir) + 1);
}

/* What put_item() would put, for an entry that is written at once. */
static int make_out(void *arg, const struct item *item, struct out *out, struct err *err)
{
	bool directory = S_ISDIR(item->node->mode);
	enum assembly_kind kind = ASSEMBLY_NONE;
	struct making *making = arg;

	if (!is_hidden(making, out->path)) {
		if (check_place(making, out->path, directory, &kind, err) < 0)
			return -1;
		if (directory && kind == ASSEMBLY_NONE)
			hide(making, out->path);
	}
	out->type = entry_type_of(item->node->mode);
	out->fresh = kind != ASSEMBLY_DIRECTORY;
	if (!item->passage || kind != ASSEMBLY_DIRECTORY) {
		fill(making, item, out);
		return 0;
	}
	if (assembly_show(&making->assembly, out->path, out, err) < 0)
		return -1;
	out->mode = item->node->mode & 07777;
	return 0;
}

/* Whether the directory is all that is copied: then no entry can meet another. */
static bool is_stretch(const struct making *making)
{
	const struct copy *copy = making->copy;

	return making->stretch && copy->n_matches == 1 && !copy->request.n_remotes &&
	       !copy->request.n_inlines;
}

static int put_tree(struct making *making, const struct match *match, const char *place,
		    struct err *err)
{
	const struct out *out = assembly_find(&making->assembly, place);

	if (!is_stretch(making))
		return put_directory(making, match, place, err);
	if (out->fresh)
		hide(making, place);
	*making->stretch = (struct stretch){
		.place = arena_strdup(making->assembly.arena, place),
		.match = match,
		.copy = making->copy,
		.make = make_out,
		.arg = making,
	};
	return 0;
}

static int put_match(struct making *making, struct store *store, const struct match *match,
		     struct err *err)
{
	const struct copy *copy = making->copy;
	bool directory = S_ISDIR(match->top->mode), done;
	char path[ASSEMBLY_PATH_MAX];

	if (try_archive(making, store, match, &done, err) < 0)
		return -1;
	if (done)
		return 0;
	making->assembly.new_mode = parent_mode(copy);
	if (find_place(making, match->name, directory, path, err) < 0)
		return -1;
	if (directory)
		return put_tree(making, match, path, err);
	return put_item(making, copy_item(copy, match->first), path, err);
}

/* A file that is in no source; its content is still to be told. */
static int put_file(struct making *making, const char *name, mode_t mode, int64_t mtime,
		    struct out **ret_out, struct err *err)
{
	char path[ASSEMBLY_PATH_MAX];
	enum assembly_kind kind;
	struct out *out;

	making->assembly.new_mode = parent_mode(making->copy);
	if (find_place(making, name, false, path, err) < 0 ||
	    check_place(making, path, false, &kind, err) < 0 ||
	    assembly_put(&making->assembly, path, ENTRY_FILE, false, &out, err) < 0)
		return -1;
	out->mode = mode_of(making, mode, false);
	out->uid = making->chown ? making->uid : 0;
	out->gid = making->chown ? making->gid : 0;
	out->mtime = mtime;
	*ret_out = out;
	return 0;
}

static int put_inline(struct making *making, const struct copy_inline *file, struct err *err)
{
	struct out *out;

	if (put_file(making, file->name, 0644, making->copy->request.now, &out, err) < 0)
		return -1;
	out->data = file->content;
	out->size = file->len;
	return 0;
}

static int put_remote(struct making *making, struct store *store, const struct copy_remote *file,
		      struct err *err)
{
	cleanup_fd int fd = -1;
	struct out *out;

	if (blob_open(store, &file->digest, &fd, NULL, err) < 0)
		return -1;
	if (file->unpack && tar_detect(fd))
		return unpack(making, store, fd, file->name, err);
	if (open_scratch(making, store, err) < 0 ||
	    put_file(making, file->name, 0600, file->mtime, &out, err) < 0 ||
	    file_copy(fd, making->unpacking.scratch_fd, file->size, store_cancel(store), err) < 0)
		return -1;
	out->offset = making->unpacking.size;
	out->size = file->size;
	making->unpacking.size += file->size;
	return 0;
}

/* Fetched files that go before pattern `next`, those that are not there yet. */
static int put_remotes(struct making *making, struct store *store, size_t next, size_t *done,
		       struct err *err)
{
	const struct copy_request *request = &making->copy->request;

	for (; *done < request->n_remotes && request->remotes[*done].before <= next; (*done)++)
		if (put_remote(making, store, &request->remotes[*done], err) < 0)
			return -1;
	return 0;
}

static int put_all(struct making *making, struct store *store, struct err *err)
{
	const struct copy *copy = making->copy;
	size_t done = 0;

	for (size_t i = 0; i < copy->n_matches; i++)
		if (put_remotes(making, store, copy->matches[i].pattern, &done, err) < 0 ||
		    put_match(making, store, &copy->matches[i], err) < 0)
			return -1;
	if (put_remotes(making, store, SIZE_MAX, &done, err) < 0)
		return -1;
	for (size_t i = 0; i < copy->request.n_inlines; i++)
		if (put_inline(making, &copy->request.inlines[i], err) < 0)
			return -1;
	return 0;
}

/*
 * The time of directories that have to be made: that of the newest file, so that the same files
 * give the same layer whenever they are copied. Without files it is now.
 */
static int64_t time_of_new(const struct copy *copy)
{
	const struct copy_request *request = &copy->request;
	int64_t newest = INT64_MIN;

	for (size_t i = 0; i < copy->n_items; i++) {
		const struct node *node = copy_item(copy, i)->node;
		int64_t seconds = seconds_of(node->mtime);

		if (S_ISREG(node->mode) && seconds > newest)
			newest = seconds;
	}
	for (size_t i = 0; i < request->n_remotes; i++)
		if (request->remotes[i].mtime > newest)
			newest = request->remotes[i].mtime;
	return newest == INT64_MIN || request->n_inlines ? request->now : newest;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int make(struct making *making, struct store *store, struct layer *ret_layer,
		struct err *err)
{
	cleanup_with(layer_writer_free) struct layer_writer *writer = NULL;
	struct writing writing = {
		.source = making->copy->request.source,
		.assembly = &making->assembly,
	};

	making->stretch = &writing.stretch;
	if (copy_require_content(making->copy, err) < 0 || put_all(making, store, err) < 0 ||
	    layer_writer_open(store, &writer, err) < 0)
		return -1;
	writing.scratch_fd = making->unpacking.scratch_fd;
	writing.n_groups = making->copy->n_items + making->unpacking.groups;
	writing.tar = layer_writer_tar(writer);
	tar_writer_heed(writing.tar, store_cancel(store));
	if (copy_write(&writing, err) < 0)
		return -1;
	return layer_writer_commit(writer, ret_layer, err);
}

/* A final slash, or a last component of ".", makes the destination a directory. */
static bool is_directory_path(const char *dest)
{
	size_t len = strlen(dest);

	return dest[len - 1] == '/' || (len > 1 && !strcmp(dest + len - 2, "/."));
}

int copy_make_tree(struct copy *copy, int dir_fd, struct err *err)
{
	cleanup_free char *dest = copy_clean_path(copy->request.dest);
	cleanup_with(arena_free) struct arena *arena = arena_new();
	struct making making = {
		.copy = copy,
		.unpacking = { .scratch_fd = -1 },
		.dest = dest,
		.slash = is_directory_path(copy->request.dest),
	};
	struct writing writing = {
		.source = copy->request.source,
		.assembly = &making.assembly,
		.scratch_fd = -1,
		.n_groups = copy->n_items,
		.dir_fd = dir_fd,
	};
	int status = 0;

	if (strlen(dest) >= ASSEMBLY_PATH_MAX)
		return err_set(err, ERR_LIMIT, "%.100s...: path too long", dest);
	assembly_init(&making.assembly, arena, NULL);
	making.assembly.new_mode = 0755;
	making.assembly.now = copy->request.now;
	if (copy_require_content(copy, err) < 0 || put_all(&making, NULL, err) < 0 ||
	    copy_write_tree(&writing, err) < 0)
		status = -1;
	assembly_release(&making.assembly);
	return status;
}

int copy_make_layer(struct copy *copy, struct store *store, struct root *root,
		    struct layer *ret_layer, struct err *err)
{
	cleanup_free char *dest = copy_clean_path(copy->request.dest);
	cleanup_with(arena_free) struct arena *arena = arena_new();
	cleanup_with(scratch_free) struct scratch *scratch = NULL;
	struct making making = {
		.copy = copy,
		.unpacking = { .cancel = store_cancel(store), .scratch_fd = -1 },
		.dest = dest,
		.slash = is_directory_path(copy->request.dest),
		.chown = copy->request.chown != NULL,
	};
	int status;

	if (strlen(dest) >= ASSEMBLY_PATH_MAX)
		return err_set(err, ERR_LIMIT, "%.100s...: path too long", dest);
	if (making.chown &&
	    owner_resolve(root, copy->request.chown, false, &making.uid, &making.gid, err) < 0)
		return err_wrap(err, "--chown=%s", copy->request.chown);
	arena_spill(arena, store_fd(store), ENTRIES_KEPT);
	assembly_init(&making.assembly, arena, copy->request.link ? NULL : root);
	making.assembly.new_uid = making.uid;
	making.assembly.new_gid = making.gid;
	making.assembly.now = time_of_new(copy);
	status = make(&making, store, ret_layer, err);
	assembly_release(&making.assembly);
	if (making.unpacking.scratch_fd >= 0)
		close(making.unpacking.scratch_fd);
	scratch = making.scratch;
	return status;
}
