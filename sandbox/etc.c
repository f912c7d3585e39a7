/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The texts that every sandbox gets instead of the image's: the image's stay untouched below. */
#include "sandbox/internal.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"

#define HOSTNAME_LEN_MAX 64 /* what sethostname() takes */

/* The address of a nameserver line, or NULL for any other line. */
static const char *nameserver_address(const char *line, const char *end)
{
	static const char word[] = "nameserver";
	const char *at = line + sizeof(word) - 1;

	if (at >= end || strncmp(line, word, sizeof(word) - 1) || !isblank((unsigned char)*at))
		return NULL;
	while (at < end && isblank((unsigned char)*at))
		at++;
	return at;
}

static bool is_loopback(const char *address, const char *end)
{
	size_t len = (size_t)(end - address);

	while (len > 0 && isspace((unsigned char)address[len - 1]))
		len--;
	return (len >= 4 && !strncmp(address, "127.", 4)) ||
	       (len == 3 && !strncmp(address, "::1", 3));
}

int etc_resolv_conf(const char *text, bool drop_loopback, struct buf *out)
{
	for (const char *line = text, *next; *line; line = next) {
		const char *end = strchrnul(line, '\n');
		const char *address = nameserver_address(line, end);

		next = *end ? end + 1 : end;
		if (drop_loopback && address && is_loopback(address, end))
			continue;
		if (buf_add(out, line, (size_t)(end - line)) < 0 || buf_addch(out, '\n') < 0)
			return -1;
	}
	return 0;
}

bool etc_has_nameserver(const char *text)
{
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');

		if (nameserver_address(line, end))
			return true;
		line = *end ? end + 1 : end;
	}
	return false;
}

int etc_hosts(const char *hostname, const char *extra_hosts, struct buf *out)
{
	size_t len = extra_hosts ? strlen(extra_hosts) : 0;

	buf_addf(out, "127.0.0.1\tlocalhost %s\n", hostname);
	buf_addstr(out, "::1\tlocalhost ip6-localhost ip6-loopback\n");
	buf_add(out, extra_hosts ? extra_hosts : "", len);
	if (len > 0 && extra_hosts[len - 1] != '\n')
		buf_addch(out, '\n');
	return out->overflow ? -1 : 0;
}

bool etc_hostname_valid(const char *hostname)
{
	size_t len = strlen(hostname);

	if (len == 0 || len > HOSTNAME_LEN_MAX || *hostname == '-' || *hostname == '.')
		return false;
	for (const char *p = hostname; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.' && *p != '_')
			return false;
	return true;
}
