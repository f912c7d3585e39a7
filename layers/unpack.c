/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tar becomes a directory in overlay's notation. It runs in a process of its own whose root is
 * that directory, so that whatever a member's name or a link says resolves inside. Where nobody may
 * have a root of his own (no namespace, no CAP_SYS_CHROOT), openat2() keeps it inside, see
 * target.c, and Landlock stands behind that.
 *  1. Nothing is written through a name: what is in the way goes first, and O_EXCL creates.
 *  2. Directories that are in the way are moved to trash/, not removed: their inode numbers
 *     are not used again while the table of named directories is alive.
 *  3. Whiteouts and opaque marks speak of lower layers only. They are applied when all members
 *     are there, so it does not matter where in the tar they stand.
 *  4. Times of directories come last of all, by a walk that also finds the directories that no
 *     member named.
 */
#include "layers/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/landlock.h"

#define BLOCK_SIZE (256 * 1024)
#define MARKS_MAX  (256 * 1024 * 1024) /* bytes of paths with marks, and of implied directories */

DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)

struct unpacking {
	const struct unpack *job;
	struct tar_reader *reader;
	struct target target;
	const char *opaque_name;
	struct inode_map *named; /* directories that a member named */
	struct buf marks;	 /* 'w' or 'o', path, NUL each */
	struct buf devices;
	unsigned char *block;
};

/* --- attributes ------------------------------------------------------------------------------- */

static int fail_owner(const struct entry *entry, struct err *err)
{
	if (errno == EINVAL)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s is owned by %u:%u, an id that this user namespace does not map: "
			       "give the user a larger range in /etc/subuid and /etc/subgid",
			       *entry->path ? entry->path : "/", entry->uid, entry->gid);
	return err_os(err, "set owner and mode of %s", entry->path);
}

/* Where a file system or the kernel has no room for an attribute, the file goes without: other
 * engines do so too, and a layer that was pulled keeps its bytes. */
static int set_xattrs(int fd, const struct entry *entry, struct err *err)
{
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		const struct xattr *xattr = &entry->xattrs[i];

		if (xattr_is_portable(xattr->name) &&
		    fsetxattr(fd, xattr->name, xattr->value, xattr->len, 0) < 0 && errno != EPERM &&
		    errno != EOPNOTSUPP)
			return err_os(err, "set attribute %s of %s", xattr->name, entry->path);
	}
	return 0;
}

static int set_attributes(const struct unpacking *to, int fd, const struct entry *entry,
			  struct err *err)
{
	if (owner_give(fd, entry->uid, entry->gid, entry->mode & 07777, to->job->record) < 0)
		return fail_owner(entry, err);
	return set_xattrs(fd, entry, err);
}

static void spell_times(const struct entry *entry, struct timespec times[2])
{
	times[0] = times[1] = (struct timespec){ .tv_sec = (time_t)entry->mtime };
}

