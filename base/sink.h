/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_SINK_H
#define BASE_SINK_H

/*
 * base/sink.h: where bytes are pushed. Streams are chains of sinks: tar, then sha256, then gzip,
 * then sha256, then a file; no stage holds more than its block.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct err;

/*
 * The interface. A sink is embedded in the structure that implements it. write() takes all len
 * bytes or fails; finish() is called once, after the last write, and passes the end on down the
 * chain; neither frees. After a failure nothing more may be written.
 */
struct sink {
	int (*write)(struct sink *sink, const void *data, size_t len, struct err *err);
	int (*finish)(struct sink *sink, struct err *err);
};

static inline int sink_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	return sink->write(sink, data, len, err);
}

static inline int sink_finish(struct sink *sink, struct err *err)
{
	return sink->finish(sink, err);
}

/* Writes to fd, which stays the caller's. */
struct sink_fd {
	struct sink sink;
	int fd;
	uint64_t size; /* bytes so far */
};
void sink_fd_init(struct sink_fd *to, int fd);

/* Counts and hashes what passes; `next` may be NULL. The digest is valid after finish. */
struct sink_digest {
	struct sink sink;
	struct sink *next;
	struct hasher hasher;
	struct digest digest;
	uint64_t size;
};
void sink_digest_init(struct sink_digest *to, struct sink *next);

#endif
