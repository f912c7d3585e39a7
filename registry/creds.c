/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/creds.h"

/*
 * Order of places: an explicit file (option or REGISTRY_AUTH_FILE) is the only one asked. Else
 * DOCKER_AUTH_CONFIG (the JSON itself), then containers' files, then docker's; the first place
 * that knows the host wins. Order in a place: credHelpers for the host; auths, from
 * host/namespace/repository shortened to host; keys in other spellings; credsStore.
 */

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"

#define CREDS_FILE_MAX	 (1 << 20)
#define CREDS_SECRET_MAX 65536
#define HUB_KEY		 "https://index.docker.io/v1/"

void credential_release(struct credential *credential)
{
	free(credential->username);
	free(credential->password);
	free(credential->identity_token);
	free(credential->registry_token);
	free(credential->source);
	*credential = (struct credential){ 0 };
}

char *creds_base64_decode(const char *text, unsigned long *ret_len)
{
	cleanup_free char *padded = NULL;
	cleanup_free unsigned char *data = NULL;
	size_t len = strlen(text);
	size_t pad;
	int n;

	while (len > 0 && text[len - 1] == '=')
		len--;
	pad = (4 - len % 4) % 4;
	if (pad == 3 || len > CREDS_SECRET_MAX)
		return NULL;
	padded = xasprintf("%.*s%.*s", (int)len, text, (int)pad, "==");
	data = xmalloc(len + 4);
	n = EVP_DecodeBlock(data, (const unsigned char *)padded, (int)(len + pad));
	if (n < 0 || (size_t)n < pad)
		return NULL;
	*ret_len = (size_t)n - pad;
	data[*ret_len] = '\0';
	return (char *)steal_pointer(&data);
}

static const char *canonical_host(const char *host)
{
	if (strcmp(host, "docker.io") == 0 || strcmp(host, "registry-1.docker.io") == 0)
		return "index.docker.io";
	return host;
}

/* Whether a key such as "https://host/v1/" names the host. */
static bool key_names_host(const char *key, const char *host)
{
	const char *scheme = strstr(key, "://");
	cleanup_free char *name = NULL;

	if (scheme)
		key = scheme + 3;
	name = xstrndup(key, strcspn(key, "/"));
	return strcmp(canonical_host(name), canonical_host(host)) == 0;
}

static char *copy_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? xstrdup(text) : NULL;
}

static int split_auth(const char *auth, struct credential *credential, struct err *err)
{
	cleanup_free char *pair = NULL;
	unsigned long len;
	char *colon;

	pair = creds_base64_decode(auth, &len);
	colon = pair ? memchr(pair, ':', len) : NULL;
	if (!colon)
		return err_set(err, ERR_INVALID, "an \"auth\" that is not base64 of user:password");
	*colon = '\0';
	free(credential->username);
	free(credential->password);
	credential->username = xstrdup(pair);
	credential->password = xstrdup(colon + 1); /* trailing NULs go with that */
	return 0;
}

/* False when the entry is only a marker. */
static int take_entry(const char *source, const json_t *entry, struct credential *credential,
		      bool *ret_found, struct err *err)
{
	const char *auth = json_string_value(json_object_get(entry, "auth"));

	*ret_found = false;
	if (!json_is_object(entry))
		return 0;
	credential->username = copy_string(entry, "username");
	credential->password = copy_string(entry, "password");
	credential->identity_token = copy_string(entry, "identitytoken");
	credential->registry_token = copy_string(entry, "registrytoken");
	if (auth && *auth && split_auth(auth, credential, err) < 0) {
		credential_release(credential);
		return err_wrap(err, "%s", source);
	}
	*ret_found = credential->identity_token || credential->registry_token ||
		     (credential->username && credential->password);
	if (*ret_found)
		credential->source = xstrdup(source);
	else
		credential_release(credential);
	return 0;
}

