/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/transfer.h"

/*
 * A blob comes through a chain that counts it (never more than its descriptor says) and digests
 * it on its way to the disk. When the connection breaks, the digest so far is kept and the rest
 * is asked for by Range:
 *
 *  1. Only 206 with exactly the bytes asked for goes on where it stopped; 200 begins again.
 *  2. A range that begins at the end is never asked for (docker-registry 2.8.2 answers it wrong).
 *  3. It is tried again while there is progress: after the first break, after a mebibyte more, or
 *     after a minute; ten times at most.
 */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "layers/media.h"
#include "layers/store.h"
#include "registry/http.h"
#include "registry/remote.h"
#include "registry/session.h"

#define RECONNECTS_MAX 10
#define PROGRESS_BYTES (1 << 20)
#define PROGRESS_NS    (60 * 1000000000ull)
#define RECONNECT_MS   1000
#define EVENT_NS       (100 * 1000000ull)

struct download {
	struct sink sink; /* counts, then hands on to the writer's */
	struct session *session;
	const struct descriptor *blob;
	struct blob_writer *writer;
	uint64_t received; /* bytes given to the writer */
	uint64_t told_at;
	unsigned reconnects;
	uint64_t broken_at_bytes, broken_at_ns;
};

static int start_over(struct download *download, struct err *err)
{
	blob_writer_free(steal_pointer(&download->writer));
	download->received = 0;
	return blob_writer_open(download->session->store, &download->writer, err);
}

static int download_write(struct sink *sink, const void *data, size_t len, struct err *err)
{
	struct download *download = (struct download *)sink;
	char text[DIGEST_TEXT_MAX];
	uint64_t now;

	if (len > download->blob->size - download->received)
		return err_set(err, ERR_CORRUPT,
			       "blob %s is larger than its descriptor says (%llu bytes)",
			       digest_format(&download->blob->digest, text),
			       (unsigned long long)download->blob->size);
	if (sink_write(blob_writer_sink(download->writer), data, len, err) < 0)
		return -1;
	download->received += len;
	now = clock_monotonic_ns();
	if (now - download->told_at >= EVENT_NS) {
		download->told_at = now;
		session_event(download->session, TRANSPORT_MOVING, &download->blob->digest,
			      download->received, download->blob->size);
	}
	return 0;
}

static int download_finish(struct sink *sink, struct err *err)
{
	(void)sink;
	(void)err;
	return 0;
}

/* A number at *text, moved past it. */
static bool take_number(const char **text, uint64_t *ret_number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*ret_number = strtoull(*text, &end, 10);
	*text = end;
	return true;
}

/* "bytes first-last/total" for all from first on. */
static bool range_is(const char *range, uint64_t first, uint64_t size)
{
	uint64_t begin, last, total;

	if (!range || strncasecmp(range, "bytes ", 6) != 0)
		return false;
	range += 6;
	if (!take_number(&range, &begin) || *range++ != '-' || !take_number(&range, &last) ||
	    *range++ != '/' || begin != first || last + 1 != size)
		return false;
	if (strcmp(range, "*") == 0)
		return true;
	return take_number(&range, &total) && !*range && total == size;
}

/* Before the first byte of an answer: is it the part that was asked for? */
static int download_accept(void *arg, const struct http_response *response, struct err *err)
{
	struct download *download = arg;

	if (response->status == 206 && download->received > 0) {
		if (range_is(http_header(response, "content-range"), download->received,
			     download->blob->size))
			return 0;
		return err_set(err, ERR_CORRUPT, "it answered with another range than asked for");
	}
	if (response->status != 200)
		return err_set(err, ERR_FAILED, "unexpected status %d", response->status);
	return download->received > 0 ? start_over(download, err) : 0;
}

static int request_blob(struct download *download, struct remote *remote,
			struct http_response *response, struct err *err)
{
	struct http_request request = HTTP_REQUEST_INIT;
	char text[DIGEST_TEXT_MAX], range[64], suffix[DIGEST_TEXT_MAX + 8];
	const char *headers[] = { "Accept-Encoding: identity", NULL, NULL };

	snprintf(suffix, sizeof(suffix), "blobs/%s", digest_format(&download->blob->digest, text));
	if (download->received > 0 && download->received < download->blob->size) {
		snprintf(range, sizeof(range), "Range: bytes=%llu-",
			 (unsigned long long)download->received);
		headers[1] = range;
	}
	request.method = "GET";
	request.headers = headers;
	request.sink = &download->sink;
	request.accept = download_accept;
	request.accept_arg = download;
	return remote_send(remote, suffix, &request, response, err);
}

