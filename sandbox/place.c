/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Things that are put into a root for one step, and taken out again: what mounts would do, done by
 * renaming.
 *
 * 1. What is in the way is renamed aside and comes back, as it was. Directories that are made on
 *    the way go, unless the step has put something of its own into them.
 * 2. Places are resolved inside the root (base/inroot) before the step runs, while nobody else is
 *    in it. They are taken out by the descriptors of that time, one name in an open directory each,
 *    no link followed: whatever the step made of the path, nothing outside is reached.
 * 3. What was moved in goes home by a rename, and only there, where the step never was, is looked
 *    at: what is not of its kind is removed. If the step has removed it, or moved it away, it stays
 *    away. If it has removed the directory around it, it has removed what was aside, too.
 * 4. All is taken out in the opposite order, also after a failure of one.
 * 5. A directory that something was put into gets its time back, unless the step changed it too.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

#define LINKS_MAX 40 /* as many as the kernel follows */

struct placed {
	int parent_fd;
	char *leaf;
	char aside[24];		/* what was there, in aside_fd; "" when nothing was */
	struct timespec before; /* of the parent, when nothing had been done to it */
	bool on_the_way;	/* a directory that only has to hold the place of another */
	int home_fd;		/* where it came from, of the caller, and */
	const char *home_name;	/* its name there; NULL: it was made here */
	mode_t type;
};

/* --- where ---------------------------------------------------------------------------------- */

/* The directory part of a path, "" for the root. free() it. */
static char *path_above(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
}

/* The path of what a path means when the links it ends in are followed. free() it. */
static char *follow(int root_fd, const char *path)
{
	char *at = xstrdup(path);

	for (int i = 0; i < LINKS_MAX; i++) {
		char target[PATH_MAX];
		const char *leaf;
		cleanup_fd int parent = inroot_open_parent(root_fd, at, &leaf);
		ssize_t len =
			parent < 0 ? -1 : readlinkat(parent, leaf, target, sizeof(target) - 1);
		cleanup_free char *above = NULL;

		while (len > 1 && target[len - 1] == '/')
			len--;
		if (len <= 0)
			break;
		target[len] = '\0';
		above = path_above(at);
		free(at);
		at = *target == '/' ? xstrdup(target) : xasprintf("%s/%s", above, target);
	}
	return at;
}

static struct placed *add(struct places *places, int parent_fd, const char *leaf)
{
	struct placed *placed;

	places->v = grow_vector(places->v, places->n, &places->cap, sizeof(*places->v));
	placed = &places->v[places->n++];
	*placed = (struct placed){ .parent_fd = parent_fd, .leaf = xstrdup(leaf), .home_fd = -1 };
	return placed;
}

static int note_time(struct placed *placed, struct err *err)
{
	struct stat st;

	if (fstat(placed->parent_fd, &st) < 0)
		return err_os(err, "stat the directory of %s", placed->leaf);
	placed->before = st.st_mtim;
	return 0;
}

/* A directory, and those above it, where they are missing. */
static int require_dir(struct places *places, const struct sandbox_spec *spec, const char *path,
		       int depth, struct err *err)
{
	cleanup_fd int there =
		inroot_open(spec->root_fd, *path ? path : "/", O_PATH | O_DIRECTORY, 0);
	cleanup_free char *at = NULL, *above = NULL;
	struct placed *placed;
	const char *leaf;
	int parent;

	if (there >= 0)
		return 0;
	if (errno != ENOENT || depth > LINKS_MAX)
		return err_os(err, "open the directory %s", path);
	at = follow(spec->root_fd, path);
	above = path_above(at);
	if (require_dir(places, spec, above, depth + 1, err) < 0)
		return -1;
	parent = inroot_open_parent(spec->root_fd, at, &leaf);
	if (parent < 0)
		return err_os(err, "open the directory of %s", path);
	placed = add(places, parent, leaf);
	if (note_time(placed, err) < 0)
		return -1;
	if (mkdirat(parent, leaf, 0700) < 0 || fchmodat(parent, leaf, 0755, 0) < 0)
		return err_os(err, "make the directory %s", path);
	placed->on_the_way = true;
	return 0;
}

/* Make the place free, and remember it. */
static struct placed *take(struct places *places, const struct sandbox_spec *spec, const char *path,
			   bool follow_links, struct err *err)
{
	cleanup_free char *at = follow_links ? follow(spec->root_fd, path) : xstrdup(path);
	cleanup_free char *above = path_above(at);
	struct placed *placed;
	const char *leaf;
	int parent;

	if (require_dir(places, spec, above, 0, err) < 0)
		return NULL;
	parent = inroot_open_parent(spec->root_fd, at, &leaf);
	if (parent < 0) {
		err_os(err, "open the directory of %s", path);
		return NULL;
	}
	placed = add(places, parent, leaf);
	if (note_time(placed, err) < 0)
		return NULL;
	snprintf(placed->aside, sizeof(placed->aside), "aside%zu", places->n);
	if (renameat(parent, leaf, spec->aside_fd, placed->aside) == 0)
		return placed;
	placed->aside[0] = '\0';
	if (errno == ENOENT)
		return placed;
	err_os(err, "put %s aside", path);
	return NULL;
}

