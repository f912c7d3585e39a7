/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The digest of a RUN's layer is computed while the next steps run: they need its directory, and
 * the key of the step, and neither depends on what the layer is called.
 *
 * 1. What is deferred is one thread. It computes the digest, gives the directory its name, writes
 *    the step's record and releases the lock of its key: a record is there when the layer is, and
 *    a build that is killed during a later step has lost nothing that was done.
 * 2. The name changes where the directory is. So it is given with stage->placing held, and the
 *    stage holds that while a root is prepared and mounted, and looks first what has got its name.
 * 3. Until then the image has a zero for the layer. stage_collect() waits for all; after it, none.
 */
#include "builder/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/pool.h"

#define DEFERRED_MAX 8 /* of one stage; the oldest is waited for then */

struct deferred {
	struct stage *stage;
	struct snapshot *snapshot;
	struct step_record record;
	struct digest key;
	json_t *parts;
	int lock_fd;  /* of the key */
	size_t layer; /* of the image, and of the stage's root */
	struct range where;
	struct pool *thread;
	bool named; /* guarded by stage->placing; then, the layer in record is */
	bool taken; /* the stage knows */
	int status; /* when the thread has ended */
	struct err err;
};

static int name_layer(struct deferred *deferred)
{
	struct stage *stage = deferred->stage;
	struct store *store = stage->builder->options->store;
	struct layer *layer = &deferred->record.layer;
	int status;

	if (snapshot_digest(deferred->snapshot, layer, &deferred->err) < 0)
		return -1;
	pthread_mutex_lock(&stage->placing);
	status = snapshot_name(deferred->snapshot, layer, &deferred->err);
	deferred->named = status == 0;
	pthread_mutex_unlock(&stage->placing);
	if (status < 0)
		return -1;
	return cache_put(store, &deferred->key, &deferred->record, deferred->parts, &deferred->err);
}

static void run(void *arg)
{
	struct deferred *deferred = arg;

	deferred->status = name_layer(deferred);
	store_unlock(&deferred->lock_fd);
	snapshot_tidy(deferred->snapshot);
}

/* Lock held. */
static void take_names(struct stage *stage)
{
	for (size_t i = 0; i < stage->n_deferred; i++) {
		struct deferred *deferred = stage->deferred[i];

		if (!deferred->named || deferred->taken)
			continue;
		deferred->taken = true;
		stage->image->diff_ids[deferred->layer] = deferred->record.layer.diff_id;
		root_name(stage->root, deferred->layer, &deferred->record.layer.diff_id);
	}
}

void stage_begin_mount(struct stage *stage)
{
	pthread_mutex_lock(&stage->placing);
	take_names(stage);
}

void stage_end_mount(struct stage *stage)
{
	pthread_mutex_unlock(&stage->placing);
}

static int wait_for(struct deferred *deferred, struct err *err)
{
	if (!deferred->thread)
		return deferred->status;
	pool_close(steal_pointer(&deferred->thread));
	if (deferred->status < 0)
		dockerfile_error(deferred->stage->builder->dockerfile, deferred->where,
				 deferred->err.kind, err, "%s", deferred->err.message);
	return deferred->status;
}

static void deferred_free(struct deferred *deferred)
{
	store_unlock(&deferred->lock_fd);
	snapshot_free(deferred->snapshot);
	json_decref(deferred->parts);
	free(deferred);
}

int stage_collect(struct stage *stage, struct err *err)
{
	struct err later = ERR_INIT;
	int status = 0;

	for (size_t i = 0; i < stage->n_deferred; i++)
		if (wait_for(stage->deferred[i], status < 0 ? &later : err) < 0)
			status = -1;
	stage_begin_mount(stage);
	stage_end_mount(stage);
	for (size_t i = 0; i < stage->n_deferred; i++)
		deferred_free(stage->deferred[i]);
	free(steal_pointer(&stage->deferred));
	stage->n_deferred = stage->cap_deferred = 0;
	return status;
}

int stage_defer(struct stage *stage, struct snapshot **snapshot, const struct digest *key,
		struct key *parts, struct range where, struct step_record *record, struct err *err)
{
	struct deferred *deferred;
	struct root *root;

	if (stage->n_deferred >= DEFERRED_MAX &&
	    wait_for(stage->deferred[stage->n_deferred - DEFERRED_MAX], err) < 0)
		return -1;
	if (stage_root(stage->builder, stage, &root, err) < 0 ||
	    snapshot_push(*snapshot, root, err) < 0)
		return -1;
	deferred = xcalloc(1, sizeof(*deferred));
	*deferred = (struct deferred){
		.stage = stage,
		.snapshot = steal_pointer(snapshot),
		.record = *record,
		.key = *key,
		.parts = steal_pointer(&parts->parts),
		.lock_fd = stage->lock_fd,
		.layer = stage->image->n_layers, /* that stage_add_result() adds */
		.where = where,
	};
	stage->lock_fd = -1;
	stage->deferred = grow_vector(stage->deferred, stage->n_deferred, &stage->cap_deferred,
				      sizeof(*stage->deferred));
	stage->deferred[stage->n_deferred++] = deferred;
	deferred->thread = pool_open(1, run, deferred);
	if (!pool_size(deferred->thread))
		run(deferred);
	return 0;
}
