/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mount points that an image lacks, as an extra lower above its layers: above, since there no
 * opaque directory and no whiteout hides them.
 *
 * 1. Overlay takes a directory's attributes from the topmost layer, so each directory on the way
 *    to a point is dressed as the merged one is; one that is not there yet is root's, 0755, with
 *    time 0, as a copy-up carries it into the layer of the step.
 * 2. Everything is made in a directory of our own that nobody else writes to, by paths whose links
 *    were resolved before: there are none in it.
 */
#include "layers/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/internal.h"
#include "layers/store.h"

struct points {
	struct root *root;
	struct snapshot *snapshot;
	int fd; /* points/, -1 until something is needed */
	char *path;
	char **places; /* resolved; what is below one lies in another mount */
	size_t n_places;
};

/* --- where a point is ------------------------------------------------------------------------- */

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

static bool is_in_mount(const struct points *points, const char *path)
{
	static const char *const own[] = { "dev", "proc", "sys" };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!strcmp(path, own[i]) || is_below(path, own[i]))
			return true;
	for (size_t i = 0; i < points->n_places; i++)
		if (!strcmp(path, points->places[i]) || is_below(path, points->places[i]))
			return true;
	return false;
}

static int join(char at[ROOT_PATH_MAX], const char *name, size_t len, struct err *err)
{
	size_t end = strlen(at);

	if (end + 1 + len >= ROOT_PATH_MAX)
		return err_set(err, ERR_LIMIT, "%.100s...: path too long", at);
	if (end)
		at[end++] = '/';
	memcpy(at + end, name, len);
	at[end + len] = '\0';
	return 0;
}

/*
 * Follow path as far as there is something. `at` is what it comes to, relative; *ret_exists says
 * whether all of it is there. What a link that leads nowhere names may be made, too.
 */
static int resolve(struct root *root, const char *path, char at[ROOT_PATH_MAX], bool *ret_exists,
		   struct err *err)
{
	cleanup_free struct root_entry *entry = xcalloc(1, sizeof(*entry));

	at[0] = '\0';
	*ret_exists = true;
	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");
		struct err why = ERR_INIT;

		if (join(at, path, len, err) < 0)
			return -1;
		path += len;
		if (!*ret_exists)
			continue;
		if (root_lookup(root, at, true, entry, &why) < 0) {
			if (why.kind != ERR_NOT_FOUND || !*entry->path) {
				*err = why;
				return -1;
			}
			*ret_exists = false;
		}
		memcpy(at, entry->path, sizeof(entry->path));
	}
	return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

static int open_points(struct points *points, struct err *err)
{
	if (points->fd >= 0)
		return 0;
	return scratch_make(points->snapshot->scratch, "points", &points->path, &points->fd, err);
}

/* Directories get their time when all is in them: so a second pass, over what was made. */
static int dress(struct points *points, const char *path, struct err *err)
{
	static const struct timespec epoch[2];
	cleanup_free struct root_entry *entry = xcalloc(1, sizeof(*entry));
	struct root_found found;
	struct err why = ERR_INIT;
	cleanup_fd int fd = openat(points->fd, *path ? path : ".",
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_os(err, "open the mount point /%s", path);
	if (root_find(points->root, *path ? path : "/", false, entry, &found, &why) == 0)
		return root_dress(points->root, path, &found, fd, err);
	if (why.kind != ERR_NOT_FOUND) {
		*err = why;
		return -1;
	}
	if (fchmod(fd, 0755) < 0 || futimens(fd, epoch) < 0)
		return err_os(err, "make the mount point /%s", path);
	return 0;
}

static int make_leaf(struct points *points, const char *path, bool is_dir, struct err *err)
{
	static const struct timespec epoch[2];
	cleanup_fd int fd = -1;

	if (is_dir) {
		if (mkdirat(points->fd, path, 0755) < 0 && errno != EEXIST)
			return err_os(err, "make the mount point /%s", path);
		return 0;
	}
	fd = openat(points->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0 || futimens(fd, epoch) < 0)
		return err_os(err, "make the mount point /%s", path);
	return 0;
}

static int make_point(struct points *points, const char *path, bool is_dir, struct err *err)
{
	cleanup_free char *part = xstrdup(path);

	if (open_points(points, err) < 0)
		return -1;
	for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (make_leaf(points, part, true, err) < 0)
			return -1;
		*slash = '/';
	}
	return make_leaf(points, path, is_dir, err);
}

/* path and the directories above it, from the bottom up. */
static int dress_way(struct points *points, const char *path, bool is_dir, struct err *err)
{
	cleanup_free char *part = xstrdup(path);

	if (is_dir && dress(points, part, err) < 0)
		return -1;
	for (char *slash = strrchr(part, '/'); slash; slash = strrchr(part, '/')) {
		*slash = '\0';
		if (dress(points, part, err) < 0)
			return -1;
	}
	return dress(points, "", err);
}

/* -------------------------------------------------------------------------------------------- */

struct made {
	char *path;
	bool is_dir;
};

static int add_points(struct points *points, const struct snapshot_point *wanted, size_t n,
		      struct made *made, size_t *n_made, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_free char *at = xmalloc(ROOT_PATH_MAX);
		bool exists;

		if (resolve(points->root, wanted[i].path, at, &exists, err) < 0)
			return -1;
		if (is_in_mount(points, at))
			continue;
		if (!exists) {
			if (make_point(points, at, wanted[i].is_dir, err) < 0)
				return -1;
			made[*n_made] = (struct made){ xstrdup(at), wanted[i].is_dir };
			++*n_made;
		}
		points->places[points->n_places++] = steal_pointer(&at);
	}
	for (size_t i = 0; i < *n_made; i++)
		if (dress_way(points, made[i].path, made[i].is_dir, err) < 0)
			return -1;
	return 0;
}

static void add_on_top(struct snapshot *snapshot, char *path)
{
	snapshot->lowers =
		xreallocarray(snapshot->lowers, snapshot->n_lowers + 1, sizeof(*snapshot->lowers));
	memmove(snapshot->lowers + 1, snapshot->lowers,
		snapshot->n_lowers * sizeof(*snapshot->lowers));
	snapshot->lowers[0] = path;
	snapshot->n_lowers++;
}

int snapshot_add_points(struct snapshot *snapshot, struct root *root,
			const struct snapshot_point *wanted, size_t n, struct err *err)
{
	struct points points = { .root = root, .snapshot = snapshot, .fd = -1 };
	cleanup_free struct made *made = xcalloc(n + 1, sizeof(*made));
	size_t n_made = 0;
	int status;

	points.places = xcalloc(n + 1, sizeof(*points.places));
	status = add_points(&points, wanted, n, made, &n_made, err);
	for (size_t i = 0; i < n_made; i++)
		free(made[i].path);
	for (size_t i = 0; i < points.n_places; i++)
		free(points.places[i]);
	free(points.places);
	if (points.fd >= 0)
		close(points.fd);
	if (status < 0)
		free(points.path);
	else if (points.path)
		add_on_top(snapshot, points.path);
	return status;
}
