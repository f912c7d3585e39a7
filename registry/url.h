/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_URL_H
#define REGISTRY_URL_H

/*
 * registry/url.h: absolute http and https URLs, read by libcurl's own parser so that what is
 * judged is what is connected to. Queries are secrets (signed URLs, upload sessions): they never
 * reach a message.
 */

#include <stdbool.h>

struct err;

struct url {
	char *text;   /* normalised, without fragment */
	char *scheme; /* "http" or "https" */
	char *host;   /* lower case; IPv6 without brackets */
	unsigned port;
	char *path;
};

/* Fails with ERR_INVALID for other schemes, user names in the URL, control characters. */
int url_parse(const char *text, struct url *ret_url, struct err *err);

/* `reference` (absolute or relative, RFC 3986) as seen from base. */
int url_resolve(const char *base, const char *reference, struct url *ret_url, struct err *err);

void url_release(struct url *url);

/* Same scheme, host and port. */
bool url_same_origin(const struct url *a, const struct url *b);

/* "host[:port]/path": for messages. */
char *url_shown(const struct url *url);

/* Whether a host[:port], as in a reference, is localhost, 127/8 or ::1 by its spelling. */
bool url_host_is_loopback(const char *host);

#define cleanup_url __attribute__((__cleanup__(url_release)))

#endif
