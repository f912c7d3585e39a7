/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/session.h"

/*
 * A file by its URL, for ADD and contexts. Whoever wrote the URL decides which host is asked; the
 * answer decides nothing but where else to look, and that no further inside the network.
 *
 *  1. With the validators of an earlier answer, 304 ends it: what is here is right.
 *  2. A broken transfer goes on by Range only when If-Range can promise the same bytes: a strong
 *     ETag. Else it begins again. Only while there is progress, and ten times at most.
 */

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sink.h"
#include "layers/store.h"
#include "registry/answer.h"
#include "registry/http.h"

#define RECONNECTS_MAX 10
#define RECONNECT_MS   1000
#define PROGRESS_BYTES (1 << 20)
#define EVENT_NS       (100 * 1000000ull)
#define VALIDATOR_MAX  1024 /* bytes of an ETag or a date that are kept */

struct fetch {
	struct sink sink; /* counts, then hands on to the writer's */
	struct session *session;
	const char *url, *etag, *modified, *authorization;
	uint64_t max;
	struct url parsed;
	char *shown;
	_Atomic int reach;
	struct blob_writer *writer;
	uint64_t received, total; /* total is 0 while it is not known */
	uint64_t told_at;
	char *strong; /* ETag of what is received */
	unsigned reconnects;
	uint64_t broken_at_bytes;
};

static void fetch_release(struct fetch *fetch)
{
	url_release(&fetch->parsed);
	blob_writer_free(fetch->writer);
	free(fetch->shown);
	free(fetch->strong);
}

static int start_over(struct fetch *fetch, struct err *err)
{
	blob_writer_free(steal_pointer(&fetch->writer));
	fetch->received = 0;
	return blob_writer_open(fetch->session->store, &fetch->writer, err);
}

static int too_large(const struct fetch *fetch, struct err *err)
{
	return err_set(err, ERR_LIMIT, "it is larger than %llu bytes",
		       (unsigned long long)fetch->max);
}

static int fetch_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct fetch *fetch = (struct fetch *)sink;
	uint64_t now;

	if (len > fetch->max - fetch->received)
		return too_large(fetch, err);
	if (sink_write(blob_writer_sink(fetch->writer), data, len, err) < 0)
		return -1;
	fetch->received += len;
	now = clock_monotonic_ns();
	if (now - fetch->told_at >= EVENT_NS) {
		fetch->told_at = now;
		session_named_event(fetch->session, TRANSPORT_MOVING, fetch->shown, fetch->received,
				    fetch->total);
	}
	return 0;
}

static int fetch_finish(struct sink *sink, struct err *err)
{
	(void)sink;
	(void)err;
	return 0;
}

/* Content-Length; 0 when it is not told. */
static uint64_t content_length(const struct http_response *response)
{
	const char *text = http_header(response, "content-length");
	char *end;
	unsigned long long number;

	if (!text || *text < '0' || *text > '9')
		return 0;
	number = strtoull(text, &end, 10);
	return *end ? 0 : number;
}

/* "bytes FIRST-..." of what was asked for. */
static bool range_begins_at(const char *range, uint64_t first)
{
	char *end;

	if (!range || strncasecmp(range, "bytes ", 6) != 0 || range[6] < '0' || range[6] > '9')
		return false;
	return strtoull(range + 6, &end, 10) == first && *end == '-';
}

/* Before the first byte of an answer. */
static int fetch_accept(void *arg, const struct http_response *response, struct err *err)
{
	struct fetch *fetch = arg;
	const char *etag = http_header(response, "etag");
	uint64_t length = content_length(response);

	if (response->status == 206 && fetch->received > 0) {
		if (range_begins_at(http_header(response, "content-range"), fetch->received))
			return 0;
		return err_set(err, ERR_CORRUPT, "it answered with another range than asked for");
	}
	if (response->status != 200)
		return err_set(err, ERR_FAILED, "unexpected status %d", response->status);
	if (length > fetch->max)
		return too_large(fetch, err);
	fetch->total = length;
	free(fetch->strong);
	fetch->strong =
		etag && *etag == '"' && strlen(etag) <= VALIDATOR_MAX ? xstrdup(etag) : NULL;
	return fetch->received > 0 ? start_over(fetch, err) : 0;
}

static int ask(struct fetch *fetch, struct http_response *response, struct err *err)
{
	struct http_request request = HTTP_REQUEST_INIT;
	cleanup_strv struct strv headers = STRV_INIT;

	strv_add(&headers, "Accept-Encoding: identity");
	if (fetch->received > 0 && fetch->strong) {
		strv_addf(&headers, "Range: bytes=%llu-", (unsigned long long)fetch->received);
		strv_addf(&headers, "If-Range: %s", fetch->strong);
	} else if (!fetch->received && fetch->etag) {
		strv_addf(&headers, "If-None-Match: %s", fetch->etag);
	} else if (!fetch->received && fetch->modified) {
		strv_addf(&headers, "If-Modified-Since: %s", fetch->modified);
	}
	request.method = "GET";
	request.url = fetch->parsed.text;
	request.headers = (const char *const *)headers.v;
	request.authorization = fetch->authorization;
	request.reach = &fetch->reach;
	request.sink = &fetch->sink;
	request.accept = fetch_accept;
	request.accept_arg = fetch;
	return http_send(fetch->session->http, &request, response, err);
}

