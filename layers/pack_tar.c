/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layers/pack_tar.c: directories that are no layers: as a tar, and how large they are. */
#include "layers/layer.h"

#include <fcntl.h>

#include "base/err.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/sink.h"
#include "layers/internal.h"

DEFINE_CLEANUP(struct tar_writer *, tar_writer_free)

static int pack_item(struct walk *walk, const struct walk_item *item, struct tar_writer *tar,
		     struct err *err)
{
	cleanup_fd int fd = -1;

	if (item->kind == WALK_DIRECTORY)
		return walk_write(walk, item, item->fd, tar, err);
	if (S_ISREG(item->stat.st_mode)) {
		fd = walk_open_file(item, err);
		if (fd < 0)
			return -1;
	}
	return walk_write(walk, item, fd, tar, err);
}

static int pack_all(int dir_fd, tar_wanted *wanted, void *arg, struct tar_writer *tar,
		    struct err *err)
{
	cleanup_with(walk_free) struct walk *walk = walk_new(dir_fd, overlay_opaque_name(), false);
	struct walk_item item;
	int more;

	while ((more = walk_next(walk, &item, err)) > 0) {
		if (item.kind == WALK_LEAVE || item.kind == WALK_WHITEOUT ||
		    S_ISSOCK(item.stat.st_mode) || !*item.path || !wanted(arg, item.path))
			continue;
		if (pack_item(walk, &item, tar, err) < 0)
			return -1;
	}
	return more < 0 ? -1 : tar_writer_end(tar, err);
}

int tar_pack(int dir_fd, tar_wanted *wanted, void *arg, enum compression compression, int fd,
	     struct err *err)
{
	cleanup_with(compressor_free) struct compressor *compressor = NULL;
	cleanup_with(tar_writer_free) struct tar_writer *tar = NULL;
	struct sink_fd out;

	sink_fd_init(&out, fd);
	compressor = compressor_new(compression, pool_processors(), &out.sink);
	tar = tar_writer_new(compressor_sink(compressor));
	if (pack_all(dir_fd, wanted, arg, tar, err) < 0)
		return -1;
	return sink_finish(compressor_sink(compressor), err);
}

uint64_t dir_usage(int dir_fd)
{
	cleanup_with(walk_free) struct walk *walk = walk_new(dir_fd, overlay_opaque_name(), false);
	struct err ignored = ERR_INIT;
	struct walk_item item;
	uint64_t bytes = 0;

	while (walk_next(walk, &item, &ignored) > 0)
		if (item.kind != WALK_LEAVE) /* of several names each has its share */
			bytes += (uint64_t)item.stat.st_blocks * 512 /
				 (item.kind == WALK_DIRECTORY || !item.stat.st_nlink
					  ? 1
					  : item.stat.st_nlink);
	return bytes;
}
