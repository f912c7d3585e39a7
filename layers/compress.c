/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressing sinks. What they write depends on the input alone:
 *  1. gzip is one member with a fixed header (no time, no name, OS 255). The input is cut into
 *     blocks of BLOCK_SIZE, each deflated by itself by ISA-L at level 1 and ended by a sync
 *     flush, so that blocks join on byte boundaries; an empty final block closes the stream. Who
 *     deflates a block, and when, leaves no trace.
 *  2. zstd is libzstd at level 3 with workers, whose output is the same for any number of them
 *     from one up (none at all would be another path, with other bytes).
 */
#include "layers/internal.h"

#include <assert.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/ordered.h"
#include "base/sink.h"

#define BLOCK_SIZE  (1024 * 1024)
#define PACKED_MAX  (BLOCK_SIZE + BLOCK_SIZE / 4) /* what does not shrink grows by far less */
#define ZSTD_LEVEL  3
#define WORKERS_MAX 16 /* more only wait for the tar to be read and hashed */

struct block {
	size_t len, packed_len;
	unsigned char *packed;
	unsigned char data[BLOCK_SIZE];
};

struct compressor {
	struct sink sink;
	struct sink *next;
	/* gzip */
	struct ordered *ordered;
	struct block **blocks;
	size_t n_blocks, current;
	bool begun;
	uint32_t crc, size; /* of all input, as gzip ends with them */
	/* zstd */
	ZSTD_CCtx *zstd;
	unsigned char *out;
	size_t out_size;
};

/* --- gzip ------------------------------------------------------------------------------------- */

static int deflate_block(void *job, struct err *err)
{
	cleanup_free struct isal_zstream *stream = xmalloc(sizeof(*stream));
	cleanup_free uint8_t *level_buf = xmalloc(ISAL_DEF_LVL1_DEFAULT);
	struct block *block = job;

	if (!block->packed)
		block->packed = xmalloc(PACKED_MAX);
	isal_deflate_init(stream);
	stream->level = 1;
	stream->level_buf = level_buf;
	stream->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	stream->flush = SYNC_FLUSH;
	stream->next_in = block->data;
	stream->avail_in = (uint32_t)block->len;
	stream->next_out = block->packed;
	stream->avail_out = PACKED_MAX;
	if (isal_deflate(stream) != COMP_OK || stream->avail_in || !stream->avail_out)
		return err_set(err, ERR_FAILED, "gzip: the compressor failed");
	block->packed_len = PACKED_MAX - stream->avail_out;
	return 0;
}

static int deliver_block(void *arg, void *job, struct err *err)
{
	struct compressor *to = arg;
	const struct block *block = job;

	return sink_write(to->next, block->packed, block->packed_len, err);
}

static int gzip_begin(struct compressor *to, struct err *err)
{
	static const unsigned char header[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };

	if (to->begun)
		return 0;
	to->begun = true;
	return sink_write(to->next, header, sizeof(header), err);
}

/* Hand the current block over and go on with the next, which nobody uses any more. */
static int gzip_flush(struct compressor *to, struct err *err)
{
	struct block *block = to->blocks[to->current];

	if (!block->len)
		return 0;
	to->crc = crc32_gzip_refl(to->crc, block->data, block->len);
	to->size += (uint32_t)block->len;
	to->current = (to->current + 1) % to->n_blocks;
	if (ordered_put(to->ordered, block, err) < 0)
		return -1;
	if (!to->blocks[to->current])
		to->blocks[to->current] = xcalloc(1, sizeof(struct block));
	to->blocks[to->current]->len = 0;
	return 0;
}

static int gzip_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct compressor *to = (struct compressor *)sink;

	if (gzip_begin(to, err) < 0)
		return -1;
	while (len > 0) {
		struct block *block = to->blocks[to->current];
		size_t part = BLOCK_SIZE - block->len;

		if (part > len)
			part = len;
		memcpy(block->data + block->len, data, part);
		block->len += part;
		data = (const char *)data + part;
		len -= part;
		if (block->len == BLOCK_SIZE && gzip_flush(to, err) < 0)
			return -1;
	}
	return 0;
}

