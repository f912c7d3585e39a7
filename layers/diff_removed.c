/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a merged directory has and a directory that began as its copy has not any more. */
#include "layers/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/strv.h"
#include "layers/layer.h"

struct removed {
	struct root *lower;
	const struct root_dir *in;
	const struct walk_item *item;
	struct strv *names;
};

/* A name of one layer: whether it is in the merged directory, which other layers decide as well. */
static int take_name(struct removed *removed, const char *name, struct err *err)
{
	const struct walk_item *item = removed->item;
	cleanup_free char *path = xasprintf("%s%s%s", item->path, *item->path ? "/" : "", name);
	struct root_found found;
	struct stat st;

	if (fstatat(item->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return err_os(err, "stat /%s", path);
	if (root_step(removed->lower, removed->in, path, &found, NULL, err) < 0)
		return -1;
	if (found.kind != ROOT_ABSENT)
		strv_add(removed->names, path);
	return 0;
}

static int take_names(struct removed *removed, size_t layer, struct err *err)
{
	int fd = root_open_in(removed->lower, layer, removed->item->path, err), bad = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		file_close_at(&fd);
		return -1;
	}
	while (!bad && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
		    strcmp(entry->d_name, TAR_OPAQUE))
			bad = take_name(removed, entry->d_name, err);
	closedir(dir);
	return bad;
}

int diff_removed(struct root *lower, const struct root_dir *in, const struct walk_item *item,
		 struct strv *names, struct err *err)
{
	struct removed removed = { lower, in, item, names };
	size_t n = 0;

	for (size_t i = 0; i < in->n; i++)
		if (take_names(&removed, in->layers[i], err) < 0)
			return err_wrap(err, "/%s", item->path);
	strv_sort_in_place(names);
	for (size_t i = 0; i < names->n; i++) { /* once, however many layers have it */
		if (n && !strcmp(names->v[n - 1], names->v[i]))
			free(names->v[i]);
		else
			names->v[n++] = names->v[i];
	}
	names->n = n;
	return 0;
}
