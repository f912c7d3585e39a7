/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/toml.h"

/*
 *	document = *(line newline)
 *	line     = [table | array-table | pair] [comment]
 *	table    = "[" key "]"        array-table = "[[" key "]]"
 *	pair     = key "=" value      key = simple *("." simple)
 *
 * A recursive descent over one string. `current` is the table that pairs go to.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#define TOML_DEPTH_MAX	32
#define TOML_STRING_MAX 65536

struct toml {
	const char *source;
	const char *p, *end; /* *end is NUL */
	unsigned line;
	unsigned depth;
	struct err *err;
};

static int parse_value(struct toml *toml, json_t **ret_value);

static int fail(struct toml *toml, const char *why)
{
	return err_set(toml->err, ERR_INVALID, "%s:%u: %s", toml->source, toml->line, why);
}

static void skip_blanks(struct toml *toml)
{
	while (*toml->p == ' ' || *toml->p == '\t')
		toml->p++;
}

static void skip_comment(struct toml *toml)
{
	if (*toml->p == '#')
		while (toml->p < toml->end && *toml->p != '\n')
			toml->p++;
}

/* Blanks, newlines and comments, as allowed between the elements of an array. */
static void skip_space(struct toml *toml)
{
	for (;;) {
		skip_blanks(toml);
		skip_comment(toml);
		if (*toml->p == '\n')
			toml->line++;
		else if (*toml->p != '\r')
			return;
		toml->p++;
	}
}

static bool looking_at(struct toml *toml, const char *text)
{
	return strncmp(toml->p, text, strlen(text)) == 0;
}

/* --- strings ----------------------------------------------------------------- */

