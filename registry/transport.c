/* SPDX-License-Identifier: GPL-2.0-or-later */
/* registry/transport.c: what is asked of the helper: a request made, its result taken apart. */
#include "registry/transport.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/call.h"
#include "registry/protocol.h"
#include "registry/reference.h"

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

/* What jansson has a copy of is wiped there. */
static void forget_text(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text)
		explicit_bzero((char *)text, strlen(text));
}

json_t *helper_request(const struct transport_options *options, const char *op,
		       const struct reference *reference)
{
	char name[REFERENCE_TEXT_MAX];
	json_t *request = json_object();

	set_text(request, "op", op);
	if (reference)
		set_text(request, "reference", reference_format(reference, name));
	set_text(request, "authfile", options->authfile);
	set_text(request, "registries_conf", options->registries_conf);
	if (options->insecure)
		json_object_set_new(request, "insecure", json_true());
	return request;
}

int transport_resolve(const struct transport_options *options, struct store *store,
		      const struct reference *reference, struct digest *ret_digest, struct err *err)
{
	cleanup_json json_t *request = helper_request(options, OP_RESOLVE, reference);
	cleanup_json json_t *result = NULL;

	if (helper_call(options, store, request, NULL, NULL, &result, err) < 0)
		return -1;
	return js_digest(result, "digest", ret_digest, err);
}

static int pull(const struct transport_options *options, struct store *store,
		const struct reference *reference, bool nameless, transport_listener *listener,
		void *arg, struct transport_image *ret_image, struct err *err)
{
	cleanup_json json_t *request = helper_request(options, OP_PULL, reference);
	cleanup_json json_t *result = NULL;
	struct transport_image image;
	char platform[PLATFORM_TEXT_MAX];

	if (options->platform)
		set_text(request, "platform", platform_format(options->platform, platform));
	if (options->lazy || nameless)
		json_object_set_new(request, "lazy", json_true());
	if (nameless)
		json_object_set_new(request, "nameless", json_true());
	if (helper_call(options, store, request, listener, arg, &result, err) < 0)
		return -1;
	if (js_digest(result, "id", &image.id, err) < 0 ||
	    js_digest(result, "manifest", &image.manifest, err) < 0 ||
	    js_digest(result, "remote", &image.remote, err) < 0)
		return -1;
	*ret_image = image;
	return 0;
}

int transport_pull(const struct transport_options *options, struct store *store,
		   const struct reference *reference, transport_listener *listener, void *arg,
		   struct transport_image *ret_image, struct err *err)
{
	return pull(options, store, reference, false, listener, arg, ret_image, err);
}

int transport_peek(const struct transport_options *options, struct store *store,
		   const struct reference *reference, struct transport_image *ret_image,
		   struct err *err)
{
	return pull(options, store, reference, true, NULL, NULL, ret_image, err);
}

int transport_fetch_layers(const struct transport_options *options, struct store *store,
			   const struct digest *diff_ids, size_t n, transport_listener *listener,
			   void *arg, struct err *err)
{
	cleanup_json json_t *request = helper_request(options, OP_LAYERS, NULL);
	cleanup_json json_t *result = NULL;
	json_t *missing = json_array();
	char text[DIGEST_TEXT_MAX];

	json_object_set_new(request, "diff_ids", missing);
	for (size_t i = 0; i < n; i++)
		if (!layer_present(store, &diff_ids[i]))
			json_array_append_new(missing,
					      json_string(digest_format(&diff_ids[i], text)));
	if (!json_array_size(missing))
		return 0;
	return helper_call(options, store, request, listener, arg, &result, err);
}

int transport_push(const struct transport_options *options, struct store *store,
		   const struct digest *id, const struct reference *reference,
		   transport_listener *listener, void *arg, struct descriptor *ret_manifest,
		   struct err *err)
{
	static const char *const compressions[] = PROTOCOL_COMPRESSIONS;
	cleanup_json json_t *request = helper_request(options, OP_PUSH, reference);
	cleanup_json json_t *result = NULL;
	struct descriptor manifest = { 0 };
	char text[DIGEST_TEXT_MAX];
	const char *media;

	set_text(request, "id", digest_format(id, text));
	set_text(request, "compression", compressions[options->compression]);
	if (options->docker_format)
		json_object_set_new(request, "docker", json_true());
	if (helper_call(options, store, request, listener, arg, &result, err) < 0)
		return -1;
	if (js_string(result, "media", "", &media, err) < 0 ||
	    js_digest(result, "digest", &manifest.digest, err) < 0 ||
	    js_uint(result, "size", 0, &manifest.size, err) < 0)
		return -1;
	manifest.media = media_parse(media);
	*ret_manifest = manifest;
	return 0;
}

int transport_fetch(const struct transport_options *options, struct store *store,
		    const struct transport_url *url, transport_listener *listener, void *arg,
		    struct transport_file *ret_file, struct err *err)
{
	cleanup_json json_t *request = json_object();
	cleanup_json json_t *result = NULL;
	struct transport_file file = { 0 };
	const char *etag, *modified;
	uint64_t mtime;
	int rc;

	set_text(request, "op", OP_FETCH);
	set_text(request, "url", url->url);
	if (!json_object_get(request, "url"))
		return err_set(err, ERR_INVALID, "a URL that is not UTF-8");
	set_text(request, "etag", url->etag);
	set_text(request, "modified", url->modified);
	set_text(request, "authorization", url->authorization);
	json_object_set_new(request, "max", json_integer((json_int_t)url->max));
	rc = helper_call(options, store, request, listener, arg, &result, err);
	forget_text(request, "authorization");
	if (rc < 0)
		return -1;
	file.unchanged = json_is_true(json_object_get(result, "unchanged"));
	if (!file.unchanged && js_digest(result, "digest", &file.digest, err) < 0)
		return -1;
	if (js_uint(result, "size", 0, &file.size, err) < 0 ||
	    js_uint(result, "mtime", 0, &mtime, err) < 0 ||
	    js_string(result, "etag", NULL, &etag, err) < 0 ||
	    js_string(result, "modified", NULL, &modified, err) < 0)
		return -1;
	file.mtime = (int64_t)mtime;
	file.etag = etag ? xstrdup(etag) : NULL;
	file.modified = modified ? xstrdup(modified) : NULL;
	*ret_file = file;
	return 0;
}

void transport_file_release(struct transport_file *file)
{
	free(file->etag);
	free(file->modified);
	*file = (struct transport_file){ 0 };
}
