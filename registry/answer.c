/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/answer.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "registry/http.h"

#define MESSAGE_MAX 400 /* bytes shown of each part */
#define DETAIL_MAX  200
#define PLAIN_MAX   50

/* Bytes of the UTF-8 sequence at text, 0 when it is none (or a C1 control). */
static size_t utf8_len(const unsigned char *text)
{
	size_t len = text[0] >= 0xf0 && text[0] < 0xf5	 ? 4
		     : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
		     : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
							 : 0;

	for (size_t i = 1; i < len; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if (len == 2 && text[0] == 0xc2 && text[1] < 0xa0)
		return 0;
	if (len == 3 && text[0] == 0xe2 && text[1] == 0x80 && text[2] >= 0xaa && text[2] <= 0xae)
		return 0; /* they turn the direction of writing */
	return len;
}

char *answer_sanitise(char *text, size_t max)
{
	unsigned char *p = (unsigned char *)text;

	while (*p) {
		size_t len = *p < 0x80 ? 1 : utf8_len(p);

		if ((size_t)(p - (unsigned char *)text) + (len ? len : 1) > max) {
			*p = '\0';
			break;
		}
		if (!len || (len == 1 && (*p < ' ' || *p == 0x7f))) {
			*p = *p == '\n' || *p == '\t' || *p == '\r' ? ' ' : '?';
			len = 1;
		}
		p += len;
	}
	return text;
}

static char *safe_copy(const char *text, size_t max)
{
	return answer_sanitise(xstrdup(text), max);
}

static char *detail_text(const json_t *detail)
{
	cleanup_free char *text = NULL;

	if (!detail || json_is_null(detail))
		return NULL;
	text = json_is_string(detail) ? xstrdup(json_string_value(detail)) : js_dump(detail);
	return text && *text && strcmp(text, "{}") != 0 ? safe_copy(text, DETAIL_MAX) : NULL;
}

/* The first error of the list: it is the primary one. */
static bool words_of_json(const struct http_response *response, struct buf *words)
{
	cleanup_free char *code = NULL, *message = NULL, *detail = NULL;
	cleanup_json json_t *root = NULL;
	struct err ignored = ERR_INIT;
	const char *text;
	json_t *first;

	if (js_parse("answer", response->body.data, response->body.len, &root, &ignored) < 0)
		return false;
	first = json_array_get(json_object_get(root, "errors"), 0);
	text = json_string_value(json_object_get(first, "code"));
	if (!json_is_object(first)) {
		/* Token servers: {"details": ...} or {"message": ...}. */
		text = json_string_value(json_object_get(root, "details"));
		text = text ? text : json_string_value(json_object_get(root, "message"));
		message = text ? safe_copy(text, MESSAGE_MAX) : NULL;
		return message && buf_addstr(words, message) == 0;
	}
	code = safe_copy(text ? text : "UNKNOWN", MESSAGE_MAX);
	text = json_string_value(json_object_get(first, "message"));
	message = safe_copy(text ? text : "", MESSAGE_MAX);
	detail = detail_text(json_object_get(first, "detail"));
	buf_addf(words, "%s: %s%s%s", code, message, detail ? "; " : "", detail ? detail : "");
	return true;
}

static void words_of_text(const struct http_response *response, struct buf *words)
{
	cleanup_free char *text = safe_copy(response->body.data, PLAIN_MAX);
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == ' ')
		text[--len] = '\0';
	buf_addf(words, "status %d%s%s", response->status, *text ? ": " : "", text);
}

int answer_refuse(const char *method, const struct http_response *response, struct err *err)
{
	cleanup_free char *shown = url_shown(&response->url);
	cleanup_buf struct buf words;
	enum err_kind kind = ERR_FAILED;

	buf_init(&words, 4096);
	if (response->status == 401 || response->status == 403)
		kind = ERR_DENIED;
	else if (response->status == 404)
		kind = ERR_NOT_FOUND;
	if (!words_of_json(response, &words))
		words_of_text(response, &words);
	return err_set(err, kind, "%s %s: %s", method, shown, words.data);
}