static void add_utf8(struct buf *buf, uint32_t c)
{
	if (c < 0x80) {
		buf_addch(buf, (char)c);
	} else if (c < 0x800) {
		buf_addch(buf, (char)(0xc0 | c >> 6));
		buf_addch(buf, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addch(buf, (char)(0xe0 | c >> 12));
		buf_addch(buf, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addch(buf, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addch(buf, (char)(0xf0 | c >> 18));
		buf_addch(buf, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addch(buf, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addch(buf, (char)(0x80 | (c & 0x3f)));
	}
}

static int parse_unicode(struct toml *toml, struct buf *buf, unsigned digits)
{
	uint32_t c = 0;

	for (unsigned i = 0; i < digits; i++) {
		static const char hex[] = "0123456789abcdef";
		char lower = *toml->p >= 'A' && *toml->p <= 'F' ? *toml->p + 32 : *toml->p;
		const char *digit = lower ? strchr(hex, lower) : NULL;

		if (!digit)
			return fail(toml, "a broken \\u escape");
		c = c << 4 | (uint32_t)(digit - hex);
		toml->p++;
	}
	if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return fail(toml, "an escape that is no character");
	add_utf8(buf, c);
	return 0;
}

static int parse_escape(struct toml *toml, struct buf *buf, bool multiline)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *found;
	char c = *toml->p;

	if (c == 'u' || c == 'U') {
		toml->p++;
		return parse_unicode(toml, buf, c == 'u' ? 4 : 8);
	}
	found = c ? strchr(from, c) : NULL;
	if (found) {
		toml->p++;
		buf_addch(buf, to[found - from]);
		return 0;
	}
	if (multiline && strchr(" \t\r\n", c)) {
		while (*toml->p && strchr(" \t\r\n", *toml->p)) {
			toml->line += *toml->p == '\n';
			toml->p++;
		}
		return 0;
	}
	return fail(toml, "an unknown escape");
}

/* The rest of a string after its opening quotes. */
static int parse_string_body(struct toml *toml, struct buf *buf, char quote, bool multiline)
{
	const char closing[] = { quote, quote, quote, '\0' };

	for (;;) {
		char c = *toml->p;

		if (toml->p >= toml->end || (!multiline && (c == '\n' || c == '\r')))
			return fail(toml, "a string without an end");
		if (multiline ? looking_at(toml, closing) : c == quote) {
			toml->p += multiline ? 3 : 1;
			return buf->overflow ? fail(toml, "a string that is too long") : 0;
		}
		toml->p++;
		if (c == '\\' && quote == '"') {
			if (parse_escape(toml, buf, multiline) < 0)
				return -1;
			continue;
		}
		toml->line += c == '\n';
		buf_addch(buf, c);
	}
}

static int parse_string(struct toml *toml, char **ret_text)
{
	char quote = *toml->p;
	const char opening[] = { quote, quote, quote, '\0' };
	bool multiline = looking_at(toml, opening);
	cleanup_buf struct buf buf;

	buf_init(&buf, TOML_STRING_MAX);
	toml->p += multiline ? 3 : 1;
	if (multiline && *toml->p == '\r')
		toml->p++;
	if (multiline && *toml->p == '\n') {
		toml->p++;
		toml->line++;
	}
	if (parse_string_body(toml, &buf, quote, multiline) < 0)
		return -1;
	*ret_text = buf_steal(&buf);
	return 0;
}

/* --- keys and tables --------------------------------------------------------- */

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static int parse_simple_key(struct toml *toml, char **ret_key)
{
	const char *start = toml->p;

	if (*toml->p == '"' || *toml->p == '\'')
		return parse_string(toml, ret_key);
	while (is_bare(*toml->p))
		toml->p++;
	if (toml->p == start)
		return fail(toml, "a key was expected");
	*ret_key = xstrndup(start, (size_t)(toml->p - start));
	return 0;
}

/* The table `key` of `table`, made when absent; of an array of tables, the last. */
static json_t *descend(struct toml *toml, json_t *table, const char *key)
{
	json_t *found = json_object_get(table, key);

	if (!found) {
		found = json_object();
		if (json_object_set_new(table, key, found) < 0)
			found = NULL;
	}
	if (json_is_array(found))
		found = json_array_get(found, json_array_size(found) - 1);
	if (!json_is_object(found)) {
		fail(toml, "a key that is a table and something else");
		return NULL;
	}
	return found;
}

/* key = simple *("." simple): *table becomes the one that holds the last part. */
static int parse_key(struct toml *toml, json_t **table, char **ret_last)
{
	cleanup_free char *key = NULL;

	for (unsigned parts = 0;; parts++) {
		if (parts > TOML_DEPTH_MAX)
			return fail(toml, "tables nested too deep");
		skip_blanks(toml);
		free(steal_pointer(&key));
		if (parse_simple_key(toml, &key) < 0)
			return -1;
		skip_blanks(toml);
		if (*toml->p != '.')
			break;
		toml->p++;
		*table = descend(toml, *table, key);
		if (!*table)
			return -1;
	}
	*ret_last = steal_pointer(&key);
	return 0;
}

static int parse_pair(struct toml *toml, json_t *table)
{
	cleanup_free char *key = NULL;
	cleanup_json json_t *value = NULL;

	if (parse_key(toml, &table, &key) < 0)
		return -1;
	if (*toml->p != '=')
		return fail(toml, "\"=\" was expected after a key");
	toml->p++;
	skip_blanks(toml);
	if (json_object_get(table, key))
		return fail(toml, "a key that was given before");
	if (parse_value(toml, &value) < 0)
		return -1;
	if (json_object_set(table, key, value) < 0)
		return fail(toml, "a key that is not UTF-8");
	return 0;
}

static int add_to_array(struct toml *toml, json_t *table, const char *key, json_t **ret_current)
{
	json_t *array = json_object_get(table, key);

	if (!array) {
		array = json_array();
		if (json_object_set_new(table, key, array) < 0)
			return fail(toml, "a key that is not UTF-8");
	}
	if (!json_is_array(array))
		return fail(toml, "a key that is a table and something else");
	*ret_current = json_object();
	json_array_append_new(array, *ret_current);
	return 0;
}

static int parse_table(struct toml *toml, json_t *root, json_t **ret_current)
{
	bool array = toml->p[1] == '[';
	cleanup_free char *key = NULL;
	json_t *table = root;

	toml->p += array ? 2 : 1;
	if (parse_key(toml, &table, &key) < 0)
		return -1;
	if (!looking_at(toml, array ? "]]" : "]"))
		return fail(toml, "\"]\" was expected");
	toml->p += array ? 2 : 1;
	if (array)
		return add_to_array(toml, table, key, ret_current);
	*ret_current = descend(toml, table, key);
	return *ret_current ? 0 : -1;
}

/* --- values ------------------------------------------------------------------ */

static int parse_array(struct toml *toml, json_t **ret_value)
{
	cleanup_json json_t *array = json_array();

	toml->p++;
	for (;;) {
		json_t *value;

		skip_space(toml);
		if (*toml->p == ']')
			break;
		if (parse_value(toml, &value) < 0)
			return -1;
		json_array_append_new(array, value);
		skip_space(toml);
		if (*toml->p == ',')
			toml->p++;
		else if (*toml->p != ']')
			return fail(toml, "\",\" or \"]\" was expected");
	}
	toml->p++;
	*ret_value = steal_pointer(&array);
	return 0;
}

static int parse_inline_table(struct toml *toml, json_t **ret_value)
{
	cleanup_json json_t *table = json_object();

	toml->p++;
	skip_blanks(toml);
	while (*toml->p != '}') {
		if (parse_pair(toml, table) < 0)
			return -1;
		skip_blanks(toml);
		if (*toml->p == ',')
			toml->p++;
		else if (*toml->p != '}')
			return fail(toml, "\",\" or \"}\" was expected");
		skip_blanks(toml);
	}
	toml->p++;
	*ret_value = steal_pointer(&table);
	return 0;
}

static int parse_integer(struct toml *toml, json_t **ret_value)
{
	const char *start = toml->p;
	bool negative = *toml->p == '-';
	uint64_t number = 0;

	toml->p += *toml->p == '-' || *toml->p == '+';
	if (*toml->p < '0' || *toml->p > '9') {
		toml->p = start;
		return fail(toml, "a value was expected");
	}
	for (; (*toml->p >= '0' && *toml->p <= '9') || *toml->p == '_'; toml->p++) {
		if (*toml->p == '_')
			continue;
		if (number > (INT64_MAX - 9) / 10)
			return fail(toml, "a number that is too large");
		number = number * 10 + (uint64_t)(*toml->p - '0');
	}
	if (is_bare(*toml->p) || *toml->p == '.' || *toml->p == ':')
		return err_set(toml->err, ERR_UNSUPPORTED,
			       "%s:%u: floats, dates and other bases are not supported here",
			       toml->source, toml->line);
	*ret_value = json_integer(negative ? -(json_int_t)number : (json_int_t)number);
	return 0;
}

static int parse_value(struct toml *toml, json_t **ret_value)
{
	int rc;

	if (*toml->p == '"' || *toml->p == '\'') {
		cleanup_free char *text = NULL;

		if (parse_string(toml, &text) < 0)
			return -1;
		*ret_value = json_string(text);
		return *ret_value ? 0 : fail(toml, "a string that is not UTF-8");
	}
	if (looking_at(toml, "true") && !is_bare(toml->p[4])) {
		toml->p += 4;
		*ret_value = json_true();
		return 0;
	}
	if (looking_at(toml, "false") && !is_bare(toml->p[5])) {
		toml->p += 5;
		*ret_value = json_false();
		return 0;
	}
	if (*toml->p != '[' && *toml->p != '{')
		return parse_integer(toml, ret_value);
	if (toml->depth == TOML_DEPTH_MAX)
		return fail(toml, "values nested too deep");
	toml->depth++;
	rc = *toml->p == '[' ? parse_array(toml, ret_value) : parse_inline_table(toml, ret_value);
	toml->depth--;
	return rc;
}

static int parse_line(struct toml *toml, json_t *root, json_t **current)
{
	int rc;

	skip_blanks(toml);
	if (*toml->p == '[')
		rc = parse_table(toml, root, current);
	else if (*toml->p && !strchr("#\r\n", *toml->p))
		rc = parse_pair(toml, *current);
	else
		rc = 0;
	if (rc < 0)
		return -1;
	skip_blanks(toml);
	skip_comment(toml);
	if (*toml->p == '\r')
		toml->p++;
	if (toml->p < toml->end && *toml->p != '\n')
		return fail(toml, "the line should end here");
	return 0;
}

int toml_parse(const char *source, const char *text, size_t len, json_t **ret_root, struct err *err)
{
	cleanup_free char *copy = xstrndup(text, len);
	cleanup_json json_t *root = json_object();
	struct toml toml = { .source = source, .p = copy, .line = 1, .err = err };
	json_t *current = root;

	toml.end = copy + strlen(copy);
	if ((size_t)(toml.end - copy) != len)
		return fail(&toml, "a NUL byte");
	while (toml.p < toml.end) {
		if (parse_line(&toml, root, &current) < 0)
			return -1;
		if (toml.p < toml.end) {
			toml.p++;
			toml.line++;
		}
	}
	*ret_root = steal_pointer(&root);
	return 0;
}
