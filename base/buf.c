/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static char empty[1];

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){ .data = empty, .max = max };
}

void buf_release(struct buf *buf)
{
	if (buf->data != empty)
		free(buf->data);
	buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->overflow = false;
	if (buf->data != empty)
		buf->data[0] = '\0';
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
	if (len > buf->max - buf->len || buf->overflow) {
		buf->overflow = true;
		return -1;
	}
	if (buf->len + len + 1 > buf->cap) {
		size_t cap = buf->cap ? buf->cap : 64;

		while (cap < buf->len + len + 1)
			cap *= 2;
		buf->data = xreallocarray(buf->data == empty ? NULL : buf->data, cap, 1);
		buf->cap = cap;
	}
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int buf_addstr(struct buf *buf, const char *text)
{
	return buf_add(buf, text, strlen(text));
}

int buf_addch(struct buf *buf, char c)
{
	return buf_add(buf, &c, 1);
}

int buf_addf(struct buf *buf, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;
	int len;

	va_start(ap, format);
	len = vasprintf(&text, format, ap);
	va_end(ap);
	if (len < 0) {
		text = NULL;
		buf->overflow = true;
		return -1;
	}
	return buf_add(buf, text, (size_t)len);
}

char *buf_steal(struct buf *buf)
{
	char *data = buf->data == empty ? xstrdup("") : buf->data;

	buf_init(buf, buf->max);
	return data;
}
