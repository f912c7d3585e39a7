/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/registries.h"

/*
 * The entry with the longest prefix of the normal name decides. What follows the prefix is kept
 * when the name is rewritten to a location: prefix example.com/a, location mirror/b make
 * example.com/a/c into mirror/b/c. A rewritten name is host/path, split at its first slash.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "registry/reference.h"
#include "registry/toml.h"

#define CONF_MAX    (1 << 20)
#define SYSTEM_CONF "/etc/containers/registries.conf"
#define HUB_HOST    "registry-1.docker.io"

enum pull_from {
	PULL_FROM_ALL,
	PULL_FROM_DIGEST,
	PULL_FROM_TAG,
};

struct mirror {
	char *location;
	bool insecure;
	enum pull_from pull_from;
};

struct registry {
	char *prefix;
	char *location;
	char *source; /* the file */
	bool insecure;
	bool blocked;
	struct mirror *mirrors;
	size_t n_mirrors;
	size_t cap_mirrors;
};

struct registries {
	struct registry *items;
	size_t n;
	size_t cap;
};

struct registries *registries_new(void)
{
	return xcalloc(1, sizeof(struct registries));
}

static void registry_release(struct registry *registry)
{
	for (size_t i = 0; i < registry->n_mirrors; i++)
		free(registry->mirrors[i].location);
	free(registry->mirrors);
	free(registry->prefix);
	free(registry->location);
	free(registry->source);
	*registry = (struct registry){ 0 };
}

void registries_free(struct registries *registries)
{
	if (!registries)
		return;
	for (size_t i = 0; i < registries->n; i++)
		registry_release(&registries->items[i]);
	free(registries->items);
	free(registries);
}

DEFINE_CLEANUP(struct registries *, registries_free)

static int get_bool(const json_t *table, const char *key, bool *value, struct err *err)
{
	const json_t *found = json_object_get(table, key);

	if (found && !json_is_boolean(found))
		return err_set(err, ERR_INVALID, "%s is not true or false", key);
	*value = json_is_true(found);
	return 0;
}

/* A location is host[:port][/path], without scheme and final slash. */
static int check_location(const char *location, struct err *err)
{
	size_t len = strlen(location);

	if (!len || location[0] == '/' || location[len - 1] == '/' || strstr(location, "://") ||
	    strpbrk(location, " \t\r\n?#@\\"))
		return err_set(err, ERR_INVALID, "not a location: \"%.200s\"", location);
	return 0;
}

static int add_mirror(struct registry *registry, const json_t *table, bool digest_only,
		      struct err *err)
{
	const char *location, *pull_from;
	struct mirror mirror = { .pull_from = digest_only ? PULL_FROM_DIGEST : PULL_FROM_ALL };

	if (js_string(table, "location", "", &location, err) < 0 ||
	    js_string(table, "pull-from-mirror", "", &pull_from, err) < 0 ||
	    get_bool(table, "insecure", &mirror.insecure, err) < 0 ||
	    check_location(location, err) < 0)
		return err_wrap(err, "mirror of %s", registry->prefix);
	if (strcmp(pull_from, "digest-only") == 0)
		mirror.pull_from = PULL_FROM_DIGEST;
	else if (strcmp(pull_from, "tag-only") == 0)
		mirror.pull_from = PULL_FROM_TAG;
	else if (*pull_from && strcmp(pull_from, "all") != 0)
		return err_set(err, ERR_INVALID, "mirror of %s: unknown pull-from-mirror \"%s\"",
			       registry->prefix, pull_from);
	mirror.location = xstrdup(location);
	registry->mirrors = grow_vector(registry->mirrors, registry->n_mirrors,
					&registry->cap_mirrors, sizeof(mirror));
	registry->mirrors[registry->n_mirrors++] = mirror;
	return 0;
}

