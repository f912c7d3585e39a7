/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root without overlayfs: the trees of its layers copied into one directory, bottom first, each
 * member over what is there, as docker's vfs driver does. File systems that share blocks (btrfs,
 * xfs) copy no data.
 *
 * 1. Trees hold what images say, but nothing in them is followed: the walk opens names one by one,
 *    and in the copy the current directory is a descriptor, which goes down by one name and up
 *    by "..". Nobody else writes to the copy while it is made.
 * 2. What a layer only implies (a directory to hold others) keeps the attributes it has.
 * 3. Times of a directory are set when all of a layer's members are in it.
 */
#include "layers/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "layers/internal.h"
#include "layers/store.h"

struct copying {
	struct walk *walk; /* of one layer's tree */
	const struct path_set *implied;
	int root_fd;
	enum owner_record record;
	const struct cancel *cancel;
	int dir_fd; /* the copy of the directory that the walk is in */
	struct timespec *times; /* of the directories on the way, to be restored */
	size_t depth, cap;
};

/* --- attributes ------------------------------------------------------------------------------- */

static int copy_xattrs(const struct entry *entry, int fd, struct err *err)
{
	for (size_t i = 0; i < entry->n_xattrs; i++)
		if (fsetxattr(fd, entry->xattrs[i].name, entry->xattrs[i].value,
			      entry->xattrs[i].len, 0) < 0 &&
		    errno != EPERM && errno != EOPNOTSUPP)
			return err_os(err, "set attribute %s of /%s", entry->xattrs[i].name,
				      entry->path);
	return 0;
}

static int copy_attributes(const struct copying *copying, const struct walk_item *item,
			   const struct entry *entry, int fd, struct err *err)
{
	if (owner_give(fd, item->stat.st_uid, item->stat.st_gid, item->stat.st_mode & 07777,
		       copying->record) < 0)
		return err_os(err, "set owner and mode of /%s", item->path);
	return copy_xattrs(entry, fd, err);
}

/* --- members ---------------------------------------------------------------------------------- */

static int clear_place(struct copying *copying, const struct walk_item *item, struct err *err)
{
	if (unlinkat(copying->dir_fd, item->name, 0) == 0 || errno == ENOENT)
		return 0;
	return file_remove_tree_at(copying->dir_fd, item->name, err);
}

