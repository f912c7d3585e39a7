/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

/* base/base64.h: RFC 4648's base64, with padding, on one line. */

#include <stddef.h>

/* The text, the caller's (free()). */
char *base64_encode(const void *data, size_t len) __attribute__((returns_nonnull));

#endif
