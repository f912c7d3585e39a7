/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * base/buf.h: a growing string of bytes with a limit. data is always NUL-terminated (the NUL is
 * not counted in len). What would pass the limit is not added and `overflow` stays set, so a
 * chain of adds is checked once at its end.
 */

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;    /* never NULL after buf_init() */
	size_t len;    /* bytes */
	size_t cap;    /* bytes allocated */
	size_t max;    /* len never passes this */
	bool overflow; /* something was refused */
};

void buf_init(struct buf *buf, size_t max);
void buf_release(struct buf *buf);
void buf_clear(struct buf *buf);

/* Each returns 0, or -1 when the limit refuses it. */
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_addstr(struct buf *buf, const char *text);
int buf_addch(struct buf *buf, char c);
int buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The bytes, now the caller's (free()); the buf is as after buf_init(). */
char *buf_steal(struct buf *buf);

#define cleanup_buf __attribute__((__cleanup__(buf_release)))

#endif
