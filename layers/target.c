/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories of a tree that is being unpacked. The kernel keeps every link and ".." inside: the
 * tree is this process's root, or, where nobody may have one of his own, each path is resolved
 * from the tree by openat2(RESOLVE_IN_ROOT). What is missing is made component by component. The
 * directory that was used last stays open, since members come in the order of directories.
 *
 * A path longer than PATH_MAX is opened in pieces, which would let a link in a later piece begin
 * anywhere. So there are none without a root.
 */
#include "layers/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/inroot.h"

#define LINKS_MAX 40
#define DONE_MAX  (LINKS_MAX * ENTRY_LINK_MAX + ENTRY_PATH_MAX)

void target_release(struct target *to)
{
	file_close_at(&to->root_fd);
	file_close_at(&to->trash_fd);
	file_close_at(&to->parent_fd);
	buf_release(&to->parent);
}

int target_clear(struct target *to, int dir_fd, const char *name)
{
	char number[16];

	to->parent_stale = true;
	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	snprintf(number, sizeof(number), "%u", to->trashed++);
	return renameat(dir_fd, name, to->trash_fd, number);
}

/* From the root. -1 with errno. */
static int open_directory(const struct target *to, const char *path)
{
	cleanup_fd int owned_fd = -1;
	int dir_fd;

	if (!to->is_root)
		return inroot_open(to->root_fd, path, O_PATH | O_DIRECTORY, 0);
	dir_fd = file_near(to->root_fd, &path, &owned_fd);
	return dir_fd < 0 ? -1 : openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int make_implied(const struct target *to, int dir_fd, const char *name)
{
	if (mkdirat(dir_fd, name, 0755) < 0 ||
	    (!to->keep_owner && fchownat(dir_fd, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0))
		return -1;
	return fchmodat(dir_fd, name, 0755, 0);
}

/* A path that is being followed component by component. */
struct descent {
	struct target *to;
	char *path; /* all of it, */
	char *rest; /* and what is left of it */
	struct buf done; /* the way that was gone, from the root, */
	int fd;		 /* to here */
	unsigned links;
	bool replace; /* what is no directory makes room for one */
};

/* `rest` goes on behind a link that leads nowhere yet: it is there that directories are made. */
static int follow_dangling(struct descent *way, const char *name)
{
	char target[ENTRY_LINK_MAX];
	ssize_t len = readlinkat(way->fd, name, target, sizeof(target) - 1);
	char *longer;

	if (len < 0)
		return -1;
	if (++way->links > LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	target[len] = '\0';
	if (*target == '/') {
		close(way->fd);
		way->fd = openat(way->to->root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		buf_clear(&way->done);
	}
	longer = xasprintf("%s/%s", target, way->rest);
	free(way->path);
	way->path = way->rest = longer;
	return 0;
}

/* Without a root, what leads away from here has to be asked for from the top. */
static int open_component(const struct descent *way, const char *name)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	cleanup_free char *whole = NULL;
	int fd;

	if (way->to->is_root)
		return openat(way->fd, name, flags);
	if (strcmp(name, "..")) {
		fd = openat(way->fd, name, flags | O_NOFOLLOW);
		if (fd >= 0 || errno != ENOTDIR)
			return fd;
	}
	whole = xasprintf("%s%s", way->done.data, name);
	return open_directory(way->to, whole);
}

/* Open, or make, the component name of the way. -1 with errno. */
static int descend(struct descent *way, const char *name)
{
	int fd = open_component(way, name);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
		bool there = fstatat(way->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;

		if (there && S_ISLNK(st.st_mode) && errno != ELOOP &&
		    follow_dangling(way, name) == 0)
			return 0;
		if (there && !way->replace)
			errno = ENOTDIR;
		else if ((!there || target_clear(way->to, way->fd, name) == 0) &&
			 make_implied(way->to, way->fd, name) == 0)
			fd = openat(way->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -1;
	close(way->fd);
	way->fd = fd;
	buf_addf(&way->done, "%s/", name);
	return 0;
}

/* The directory path with all that is missing. The descriptor, or -1 with errno. */
static int make_directories(struct target *to, const char *path, bool replace)
{
	struct descent way = { .to = to, .path = xstrdup(path), .replace = replace };
	int bad = 0;

	buf_init(&way.done, DONE_MAX);
	way.rest = way.path;
	way.fd = openat(to->root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (!bad && way.fd >= 0 && *way.rest) {
		size_t len = strcspn(way.rest, "/");
		cleanup_free char *name = xstrndup(way.rest, len);

		way.rest += len + (way.rest[len] == '/');
		if (*name)
			bad = descend(&way, name);
	}
	free(way.path);
	buf_release(&way.done);
	if (bad && way.fd >= 0) {
		close(way.fd);
		way.fd = -1;
	}
	return way.fd;
}

int target_open_parent(struct target *to, const char *path, unsigned flags, const char **ret_leaf)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);

	*ret_leaf = slash ? slash + 1 : path;
	if (!*parent)
		return to->root_fd;
	if (to->parent_fd >= 0 && !to->parent_stale && !strcmp(to->parent.data, parent))
		return to->parent_fd;
	file_close_at(&to->parent_fd);
	to->parent_fd = open_directory(to, parent);
	if (to->parent_fd < 0 && flags)
		to->parent_fd = make_directories(to, parent, flags & TARGET_REPLACE);
	buf_clear(&to->parent);
	buf_addstr(&to->parent, parent);
	to->parent_stale = false;
	return to->parent_fd;
}
