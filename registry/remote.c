/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/remote.h"

/*
 * Plain HTTP is spoken only to loopback hosts and where it was allowed, and then only after
 * https found nobody who speaks TLS: a certificate that does not hold is never a reason.
 */

#include <stdatomic.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "registry/answer.h"
#include "registry/auth.h"
#include "registry/session.h"

#define QUOTA_LOW 10 /* pulls left before Docker Hub's limit is mentioned */

#define ACCEPT_ALL                                                                                 \
	"Accept: application/vnd.oci.image.index.v1+json, "                                        \
	"application/vnd.oci.image.manifest.v1+json, "                                             \
	"application/vnd.docker.distribution.manifest.list.v2+json, "                              \
	"application/vnd.docker.distribution.manifest.v2+json"

struct remote {
	struct session *session;
	const struct place *place;
	bool push;
	bool insecure;
	bool settled; /* the scheme is known */
	char *origin; /* "https://host:port" */
	char *scope;
	struct auth *auth;
	_Atomic int reach;
};

struct remote *remote_new(struct session *session, const struct place *place, bool push)
{
	struct remote *remote = xcalloc(1, sizeof(*remote));
	struct auth_options options = {
		.http = session->http,
		.creds = { .authfile = session->authfile, .environment = &session->environment },
		.host = strcmp(place->host, "registry-1.docker.io") == 0 ? "docker.io"
									 : place->host,
		.repository = place->repository,
		.reach = &remote->reach,
	};

	remote->session = session;
	remote->place = place;
	remote->push = push;
	remote->insecure = session->insecure || place->insecure;
	options.insecure = remote->insecure;
	remote->settled = !remote->insecure && !url_host_is_loopback(place->host);
	remote->origin = xasprintf("https://%s", place->host);
	remote->scope =
		xasprintf("repository:%s:%s", place->repository, push ? "pull,push" : "pull");
	remote->auth = auth_new(&options);
	atomic_init(&remote->reach, REACH_PUBLIC);
	return remote;
}

void remote_free(struct remote *remote)
{
	if (!remote)
		return;
	auth_free(remote->auth);
	free(remote->origin);
	free(remote->scope);
	free(remote);
}

const char *remote_host(const struct remote *remote)
{
	return remote->place->host;
}

static char *address(const struct remote *remote, const char *suffix)
{
	/* A pull-through mirror may serve several registries: it is told whose name this is. */
	const char *query = remote->place->mirror ? "?ns=" : "";

	return xasprintf("%s/v2/%s/%s%s%s", remote->origin, remote->place->repository, suffix,
			 query, *query ? remote->place->domain : "");
}

static int send_to(struct remote *remote, const char *suffix, struct http_request *request,
		   struct http_response *response, struct err *err)
{
	cleanup_free char *url = NULL;

	if (suffix) {
		url = address(remote, suffix);
		request->url = url;
	}
	return http_send(remote->session->http, request, response, err);
}

/*
 * Find out what is spoken where plain HTTP is allowed: by a handshake alone, so that nothing of
 * a request reaches whoever does not hold a certificate. (It is also quick: the system's
 * certificates, which take longer to read than a small image to fetch, are not needed.)
 */
int remote_settle(struct remote *remote, struct err *err)
{
	struct http_request request = HTTP_REQUEST_INIT;
	cleanup_response struct http_response response;

	http_response_init(&response);
	if (remote->settled)
		return 0;
	request.method = "GET";
	request.url = remote->origin;
	request.reach = &remote->reach;
	request.probe = true;
	request.once = true;
	if (http_exchange(remote->session->http, &request, &response, err) < 0) {
		if (!response.not_tls)
			return -1;
		err_clear(err);
		free(remote->origin);
		remote->origin = xasprintf("http://%s", remote->place->host);
	}
	remote->settled = true;
	return 0;
}

/* Some registries ask for authorization without saying how; their front door does say. */
static int ask_at_door(struct remote *remote, struct http_response *response, struct err *err)
{
	cleanup_free char *url = xasprintf("%s/v2/", remote->origin);
	struct http_request request = HTTP_REQUEST_INIT;

	request.method = "GET";
	request.url = url;
	request.reach = &remote->reach;
	request.insecure = remote->insecure;
	return http_send(remote->session->http, &request, response, err);
}

