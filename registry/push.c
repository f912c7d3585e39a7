/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/session.h"

/*
 * Pushing. The first request asks what the tag means now: if that is this manifest, nothing else
 * happens. Else layers go up several at once, each compressed just before when it has no blob
 * yet, so that one is sent while another is compressed; beside them the config, then the manifest.
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

struct push {
	struct session *session;
	struct places places;
	struct remote *remote;
	struct digest id;
	enum compression compression;
	bool docker;
	struct image_record record;
	struct image *image;
	struct manifest *manifest; /* when the image has one of the right form already */
	struct descriptor manifest_blob;
	struct lenders lenders;
	struct providers *providers; /* of layers that are not in the store */
};

static void push_release(struct push *push)
{
	remote_free(push->remote);
	places_release(&push->places);
	image_free(push->image);
	manifest_free(push->manifest);
	lenders_release(&push->lenders);
	providers_free(push->providers);
}

static int read_compression(const json_t *request, enum compression *ret_compression,
			    struct err *err)
{
	static const char *const names[] = PROTOCOL_COMPRESSIONS;
	const char *name;

	if (js_string(request, "compression", "gzip", &name, err) < 0)
		return -1;
	for (unsigned i = 0; names[i]; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret_compression = (enum compression)i;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "unknown compression \"%s\"", name);
}

static int push_open(struct push *push, struct session *session, struct err *err)
{
	push->session = session;
	if (js_digest(session->request, "id", &push->id, err) < 0 ||
	    read_compression(session->request, &push->compression, err) < 0)
		return -1;
	if (session->reference.has_digest)
		return err_set(err, ERR_INVALID, "cannot push to a name with a digest");
	if (registries_places(session->registries, &session->reference, true, &push->places, err) <
		    0 ||
	    image_record_get(session->store, &push->id, &push->record, err) < 0 ||
	    image_load(session->store, &push->id, &push->image, err) < 0)
		return -1;
	push->docker = json_is_true(json_object_get(session->request, "docker")) ||
		       (push->record.manifest.size > 0 &&
			push->record.manifest.media == MEDIA_DOCKER_MANIFEST);
	push->remote = remote_new(session, &push->places.items[0], true);
	push->providers = providers_new(session);
	return 0;
}

static int load_manifest(struct push *push, struct err *err)
{
	struct store *store = push->session->store;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (image_manifest(store, &push->id, push->compression, push->docker, &push->manifest_blob,
			   err) < 0 ||
	    blob_read(store, &push->manifest_blob.digest, &text, err) < 0)
		return -1;
	return manifest_parse(text.data, text.len, NULL, &push->manifest, err);
}

/* Whether image_manifest() has nothing to compress. */
static bool manifest_is_known(const struct push *push)
{
	return push->record.manifest.size > 0 &&
	       (push->record.manifest.media == MEDIA_DOCKER_MANIFEST) == push->docker;
}

static int ask_tag(struct push *push, bool *ret_same, struct err *err)
{
	enum media media = push->docker ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST;
	struct digest digest;
	bool known;

	if (remote_head_manifest(push->remote, push->session->reference.tag, media_name(media),
				 &digest, &known, err) < 0)
		return -1;
	*ret_same = known && push->manifest && digest_equal(&digest, &push->manifest_blob.digest);
	return 0;
}

static int send_config(struct push *push, struct err *err)
{
	struct descriptor config = { .digest = push->id };

	if (!blob_exists(push->session->store, &push->id, &config.size))
		return err_set(err, ERR_NOT_FOUND, "the config of the image is not in the store");
	return blob_upload(push->session, push->remote, &config, NULL, err);
}

static int send_layer(struct push *push, size_t i, struct err *err)
{
	const struct image *image = push->image;
	struct descriptor blob;

	for (size_t j = 0; j < i; j++)
		if (digest_equal(&image->diff_ids[j], &image->diff_ids[i]))
			return 0;
	if (push->manifest)
		blob = push->manifest->layers[i];
	else if (layer_blob(push->session->store, &image->diff_ids[i], push->compression, &blob,
			    err) < 0)
		return -1;
	return layer_upload(push->session, push->remote, &image->diff_ids[i], &blob, &push->lenders,
			    push->providers, err);
}

/* The config, which needs no work, and then the layers. */
static int send_part(void *arg, size_t i, struct err *err)
{
	return i == 0 ? send_config(arg, err) : send_layer(arg, i - 1, err);
}

static int send_blobs(struct push *push, struct err *err)
{
	size_t n_parts = 1 + push->image->n_layers;

	/* one lane more, for the config */
	if (session_each(push->session, SESSION_BLOBS + 1, n_parts, send_part, push, err) < 0)
		return -1;
	return push->manifest ? 0 : load_manifest(push, err);
}

