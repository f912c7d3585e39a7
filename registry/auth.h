/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_AUTH_H
#define REGISTRY_AUTH_H

/*
 * registry/auth.h: authorization at one registry: what it asked for, and the tokens got so far.
 * Credentials leave for the registry's own origin, or the token server it names when that passes
 * the rules in auth.c. Safe for several threads; a token is fetched once however many wait.
 */

#include <stdbool.h>

#include "registry/creds.h"

struct auth;
struct err;
struct http;
struct http_response;

struct auth_options {
	struct http *http;
	struct creds_options creds;
	const char *host;	/* as in references */
	const char *repository; /* on that host */
	_Atomic int *reach;	/* see http.h */
	bool insecure;		/* plain HTTP beyond loopback, certificates not verified */
};

/* What options point to must live as long. */
struct auth *auth_new(const struct auth_options *options);
void auth_free(struct auth *auth);

/*
 * The value of Authorization for a scope ("repository:a/b:pull"), free() it; NULL while the
 * registry has asked for none. May fetch or renew a token.
 */
int auth_header(struct auth *auth, const char *scope, char **ret_header, struct err *err);

/*
 * After status 401 to a request that carried `used` (NULL: none). Sets *ret_again when another
 * try with auth_header() may be answered. Fails when credentials cannot be read, a token server
 * refuses, or a rule forbids.
 */
int auth_learn(struct auth *auth, const struct http_response *response, const char *used,
	       const char *scope, bool *ret_again, struct err *err);

/* "user U from FILE", or NULL when there are no credentials. free() it. */
char *auth_identity(struct auth *auth);

/* Whether the 401 named a way to authorize. */
bool auth_is_asked(const struct http_response *response);

#endif
