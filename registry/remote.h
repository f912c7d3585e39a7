/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_REMOTE_H
#define REGISTRY_REMOTE_H

/*
 * registry/remote.h: one repository on one registry, spoken to in the distribution protocol
 * (distribution-spec): scheme found out, authorization kept up, refusals put into words.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "layers/media.h"
#include "registry/http.h"
#include "registry/registries.h"

struct err;
struct session;

struct remote;

/* A push asks for more rights. What the arguments point to must live as long. */
struct remote *remote_new(struct session *session, const struct place *place, bool push);
void remote_free(struct remote *remote);

const char *remote_host(const struct remote *remote);

/* Find out the scheme, so that requests may run at the same time. */
int remote_settle(struct remote *remote, struct err *err);

/*
 * Send the request to .../v2/<repository>/<suffix>, or to request->url when suffix is NULL (with
 * authorization only on the registry's own origin). A 401 is answered by authorizing, once. The
 * first request of a remote settles its scheme: no other may run at the same time.
 */
int remote_send(struct remote *remote, const char *suffix, const struct http_request *request,
		struct http_response *response, struct err *err);

/*
 * POST blobs/uploads/ that asks for a blob which another repository of the registry has: 201 when
 * it was mounted, 202 with a location for an ordinary upload.
 */
int remote_mount(struct remote *remote, const char *digest, const char *from,
		 struct http_response *response, struct err *err);

/* Fill *err from an answer that is no success. Always -1. */
int remote_refuse(struct remote *remote, const char *method, const struct http_response *response,
		  struct err *err);

/* A manifest or index as it came. */
struct document {
	struct buf text;
	enum media media;     /* MEDIA_UNKNOWN when neither header nor body say */
	char *content_type;   /* without parameters; NULL when it says nothing of use */
	struct digest digest; /* of text, computed here */
};

void document_release(struct document *document);
#define cleanup_document __attribute__((__cleanup__(document_release)))

/*
 * GET manifests/<tag, or the digest>. With `want` the bytes must have that digest (ERR_CORRUPT).
 * *ret_document is released by the caller, also after failures.
 */
int remote_get_manifest(struct remote *remote, const char *tag, const struct digest *want,
			struct document *ret_document, struct err *err);

/*
 * HEAD manifests/<tag>: 0 with *ret_known false when the registry has none or tells no digest.
 * accept: media types, NULL for all we know.
 */
int remote_head_manifest(struct remote *remote, const char *tag, const char *accept,
			 struct digest *ret_digest, bool *ret_known, struct err *err);

/* PUT manifests/<tag>: 0 for every complete answer, whatever its status. type: its media type. */
int remote_put_manifest(struct remote *remote, const char *tag, const char *type, const char *text,
			size_t len, struct http_response *response, struct err *err);

DEFINE_CLEANUP(struct remote *, remote_free)

#endif