/* --- putting -------------------------------------------------------------------------------- */

int places_put_dir(struct places *places, const struct sandbox_spec *spec, const char *path,
		   bool follow_links, mode_t mode, int *ret_fd, struct err *err)
{
	const struct placed *placed = take(places, spec, path, follow_links, err);
	cleanup_fd int fd = -1;

	if (!placed)
		return -1;
	if (mkdirat(placed->parent_fd, placed->leaf, 0700) < 0 ||
	    fchmodat(placed->parent_fd, placed->leaf, mode, 0) < 0)
		return err_os(err, "make %s", path);
	fd = openat(placed->parent_fd, placed->leaf,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_os(err, "open %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int places_put_file(struct places *places, const struct sandbox_spec *spec, const char *path,
		    bool follow_links, int *ret_fd, struct err *err)
{
	const struct placed *placed = take(places, spec, path, follow_links, err);
	int fd;

	if (!placed)
		return -1;
	fd = openat(placed->parent_fd, placed->leaf,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_os(err, "make %s", path);
	*ret_fd = fd;
	return 0;
}

int places_put_link(struct places *places, const struct sandbox_spec *spec, const char *path,
		    const char *target, struct err *err)
{
	const struct placed *placed = take(places, spec, path, true, err);

	if (!placed)
		return -1;
	if (symlinkat(target, placed->parent_fd, placed->leaf) < 0)
		return err_os(err, "make %s", path);
	return 0;
}

int places_move(struct places *places, const struct sandbox_spec *spec, const char *path,
		int home_fd, const char *home_name, struct err *err)
{
	struct placed *placed = take(places, spec, path, true, err);
	struct stat st;

	if (!placed)
		return -1;
	if (fstatat(home_fd, home_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat2(home_fd, home_name, placed->parent_fd, placed->leaf, RENAME_NOREPLACE) < 0)
		return err_os(err, "move what is mounted to %s", path);
	placed->home_fd = home_fd;
	placed->home_name = home_name;
	placed->type = st.st_mode & S_IFMT;
	return 0;
}

static void set_time(int dir_fd, const struct timespec *time)
{
	struct timespec times[2] = { *time, *time };

	utimensat(dir_fd, ".", times, 0); /* of a directory of our own */
}

void places_settle(struct places *places)
{
	for (size_t i = places->n; i-- > 0;)
		set_time(places->v[i].parent_fd, &places->v[i].before);
}

/* --- taking out ----------------------------------------------------------------------------- */

/* See 3. What somebody else has put there meanwhile stays. */
static int go_home(const struct placed *placed, struct err *err)
{
	struct stat st;

	if (renameat2(placed->parent_fd, placed->leaf, placed->home_fd, placed->home_name,
		      RENAME_NOREPLACE) < 0)
		return errno == ENOENT || errno == EEXIST
			       ? 0
			       : err_os(err, "take out what was mounted on %s", placed->leaf);
	if (fstatat(placed->home_fd, placed->home_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(err, "stat what was mounted on %s", placed->leaf);
	if ((st.st_mode & S_IFMT) == placed->type)
		return 0;
	return file_remove_tree_at(placed->home_fd, placed->home_name, err);
}

static int empty_place(const struct placed *placed, struct err *err)
{
	if (placed->on_the_way) {
		unlinkat(placed->parent_fd, placed->leaf, AT_REMOVEDIR); /* or it is the step's */
		return 0;
	}
	if (placed->home_name && go_home(placed, err) < 0)
		return -1;
	return file_remove_tree_at(placed->parent_fd, placed->leaf, err);
}

static int take_out(const struct placed *placed, int aside_fd, struct err *err)
{
	struct stat st;

	if (fstat(placed->parent_fd, &st) < 0)
		return err_os(err, "stat the directory of %s", placed->leaf);
	if (empty_place(placed, err) < 0)
		return -1;
	if (placed->aside[0] &&
	    renameat(aside_fd, placed->aside, placed->parent_fd, placed->leaf) < 0 &&
	    (errno != ENOENT || st.st_nlink > 0))
		return err_os(err, "put %s back", placed->leaf);
	set_time(placed->parent_fd, &st.st_mtim);
	return 0;
}

int places_take_out(struct places *places, int aside_fd, struct err *err)
{
	struct err later = ERR_INIT;
	int status = 0;

	while (places->n > 0) {
		struct placed *placed = &places->v[--places->n];

		if (take_out(placed, aside_fd, status < 0 ? &later : err) < 0)
			status = -1;
		close(placed->parent_fd);
		free(placed->leaf);
	}
	free(steal_pointer(&places->v));
	places->cap = 0;
	return status;
}
