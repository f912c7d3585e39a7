/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an overlay's upper directory changes, as a layer. Overlay copies up more than was
 * changed: directories on the way, files that were opened for writing. What is equal to the
 * merged lower root is left out of the tar and removed from the directory:
 *  1. Equal is: type, mode, owner, times, extended attributes, link target, content. Times are
 *     compared in nanoseconds, and content always: equal times prove nothing.
 *  2. A directory that is equal stays, and is in the tar, when something below it stays: who
 *     unpacks a layer by itself would else make it with an owner and a mode of its own choice.
 *  3. A name with several links in the upper directory stays, else the others had no first name.
 *  4. Whiteouts and opaque marks over nothing go. Overlay marks every directory that is made in a
 *     merged one as opaque.
 *  5. Removing changes the times of the directory, so they are put back when it is left.
 * Where there is no overlay, the directory is a copy of the whole root, and is only looked at
 * (diff_write_whole()). What it lacks was removed. To compare all of it for every step would take
 * longer than most steps:
 *  6. Whatever happens to a file, a rename too, changes its ctime, which nobody can set back. So
 *     one that is older than the mark (mark.c) is what was copied, if it is still in its place:
 *     in a directory that is as old, in one that is as old, and so on up to the root, which cannot
 *     be moved. Of such a directory the lower one is not even looked up, unless something below
 *     it has to be compared.
 *  7. Times are compared as layers have them, in whole seconds: a copy of the layer has no others,
 *     and the same step has to give the same layer over the one and over the other.
 * Must run in the user namespace that RUN ran in, else file capabilities carry ids of the host.
 */
#include "layers/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strv.h"
#include "layers/store.h"

#define BLOCK_SIZE (64 * 1024)

struct level {
	struct root_dir lower;	 /* the merged directory below, when has_lower */
	struct root_found found; /* and what it is */
	bool has_lower;		 /* members may be in the lower root */
	bool unchanged;		 /* equal to the lower one */
	bool pending;		 /* unchanged, and not looked up in the lower root yet */
	char *path;		 /* of one that is unchanged, else NULL */
	bool written;		 /* and in the tar all the same */
	struct stat stat;
	bool dirty;    /* something was removed from it here */
	bool in_place; /* whole: it is the directory that was copied to this path */
	size_t kept;   /* members that stay */
};

struct diff {
	struct root *lower;
	struct tar_writer *tar;
	struct walk *walk;
	struct level *levels;
	size_t depth, cap;
	struct xattr_list upper_xattrs, lower_xattrs;
	const char *opaque_name;
	const struct mark *mark; /* whole: when copying had ended; else NULL */
	struct inode_map *links; /* whole: files with several names, */
	uint64_t names_missing;	 /* and how many of these have not been met */
	unsigned char *blocks;	 /* two of them */
	struct diff_result *result;
	bool empty;
};

/* --- equality --------------------------------------------------------------------------------- */

static bool time_is_equal(const struct diff *diff, const struct timespec *a,
			  const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && (diff->mark || a->tv_nsec == b->tv_nsec);
}

static bool stat_is_equal(const struct diff *diff, const struct stat *a, const struct stat *b,
			  bool with_time)
{
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		return false;
	if (S_ISREG(a->st_mode) && a->st_size != b->st_size)
		return false;
	if ((S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) && a->st_rdev != b->st_rdev)
		return false;
	return !with_time || time_is_equal(diff, &a->st_mtim, &b->st_mtim);
}

/* Not since it was copied. See 6: of the file, not of the path. */
static bool is_untouched(const struct diff *diff, const struct stat *st)
{
	return diff->mark && mark_is_after(diff->mark, st);
}

/* 1 when they are equal, 0 when not, -1 on error. lower_fd may be -1: no attributes. */
static int xattrs_are_equal(struct diff *diff, int upper_fd, int lower_fd, struct err *err)
{
	if (xattr_list_read(&diff->upper_xattrs, upper_fd, err) < 0)
		return -1;
	if (lower_fd < 0)
		return diff->upper_xattrs.n == 0;
	if (xattr_list_read(&diff->lower_xattrs, lower_fd, err) < 0)
		return -1;
	return xattr_list_equal(&diff->upper_xattrs, &diff->lower_xattrs);
}

