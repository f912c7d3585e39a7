/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/transfer.h"

/*
 * HEAD; if it is not there, and another repository of the registry is known to have it: POST with
 * mount, which may be all. Else POST opens a session, one PUT sends all of it. The server may
 * refuse before many bytes are sent (Expect: 100-continue). Whatever goes wrong later, the session
 * is given up and a new one begins with the first byte: what a broken one holds differs between
 * registries. Those that want no body in the PUT get PATCH, then PUT.
 *
 * The session's URL is a secret that belongs to the registry: it may be on another host, which
 * then sees no credentials and must pass the guard.
 */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/media.h"
#include "layers/store.h"
#include "registry/http.h"
#include "registry/lenders.h"
#include "registry/providers.h"
#include "registry/remote.h"
#include "registry/retry.h"
#include "registry/session.h"

#define SESSIONS_MAX 4
#define EVENT_NS     (100 * 1000000ull)

struct upload {
	struct session *session;
	struct remote *remote;
	const struct descriptor *blob;
	char digest[DIGEST_TEXT_MAX];
	int fd;
	const char *mount_from; /* a repository that has it, or NULL */
	bool patch;		/* the registry wants no body in the PUT */
	uint64_t told_at;
};

enum outcome {
	OUTCOME_DONE,
	OUTCOME_AGAIN, /* with a new session */
	OUTCOME_FAILED,
};

static int remote_has(struct upload *upload, bool *ret_has, struct err *err)
{
	cleanup_response struct http_response response;
	struct http_request request = HTTP_REQUEST_INIT;
	char suffix[DIGEST_TEXT_MAX + 8];
	const char *length;

	http_response_init(&response);
	snprintf(suffix, sizeof(suffix), "blobs/%s", upload->digest);
	request.method = "HEAD";
	if (remote_send(upload->remote, suffix, &request, &response, err) < 0)
		return -1;
	length = http_header(&response, "content-length");
	*ret_has = response.status == 200 &&
		   (!length || strtoull(length, NULL, 10) == upload->blob->size);
	return 0;
}

/* Where the answer says that the upload goes on. */
static int take_location(const struct http_response *response, char **ret_url, struct err *err)
{
	const char *location = http_header(response, "location");
	cleanup_url struct url url = { 0 };
	const struct url *from = &response->url;

	if (!location || !*location)
		return err_set(err, ERR_FAILED, "%s did not return an upload location", from->host);
	if (url_resolve(from->text, location, &url, err) < 0)
		return err_wrap(err, "the upload location of %s", from->host);
	if (strcmp(from->scheme, "https") == 0 && strcmp(url.scheme, "http") == 0) {
		/* A registry behind a proxy that ends TLS may not know how it is reached. */
		if (strcmp(url.host, from->host) != 0)
			return err_set(err, ERR_DENIED, "the upload location of %s is without TLS",
				       from->host);
		*ret_url = xasprintf("https%s", url.text + strlen("http"));
		return 0;
	}
	*ret_url = steal_pointer(&url.text);
	return 0;
}

/* *ret_url stays NULL unless the registry answered with an ordinary session. No failure counts. */
static bool is_mounted(struct upload *upload, char **ret_url)
{
	cleanup_response struct http_response response;
	struct err ignored = ERR_INIT;

	http_response_init(&response);
	if (!upload->mount_from || remote_mount(upload->remote, upload->digest, upload->mount_from,
						&response, &ignored) < 0)
		return false;
	upload->mount_from = NULL;
	if (response.status == 202 && take_location(&response, ret_url, &ignored) < 0)
		*ret_url = NULL;
	return response.status == 201;
}

static int open_session(struct upload *upload, char **ret_url, struct err *err)
{
	cleanup_response struct http_response response;
	struct http_request request = HTTP_REQUEST_INIT;

	http_response_init(&response);
	request.method = "POST";
	if (remote_send(upload->remote, "blobs/uploads/", &request, &response, err) < 0)
		return -1;
	if (response.status != 202 && response.status != 201)
		return remote_refuse(upload->remote, "POST", &response, err);
	return take_location(&response, ret_url, err);
}

static void on_progress(void *arg, uint64_t current)
{
	struct upload *upload = arg;
	uint64_t now = clock_monotonic_ns();

	if (now - upload->told_at < EVENT_NS)
		return;
	upload->told_at = now;
	session_event(upload->session, TRANSPORT_MOVING, &upload->blob->digest, current,
		      upload->blob->size);
}

static int send_bytes(struct upload *upload, const char *method, const char *url,
		      struct http_response *response, struct err *err)
{
	static const char *const headers[] = { "Content-Type: application/octet-stream", NULL };
	struct http_request request = HTTP_REQUEST_INIT;

	request.method = method;
	request.url = url;
	request.headers = headers;
	request.body_fd = upload->fd;
	request.body_size = upload->blob->size;
	request.once = true;
	request.progress = on_progress;
	request.progress_arg = upload;
	return remote_send(upload->remote, NULL, &request, response, err);
}

static int send_empty_put(struct upload *upload, const char *url, struct http_response *response,
			  struct err *err)
{
	struct http_request request = HTTP_REQUEST_INIT;

	request.method = "PUT";
	request.url = url;
	request.once = true;
	return remote_send(upload->remote, NULL, &request, response, err);
}

static char *with_digest(const struct upload *upload, const char *url)
{
	return xasprintf("%s%cdigest=%s", url, strchr(url, '?') ? '&' : '?', upload->digest);
}

