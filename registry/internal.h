/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_INTERNAL_H
#define REGISTRY_INTERNAL_H

/* registry/internal.h: what http.c and exchange.c share. */

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/http.h"

#define HTTP_IDLE_MAX 16	/* handles kept */
#define HTTP_BODY_MAX (4 << 20) /* bytes, when a request sets no limit */

struct http {
	const struct strv *environment;
	http_notify *notify;
	void *notify_arg;
	uint64_t stall_ns; /* without a byte, until an exchange is given up */
	atomic_bool cancelled;
	_Atomic uint64_t paused_until; /* monotonic ns: a registry asked for patience */
	pthread_mutex_t mutex;	       /* guards what follows */
	CURL *idle[HTTP_IDLE_MAX];
	size_t n_idle;
};

/* A handle with default options; its kept connections come and go with it. */
CURL *http_take_handle(struct http *http);
void http_give_handle(struct http *http, CURL *curl);

#endif