static int content_is_equal(struct diff *diff, int upper_fd, int lower_fd, struct err *err)
{
	unsigned char *upper = diff->blocks, *lower = diff->blocks + BLOCK_SIZE;

	for (off_t at = 0;; at += BLOCK_SIZE) {
		ssize_t got = pread_all(upper_fd, upper, BLOCK_SIZE, at);
		ssize_t other = pread_all(lower_fd, lower, BLOCK_SIZE, at);

		if (got < 0 || other < 0)
			return err_os(err, "read");
		if (got != other || memcmp(upper, lower, (size_t)got))
			return 0;
		if (got < BLOCK_SIZE)
			return 1;
	}
}

static int file_is_equal(struct diff *diff, const struct walk_item *item, int upper_fd,
			 const struct root_found *found, struct err *err)
{
	cleanup_fd int lower_fd = root_open_in(diff->lower, found->layer, item->path, err);
	int equal;

	if (lower_fd < 0)
		return -1;
	equal = xattrs_are_equal(diff, upper_fd, lower_fd, err);
	return equal == 1 ? content_is_equal(diff, upper_fd, lower_fd, err) : equal;
}

static int link_is_equal(struct diff *diff, const struct walk_item *item,
			 const struct root_found *found, struct err *err)
{
	char upper[ENTRY_LINK_MAX], lower[ENTRY_LINK_MAX];
	ssize_t len = readlinkat(item->parent_fd, item->name, upper, sizeof(upper) - 1);

	if (len < 0)
		return err_os(err, "read link %s", item->path);
	upper[len] = '\0';
	if (root_read_link(diff->lower, found, item->path, lower, err) < 0)
		return -1;
	return !strcmp(upper, lower);
}

static int other_is_equal(struct diff *diff, const struct walk_item *item, int upper_fd,
			  const struct root_found *found, struct err *err)
{
	if (found->kind != ROOT_OTHER ||
	    (item->stat.st_nlink > 1 && !is_untouched(diff, &item->stat)) ||
	    !stat_is_equal(diff, &item->stat, &found->stat, true))
		return 0;
	if (S_ISREG(item->stat.st_mode))
		return file_is_equal(diff, item, upper_fd, found, err);
	return S_ISLNK(item->stat.st_mode) ? link_is_equal(diff, item, found, err) : 1;
}

/* The root's time says nothing: it is the snapshot's own directory. */
static int directory_is_equal(struct diff *diff, const struct walk_item *item,
			      const struct root_found *found, struct err *err)
{
	cleanup_fd int lower_fd = -1;

	if (!stat_is_equal(diff, &item->stat, &found->stat, *item->path))
		return 0;
	if (!found->implied) {
		lower_fd = root_open_in(diff->lower, found->layer, item->path, err);
		if (lower_fd < 0)
			return -1;
	}
	return xattrs_are_equal(diff, item->fd, lower_fd, err);
}

/* --- members ---------------------------------------------------------------------------------- */

/* Overlay's notes to itself (origin, impure, escaped attributes of RUN) end with the upper. */
static int strip_notes(struct diff *diff, int fd, struct err *err)
{
	char names[4096];
	ssize_t len = diff->mark ? 0 : flistxattr(fd, names, sizeof(names));

	if (len < 0)
		return errno == EOPNOTSUPP || errno == ERANGE
			       ? 0
			       : err_os(err, "list extended attributes");
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		if ((!strncmp(name, "trusted.overlay.", 16) ||
		     !strncmp(name, "user.overlay.", 13)) &&
		    strcmp(name, diff->opaque_name) && fremovexattr(fd, name) < 0 &&
		    errno != EPERM && errno != ENODATA)
			return err_os(err, "remove attribute %s", name);
	return 0;
}

static bool is_mark_name(const char *name)
{
	return !strncmp(name, TAR_WHITEOUT, strlen(TAR_WHITEOUT));
}

