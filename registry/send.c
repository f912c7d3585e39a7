/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/internal.h"

/*
 * Redirects and retries. Their rules:
 *
 *  1. GET and HEAD follow 301, 302, 303, 307 and 308; what has a body only 307 and 308, with the
 *     body from its beginning. At most ten times, never from https to http.
 *  2. Authorization stays with the origin it was made for, and does not come back when a later
 *     redirect does. On another origin the guard holds.
 *  3. 429 and 503 stop all requests for as long as they ask for, not only theirs.
 *  4. Nothing is tried again here once its body has begun to flow: the caller knows how to go on.
 */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "registry/retry.h"

#define HTTP_HOPS_MAX	   10
#define HTTP_RESOLVE_TRIES 3 /* a name that does not resolve is mostly a typo, or no network */

static bool is_redirect(const struct http_request *request, int status)
{
	bool reading = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;

	if (request->stay)
		return false;
	if (status == 307 || status == 308)
		return true;
	return reading && (status == 301 || status == 302 || status == 303);
}

/* Prepare the request for where the response points. */
static int redirect(struct http_request *request, const struct http_response *response, char **url,
		    struct err *err)
{
	const char *location = http_header(response, "location");
	cleanup_url struct url to = { 0 };

	if (!location || !*location)
		return err_set(err, ERR_FAILED, "a redirect without a location");
	if (url_resolve(response->url.text, location, &to, err) < 0)
		return err_wrap(err, "redirected to");
	if (strcmp(response->url.scheme, "https") == 0 && strcmp(to.scheme, "https") != 0)
		return err_set(err, ERR_DENIED, "redirected from https to http");
	if (!url_same_origin(&response->url, &to)) {
		request->authorization = NULL;
		request->foreign = true;
	}
	free(*url);
	*url = steal_pointer(&to.text);
	request->url = *url;
	return 0;
}

static int follow(struct http *http, const struct http_request *request,
		  struct http_response *response, struct err *err)
{
	struct http_request next = *request;
	cleanup_free char *url = NULL;
	unsigned hops = 0;

	for (;;) {
		cleanup_free char *shown = NULL;

		if (http_exchange(http, &next, response, err) < 0)
			return -1;
		if (!is_redirect(&next, response->status))
			return 0;
		shown = url_shown(&response->url);
		if (++hops > HTTP_HOPS_MAX)
			return err_set(err, ERR_DENIED, "%s %s: more than %d redirects",
				       request->method, shown, HTTP_HOPS_MAX);
		if (redirect(&next, response, &url, err) < 0)
			return err_wrap(err, "%s %s", request->method, shown);
	}
}

/* GitHub says 403 when it means 429. */
static bool answer_is_transient(const struct http_response *response)
{
	if (response->status == 403)
		return strstr(response->body.data, "secondary rate limit") != NULL;
	return retry_status(response->status);
}

static bool quota_is_used_up(const struct http_response *response)
{
	return strstr(response->body.data, "reached your pull rate limit") != NULL ||
	       strstr(response->body.data, "reached your unauthenticated pull rate limit") != NULL;
}

static uint64_t wait_ms(const struct http_response *response, unsigned tries)
{
	uint64_t ms;

	if (retry_after_ms(http_header(response, "retry-after"), clock_wall_ns() / 1000000000, &ms))
		return ms;
	return retry_backoff_ms(tries - 1);
}

/* Rule 3, for the others. */
static void pause_all(struct http *http, const struct http_response *response, uint64_t ms)
{
	if (response->status == 429 || response->status == 503)
		atomic_store(&http->paused_until, clock_monotonic_ns() + ms * 1000000);
}

static int wait_for_pause(struct http *http, struct err *err)
{
	uint64_t until = atomic_load(&http->paused_until), now = clock_monotonic_ns();

	return until > now ? http_sleep(http, (until - now) / 1000000, err) : 0;
}

/* Whether to try again after this; if so, it has waited. */
static bool again(struct http *http, const struct http_request *request,
		  const struct http_response *response, int rc, unsigned tries, uint64_t begun,
		  struct err *err)
{
	struct err cancelled = ERR_INIT;
	uint64_t ms = wait_ms(response, tries);
	cleanup_free char *shown = NULL;

	if (request->once || response->flowing || tries >= RETRY_TRIES)
		return false;
	if (rc < 0 ? !response->transient
		   : !answer_is_transient(response) || quota_is_used_up(response))
		return false;
	if (rc < 0 && !response->status && tries >= HTTP_RESOLVE_TRIES)
		return false;
	if (ms > RETRY_WAIT_MAX_MS || clock_monotonic_ns() - begun > RETRY_BUDGET_NS)
		return false;
	pause_all(http, response, ms);
	shown = url_shown(&response->url);
	if (rc < 0)
		http_note(http, "%s; trying again", err->message);
	else
		http_note(http, "%s %s: status %d; trying again", request->method, shown,
			  response->status);
	return http_sleep(http, ms, &cancelled) == 0;
}

int http_send(struct http *http, const struct http_request *request, struct http_response *response,
	      struct err *err)
{
	uint64_t begun = clock_monotonic_ns();

	for (unsigned tries = 1;; tries++) {
		int rc;

		if (wait_for_pause(http, err) < 0)
			return -1;
		rc = follow(http, request, response, err);
		if (!again(http, request, response, rc, tries, begun, err))
			return rc;
	}
}
