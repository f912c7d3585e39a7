/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_PROXY_H
#define REGISTRY_PROXY_H

/*
 * registry/proxy.h: which proxy a URL goes through, by the rules of Go's programs, which are the
 * ones that people's environments were written for: both spellings of the variables, loopback
 * always direct, NO_PROXY with *, .domain, domain, address, CIDR, and an optional port.
 */

struct strv;
struct url;

/* The proxy's URL (points into the environment), or NULL for a direct connection. */
const char *proxy_for(const struct strv *environment, const struct url *url);

#endif