static int check_name(const struct walk_item *item, struct err *err)
{
	if (is_mark_name(item->name))
		return err_set(err, ERR_INVALID,
			       "a layer cannot hold /%s: names that begin with \".wh.\" mark "
			       "removed files in it",
			       item->path);
	return 0;
}

/* Look up what was left for later, down to the directory that the walk is in. */
static int require_levels(struct diff *diff, struct err *err)
{
	for (size_t i = 1; i < diff->depth; i++) {
		struct level *level = &diff->levels[i];

		if (!level->pending)
			continue;
		if (root_step(diff->lower, &level[-1].lower, level->path, &level->found,
			      &level->lower, err) < 0)
			return -1;
		level->pending = false;
	}
	return 0;
}

/* What the lower root has under this name. */
static int find_lower(struct diff *diff, const struct level *parent, const struct walk_item *item,
		      struct root_found *ret_found, struct root_dir *ret_dir, struct err *err)
{
	*ret_found = (struct root_found){ .kind = ROOT_ABSENT };
	if (ret_dir)
		*ret_dir = (struct root_dir){ 0 };
	if (!parent->has_lower)
		return 0;
	if (require_levels(diff, err) < 0)
		return -1;
	return root_step(diff->lower, &parent->lower, item->path, ret_found, ret_dir, err);
}

static int leave_out(const struct diff *diff, struct level *parent, const struct walk_item *item,
		     int flags, struct err *err)
{
	if (diff->mark && !S_ISSOCK(item->stat.st_mode))
		return 0;
	if (unlinkat(item->parent_fd, item->name, flags) < 0)
		return err_os(err, "remove %s", item->path);
	parent->dirty = true;
	return 0;
}

static int write_parent(struct diff *diff, struct level *level, struct err *err)
{
	cleanup_fd int lower_fd = -1;
	struct entry entry = {
		.path = level->path,
		.type = ENTRY_DIRECTORY,
		.mode = level->stat.st_mode & 07777,
		.uid = level->stat.st_uid,
		.gid = level->stat.st_gid,
		.mtime = level->stat.st_mtime,
	};

	diff->lower_xattrs.n = 0;
	if (!level->found.implied) {
		lower_fd = root_open_in(diff->lower, level->found.layer, level->path, err);
		if (lower_fd < 0 || xattr_list_read(&diff->lower_xattrs, lower_fd, err) < 0)
			return -1;
	}
	entry.xattrs = diff->lower_xattrs.v;
	entry.n_xattrs = diff->lower_xattrs.n;
	return tar_writer_entry(diff->tar, &entry, err);
}

/* Something below stays: the unchanged directories on the way to it are named. */
static int write_parents(struct diff *diff, struct err *err)
{
	if (diff->tar && require_levels(diff, err) < 0)
		return -1;
	for (size_t i = 1; diff->tar && i < diff->depth; i++) {
		struct level *level = &diff->levels[i];

		if (!level->path || level->written)
			continue;
		if (write_parent(diff, level, err) < 0)
			return -1;
		level->written = true;
	}
	return 0;
}

static int keep(struct diff *diff, struct level *parent, const struct walk_item *item, int fd,
		struct err *err)
{
	if (write_parents(diff, err) < 0)
		return -1;
	parent->kept++;
	diff->empty = false;
	return diff->tar ? walk_write(diff->walk, item, fd, diff->tar, err) : 0;
}

static int take_whiteout(struct diff *diff, const struct walk_item *item, struct err *err)
{
	struct level *parent = &diff->levels[diff->depth - 1];
	struct root_found found;

	if (find_lower(diff, parent, item, &found, NULL, err) < 0)
		return -1;
	return found.kind == ROOT_ABSENT ? leave_out(diff, parent, item, 0, err)
					 : keep(diff, parent, item, -1, err);
}

/* One name of a file; in the end all names of all files should have been met. */
static void count_name(struct diff *diff, const struct stat *st)
{
	bool is_new;

	if (!diff->mark || st->st_nlink < 2)
		return;
	inode_map_put(diff->links, st->st_ino, &is_new);
	diff->names_missing += (is_new ? st->st_nlink : 0) - UINT64_C(1);
}

