/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * WORKDIR: the directory becomes the working directory and is made where it is missing, each new
 * part with USER's owner and mode 0755; what a dangling link names is made, too. Existing ones are
 * not touched, and then there is no layer.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/assembly.h"
#include "builder/schedule.h"
#include "builder/selection.h"

DEFINE_CLEANUP(struct arena *, arena_free)

/* The layer of `path` and what is missing above it. */
static int write_layer(struct store *store, struct assembly *assembly, const char *path,
		       struct layer *ret_layer, struct err *err)
{
	cleanup_with(layer_writer_free) struct layer_writer *writer = NULL;
	struct writing writing = { .assembly = assembly, .scratch_fd = -1 };
	char made[ASSEMBLY_PATH_MAX];

	if (assembly_mkdirs(assembly, path, made, err) < 0 ||
	    layer_writer_open(store, &writer, err) < 0)
		return -1;
	writing.tar = layer_writer_tar(writer);
	if (copy_write(&writing, err) < 0)
		return -1;
	return layer_writer_commit(writer, ret_layer, err);
}

/* Without a group a user who is a number has the group of that number, as in --chown. */
static int make_in(struct root *root, struct store *store, struct assembly *assembly,
		   const char *user, const char *path, struct layer *ret_layer, struct err *err)
{
	char real[ASSEMBLY_PATH_MAX];
	enum assembly_kind kind;

	if (assembly_resolve(assembly, path, real, &kind, err) < 0)
		return -1;
	if (kind == ASSEMBLY_DIRECTORY) {
		ret_layer->empty = true;
		return 0;
	}
	if (*user &&
	    owner_resolve(root, user, false, &assembly->new_uid, &assembly->new_gid, err) < 0)
		return -1;
	return write_layer(store, assembly, path, ret_layer, err);
}

static int make(struct builder *builder, struct stage *stage, const char *path,
		struct step_record *record, struct err *err)
{
	struct store *store = builder->options->store;
	cleanup_with(arena_free) struct arena *arena = arena_new();
	struct assembly assembly;
	struct root *root;
	int status;

	if (stage_require_root(stage, stage->image, err) < 0 ||
	    stage_root(builder, stage, &root, err) < 0)
		return -1;
	assembly_init(&assembly, arena, root);
	assembly.now = record->created / 1000000000;
	status = make_in(root, store, &assembly, stage->image->user, path, &record->layer, err);
	assembly_release(&assembly);
	return status;
}

int step_workdir(struct builder *builder, struct stage *stage,
		 const struct instruction *instruction, struct err *err)
{
	cleanup_free char *word = NULL, *path = NULL, *created_by = NULL;
	struct step_record record = { 0 };
	cleanup_key struct key key = { 0 };
	struct err why = ERR_INIT;
	struct digest digest;
	bool known;

	stage_begin(stage, instruction->text);
	if (scope_expand(builder->dockerfile, &stage->env, &instruction->args[0], &word, err) < 0)
		return -1;
	path = stage_path(stage, word, false); /* a blank one changes nothing */
	created_by = xasprintf("WORKDIR %s", path);
	key_init(&key, "workdir");
	key_add_digest(&key, "parent", &stage->key);
	key_add(&key, "path", path);
	key_add(&key, "user", stage->image->user);
	key_finish(&key, &digest);
	if (stage_claim(stage, &digest, &known, &record, err) < 0)
		return -1;
	if (!known)
		explain_miss(stage, &key, &digest, NULL, 0);
	if (!known && !builder->planning) {
		if (schedule_work(builder->schedule, err) < 0)
			return -1;
		record.key = digest;
		record.created = clock_wall_ns();
		if (make(builder, stage, path, &record, &why) < 0)
			return dockerfile_error(builder->dockerfile, instruction->range, why.kind,
						err, "%s", why.message);
		record.wall_ns = clock_monotonic_ns() - stage->began;
		if (cache_put(builder->options->store, &digest, &record, key.parts, err) < 0)
			return -1;
	}
	free(stage->image->working_dir);
	stage->image->working_dir = steal_pointer(&path);
	if (record.layer.empty)
		record.created = stage->created;
	stage_add_result(stage, &record, &digest, created_by);
	stage_finish(stage, known, &record);
	return 0;
}