/* Whether the broken transfer deserves another connection; if so, it has waited. */
static bool reconnect(struct fetch *fetch, const struct err *why)
{
	struct err ignored = ERR_INIT;
	bool progress =
		!fetch->reconnects || fetch->received >= fetch->broken_at_bytes + PROGRESS_BYTES;

	if (!progress || ++fetch->reconnects > RECONNECTS_MAX)
		return false;
	fetch->broken_at_bytes = fetch->strong ? fetch->received : 0;
	http_note(fetch->session->http, "%s; going on", why->message);
	return http_sleep(fetch->session->http, RECONNECT_MS, &ignored) == 0;
}

/* A header that is kept as a validator: of sane length, and nothing a header line cannot hold. */
static void keep_header(json_t *result, const char *key, const struct http_response *response,
			const char *name)
{
	const char *text = http_header(response, name);

	if (!text || !*text || strlen(text) > VALIDATOR_MAX)
		return;
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return;
	json_object_set_new(result, key, json_string(text)); /* what is not UTF-8 is not kept */
}

static int commit(struct fetch *fetch, const struct http_response *response, json_t **ret_result,
		  struct err *err)
{
	const char *modified = http_header(response, "last-modified");
	time_t mtime = modified ? curl_getdate(modified, NULL) : -1;
	char text[DIGEST_TEXT_MAX];
	struct digest digest;
	uint64_t size;

	if (blob_writer_commit(fetch->writer, NULL, &digest, &size, err) < 0)
		return -1;
	*ret_result = json_object();
	json_object_set_new(*ret_result, "digest", json_string(digest_format(&digest, text)));
	json_object_set_new(*ret_result, "size", json_integer((json_int_t)size));
	json_object_set_new(*ret_result, "mtime", json_integer(mtime > 0 ? mtime : 0));
	keep_header(*ret_result, "etag", response, "etag");
	keep_header(*ret_result, "modified", response, "last-modified");
	session_named_event(fetch->session, TRANSPORT_DONE, fetch->shown, size, size);
	return 0;
}

/* 1: there is a result; 0: it broke off and can go on; -1. */
static int receive(struct fetch *fetch, json_t **ret_result, struct err *err)
{
	cleanup_response struct http_response response;

	http_response_init(&response);
	if (ask(fetch, &response, err) < 0)
		return response.transient && response.flowing ? 0 : -1;
	if (response.status == 304 && (fetch->etag || fetch->modified) && !fetch->received) {
		*ret_result = json_object();
		json_object_set_new(*ret_result, "unchanged", json_true());
		return 1;
	}
	if (response.status == 416 && fetch->received > 0)
		return err_set(err, ERR_FAILED, "%s changed while it was fetched", fetch->shown);
	if (response.status / 100 != 2)
		return answer_refuse("GET", &response, err);
	if (!response.flowing && response.status != 200) /* 200 without a body is an empty file */
		return err_set(err, ERR_FAILED, "GET %s: unexpected status %d", fetch->shown,
			       response.status);
	return commit(fetch, &response, ret_result, err) < 0 ? -1 : 1;
}

static int fetch_all(struct fetch *fetch, json_t **ret_result, struct err *err)
{
	int rc;

	if (url_parse(fetch->url, &fetch->parsed, err) < 0)
		return -1;
	fetch->shown = url_shown(&fetch->parsed);
	if (start_over(fetch, err) < 0)
		return -1;
	for (;;) {
		rc = receive(fetch, ret_result, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (!reconnect(fetch, err))
			return -1;
		err_clear(err);
	}
}

int fetch_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct fetch fetch = { .sink = { fetch_write, fetch_finish }, .session = session };
	int rc;

	if (js_string(session->request, "url", "", &fetch.url, err) < 0 ||
	    js_string(session->request, "etag", NULL, &fetch.etag, err) < 0 ||
	    js_string(session->request, "modified", NULL, &fetch.modified, err) < 0 ||
	    js_string(session->request, "authorization", NULL, &fetch.authorization, err) < 0 ||
	    js_uint(session->request, "max", 0, &fetch.max, err) < 0)
		return -1;
	atomic_init(&fetch.reach, REACH_PUBLIC);
	rc = fetch_all(&fetch, ret_result, err);
	fetch_release(&fetch);
	return rc;
}
