/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes that are hashed, in order:
 *  1. "cbuild key 1" NUL kind NUL
 *  2. for each part: its name, NUL, the length of its value as 8 bytes, lowest first, the value
 * Lengths make the parts unambiguous whatever they hold. A list is as many parts of one name,
 * preceded by a part NAME# that holds their count.
 */
#include "builder/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define PART_TEXT_MAX 4096 /* longer values are kept as their digest in the parts */

void key_init(struct key *key, const char *kind)
{
	static const char magic[] = "cbuild key 1";

	hasher_init(&key->hasher);
	hasher_add(&key->hasher, magic, sizeof(magic));
	hasher_add(&key->hasher, kind, strlen(kind) + 1);
	key->parts = json_array();
	json_array_append_new(key->parts, json_pack("[s, s]", "kind", kind));
}

void key_release(struct key *key)
{
	json_decref(key->parts);
	key->parts = NULL;
}

static void hash_part(struct key *key, const char *name, const void *value, size_t len)
{
	unsigned char size[8];

	for (size_t i = 0; i < sizeof(size); i++)
		size[i] = (unsigned char)((uint64_t)len >> (8 * i));
	hasher_add(&key->hasher, name, strlen(name) + 1);
	hasher_add(&key->hasher, size, sizeof(size));
	hasher_add(&key->hasher, value, len);
}

static void keep_part(struct key *key, const char *name, const char *value)
{
	char text[DIGEST_TEXT_MAX];
	struct digest digest;
	json_t *shown;

	if (strlen(value) > PART_TEXT_MAX) {
		digest_of(value, strlen(value), &digest);
		value = digest_format(&digest, text);
	}
	shown = json_string(value);
	if (!shown) { /* not UTF-8 */
		digest_of(value, strlen(value), &digest);
		shown = json_string(digest_format(&digest, text));
	}
	json_array_append_new(key->parts, json_pack("[s, o]", name, shown));
}

void key_add(struct key *key, const char *name, const char *value)
{
	hash_part(key, name, value, strlen(value));
	keep_part(key, name, value);
}

void key_add_digest(struct key *key, const char *name, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];

	key_add(key, name, digest_format(digest, text));
}

void key_add_strv(struct key *key, const char *name, const struct strv *values)
{
	char count_name[64], count[24];

	snprintf(count_name, sizeof(count_name), "%s#", name);
	snprintf(count, sizeof(count), "%zu", values->n);
	hash_part(key, count_name, count, strlen(count));
	for (size_t i = 0; i < values->n; i++)
		key_add(key, name, values->v[i]);
}

void key_note(struct key *key, const char *name, const char *value)
{
	keep_part(key, name, value);
}

void key_finish(struct key *key, struct digest *ret_key)
{
	hasher_finish(&key->hasher, ret_key);
}
