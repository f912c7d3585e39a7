/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/sink.h"

#include "base/err.h"
#include "base/file.h"

static int fd_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct sink_fd *to = (struct sink_fd *)sink;

	if (write_all(to->fd, data, len) < 0)
		return err_os(err, "write");
	to->size += len;
	return 0;
}

static int nothing_to_finish(struct sink *sink, struct err *err)
{
	(void)sink;
	(void)err;
	return 0;
}

void sink_fd_init(struct sink_fd *to, int fd)
{
	*to = (struct sink_fd){ .sink = { fd_write, nothing_to_finish }, .fd = fd };
}

static int digest_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct sink_digest *to = (struct sink_digest *)sink;

	hasher_add(&to->hasher, data, len);
	to->size += len;
	return to->next ? sink_write(to->next, data, len, err) : 0;
}

static int digest_finish(struct sink *sink, struct err *err)
{
	struct sink_digest *to = (struct sink_digest *)sink;

	hasher_finish(&to->hasher, &to->digest);
	return to->next ? sink_finish(to->next, err) : 0;
}

void sink_digest_init(struct sink_digest *to, struct sink *next)
{
	*to = (struct sink_digest){ .sink = { digest_write, digest_finish }, .next = next };
	hasher_init(&to->hasher);
}
