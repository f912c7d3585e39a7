/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sandbox/seccomp_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"

int reader_fail(struct reader *reader, const char *path, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return err_set(reader->err, ERR_INVALID, "%s: %s: %s", reader->name, path, text);
}

const char *reader_join(struct reader *reader, const char *parent, const char *key)
{
	return *parent ? arena_printf(reader->arena, "%s.%s", parent, key) : key;
}

const char *reader_index(struct reader *reader, const char *parent, size_t i)
{
	return arena_printf(reader->arena, "%s[%zu]", parent, i);
}

int reader_check_keys(struct reader *reader, const json_t *object, const char *parent,
		      const char *const *known, size_t n)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return reader_fail(reader, *parent ? parent : "the profile", "is not an object");
	json_object_foreach((json_t *)object, key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(known[i], key))
			i++;
		if (i == n)
			return reader_fail(reader, reader_join(reader, parent, key), "unknown key");
	}
	return 0;
}

int reader_get(struct reader *reader, const json_t *object, const char *parent, const char *key,
	       json_type type, const char *type_name, const json_t **ret_value)
{
	const json_t *value = json_object_get(object, key);

	*ret_value = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (json_typeof(value) != type)
		return reader_fail(reader, reader_join(reader, parent, key), "is not %s",
				   type_name);
	*ret_value = value;
	return 0;
}

int reader_list(struct reader *reader, const json_t *object, const char *parent, const char *key,
		const json_t **ret_list)
{
	return reader_get(reader, object, parent, key, JSON_ARRAY, "a list", ret_list);
}

int reader_number(struct reader *reader, const json_t *object, const char *parent, const char *key,
		  json_int_t max, bool *ret_given, uint64_t *ret_number)
{
	const json_t *value;

	if (reader_get(reader, object, parent, key, JSON_INTEGER, "a number", &value) < 0)
		return -1;
	*ret_given = value;
	*ret_number = value ? (uint64_t)json_integer_value(value) : 0;
	if (value && (json_integer_value(value) < 0 || json_integer_value(value) > max))
		return reader_fail(reader, reader_join(reader, parent, key),
				   "%" JSON_INTEGER_FORMAT
				   " is not a number from 0 to %" JSON_INTEGER_FORMAT,
				   json_integer_value(value), max);
	return 0;
}

const char *reader_text_at(struct reader *reader, const json_t *list, const char *parent, size_t i)
{
	const json_t *value = json_array_get(list, i);

	if (!json_is_string(value))
		reader_fail(reader, reader_index(reader, parent, i), "is not a string");
	return json_string_value(value);
}
