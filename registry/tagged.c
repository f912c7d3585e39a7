/* SPDX-License-Identifier: GPL-2.0-or-later */
/* registry/tagged.c: manifests by tag, asked of the helper: as many at once as a line holds. */
#include "registry/transport.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "registry/call.h"
#include "registry/protocol.h"

static size_t batch(size_t n, size_t at)
{
	return n - at < TAGS_MAX ? n - at : TAGS_MAX;
}

static int get_some(const struct transport_options *options, struct store *store,
		    const struct reference *reference, struct tagged *tags, size_t n,
		    struct err *err)
{
	cleanup_json json_t *request = helper_request(options, OP_GET_TAGS, reference);
	cleanup_json json_t *result = NULL;
	json_t *array = json_array(), *found;

	json_object_set_new(request, "tags", array);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(tags[i].tag));
	if (helper_call(options, store, request, NULL, NULL, &result, err) < 0 ||
	    js_object(result, "manifests", &found, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_object_get(found, tags[i].tag));

		tags[i].text = text ? xstrdup(text) : NULL;
	}
	return 0;
}

int transport_get_tags(const struct transport_options *options, struct store *store,
		       const struct reference *reference, struct tagged *tags, size_t n,
		       struct err *err)
{
	for (size_t at = 0; at < n; at += TAGS_MAX)
		if (get_some(options, store, reference, tags + at, batch(n, at), err) < 0)
			return -1;
	return 0;
}

static json_t *format_tag(const struct tagged *tag)
{
	char diff_id[DIGEST_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	json_t *object = json_pack("{s:s, s:s}", "tag", tag->tag, "manifest", tag->text);

	if (tag->replace)
		json_object_set_new(object, "replace", json_true());
	if (!digest_is_zero(&tag->diff_id))
		json_object_update_new(object,
				       json_pack("{s:s, s:s, s:s, s:I}", "diff_id",
						 digest_format(&tag->diff_id, diff_id), "media",
						 media_name(tag->blob.media), "digest",
						 digest_format(&tag->blob.digest, digest), "size",
						 (json_int_t)tag->blob.size));
	return object;
}

static int put_some(const struct transport_options *options, struct store *store,
		    const struct reference *reference, const struct tagged *tags, size_t n,
		    transport_listener *listener, void *arg, struct err *err)
{
	cleanup_json json_t *request = helper_request(options, OP_PUT_TAGS, reference);
	cleanup_json json_t *result = NULL;
	json_t *array = json_array();

	json_object_set_new(request, "tags", array);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, format_tag(&tags[i]));
	return helper_call(options, store, request, listener, arg, &result, err);
}

int transport_put_tags(const struct transport_options *options, struct store *store,
		       const struct reference *reference, const struct tagged *tags, size_t n,
		       transport_listener *listener, void *arg, struct err *err)
{
	for (size_t at = 0; at < n; at += TAGS_MAX)
		if (put_some(options, store, reference, tags + at, batch(n, at), listener, arg,
			     err) < 0)
			return -1;
	return 0;
}
