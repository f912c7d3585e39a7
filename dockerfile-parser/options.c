/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The comma-separated lists of RUN --mount, read as Go's encoding/csv reads one record: a field
 * that starts with a quote runs to the closing one, "" in it is a quote, and a quote anywhere
 * else is an error.
 */
#include "dockerfile-parser/internal.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

static int read_quoted(const char **text, struct buf *field, struct err *err)
{
	const char *at = *text + 1;

	for (;; at++) {
		if (*at == '\0')
			return err_set(err, ERR_INVALID, "missing \" at the end of a quoted field");
		if (*at == '"' && at[1] != '"')
			break;
		if (*at == '"')
			at++;
		buf_addch(field, *at);
	}
	at++;
	if (*at != ',' && *at != '\0')
		return err_set(err, ERR_INVALID, "text after the quoted field \"%.64s\"",
			       field->data);
	*text = at;
	return 0;
}

static int read_plain(const char **text, struct buf *field, struct err *err)
{
	size_t len = strcspn(*text, ",");

	buf_add(field, *text, len);
	if (memchr(*text, '"', len))
		return err_set(err, ERR_INVALID, "bare \" in the field '%.64s'", field->data);
	*text += len;
	return 0;
}

static struct flag_option make_option(struct arena *arena, const struct buf *field)
{
	size_t key_len = strcspn(field->data, "=");
	char *key = arena_strndup(arena, field->data, key_len);
	bool has_value = key_len < field->len;

	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return (struct flag_option){
		.key = key,
		.value = has_value ? arena_strdup(arena, field->data + key_len + 1) : "",
		.has_value = has_value,
	};
}

/* list: field { "," field } */
int flag_options_parse(struct arena *arena, const char *text, struct flag_option **ret_options,
		       size_t *ret_n, struct err *err)
{
	struct flag_option *options = NULL;
	cleanup_buf struct buf field;
	size_t n = 0, cap = 0;

	buf_init(&field, DOCKERFILE_EXPANSION_MAX);
	if (!*text)
		return err_set(err, ERR_INVALID, "empty list of options");
	for (;; text++) {
		buf_clear(&field);
		if ((*text == '"' ? read_quoted : read_plain)(&text, &field, err) < 0)
			return -1;
		if (field.overflow)
			return err_set(err, ERR_LIMIT, "list of options longer than %d bytes",
				       DOCKERFILE_EXPANSION_MAX);
		options = arena_grow(arena, options, n, &cap, sizeof(*options));
		options[n++] = make_option(arena, &field);
		if (*text == '\0')
			break;
	}
	*ret_options = options;
	*ret_n = n;
	return 0;
}
