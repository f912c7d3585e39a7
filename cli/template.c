/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/internal.h"

/* .A.B of a value; *ret is NULL (printed as Go's <no value>) when it is not there. */
static int look_up(const char *path, size_t len, const json_t *value, const json_t **ret,
		   struct err *err)
{
	const json_t *at = value;
	size_t i = 0;

	if (len == 1 && *path == '.') {
		*ret = value;
		return 0;
	}
	while (i < len && path[i] == '.') {
		cleanup_free char *name = NULL;
		size_t start = ++i;

		while (i < len && (isalnum((unsigned char)path[i]) || path[i] == '_'))
			i++;
		if (i == start)
			break;
		name = xstrndup(path + start, i - start);
		at = json_object_get(at, name);
	}
	if (i != len || len == 0)
		return err_set(err, ERR_INVALID, "template: cannot evaluate {{%.*s}}", (int)len,
			       path);
	*ret = at;
	return 0;
}

/* index .PATH ARGUMENT...: numbers into lists, "texts" into objects. */
static int look_up_index(const char *text, size_t len, const json_t *value, const json_t **ret,
			 struct err *err)
{
	size_t word = 0, at = 0;

	while (word < len && text[word] != ' ')
		word++;
	if (look_up(text, word, value, ret, err) < 0)
		return -1;
	for (at = word; at < len; at += word) {
		const char *argument;

		while (at < len && text[at] == ' ')
			at++;
		argument = text + at;
		word = 0;
		if (*argument == '"') {
			const char *end = memchr(argument + 1, '"', len - at - 1);
			cleanup_free char *key = NULL;

			if (!end)
				return err_set(err, ERR_INVALID, "template: unterminated text");
			word = (size_t)(end - argument) + 1;
			key = xstrndup(argument + 1, word - 2);
			*ret = json_object_get(*ret, key);
			continue;
		}
		while (at + word < len && isdigit((unsigned char)argument[word]))
			word++;
		if (!word || word > 9 || (at + word < len && argument[word] != ' '))
			return err_set(err, ERR_INVALID, "template: cannot evaluate {{index %.*s}}",
				       (int)len, text);
		*ret = json_array_get(*ret, strtoull(argument, NULL, 10));
	}
	return 0;
}

static void print_json(const json_t *value)
{
	cleanup_free char *text = js_dump(value);

	fputs(text, stdout);
}

/* As Go prints it by default, for what scripts print: scalars, lists [a b], maps as JSON. */
static void print_value(const json_t *value)
{
	if (!value)
		fputs("<no value>", stdout);
	else if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else if (json_is_array(value)) {
		const json_t *item;
		size_t i;

		putchar('[');
		json_array_foreach((json_t *)value, i, item)
		{
			if (i)
				putchar(' ');
			print_value(item);
		}
		putchar(']');
	} else {
		print_json(value);
	}
}

/* One action between the braces, without blanks around it. */
static int action(const char *text, size_t len, const json_t *value, struct err *err)
{
	const json_t *found;

	if (len >= 2 && *text == '"' && text[len - 1] == '"') {
		fwrite(text + 1, 1, len - 2, stdout);
		return 0;
	}
	if (len > 5 && !strncmp(text, "json ", 5)) {
		while (len > 5 && text[5] == ' ')
			text++, len--;
		if (look_up(text + 5, len - 5, value, &found, err) < 0)
			return -1;
		print_json(found);
		return 0;
	}
	if (len > 6 && !strncmp(text, "index ", 6)) {
		if (look_up_index(text + 6, len - 6, value, &found, err) < 0)
			return -1;
	} else if (look_up(text, len, value, &found, err) < 0) {
		return -1;
	}
	print_value(found);
	return 0;
}

int template_print(const char *template, const json_t *value, struct err *err)
{
	if (!strcmp(template, "json")) {
		print_json(value);
		putchar('\n');
		return 0;
	}
	while (*template) {
		const char *end;
		size_t len;

		if (!strncmp(template, "\\n", 2) || !strncmp(template, "\\t", 2)) {
			putchar(template[1] == 'n' ? '\n' : '\t');
			template += 2;
			continue;
		}
		if (strncmp(template, "{{", 2)) {
			putchar(*template ++);
			continue;
		}
		template += 2;
		end = strstr(template, "}}");
		if (!end)
			return err_set(err, ERR_INVALID, "template: {{ without }}");
		while (isspace((unsigned char)*template))
			template ++;
		len = end > template ? (size_t)(end - template) : 0;
		while (len && isspace((unsigned char)template[len - 1]))
			len--;
		if (action(template, len, value, err) < 0)
			return -1;
		template = end + 2;
	}
	putchar('\n');
	return 0;
}