static int read_registry(const json_t *table, struct registry *registry, struct err *err)
{
	const char *prefix, *location;
	bool digest_only = false;
	json_t *mirrors, *mirror;
	size_t i;

	if (!json_is_object(table))
		return err_set(err, ERR_INVALID, "a registry that is no table");
	if (js_string(table, "location", "", &location, err) < 0 ||
	    js_string(table, "prefix", location, &prefix, err) < 0 ||
	    get_bool(table, "insecure", &registry->insecure, err) < 0 ||
	    get_bool(table, "blocked", &registry->blocked, err) < 0 ||
	    get_bool(table, "mirror-by-digest-only", &digest_only, err) < 0)
		return -1;
	if (!*prefix)
		return err_set(err, ERR_INVALID, "a registry without prefix and location");
	if (!*location && strncmp(prefix, "*.", 2) != 0)
		location = prefix;
	if (*location && check_location(location, err) < 0)
		return -1;
	registry->prefix = xstrdup(prefix);
	registry->location = xstrdup(location);
	if (js_array(table, "mirror", &mirrors, err) < 0)
		return -1;
	json_array_foreach(mirrors, i, mirror) if (add_mirror(registry, mirror, digest_only, err) <
						   0) return -1;
	return 0;
}

static void keep_registry(struct registries *registries, struct registry *registry)
{
	for (size_t i = 0; i < registries->n; i++) {
		if (strcmp(registries->items[i].prefix, registry->prefix) != 0)
			continue;
		registry_release(&registries->items[i]);
		registries->items[i] = *registry;
		return;
	}
	registries->items =
		grow_vector(registries->items, registries->n, &registries->cap, sizeof(*registry));
	registries->items[registries->n++] = *registry;
}

int registries_add(struct registries *registries, const char *source, const char *text, size_t len,
		   struct err *err)
{
	cleanup_json json_t *root = NULL;
	json_t *list, *table;
	size_t i;

	if (toml_parse(source, text, len, &root, err) < 0)
		return -1;
	if (json_object_get(root, "registries"))
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: version 1 of registries.conf; write it with [[registry]]",
			       source);
	if (js_array(root, "registry", &list, err) < 0)
		return err_wrap(err, "%s", source);
	json_array_foreach(list, i, table)
	{
		struct registry registry = { .source = xstrdup(source) };

		if (read_registry(table, &registry, err) < 0) {
			registry_release(&registry);
			return err_wrap(err, "%s", source);
		}
		keep_registry(registries, &registry);
	}
	return 0;
}

/* A missing file is fine, and told. */
static int add_file(struct registries *registries, const char *file, bool *ret_found,
		    struct err *err)
{
	cleanup_buf struct buf text;

