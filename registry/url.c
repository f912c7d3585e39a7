/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define URL_MAX 16384

static void curlu_free(CURLU *handle)
{
	curl_url_cleanup(handle);
}

DEFINE_CLEANUP(CURLU *, curlu_free)

static char *get_part(CURLU *handle, CURLUPart part, unsigned flags)
{
	char *text = NULL, *copy;

	if (curl_url_get(handle, part, &text, flags) != CURLUE_OK)
		return xstrdup("");
	copy = xstrdup(text);
	curl_free(text);
	return copy;
}

static bool has_part(CURLU *handle, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(handle, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text += 'a' - 'A';
}

/* libcurl keeps the brackets of an IPv6 address. */
static void strip_brackets(char *host)
{
	size_t len = strlen(host);

	if (len < 2 || host[0] != '[')
		return;
	memmove(host, host + 1, len - 2);
	host[len - 2] = '\0';
}

static int check_text(const char *text, struct err *err)
{
	if (strlen(text) > URL_MAX)
		return err_set(err, ERR_INVALID, "a URL of more than %d bytes", URL_MAX);
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return err_set(err, ERR_INVALID, "a URL with blanks or control characters");
	return 0;
}

static int take(CURLU *handle, struct url *ret_url, struct err *err)
{
	cleanup_free char *scheme = get_part(handle, CURLUPART_SCHEME, 0);
	cleanup_free char *port = NULL;

	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return err_set(err, ERR_DENIED, "a URL that is neither http nor https");
	if (has_part(handle, CURLUPART_USER) || has_part(handle, CURLUPART_PASSWORD))
		return err_set(err, ERR_DENIED, "a URL that carries a user name");
	curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
	port = get_part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	ret_url->port = (unsigned)strtoul(port, NULL, 10);
	ret_url->text = get_part(handle, CURLUPART_URL, 0);
	ret_url->host = get_part(handle, CURLUPART_HOST, 0);
	ret_url->path = get_part(handle, CURLUPART_PATH, 0);
	ret_url->scheme = steal_pointer(&scheme);
	lower(ret_url->host);
	strip_brackets(ret_url->host);
	return 0;
}

int url_resolve(const char *base, const char *reference, struct url *ret_url, struct err *err)
{
	cleanup_with(curlu_free) CURLU *handle = curl_url();

	if (!handle)
		abort();
	if (check_text(reference, err) < 0)
		return -1;
	if (base && curl_url_set(handle, CURLUPART_URL, base, 0) != CURLUE_OK)
		return err_set(err, ERR_INVALID, "not a URL");
	if (curl_url_set(handle, CURLUPART_URL, reference, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		return err_set(err, ERR_INVALID, "not a URL");
	return take(handle, ret_url, err);
}

int url_parse(const char *text, struct url *ret_url, struct err *err)
{
	return url_resolve(NULL, text, ret_url, err);
}

void url_release(struct url *url)
{
	free(url->text);
	free(url->scheme);
	free(url->host);
	free(url->path);
	*url = (struct url){ 0 };
}

bool url_same_origin(const struct url *a, const struct url *b)
{
	return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 &&
	       strcmp(a->host, b->host) == 0;
}

char *url_shown(const struct url *url)
{
	const char *after = strstr(url->text, "://");

	after = after ? after + 3 : url->text;
	return xstrndup(after, strcspn(after, "?#"));
}

bool url_host_is_loopback(const char *host)
{
	struct in_addr address;
	char name[256];
	size_t len;

	if (strncmp(host, "[::1]", 5) == 0)
		return host[5] == '\0' || host[5] == ':';
	if (strcmp(host, "::1") == 0)
		return true;
	len = strcspn(host, ":");
	if (len >= sizeof(name) || strchr(host + len, '/'))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (strcmp(name, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}
