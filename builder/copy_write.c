/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the assembly to the tar. Content goes from the source's file into the tar; that it is what
 * the key was made of is shown by unchanged stat data.
 *
 * Opening and reading many small files costs more than hashing them, so it is done by other
 * threads: entries are cut into batches, and while one is written the small files of the next are
 * read. Two batches are in memory at a time. The bytes written do not depend on the threads.
 */
#include "builder/selection.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "builder/assembly.h"
#include "layers/layer.h"

#define SMALL_MAX     (64 * 1024)	/* bytes of a file that is read ahead */
#define BATCH_BYTES   (4 * 1024 * 1024) /* of small files */
#define BATCH_ENTRIES 1024
#define READ_ENTRIES  32   /* that one thread takes at a time */
#define LOOKS	      4096 /* at entries, until the memory of those seen is let go */

struct batch {
	size_t first, n;   /* entries, those of the assembly and then those of the stretch */
	struct out **outs; /* each of them: the assembly's, or one of */
	struct out *own;   /* these, with their paths in */
	struct arena *arena;
	unsigned char *content; /* of its small files, one after another */
	size_t *offsets;	/* where each entry's begins */
};

struct pipeline {
	struct writing *writing;
	const char **firsts; /* by group: the path that is the file */
	struct batch batches[2];
	struct batch *reading, *ready;
};

/* --- order ------------------------------------------------------------------------------------ */

/* What was looked at is let go every so often. */
struct order {
	struct arena *arena;
	unsigned looked;
};

static int compare_outs(const void *a, const void *b, void *arg)
{
	struct order *order = arg;

	if (++order->looked % LOOKS == 0)
		arena_let_go(order->arena);
	return entry_path_compare((*(const struct out *const *)a)->path,
				  (*(const struct out *const *)b)->path);
}

/* A root directory as everybody has it needs no entry. */
static bool is_plain_root(const struct out *out)
{
	return !*out->path && out->mode == 0755 && !out->uid && !out->gid && !out->xattrs;
}

/* Sources come sorted, so that mostly all is in order already. */
void copy_sort(struct writing *writing)
{
	const struct assembly *assembly = writing->assembly;
	struct order order = { .arena = assembly->arena };
	bool sorted = true;
	size_t n = 0;

	writing->outs = xreallocarray(NULL, assembly->n + 1, sizeof(*writing->outs));
	for (size_t i = 0; i < assembly->n; i++) {
		struct out *out = assembly->outs[i];

		if (out->dead || is_plain_root(out))
			continue;
		if (n > 0 && compare_outs(&writing->outs[n - 1], &out, &order) >= 0)
			sorted = false;
		writing->outs[n++] = out;
	}
	writing->n_outs = n;
	if (!sorted)
		qsort_r(writing->outs, n, sizeof(struct out *), compare_outs, &order);
}

/* --- reading ahead ---------------------------------------------------------------------------- */

static bool is_small(const struct out *out)
{
	return out->node && out->size <= SMALL_MAX;
}

static int make_own(const struct stretch *stretch, const struct item *item, struct batch *batch,
		    struct out **ret_out, struct err *err)
{
	char below[NODE_PATH_MAX], path[ASSEMBLY_PATH_MAX];
	struct out *out = &batch->own[batch->n];

	node_path(stretch->match->top, item->node, below);
	if (assembly_join(stretch->place, below, path, err) < 0)
		return -1;
	*out = (struct out){ .path = arena_strdup(batch->arena, path) };
	*ret_out = out;
	return stretch->make(stretch->arg, item, out, err);
}

/* The batch that begins with entry `first`. */
static int batch_cut(const struct writing *writing, size_t first, struct batch *batch,
		     struct err *err)
{
	const struct stretch *stretch = &writing->stretch;
	size_t total = writing->n_outs + (stretch->match ? stretch->match->n : 0), bytes = 0;

	arena_let_go(writing->assembly->arena);
	arena_free(batch->arena);
	batch->arena = arena_new();
	batch->first = first;
	batch->n = 0;
	for (size_t i = first; i < total && batch->n < BATCH_ENTRIES && bytes < BATCH_BYTES; i++) {
		struct out **out = &batch->outs[batch->n];

		if (i < writing->n_outs)
			*out = writing->outs[i];
		else if (make_own(stretch,
				  copy_item(stretch->copy,
					    stretch->match->first + i - writing->n_outs),
				  batch, out, err) < 0)
			return -1;
		batch->offsets[batch->n++] = bytes;
		if (is_small(*out))
			bytes += (*out)->size;
	}
	return 0;
}

static int read_small(struct source *source, const struct out *out, unsigned char *content,
		      struct err *err)
{
	cleanup_fd int fd = -1;
	ssize_t got;

	if (node_open(source, out->node, &fd, err) < 0)
		return -1;
	got = read_all(fd, content, out->size);
	if (got < 0)
		return err_os(err, "read %s", out->node->name);
	return node_check(source, out->node, fd, err); /* also finds a short read */
}

