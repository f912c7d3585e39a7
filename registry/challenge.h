/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_CHALLENGE_H
#define REGISTRY_CHALLENGE_H

/*
 * registry/challenge.h: WWW-Authenticate (RFC 9110 section 11.6.1): several challenges per header.
 */

#include <stddef.h>

#define CHALLENGES_MAX 16

struct challenge {
	char *scheme; /* lower case; never NULL */
	char *realm;  /* NULL when absent, as are the others */
	char *service;
	char *scope;
	char *error;
};

struct challenges {
	struct challenge items[CHALLENGES_MAX];
	size_t n;
};

/* Add those of one header to the list (zeroed before the first). What cannot be read ends it. */
void challenges_parse(const char *header, struct challenges *challenges);
void challenges_release(struct challenges *challenges);

/* The first with this scheme, or NULL. */
const struct challenge *challenges_find(const struct challenges *challenges, const char *scheme);

#define cleanup_challenges __attribute__((__cleanup__(challenges_release)))

#endif
