/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layers/unpack_tar.c: the unpacking of layers, for a tar that is none: a build context. */
#include <sys/stat.h>

#include "base/child.h"
#include "base/err.h"
#include "layers/internal.h"
#include "layers/layer.h"
#include "layers/store.h"

#define RATIO_MAX  1100 /* no honest deflate stream grows more; zstd's are bounded elsewhere */
#define SIZE_SLACK (UINT64_C(64) * 1024 * 1024)

uint64_t unpack_limit(uint64_t size)
{
	return size > (UINT64_MAX - SIZE_SLACK) / RATIO_MAX ? UINT64_MAX
							    : size * RATIO_MAX + SIZE_SLACK;
}

int tar_unpack(struct store *store, int fd, const char *what, int dir_fd, struct err *err)
{
	struct unpack unpack = {
		.tar_fd = fd,
		.what = what,
		.opaque_name = overlay_opaque_name(),
		.record = store_records_owners(store) ? OWNER_RECORDED : OWNER_GIVEN,
		.dir_fd = dir_fd,
	};
	unsigned char none;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_os(err, "stat %s", what);
	unpack.max_bytes = unpack_limit((uint64_t)st.st_size);
	return child_call_heeding(unpack_run, &unpack, store_cancel(store), &none, 0, err);
}
