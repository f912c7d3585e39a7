/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

/*
 * base/digest.h: sha256 digests and their text form (OCI image-spec, descriptor.md "Digests").
 * sha512 digests parse as ERR_UNSUPPORTED: nothing here makes or checks them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct digest {
	unsigned char bytes[32];
};

#define DIGEST_HEX_MAX	65 /* 64 hexadecimal digits and a NUL */
#define DIGEST_TEXT_MAX 72 /* "sha256:", 64 digits and a NUL */

/* Exactly "sha256:" and 64 lower-case digits, else ERR_INVALID (ERR_UNSUPPORTED for sha512). */
int digest_parse(const char *text, struct digest *ret_digest, struct err *err);

/* Exactly 64 lower-case digits. False when it is something else. */
bool digest_parse_hex(const char *hex, struct digest *ret_digest);

/* Both return their buffer. */
const char *digest_format(const struct digest *digest, char text[DIGEST_TEXT_MAX]);
const char *digest_hex(const struct digest *digest, char hex[DIGEST_HEX_MAX]);

bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *digest); /* all bytes zero: used for "not known" */

/* A running sha256. Plain memory: may be copied, needs no release, takes no lock. */
struct hasher {
	_Alignas(8) unsigned char state[128];
};

void hasher_init(struct hasher *hasher);
void hasher_add(struct hasher *hasher, const void *data, size_t len);
void hasher_finish(struct hasher *hasher, struct digest *ret_digest);

void digest_of(const void *data, size_t len, struct digest *ret_digest);

#endif
