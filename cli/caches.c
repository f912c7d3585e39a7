/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --cache-from and --cache-to as buildx reads them: one record of CSV, "type=TYPE,NAME=VALUE,...",
 * or nothing but references, which then are registries'. What would have no effect is refused.
 */
#include "cli/caches.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"
#include "registry/reference.h"

DEFINE_CLEANUP(struct arena *, arena_free)

/* As they were given; NULL: not at all. */
struct cache_words {
	const char *type, *ref, *dir, *mode, *ignore_error, *compression;
};

struct reading {
	struct cli *cli;
	const char *option; /* "--cache-to" */
	const char *text;
	bool to;
};

static int fail(const struct reading *reading, struct err *err, const char *what)
{
	return cli_usage(reading->cli, err, "%s %s: %s", reading->option, reading->text, what);
}

/* --- words ------------------------------------------------------------------------------------ */

/* What docker's client sets in scripts and is what we do anyway. */
static bool is_moot(const struct flag_option *option)
{
	return (!strcmp(option->key, "oci-mediatypes") || !strcmp(option->key, "image-manifest")) &&
	       !strcmp(option->value, "true");
}

static const char **find_word(const struct reading *reading, struct cache_words *words,
			      const char *key)
{
	const struct {
		const char *key;
		const char **place;
		bool from, to;
	} places[] = {
		{ "type", &words->type, true, true },
		{ "ref", &words->ref, true, true },
		{ "src", &words->dir, true, false },
		{ "dest", &words->dir, false, true },
		{ "mode", &words->mode, false, true },
		{ "ignore-error", &words->ignore_error, false, true },
		{ "compression", &words->compression, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!strcmp(places[i].key, key) && (reading->to ? places[i].to : places[i].from))
			return places[i].place;
	return NULL;
}

static int read_words(const struct reading *reading, const struct flag_option *options, size_t n,
		      struct cache_words *words, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const char **place = find_word(reading, words, options[i].key);

		if (reading->to && is_moot(&options[i]))
			continue;
		if (!place || !options[i].has_value || !*options[i].value)
			return cli_usage(reading->cli, err, "%s %s: \"%s\" means nothing here",
					 reading->option, reading->text, options[i].key);
		*place = options[i].value;
	}
	return 0;
}

/* --- their meaning ---------------------------------------------------------------------------- */

static int check_reference(const struct reading *reading, const char *text, struct err *err)
{
	struct reference reference;
	struct err why = ERR_INIT;

	if (reference_parse(text, &reference, &why) < 0)
		return fail(reading, err, why.message);
	if (reading->to && reference.has_digest)
		return fail(reading, err, "a name with a digest cannot be written to");
	return 0;
}

static int read_type(const struct reading *reading, const struct cache_words *words,
		     struct build_cache *cache, struct err *err)
{
	const char *type = words->type;

	if (!type)
		return fail(reading, err, "type is missing: registry, local or inline");
	if (!strcmp(type, "registry")) {
		if (!words->ref || words->dir)
			return fail(reading, err, "a registry needs ref=NAME, and nothing else");
		cache->kind = BUILD_CACHE_REGISTRY;
		cache->place = xstrdup(words->ref);
		return check_reference(reading, words->ref, err);
	}
	if (!strcmp(type, "local")) {
		if (!words->dir || words->ref)
			return fail(reading, err,
				    reading->to ? "a local cache needs dest=DIR"
						: "a local cache needs src=DIR");
		cache->kind = BUILD_CACHE_LOCAL;
		cache->place = xstrdup(words->dir);
		return 0;
	}
	if (!strcmp(type, "inline") && reading->to) {
		if (words->ref || words->dir || words->compression ||
		    (words->mode && !strcmp(words->mode, "max")))
			return fail(reading, err,
				    "the records go into the image: there is nothing to choose");
		cache->kind = BUILD_CACHE_INLINE;
		return 0;
	}
	if (!strcmp(type, "inline"))
		return fail(reading, err, "name the image that holds it: type=registry,ref=NAME");
	if (!strcmp(type, "gha") || !strcmp(type, "s3") || !strcmp(type, "azblob"))
		return fail(reading, err,
			    "this service is not supported; use type=registry or type=local");
	return fail(reading, err, "unknown type; there are registry, local and inline");
}

