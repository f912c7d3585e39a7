/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/session.h"

/*
 * Small manifests by tag, for shared caches: many are asked for at once over the connections of one
 * remote, and each is its own answer, so nothing has to be read or written whole.
 *
 *  1. The first request runs alone: it finds out scheme and authorization for all.
 *  2. Only the registry itself is asked, no mirror: what another machine has just put is there.
 *  3. Sending, a layer goes before the manifest that names it, and once: docker-registry takes two
 *     uploads of one blob at once for none.
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

/* One to be sent. */
struct tag {
	const char *name, *text;
	bool has_layer, replace;
	bool known; /* it is there, and need not be sent */
	struct digest diff_id;
	struct descriptor blob;
};

struct tags {
	struct session *session;
	struct places places;
	struct remote *remote;
	json_t *array; /* of the request */
	char **texts;  /* get: what was found, NULL otherwise */
	struct tag *puts;
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
	free(tags->puts);
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

/* Which of them are there. */
static int ask_tag(void *arg, size_t i, struct err *err)
{
	struct tags *tags = arg;
	struct tag *tag = &tags->puts[i];
	struct digest digest;

	if (tag->replace)
		return 0;
	return remote_head_manifest(tags->remote, tag->name, NULL, &digest, &tag->known, err);
}

/* Whether an earlier one, that is sent as well, has the same layer. */
static bool is_sent_before(const struct tags *tags, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!tags->puts[k].known && tags->puts[k].has_layer &&
		    digest_equal(&tags->puts[k].blob.digest, &tags->puts[i].blob.digest))
			return true;
	return false;
}

/* Afterwards whoever needs the layer may have it from there, or lent by it. */
static int send_layer(const struct tags *tags, const struct tag *tag, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];

	if (layer_upload(tags->session, tags->remote, &tag->diff_id, &tag->blob, &tags->lenders,
			 tags->providers, err) < 0)
		return -1;
	return layer_add_place(tags->session->store, &tag->diff_id, 0, &tag->blob,
			       reference_repository(&tags->session->reference, false, name), err);
}

static int put_layer(void *arg, size_t i, struct err *err)
{
	const struct tags *tags = arg;
	const struct tag *tag = &tags->puts[i];

	if (tag->known || !tag->has_layer || is_sent_before(tags, i))
		return 0;
	return send_layer(tags, tag, err);
}

static int put_manifest(const struct tags *tags, const struct tag *tag, struct err *err)
{
	cleanup_response struct http_response response;

	http_response_init(&response);
	if (remote_put_manifest(tags->remote, tag->name, media_name(MEDIA_OCI_MANIFEST), tag->text,
				strlen(tag->text), &response, err) < 0)
		return -1;
	if (response.status == 200 || response.status == 201 || response.status == 202)
		return 0;
	return remote_refuse(tags->remote, "PUT", &response, err);
}

/* Another machine may be sending the same layer, which the registry then has but by half: it is
 * asked for again, once. */
static int put_tag(void *arg, size_t i, struct err *err)
{
	const struct tags *tags = arg;
	const struct tag *tag = &tags->puts[i];
	struct err first = ERR_INIT;

	if (tag->known || put_manifest(tags, tag, &first) == 0)
		return 0;
	if (tag->has_layer && send_layer(tags, tag, err) < 0)
		return -1;
	return put_manifest(tags, tag, err);
}

/* The "{}" that all of them have for a config. */
static int put_config(const struct tags *tags, struct err *err)
{
	struct descriptor config = { .size = 2 };

	if (blob_put(tags->session->store, "{}", config.size, &config.digest, err) < 0)
		return -1;
	return blob_upload(tags->session, tags->remote, &config, NULL, err);
}

static int read_tags(struct tags *tags, size_t n, struct err *err)
{
	const struct reference *reference = &tags->session->reference;
	struct store *store = tags->session->store;

	tags->puts = xcalloc(n + 1, sizeof(*tags->puts));
	tags->providers = providers_new(tags->session);
	if (lenders_find(store, reference, &tags->lenders, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct tag *tag = &tags->puts[i];

		if (read_tag(tags, i, tag, err) < 0)
			return -1;
		if (tag->has_layer &&
		    (lenders_add(&tags->lenders, store, reference, &tag->diff_id, err) < 0 ||
		     providers_add(tags->providers, &tag->diff_id, err) < 0))
			return -1;
	}
	return 0;
}

static int put_all(struct tags *tags, struct err *err)
{
	struct session *session = tags->session;
	size_t n = json_array_size(tags->array);

	if (read_tags(tags, n, err) < 0 || put_config(tags, err) < 0 ||
	    session_each(session, SESSION_DOCUMENTS, n, ask_tag, tags, err) < 0 ||
	    session_each(session, SESSION_BLOBS, n, put_layer, tags, err) < 0)
		return -1;
	return session_each(session, SESSION_DOCUMENTS, n, put_tag, tags, err);
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