static int copy_file(struct copying *copying, const struct walk_item *item, int from,
		     const struct entry *entry, struct err *err)
{
	struct timespec times[2] = { item->stat.st_mtim, item->stat.st_mtim };
	cleanup_fd int to = openat(copying->dir_fd, item->name,
				   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (to < 0)
		return err_os(err, "create /%s", item->path);
	if (ioctl(to, FICLONE, from) < 0 &&
	    file_copy(from, to, (uint64_t)item->stat.st_size, copying->cancel, err) < 0)
		return err_wrap(err, "copy /%s", item->path);
	if (copy_attributes(copying, item, entry, to, err) < 0)
		return -1;
	return futimens(to, times) < 0 ? err_os(err, "set the time of /%s", item->path) : 0;
}

static int copy_node(struct copying *copying, const struct walk_item *item,
		     const struct entry *entry, struct err *err)
{
	struct timespec times[2] = { item->stat.st_mtim, item->stat.st_mtim };
	int dir = copying->dir_fd;
	bool link = S_ISLNK(item->stat.st_mode);

	if (link ? symlinkat(entry->link, dir, item->name) < 0
		 : mknodat(dir, item->name, item->stat.st_mode & S_IFMT, item->stat.st_rdev) < 0)
		return err_os(err, "create /%s", item->path);
	if ((copying->record == OWNER_GIVEN &&
	     fchownat(dir, item->name, item->stat.st_uid, item->stat.st_gid, AT_SYMLINK_NOFOLLOW) <
		     0) ||
	    (!link && fchmodat(dir, item->name, item->stat.st_mode & 07777, 0) < 0) ||
	    utimensat(dir, item->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(err, "set owner and mode of /%s", item->path);
	return 0;
}

static int copy_other(struct copying *copying, const struct walk_item *item, struct err *err)
{
	cleanup_fd int from = -1;
	struct entry entry;

	if (clear_place(copying, item, err) < 0)
		return -1;
	if (S_ISREG(item->stat.st_mode)) {
		from = walk_open_file(item, err);
		if (from < 0)
			return -1;
	}
	if (walk_entry(copying->walk, item, from, &entry, err) < 0)
		return -1;
	if (entry.type == ENTRY_HARDLINK)
		return linkat(copying->root_fd, entry.link, copying->dir_fd, item->name, 0) < 0
			       ? err_os(err, "link /%s", item->path)
			       : 0;
	return from >= 0 ? copy_file(copying, item, from, &entry, err)
			 : copy_node(copying, item, &entry, err);
}

/* --- directories ------------------------------------------------------------------------------ */

static int go_to(struct copying *copying, const char *name, struct err *err)
{
	int fd = openat(copying->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_os(err, "open the directory %s of a copied root", name);
	close(copying->dir_fd);
	copying->dir_fd = fd;
	return 0;
}

/* What is below an opaque directory goes, and its name stays. */
static int make_room(struct copying *copying, const struct walk_item *item, bool *ret_made,
		     struct err *err)
{
	struct stat st;
	bool there = fstatat(copying->dir_fd, item->name, &st, AT_SYMLINK_NOFOLLOW) == 0;

	*ret_made = !there || !S_ISDIR(st.st_mode) || item->opaque;
	if (!*ret_made)
		return 0;
	if (there && file_remove_tree_at(copying->dir_fd, item->name, err) < 0)
		return -1;
	return mkdirat(copying->dir_fd, item->name, 0755) < 0
		       ? err_os(err, "make directory /%s", item->path)
		       : 0;
}

static int enter_directory(struct copying *copying, const struct walk_item *item, struct err *err)
{
	static const struct timespec epoch;
	struct timespec time = item->stat.st_mtim;
	struct entry entry;
	struct stat st;
	bool made = false;

	if (*item->path && (make_room(copying, item, &made, err) < 0 ||
			    go_to(copying, item->name, err) < 0))
		return -1;
	if (!path_set_has(copying->implied, item->path)) {
		if (walk_entry(copying->walk, item, item->fd, &entry, err) < 0 ||
		    copy_attributes(copying, item, &entry, copying->dir_fd, err) < 0)
			return -1;
	} else {
		if ((made && fchmod(copying->dir_fd, 0755) < 0) || fstat(copying->dir_fd, &st) < 0)
			return err_os(err, "set the mode of /%s", item->path);
		time = made ? epoch : st.st_mtim;
	}
	copying->times = grow_vector(copying->times, copying->depth, &copying->cap,
				     sizeof(*copying->times));
	copying->times[copying->depth++] = time;
	return 0;
}

static int leave_directory(struct copying *copying, const struct walk_item *item, struct err *err)
{
	struct timespec time = copying->times[--copying->depth], times[2] = { time, time };

	if (futimens(copying->dir_fd, times) < 0)
		return err_os(err, "set the time of /%s", item->path);
	return *item->path ? go_to(copying, "..", err) : 0;
}

/* -------------------------------------------------------------------------------------------- */

static int copy_items(struct copying *copying, struct err *err)
{
	struct walk_item item;
	int more, bad = 0;

	while (!bad && (more = walk_next(copying->walk, &item, err)) > 0) {
		if (cancel_check(copying->cancel, err) < 0)
			return -1;
		switch (item.kind) {
		case WALK_DIRECTORY:
			bad = enter_directory(copying, &item, err);
			break;
		case WALK_LEAVE:
			bad = leave_directory(copying, &item, err);
			break;
		case WALK_WHITEOUT:
			bad = clear_place(copying, &item, err);
			break;
		case WALK_OTHER:
			bad = copy_other(copying, &item, err);
			break;
		}
	}
	return bad ? -1 : more;
}

static int copy_layer(struct root *root, size_t layer, int root_fd, struct err *err)
{
	struct store *store = root_store(root);
	struct copying copying = {
		.root_fd = root_fd,
		.record = store_owner_record(store),
		.cancel = store_cancel(store),
		.dir_fd = -1,
	};
	cleanup_fd int tree_fd = root_open_in(root, layer, "", err);
	int bad;

	if (tree_fd < 0 || root_implied(root, layer, &copying.implied, err) < 0)
		return -1;
	copying.dir_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copying.dir_fd < 0)
		return err_os(err, "open a copied root");
	copying.walk = walk_new(tree_fd, root_opaque_name(root, layer),
				store_records_owners(store));
	bad = copy_items(&copying, err);
	walk_free(copying.walk);
	close(copying.dir_fd);
	free(copying.times);
	return bad;
}

int native_copy_from(struct root *root, size_t first, int root_fd, struct err *err)
{
	for (size_t i = first; i < root_count(root); i++)
		if (copy_layer(root, i, root_fd, err) < 0)
			return err_wrap(err, "copy layer %zu of %zu", i + 1, root_count(root));
	return 0;
}

int native_copy(struct root *root, int root_fd, struct err *err)
{
	static const struct timespec epoch[2];

	if (fchmod(root_fd, 0755) < 0 || futimens(root_fd, epoch) < 0)
		return err_os(err, "make a root");
	return native_copy_from(root, 0, root_fd, err);
}
