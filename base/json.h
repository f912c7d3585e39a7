/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * base/json.h: jansson with errors in words. Text from outside is size-limited by its reader,
 * must be one JSON value, and must not name a key twice (parsers differ on which one counts).
 * js_ is ours, json_ is jansson's.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct err;

#define JS_VALUES_MAX (1024 * 1024)

/* `what` names the text in errors. Free with json_decref(). Fails with ERR_INVALID, and ERR_LIMIT
 * for more than JS_VALUES_MAX values. */
int js_parse(const char *what, const char *text, size_t len, json_t **ret_value, struct err *err);

/*
 * Compact, in insertion order, as Go's encoder writes it (<, > and & are \u003c and so on), so
 * that documents look like docker's. free() the text.
 */
char *js_dump(const json_t *value);
char *js_dump_indented(const json_t *value, int indent); /* docker's inspect uses 4 */

/* Members of an object. Absent or null gives the default; another type is ERR_INVALID. Strings
 * belong to the object. */
int js_string(const json_t *object, const char *key, const char *fallback, const char **ret_text,
	      struct err *err);
int js_uint(const json_t *object, const char *key, uint64_t fallback, uint64_t *ret_number,
	    struct err *err);
int js_digest(const json_t *object, const char *key, struct digest *ret_digest, struct err *err);
int js_object(const json_t *object, const char *key, json_t **ret_object, struct err *err);
int js_array(const json_t *object, const char *key, json_t **ret_array, struct err *err);

static inline void js_decref_at(json_t **value)
{
	json_decref(*value);
}

#define cleanup_json __attribute__((__cleanup__(js_decref_at)))

#endif
