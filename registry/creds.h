/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_CREDS_H
#define REGISTRY_CREDS_H

/*
 * registry/creds.h: who we are at a registry: docker's config.json, containers-auth.json(5),
 * and credential helpers (docker-credential-*).
 */

struct err;
struct strv;

struct credential {
	char *username; /* NULL with an identity or registry token */
	char *password;
	char *identity_token; /* OAuth2 refresh token */
	char *registry_token; /* used as it is */
	char *source;	      /* for messages: which file or helper; NULL: nothing was found */
};

void credential_release(struct credential *credential);
#define cleanup_credential __attribute__((__cleanup__(credential_release)))

struct creds_options {
	const char *authfile; /* this one alone; NULL: the usual places */
	const struct strv *environment;
};

/*
 * What is configured for the repository `path` on `host` (as in references: "docker.io",
 * "localhost:5000"). Nothing configured is no error: then source is NULL. Fails with ERR_INVALID
 * (a file that cannot be read as JSON, named), ERR_FAILED (a helper that fails).
 */
int creds_find(const struct creds_options *options, const char *host, const char *path,
	       struct credential *ret_credential, struct err *err);

/* From one file's text; `source` names it. For creds_find() and tests. */
int creds_find_in(const char *source, const char *text, unsigned long len, const char *host,
		  const char *path, struct credential *ret_credential, struct err *err);

/* Ask docker-credential-<name>. ERR_FAILED with its words; not found is no error. */
int creds_ask_helper(const char *name, const char *key, struct credential *ret_credential,
		     struct err *err);

/* Base64 with or without padding. NULL when it is none. *ret_len excludes the final NUL. */
char *creds_base64_decode(const char *text, unsigned long *ret_len);

#endif