	buf_init(&text, CONF_MAX);
	*ret_found = false;
	if (file_read_at(AT_FDCWD, file, &text, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return err_wrap(err, "%s", file);
		err_clear(err);
		return 0;
	}
	*ret_found = true;
	return registries_add(registries, file, text.data, text.len, err);
}

static int is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_directory(struct registries *registries, const char *directory, struct err *err)
{
	struct dirent **entries = NULL;
	int n = scandir(directory, &entries, is_conf, compare_names);
	int rc = 0;

	for (int i = 0; i < n; i++) {
		cleanup_free char *file = xasprintf("%s/%s", directory, entries[i]->d_name);
		bool found;

		if (rc == 0)
			rc = add_file(registries, file, &found, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int add_usual(struct registries *registries, const struct strv *environment, struct err *err)
{
	const char *home = env_get(environment, "HOME");
	const char *config = env_get(environment, "XDG_CONFIG_HOME");
	cleanup_free char *user = NULL, *drop_ins = NULL;
	bool found = false;

	if (config && *config)
		user = xasprintf("%s/containers/registries.conf", config);
	else
		user = xasprintf("%s/.config/containers/registries.conf", home ? home : "");
	drop_ins = xasprintf("%s.d", user);
	if (add_file(registries, user, &found, err) < 0)
		return -1;
	if (!found && (add_file(registries, SYSTEM_CONF, &found, err) < 0 ||
		       add_directory(registries, SYSTEM_CONF ".d", err) < 0))
		return -1;
	return add_directory(registries, drop_ins, err);
}

int registries_load(const char *file, const struct strv *environment,
		    struct registries **ret_registries, struct err *err)
{
	cleanup_with(registries_free) struct registries *registries = registries_new();
	bool found;

	if (!file)
		file = env_get(environment, "CONTAINERS_REGISTRIES_CONF");
	if (file && *file) {
		if (add_file(registries, file, &found, err) < 0)
			return -1;
		if (!found)
			return err_set(err, ERR_NOT_FOUND, "%s: no such file", file);
	} else if (add_usual(registries, environment, err) < 0) {
		return -1;
	}
	*ret_registries = steal_pointer(&registries);
	return 0;
}

/* Bytes of the name that the prefix covers, 0 when it does not match. */
static size_t match(const char *prefix, const char *name)
{
	size_t len = strlen(prefix), host_len = strcspn(name, "/");

	if (strncmp(prefix, "*.", 2) == 0) {
		const char *suffix = prefix + 1;
		size_t suffix_len = len - 1;

		if (host_len > suffix_len &&
		    strncmp(name + host_len - suffix_len, suffix, suffix_len) == 0)
			return host_len;
		return 0;
	}
	if (strncmp(name, prefix, len) != 0 || !strchr(":/@", name[len]))
		return 0;
	return len;
}

static const struct registry *find(const struct registries *registries, const char *name,
				   size_t *ret_covered)
{
	const struct registry *best = NULL;

	for (size_t i = 0; i < registries->n; i++) {
		size_t covered = match(registries->items[i].prefix, name);

		if (!covered ||
		    (best && strlen(best->prefix) >= strlen(registries->items[i].prefix)))
			continue;
		best = &registries->items[i];
		*ret_covered = covered;
	}
	return best;
}

static int add_place(struct places *places, const char *name, bool insecure, bool mirror,
		     struct err *err)
{
	const char *slash = strchr(name, '/');
	struct place place = { .insecure = insecure, .mirror = mirror };

	if (!slash || !slash[1])
		return err_set(err, ERR_INVALID, "%s: no repository on a registry", name);
	place.host = xstrndup(name, (size_t)(slash - name));
	place.repository = xstrdup(slash + 1);
	if (strcmp(place.host, "docker.io") == 0) {
		free(place.host);
		place.host = xstrdup(HUB_HOST);
	}
	places->items = grow_vector(places->items, places->n, &places->cap, sizeof(place));
	places->items[places->n++] = place;
	return 0;
}

static int add_rewritten(struct places *places, const char *location, const char *rest,
			 bool insecure, bool mirror, struct err *err)
{
	cleanup_free char *name = xasprintf("%s%s", location, rest);

	return add_place(places, name, insecure, mirror, err);
}

static int add_mirrors(struct places *places, const struct registry *registry, const char *rest,
		       bool by_digest, struct err *err)
{
	for (size_t i = 0; i < registry->n_mirrors; i++) {
		const struct mirror *mirror = &registry->mirrors[i];

		if (mirror->pull_from == (by_digest ? PULL_FROM_TAG : PULL_FROM_DIGEST))
			continue;
		if (add_rewritten(places, mirror->location, rest, mirror->insecure, true, err) < 0)
			return -1;
	}
	return 0;
}

int registries_places(const struct registries *registries, const struct reference *reference,
		      bool push, struct places *ret_places, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];
	cleanup_places struct places places = { 0 };
	const struct registry *registry;
	size_t covered = 0;
	int rc;

	reference_repository(reference, false, name);
	registry = find(registries, name, &covered);
	if (registry && registry->blocked)
		return err_set(err, ERR_DENIED, "registry %s is blocked in %s", registry->prefix,
			       registry->source);
	if (registry && !push &&
	    add_mirrors(&places, registry, name + covered, reference->has_digest, err) < 0)
		return -1;
	if (registry && *registry->location)
		rc = add_rewritten(&places, registry->location, name + covered, registry->insecure,
				   false, err);
	else
		rc = add_place(&places, name, registry && registry->insecure, false, err);
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < places.n; i++)
		places.items[i].domain = xstrdup(reference->domain);
	*ret_places = places;
	places = (struct places){ 0 };
	return 0;
}

void places_release(struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		free(places->items[i].host);
		free(places->items[i].repository);
		free(places->items[i].domain);
	}
	free(places->items);
	*places = (struct places){ 0 };
}
