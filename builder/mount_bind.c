/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN --mount=type=bind. Whatever it reads is seen through an overlay of its own: nothing written
 * to it reaches its source, and no path of this machine shows in the sandbox's table of mounts.
 *
 * 1. From the context comes what COPY would take, through the same engine: the ignore rules hold,
 *    links stay inside, and the key has the digest of exactly the bytes that are mounted. They are
 *    copied to a directory that is thrown away with the step.
 * 2. The source path is resolved by the kernel inside the mounted root and handed on as a
 *    descriptor, so no link and no race leads out of it.
 * 3. Without namespaces both are copies that are the step's alone: the directory is moved to the
 *    target, and is thrown away with them.
 * 4. The overlay is attached, on a directory of the step's own, because only then can a part of it
 *    be bound.
 */
#include "builder/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "builder/copy.h"

#define PLACE "source" /* in the directory that the context is copied to */

bool mount_reads_tree(const struct step_mount *mount)
{
	return !mount->request.from || !mount->origin.image;
}

char *mount_pattern(const char *path)
{
	struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX * 2);
	for (const char *c = path ? path : "/"; *c; c++) {
		if (strchr("*?[]\\", *c))
			buf_addch(&text, '\\');
		buf_addch(&text, *c);
	}
	return buf_steal(&text);
}

int mount_bind_select(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	struct copy_request request = { .n_patterns = 1, .dest = "/" PLACE };
	struct hasher hasher;

	request.source = mount->origin.source; /* a named context's */
	request.from_root = mount->request.from ? mount->origin.owners
						: mounts->builder->options->context_owners;
	if (!mount->request.from && builder_context(mounts->builder, &request.source, err) < 0)
		return -1;
	mount->pattern = mount_pattern(mount->request.source);
	mount->patterns[0] = mount->pattern;
	request.patterns = mount->patterns;
	request.now = clock_wall_ns() / 1000000000;
	if (copy_open(&request, &mount->copy, NULL, err) < 0)
		return -1;
	hasher_init(&hasher);
	if (copy_add_to_key(mount->copy, &hasher, err) < 0)
		return -1;
	hasher_finish(&hasher, &mount->content);
	return 0;
}

/* --- mounting --------------------------------------------------------------------------------- */

/* A directory of the step's own: what.N in its scratch. */
static int make_dir(struct step_mounts *mounts, const struct step_mount *mount, const char *what,
		    char **ret_path, int *ret_fd, struct err *err)
{
	struct scratch *scratch;
	cleanup_free char *name = xasprintf("%s.%zu", what, (size_t)(mount - mounts->v));
	cleanup_fd int fd = -1;

	if (step_mounts_scratch(mounts, &scratch, err) < 0)
		return -1;
	if (mkdirat(scratch->dir_fd, name, 0755) < 0)
		return err_os(err, "make %s/%s", scratch->path, name);
	fd = openat(scratch->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_os(err, "open %s/%s", scratch->path, name);
	if (ret_path)
		*ret_path = xasprintf("%s/%s", scratch->path, name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int mount_context(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	cleanup_free char *tree = NULL, *upper = NULL, *work = NULL;
	cleanup_fd int tree_fd = -1, upper_fd = -1, work_fd = -1;
	struct overlay overlay = { .dir_fd = store_fd(mounts->builder->options->store) };

	if (make_dir(mounts, mount, "tree", &tree, &tree_fd, err) < 0 ||
	    copy_make_tree(mount->copy, tree_fd, err) < 0)
		return -1;
	if (step_mounts_are_moved(mounts)) {
		mount->mount_fd = steal_fd(&tree_fd);
		return 0;
	}
	if (!mount->request.read_only &&
	    (make_dir(mounts, mount, "upper", &upper, &upper_fd, err) < 0 ||
	     make_dir(mounts, mount, "work", &work, &work_fd, err) < 0))
		return -1;
	overlay.lowers = (const char *const[]){ tree };
	overlay.n_lowers = 1;
	overlay.upper = upper;
	overlay.work = work;
	return overlay_mount(&overlay, false, &mount->mount_fd, err);
}

/* So that what it means can be bound: see 4. */
static int attach(struct step_mounts *mounts, struct step_mount *mount, int mount_fd,
		  struct err *err)
{
	cleanup_fd int place = -1;

	if (step_mounts_are_moved(mounts))
		return 0;
	if (make_dir(mounts, mount, "at", NULL, &place, err) < 0 ||
	    overlay_attach(mount_fd, place, err) < 0)
		return -1;
	mount->attached = true;
	return 0;
}

static int open_source(struct step_mounts *mounts, struct step_mount *mount, int mount_fd,
		       const char *path, struct err *err)
{
	struct stat st;

	if (attach(mounts, mount, mount_fd, err) < 0)
		return -1;
	mount->source_fd = inroot_open(mount_fd, path, O_PATH, 0);
	if (mount->source_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "\"%s\" does not exist in %s", path,
			       mount->origin.what);
	if (mount->source_fd < 0 || fstat(mount->source_fd, &st) < 0)
		return err_os(err, "open \"%s\" in %s", path, mount->origin.what);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "\"%s\" is neither a file nor a directory", path);
	if (step_mounts_are_moved(mounts) && S_ISDIR(st.st_mode) &&
	    file_own_name(mount->source_fd, &mount->home_fd, mount->home_name) < 0)
		return err_os(err, "find \"%s\" in %s", path, mount->origin.what);
	return 0;
}

int mount_bind_open(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	const char *source = mount->request.source;

	if (mount_reads_tree(mount)) {
		if (!mount->request.from)
			mount->origin.what = "the build context";
		if (mount_context(mounts, mount, err) < 0)
			return -1;
		return open_source(mounts, mount, mount->mount_fd, "/" PLACE, err);
	}
	if (origin_mount(&mount->origin, !mount->request.read_only, err) < 0)
		return -1;
	return open_source(mounts, mount, mount->origin.mount_fd, source && *source ? source : "/",
			   err);
}
