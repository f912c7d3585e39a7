/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees on demand, several at once, each unpacked by a process of its own.
 *  1. The lock "tree-XX" is held while a tree is made: who finds it taken lets the other process
 *     do the work. XX is the first byte of the diff_id: lock files stay for ever, so their names
 *     are few, and two layers that share one are unpacked one after the other.
 *  2. Nobody waits for such a lock while holding one, so nobody waits for ever.
 *  3. After a failure the others are ended: their trees have no names, and go with the scratch.
 */
#include "layers/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
#include "layers/internal.h"
#include "layers/store.h"

struct work {
	struct store *store;
	const struct digest *diff_id;
	struct scratch *scratch;
	struct unpack unpack;
	struct child child;
	char what[DIGEST_TEXT_MAX];
	int blob_fd, tree_fd, lock_fd;
	bool running, deferred;
};

static void work_release(struct work *work)
{
	file_close_at(&work->blob_fd);
	file_close_at(&work->tree_fd);
	file_close_at(&work->lock_fd);
	work->blob_fd = work->tree_fd = work->lock_fd = -1;
	scratch_free(work->scratch);
	work->scratch = NULL;
}

/* *ret_taken: somebody makes this tree, or another one of the same name. */
static int lock_tree(struct work *work, bool wait, bool *ret_taken, struct err *err)
{
	char name[16];

	snprintf(name, sizeof(name), "tree-%02x", work->diff_id->bytes[0]);
	if (wait ? store_wait_lock(work->store, name, true, &work->lock_fd, err) < 0
		 : store_lock(work->store, name, true, true, &work->lock_fd, err) < 0)
		return -1;
	*ret_taken = work->lock_fd < 0;
	return 0;
}

/* The store's limit, or what the blob can honestly grow to. */
static uint64_t most_bytes(const struct store *store, uint64_t blob_size)
{
	uint64_t limit = unpack_limit(blob_size), wanted = store_layer_max(store);

	return wanted && wanted < limit ? wanted : limit;
}