static int read_choices(const struct reading *reading, const struct cache_words *words,
			struct build_cache *cache, struct err *err)
{
	static const struct {
		const char *name;
		enum compression compression;
	} compressions[] = {
		{ "gzip", COMPRESSION_GZIP },
		{ "zstd", COMPRESSION_ZSTD },
		{ "uncompressed", COMPRESSION_NONE },
	};
	const char *mode = words->mode ? words->mode : "min";
	const char *ignore = words->ignore_error ? words->ignore_error : "false";
	const char *compression = words->compression ? words->compression : "gzip";

	cache->max = !strcmp(mode, "max");
	if (!cache->max && strcmp(mode, "min"))
		return fail(reading, err, "mode is min or max");
	cache->ignore_error = !strcmp(ignore, "true") || !strcmp(ignore, "1");
	if (!cache->ignore_error && strcmp(ignore, "false") && strcmp(ignore, "0"))
		return fail(reading, err, "ignore-error is true or false");
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++) {
		if (strcmp(compression, compressions[i].name))
			continue;
		cache->compression = compressions[i].compression;
		return 0;
	}
	return fail(reading, err, "compression is gzip, zstd or uncompressed");
}

/* --- one option ------------------------------------------------------------------------------- */

static bool is_references(const struct flag_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (options[i].has_value)
			return false;
	return true;
}

/* Keys are in lower case by now: the words are taken from the text, which has no quotes then. */
static int read_references(const struct reading *reading, struct build_cache **caches, size_t *n,
			   size_t *cap, struct err *err)
{
	for (const char *at = reading->text; *at; at += strspn(at, ",")) {
		size_t len = strcspn(at, ",");
		struct build_cache cache = { .kind = BUILD_CACHE_REGISTRY,
					     .compression = COMPRESSION_GZIP };

		*caches = grow_vector(*caches, *n, cap, sizeof(**caches));
		cache.place = xstrndup(at, len);
		(*caches)[(*n)++] = cache;
		if (check_reference(reading, cache.place, err) < 0)
			return -1;
		at += len;
	}
	return 0;
}

static int read_one(const struct reading *reading, struct build_cache **caches, size_t *n,
		    size_t *cap, struct err *err)
{
	cleanup_with(arena_free) struct arena *arena = arena_new();
	struct cache_words words = { .type = NULL };
	struct flag_option *options;
	struct build_cache *cache;
	struct err why = ERR_INIT;
	size_t n_options;

	if (flag_options_parse(arena, reading->text, &options, &n_options, &why) < 0)
		return fail(reading, err, why.message);
	if (is_references(options, n_options))
		return read_references(reading, caches, n, cap, err);
	*caches = grow_vector(*caches, *n, cap, sizeof(**caches));
	cache = &(*caches)[(*n)++];
	*cache = (struct build_cache){ .place = NULL };
	if (read_words(reading, options, n_options, &words, err) < 0 ||
	    read_type(reading, &words, cache, err) < 0)
		return -1;
	return read_choices(reading, &words, cache, err);
}

int caches_parse(struct cli *cli, const struct strv *from, const struct strv *to,
		 struct caches *caches, struct err *err)
{
	struct reading reading = { .cli = cli, .option = "--cache-from" };

	for (size_t i = 0; i < from->n; i++) {
		reading.text = from->v[i];
		if (read_one(&reading, &caches->from, &caches->n_from, &caches->cap_from, err) < 0)
			return -1;
	}
	reading.option = "--cache-to";
	reading.to = true;
	for (size_t i = 0; i < to->n; i++) {
		reading.text = to->v[i];
		if (read_one(&reading, &caches->to, &caches->n_to, &caches->cap_to, err) < 0)
			return -1;
	}
	return 0;
}

void caches_fill(const struct caches *caches, struct build_options *options)
{
	options->cache_from = caches->from;
	options->n_cache_from = caches->n_from;
	options->cache_to = caches->to;
	options->n_cache_to = caches->n_to;
}

static void release(struct build_cache *caches, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(caches[i].place);
	free(caches);
}

void caches_release(struct caches *caches)
{
	release(caches->from, caches->n_from);
	release(caches->to, caches->n_to);
}