static int authorize(struct remote *remote, const struct http_response *response, const char *used,
		     const char *scope, bool *ret_again, struct err *err)
{
	cleanup_response struct http_response door;

	http_response_init(&door);
	if (auth_is_asked(response))
		return auth_learn(remote->auth, response, used, scope, ret_again, err);
	*ret_again = false;
	if (used)
		return 0;
	if (ask_at_door(remote, &door, err) < 0)
		return -1;
	if (door.status != 401)
		return 0;
	return auth_learn(remote->auth, &door, used, scope, ret_again, err);
}

/* Whether request->url leads to another origin than the registry's. */
static int is_foreign(struct remote *remote, const char *url, bool *ret_foreign, struct err *err)
{
	cleanup_url struct url parsed = { 0 }, own = { 0 };

	if (url_parse(url, &parsed, err) < 0 || url_parse(remote->origin, &own, err) < 0)
		return -1;
	*ret_foreign = !url_same_origin(&parsed, &own);
	return 0;
}

static int send_scoped(struct remote *remote, const char *suffix, const char *scope,
		       const struct http_request *original, struct http_response *response,
		       struct err *err)
{
	struct http_request request = *original;

	request.reach = &remote->reach;
	request.insecure = remote->insecure;
	request.once |= remote->session->impatient;
	if (remote_settle(remote, err) < 0)
		return -1;
	if (!suffix && is_foreign(remote, request.url, &request.foreign, err) < 0)
		return -1;
	for (unsigned tries = 0;; tries++) {
		cleanup_free char *authorization = NULL;
		bool again;

		if (!request.foreign && auth_header(remote->auth, scope, &authorization, err) < 0)
			return -1;
		request.authorization = authorization;
		if (send_to(remote, suffix, &request, response, err) < 0)
			return -1;
		if (response->status != 401 || request.foreign || tries > 0)
			return 0;
		if (authorize(remote, response, authorization, scope, &again, err) < 0)
			return -1;
		if (!again)
			return 0;
	}
}

int remote_send(struct remote *remote, const char *suffix, const struct http_request *request,
		struct http_response *response, struct err *err)
{
	return send_scoped(remote, suffix, remote->scope, request, response, err);
}

int remote_mount(struct remote *remote, const char *digest, const char *from,
		 struct http_response *response, struct err *err)
{
	/* Our own scope first: some servers read only that one. */
	cleanup_free char *scope = xasprintf("%s repository:%s:pull", remote->scope, from);
	cleanup_free char *suffix = xasprintf("blobs/uploads/?mount=%s&from=%s", digest, from);
	struct http_request request = HTTP_REQUEST_INIT;

	request.method = "POST";
	return send_scoped(remote, suffix, scope, &request, response, err);
}

int remote_refuse(struct remote *remote, const char *method, const struct http_response *response,
		  struct err *err)
{
	cleanup_free char *identity = auth_identity(remote->auth);
	const struct place *place = remote->place;

	answer_refuse(method, response, err);
	if (response->status == 401 && identity)
		return err_wrap(err, "authentication failed for %s (%s)", place->host, identity);
	if (response->status == 401 || response->status == 403)
		return err_wrap(err,
				"%s access denied for %s, repository does not exist or may require "
				"authorization%s",
				remote->push ? "push" : "pull", place->repository,
				identity ? "" : " (no credentials found)");
	return -1;
}

/* --- manifests --------------------------------------------------------------- */

void document_release(struct document *document)
{
	buf_release(&document->text);
	free(document->content_type);
	*document = (struct document){ 0 };
}

static void warn_of_quota(struct remote *remote, const struct http_response *response)
{
	const char *left = http_header(response, "ratelimit-remaining");
	unsigned long long n;

	if (!left || *left < '0' || *left > '9')
		return;
	n = strtoull(left, NULL, 10);
	if (n <= QUOTA_LOW)
		http_note(remote->session->http,
			  "%s: %llu pulls left before its rate limit; log in or use a mirror",
			  remote->place->host, n);
}

static void warn_of_digest(struct remote *remote, const struct http_response *response,
			   const struct digest *computed)
{
	const char *told = http_header(response, "docker-content-digest");
	struct err ignored = ERR_INIT;
	struct digest digest;

	if (!told || digest_parse(told, &digest, &ignored) < 0 || digest_equal(&digest, computed))
		return;
	http_note(remote->session->http, "%s: names another digest than its manifest has",
		  remote->place->host);
}