/* PATCH with all bytes, then a PUT that names the digest. */
static int patch_and_put(struct upload *upload, const char *url, struct http_response *response,
			 struct err *err)
{
	cleanup_free char *next = NULL, *last = NULL;

	if (send_bytes(upload, "PATCH", url, response, err) < 0)
		return -1;
	if (response->status / 100 != 2)
		return 0;
	if (take_location(response, &next, err) < 0)
		return -1;
	last = with_digest(upload, next);
	return send_empty_put(upload, last, response, err);
}

static int check_digest(struct upload *upload, const struct http_response *response,
			struct err *err)
{
	const char *told = http_header(response, "docker-content-digest");

	if (told && strncmp(told, "sha256:", 7) == 0 && strcmp(told, upload->digest) != 0)
		return err_set(err, ERR_CORRUPT, "%s stored blob %s under another digest",
			       remote_host(upload->remote), upload->digest);
	return 0;
}

static enum outcome judge(struct upload *upload, const struct http_response *response,
			  struct err *err)
{
	switch (response->status) {
	case 200:
	case 201:
	case 202:
	case 204:
		return check_digest(upload, response, err) < 0 ? OUTCOME_FAILED : OUTCOME_DONE;
	case 405:
	case 411:
	case 413:
	case 501:
		if (upload->patch)
			break;
		upload->patch = true;
		remote_refuse(upload->remote, "PUT", response, err);
		return OUTCOME_AGAIN;
	default:
		break;
	}
	remote_refuse(upload->remote, "PUT", response, err);
	return retry_status(response->status) || response->status == 404 || response->status == 416
		       ? OUTCOME_AGAIN
		       : OUTCOME_FAILED;
}

/* Only now: what the registry has, or is lent, need not be in the store. */
static int open_bytes(struct upload *upload, struct err *err)
{
	cleanup_fd int fd = -1;
	uint64_t size;

	if (blob_open(upload->session->store, &upload->blob->digest, &fd, &size, err) < 0)
		return -1;
	if (size != upload->blob->size)
		return err_set(err, ERR_CORRUPT, "blob %s in the store has %llu bytes, not %llu",
			       upload->digest, (unsigned long long)size,
			       (unsigned long long)upload->blob->size);
	upload->fd = steal_fd(&fd);
	return 0;
}

static enum outcome run_session(struct upload *upload, struct err *err)
{
	cleanup_response struct http_response response;
	cleanup_free char *url = NULL, *last = NULL;
	int rc;

	http_response_init(&response);
	if (is_mounted(upload, &url))
		return OUTCOME_DONE;
	if (upload->fd < 0 && open_bytes(upload, err) < 0)
		return OUTCOME_FAILED;
	if (!url && open_session(upload, &url, err) < 0)
		return OUTCOME_FAILED;
	if (upload->patch) {
		rc = patch_and_put(upload, url, &response, err);
	} else {
		last = with_digest(upload, url);
		rc = send_bytes(upload, "PUT", last, &response, err);
	}
	if (rc < 0)
		return response.transient ? OUTCOME_AGAIN : OUTCOME_FAILED;
	return judge(upload, &response, err);
}

static int send_blob(struct upload *upload, struct err *err)
{
	for (unsigned sessions = 1;; sessions++) {
		enum outcome outcome = run_session(upload, err);
		bool has;

		if (outcome == OUTCOME_DONE)
			return 0;
		if (outcome == OUTCOME_FAILED || sessions == SESSIONS_MAX)
			return -1;
		http_note(upload->session->http, "%s; trying again", err->message);
		err_clear(err);
		if (!upload->patch &&
		    http_sleep(upload->session->http, retry_backoff_ms(sessions - 1), err) < 0)
			return -1;
		/* It may have arrived although the answer did not. */
		if (remote_has(upload, &has, err) < 0)
			return -1;
		if (has)
			return 0;
	}
}

int blob_upload(struct session *session, struct remote *remote, const struct descriptor *blob,
		const char *mount_from, struct err *err)
{
	struct upload upload = { .session = session,
				 .remote = remote,
				 .blob = blob,
				 .fd = -1,
				 .mount_from = mount_from };
	bool has;
	int rc;

	digest_format(&blob->digest, upload.digest);
	session_event(session, TRANSPORT_WAITING, &blob->digest, 0, blob->size);
	if (remote_has(&upload, &has, err) < 0)
		return -1;
	if (has) {
		session_event(session, TRANSPORT_EXISTS, &blob->digest, blob->size, blob->size);
		return 0;
	}
	rc = send_blob(&upload, err);
	file_close_at(&upload.fd);
	if (rc < 0)
		return -1;
	session_event(session, TRANSPORT_DONE, &blob->digest, blob->size, blob->size);
	return 0;
}

int layer_upload(struct session *session, struct remote *remote, const struct digest *diff_id,
		 const struct descriptor *blob, const struct lenders *lenders,
		 struct providers *providers, struct err *err)
{
	const char *lender = lenders_of(lenders, &blob->digest);

	if (blob_upload(session, remote, blob, lender, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND || blob_exists(session->store, &blob->digest, NULL))
		return -1;
	err_clear(err);
	return providers_fetch(providers, diff_id, &blob->digest, err) < 0
		       ? -1
		       : blob_upload(session, remote, blob, NULL, err);
}
