/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * builder/remote_auth.c: which --secret speaks for a URL, by BuildKit's names. The value is in the
 * memory of this process, of git and of cbuild-registry, and goes to the URL's own origin: it is in
 * no key, record, history, message or file.
 *
 *	HTTP_AUTH_HEADER_<host>, HTTP_AUTH_TOKEN_<host>		files
 *	GIT_AUTH_HEADER[.<host>], GIT_AUTH_TOKEN[.<host>]	repositories
 *
 * A HEADER is the whole value of Authorization. A TOKEN of a file is a bearer's; one of a
 * repository is the password of x-access-token, which is what forges take.
 */
#include <ctype.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/internal.h"
#include "builder/remote.h"

/* "host[:port]" in lower case; NULL when the URL is not http(s). */
static char *host_of(const char *url)
{
	const char *host, *at;
	char *copy;

	if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
		return NULL;
	host = strstr(url, "://") + 3;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	host = at ? at + 1 : host;
	copy = xstrndup(host, strcspn(host, "/?#"));
	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

/* The secret PREFIX + host, with the port or without, or PREFIX alone when `anywhere`. */
static const struct build_secret *find(const struct build_options *options, const char *prefix,
				       const char *separator, const char *host, bool anywhere)
{
	cleanup_free char *whole = xasprintf("%s%s%s", prefix, separator, host);
	const char *port = strrchr(whole, ':');
	cleanup_free char *bare = xstrndup(whole, port ? (size_t)(port - whole) : strlen(whole));
	const struct build_secret *secret = secret_find(options, whole);

	if (!secret)
		secret = secret_find(options, bare);
	return secret || !anywhere ? secret : secret_find(options, prefix);
}

/* The text of a secret, without the blanks that end a file. */
static int read_secret(const struct build_secret *secret, char **ret_text, struct err *err)
{
	const char *data = secret->data;
	size_t len = secret->len;

	while (len && strchr(" \t\r\n", data[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)data[i] < ' ' || data[i] == 0x7f)
			return err_set(err, ERR_INVALID,
				       "the secret \"%s\" holds what a header cannot", secret->id);
	*ret_text = xstrndup(data, len);
	return 0;
}

static char *from_token(const char *token, bool git)
{
	cleanup_free char *pair = NULL, *encoded = NULL;
	char *value;

	if (!git)
		return xasprintf("Bearer %s", token);
	pair = xasprintf("x-access-token:%s", token);
	encoded = base64_encode(pair, strlen(pair));
	value = xasprintf("Basic %s", encoded);
	explicit_bzero(pair, strlen(pair));
	explicit_bzero(encoded, strlen(encoded));
	return value;
}

int remote_authorization(const struct build_options *options, const char *url, bool git,
			 char **ret_value, struct err *err)
{
	const char *separator = git ? "." : "_";
	cleanup_free char *host = host_of(url);
	const struct build_secret *secret;
	char *token;

	*ret_value = NULL;
	if (!host || !options->n_secrets)
		return 0;
	secret = find(options, git ? "GIT_AUTH_HEADER" : "HTTP_AUTH_HEADER", separator, host, git);
	if (secret)
		return read_secret(secret, ret_value, err);
	secret = find(options, git ? "GIT_AUTH_TOKEN" : "HTTP_AUTH_TOKEN", separator, host, git);
	if (!secret)
		return 0;
	if (read_secret(secret, &token, err) < 0)
		return -1;
	*ret_value = from_token(token, git);
	explicit_bzero(token, strlen(token));
	free(token);
	return 0;
}

void remote_forget(char *value)
{
	if (value)
		explicit_bzero(value, strlen(value));
	free(value);
}