/* A web server may answer 200 to everything; a registry names the digest, or knows it after. */
static int check_stored(struct push *push, const struct http_response *response, struct err *err)
{
	const char *told = http_header(response, "docker-content-digest");
	char text[DIGEST_TEXT_MAX];
	struct err ignored = ERR_INIT;
	struct digest digest;
	bool known = true;

	digest_format(&push->manifest_blob.digest, text);
	if (!told || digest_parse(told, &digest, &ignored) < 0) {
		if (remote_head_manifest(push->remote, text, media_name(push->manifest_blob.media),
					 &digest, &known, err) < 0)
			return -1;
	}
	if (!known || !digest_equal(&digest, &push->manifest_blob.digest))
		return err_set(err, ERR_FAILED, "%s does not have the manifest it took",
			       remote_host(push->remote));
	return 0;
}

/* *ret_missing: the registry lost a blob since it was asked for it. */
static int send_manifest(struct push *push, bool *ret_missing, struct err *err)
{
	cleanup_response struct http_response response;
	cleanup_buf struct buf text;

	http_response_init(&response);
	buf_init(&text, IMAGE_DOCUMENT_MAX);
	*ret_missing = false;
	if (blob_read(push->session->store, &push->manifest_blob.digest, &text, err) < 0)
		return -1;
	if (remote_put_manifest(push->remote, push->session->reference.tag,
				media_name(push->manifest_blob.media), text.data, text.len,
				&response, err) < 0)
		return -1;
	if (response.status == 200 || response.status == 201 || response.status == 202)
		return check_stored(push, &response, err);
	*ret_missing = strstr(response.body.data, "MANIFEST_BLOB_UNKNOWN") != NULL;
	return remote_refuse(push->remote, "PUT", &response, err);
}

static int find_helpers(struct push *push, struct err *err)
{
	const struct reference *reference = &push->session->reference;
	struct store *store = push->session->store;
	const struct image *image = push->image;

	if (lenders_find(store, reference, &push->lenders, err) < 0)
		return -1;
	for (size_t i = 0; i < image->n_layers; i++)
		if (lenders_add(&push->lenders, store, reference, &image->diff_ids[i], err) < 0 ||
		    providers_add(push->providers, &image->diff_ids[i], err) < 0)
			return -1;
	return 0;
}

static int send_all(struct push *push, struct err *err)
{
	bool missing;

	if (find_helpers(push, err) < 0 || send_blobs(push, err) < 0)
		return -1;
	if (send_manifest(push, &missing, err) == 0)
		return 0;
	if (!missing)
		return -1;
	http_note(push->session->http, "%s; sending blobs again", err->message);
	err_clear(err);
	lenders_release(&push->lenders); /* what was lent may be what is missing */
	return send_blobs(push, err) < 0 ? -1 : send_manifest(push, &missing, err);
}

/* A name that means this image now also knows what it is called over there. */
static int remember(struct push *push, struct err *err)
{
	struct store *store = push->session->store;
	struct err ignored = ERR_INIT;
	struct image_name name = { 0 };
	char text[REFERENCE_TEXT_MAX];
	bool ours;

	reference_format(&push->session->reference, text);
	ours = image_name_get(store, text, &name, &ignored) == 0 &&
	       digest_equal(&name.id, &push->id) &&
	       !digest_equal(&name.remote, &push->manifest_blob.digest);
	image_name_release(&name);
	return ours ? image_tag(store, text, &push->id, &push->manifest_blob.digest, err) : 0;
}

static int push_image(struct push *push, struct err *err)
{
	bool same;

	if (manifest_is_known(push) && load_manifest(push, err) < 0)
		return -1;
	if (push->manifest && push->manifest->n_layers != push->image->n_layers)
		return err_set(err, ERR_CORRUPT, "the image and its manifest differ in layers");
	if (ask_tag(push, &same, err) < 0)
		return -1;
	if (!same && send_all(push, err) < 0)
		return -1;
	return remember(push, err);
}

int push_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct push push = { 0 };
	char text[DIGEST_TEXT_MAX];
	int rc;

	rc = push_open(&push, session, err);
	if (rc == 0)
		rc = push_image(&push, err);
	push_release(&push);
	if (rc < 0)
		return -1;
	*ret_result = json_object();
	json_object_set_new(*ret_result, "media",
			    json_string(media_name(push.manifest_blob.media)));
	json_object_set_new(*ret_result, "digest",
			    json_string(digest_format(&push.manifest_blob.digest, text)));
	json_object_set_new(*ret_result, "size", json_integer((json_int_t)push.manifest_blob.size));
	return 0;
}