/* Owner, mode and time of what is not opened. */
static int set_node_attributes(const struct unpacking *to, int dir_fd, const char *name,
			       const struct entry *entry, struct err *err)
{
	struct timespec times[2];

	if (to->job->record == OWNER_GIVEN &&
	    fchownat(dir_fd, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_owner(entry, err);
	if (entry->type != ENTRY_SYMLINK && fchmodat(dir_fd, name, entry->mode & 07777, 0) < 0)
		return err_os(err, "set the mode of %s", entry->path);
	spell_times(entry, times);
	if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(err, "set the time of %s", entry->path);
	return 0;
}

/* --- members ---------------------------------------------------------------------------------- */

static int remember_directory(struct unpacking *to, int fd, const struct entry *entry,
			      struct err *err)
{
	struct inode *inode;
	struct stat st;
	bool is_new;

	if (fstat(fd, &st) < 0)
		return err_os(err, "stat %s", entry->path);
	inode = inode_map_put(to->named, st.st_ino, &is_new);
	inode->mtime = entry->mtime;
	return set_attributes(to, fd, entry, err);
}

static int put_root(struct unpacking *to, const struct entry *entry, struct err *err)
{
	if (entry->type != ENTRY_DIRECTORY)
		return err_set(err, ERR_CORRUPT, "the root entry of the layer is no directory");
	return remember_directory(to, to->target.root_fd, entry, err);
}

static int put_directory(struct unpacking *to, int dir_fd, const char *name,
			 const struct entry *entry, struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (mkdirat(dir_fd, name, 0700) < 0) {
		if (errno != EEXIST)
			return err_os(err, "make directory %s", entry->path);
		if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_os(err, "stat %s", entry->path);
		if (!S_ISDIR(st.st_mode) && (target_clear(&to->target, dir_fd, name) < 0 ||
					     mkdirat(dir_fd, name, 0700) < 0))
			return err_os(err, "make directory %s", entry->path);
	}
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_os(err, "open directory %s", entry->path);
	return remember_directory(to, fd, entry, err);
}

static bool is_zero(const unsigned char *block, size_t len)
{
	return block[0] == 0 && memcmp(block, block + 1, len - 1) == 0;
}

/* Blocks of zeros stay holes. */
static int write_content(struct unpacking *to, int fd, const struct entry *entry, struct err *err)
{
	bool ends_in_hole = false;
	off_t size = 0;

	for (;;) {
		ssize_t got = tar_reader_read(to->reader, to->block, BLOCK_SIZE, err);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		ends_in_hole = got >= 4096 && is_zero(to->block, (size_t)got);
		if (ends_in_hole ? lseek(fd, got, SEEK_CUR) < 0
				 : write_all(fd, to->block, (size_t)got) < 0)
			return err_os(err, "write %s", entry->path);
		size += got;
	}
	if (ends_in_hole && ftruncate(fd, size) < 0)
		return err_os(err, "write %s", entry->path);
	return 0;
}

static int put_file(struct unpacking *to, int dir_fd, const char *name, const struct entry *entry,
		    struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct timespec times[2];
	int fd = openat(dir_fd, name, flags, 0600);
	int bad;

	if (fd < 0 && errno == EEXIST && target_clear(&to->target, dir_fd, name) == 0)
		fd = openat(dir_fd, name, flags, 0600);
	if (fd < 0)
		return err_os(err, "create %s", entry->path);
	spell_times(entry, times);
	bad = write_content(to, fd, entry, err) < 0 || set_attributes(to, fd, entry, err) < 0;
	if (!bad && futimens(fd, times) < 0)
		bad = err_os(err, "set the time of %s", entry->path);
	if (close(fd) < 0 && !bad)
		bad = err_os(err, "write %s", entry->path);
	return bad ? -1 : 0;
}

/* The other name is looked up in the root too; a link there is linked, not followed. */
static int put_hardlink(struct unpacking *to, const struct entry *entry, struct err *err)
{
	cleanup_fd int from_fd = -1;
	const char *from, *name;
	struct stat st, old;
	int dir_fd = target_open_parent(&to->target, entry->link, 0, &from);

	if (dir_fd < 0 || fstatat(dir_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, ERR_CORRUPT,
			       "%s is a hard link to %s, which is not in the layer", entry->path,
			       entry->link);
	if (S_ISDIR(st.st_mode))
		return err_set(err, ERR_CORRUPT, "%s is a hard link to the directory %s",
			       entry->path, entry->link);
	if (!strcmp(entry->path, entry->link))
		return 0;
	from_fd = openat(dir_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	dir_fd = target_open_parent(&to->target, entry->path, TARGET_MAKE | TARGET_REPLACE, &name);
	if (from_fd < 0 || dir_fd < 0)
		return err_os(err, "open the directory of %s", entry->path);
	if (linkat(from_fd, from, dir_fd, name, 0) == 0)
		return 0;
	if (errno == EEXIST && fstatat(dir_fd, name, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
	    old.st_ino == st.st_ino)
		return 0;
	if (target_clear(&to->target, dir_fd, name) == 0 &&
	    linkat(from_fd, from, dir_fd, name, 0) == 0)
		return 0;
	return err_os(err, "link %s to %s", entry->path, entry->link);
}

/* -1 with errno. */
static int make_node(int dir_fd, const char *name, const struct entry *entry)
{
	switch (entry->type) {
	case ENTRY_SYMLINK:
		return symlinkat(entry->link, dir_fd, name);
	case ENTRY_FIFO:
		return mknodat(dir_fd, name, S_IFIFO | 0600, 0);
	default:
		return mknodat(dir_fd, name, (entry->type == ENTRY_CHAR ? S_IFCHR : S_IFBLK) | 0600,
			       makedev(entry->dev_major, entry->dev_minor));
	}
}

static int put_node(struct unpacking *to, int dir_fd, const char *name, const struct entry *entry,
		    struct err *err)
{
	bool device = entry->type == ENTRY_CHAR || entry->type == ENTRY_BLOCK;
	bool flat = opaque_name_is_flat(to->opaque_name);
	int bad;

	if (entry->type == ENTRY_CHAR && !entry->dev_major && !entry->dev_minor)
		return err_set(err, ERR_CORRUPT, "%s is the character device 0:0", entry->path);
	errno = EPERM; /* a flat tree is copied to where no mount option keeps devices shut */
	bad = device && flat ? -1 : make_node(dir_fd, name, entry);
	if (bad && errno == EEXIST && target_clear(&to->target, dir_fd, name) == 0)
		bad = make_node(dir_fd, name, entry);
	if (bad && device && errno == EPERM) {
		buf_addf(&to->devices, "%c %u:%u %s", entry->type == ENTRY_CHAR ? 'c' : 'b',
			 entry->dev_major, entry->dev_minor, entry->path);
		return buf_addch(&to->devices, '\0') < 0
			       ? err_set(err, ERR_LIMIT, "too many device nodes")
			       : 0;
	}
	if (bad)
		return err_os(err, "create %s", entry->path);
	return set_node_attributes(to, dir_fd, name, entry, err);
}

static int put_mark(struct unpacking *to, const struct entry *entry, struct err *err)
{
	buf_addch(&to->marks, entry->type == ENTRY_OPAQUE ? 'o' : 'w');
	if (buf_add(&to->marks, entry->path, strlen(entry->path) + 1) < 0)
		return err_set(err, ERR_LIMIT, "too many whiteouts in the layer");
	return 0;
}

static int put_member(struct unpacking *to, const struct entry *entry, struct err *err)
{
	const char *name;
	int dir_fd;

	if (entry->type == ENTRY_WHITEOUT || entry->type == ENTRY_OPAQUE)
		return put_mark(to, entry, err);
	if (entry->uid == (uid_t)-1 || entry->gid == (gid_t)-1)
		return err_set(err, ERR_CORRUPT, "%s has an owner that is no id", entry->path);
	if (!*entry->path)
		return put_root(to, entry, err);
	if (entry->type == ENTRY_HARDLINK)
		return put_hardlink(to, entry, err);
	dir_fd = target_open_parent(&to->target, entry->path, TARGET_MAKE | TARGET_REPLACE, &name);
	if (dir_fd < 0)
		return err_os(err, "open the directory of %s", entry->path);
	if (entry->type == ENTRY_DIRECTORY)
		return put_directory(to, dir_fd, name, entry, err);
	if (entry->type == ENTRY_FILE)
		return put_file(to, dir_fd, name, entry, err);
	return put_node(to, dir_fd, name, entry, err);
}

static int put_members(struct unpacking *to, struct err *err)
{
	const struct entry *entry;
	int more;

	while ((more = tar_reader_next(to->reader, &entry, err)) > 0)
		if (put_member(to, entry, err) < 0)
			return -1;
	return more;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* What is below something that is no directory hides nothing that could be seen. */
static int hide_path(struct unpacking *to, const char *path, struct err *err)
{
	const char *name;
	int dir_fd = target_open_parent(&to->target, path, TARGET_MAKE, &name);
	cleanup_fd int fd = -1;
	struct stat st;

	if (dir_fd < 0)
		return errno == ENOTDIR ? 0 : err_os(err, "hide %s", path);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return overlay_put_whiteout(dir_fd, name, to->opaque_name) < 0 ? err_os(err, "hide %s", path) : 0;
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (overlay_set_opaque(fd, to->opaque_name) < 0 && errno != EEXIST))
		return err_os(err, "hide what is below %s", path);
	return 0;
}

static int hide_content(struct unpacking *to, const char *path, struct err *err)
{
	cleanup_free char *within = xasprintf("%s%s.", path, *path ? "/" : "");
	const char *name;
	int dir_fd = target_open_parent(&to->target, within, TARGET_MAKE, &name);
	cleanup_fd int fd = -1;

	if (dir_fd < 0)
		return errno == ENOTDIR ? 0 : err_os(err, "hide what is below %s", path);
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (overlay_set_opaque(fd, to->opaque_name) < 0 && errno != EEXIST))
		return err_os(err, "hide what is below %s", path);
	return 0;
}

static int compare_marks(const void *a, const void *b)
{
	return entry_path_compare(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

/* From the top down: what a whiteout hides needs no whiteouts below. */
static int apply_marks(struct unpacking *to, struct err *err)
{
	cleanup_free const char **marks = NULL;
	size_t n = 0, cap = 0;

	for (size_t at = 0; at < to->marks.len; at += strlen(to->marks.data + at) + 1) {
		marks = grow_vector(marks, n, &cap, sizeof(*marks));
		marks[n++] = to->marks.data + at;
	}
	if (n)
		qsort(marks, n, sizeof(*marks), compare_marks);
	for (size_t i = 0; i < n; i++)
		if (marks[i][0] == 'w' ? hide_path(to, marks[i] + 1, err) < 0
				       : hide_content(to, marks[i] + 1, err) < 0)
			return -1;
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int finish_directories(struct unpacking *to, struct buf *implied, struct err *err)
{
	cleanup_with(walk_free) struct walk *walk = walk_new(to->target.root_fd, to->opaque_name, false);
	struct walk_item item;
	int more;

	while ((more = walk_next(walk, &item, err)) > 0) {
		struct timespec times[2] = { { 0 } };
		const struct inode *inode;

		if (item.kind != WALK_DIRECTORY && item.kind != WALK_LEAVE)
			continue;
		inode = inode_map_get(to->named, item.stat.st_ino);
		if (inode)
			times[0].tv_sec = times[1].tv_sec = (time_t)inode->mtime;
		if (item.kind == WALK_LEAVE && futimens(item.fd, times) < 0)
			return err_os(err, "set the time of %s", item.path);
		if (item.kind == WALK_DIRECTORY && !inode &&
		    buf_add(implied, item.path, strlen(item.path) + 1) < 0)
			return err_set(err, ERR_LIMIT, "too many directories in the layer");
	}
	return more;
}

static int check_digest(struct unpacking *to, struct err *err)
{
	char got_text[DIGEST_TEXT_MAX], want_text[DIGEST_TEXT_MAX];
	struct digest got;
	uint64_t size;

	if (tar_reader_finish(to->reader, &got, &size, err) < 0)
		return -1;
	if (!digest_equal(&got, to->job->want_diff_id))
		return err_set(err, ERR_CORRUPT, "the layer's tar is %s, expected %s",
			       digest_format(&got, got_text),
			       digest_format(to->job->want_diff_id, want_text));
	return 0;
}

static int save_records(struct unpacking *to, const struct buf *implied, struct err *err)
{
	int dir_fd = to->job->dir_fd;

	if (file_replace_at(dir_fd, "implied", implied->data, implied->len, 0600, false, err) < 0)
		return -1;
	if (to->devices.len && file_replace_at(dir_fd, "devices", to->devices.data, to->devices.len,
					       0600, false, err) < 0)
		return -1;
	return file_remove_tree_at(dir_fd, "trash", err);
}

static int unpack_all(struct unpacking *to, struct err *err)
{
	cleanup_buf struct buf implied;

	buf_init(&implied, MARKS_MAX);
	if (put_members(to, err) < 0 || (to->job->want_diff_id && check_digest(to, err) < 0) ||
	    apply_marks(to, err) < 0 || finish_directories(to, &implied, err) < 0)
		return -1;
	return save_records(to, &implied, err);
}

static int make_place(struct unpacking *to, struct err *err)
{
	int dir_fd = to->job->dir_fd;

	umask(0);
	if (mkdirat(dir_fd, "fs", 0755) < 0 || mkdirat(dir_fd, "trash", 0700) < 0)
		return err_os(err, "make a directory for the layer");
	to->target.root_fd = openat(dir_fd, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to->target.trash_fd = openat(dir_fd, "trash", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (to->target.root_fd < 0 || to->target.trash_fd < 0)
		return err_os(err, "open the directory of the layer");
	return 0;
}

/* From here on no path of the host exists for this process, or none that it could change. */
static int enter_place(struct unpacking *to, struct err *err)
{
	if (fchdir(to->target.root_fd) < 0)
		return err_os(err, "enter the directory of the layer");
	to->target.is_root = chroot(".") == 0;
	if (to->target.is_root)
		return 0;
	if (errno != EPERM)
		return err_os(err, "make the directory of the layer the root");
	if (landlock_keep_below(to->job->dir_fd) < 0)
		return err_os(err, "keep to the directory of the layer");
	return 0;
}

int unpack_run(void *unpack, void *result, struct err *err)
{
	cleanup_with(tar_reader_free) struct tar_reader *reader = NULL;
	cleanup_free unsigned char *block = xmalloc(BLOCK_SIZE);
	struct unpacking to = {
		.job = unpack,
		.target = { .root_fd = -1, .trash_fd = -1, .parent_fd = -1 },
		.block = block,
		.opaque_name = ((struct unpack *)unpack)->opaque_name,
	};
	int status = -1;

	(void)result;
	buf_init(&to.target.parent, ENTRY_PATH_MAX);
	buf_init(&to.marks, MARKS_MAX);
	buf_init(&to.devices, MARKS_MAX);
	to.named = inode_map_new();
	to.target.keep_owner = to.job->record != OWNER_GIVEN;
	if (make_place(&to, err) == 0 &&
	    tar_reader_open(to.job->tar_fd, to.job->what,
			    to.job->want_diff_id ? TAR_READER_LAYER : 0, to.job->max_bytes, &reader,
			    err) == 0 &&
	    enter_place(&to, err) == 0) {
		to.reader = reader;
		status = unpack_all(&to, err);
	}
	target_release(&to.target);
	inode_map_free(to.named);
	buf_release(&to.marks);
	buf_release(&to.devices);
	return status;
}
