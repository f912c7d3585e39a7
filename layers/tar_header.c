/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of tar that can be judged without reading on: header blocks, numbers, pax records.
 * Readers of tar disagree about malformed input, and attacks live in the difference; so nothing
 * is repaired here: what is not plainly right is ERR_CORRUPT.
 */
#include "layers/internal.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

bool tar_block_is_zero(const void *block)
{
	const unsigned char *bytes = block;

	return !bytes[0] && !memcmp(bytes, bytes + 1, TAR_BLOCK - 1);
}

bool tar_header_is_sound(const struct tar_header *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	const size_t from = offsetof(struct tar_header, checksum);
	int64_t want, sum = 0, signed_sum = 0;

	if (!tar_parse_number(header->checksum, sizeof(header->checksum), &want))
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		bool blank = i >= from && i < from + sizeof(header->checksum);

		sum += blank ? ' ' : bytes[i];
		signed_sum += blank ? ' ' : (signed char)bytes[i];
	}
	return want == sum || want == signed_sum;
}

/* Two's complement, big endian, after the mark in the top bit. */
static bool parse_base256(const unsigned char *field, size_t size, int64_t *ret_number)
{
	bool negative = field[0] & 0x40;
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char byte = i ? field[i] : field[i] & 0x7f;

		if (negative)
			byte = (unsigned char)~(i ? byte : byte | 0x80);
		if (number >> 55)
			return false;
		number = number << 8 | byte;
	}
	*ret_number = negative ? -(int64_t)number - 1 : (int64_t)number;
	return true;
}

bool tar_parse_number(const char *field, size_t size, int64_t *ret_number)
{
	uint64_t number = 0;
	size_t i = 0;

	if ((unsigned char)field[0] & 0x80)
		return parse_base256((const unsigned char *)field, size, ret_number);
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		number = number << 3 | (unsigned)(field[i] - '0');
	if (i < size && field[i] != ' ' && field[i] != '\0')
		return false;
	*ret_number = (int64_t)number; /* 12 octal digits at most */
	return true;
}

/* --- pax records ------------------------------------------------------------------------------ */

bool tar_parse_decimal(const char *text, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (unsigned)(*text - '0'), &number))
			return false;
	}
	*ret_number = number;
	return true;
}

/* "[-]seconds[.fraction]", rounded down. Cuts the text at the point. */
static bool parse_time(char *text, int64_t *ret_seconds)
{
	char *fraction = strchrnul(text, '.');
	bool negative = *text == '-', broken;
	uint64_t number;

	broken = *fraction && fraction[1 + strspn(fraction + 1, "0")];
	if (*fraction && fraction[1 + strspn(fraction + 1, "0123456789")])
		return false;
	*fraction = '\0';
	if (!tar_parse_decimal(text + negative, &number) || number >= INT64_MAX)
		return false;
	*ret_seconds = negative ? -(int64_t)number - broken : (int64_t)number;
	return true;
}

bool xattr_is_portable(const char *name)
{
	static const char *const dropped[] = {
		/* prefixes end with a point */
		"trusted.overlay.", "user.overlay.", "user.cbuild.", "btrfs.",
		"security.selinux", "security.ima",  "security.evm", "system.nfs4_acl",
	};

	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		size_t len = strlen(dropped[i]);

		if (!strncmp(name, dropped[i], len) && (dropped[i][len - 1] == '.' || !name[len]))
			return false;
	}
	return true;
}

static int corrupt(struct err *err, const char *key)
{
	return err_set(err, ERR_CORRUPT, "corrupt tar: bad \"%.80s\" in an extended header", key);
}

static int take_text(char **place, const char *key, char *value, size_t len, struct err *err)
{
	if (*place || strlen(value) != len)
		return corrupt(err, key);
	*place = value;
	return 0;
}

static int take_number(bool *has, uint64_t *number, const char *key, const char *value,
		       struct err *err)
{
	if (*has || !tar_parse_decimal(value, number) || *number > INT64_MAX)
		return corrupt(err, key);
	*has = true;
	return 0;
}