/* Whether the broken transfer deserves another connection; if so, it has waited. */
static bool reconnect(struct download *download, const struct err *why)
{
	uint64_t now = clock_monotonic_ns();
	struct err ignored = ERR_INIT;
	bool progress = !download->reconnects ||
			download->received >= download->broken_at_bytes + PROGRESS_BYTES ||
			now - download->broken_at_ns >= PROGRESS_NS;

	if (!progress || ++download->reconnects > RECONNECTS_MAX)
		return false;
	download->broken_at_bytes = download->received;
	download->broken_at_ns = now;
	http_note(download->session->http, "%s; going on", why->message);
	return http_sleep(download->session->http, RECONNECT_MS, &ignored) == 0;
}

static int commit(struct download *download, const char *host, struct err *err)
{
	struct digest digest;
	uint64_t size;

	if (blob_writer_commit(download->writer, &download->blob->digest, &digest, &size, err) < 0)
		return err_wrap(err, err->kind == ERR_CORRUPT ? "%s: digest mismatch" : "%s", host);
	return 0;
}

/* One try: 1 when all bytes are there, 0 when it broke off with *err saying how. */
static int receive(struct download *download, struct remote *remote, struct err *err)
{
	cleanup_response struct http_response response;
	char text[DIGEST_TEXT_MAX];

	http_response_init(&response);
	if (request_blob(download, remote, &response, err) < 0) {
		if (download->received == download->blob->size && response.flowing &&
		    response.transient)
			return 1; /* the digest will tell */
		return response.transient && response.flowing ? 0 : -1;
	}
	if (response.status == 416 && download->received > 0)
		return start_over(download, err) < 0 ? -1 : 0;
	if (response.status / 100 != 2)
		return remote_refuse(remote, "GET", &response, err);
	if (download->received == download->blob->size)
		return 1;
	err_set(err, ERR_CORRUPT, "blob %s from %s ends after %llu of %llu bytes",
		digest_format(&download->blob->digest, text), remote_host(remote),
		(unsigned long long)download->received, (unsigned long long)download->blob->size);
	return 0;
}

static int download_from(struct download *download, struct remote *remote, struct err *err)
{
	if (start_over(download, err) < 0)
		return -1;
	download->reconnects = 0;
	for (;;) {
		int rc = receive(download, remote, err);

		if (rc == 1)
			return commit(download, remote_host(remote), err);
		if (rc < 0 || !reconnect(download, err))
			return -1;
		err_clear(err);
	}
}

/* Whether another registry could do better. */
static bool elsewhere(const struct err *err)
{
	return err->kind == ERR_CORRUPT || err->kind == ERR_FAILED || err->kind == ERR_DENIED ||
	       err->kind == ERR_NOT_FOUND;
}

static int download_from_any(struct download *download, struct remote *const *remotes, size_t n,
			     struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (download_from(download, remotes[i], err) == 0)
			return 0;
		if (i + 1 == n || !elsewhere(err))
			break;
		http_note(download->session->http, "%s; asking %s", err->message,
			  remote_host(remotes[i + 1]));
		err_clear(err);
	}
	return -1;
}

int blob_download(struct session *session, struct remote *const *remotes, size_t n,
		  const struct descriptor *blob, struct err *err)
{
	struct download download = { .sink = { download_write, download_finish },
				     .session = session,
				     .blob = blob };
	char hex[DIGEST_HEX_MAX], name[DIGEST_HEX_MAX + 8];
	cleanup_fd int lock = -1;
	uint64_t size;
	int rc;

	snprintf(name, sizeof(name), "blob.%s", digest_hex(&blob->digest, hex));
	if (store_lock(session->store, name, true, false, &lock, err) < 0)
		return -1;
	if (blob_exists(session->store, &blob->digest, &size)) {
		if (size == blob->size) {
			session_event(session, TRANSPORT_EXISTS, &blob->digest, size, size);
			return 0;
		}
		/* Cut by a power failure, or the descriptor lies: then the digest will tell. */
		if (blob_remove(session->store, &blob->digest, err) < 0)
			return -1;
	}
	rc = download_from_any(&download, remotes, n, err);
	blob_writer_free(download.writer);
	if (rc == 0)
		session_event(session, TRANSPORT_DONE, &blob->digest, blob->size, blob->size);
	return rc;
}