static int read_some(struct pipeline *pipeline, size_t i, struct err *err)
{
	const struct batch *batch = pipeline->reading;
	size_t begin = i * READ_ENTRIES;

	for (size_t k = begin; k < batch->n && k < begin + READ_ENTRIES; k++) {
		const struct out *out = batch->outs[k];

		if (is_small(out) && read_small(pipeline->writing->source, out,
						batch->content + batch->offsets[k], err) < 0)
			return -1;
	}
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_scratch(const struct writing *writing, const struct out *out, struct err *err)
{
	const size_t size = 128 * 1024;
	cleanup_free char *block = xmalloc(size);

	for (uint64_t at = 0; at < out->size;) {
		uint64_t left = out->size - at;
		ssize_t got =
			pread_all(writing->scratch_fd, block, left < size ? (size_t)left : size,
				  (off_t)(out->offset + at));

		if (got < 0)
			return err_os(err, "read a temporary file of the store");
		if (got == 0)
			return err_set(err, ERR_CORRUPT, "a temporary file of the store was cut");
		if (tar_writer_data(writing->tar, block, (size_t)got, err) < 0)
			return -1;
		at += (uint64_t)got;
	}
	return 0;
}

/* A file with its content; `ahead` is that of a small file. */
static int write_file(const struct writing *writing, const struct out *out,
		      const struct entry *entry, const void *ahead, struct err *err)
{
	cleanup_fd int fd = -1;

	if (out->node && !is_small(out)) {
		if (node_open(writing->source, out->node, &fd, err) < 0 ||
		    tar_writer_file(writing->tar, entry, fd, NULL, err) < 0)
			return -1;
		return node_check(writing->source, out->node, fd, err);
	}
	if (tar_writer_entry(writing->tar, entry, err) < 0)
		return -1;
	if (!out->size)
		return 0;
	if (!out->node && !out->data)
		return write_scratch(writing, out, err);
	return tar_writer_data(writing->tar, out->node ? ahead : out->data, out->size, err);
}

/* The first name of each group, in the order of the layer, is the file; the others are links. */
static int write_out(struct pipeline *pipeline, const struct out *out, const void *ahead,
		     struct err *err)
{
	struct tar_writer *tar = pipeline->writing->tar;
	const char **firsts = pipeline->firsts;
	cleanup_free struct xattr *xattrs = NULL;
	struct entry entry = {
		.path = out->path,
		.type = out->type,
		.mode = out->mode,
		.uid = out->uid,
		.gid = out->gid,
		.size = out->size,
		.mtime = out->mtime,
		.link = out->link,
		.dev_major = out->dev_major,
		.dev_minor = out->dev_minor,
	};

	if (out->group && firsts[out->group]) {
		entry.type = ENTRY_HARDLINK;
		entry.link = firsts[out->group];
		entry.size = 0;
		return tar_writer_entry(tar, &entry, err);
	}
	if (out->group) /* of a stretch it would be gone with the batch */
		firsts[out->group] = arena_strdup(pipeline->writing->assembly->arena, out->path);
	xattrs_unpack(out->xattrs, &xattrs, &entry.n_xattrs);
	entry.xattrs = xattrs;
	if (out->type == ENTRY_FILE)
		return write_file(pipeline->writing, out, &entry, ahead, err);
	if (tar_writer_entry(tar, &entry, err) < 0)
		return -1;
	if (out->type != ENTRY_DIRECTORY || !out->fresh || !out->over_dir)
		return 0;
	return tar_writer_entry(tar, &(struct entry){ .path = out->path, .type = ENTRY_OPAQUE },
				err);
}

static int write_batch(struct pipeline *pipeline, struct err *err)
{
	const struct batch *batch = pipeline->ready;

	for (size_t i = 0; i < batch->n; i++) {
		const unsigned char *content = batch->content + batch->offsets[i];

		if (write_out(pipeline, batch->outs[i], content, err) < 0)
			return -1;
	}
	return 0;
}

/* --- both at once ----------------------------------------------------------------------------- */

/* 0: write the batch that is ready; others: read a part of the next. */
static int work(void *arg, size_t i, struct err *err)
{
	return i == 0 ? write_batch(arg, err) : read_some(arg, i - 1, err);
}

static int run(struct pipeline *pipeline, struct err *err)
{
	const struct writing *writing = pipeline->writing;
	unsigned jobs = writing->source ? writing->source->jobs : 1;

	do {
		struct batch *next = pipeline->reading;
		size_t parts;

		if (batch_cut(writing, pipeline->ready->first + pipeline->ready->n, next, err) < 0)
			return -1;
		parts = (next->n + READ_ENTRIES - 1) / READ_ENTRIES;
		if (pool_each(jobs, 1 + parts, work, pipeline, err) < 0)
			return -1;
		pipeline->reading = pipeline->ready;
		pipeline->ready = next;
	} while (pipeline->ready->n);
	return 0;
}

static void batch_init(struct batch *batch)
{
	*batch = (struct batch){
		.outs = xcalloc(BATCH_ENTRIES, sizeof(*batch->outs)),
		.own = xcalloc(BATCH_ENTRIES, sizeof(*batch->own)),
		.content = xmalloc(BATCH_BYTES + SMALL_MAX),
		.offsets = xcalloc(BATCH_ENTRIES, sizeof(*batch->offsets)),
	};
}

static void batch_release(struct batch *batch)
{
	free(batch->outs);
	free(batch->own);
	arena_free(batch->arena);
	free(batch->content);
	free(batch->offsets);
}

int copy_write(struct writing *writing, struct err *err)
{
	cleanup_free const char **firsts = xcalloc(writing->n_groups + 1, sizeof(*firsts));
	struct pipeline pipeline = { .writing = writing, .firsts = firsts };
	int status;

	copy_sort(writing);
	for (size_t i = 0; i < ARRAY_SIZE(pipeline.batches); i++)
		batch_init(&pipeline.batches[i]);
	pipeline.reading = &pipeline.batches[0];
	pipeline.ready = &pipeline.batches[1];
	status = run(&pipeline, err);
	for (size_t i = 0; i < ARRAY_SIZE(pipeline.batches); i++)
		batch_release(&pipeline.batches[i]);
	free(writing->outs);
	return status;
}
