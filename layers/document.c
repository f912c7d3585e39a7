/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layers/document.c: what the documents of images have in common: bounds, keys, descriptors. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "layers/image.h"
#include "layers/internal.h"

#define DESCRIPTOR_SIZE_MAX ((uint64_t)1 << 50)

int document_check_keys(const json_t *object, const char *const known[], struct err *err)
{
	void *at;

	for (at = json_object_iter((json_t *)object); at;
	     at = json_object_iter_next((json_t *)object, at)) {
		const char *key = json_object_iter_key(at);

		for (size_t i = 0; known[i]; i++)
			if (!strcasecmp(key, known[i]) && strcmp(key, known[i]))
				return err_set(err, ERR_INVALID,
					       "the key \"%s\" is ambiguous: \"%s\" is meant", key,
					       known[i]);
	}
	return 0;
}

int document_parse(const char *what, const char *text, size_t len, const char *const known[],
		   json_t **ret_document, struct err *err)
{
	cleanup_json json_t *document = NULL;

	if (len > IMAGE_DOCUMENT_MAX)
		return err_set(err, ERR_LIMIT, "%s: larger than %d bytes", what,
			       IMAGE_DOCUMENT_MAX);
	if (js_parse(what, text, len, &document, err) < 0)
		return -1;
	if (!json_is_object(document))
		return err_set(err, ERR_INVALID, "%s: not a JSON object", what);
	if (document_check_keys(document, known, err) < 0)
		return err_wrap(err, "%s", what);
	*ret_document = steal_pointer(&document);
	return 0;
}

int descriptor_from_json(const json_t *object, struct descriptor *ret_descriptor,
			 const char **ret_media_text, struct err *err)
{
	static const char *const known[] = { "mediaType",   "digest",	"size",
					     "annotations", "platform", "artifactType",
					     "urls",	    "data",	NULL };
	struct descriptor descriptor = { .media = MEDIA_UNKNOWN };
	const char *media;

	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "a descriptor is not an object");
	if (document_check_keys(object, known, err) < 0 ||
	    js_string(object, "mediaType", "", &media, err) < 0 ||
	    js_digest(object, "digest", &descriptor.digest, err) < 0 ||
	    js_uint(object, "size", UINT64_MAX, &descriptor.size, err) < 0)
		return err_wrap(err, "descriptor");
	if (descriptor.size > DESCRIPTOR_SIZE_MAX)
		return err_set(err, ERR_INVALID, "descriptor: \"size\" is missing or too large");
	descriptor.media = media_parse(media);
	*ret_descriptor = descriptor;
	if (ret_media_text)
		*ret_media_text = media;
	return 0;
}

json_t *descriptor_to_json(const struct descriptor *descriptor)
{
	char text[DIGEST_TEXT_MAX];
	json_t *object = json_object();

	json_object_set_new(object, "mediaType", json_string(media_name(descriptor->media)));
	json_object_set_new(object, "digest",
			    json_string(digest_format(&descriptor->digest, text)));
	json_object_set_new(object, "size", json_integer((json_int_t)descriptor->size));
	return object;
}

static int platform_field(const json_t *object, const char *key, char *field, size_t size,
			  struct err *err)
{
	const char *text;

	if (js_string(object, key, "", &text, err) < 0)
		return -1;
	if (strlen(text) >= size)
		return err_set(err, ERR_LIMIT, "\"%s\" is longer than %zu bytes", key, size - 1);
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~')
			return err_set(err, ERR_INVALID, "\"%s\" holds strange characters", key);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

int platform_from_json(const json_t *object, struct platform *ret_platform, struct err *err)
{
	struct platform platform = { .os = "" };

	if (platform_field(object, "os", platform.os, sizeof(platform.os), err) < 0 ||
	    platform_field(object, "architecture", platform.architecture,
			   sizeof(platform.architecture), err) < 0 ||
	    platform_field(object, "variant", platform.variant, sizeof(platform.variant), err) <
		    0 ||
	    platform_field(object, "os.version", platform.os_version, sizeof(platform.os_version),
			   err) < 0)
		return -1;
	platform_normalise(&platform);
	*ret_platform = platform;
	return 0;
}

/* Bytes of the UTF-8 sequence at text, 0 when it is none. */
static size_t utf8_len(const char *text)
{
	json_t *probe;
	size_t n = (unsigned char)text[0] < 0x80 ? 1
		   : (text[0] & 0xe0) == 0xc0	 ? 2
		   : (text[0] & 0xf0) == 0xe0	 ? 3
						 : 4;

	if (strnlen(text, n) < n)
		return 0;
	probe = json_stringn(text, n); /* jansson's own idea of what is valid */
	json_decref(probe);
	return probe ? n : 0;
}

char *text_to_utf8(const char *text)
{
	struct buf clean;

	buf_init(&clean, SIZE_MAX / 2);
	while (*text) {
		size_t n = utf8_len(text);

		if (n)
			buf_add(&clean, text, n);
		else
			buf_addstr(&clean, "\xef\xbf\xbd");
		text += n ? n : 1;
	}
	return buf_steal(&clean);
}

json_t *text_to_json(const char *text)
{
	json_t *value = json_string(text);
	cleanup_free char *clean = NULL;

	if (value)
		return value;
	clean = text_to_utf8(text);
	return json_string(clean);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort_in_place(struct strv *strv)
{
	if (strv->n > 1)
		qsort(strv->v, strv->n, sizeof(*strv->v), compare_text);
}