/* A layer whose only form is a tree in the other notation becomes a tar first. */
static int find_tar(struct work *work, struct descriptor *ret_blob, struct err *err)
{
	if (layer_find_blob(work->store, work->diff_id, ret_blob, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND || !tree_exists_somehow(work->store, work->diff_id))
		return -1;
	err_clear(err);
	return layer_blob(work->store, work->diff_id, COMPRESSION_NONE, ret_blob, err);
}

static int start(struct work *work, struct err *err)
{
	struct descriptor blob;

	if (find_tar(work, &blob, err) < 0 ||
	    blob_open(work->store, &blob.digest, &work->blob_fd, NULL, err) < 0 ||
	    scratch_open(work->store, &work->scratch, err) < 0)
		return -1;
	if (mkdirat(work->scratch->dir_fd, "tree", 0700) < 0)
		return err_os(err, "make a directory for the layer");
	work->tree_fd = openat(work->scratch->dir_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (work->tree_fd < 0)
		return err_os(err, "open the directory of the layer");
	work->unpack = (struct unpack){
		.tar_fd = work->blob_fd,
		.what = digest_format(work->diff_id, work->what),
		.max_bytes = most_bytes(work->store, blob.size),
		.want_diff_id = work->diff_id,
		.opaque_name = tree_opaque_name(work->store),
		.record = tree_owner_record(work->store),
		.dir_fd = work->tree_fd,
	};
	if (child_start(&work->child, unpack_run, &work->unpack, 0, err) < 0)
		return -1;
	work->running = true;
	return 0;
}

static int finish(struct work *work, struct err *err)
{
	char text[DIGEST_TEXT_MAX], dir[SCRATCH_PATH_MAX + 8];
	unsigned char none;

	work->running = false;
	if (child_wait(&work->child, &none, 0, err) < 0)
		return err_wrap(err, "unpack layer %s", digest_format(work->diff_id, text));
	snprintf(dir, sizeof(dir), "%s/tree", work->scratch->path);
	return tree_publish(work->store, dir, work->diff_id, err);
}

/* The first of the running ones (there is one) that has something to say. */
static int wait_for_one(struct work *works, size_t n, struct work **ret_work, struct err *err)
{
	cleanup_free struct pollfd *polls = xcalloc(n + 1, sizeof(*polls));
	const struct cancel *cancel = store_cancel(works[0].store);

	for (size_t i = 0; i < n; i++)
		polls[i] = (struct pollfd){
			.fd = works[i].running ? works[i].child.pipe_fd : -1,
			.events = POLLIN,
		};
	polls[n] = (struct pollfd){ .fd = cancel_fd(cancel), .events = POLLIN };
	for (;;) {
		if (poll(polls, n + 1, -1) < 0 && errno != EINTR)
			return err_os(err, "wait for layers");
		if (cancel_check(cancel, err) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (works[i].running && polls[i].revents) {
				*ret_work = &works[i];
				return 0;
			}
	}
}

struct crew {
	struct work *works;
	size_t n;
	size_t running;
	layer_progress *on_layer;
	void *arg;
};

static void tell(const struct crew *crew, const struct work *work, bool done)
{
	if (crew->on_layer)
		crew->on_layer(crew->arg, work->diff_id, done);
}

/* Begin one, unless it is there by now. */
static int begin(struct crew *crew, struct work *work, bool wait, struct err *err)
{
	bool taken;

	if (lock_tree(work, wait, &taken, err) < 0)
		return -1;
	work->deferred = taken;
	if (taken)
		return 0;
	if (tree_exists(work->store, work->diff_id)) {
		work_release(work);
		return 0;
	}
	tell(crew, work, false);
	if (start(work, err) < 0)
		return -1;
	crew->running++;
	return 0;
}

static int end_one(struct crew *crew, struct err *err)
{
	struct work *work = NULL;
	int bad;

	if (wait_for_one(crew->works, crew->n, &work, err) < 0)
		return -1;
	bad = finish(work, err);
	crew->running--;
	work_release(work);
	if (!bad)
		tell(crew, work, true);
	return bad;
}

static int run_crew(struct crew *crew, unsigned jobs, struct err *err)
{
	for (size_t i = 0; i < crew->n; i++) {
		while (crew->running >= jobs)
			if (end_one(crew, err) < 0)
				return -1;
		if (begin(crew, &crew->works[i], false, err) < 0)
			return -1;
	}
	while (crew->running > 0)
		if (end_one(crew, err) < 0)
			return -1;
	for (size_t i = 0; i < crew->n; i++) {
		if (!crew->works[i].deferred)
			continue;
		if (begin(crew, &crew->works[i], true, err) < 0 ||
		    (crew->running > 0 && end_one(crew, err) < 0))
			return -1;
	}
	return 0;
}

static bool is_listed(const struct work *works, size_t n, const struct digest *diff_id)
{
	for (size_t i = 0; i < n; i++)
		if (digest_equal(works[i].diff_id, diff_id))
			return true;
	return false;
}

int layer_require_trees(struct store *store, const struct digest *diff_ids, size_t n, unsigned jobs,
			layer_progress *on_layer, void *arg, struct err *err)
{
	struct crew crew = { .on_layer = on_layer, .arg = arg };
	int bad;

	crew.works = xcalloc(n + 1, sizeof(*crew.works));
	for (size_t i = 0; i < n; i++) {
		if (tree_exists(store, &diff_ids[i]) || is_listed(crew.works, crew.n, &diff_ids[i]))
			continue;
		crew.works[crew.n++] = (struct work){
			.store = store,
			.diff_id = &diff_ids[i],
			.blob_fd = -1,
			.tree_fd = -1,
			.lock_fd = -1,
		};
	}
	bad = run_crew(&crew, jobs ? jobs : 1, err);
	for (size_t i = 0; i < crew.n; i++) {
		if (crew.works[i].running)
			child_kill(&crew.works[i].child);
		work_release(&crew.works[i]);
	}
	free(crew.works);
	return bad;
}