static int take_xattr(struct tar_pax *pax, const char *name, char *value, size_t len,
		      struct err *err)
{
	if (!*name || strlen(name) > ENTRY_NAME_MAX)
		return corrupt(err, TAR_XATTR_KEY);
	if (!xattr_is_portable(name))
		return 0;
	pax->xattrs =
		grow_vector(pax->xattrs, pax->n_xattrs, &pax->cap_xattrs, sizeof(*pax->xattrs));
	pax->xattrs[pax->n_xattrs++] = (struct xattr){ name, value, len };
	return 0;
}

/* Records that say nothing here (comments, access times, names of owners) pass. */
static int take_record(struct tar_pax *pax, char *key, char *value, size_t len, struct err *err)
{
	static const char sparse[] = "GNU.sparse.";

	if (!strncmp(key, TAR_XATTR_KEY, strlen(TAR_XATTR_KEY)))
		return take_xattr(pax, key + strlen(TAR_XATTR_KEY), value, len, err);
	if (!strcmp(key, "path"))
		return take_text(&pax->path, key, value, len, err);
	if (!strcmp(key, "linkpath"))
		return take_text(&pax->link, key, value, len, err);
	if (!len)
		return 0; /* an empty number: the header's field stands */
	if (!strcmp(key, "size"))
		return take_number(&pax->has_size, &pax->size, key, value, err);
	if (!strcmp(key, "uid"))
		return take_number(&pax->has_uid, &pax->uid, key, value, err);
	if (!strcmp(key, "gid"))
		return take_number(&pax->has_gid, &pax->gid, key, value, err);
	if (!strcmp(key, "mtime")) {
		if (pax->has_mtime || !parse_time(value, &pax->mtime))
			return corrupt(err, key);
		pax->has_mtime = true;
	}
	if (!strncmp(key, sparse, strlen(sparse))) {
		if (strlen(value) != len)
			return corrupt(err, key);
		return tar_sparse_record(&pax->sparse, key + strlen(sparse), value, err);
	}
	return 0;
}

/* "LENGTH KEY=VALUE\n" at body; *ret_len is its length. */
static int parse_record(struct tar_pax *pax, char *body, size_t left, size_t *ret_len,
			struct err *err)
{
	size_t len = 0, i = 0;
	char *key, *equals;

	for (; i < left && body[i] >= '0' && body[i] <= '9' && len <= TAR_SPECIAL_MAX; i++)
		len = len * 10 + (size_t)(body[i] - '0');
	if (i == 0 || i == left || body[i] != ' ' || len > left || len < i + 3 ||
	    body[len - 1] != '\n')
		return corrupt(err, "length");
	body[len - 1] = '\0';
	key = body + i + 1;
	equals = memchr(key, '=', len - 1 - (i + 1));
	if (!equals || equals == key)
		return corrupt(err, "key");
	*equals = '\0';
	if (strlen(key) != (size_t)(equals - key))
		return corrupt(err, key);
	*ret_len = len;
	return take_record(pax, key, equals + 1, (size_t)(body + len - 1 - (equals + 1)), err);
}

static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

int tar_pax_parse(struct tar_pax *pax, char *body, size_t len, struct err *err)
{
	size_t used = 0;

	while (len > 0) {
		if (parse_record(pax, body, len, &used, err) < 0)
			return -1;
		body += used;
		len -= used;
	}
	if (pax->n_xattrs)
		qsort(pax->xattrs, pax->n_xattrs, sizeof(*pax->xattrs), compare_xattrs);
	for (size_t i = 1; i < pax->n_xattrs; i++)
		if (!compare_xattrs(&pax->xattrs[i - 1], &pax->xattrs[i]))
			return corrupt(err, pax->xattrs[i].name);
	return 0;
}

void tar_pax_reset(struct tar_pax *pax)
{
	struct tar_pax kept = { .xattrs = pax->xattrs, .cap_xattrs = pax->cap_xattrs };

	tar_sparse_reset(&pax->sparse);
	kept.sparse = pax->sparse;
	*pax = kept;
}

void tar_pax_release(struct tar_pax *pax)
{
	tar_sparse_release(&pax->sparse);
	free(pax->xattrs);
}
