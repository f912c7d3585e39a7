/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* Each value takes up to 250 bytes of memory and as few as two of text. Commas and brackets in
 * strings count, too: where there are that many, the text is no document of ours. */
static bool has_too_many_values(const char *text, size_t len)
{
	size_t n = 0;

	if (len <= JS_VALUES_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		n += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return n > JS_VALUES_MAX;
}

int js_parse(const char *what, const char *text, size_t len, json_t **ret_value, struct err *err)
{
	json_error_t error;
	json_t *value;

	if (has_too_many_values(text, len))
		return err_set(err, ERR_LIMIT, "%s: more than %d values", what, JS_VALUES_MAX);
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!value)
		return err_set(err, ERR_INVALID, "%s: line %d column %d: %s", what, error.line,
			       error.column, error.text);
	*ret_value = value;
	return 0;
}

/* <, > and & never occur in JSON but inside strings, so they can be replaced afterwards. */
static char *escape_as_go(char *plain)
{
	struct buf out;

	if (!strpbrk(plain, "<>&"))
		return plain;
	buf_init(&out, SIZE_MAX / 2);
	for (const char *c = plain; *c; c++) {
		if (*c == '<' || *c == '>' || *c == '&')
			buf_addf(&out, "\\u%04x", *c);
		else
			buf_addch(&out, *c);
	}
	free(plain);
	return buf_steal(&out);
}

char *js_dump(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	return text ? escape_as_go(text) : xstrdup("null");
}

char *js_dump_indented(const json_t *value, int indent)
{
	char *text = json_dumps(value, JSON_INDENT(indent) | JSON_ENCODE_ANY);

	return text ? escape_as_go(text) : xstrdup("null");
}

static int wrong_type(struct err *err, const char *key, const char *expected)
{
	return err_set(err, ERR_INVALID, "\"%s\" is not %s", key, expected);
}

static const json_t *member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_null(value) ? NULL : value;
}

int js_string(const json_t *object, const char *key, const char *fallback, const char **ret_text,
	      struct err *err)
{
	const json_t *value = member(object, key);

	if (value && !json_is_string(value))
		return wrong_type(err, key, "a string");
	if (value && strlen(json_string_value(value)) != json_string_length(value))
		return err_set(err, ERR_INVALID, "\"%s\" holds a NUL", key);
	*ret_text = value ? json_string_value(value) : fallback;
	return 0;
}

int js_uint(const json_t *object, const char *key, uint64_t fallback, uint64_t *ret_number,
	    struct err *err)
{
	const json_t *value = member(object, key);

	if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
		return wrong_type(err, key, "a whole number from 0 up");
	*ret_number = value ? (uint64_t)json_integer_value(value) : fallback;
	return 0;
}

int js_digest(const json_t *object, const char *key, struct digest *ret_digest, struct err *err)
{
	const char *text;

	if (js_string(object, key, NULL, &text, err) < 0)
		return -1;
	if (!text)
		return err_set(err, ERR_INVALID, "\"%s\" is missing", key);
	if (digest_parse(text, ret_digest, err) < 0)
		return err_wrap(err, "\"%s\"", key);
	return 0;
}

int js_object(const json_t *object, const char *key, json_t **ret_object, struct err *err)
{
	const json_t *value = member(object, key);

	if (value && !json_is_object(value))
		return wrong_type(err, key, "an object");
	*ret_object = (json_t *)value;
	return 0;
}

int js_array(const json_t *object, const char *key, json_t **ret_array, struct err *err)
{
	const json_t *value = member(object, key);

	if (value && !json_is_array(value))
		return wrong_type(err, key, "an array");
	*ret_array = (json_t *)value;
	return 0;
}
