/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the assembly to files, for what is mounted and thrown away: one copy and no tar. Entries
 * come in canonical order, so a directory is there before what is in it; it gets its mode and its
 * time when all else is made. The directory is ours alone and a parent is always a directory, so
 * paths lead nowhere else.
 */
#include "builder/selection.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/assembly.h"

static void times_of(const struct out *out, struct timespec times[2])
{
	times[0] = times[1] = (struct timespec){ .tv_sec = out->mtime };
}

/* Owner before mode and capabilities: a change of owner takes those away. */
static int dress(const struct out *out, int fd, struct err *err)
{
	cleanup_free struct xattr *xattrs = NULL;
	struct timespec times[2];
	size_t n;

	times_of(out, times);
	if (fchown(fd, out->uid, out->gid) < 0 || fchmod(fd, out->mode) < 0)
		return err_os(err, "set the owner of /%s", out->path);
	xattrs_unpack(out->xattrs, &xattrs, &n);
	for (size_t i = 0; i < n; i++)
		if (fsetxattr(fd, xattrs[i].name, xattrs[i].value, xattrs[i].len, 0) < 0)
			return err_os(err, "set the attribute %s of /%s", xattrs[i].name,
				      out->path);
	if (futimens(fd, times) < 0)
		return err_os(err, "set the time of /%s", out->path);
	return 0;
}

static int make_file(const struct writing *writing, const struct out *out, struct err *err)
{
	cleanup_fd int to = openat(writing->dir_fd, out->path,
				   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	cleanup_fd int from = -1;

	if (to < 0)
		return err_os(err, "make /%s", out->path);
	if (out->size && (node_open(writing->source, out->node, &from, err) < 0 ||
			  file_copy(from, to, out->size, writing->source->cancel, err) < 0 ||
			  node_check(writing->source, out->node, from, err) < 0))
		return -1;
	return dress(out, to, err);
}

static int make_special(const struct writing *writing, const struct out *out, struct err *err)
{
	mode_t type = out->type == ENTRY_FIFO	? S_IFIFO
		      : out->type == ENTRY_CHAR ? S_IFCHR
						: S_IFBLK;
	struct timespec times[2];

	times_of(out, times);
	if (mknodat(writing->dir_fd, out->path, type | 0600,
		    makedev(out->dev_major, out->dev_minor)) < 0 ||
	    fchownat(writing->dir_fd, out->path, out->uid, out->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(writing->dir_fd, out->path, out->mode, 0) < 0 ||
	    utimensat(writing->dir_fd, out->path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(err, "make /%s", out->path);
	return 0;
}

static int make_link(const struct writing *writing, const struct out *out, struct err *err)
{
	struct timespec times[2];

	times_of(out, times);
	if (symlinkat(out->link, writing->dir_fd, out->path) < 0 ||
	    fchownat(writing->dir_fd, out->path, out->uid, out->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(writing->dir_fd, out->path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(err, "make the link /%s", out->path);
	return 0;
}

static int make_entry(const struct writing *writing, const struct out *out, const char **firsts,
		      struct err *err)
{
	if (out->group && firsts[out->group]) {
		if (linkat(writing->dir_fd, firsts[out->group], writing->dir_fd, out->path, 0) < 0)
			return err_os(err, "make the link /%s", out->path);
		return 0;
	}
	if (out->group)
		firsts[out->group] = out->path;
	switch (out->type) {
	case ENTRY_DIRECTORY:
		if (*out->path && mkdirat(writing->dir_fd, out->path, 0700) < 0)
			return err_os(err, "make /%s", out->path);
		return 0;
	case ENTRY_SYMLINK:
		return make_link(writing, out, err);
	case ENTRY_FILE:
		return make_file(writing, out, err);
	default:
		return make_special(writing, out, err);
	}
}

static int dress_directory(const struct writing *writing, const struct out *out, struct err *err)
{
	cleanup_fd int fd = openat(writing->dir_fd, *out->path ? out->path : ".",
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_os(err, "open /%s", out->path);
	return dress(out, fd, err);
}

int copy_write_tree(struct writing *writing, struct err *err)
{
	cleanup_free const char **firsts = xcalloc(writing->n_groups + 1, sizeof(*firsts));

	cleanup_free struct out **outs = NULL;

	copy_sort(writing);
	outs = writing->outs;
	for (size_t i = 0; i < writing->n_outs; i++)
		if (make_entry(writing, outs[i], firsts, err) < 0)
			return -1;
	for (size_t i = writing->n_outs; i-- > 0;) {
		const struct out *out = outs[i];

		if (out->type == ENTRY_DIRECTORY && dress_directory(writing, out, err) < 0)
			return -1;
	}
	return 0;
}
