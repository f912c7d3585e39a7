/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAYERS_FLAT_BOX_H
#define TESTS_LAYERS_FLAT_BOX_H

/* tests/layers/flat_box.h: the box of store_box.h with flat trees, and two layers to put in it. */

#include "tests/layers/store_box.h"

static inline int flat_setup_in(const char *dir, void **state)
{
	if (box_setup_in(dir, state) < 0)
		return -1;
	store_use_flat_trees(((struct box *)*state)->store);
	return 0;
}

static inline int flat_setup(void **state)
{
	return flat_setup_in("/tmp", state);
}

static inline void make_layers(struct box *box, struct digest ids[2])
{
	struct tar_header header = tar_member("s", '2');
	TAR_BUF(tar);

	tar_put_file(&tar, "keep", "k");
	tar_put_file(&tar, "gone", "g");
	tar_put_file(&tar, "d/a", "a");
	tar_put_file(&tar, "d/b", "b");
	tar_put_file(&tar, "o/old", "old");
	tar_put_file(&tar, "t/file", "t");
	snprintf(header.link, sizeof(header.link), "keep");
	tar_put(&tar, header);
	ids[0] = box_unpack(box, &tar);
	tar_put_file(&tar, ".wh.gone", "");
	tar_put_file(&tar, "d/.wh.a", "");
	tar_put_file(&tar, "o/.wh..wh..opq", "");
	tar_put_file(&tar, "o/new", "new");
	tar_put_file(&tar, "t", "a file now");
	ids[1] = box_unpack(box, &tar);
}

/* A copy of these layers; *ret_fd is the directory. */
static inline struct snapshot *copy_root(struct box *box, const struct digest *ids, size_t n,
					 int *ret_fd)
{
	struct err err = ERR_INIT;
	struct snapshot *snapshot;

	assert_true(box->n_roots < 16);
	assert_ok(root_open(box->store, ids, n, &box->roots[box->n_roots], &err));
	assert_ok(snapshot_copy(box->roots[box->n_roots++], &snapshot, &err));
	*ret_fd = openat(store_fd(box->store), snapshot->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(*ret_fd >= 0);
	return snapshot;
}

#endif
