/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_HTTP_H
#define REGISTRY_HTTP_H

/*
 * registry/http.h: HTTP/1.1 by libcurl, with our own redirects and retries: nothing is followed,
 * decoded or authenticated behind our back. Safe for several threads at once: each request takes
 * an idle handle, with its kept connections, and gives it back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/strv.h"
#include "registry/guard.h"
#include "registry/url.h"

struct err;
struct sink;

/* For the user: a retry, a warning. Called from any thread. */
typedef void http_notify(void *arg, const char *text);

struct http;
/* The environment has to last: proxies, and how long a server may be silent. */
struct http *http_new(const struct strv *environment, http_notify *notify, void *arg);
void http_free(struct http *http);
void http_note(struct http *http, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Make requests that run, and later ones, fail with ERR_CANCELLED soon. */
void http_cancel(struct http *http);

struct http_response {
	int status;	     /* 0: there was no answer */
	struct strv headers; /* "Name: value" each, of the final answer */
	struct buf body;     /* unless it went to the request's sink */
	struct url url;	     /* which answered, after redirects */
	bool transient;	     /* after a failure: it may pass when tried again */
	bool not_tls;	     /* after a failure: nothing that speaks TLS was there */
	bool flowing;	     /* some of the body went to the sink */
};

struct http_request {
	const char *method; /* in capitals */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */

	/* Credentials, sent to the origin of url only: a redirect elsewhere goes without. */
	const char *authorization; /* "Basic ..." or "Bearer ...", or NULL */

	/*
	 * How far inside the registry is, learnt when url's origin is trusted, else the limit for
	 * the addresses that may be connected to.
	 */
	_Atomic int *reach;
	bool foreign;  /* url was named by a registry and is on another origin */
	bool insecure; /* certificates are not verified */

	/* What is sent: bytes, or size bytes of a file from offset 0. */
	const void *body;
	int body_fd; /* -1: none */
	uint64_t body_size;

	/*
	 * Where the body of a 2xx answer goes; NULL: into the response, at most body_max bytes.
	 * accept() is called once before the first byte and may refuse.
	 */
	struct sink *sink;
	int (*accept)(void *arg, const struct http_response *response, struct err *err);
	void *accept_arg;
	size_t body_max;

	/* Bytes of the body that moved, in either direction. */
	void (*progress)(void *arg, uint64_t current);
	void *progress_arg;

	bool once;  /* no retry here: the caller has its own way to begin again */
	bool stay;  /* no redirect is followed */
	bool probe; /* only connect: no byte of the request is sent, no certificate judged */
};

#define HTTP_REQUEST_INIT                                                                          \
	{                                                                                          \
		.body_fd = -1                                                                      \
	}

void http_response_init(struct http_response *response);
void http_response_release(struct http_response *response);
#define cleanup_response __attribute__((__cleanup__(http_response_release)))

/* The first header of this name, without blanks around; NULL when absent. */
const char *http_header(const struct http_response *response, const char *name);

/*
 * Do it, following redirects and trying again as registry/send.c says. 0 for every complete
 * answer, whatever its status. Fails with ERR_FAILED (network), ERR_DENIED (a redirect we do not
 * follow), ERR_LIMIT (too large an answer), ERR_CANCELLED, or as the sink did. Messages begin
 * with "METHOD host/path: ".
 */
int http_send(struct http *http, const struct http_request *request, struct http_response *response,
	      struct err *err);

/* One exchange: no redirect, no retry. */
int http_exchange(struct http *http, const struct http_request *request,
		  struct http_response *response, struct err *err);

/* Sleep, ending early with ERR_CANCELLED after http_cancel(). */
int http_sleep(struct http *http, uint64_t ms, struct err *err);

#endif