static int take_other(struct diff *diff, const struct walk_item *item, struct err *err)
{
	struct level *parent = &diff->levels[diff->depth - 1];
	struct root_found found;
	cleanup_fd int fd = -1;
	int equal;

	count_name(diff, &item->stat);
	if (parent->in_place && is_untouched(diff, &item->stat) &&
	    (diff->mark->maps_tell || !S_ISREG(item->stat.st_mode)))
		return 0;
	if (S_ISSOCK(item->stat.st_mode)) {
		diff->result->sockets++;
		return leave_out(diff, parent, item, 0, err);
	}
	if (S_ISREG(item->stat.st_mode)) {
		fd = walk_open_file(item, err);
		if (fd < 0 || strip_notes(diff, fd, err) < 0)
			return -1;
	}
	if (find_lower(diff, parent, item, &found, NULL, err) < 0)
		return -1;
	equal = other_is_equal(diff, item, fd, &found, err);
	if (equal < 0)
		return err_wrap(err, "%s", item->path);
	return equal ? leave_out(diff, parent, item, 0, err) : keep(diff, parent, item, fd, err);
}

/* --- directories ------------------------------------------------------------------------------ */

static int write_directory(struct diff *diff, const struct walk_item *item, bool opaque,
			   struct err *err)
{
	struct entry mark = { .path = item->path, .type = ENTRY_OPAQUE };

	diff->empty = false;
	if (!diff->tar)
		return 0;
	if (write_parents(diff, err) < 0 ||
	    walk_write(diff->walk, item, item->fd, diff->tar, err) < 0)
		return -1;
	return opaque ? tar_writer_entry(diff->tar, &mark, err) : 0;
}

/* The names that the lower directory has and this one not, as whiteouts. */
static int write_removed(struct diff *diff, const struct level *level, const struct walk_item *item,
			 struct err *err)
{
	cleanup_strv struct strv names = STRV_INIT;

	if (diff_removed(diff->lower, &level->lower, item, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct entry entry = { .path = names.v[i], .type = ENTRY_WHITEOUT };

		diff->empty = false;
		diff->levels[diff->depth - 1].kept++;
		if (write_parents(diff, err) < 0 || tar_writer_entry(diff->tar, &entry, err) < 0)
			return -1;
	}
	return 0;
}

static const struct level *level_above(const struct diff *diff)
{
	return &diff->levels[diff->depth - 1];
}

/* Fill the level of a directory from what the lower root has in its place. */
static int match_directory(struct diff *diff, const struct walk_item *item, struct level *level,
			   struct err *err)
{
	int equal;

