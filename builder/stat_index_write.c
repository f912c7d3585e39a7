/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing an index: records go to the file as they are made, directories and texts are kept until
 * all records are known, and the header is written last, in the place that was left for it.
 */
#include "builder/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/store.h"

#define BLOCK_RECORDS 1024
#define OLD_DIRS      256 /* looked at before memory is let go */

struct index_draft {
	struct file_draft file;
	struct hasher hasher;
	bool failed; /* to write; errno says why */
	int error;
	struct index_record block[BLOCK_RECORDS];
	size_t used; /* records of block */
	uint64_t n_records;
	struct arena *nodes; /* let go as they are seen */
	struct index_dir *dirs;
	size_t n_dirs, cap_dirs;
	struct buf pool;
	char path[NODE_PATH_MAX]; /* of the directory that is added */
};

static void draft_put(struct index_draft *draft, const void *bytes, size_t len)
{
	hasher_add(&draft->hasher, bytes, len);
	if (!draft->failed && write_all(draft->file.fd, bytes, len) < 0) {
		draft->failed = true;
		draft->error = errno;
	}
}

static void draft_flush(struct index_draft *draft)
{
	draft_put(draft, draft->block, draft->used * sizeof(*draft->block));
	draft->used = 0;
	arena_let_go(draft->nodes);
}

static uint32_t draft_pool(struct index_draft *draft, const void *bytes, size_t len)
{
	size_t at = draft->pool.len;

	buf_add(&draft->pool, bytes, len);
	return (uint32_t)at; /* fits, or the pool has overflowed and nothing is written */
}

static uint32_t draft_text(struct index_draft *draft, const char *text)
{
	return draft_pool(draft, text, strlen(text) + 1);
}

static struct index_record *draft_record(struct index_draft *draft)
{
	if (draft->used == BLOCK_RECORDS)
		draft_flush(draft);
	draft->n_records++;
	return memset(&draft->block[draft->used++], 0, sizeof(*draft->block));
}

/* Make a directory of the records from `first` on, when there are any. */
static void draft_dir(struct index_draft *draft, const char *path, uint64_t first)
{
	if (draft->n_records == first)
		return;
	draft->dirs =
		grow_vector(draft->dirs, draft->n_dirs, &draft->cap_dirs, sizeof(*draft->dirs));
	draft->dirs[draft->n_dirs++] = (struct index_dir){
		.path = draft_text(draft, path),
		.first = (uint32_t)first,
		.n = (uint32_t)(draft->n_records - first),
	};
}

static void draft_node(struct index_draft *draft, const struct node *node)
{
	struct index_record *record = draft_record(draft);

	record->dev = node->dev;
	record->ino = node->ino;
	record->size = node->size;
	record->mtime = node->mtime;
	record->ctime = node->ctime;
	record->digest = node->digest;
	record->name = draft_text(draft, node->name);
	if (node->xattrs) {
		record->xattrs_len = node->xattrs->len;
		record->xattrs = draft_pool(draft, node->xattrs->bytes, node->xattrs->len);
	}
}

/* What is loaded of dir and below. */
static void draft_loaded(struct index_draft *draft, const struct node *dir)
{
	uint64_t first = draft->n_records;

	for (size_t i = 0; i < dir->n_children; i++)
		if (S_ISREG(dir->children[i].mode) && dir->children[i].sound)
			draft_node(draft, &dir->children[i]);
	draft_dir(draft, node_path(NULL, dir, draft->path), first);
	for (size_t i = 0; i < dir->n_children; i++)
		if (S_ISDIR(dir->children[i].mode) && dir->children[i].loaded)
			draft_loaded(draft, &dir->children[i]);
}

/* Whether a directory of the old index was left alone by this build and may still exist. */
static bool was_not_read(const struct source *source, const char *path)
{
	const struct node *at = &source->root;

	while (at->loaded && *path) {
		size_t len = strcspn(path, "/");

		at = node_child(at, path, len);
		if (!at || !S_ISDIR(at->mode))
			return false;
		path += len + (path[len] == '/');
	}
	return !at->loaded;
}

static void draft_old(struct index_draft *draft, const struct source *source)
{
	struct stat_index *old = source->index;

	for (uint64_t i = 0; old && i < old->header->n_dirs; i++) {
		const struct index_dir *dir = &old->dirs[i];
		uint64_t first = draft->n_records;

		if (i % OLD_DIRS == 0) {
			stat_index_let_go(old);
			arena_let_go(draft->nodes);
		}
		if (!was_not_read(source, old->pool + dir->path))
			continue;
		for (uint32_t k = 0; k < dir->n; k++) {
			const struct index_record *from = &old->records[dir->first + k];
			struct index_record *record = draft_record(draft);

			*record = *from;
			record->name = draft_text(draft, stat_index_name(old, from));
			record->xattrs =
				draft_pool(draft, stat_index_xattrs(old, from), from->xattrs_len);
		}
		draft_dir(draft, old->pool + dir->path, first);
	}
}

static int compare_dirs(const void *a, const void *b, void *pool)
{
	return strcmp((const char *)pool + ((const struct index_dir *)a)->path,
		      (const char *)pool + ((const struct index_dir *)b)->path);
}

/* All after the records, then the header in its place. */
static int draft_finish(struct index_draft *draft, struct err *err)
{
	struct index_header header = { .n_records = draft->n_records, .n_dirs = draft->n_dirs };

	draft_text(draft, ""); /* so that the pool ends with a NUL */
	if (draft->pool.overflow || draft->n_records > UINT32_MAX)
		return err_set(err, ERR_LIMIT, "too many files for an index");
	if (draft->n_dirs)
		qsort_r(draft->dirs, draft->n_dirs, sizeof(*draft->dirs), compare_dirs,
			draft->pool.data);
	draft_flush(draft);
	draft_put(draft, draft->dirs, draft->n_dirs * sizeof(*draft->dirs));
	draft_put(draft, draft->pool.data, draft->pool.len);
	header.pool_len = draft->pool.len;
	index_magic(header.magic);
	hasher_add(&draft->hasher, &header, sizeof(header));
	hasher_finish(&draft->hasher, &header.digest);
	errno = draft->error;
	if (draft->failed || lseek(draft->file.fd, 0, SEEK_SET) < 0 ||
	    write_all(draft->file.fd, &header, sizeof(header)) < 0)
		return err_os(err, "write %s", draft->file.path);
	return file_draft_commit(&draft->file, false, err);
}

static int draft_save(struct index_draft *draft, const struct source *source, struct err *err)
{
	char name[INDEX_NAME_MAX];
	int status = -1;

	if (file_mkdirs_at(store_fd(source->store), INDEX_DIRECTORY, 0700, err) < 0 ||
	    file_draft_open(store_fd(source->store), index_file(source->path, name), 0600,
			    &draft->file, err) < 0)
		return -1;
	if (lseek(draft->file.fd, sizeof(struct index_header), SEEK_SET) < 0) {
		err_os(err, "write %s", name);
	} else {
		if (source->root.loaded)
			draft_loaded(draft, &source->root);
		draft_old(draft, source);
		status = draft_finish(draft, err);
	}
	file_draft_release(&draft->file);
	return status;
}

int stat_index_save(const struct source *source, struct err *err)
{
	struct index_draft *draft = xcalloc(1, sizeof(*draft));
	int status;

	draft->nodes = source->arena;
	hasher_init(&draft->hasher);
	buf_init(&draft->pool, UINT32_MAX);
	status = draft_save(draft, source, err);
	free(draft->dirs);
	buf_release(&draft->pool);
	free(draft);
	return status;
}
