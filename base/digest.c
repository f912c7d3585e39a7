/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The low-level SHA256 calls of libcrypto are used on purpose: they need no provider to be
 * loaded (which costs more than a whole unchanged build may), take no lock (so they are safe
 * after fork()) and run the same SHA-NI code as EVP.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/err.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct hasher), "hasher holds a SHA256_CTX");

static const char prefix[] = "sha256:";

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool digest_parse_hex(const char *hex, struct digest *ret_digest)
{
	struct digest got;

	for (size_t i = 0; i < sizeof(got.bytes); i++) {
		int high = hex_value(hex[2 * i]);
		int low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);

		if (low < 0)
			return false;
		got.bytes[i] = (unsigned char)(high << 4 | low);
	}
	if (hex[2 * sizeof(got.bytes)])
		return false;
	*ret_digest = got;
	return true;
}

int digest_parse(const char *text, struct digest *ret_digest, struct err *err)
{
	if (!strncmp(text, "sha512:", 7))
		return err_set(err, ERR_UNSUPPORTED, "digest %.80s: only sha256 is supported",
			       text);
	if (strncmp(text, prefix, sizeof(prefix) - 1) ||
	    !digest_parse_hex(text + sizeof(prefix) - 1, ret_digest))
		return err_set(err, ERR_INVALID,
			       "invalid digest \"%.80s\": expected sha256: and 64 lower-case "
			       "hexadecimal digits",
			       text);
	return 0;
}

const char *digest_hex(const struct digest *digest, char hex[DIGEST_HEX_MAX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(digest->bytes); i++) {
		hex[2 * i] = digits[digest->bytes[i] >> 4];
		hex[2 * i + 1] = digits[digest->bytes[i] & 15];
	}
	hex[DIGEST_HEX_MAX - 1] = '\0';
	return hex;
}

const char *digest_format(const struct digest *digest, char text[DIGEST_TEXT_MAX])
{
	memcpy(text, prefix, sizeof(prefix) - 1);
	digest_hex(digest, text + sizeof(prefix) - 1);
	return text;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool digest_is_zero(const struct digest *digest)
{
	static const struct digest zero;

	return digest_equal(digest, &zero);
}

void hasher_init(struct hasher *hasher)
{
	SHA256_Init((SHA256_CTX *)(void *)hasher->state);
}

void hasher_add(struct hasher *hasher, const void *data, size_t len)
{
	SHA256_Update((SHA256_CTX *)(void *)hasher->state, data, len);
}

void hasher_finish(struct hasher *hasher, struct digest *ret_digest)
{
	SHA256_Final(ret_digest->bytes, (SHA256_CTX *)(void *)hasher->state);
}

void digest_of(const void *data, size_t len, struct digest *ret_digest)
{
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_add(&hasher, data, len);
	hasher_finish(&hasher, ret_digest);
}
