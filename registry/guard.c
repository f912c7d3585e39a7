/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
	uint32_t network;
	unsigned bits;
	enum reach reach;
} ipv4_table[] = {
	{ 0x00000000, 8, REACH_NEVER },	   /* 0.0.0.0/8: this host */
	{ 0x0a000000, 8, REACH_PRIVATE },  /* 10.0.0.0/8 */
	{ 0x64400000, 10, REACH_PRIVATE }, /* 100.64.0.0/10: carrier NAT */
	{ 0x7f000000, 8, REACH_LOOPBACK }, /* 127.0.0.0/8 */
	{ 0xa9fe0000, 16, REACH_NEVER },   /* 169.254.0.0/16: link-local */
	{ 0xac100000, 12, REACH_PRIVATE }, /* 172.16.0.0/12 */
	{ 0xc0a80000, 16, REACH_PRIVATE }, /* 192.168.0.0/16 */
	{ 0xe0000000, 3, REACH_NEVER },	   /* 224.0.0.0/3: multicast, reserved */
};

static enum reach reach_ipv4(uint32_t address)
{
	for (unsigned i = 0; i < sizeof(ipv4_table) / sizeof(ipv4_table[0]); i++)
		if (((address ^ ipv4_table[i].network) >> (32 - ipv4_table[i].bits)) == 0)
			return ipv4_table[i].reach;
	return REACH_PUBLIC;
}

static uint32_t embedded_ipv4(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static enum reach reach_ipv6(const struct in6_addr *address)
{
	static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	const unsigned char *bytes = address->s6_addr;

	if (IN6_IS_ADDR_LOOPBACK(address))
		return REACH_LOOPBACK;
	if (IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LINKLOCAL(address) ||
	    IN6_IS_ADDR_MULTICAST(address) || IN6_IS_ADDR_SITELOCAL(address))
		return REACH_NEVER;
	if (IN6_IS_ADDR_V4MAPPED(address) || IN6_IS_ADDR_V4COMPAT(address) ||
	    memcmp(bytes, nat64, sizeof(nat64)) == 0)
		return reach_ipv4(embedded_ipv4(bytes + 12));
	if (bytes[0] == 0x20 && bytes[1] == 0x02) /* 6to4 */
		return reach_ipv4(embedded_ipv4(bytes + 2));
	if ((bytes[0] & 0xfe) == 0xfc)
		return REACH_PRIVATE;
	return REACH_PUBLIC;
}

enum reach guard_reach(const struct sockaddr *address)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		return reach_ipv4(ntohl(v4.sin_addr.s_addr));
	}
	if (address->sa_family == AF_INET6) {
		memcpy(&v6, address, sizeof(v6));
		return reach_ipv6(&v6.sin6_addr);
	}
	return REACH_NEVER;
}

enum reach guard_reach_text(const char *ip)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, ip, &v4) == 1)
		return reach_ipv4(ntohl(v4.s_addr));
	if (inet_pton(AF_INET6, ip, &v6) == 1)
		return reach_ipv6(&v6);
	return REACH_NEVER;
}

bool guard_allows(enum reach from, enum reach to)
{
	return to != REACH_NEVER && to <= from;
}
