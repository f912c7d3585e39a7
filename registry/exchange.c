/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/internal.h"

/*
 * One exchange with libcurl's easy interface. Its rules, which the callbacks below hold:
 *
 *  1. A body is passed on only after its status and headers are complete and were accepted.
 *  2. Nothing from outside grows without a limit: headers, bodies in memory, time without bytes.
 *  3. An answer that was complete counts although our upload broke off: it says why.
 *  4. No connection to an address that the guard refuses, be it new or kept.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "registry/proxy.h"

#define HTTP_HEADERS_MAX     65536 /* bytes, all header lines of one exchange */
#define HTTP_ERROR_BODY_MAX  65536 /* bytes kept of a refusal's body */
#define HTTP_CONNECT_SECONDS 30
#define HTTP_PROBE_SECONDS   5
#define HTTP_HASHING_RATE    1000000 /* bytes per second a server may take to digest an upload */
#define HTTP_BUFFER	     524288
#define HTTP_EXPECT_MS	     5000
#define HTTP_EXPECT_MIN	     (64 * 1024) /* bytes of a body that waits until it is asked for */

struct exchange {
	struct http *http;
	const struct http_request *request;
	struct http_response *response;
	struct err *err;
	bool refused; /* a callback failed and filled *err */
	bool cut;     /* the body passed its limit */
	bool stalled;
	bool proxied;
	size_t header_bytes;
	uint64_t sent;	/* bytes of the file read so far */
	uint64_t moved; /* bytes at the last change */
	uint64_t moved_at;
};

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *exchange = arg;
	struct http_response *response = exchange->response;
	size_t len = size * n;

	exchange->header_bytes += len;
	if (exchange->header_bytes > HTTP_HEADERS_MAX) {
		exchange->refused = true;
		err_set(exchange->err, ERR_LIMIT, "more than %d bytes of headers",
			HTTP_HEADERS_MAX);
		return 0;
	}
	if (len >= 12 && strncmp(data, "HTTP/", 5) == 0) {
		const char *space = memchr(data, ' ', len);

		strv_release(&response->headers);
		response->status = space ? (int)strtoul(space, NULL, 10) : 0;
		return size * n;
	}
	while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n'))
		len--;
	if (len > 0)
		strv_addn(&response->headers, data, len);
	return size * n;
}

static int pass_on(struct exchange *exchange, const void *data, size_t len)
{
	const struct http_request *request = exchange->request;
	struct http_response *response = exchange->response;

	if (!response->flowing) {
		if (request->accept &&
		    request->accept(request->accept_arg, response, exchange->err) < 0)
			return -1;
		response->flowing = true;
	}
	return sink_write(request->sink, data, len, exchange->err);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *exchange = arg;
	struct http_response *response = exchange->response;
	size_t len = size * n;

	if (exchange->request->sink && response->status / 100 == 2) {
		if (pass_on(exchange, data, len) < 0) {
			exchange->refused = true;
			return 0;
		}
		return len;
	}
	response->body.max =
		response->status / 100 == 2 ? exchange->request->body_max : HTTP_ERROR_BODY_MAX;
	if (!response->body.max)
		response->body.max = HTTP_BODY_MAX;
	if (buf_add(&response->body, data, len) < 0) {
		exchange->cut = true;
		return 0;
	}
	return len;
}

static size_t on_read(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *exchange = arg;
	uint64_t left = exchange->request->body_size - exchange->sent;
	size_t want = size * n < left ? size * n : (size_t)left;
	ssize_t got;

	if (!want)
		return 0;
	got = pread_all(exchange->request->body_fd, data, want, (off_t)exchange->sent);
	if (got != (ssize_t)want) {
		exchange->refused = true;
		err_set(exchange->err, ERR_CORRUPT, "a blob in the store is shorter than it was");
		return CURL_READFUNC_ABORT;
	}
	exchange->sent += want;
	return want;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *exchange = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > exchange->request->body_size)
		return CURL_SEEKFUNC_FAIL;
	exchange->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	struct exchange *exchange = arg;
	const struct http_request *request = exchange->request;
	uint64_t now = clock_monotonic_ns(), moved = (uint64_t)(down + up);
	uint64_t patience = exchange->http->stall_ns;

	(void)down_total;
	(void)up_total;
	if (atomic_load(&exchange->http->cancelled))
		return 1;
	if (moved != exchange->moved || !exchange->moved_at) {
		exchange->moved = moved;
		exchange->moved_at = now;
		if (request->progress)
			request->progress(request->progress_arg,
					  request->body_fd >= 0 ? (uint64_t)up : (uint64_t)down);
	}
	if (request->body_fd >= 0 && exchange->sent == request->body_size)
		patience = 2 * patience + request->body_size / HTTP_HASHING_RATE * 1000000000ull;
	exchange->stalled = now - exchange->moved_at > patience;
	return exchange->stalled;
}

