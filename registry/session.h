/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_SESSION_H
#define REGISTRY_SESSION_H

/*
 * registry/session.h: what one run of the helper works with, and its way to tell what happens.
 * Events may come from any thread.
 */

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/strv.h"
#include "layers/image.h"
#include "registry/reference.h"
#include "registry/transport.h"

struct err;
struct http;
struct registries;
struct store;

struct session {
	struct store *store;
	struct http *http;
	struct registries *registries;
	struct strv environment;
	pthread_mutex_t output; /* held while a line is written */
	int output_fd;
	/* the request */
	const json_t *request;
	const char *op;
	struct reference reference;
	const char *authfile; /* NULL: the usual places */
	bool insecure;
	bool impatient; /* what fails is not tried again: nobody depends on it */
};

/* One line. A reader that is gone ends the process: nobody wants the result any more. */
void session_write(struct session *session, const json_t *line);

void session_event(struct session *session, enum transport_state state, const struct digest *digest,
		   uint64_t current, uint64_t total);
void session_note(struct session *session, const char *text);

/* Of what has a name and no digest yet. total is 0 while it is not known. */
void session_named_event(struct session *session, enum transport_state state, const char *name,
			 uint64_t current, uint64_t total);

/*
 * Call function(arg, i) for each i below n, on so many lanes at once. After a failure the others
 * are cancelled, and the one that failed first is reported.
 */
typedef int session_function(void *arg, size_t i, struct err *err);
int session_each(struct session *session, unsigned lanes, size_t n, session_function *function,
		 void *arg, struct err *err);

#define SESSION_BLOBS	  4  /* lanes for blobs: what registries and disks are happy with */
#define SESSION_DOCUMENTS 16 /* lanes for what is small: it is waiting that takes time */

/* The operations; each returns the object that is the result. */
int resolve_run(struct session *session, json_t **ret_result, struct err *err);
int pull_run(struct session *session, json_t **ret_result, struct err *err);
int push_run(struct session *session, json_t **ret_result, struct err *err);
int fetch_run(struct session *session, json_t **ret_result, struct err *err);
int layers_run(struct session *session, json_t **ret_result, struct err *err);
int get_tags_run(struct session *session, json_t **ret_result, struct err *err);
int put_tags_run(struct session *session, json_t **ret_result, struct err *err);

#endif
