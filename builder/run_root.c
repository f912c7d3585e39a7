/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of some layers as a directory: an overlay over their trees, or a copy of them. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/mount.h"
#include "layers/store.h"
#include "sandbox/sandbox.h"

static int mount_snapshot(const struct snapshot *snapshot, bool with_stubs, int *ret_fd,
			  struct err *err)
{
	const struct overlay overlay = {
		.dir_fd = store_fd(snapshot->store),
		.lowers = (const char *const *)snapshot->lowers,
		.n_lowers = snapshot->n_lowers,
		.upper = snapshot->upper,
		.work = snapshot->work,
	};

	return overlay_mount(&overlay, with_stubs, ret_fd, err);
}

static int open_snapshot(const struct snapshot *snapshot, int *ret_fd, struct err *err)
{
	int fd = openat(store_fd(snapshot->store), snapshot->upper,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_os(err, "open %s", snapshot->upper);
	*ret_fd = fd;
	return 0;
}

int root_open_files(struct store *store, struct root *root, bool writable,
		    struct snapshot **ret_snapshot, int *ret_fd, struct err *err)
{
	cleanup_with(snapshot_free) struct snapshot *snapshot = NULL;
	bool copied = store_has_flat_trees(store);

	if (copied ? snapshot_copy(root, &snapshot, err) < 0 ||
			     open_snapshot(snapshot, ret_fd, err) < 0
		   : snapshot_prepare(root, writable, &snapshot, err) < 0 ||
			     mount_snapshot(snapshot, false, ret_fd, err) < 0)
		return -1;
	*ret_snapshot = steal_pointer(&snapshot);
	return 0;
}

/* Take the copy that an earlier step left, or make one. */
static int copy_root(struct root *root, struct snapshot **snapshot, struct err *err)
{
	return *snapshot ? snapshot_renew(*snapshot, err) : snapshot_copy(root, snapshot, err);
}

int run_root_open(struct root *root, enum build_isolation isolation,
		  const struct step_mounts *mounts, struct snapshot **snapshot, int *ret_fd,
		  struct err *err)
{
	if (isolation == BUILD_ISOLATION_CHROOT)
		return copy_root(root, snapshot, err) < 0 ? -1
							  : open_snapshot(*snapshot, ret_fd, err);
	if (snapshot_prepare(root, true, snapshot, err) < 0 ||
	    (mounts && step_mounts_add_points(mounts, *snapshot, root, err) < 0))
		return -1;
	return mount_snapshot(*snapshot, true, ret_fd, err);
}
