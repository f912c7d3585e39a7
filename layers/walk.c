/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A directory tree in the canonical order of layers/entry.h: names sorted by their bytes, depth
 * first, whiteouts of a directory before its other members. No link is followed, no path is
 * resolved: each step is one openat() of one name. The C stack does not grow with the depth, and
 * neither does the number of descriptors: far above the current directory they are closed, and
 * opened again through "..", which must be the inode it was.
 */
#include "layers/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/layer.h"

#define OPEN_LEVELS_MAX 64
#define NAMES_MAX	(1024 * 1024 * 1024) /* bytes of names in one directory */

struct name {
	const char *text;
	bool whiteout;
};

struct level {
	int fd; /* -1 while it is closed */
	struct stat stat;
	bool opaque, listed, whole_listed;
	char *text; /* the names, each with its NUL */
	struct name *names;
	size_t n, next;
	size_t path_len; /* of this directory's path in walk->path */
};

struct walk {
	int root_fd;
	const char *opaque_name;
	bool recorded_owners;
	bool begun, leaving;
	struct level *levels;
	size_t depth, cap;
	struct buf path;
	struct inode_map *links;
	struct buf link;	  /* target of the current symlink */
	struct xattr_list xattrs; /* of the current entry */
};

struct walk *walk_new(int root_fd, const char *opaque_name, bool recorded_owners)
{
	struct walk *walk = xcalloc(1, sizeof(*walk));

	walk->root_fd = root_fd;
	walk->opaque_name = opaque_name;
	walk->recorded_owners = recorded_owners;
	walk->links = inode_map_new();
	buf_init(&walk->path, NAMES_MAX);
	buf_init(&walk->link, ENTRY_PATH_MAX);
	xattr_list_init(&walk->xattrs);
	return walk;
}

static void pop(struct walk *walk)
{
	struct level *top = &walk->levels[--walk->depth];

	if (top->fd >= 0)
		close(top->fd);
	free(top->text);
	free(top->names);
}

void walk_free(struct walk *walk)
{
	if (!walk)
		return;
	while (walk->depth > 0)
		pop(walk);
	free(walk->levels);
	inode_map_free(walk->links);
	buf_release(&walk->path);
	buf_release(&walk->link);
	xattr_list_release(&walk->xattrs);
	free(walk);
}

/* --- directories ------------------------------------------------------------------------------ */

static void cut_path(struct walk *walk, size_t len)
{
	if (walk->path.len == len) /* also when it is empty: then its byte is not its own */
		return;
	walk->path.len = len;
	walk->path.data[len] = '\0';
}

static void add_name(struct walk *walk, const char *name)
{
	if (walk->path.len)
		buf_addch(&walk->path, '/');
	buf_addstr(&walk->path, name);
}

/* Put a directory on the stack; fd becomes the walk's. */
static int push(struct walk *walk, int fd, struct err *err)
{
	struct level *top;

	walk->levels = grow_vector(walk->levels, walk->depth, &walk->cap, sizeof(*walk->levels));
	top = &walk->levels[walk->depth++];
	*top = (struct level){ .fd = fd, .path_len = walk->path.len };
	if (fstat(fd, &top->stat) < 0)
		return err_os(err, "stat %s", walk->path.data);
	if (walk->recorded_owners) {
		owner_settle(&top->stat, geteuid());
		owner_recorded(fd, &top->stat);
	}
	top->opaque = overlay_is_opaque(fd, walk->opaque_name);
	if (walk->depth > OPEN_LEVELS_MAX) {
		struct level *far = &walk->levels[walk->depth - 1 - OPEN_LEVELS_MAX];

		if (far->fd >= 0)
			close(far->fd);
		far->fd = -1;
	}
	return 0;
}

/* Make sure that the level above the top is open. */
static int reopen_above(struct walk *walk, struct err *err)
{
	struct level *top = &walk->levels[walk->depth - 1], *above = top - 1;
	struct stat st;

	if (walk->depth < 2 || above->fd >= 0)
		return 0;
	above->fd = openat(top->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above->fd < 0 || fstat(above->fd, &st) < 0)
		return err_os(err, "open the directory above %s", walk->path.data);
	if (st.st_ino != above->stat.st_ino || st.st_dev != above->stat.st_dev)
		return err_set(err, ERR_CORRUPT, "%s was moved while it was read", walk->path.data);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->whiteout != y->whiteout)
		return x->whiteout ? -1 : 1;
	return strcmp(x->text, y->text);
}