/* Invariant 4 for new connections; it also teaches how far inside the registry is. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct exchange *exchange = arg;
	_Atomic int *limit = exchange->request->reach;

	(void)purpose;
	if (limit && !exchange->proxied && exchange->request->foreign &&
	    !guard_allows((enum reach) * limit, guard_reach(&address->addr))) {
		exchange->refused = true;
		err_set(exchange->err, ERR_DENIED,
			"it leads to a host with an address inside this network");
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The same for kept ones. */
static int on_connected(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct exchange *exchange = arg;
	_Atomic int *limit = exchange->request->reach;
	enum reach reach = guard_reach_text(remote_ip);

	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	if (!limit || exchange->proxied)
		return CURL_PREREQFUNC_OK;
	if (!exchange->request->foreign) {
		*limit = (int)reach;
		return CURL_PREREQFUNC_OK;
	}
	if (guard_allows((enum reach) * limit, reach))
		return CURL_PREREQFUNC_OK;
	exchange->refused = true;
	err_set(exchange->err, ERR_DENIED,
		"it leads to a host with an address inside this network");
	return CURL_PREREQFUNC_ABORT;
}

static void set_connection(CURL *curl, struct exchange *exchange, char *error)
{
	const struct http_request *request = exchange->request;
	const char *proxy = proxy_for(exchange->http->environment, &exchange->response->url);
	bool verify = !request->insecure && !request->probe;

	exchange->proxied = proxy != NULL;
	curl_easy_setopt(curl, CURLOPT_URL, exchange->response->url.text);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT,
			 request->probe ? (long)HTTP_PROBE_SECONDS : (long)HTTP_CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)HTTP_BUFFER);
	curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)HTTP_BUFFER);
	curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)HTTP_EXPECT_MS);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, request->probe ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "cbuild/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(curl, CURLOPT_PREREQDATA, exchange);
}

static void set_transfer(CURL *curl, struct exchange *exchange)
{
	const struct http_request *request = exchange->request;

	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
	if (request->body_fd >= 0) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
		curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(curl, CURLOPT_SEEKDATA, exchange);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_size);
	} else if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
		return;
	} else if (strcmp(request->method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static struct curl_slist *add_line(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		abort();
	return longer;
}

static struct curl_slist *header_list(const struct http_request *request)
{
	struct curl_slist *list = NULL;
	bool typed = false;

	for (size_t i = 0; request->headers && request->headers[i]; i++) {
		list = add_line(list, request->headers[i]);
		typed |= strncasecmp(request->headers[i], "content-type:", 13) == 0;
	}
	if (request->authorization) {
		cleanup_free char *line = xasprintf("Authorization: %s", request->authorization);

		list = add_line(list, line);
	}
	if (!typed)
		list = add_line(list, "Content-Type:"); /* libcurl would invent one */
	return add_line(list, request->body_fd >= 0 && request->body_size >= HTTP_EXPECT_MIN
				      ? "Expect: 100-continue"
				      : "Expect:");
}

static bool code_is_transient(CURLcode code, long os_errno)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return os_errno != ECONNREFUSED;
	case CURLE_SSL_CONNECT_ERROR:
		return os_errno == ECONNRESET;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		return true;
	default:
		return false;
	}
}

static int explain(struct exchange *exchange, CURL *curl, CURLcode code, const char *error)
{
	struct http_response *response = exchange->response;
	bool answered = response->status >= 300;
	long os_errno = 0;

	if (exchange->refused)
		return -1;
	if (atomic_load(&exchange->http->cancelled))
		return err_set(exchange->err, ERR_CANCELLED, "cancelled");
	if (exchange->cut)
		return answered
			       ? 0
			       : err_set(exchange->err, ERR_LIMIT,
					 "the answer is larger than %zu bytes", response->body.max);
	if (code == CURLE_OK)
		return 0;
	if (answered &&
	    (code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR))
		return 0;
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	response->transient = exchange->stalled || code_is_transient(code, os_errno);
	response->not_tls = code == CURLE_SSL_CONNECT_ERROR || code == CURLE_COULDNT_CONNECT ||
			    (exchange->request->probe && code == CURLE_OPERATION_TIMEDOUT);
	if (exchange->stalled)
		return err_set(exchange->err, ERR_FAILED, "the other side has stopped answering");
	if (code == CURLE_COULDNT_CONNECT && os_errno)
		return err_set(exchange->err, ERR_FAILED, "cannot connect: %s",
			       strerror((int)os_errno));
	return err_set(exchange->err, ERR_FAILED, "%s", *error ? error : curl_easy_strerror(code));
}

int http_exchange(struct http *http, const struct http_request *request,
		  struct http_response *response, struct err *err)
{
	struct exchange exchange = {
		.http = http, .request = request, .response = response, .err = err
	};
	char error[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers;
	CURLcode code;
	CURL *curl;
	int rc;

	http_response_release(response);
	http_response_init(response);
	if (url_parse(request->url, &response->url, err) < 0)
		return err_wrap(err, "%s", request->method);
	curl = http_take_handle(http);
	headers = header_list(request);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	set_connection(curl, &exchange, error);
	set_transfer(curl, &exchange);
	code = curl_easy_perform(curl);
	rc = explain(&exchange, curl, code, error);
	http_give_handle(http, curl);
	curl_slist_free_all(headers);
	if (rc < 0) {
		cleanup_free char *shown = url_shown(&response->url);

		return err_wrap(err, "%s %s", request->method, shown);
	}
	return 0;
}
