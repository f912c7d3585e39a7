/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/challenge.h"

/*
 *	header    = challenge *("," challenge)
 *	challenge = scheme [1*SP (token68 | [param *("," param)])]
 *	param     = token *SP "=" *SP (token | quoted-string)
 *
 * The comma that ends a parameter and the one that ends a challenge look the same: a token that
 * is followed by "=" and more is a parameter, any other begins the next challenge. Empty list
 * elements are allowed.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define VALUE_MAX 16384

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *text)
{
	size_t n = 0;

	while (is_token_char(text[n]))
		n++;
	return n;
}

static const char *skip(const char *text, const char *what)
{
	return text + strspn(text, what);
}

static char *lower_copy(const char *text, size_t len)
{
	char *copy = xstrndup(text, len);

	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	return copy;
}

/* A token or quoted string at text; NULL when it is neither or has no end. */
static const char *read_value(const char *text, char **ret_value)
{
	cleanup_buf struct buf value;

	buf_init(&value, VALUE_MAX);
	if (*text != '"') {
		size_t len = token_len(text);

		*ret_value = xstrndup(text, len);
		return text + len;
	}
	for (text++; *text && *text != '"'; text++) {
		if (*text == '\\' && text[1])
			text++;
		buf_addch(&value, *text);
	}
	if (*text != '"' || value.overflow)
		return NULL;
	*ret_value = buf_steal(&value);
	return text + 1;
}

static void keep(struct challenge *challenge, const char *name, char *value)
{
	char **place = strcmp(name, "realm") == 0     ? &challenge->realm
		       : strcmp(name, "service") == 0 ? &challenge->service
		       : strcmp(name, "scope") == 0   ? &challenge->scope
		       : strcmp(name, "error") == 0   ? &challenge->error
						      : NULL;

	if (!place || *place) {
		free(value);
		return;
	}
	*place = value;
}

/* One param at text, if there is one. NULL: no param here. */
static const char *read_param(const char *text, struct challenge *challenge)
{
	size_t len = token_len(text);
	const char *p = skip(text + len, " \t");
	cleanup_free char *name = NULL;
	char *value = NULL;

	if (!len || *p != '=')
		return NULL;
	p = skip(p + 1, " \t");
	if (*p != '"' && !token_len(p))
		return NULL;
	name = lower_copy(text, len);
	p = read_value(p, &value);
	if (p)
		keep(challenge, name, value);
	return p;
}

static const char *read_params(const char *text, struct challenge *challenge)
{
	const char *next;

	while ((next = read_param(text, challenge)) != NULL)
		text = skip(next, ", \t");
	return text;
}

static const char *skip_token68(const char *text)
{
	const char *p = text;

	while (*p && (is_token_char(*p) || strchr("/+=", *p)))
		p++;
	p = skip(p, " \t");
	return *p == ',' || !*p ? p : text;
}

void challenges_parse(const char *header, struct challenges *challenges)
{
	const char *p = skip(header, ", \t");

	while (*p && challenges->n < CHALLENGES_MAX) {
		size_t len = token_len(p);
		struct challenge *challenge = &challenges->items[challenges->n];
		const char *after;

		if (!len)
			return;
		challenge->scheme = lower_copy(p, len);
		challenges->n++;
		p += len;
		if (*p != ' ' && *p != '\t' && *p != ',' && *p)
			return;
		p = skip(p, " \t");
		after = read_params(p, challenge);
		p = after == p && *p != ',' ? skip_token68(p) : after;
		p = skip(p, ", \t");
	}
}

void challenges_release(struct challenges *challenges)
{
	for (size_t i = 0; i < challenges->n; i++) {
		free(challenges->items[i].scheme);
		free(challenges->items[i].realm);
		free(challenges->items[i].service);
		free(challenges->items[i].scope);
		free(challenges->items[i].error);
	}
	*challenges = (struct challenges){ 0 };
}

const struct challenge *challenges_find(const struct challenges *challenges, const char *scheme)
{
	for (size_t i = 0; i < challenges->n; i++)
		if (strcmp(challenges->items[i].scheme, scheme) == 0)
			return &challenges->items[i];
	return NULL;
}