/* What the body says it is. */
static enum media media_of_body(const struct buf *text)
{
	cleanup_json json_t *root = NULL;
	struct err ignored = ERR_INIT;
	enum media media;

	if (js_parse("manifest", text->data, text->len, &root, &ignored) < 0)
		return MEDIA_UNKNOWN;
	media = media_parse(json_string_value(json_object_get(root, "mediaType")));
	if (media == MEDIA_UNKNOWN && json_is_array(json_object_get(root, "manifests")))
		return MEDIA_OCI_INDEX;
	if (media == MEDIA_UNKNOWN && json_is_array(json_object_get(root, "layers")))
		return MEDIA_OCI_MANIFEST;
	return media;
}

/* Old registries call everything text or JSON; then only the body counts. */
static void take_media(struct document *document, const struct http_response *response)
{
	const char *type = http_header(response, "content-type");
	size_t len = type ? strcspn(type, "; \t") : 0;
	cleanup_free char *name = xstrndup(type ? type : "", len);

	document->media = media_parse(name);
	if (document->media == MEDIA_UNKNOWN && strncmp(name, "application/vnd.", 16) != 0)
		document->media = media_of_body(&document->text);
	else
		document->content_type = steal_pointer(&name);
}

int remote_get_manifest(struct remote *remote, const char *tag, const struct digest *want,
			struct document *ret_document, struct err *err)
{
	static const char *const headers[] = { ACCEPT_ALL, NULL };
	cleanup_response struct http_response response;
	struct http_request request = HTTP_REQUEST_INIT;
	char digest[DIGEST_TEXT_MAX], got[DIGEST_TEXT_MAX];
	cleanup_free char *suffix = NULL;

	http_response_init(&response);
	suffix = xasprintf("manifests/%s", want ? digest_format(want, digest) : tag);
	request.method = "GET";
	request.headers = headers;
	request.body_max = IMAGE_DOCUMENT_MAX;
	if (remote_send(remote, suffix, &request, &response, err) < 0)
		return -1;
	if (response.status != 200)
		return remote_refuse(remote, "GET", &response, err);
	warn_of_quota(remote, &response);
	digest_of(response.body.data, response.body.len, &ret_document->digest);
	if (want && !digest_equal(want, &ret_document->digest))
		return err_set(err, ERR_CORRUPT, "%s: digest mismatch: expected %s, got %s",
			       remote->place->host, digest,
			       digest_format(&ret_document->digest, got));
	warn_of_digest(remote, &response, &ret_document->digest);
	buf_release(&ret_document->text);
	ret_document->text = response.body;
	buf_init(&response.body, 0);
	take_media(ret_document, &response);
	return 0;
}

int remote_head_manifest(struct remote *remote, const char *tag, const char *accept,
			 struct digest *ret_digest, bool *ret_known, struct err *err)
{
	cleanup_free char *own = accept ? xasprintf("Accept: %s", accept) : NULL;
	const char *headers[] = { own ? own : ACCEPT_ALL, NULL };
	cleanup_free char *suffix = xasprintf("manifests/%s", tag);
	cleanup_response struct http_response response;
	struct http_request request = HTTP_REQUEST_INIT;
	struct err ignored = ERR_INIT;
	const char *digest;

	http_response_init(&response);
	*ret_known = false;
	request.method = "HEAD";
	request.headers = headers;
	if (remote_send(remote, suffix, &request, &response, err) < 0)
		return -1;
	digest = http_header(&response, "docker-content-digest");
	*ret_known =
		response.status == 200 && digest && digest_parse(digest, ret_digest, &ignored) == 0;
	return 0;
}

int remote_put_manifest(struct remote *remote, const char *tag, const char *type, const char *text,
			size_t len, struct http_response *response, struct err *err)
{
	cleanup_free char *header = xasprintf("Content-Type: %s", type);
	cleanup_free char *suffix = xasprintf("manifests/%s", tag);
	const char *headers[] = { header, NULL };
	struct http_request request = HTTP_REQUEST_INIT;

	request.method = "PUT";
	request.headers = headers;
	request.body = text;
	request.body_size = len;
	return remote_send(remote, suffix, &request, response, err);
}