static bool name_is_whiteout(const struct walk *walk, int fd, const char *name, unsigned char type)
{
	struct stat st;

	return (type == DT_CHR || type == DT_SOCK || type == DT_UNKNOWN) &&
	       fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       overlay_is_whiteout(&st, walk->opaque_name);
}

/* The directory itself, the one above, and the mark of a flat tree. */
static bool is_no_member(const struct walk *walk, const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..") ||
	       (opaque_name_is_flat(walk->opaque_name) && !strcmp(name, walk->opaque_name));
}

/* One getdents64() block: names go to text, and for each a slot that has no address yet. */
static void take_names(const struct walk *walk, struct level *level, struct buf *text,
		       const char *block, size_t len, size_t *cap)
{
	const struct dirent64 *item;

	for (size_t at = 0; at < len; at += item->d_reclen) {
		item = (const struct dirent64 *)(block + at);
		if (is_no_member(walk, item->d_name))
			continue;
		level->names = grow_vector(level->names, level->n, cap, sizeof(*level->names));
		level->names[level->n++] = (struct name){
			.whiteout = name_is_whiteout(walk, level->fd, item->d_name, item->d_type),
		};
		buf_add(text, item->d_name, strlen(item->d_name) + 1);
	}
}

static int list_names(struct walk *walk, struct level *level, struct err *err)
{
	_Alignas(struct dirent64) char block[32768];
	cleanup_buf struct buf text;
	size_t cap = 0;
	const char *at;
	ssize_t got;

	buf_init(&text, NAMES_MAX);
	while ((got = getdents64(level->fd, block, sizeof(block))) > 0)
		take_names(walk, level, &text, block, (size_t)got, &cap);
	if (got < 0)
		return err_os(err, "list %s", walk->path.data);
	if (text.overflow)
		return err_set(err, ERR_LIMIT, "%s: too many names in it", walk->path.data);
	level->text = buf_steal(&text);
	at = level->text;
	for (size_t i = 0; i < level->n; i++, at += strlen(at) + 1)
		level->names[i].text = at;
	if (level->n)
		qsort(level->names, level->n, sizeof(*level->names), compare_names);
	level->listed = true;
	return 0;
}

/* --- steps ------------------------------------------------------------------------------------ */

static void tell_directory(struct walk *walk, bool leave, struct walk_item *ret_item)
{
	struct level *top = &walk->levels[walk->depth - 1];
	bool is_root = walk->depth == 1;

	*ret_item = (struct walk_item){
		.kind = leave ? WALK_LEAVE : WALK_DIRECTORY,
		.path = walk->path.data,
		.name = is_root ? "" : top[-1].names[top[-1].next - 1].text,
		.parent_fd = is_root ? -1 : top[-1].fd,
		.fd = top->fd,
		.stat = top->stat,
		.opaque = top->opaque,
	};
}

static int enter(struct walk *walk, int parent_fd, const char *name, struct walk_item *ret_item,
		 struct err *err)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_os(err, "open directory %s", walk->path.data);
	if (push(walk, fd, err) < 0)
		return -1;
	tell_directory(walk, false, ret_item);
	return 1;
}

static int leave(struct walk *walk, struct walk_item *ret_item, struct err *err)
{
	cut_path(walk, walk->levels[walk->depth - 1].path_len);
	if (reopen_above(walk, err) < 0)
		return -1;
	walk->leaving = true;
	tell_directory(walk, true, ret_item);
	return 1;
}

static int take_recorded(struct walk_item *item, struct err *err)
{
	cleanup_fd int fd = walk_open_file(item, err);

	if (fd < 0)
		return -1;
	owner_recorded(fd, &item->stat);
	return 0;
}

