/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * builder/remote_name.c: URLs and git places as BuildKit reads them. Nothing is asked of anybody
 * here. What is handed to git as a name of its own can be neither an option nor an expression.
 */
#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/remote.h"

#define NAME_TEXT_MAX 16384

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncasecmp(text, prefix, strlen(prefix));
}

static bool is_http(const char *text)
{
	return has_prefix(text, "http://") || has_prefix(text, "https://");
}

/* "user@host:path", as ssh and scp have it. */
static bool is_scp(const char *text)
{
	size_t user =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
	const char *host = text + user + 1;
	size_t len;

	if (!user || *text == '-' || text[user] != '@')
		return false;
	len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
	return len > 0 && *host != '-' && host[len] == ':' && host[len + 1];
}

enum remote_kind remote_kind(const char *text)
{
	size_t path;

	if (has_prefix(text, "ssh://") || has_prefix(text, "git://") || is_scp(text))
		return REMOTE_GIT;
	if (!is_http(text))
		return REMOTE_NONE;
	path = strcspn(text, "?#");
	return path > 4 && !strncmp(text + path - 4, ".git", 4) ? REMOTE_GIT : REMOTE_HTTP;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent escapes resolved; NULL when a byte cannot be part of a name. */
static char *unescape(const char *text, size_t len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
		    hex_digit(text[i + 2]) >= 0) {
			c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
			i += 2;
		}
		if (c == '\0') {
			free(out);
			return NULL;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

char *remote_file_name(const char *url)
{
	const char *host = strstr(url, "://");
	cleanup_free char *path = NULL;
	char *name;
	size_t end;

	host = host ? host + 3 : url;
	host += strcspn(host, "/?#");
	path = unescape(host, strcspn(host, "?#"));
	if (!path)
		return xstrdup("__unnamed__");
	end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		path[--end] = '\0';
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return xstrdup("__unnamed__");
	return xstrdup(name);
}

char *remote_redact(const char *text)
{
	char *out = xmalloc(strlen(text) + 1), *end = out;

	for (const char *scheme; (scheme = strstr(text, "://"));) {
		const char *host = scheme + 3, *at = host;

		for (const char *c = host; !strchr("/?# \t\r\n\"'", *c); c++)
			if (*c == '@')
				at = c + 1;
		memcpy(end, text, (size_t)(host - text));
		end += host - text;
		text = at;
	}
	memcpy(end, text, strlen(text) + 1);
	return out;
}

/* --- git -------------------------------------------------------------------------------------- */

bool git_is_commit(const char *text)
{
	size_t len = strspn(text, "0123456789abcdef");

	return len >= 7 && len <= 64 && !text[len];
}

/* git's own rules (git-check-ref-format), and narrower: no pattern, no expression, no option. */
static int check_ref(const char *ref, struct err *err)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"._/+@=,-";
	size_t len = strlen(ref);

	if (!len || len >= GIT_REF_MAX / 2 || ref[strspn(ref, allowed)] || *ref == '-' ||
	    *ref == '/' || *ref == '.' || *ref == '+' || ref[len - 1] == '/' ||
	    ref[len - 1] == '.' || strstr(ref, "..") || strstr(ref, "@{") || strstr(ref, "//") ||
	    !strcmp(ref, "@"))
		return err_set(err, ERR_INVALID, "\"%.200s\" is no name of a branch, tag or commit",
			       ref);
	return 0;
}

static int check_subdir(const char *subdir, struct err *err)
{
	for (const char *part = subdir; *part; part += strcspn(part, "/")) {
		part += strspn(part, "/");
		if (strcspn(part, "/") == 2 && part[0] == '.' && part[1] == '.')
			return err_set(err, ERR_INVALID, "the subdirectory \"%.200s\" leads out",
				       subdir);
	}
	return 0;
}

static void set_text(char **place, const char *text, size_t len)
{
	free(*place);
	*place = len ? xstrndup(text, len) : NULL;
}

/* "#ref:subdir" */
static void take_fragment(struct git_place *place, const char *text)
{
	size_t len = strcspn(text, ":");

	set_text(&place->ref, text, len);
	if (text[len])
		set_text(&place->subdir, text + len + 1, strlen(text + len + 1));
}

static int take_bool(const char *key, const char *value, bool *ret_bool, struct err *err)
{
	*ret_bool = !*value || !strcmp(value, "true") || !strcmp(value, "1");
	if (*ret_bool || !strcmp(value, "false") || !strcmp(value, "0"))
		return 0;
	return err_set(err, ERR_INVALID, "%s=%.100s: expected true or false", key, value);
}

static int take_option(struct git_place *place, const char *key, const char *value, struct err *err)
{
	bool submodules;

	if (!strcmp(key, "ref"))
		set_text(&place->ref, value, strlen(value));
	else if (!strcmp(key, "tag") || !strcmp(key, "branch")) {
		free(place->ref);
		place->ref = xasprintf("refs/%s/%s", *key == 't' ? "tags" : "heads", value);
	} else if (!strcmp(key, "subdir"))
		set_text(&place->subdir, value, strlen(value));
	else if (!strcmp(key, "checksum") || !strcmp(key, "commit"))
		set_text(&place->checksum, value, strlen(value));
	else if (!strcmp(key, "keep-git-dir")) {
		place->keep_is_set = true;
		return take_bool(key, value, &place->keep_git_dir, err);
	} else if (!strcmp(key, "submodules")) {
		if (take_bool(key, value, &submodules, err) < 0)
			return -1;
		place->without_submodules = !submodules;
	} else
		return err_set(err, ERR_INVALID, "unexpected query \"%.100s\" of a git repository",
			       key);
	return 0;
}

/* "?branch=v1&subdir=a" */
static int take_query(struct git_place *place, const char *text, size_t len, struct err *err)
{
	while (len > 0) {
		size_t part = strcspn(text, "&"), equals;
		cleanup_free char *key = NULL, *value = NULL;

		part = part < len ? part : len;
		equals = strcspn(text, "=");
		equals = equals < part ? equals : part;
		key = unescape(text, equals);
		value = equals < part ? unescape(text + equals + 1, part - equals - 1)
				      : xstrdup("");
		if (!key || !value)
			return err_set(err, ERR_INVALID, "a NUL in a query");
		if (take_option(place, key, value, err) < 0)
			return -1;
		text += part;
		len -= part;
		if (len > 0) {
			text++;
			len--;
		}
	}
	return 0;
}

static int parse(const char *text, struct git_place *place, struct err *err)
{
	size_t path = strcspn(text, "?#"), query = 0;
	const char *host;

	if (strlen(text) > NAME_TEXT_MAX)
		return err_set(err, ERR_LIMIT, "a name of more than %d bytes", NAME_TEXT_MAX);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return err_set(err, ERR_INVALID,
				       "blanks or control characters in the name");
	place->url = xstrndup(text, path);
	host = strstr(place->url, "://");
	if (host && host[3] == '-')
		return err_set(err, ERR_INVALID, "a host that begins with \"-\"");
	if (text[path] == '?') {
		query = strcspn(text + path + 1, "#");
		if (take_query(place, text + path + 1, query, err) < 0)
			return -1;
		path += 1 + query;
	}
	if (text[path] == '#')
		take_fragment(place, text + path + 1);
	if (place->checksum && !git_is_commit(place->checksum))
		return err_set(err, ERR_INVALID, "checksum %.100s is no commit", place->checksum);
	if (place->ref && check_ref(place->ref, err) < 0)
		return -1;
	return place->subdir ? check_subdir(place->subdir, err) : 0;
}

int git_place_parse(const char *text, struct git_place *ret_place, struct err *err)
{
	struct git_place place = { 0 };

	if (parse(text, &place, err) < 0) {
		git_place_release(&place);
		return -1;
	}
	*ret_place = place;
	return 0;
}

void git_place_release(struct git_place *place)
{
	free(place->url);
	free(place->ref);
	free(place->subdir);
	free(place->checksum);
	*place = (struct git_place){ 0 };
}
