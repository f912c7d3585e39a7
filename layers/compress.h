/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_COMPRESS_H
#define LAYERS_COMPRESS_H

/* layers/compress.h: bytes to compressed bytes and back; private to layers/. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/mem.h"
#include "layers/media.h"

struct err;
struct sink;

/*
 * A sink that compresses into next. The bytes depend on the input alone, not on `workers`
 * (threads; at least 1) nor on how the input is cut into writes. finish() passes on.
 */
struct compressor;
struct compressor *compressor_new(enum compression compression, unsigned workers,
				  struct sink *next);
struct sink *compressor_sink(struct compressor *compressor);
void compressor_free(struct compressor *compressor);
DEFINE_CLEANUP(struct compressor *, compressor_free)

/*
 * The uncompressed bytes of a file that may be compressed with gzip, zstd, bzip2 or xz, which its
 * first bytes tell. Output that is out of all proportion to the input is ERR_LIMIT.
 */
struct decompressor;

/* Read from fd's position, or with offset >= 0 from there by pread(). `what` names the input in
 * errors. With max_bytes > 0, more output than that is ERR_LIMIT. */
int decompressor_open(int fd, off_t offset, const char *what, uint64_t max_bytes,
		      struct decompressor **ret_decompressor, struct err *err);
void decompressor_free(struct decompressor *decompressor);
DEFINE_CLEANUP(struct decompressor *, decompressor_free)

/* The next bytes, valid until the next call; *ret_len is 0 at the end. */
int decompressor_next(struct decompressor *decompressor, const unsigned char **ret_data,
		      size_t *ret_len, struct err *err);

/* Count bytes that are not in the stream but will be made from it (holes) against the limits. */
int decompressor_charge(struct decompressor *decompressor, uint64_t bytes, struct err *err);

/* Send the input, as it is, to a sink too: what was read already, and all that will be. The sink
 * is not finished. */
int decompressor_tap(struct decompressor *decompressor, struct sink *tap, struct err *err);

/* Read what is left of output and input, then the sha256 and count of all uncompressed bytes. */
int decompressor_finish(struct decompressor *decompressor, struct digest *ret_digest,
			uint64_t *ret_size, struct err *err);

/* How the input is compressed: COMPRESSION_NONE also for bzip2 and xz when *ret_known is false. */
enum compression decompressor_compression(const struct decompressor *decompressor, bool *ret_known);

#endif
