/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/proxy.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strv.h"
#include "registry/url.h"

#define PATTERN_MAX 256

static const char *env_either(const struct strv *environment, const char *lower, const char *upper)
{
	const char *value = env_get(environment, lower);

	return value && *value ? value : env_get(environment, upper);
}

static bool prefix_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return !rest || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

/* "10.0.0.0/8": whether host is an address in it. */
static bool cidr_matches(char *pattern, const char *host)
{
	unsigned char network[16], address[16];
	char *slash = strchr(pattern, '/'), *end;
	unsigned long bits;
	int family = strchr(pattern, ':') ? AF_INET6 : AF_INET;

	*slash = '\0';
	bits = strtoul(slash + 1, &end, 10);
	if (*end || bits > (family == AF_INET ? 32 : 128))
		return false;
	return inet_pton(family, pattern, network) == 1 && inet_pton(family, host, address) == 1 &&
	       prefix_equal(network, address, (unsigned)bits);
}

static bool domain_matches(const char *pattern, const char *host)
{
	size_t host_len = strlen(host), len;
	bool only_below = *pattern == '.';

	if (strncmp(pattern, "*.", 2) == 0) {
		pattern++;
		only_below = true;
	}
	if (!only_below && strcasecmp(pattern, host) == 0)
		return true;
	if (*pattern == '.')
		pattern++;
	len = strlen(pattern);
	return len && host_len > len + 1 && host[host_len - len - 1] == '.' &&
	       strcasecmp(host + host_len - len, pattern) == 0;
}

/* Cut ":port" off a pattern that is no bare IPv6 address. False when the port is another. */
static bool port_matches(char *pattern, unsigned port)
{
	char *colon = strrchr(pattern, ':');

	if (!colon || (strchr(pattern, ':') != colon && colon[-1] != ']'))
		return true;
	*colon = '\0';
	return strtoul(colon + 1, NULL, 10) == port;
}

static bool pattern_matches(const char *text, size_t len, const struct url *url)
{
	char pattern[PATTERN_MAX];

	if (!len || len >= sizeof(pattern))
		return false;
	memcpy(pattern, text, len);
	pattern[len] = '\0';
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strchr(pattern, '/'))
		return cidr_matches(pattern, url->host);
	if (!port_matches(pattern, url->port))
		return false;
	if (pattern[0] == '[' && pattern[strlen(pattern) - 1] == ']') {
		pattern[strlen(pattern) - 1] = '\0';
		return strcasecmp(pattern + 1, url->host) == 0;
	}
	return domain_matches(pattern, url->host);
}

static bool listed(const char *list, const struct url *url)
{
	while (list && *list) {
		size_t len;

		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (pattern_matches(list, len, url))
			return true;
		list += len;
	}
	return false;
}

const char *proxy_for(const struct strv *environment, const struct url *url)
{
	const char *proxy = strcmp(url->scheme, "https") == 0
				    ? env_either(environment, "https_proxy", "HTTPS_PROXY")
				    : env_either(environment, "http_proxy", "HTTP_PROXY");

	if (!proxy || !*proxy || url_host_is_loopback(url->host))
		return NULL;
	if (listed(env_either(environment, "no_proxy", "NO_PROXY"), url))
		return NULL;
	return proxy;
}
