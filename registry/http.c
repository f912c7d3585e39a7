/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/size.h"
#include "registry/internal.h"

#define STALL_ENV	  "CBUILD_STALL_SECONDS"
#define STALL_SECONDS	  30
#define STALL_SECONDS_MAX 3600

static uint64_t stall_ns(struct http *http)
{
	const char *text = env_get(http->environment, STALL_ENV);
	uint64_t seconds = STALL_SECONDS;

	if (text && (size_parse(text, &seconds) < 0 || !seconds || seconds > STALL_SECONDS_MAX)) {
		http_note(http, STALL_ENV ": \"%s\" is not between 1 and %d; it is %d", text,
			  STALL_SECONDS_MAX, STALL_SECONDS);
		seconds = STALL_SECONDS;
	}
	return seconds * UINT64_C(1000000000);
}

struct http *http_new(const struct strv *environment, http_notify *notify, void *arg)
{
	struct http *http = xcalloc(1, sizeof(*http));

	http->environment = environment;
	http->notify = notify;
	http->notify_arg = arg;
	http->stall_ns = stall_ns(http);
	pthread_mutex_init(&http->mutex, NULL);
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	while (http->n_idle > 0)
		curl_easy_cleanup(http->idle[--http->n_idle]);
	pthread_mutex_destroy(&http->mutex);
	free(http);
}

void http_note(struct http *http, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (http->notify)
		http->notify(http->notify_arg, text);
}

void http_cancel(struct http *http)
{
	atomic_store(&http->cancelled, true);
}

int http_sleep(struct http *http, uint64_t ms, struct err *err)
{
	const struct timespec tick = { .tv_nsec = 50 * 1000000 };

	for (uint64_t slept = 0; slept < ms; slept += 50) {
		if (atomic_load(&http->cancelled))
			return err_set(err, ERR_CANCELLED, "cancelled");
		nanosleep(&tick, NULL);
	}
	return 0;
}

void http_response_init(struct http_response *response)
{
	*response = (struct http_response){ 0 };
	buf_init(&response->body, HTTP_BODY_MAX);
}

void http_response_release(struct http_response *response)
{
	strv_release(&response->headers);
	buf_release(&response->body);
	url_release(&response->url);
}

const char *http_header(const struct http_response *response, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < response->headers.n; i++) {
		const char *line = response->headers.v[i];

		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

CURL *http_take_handle(struct http *http)
{
	CURL *curl = NULL;

	pthread_mutex_lock(&http->mutex);
	if (http->n_idle > 0)
		curl = http->idle[--http->n_idle];
	pthread_mutex_unlock(&http->mutex);
	if (!curl)
		curl = curl_easy_init();
	if (!curl)
		abort();
	return curl;
}

void http_give_handle(struct http *http, CURL *curl)
{
	curl_easy_reset(curl); /* connections, names and TLS sessions stay */
	pthread_mutex_lock(&http->mutex);
	if (http->n_idle < HTTP_IDLE_MAX)
		http->idle[http->n_idle++] = steal_pointer(&curl);
	pthread_mutex_unlock(&http->mutex);
	curl_easy_cleanup(curl);
}
