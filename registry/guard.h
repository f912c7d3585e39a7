/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_GUARD_H
#define REGISTRY_GUARD_H

/*
 * registry/guard.h: which addresses a registry may send us to. A registry names other hosts (in
 * redirects, upload locations, token realms), and must not use us to reach what it cannot reach
 * itself. Judged by the address connected to, after the name was resolved.
 */

#include <stdbool.h>

struct sockaddr;

/* In order of how far inside they are. */
enum reach {
	REACH_PUBLIC,
	REACH_PRIVATE, /* RFC 1918, RFC 6598, unique local */
	REACH_LOOPBACK,
	REACH_NEVER, /* link-local (cloud metadata), unspecified, multicast, not IP */
};

enum reach guard_reach(const struct sockaddr *address);
enum reach guard_reach_text(const char *ip);

/* A host inside may send us no further in than it is itself. */
bool guard_allows(enum reach from, enum reach to);

#endif