	level->in_place = diff->mark && (diff->depth == 0 || (level_above(diff)->in_place &&
							      is_untouched(diff, &item->stat)));
	if (diff->depth > 0 && level->in_place) {
		level->has_lower = level->unchanged = level->pending = true;
		return 0;
	}
	if (diff->depth == 0) {
		if (root_top(diff->lower, &level->found, &level->lower, err) < 0)
			return -1;
	} else if (find_lower(diff, level_above(diff), item, &level->found, &level->lower, err) <
		   0) {
		return -1;
	}
	level->has_lower = level->found.kind == ROOT_DIRECTORY && !item->opaque;
	if (!level->has_lower)
		return 0;
	equal = directory_is_equal(diff, item, &level->found, err);
	if (equal < 0)
		return err_wrap(err, "/%s", item->path);
	level->unchanged = equal;
	return 0;
}

static int enter_directory(struct diff *diff, const struct walk_item *item, struct err *err)
{
	struct level level = { 0 };
	bool hides;

	if (strip_notes(diff, item->fd, err) < 0 || match_directory(diff, item, &level, err) < 0) {
		root_dir_release(&level.lower);
		return -1;
	}
	diff->levels = grow_vector(diff->levels, diff->depth, &diff->cap, sizeof(*diff->levels));
	diff->levels[diff->depth++] = level;
	if (level.unchanged) {
		diff->levels[diff->depth - 1].path = xstrdup(item->path);
		diff->levels[diff->depth - 1].stat = item->stat;
	}
	hides = item->opaque && level.found.kind == ROOT_DIRECTORY;
	if (item->opaque && !hides && fremovexattr(item->fd, diff->opaque_name) < 0)
		return err_os(err, "remove the opaque mark of %s", item->path);
	if (!level.unchanged && write_directory(diff, item, hides, err) < 0)
		return -1;
	if (!diff->mark || !level.has_lower || level.pending)
		return 0;
	return write_removed(diff, &level, item, err);
}

static int restore_times(const struct walk_item *item, const struct level *level, struct err *err)
{
	const struct stat *st = !*item->path && level->unchanged ? &level->found.stat : &item->stat;
	struct timespec times[2] = { st->st_mtim, st->st_mtim };

	if (futimens(item->fd, times) < 0)
		return err_os(err, "set the time of %s", item->path);
	return 0;
}

static int leave_directory(struct diff *diff, const struct walk_item *item, struct err *err)
{
	struct level level = diff->levels[--diff->depth];
	struct level *parent = diff->depth ? &diff->levels[diff->depth - 1] : NULL;

	root_dir_release(&level.lower);
	free(level.path);
	if (parent && level.unchanged && !level.kept)
		return leave_out(diff, parent, item, AT_REMOVEDIR, err);
	if (parent)
		parent->kept++;
	if (!parent && level.unchanged)
		diff->result->root_implied = true;
	return level.dirty || (!parent && !diff->mark) ? restore_times(item, &level, err) : 0;
}

static int take_item(struct diff *diff, const struct walk_item *item, struct err *err)
{
	switch (item->kind) {
	case WALK_LEAVE:
		return leave_directory(diff, item, err);
	case WALK_WHITEOUT:
		return check_name(item, err) < 0 ? -1 : take_whiteout(diff, item, err);
	case WALK_OTHER:
		return check_name(item, err) < 0 ? -1 : take_other(diff, item, err);
	default:
		return check_name(item, err) < 0 ? -1 : enter_directory(diff, item, err);
	}
}

static int take_all(struct diff *diff, struct err *err)
{
	struct walk_item item;
	int more;

	while ((more = walk_next(diff->walk, &item, err)) > 0)
		if (take_item(diff, &item, err) < 0)
			return -1;
	return more;
}

static int write_diff(struct root *lower, int upper_fd, const struct mark *mark,
		      struct tar_writer *tar, struct diff_result *result, struct err *err)
{
	const char *opaque_name = mark ? OPAQUE_NONE : overlay_opaque_name();
	cleanup_with(walk_free) struct walk *walk =
		walk_new(upper_fd, opaque_name, store_records_owners(root_store(lower)));
	cleanup_with(inode_map_free) struct inode_map *links = inode_map_new();
	cleanup_free unsigned char *blocks = xmalloc(2 * (size_t)BLOCK_SIZE);
	struct diff diff = {
		.lower = lower,
		.tar = tar,
		.walk = walk,
		.opaque_name = opaque_name,
		.mark = mark,
		.links = links,
		.blocks = blocks,
		.result = result,
		.empty = true,
	};
	int bad;

	xattr_list_init(&diff.upper_xattrs);
	xattr_list_init(&diff.lower_xattrs);
	bad = take_all(&diff, err);
	while (diff.depth > 0) {
		root_dir_release(&diff.levels[--diff.depth].lower);
		free(diff.levels[diff.depth].path);
	}
	free(diff.levels);
	xattr_list_release(&diff.upper_xattrs);
	xattr_list_release(&diff.lower_xattrs);
	if (bad)
		return -1;
	result->empty = diff.empty;
	result->linked = diff.names_missing != 0;
	return 0;
}

int diff_write(struct root *lower, int upper_fd, struct tar_writer *tar, struct diff_result *result,
	       struct err *err)
{
	if (write_diff(lower, upper_fd, NULL, tar, result, err) < 0)
		return -1;
	return tar ? tar_writer_end(tar, err) : 0;
}

int diff_write_whole(struct root *lower, int upper_fd, const struct mark *mark,
		     struct tar_writer *tar, struct diff_result *result, struct err *err)
{
	return write_diff(lower, upper_fd, mark, tar, result, err);
}
