/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decompression by content: gzip by ISA-L, zstd by libzstd, xz by liblzma, bzip2 by libbz2; no
 * other program is ever run. Memory is two blocks and the codec's window, which is bounded.
 *  1. Every byte that comes out is hashed and counted before it is handed on.
 *  2. Output beyond RATIO_MAX times the input (and RATIO_SLACK, so that a small file of zeros is
 *     no crime) is a bomb.
 *  3. Input that ends early is an error; after the last gzip member only zeros may follow.
 */
#include "layers/internal.h"

#include <assert.h>
#include <bzlib.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"

#define IN_SIZE	       (256 * 1024)
#define OUT_SIZE       (512 * 1024)
#define WINDOW_LOG_MAX 27 /* 128 MiB */
#define XZ_MEMORY_MAX  (UINT64_C(256) * 1024 * 1024)
#define RATIO_MAX      1000
#define RATIO_SLACK    (UINT64_C(1024) * 1024 * 1024)

enum codec {
	CODEC_NONE,
	CODEC_GZIP,
	CODEC_ZSTD,
	CODEC_XZ,
	CODEC_BZIP2,
};

struct decompressor {
	int fd;
	off_t offset; /* of the next pread(), or -1 for read() */
	char *what;
	enum codec codec;
	unsigned char *in;
	size_t in_pos, in_len;
	bool in_end;  /* the file has no more */
	bool out_end; /* the stream has no more */
	unsigned char *out;
	uint64_t in_total, out_total;
	uint64_t charged; /* bytes of holes */
	uint64_t max;
	struct inflate_state *inflate;
	bool in_frame; /* zstd, bzip2: a frame has begun and not ended */
	ZSTD_DCtx *zstd;
	lzma_stream xz;
	bz_stream bzip2;
	struct sink *tap; /* gets the input too */
	struct hasher hasher;
};

static int corrupt(struct decompressor *from, const char *why, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "%s: %s", from->what, why);
}

/* --- input ------------------------------------------------------------------------------------ */

