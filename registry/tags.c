/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/session.h"

/*
 * Small manifests by tag, for shared caches: many are asked for at once over the connections of one
 * remote, and each is its own answer, so nothing has to be read or written whole.
 *
 *  1. The first request runs alone: it finds out scheme and authorization for all.
 *  2. Only the registry itself is asked, no mirror: what another machine has just put is there.
 *  3. Sending, a layer goes before the manifest that names it.
 */

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/http.h"
#include "registry/lenders.h"
#include "registry/protocol.h"
#include "registry/providers.h"
#include "registry/remote.h"
#include "registry/transfer.h"

struct tags {
	struct session *session;
	struct places places;
	struct remote *remote;
	json_t *array; /* of the request */
	char **texts;  /* get: what was found, NULL otherwise */
	struct lenders lenders;
	struct providers *providers;
};

static int tags_open(struct tags *tags, struct session *session, bool push, struct err *err)
{
	tags->session = session;
	if (js_array(session->request, "tags", &tags->array, err) < 0 ||
	    registries_places(session->registries, &session->reference, true, &tags->places, err) <
		    0)
		return -1;
	tags->remote = remote_new(session, &tags->places.items[0], push);
	tags->texts = xcalloc(json_array_size(tags->array) + 1, sizeof(*tags->texts));
	return 0;
}

static void tags_release(struct tags *tags)
{
	for (size_t i = 0; tags->texts && i < json_array_size(tags->array); i++)
		free(tags->texts[i]);
	free(tags->texts);
	lenders_release(&tags->lenders);
	providers_free(tags->providers);
	remote_free(tags->remote);
	places_release(&tags->places);
}

/* --- get --------------------------------------------------------------------- */

static const char *tag_at(const struct tags *tags, size_t i)
{
	const char *tag = json_string_value(json_array_get(tags->array, i));

	return tag ? tag : "";
}

static int get_tag(void *arg, size_t i, struct err *err)
{
	struct tags *tags = arg;
	struct document document = { 0 };
	int status = remote_get_manifest(tags->remote, tag_at(tags, i), NULL, &document, err);

	if (status == 0)
		tags->texts[i] =
			document.text.len <= TAG_TEXT_MAX ? buf_steal(&document.text) : xstrdup("");
	document_release(&document);
	if (status < 0 && err->kind == ERR_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	return status;
}

static int get_other_tag(void *arg, size_t i, struct err *err)
{
	return get_tag(arg, i + 1, err);
}

static int get_all(struct tags *tags, json_t **ret_result, struct err *err)
{
	size_t n = json_array_size(tags->array);
	json_t *found;

	if (n && (get_tag(tags, 0, err) < 0 || session_each(tags->session, SESSION_DOCUMENTS, n - 1,
							    get_other_tag, tags, err) < 0))
		return -1;
	found = json_object();
	for (size_t i = 0; i < n; i++)
		if (tags->texts[i]) /* what is no UTF-8 cannot be one */
			json_object_set_new(found, tag_at(tags, i), json_string(tags->texts[i]));
	*ret_result = json_object();
	json_object_set_new(*ret_result, "manifests", found);
	return 0;
}

int get_tags_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct tags tags = { 0 };
	int status;

	session->impatient = true;
	status = tags_open(&tags, session, false, err);
	if (status == 0)
		status = get_all(&tags, ret_result, err);
	tags_release(&tags);
	return status;
}

/* --- put --------------------------------------------------------------------- */

struct tag {
	const char *name, *text;
	bool has_layer, replace;
	struct digest diff_id;
	struct descriptor blob;
};

static int read_tag(const struct tags *tags, size_t i, struct tag *tag, struct err *err)
{
	const json_t *object = json_array_get(tags->array, i);
	const char *media;

	*tag = (struct tag){ .replace = json_is_true(json_object_get(object, "replace")) };
	if (js_string(object, "tag", "", &tag->name, err) < 0 ||
	    js_string(object, "manifest", "", &tag->text, err) < 0)
		return -1;
	tag->has_layer = json_object_get(object, "diff_id") != NULL;
	if (!tag->has_layer)
		return 0;
	if (js_digest(object, "diff_id", &tag->diff_id, err) < 0 ||
	    js_digest(object, "digest", &tag->blob.digest, err) < 0 ||
	    js_uint(object, "size", 0, &tag->blob.size, err) < 0 ||
	    js_string(object, "media", "", &media, err) < 0)
		return -1;
	tag->blob.media = media_parse(media);
	return 0;
}

/* The layer is there now: whoever needs it may have it from there, or lent by it. */
static int remember_place(const struct tags *tags, const struct tag *tag, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];

	return layer_add_place(tags->session->store, &tag->diff_id, 0, &tag->blob,
			       reference_repository(&tags->session->reference, false, name), err);
}

static int put_tag(void *arg, size_t i, struct err *err)
{
	cleanup_response struct http_response response;
	struct tags *tags = arg;
	struct digest digest;
	bool known = false;
	struct tag tag;

	http_response_init(&response);
	if (read_tag(tags, i, &tag, err) < 0 ||
	    (!tag.replace &&
	     remote_head_manifest(tags->remote, tag.name, NULL, &digest, &known, err) < 0))
		return -1;
	if (known)
		return 0;
	if (tag.has_layer && (layer_upload(tags->session, tags->remote, &tag.diff_id, &tag.blob,
					   &tags->lenders, tags->providers, err) < 0 ||
			      remember_place(tags, &tag, err) < 0))
		return -1;
	if (remote_put_manifest(tags->remote, tag.name, media_name(MEDIA_OCI_MANIFEST), tag.text,
				strlen(tag.text), &response, err) < 0)
		return -1;
	if (response.status == 200 || response.status == 201 || response.status == 202)
		return 0;
	return remote_refuse(tags->remote, "PUT", &response, err);
}

/* The "{}" that all of them have for a config. */
static int put_config(const struct tags *tags, struct err *err)
{
	struct descriptor config = { .size = 2 };

	if (blob_put(tags->session->store, "{}", config.size, &config.digest, err) < 0)
		return -1;
	return blob_upload(tags->session, tags->remote, &config, NULL, err);
}

static int put_all(struct tags *tags, struct err *err)
{
	const struct reference *reference = &tags->session->reference;
	struct store *store = tags->session->store;
	size_t n = json_array_size(tags->array);

	tags->providers = providers_new(tags->session);
	if (lenders_find(store, reference, &tags->lenders, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct tag tag;

		if (read_tag(tags, i, &tag, err) < 0)
			return -1;
		if (tag.has_layer &&
		    (lenders_add(&tags->lenders, store, reference, &tag.diff_id, err) < 0 ||
		     providers_add(tags->providers, &tag.diff_id, err) < 0))
			return -1;
	}
	if (put_config(tags, err) < 0)
		return -1;
	return session_each(tags->session, SESSION_BLOBS, n, put_tag, tags, err);
}

int put_tags_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct tags tags = { 0 };
	int status = tags_open(&tags, session, true, err);

	if (status == 0)
		status = put_all(&tags, err);
	tags_release(&tags);
	if (status == 0)
		*ret_result = json_object();
	return status;
}