static int gzip_finish(struct sink *sink, struct err *err)
{
	struct compressor *to = (struct compressor *)sink;
	unsigned char trailer[10] = { 3, 0 }; /* the empty final block */

	if (gzip_begin(to, err) < 0 || gzip_flush(to, err) < 0 ||
	    ordered_drain(to->ordered, err) < 0)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		trailer[2 + i] = (unsigned char)(to->crc >> (8 * i));
		trailer[6 + i] = (unsigned char)(to->size >> (8 * i));
	}
	if (sink_write(to->next, trailer, sizeof(trailer), err) < 0)
		return -1;
	return sink_finish(to->next, err);
}

static void gzip_open(struct compressor *to, unsigned workers)
{
	to->sink = (struct sink){ gzip_write, gzip_finish };
	to->ordered = ordered_new(workers, deflate_block, deliver_block, to);
	to->n_blocks = ordered_depth(to->ordered) + 1;
	to->blocks = xcalloc(to->n_blocks, sizeof(*to->blocks));
	to->blocks[0] = xcalloc(1, sizeof(struct block));
}

/* --- zstd ------------------------------------------------------------------------------------- */

static int zstd_run(struct compressor *to, ZSTD_inBuffer *in, ZSTD_EndDirective end,
		    struct err *err)
{
	size_t left;

	do {
		ZSTD_outBuffer out = { to->out, to->out_size, 0 };

		left = ZSTD_compressStream2(to->zstd, &out, in, end);
		if (ZSTD_isError(left))
			return err_set(err, ERR_FAILED, "zstd: %s", ZSTD_getErrorName(left));
		if (out.pos && sink_write(to->next, to->out, out.pos, err) < 0)
			return -1;
	} while (in->pos < in->size || (end == ZSTD_e_end && left));
	return 0;
}

static int zstd_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	ZSTD_inBuffer in = { data, len, 0 };

	return zstd_run((struct compressor *)sink, &in, ZSTD_e_continue, err);
}

static int zstd_finish(struct sink *sink, struct err *err)
{
	struct compressor *to = (struct compressor *)sink;
	ZSTD_inBuffer in = { NULL, 0, 0 };

	if (zstd_run(to, &in, ZSTD_e_end, err) < 0)
		return -1;
	return sink_finish(to->next, err);
}

static void zstd_open(struct compressor *to, unsigned workers)
{
	to->sink = (struct sink){ zstd_write, zstd_finish };
	to->zstd = ZSTD_createCCtx();
	if (!to->zstd)
		abort();
	ZSTD_CCtx_setParameter(to->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(to->zstd, ZSTD_c_checksumFlag, 1);
	/* refused by a libzstd built without threads, which then compresses in this one */
	ZSTD_CCtx_setParameter(to->zstd, ZSTD_c_nbWorkers, (int)workers);
	to->out_size = ZSTD_CStreamOutSize();
	to->out = xmalloc(to->out_size);
}

/* --- either ----------------------------------------------------------------------------------- */

static int plain_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	return sink_write(((struct compressor *)sink)->next, data, len, err);
}

static int plain_finish(struct sink *sink, struct err *err)
{
	return sink_finish(((struct compressor *)sink)->next, err);
}

struct compressor *compressor_new(enum compression compression, unsigned workers, struct sink *next)
{
	struct compressor *to = xcalloc(1, sizeof(*to));

	assert(workers > 0);
	if (workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	to->next = next;
	switch (compression) {
	case COMPRESSION_NONE:
		to->sink = (struct sink){ plain_write, plain_finish };
		break;
	case COMPRESSION_GZIP:
		gzip_open(to, workers);
		break;
	case COMPRESSION_ZSTD:
		zstd_open(to, workers);
		break;
	}
	return to;
}

struct sink *compressor_sink(struct compressor *to)
{
	return &to->sink;
}

void compressor_free(struct compressor *to)
{
	if (!to)
		return;
	ordered_free(to->ordered); /* its threads use the blocks */
	for (size_t i = 0; i < to->n_blocks; i++) {
		if (to->blocks[i])
			free(to->blocks[i]->packed);
		free(to->blocks[i]);
	}
	free(to->blocks);
	ZSTD_freeCCtx(to->zstd);
	free(to->out);
	free(to);
}