/* The most specific entry of auths. */
static const json_t *find_entry(json_t *auths, const char *host, const char *path)
{
	cleanup_free char *key = xasprintf("%s/%s", host, path);
	const char *name;
	json_t *entry;
	char *slash;

	for (;;) {
		entry = json_object_get(auths, key);
		if (entry)
			return entry;
		slash = strrchr(key, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	json_object_foreach(auths, name, entry) if (key_names_host(name, host)) return entry;
	return NULL;
}

static int ask(const char *name, const char *host, struct credential *credential, bool *ret_found,
	       struct err *err)
{
	const char *key = strcmp(host, "docker.io") == 0 ? HUB_KEY : host;

	if (creds_ask_helper(name, key, credential, err) < 0)
		return -1;
	*ret_found = credential->source != NULL;
	return 0;
}

static const char *helper_for(json_t *helpers, const char *host)
{
	const char *key;
	json_t *name;

	json_object_foreach(helpers, key,
			    name) if (key_names_host(key, host)) return json_string_value(name);
	return NULL;
}

int creds_find_in(const char *source, const char *text, unsigned long len, const char *host,
		  const char *path, struct credential *ret_credential, struct err *err)
{
	cleanup_json json_t *root = NULL;
	json_t *auths, *helpers;
	const json_t *entry;
	const char *helper, *store;
	bool found = false;

	*ret_credential = (struct credential){ 0 };
	if (js_parse(source, text, len, &root, err) < 0)
		return -1;
	if (!json_is_object(root))
		return err_set(err, ERR_INVALID, "%s: not an object", source);
	auths = json_object_get(root, "auths");
	helpers = json_object_get(root, "credHelpers");
	store = json_string_value(json_object_get(root, "credsStore"));
	helper = helper_for(helpers, host);
	if (helper)
		return ask(helper, host, ret_credential, &found, err);
	entry = find_entry(auths, host, path);
	if (entry && take_entry(source, entry, ret_credential, &found, err) < 0)
		return -1;
	if (!found && store && *store)
		return ask(store, host, ret_credential, &found, err);
	return 0;
}

static int try_file(const char *file, bool must_exist, const char *host, const char *path,
		    struct credential *credential, struct err *err)
{
	cleanup_buf struct buf text;

	buf_init(&text, CREDS_FILE_MAX);
	if (file_read_at(AT_FDCWD, file, &text, err) < 0) {
		if (must_exist)
			return err_wrap(err, "credentials");
		/* A file of somebody else's (root's, in a container) is as good as none. */
		err_clear(err);
		return 0;
	}
	return creds_find_in(file, text.data, text.len, host, path, credential, err);
}

static const char *env_or_empty(const struct strv *environment, const char *name)
{
	const char *value = env_get(environment, name);

	return value ? value : "";
}

static void add_place(struct strv *places, const char *directory, const char *rest)
{
	if (*directory)
		strv_addf(places, "%s/%s", directory, rest);
}

/* Files in the order asked. */
static void list_places(const struct strv *environment, struct strv *places)
{
	const char *home = env_or_empty(environment, "HOME");
	const char *runtime = env_or_empty(environment, "XDG_RUNTIME_DIR");
	const char *config = env_or_empty(environment, "XDG_CONFIG_HOME");
	const char *docker = env_or_empty(environment, "DOCKER_CONFIG");

	if (*docker) {
		/* Set on purpose, for programs that know docker's variable: it alone counts. */
		add_place(places, docker, "config.json");
		return;
	}
	if (*runtime)
		add_place(places, runtime, "containers/auth.json");
	else
		strv_addf(places, "/run/containers/%u/auth.json", (unsigned)geteuid());
	if (*config)
		add_place(places, config, "containers/auth.json");
	else
		add_place(places, home, ".config/containers/auth.json");
	add_place(places, home, ".docker/config.json");
}

int creds_find(const struct creds_options *options, const char *host, const char *path,
	       struct credential *ret_credential, struct err *err)
{
	const char *only = options->authfile ? options->authfile
					     : env_get(options->environment, "REGISTRY_AUTH_FILE");
	const char *inline_json = env_get(options->environment, "DOCKER_AUTH_CONFIG");
	cleanup_strv struct strv places = STRV_INIT;

	*ret_credential = (struct credential){ 0 };
	if (only && *only)
		return try_file(only, true, host, path, ret_credential, err);
	if (inline_json && *inline_json) {
		if (creds_find_in("DOCKER_AUTH_CONFIG", inline_json, strlen(inline_json), host,
				  path, ret_credential, err) < 0)
			return -1;
		if (ret_credential->source)
			return 0;
	}
	list_places(options->environment, &places);
	for (size_t i = 0; i < places.n; i++) {
		if (try_file(places.v[i], false, host, path, ret_credential, err) < 0)
			return -1;
		if (ret_credential->source)
			return 0;
	}
	return 0;
}
