/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * WORKDIR: the directory becomes the working directory and is made where it is missing, each new
 * part with USER's owner and mode 0755. Existing ones are not touched, and then there is no layer.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

/* Write the directory `path` (relative, real) and its parents. */
static int add_directory(struct root *root, struct tar_writer *tar, const char *path, uid_t uid,
			 gid_t gid, int64_t now, struct err *err)
{
	cleanup_free char *part = xstrdup(path);
	cleanup_free struct root_entry *found = xmalloc(sizeof(*found));

	for (char *slash = part;; slash++) {
		char kept = *slash;
		struct entry entry = {
			.path = part,
			.type = ENTRY_DIRECTORY,
			.mode = 0755,
			.uid = uid,
			.gid = gid,
			.mtime = now,
		};

		if (kept && kept != '/')
			continue;
		*slash = '\0';
		if (root_lookup(root, part, true, found, err) == 0) {
			entry.mode = found->stat.st_mode & 07777;
			entry.uid = found->stat.st_uid;
			entry.gid = found->stat.st_gid;
			entry.mtime = found->stat.st_mtime;
		} else if (err->kind != ERR_NOT_FOUND) {
			return -1;
		}
		if (tar_writer_entry(tar, &entry, err) < 0)
			return -1;
		*slash = kept;
		if (!kept)
			return 0;
	}
}

/*
 * Where the first missing part of path would really be made: links among the existing parents
 * are followed. *ret_path is NULL when all of it is there.
 */
static int missing_path(struct root *root, const char *path, char **ret_path, struct err *err)
{
	cleanup_free struct root_entry *found = xmalloc(sizeof(*found));
	cleanup_free char *part = xstrdup(path + 1);

	*ret_path = NULL;
	for (char *slash = part;; slash++) {
		char kept = *slash;

		if (kept && kept != '/')
			continue;
		*slash = '\0';
		if (root_lookup(root, part, true, found, err) == 0) {
			if (!S_ISDIR(found->stat.st_mode))
				return err_set(err, ERR_INVALID, "/%s is not a directory", part);
		} else if (err->kind == ERR_NOT_FOUND && *found->path) {
			*ret_path = xasprintf("%s%s%s", found->path, kept ? "/" : "",
					      kept ? slash + 1 : "");
			return 0;
		} else {
			return -1;
		}
		*slash = kept;
		if (!kept)
			return 0;
	}
}

static int make(struct builder *builder, struct stage *stage, const char *path,
		struct step_record *record, struct err *err)
{
	struct store *store = builder->options->store;
	struct root *root;
	cleanup_with(layer_writer_free) struct layer_writer *writer = NULL;
	cleanup_free char *missing = NULL;
	unsigned uid = 0, gid = 0;

	if (stage_require_root(stage, stage->image, err) < 0 ||
	    stage_root(builder, stage, &root, err) < 0 ||
	    missing_path(root, path, &missing, err) < 0)
		return -1;
	if (!missing) {
		record->layer.empty = true;
		return 0;
	}
	if (*stage->image->user &&
	    owner_resolve(root, stage->image->user, true, &uid, &gid, err) < 0)
		return -1;
	if (layer_writer_open(store, &writer, err) < 0 ||
	    add_directory(root, layer_writer_tar(writer), missing, uid, gid,
			  record->created / 1000000000, err) < 0)
		return -1;
	return layer_writer_commit(writer, &record->layer, err);
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
	if (!*word)
		return dockerfile_error(builder->dockerfile, instruction->args[0].range,
					ERR_INVALID, err, "WORKDIR can not be blank");
	path = stage_path(stage, word, false);
	created_by = xasprintf("WORKDIR %s", path);
	key_init(&key, "workdir");
	key_add_digest(&key, "parent", &stage->key);
	key_add(&key, "path", path);
	key_add(&key, "user", stage->image->user);
	key_finish(&key, &digest);
	known = stage_look_up(stage, &digest, &record);
	if (!known)
		explain_miss(stage, &key, &digest, NULL, 0);
	if (!known && !builder->planning) {
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
