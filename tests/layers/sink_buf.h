/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SINK_BUF_H
#define TESTS_SINK_BUF_H

/* tests/layers/sink_buf.h: a sink whose bytes a test looks at. The buf's limit is ERR_LIMIT. */

#include "base/buf.h"
#include "base/err.h"
#include "base/sink.h"

struct sink_buf {
	struct sink sink;
	struct buf *buf;
};

static int sink_buf_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct sink_buf *to = (struct sink_buf *)sink;

	if (buf_add(to->buf, data, len) < 0)
		return err_set(err, ERR_LIMIT, "larger than %zu bytes", to->buf->max);
	return 0;
}

static int sink_buf_finish(struct sink *sink, struct err *err)
{
	(void)sink;
	(void)err;
	return 0;
}

static inline void sink_buf_init(struct sink_buf *to, struct buf *buf)
{
	*to = (struct sink_buf){ .sink = { sink_buf_write, sink_buf_finish }, .buf = buf };
}

#endif