int walk_next(struct walk *walk, struct walk_item *ret_item, struct err *err)
{
	const struct name *name;
	struct level *top;

	if (!walk->begun) {
		walk->begun = true;
		return enter(walk, walk->root_fd, ".", ret_item, err);
	}
	if (walk->leaving)
		pop(walk);
	walk->leaving = false;
	if (walk->depth == 0)
		return 0;
	top = &walk->levels[walk->depth - 1];
	cut_path(walk, top->path_len);
	if (!top->listed && list_names(walk, top, err) < 0)
		return -1;
	if (top->next == top->n)
		return leave(walk, ret_item, err);
	name = &top->names[top->next++];
	add_name(walk, name->text);
	*ret_item = (struct walk_item){
		.kind = name->whiteout ? WALK_WHITEOUT : WALK_OTHER,
		.path = walk->path.data,
		.name = name->text,
		.parent_fd = top->fd,
		.fd = -1,
	};
	if (fstatat(top->fd, name->text, &ret_item->stat, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(err, "stat %s", walk->path.data);
	if (walk->recorded_owners)
		owner_settle(&ret_item->stat, geteuid());
	if (walk->recorded_owners && S_ISREG(ret_item->stat.st_mode) &&
	    take_recorded(ret_item, err) < 0)
		return -1;
	if (S_ISDIR(ret_item->stat.st_mode))
		return enter(walk, top->fd, name->text, ret_item, err);
	return 1;
}

/* --- entries ---------------------------------------------------------------------------------- */

static int read_link(struct walk *walk, const struct walk_item *item, struct err *err)
{
	char target[ENTRY_LINK_MAX];
	ssize_t len = readlinkat(item->parent_fd, item->name, target, sizeof(target));

	if (len < 0 || (size_t)len >= sizeof(target))
		return err_os(err, "read link %s", item->path);
	buf_clear(&walk->link);
	return buf_add(&walk->link, target, (size_t)len);
}

/* The path under which this inode was met before; remembers it when it is the first time. */
static const char *earlier_link(struct walk *walk, const struct walk_item *item)
{
	struct inode *known;
	bool is_new;

	if (item->stat.st_nlink < 2 || S_ISDIR(item->stat.st_mode))
		return NULL;
	known = inode_map_put(walk->links, item->stat.st_ino, &is_new);
	if (!is_new)
		return known->path;
	known->path = xstrdup(item->path);
	return NULL;
}

int walk_entry(struct walk *walk, const struct walk_item *item, int fd, struct entry *ret_entry,
	       struct err *err)
{
	const struct stat *st = &item->stat;
	struct entry entry = {
		.path = item->path,
		.type = item->kind == WALK_WHITEOUT ? ENTRY_WHITEOUT
						    : entry_type_of(item->stat.st_mode),
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.mtime = st->st_mtim.tv_sec,
	};

	if (entry.type == ENTRY_WHITEOUT) {
		*ret_entry = (struct entry){ .path = item->path, .type = ENTRY_WHITEOUT };
		return 0;
	}
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		entry.dev_major = major(st->st_rdev);
		entry.dev_minor = minor(st->st_rdev);
	}
	entry.link = earlier_link(walk, item);
	if (entry.link) {
		entry.type = ENTRY_HARDLINK;
		entry.size = 0;
	} else if (entry.type == ENTRY_SYMLINK) {
		if (read_link(walk, item, err) < 0)
			return -1;
		entry.link = walk->link.data;
	} else if (fd >= 0) {
		if (xattr_list_read(&walk->xattrs, fd, err) < 0)
			return err_wrap(err, "%s", item->path);
		entry.xattrs = walk->xattrs.v;
		entry.n_xattrs = walk->xattrs.n;
	}
	*ret_entry = entry;
	return 0;
}

int walk_open_file(const struct walk_item *item, struct err *err)
{
	int fd = openat(item->parent_fd, item->name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? err_os(err, "open %s", item->path) : fd;
}

int walk_write(struct walk *walk, const struct walk_item *item, int fd, struct tar_writer *tar,
	       struct err *err)
{
	struct entry entry;

	if (walk_entry(walk, item, fd, &entry, err) < 0)
		return -1;
	if (entry.type == ENTRY_FILE)
		return tar_writer_file(tar, &entry, fd, NULL, err);
	return tar_writer_entry(tar, &entry, err);
}