/* Add what one read gives to the block. */
static int read_more(struct decompressor *from, struct err *err)
{
	unsigned char *to = from->in + from->in_len;
	size_t room = IN_SIZE - from->in_len;
	ssize_t got;

	do {
		got = from->offset < 0 ? read_once(from->fd, to, room)
				       : pread(from->fd, to, room, from->offset);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_os(err, "%s: read", from->what);
	if (from->offset >= 0)
		from->offset += got;
	from->in_end = got == 0;
	from->in_len += (size_t)got;
	from->in_total += (size_t)got;
	return from->tap && got ? sink_write(from->tap, to, (size_t)got, err) : 0;
}

int decompressor_tap(struct decompressor *from, struct sink *tap, struct err *err)
{
	assert(from->in_total == from->in_len); /* what was read is all there still */
	from->tap = tap;
	return from->in_len ? sink_write(tap, from->in, from->in_len, err) : 0;
}

/* With no byte left, read on; in_end tells that there is nothing. */
static int refill(struct decompressor *from, struct err *err)
{
	if (from->in_pos < from->in_len || from->in_end)
		return 0;
	from->in_pos = from->in_len = 0;
	return read_more(from, err);
}

static bool has_input(const struct decompressor *from)
{
	return from->in_pos < from->in_len;
}

static bool begins(const struct decompressor *from, const char *magic, size_t len)
{
	return from->in_len >= len && !memcmp(from->in, magic, len);
}

/* A tar comes first: its beginning is a name, which may look like anything. */
static enum codec detect(const struct decompressor *from)
{
	if (from->in_len >= TAR_BLOCK && tar_header_is_sound((const void *)from->in))
		return CODEC_NONE;
	if (begins(from, "\x1f\x8b\x08", 3))
		return CODEC_GZIP;
	if (begins(from, "\x28\xb5\x2f\xfd", 4))
		return CODEC_ZSTD;
	/* a frame to skip, with which zstd files may begin */
	if (from->in_len >= 4 && (from->in[0] & 0xf0) == 0x50 &&
	    !memcmp(from->in + 1, "\x2a\x4d\x18", 3))
		return CODEC_ZSTD;
	if (begins(from,
		   "\xfd"
		   "7zXZ\0",
		   6))
		return CODEC_XZ;
	/* three letters are little: a level, and a block's or the end's mark must follow */
	if (begins(from, "BZh", 3) && from->in_len >= 10 && from->in[3] >= '1' &&
	    from->in[3] <= '9' &&
	    (!memcmp(from->in + 4, "\x31\x41\x59\x26\x53\x59", 6) ||
	     !memcmp(from->in + 4, "\x17\x72\x45\x38\x50\x90", 6)))
		return CODEC_BZIP2;
	return CODEC_NONE;
}

/* --- codecs: each fills out and returns the count; 0 is the end, -1 an error ------------------ */

/* Between two members: zeros are skipped, and the end may come. */
static int begin_member(struct decompressor *from, struct err *err)
{
	for (;;) {
		if (refill(from, err) < 0)
			return -1;
		if (!has_input(from)) {
			from->out_end = true;
			return 0;
		}
		if (from->in[from->in_pos])
			break;
		from->in_pos++;
	}
	isal_inflate_reset(from->inflate);
	from->inflate->crc_flag = ISAL_GZIP;
	return 0;
}

static ssize_t next_gzip(struct decompressor *from, struct err *err)
{
	struct inflate_state *state = from->inflate;

	state->next_out = from->out;
	state->avail_out = OUT_SIZE;
	while (state->avail_out > 0) {
		uint32_t room = state->avail_out;
		size_t before;
		int status;

		if (state->block_state == ISAL_BLOCK_FINISH) {
			if (begin_member(from, err) < 0)
				return -1;
			if (from->out_end)
				break;
		}
		if (refill(from, err) < 0)
			return -1;
		before = from->in_pos;
		state->next_in = from->in + from->in_pos;
		state->avail_in = (uint32_t)(from->in_len - from->in_pos);
		status = isal_inflate(state);
		from->in_pos = from->in_len - state->avail_in;
		if (status < 0)
			return corrupt(from, "damaged gzip data", err);
		if (from->in_pos == before && state->avail_out == room &&
		    state->block_state != ISAL_BLOCK_FINISH)
			return corrupt(from, "gzip data ends early", err);
	}
	return OUT_SIZE - state->avail_out;
}

static ssize_t next_zstd(struct decompressor *from, struct err *err)
{
	ZSTD_outBuffer out = { from->out, OUT_SIZE, 0 };

	while (out.pos < out.size) {
		size_t status, filled = out.pos;
		ZSTD_inBuffer in;

		if (refill(from, err) < 0)
			return -1;
		if (!has_input(from) && !from->in_frame) {
			from->out_end = true;
			break;
		}
		in = (ZSTD_inBuffer){ from->in, from->in_len, from->in_pos };
		status = ZSTD_decompressStream(from->zstd, &out, &in);
		if (ZSTD_isError(status))
			return err_set(err, ERR_CORRUPT, "%s: zstd: %s", from->what,
				       ZSTD_getErrorName(status));
		if (in.pos == from->in_pos && out.pos == filled && status)
			return corrupt(from, "zstd data ends early", err);
		from->in_frame = status != 0;
		from->in_pos = in.pos;
	}
	return (ssize_t)out.pos;
}

static ssize_t next_xz(struct decompressor *from, struct err *err)
{
	lzma_stream *xz = &from->xz;

	xz->next_out = from->out;
	xz->avail_out = OUT_SIZE;
	while (xz->avail_out > 0 && !from->out_end) {
		lzma_ret status;

		if (refill(from, err) < 0)
			return -1;
		xz->next_in = from->in + from->in_pos;
		xz->avail_in = from->in_len - from->in_pos;
		status = lzma_code(xz, has_input(from) ? LZMA_RUN : LZMA_FINISH);
		from->in_pos = from->in_len - xz->avail_in;
		if (status == LZMA_STREAM_END)
			from->out_end = true;
		else if (status == LZMA_MEMLIMIT_ERROR)
			return err_set(err, ERR_LIMIT,
				       "%s: xz data asks for more than %llu bytes "
				       "of memory",
				       from->what, (unsigned long long)XZ_MEMORY_MAX);
		else if (status == LZMA_BUF_ERROR)
			return corrupt(from, "xz data ends early", err);
		else if (status != LZMA_OK)
			return corrupt(from, "damaged xz data", err);
	}
	return (ssize_t)(OUT_SIZE - xz->avail_out);
}

static void begin_bzip2(bz_stream *stream)
{
	char *out = stream->next_out;
	unsigned room = stream->avail_out;

	BZ2_bzDecompressEnd(stream); /* of the stream before; the first time it does nothing */
	*stream = (bz_stream){ .next_out = out, .avail_out = room };
	if (BZ2_bzDecompressInit(stream, 0, 0) != BZ_OK)
		abort();
}

/* A file may be several streams one after the other; in_frame is false between them. */
static ssize_t next_bzip2(struct decompressor *from, struct err *err)
{
	bz_stream *stream = &from->bzip2;

	stream->next_out = (char *)from->out;
	stream->avail_out = OUT_SIZE;
	while (stream->avail_out > 0) {
		unsigned room = stream->avail_out;
		size_t before;
		int status;

		if (refill(from, err) < 0)
			return -1;
		if (!has_input(from) && !from->in_frame) {
			from->out_end = true;
			break;
		}
		if (!from->in_frame)
			begin_bzip2(stream);
		before = from->in_pos;
		stream->next_in = (char *)from->in + from->in_pos;
		stream->avail_in = (unsigned)(from->in_len - from->in_pos);
		status = BZ2_bzDecompress(stream);
		from->in_pos = from->in_len - stream->avail_in;
		from->in_frame = status == BZ_OK;
		if (status != BZ_OK && status != BZ_STREAM_END)
			return corrupt(from, "damaged bzip2 data", err);
		if (status == BZ_OK && from->in_pos == before && stream->avail_out == room)
			return corrupt(from, "bzip2 data ends early", err);
	}
	return OUT_SIZE - stream->avail_out;
}

/* The file's own block, as it is. */
static ssize_t next_none(struct decompressor *from, const unsigned char **ret_data, struct err *err)
{
	size_t len;

	if (refill(from, err) < 0)
		return -1;
	*ret_data = from->in + from->in_pos;
	len = from->in_len - from->in_pos;
	from->in_pos = from->in_len;
	from->out_end = len == 0;
	return (ssize_t)len;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int check_limits(struct decompressor *from, struct err *err)
{
	uint64_t total = from->out_total + from->charged;

	if (from->max && total > from->max)
		return err_set(err, ERR_LIMIT, "%s: unpacks to more than %llu bytes", from->what,
			       (unsigned long long)from->max);
	if (total > from->in_total * RATIO_MAX + RATIO_SLACK)
		return err_set(err, ERR_LIMIT,
			       "%s: refused: unpacks to more than %d times its size", from->what,
			       RATIO_MAX);
	return 0;
}

int decompressor_charge(struct decompressor *from, uint64_t bytes, struct err *err)
{
	if (bytes > INT64_MAX - from->charged)
		bytes = INT64_MAX - from->charged;
	from->charged += bytes;
	return check_limits(from, err);
}

int decompressor_next(struct decompressor *from, const unsigned char **ret_data, size_t *ret_len,
		      struct err *err)
{
	const unsigned char *data = from->out;
	ssize_t got = 0;

	if (!from->out_end) {
		switch (from->codec) {
		case CODEC_NONE:
			got = next_none(from, &data, err);
			break;
		case CODEC_GZIP:
			got = next_gzip(from, err);
			break;
		case CODEC_ZSTD:
			got = next_zstd(from, err);
			break;
		case CODEC_XZ:
			got = next_xz(from, err);
			break;
		case CODEC_BZIP2:
			got = next_bzip2(from, err);
			break;
		}
	}
	if (got < 0)
		return -1;
	hasher_add(&from->hasher, data, (size_t)got);
	from->out_total += (size_t)got;
	if (check_limits(from, err) < 0)
		return -1;
	*ret_data = data;
	*ret_len = (size_t)got;
	return 0;
}

static int open_codec(struct decompressor *from, struct err *err)
{
	while (from->in_len < TAR_BLOCK && !from->in_end)
		if (read_more(from, err) < 0)
			return -1;
	from->in_end = false; /* a file may still grow; a pipe says it again */
	from->codec = detect(from);
	if (from->codec != CODEC_NONE)
		from->out = xmalloc(OUT_SIZE);
	switch (from->codec) {
	case CODEC_GZIP:
		from->inflate = xmalloc(sizeof(*from->inflate));
		isal_inflate_init(from->inflate);
		from->inflate->crc_flag = ISAL_GZIP;
		break;
	case CODEC_ZSTD:
		from->zstd = ZSTD_createDCtx();
		if (!from->zstd)
			abort();
		ZSTD_DCtx_setParameter(from->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
		break;
	case CODEC_XZ:
		if (lzma_stream_decoder(&from->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
			abort();
		break;
	case CODEC_BZIP2: /* begun stream by stream */
	case CODEC_NONE:
		break;
	}
	return 0;
}

int decompressor_open(int fd, off_t offset, const char *what, uint64_t max_bytes,
		      struct decompressor **ret_decompressor, struct err *err)
{
	struct decompressor *from = xcalloc(1, sizeof(*from));

	from->fd = fd;
	from->offset = offset;
	from->what = xstrdup(what);
	from->max = max_bytes;
	from->in = xmalloc(IN_SIZE);
	hasher_init(&from->hasher);
	if (open_codec(from, err) < 0) {
		decompressor_free(from);
		return -1;
	}
	*ret_decompressor = from;
	return 0;
}

void decompressor_free(struct decompressor *from)
{
	if (!from)
		return;
	lzma_end(&from->xz);
	BZ2_bzDecompressEnd(&from->bzip2);
	ZSTD_freeDCtx(from->zstd);
	free(from->inflate);
	free(from->out);
	free(from->in);
	free(from->what);
	free(from);
}

int decompressor_finish(struct decompressor *from, struct digest *ret_digest, uint64_t *ret_size,
			struct err *err)
{
	const unsigned char *data;
	struct hasher hasher;
	size_t len;

	do {
		if (decompressor_next(from, &data, &len, err) < 0)
			return -1;
	} while (len);
	while (!from->in_end) { /* bzip2 and xz may leave some */
		from->in_pos = from->in_len;
		if (refill(from, err) < 0)
			return -1;
	}
	hasher = from->hasher;
	hasher_finish(&hasher, ret_digest);
	*ret_size = from->out_total;
	return 0;
}

enum compression decompressor_compression(const struct decompressor *from, bool *ret_known)
{
	*ret_known = from->codec != CODEC_XZ && from->codec != CODEC_BZIP2;
	switch (from->codec) {
	case CODEC_GZIP:
		return COMPRESSION_GZIP;
	case CODEC_ZSTD:
		return COMPRESSION_ZSTD;
	default:
		return COMPRESSION_NONE;
	}
}
