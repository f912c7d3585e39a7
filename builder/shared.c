/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking shared caches.
 *  1. Keys need no results, so a plan of the build (build_plan()) knows most of them: at the first
 * one that the store does not have, all that it lacks are asked for at once. What a COPY --from
 * gives is part of the keys after it: when something was learned, the next plan may know more.
 *  2. No key is asked for twice in a build.
 *  3. What is believed becomes a record of the store, and its layer is known to be elsewhere:
 * nothing else knows of caches. A layout is a directory that may be gone tomorrow: of it, the layer
 * is taken at once.
 *  4. A cache that fails is not asked again; neither is one that lies, and of what it said beside
 * the lie nothing is taken. Each says so once.
 */
#include "builder/shared.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/remote.h"
#include "builder/report.h"
#include "registry/reference.h"

#define INLINE_MAX 4096 /* records in an image */

struct cache {
	const struct build_cache *options;
	struct reference reference; /* of a registry's */
	int dir_fd;		    /* of a layout's, else -1 */
	bool off;
	bool image_read; /* whether the reference is an image with records is known */
};

struct asked {
	struct digest key;
	const struct cache *from; /* who knew it, or NULL */
	bool lied;
};

struct shared {
	struct cache *caches;
	size_t n_caches;
	pthread_mutex_t asking; /* held while somebody asks, who alone changes what was asked, */
	pthread_mutex_t mutex;	/* and for each change of it: who looks need not wait for answers */
	struct asked *asked;
	size_t n_asked, cap_asked;
};

/* --- life ------------------------------------------------------------------------------------- */

static void turn_off(struct builder *builder, struct cache *cache, const struct err *why)
{
	if (!cache->off)
		builder_warn(builder, "the cache %s is not used: %s", cache->options->place,
			     why->message);
	cache->off = true;
}

/* --offline and a cache on the network contradict each other. */
static int check_offline(const struct builder *builder, const struct build_cache *caches, size_t n,
			 const char *option, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_free char *who = xasprintf("%s %s", option, caches[i].place);

		if (caches[i].kind == BUILD_CACHE_REGISTRY &&
		    remote_allowed(builder->options, who, err) < 0)
			return -1;
	}
	return 0;
}

static int open_cache(struct builder *builder, struct cache *cache, struct err *err)
{
	struct err why = ERR_INIT;

	if (cache->options->kind == BUILD_CACHE_REGISTRY)
		return reference_parse(cache->options->place, &cache->reference, err);
	cache->dir_fd =
		open(cache->options->place, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (cache->dir_fd < 0) {
		err_os(&why, "open it");
		turn_off(builder, cache, &why);
	}
	return 0;
}

int shared_open(struct builder *builder, struct err *err)
{
	const struct build_options *options = builder->options;
	struct shared *shared;

	if (check_offline(builder, options->cache_from, options->n_cache_from, "--cache-from",
			  err) < 0 ||
	    check_offline(builder, options->cache_to, options->n_cache_to, "--cache-to", err) < 0)
		return -1;
	if (!options->n_cache_from)
		return 0;
	builder->shared = shared = xcalloc(1, sizeof(*shared));
	pthread_mutex_init(&shared->asking, NULL);
	pthread_mutex_init(&shared->mutex, NULL);
	shared->caches = xcalloc(options->n_cache_from, sizeof(*shared->caches));
	for (; shared->n_caches < options->n_cache_from; shared->n_caches++) {
		struct cache *cache = &shared->caches[shared->n_caches];

		*cache = (struct cache){ .options = &options->cache_from[shared->n_caches],
					 .dir_fd = -1 };
		if (open_cache(builder, cache, err) < 0)
			return -1;
	}
	return 0;
}

void shared_free(struct shared *shared)
{
	if (!shared)
		return;
	for (size_t i = 0; i < shared->n_caches; i++)
		file_close_at(&shared->caches[i].dir_fd);
	free(shared->caches);
	free(shared->asked);
	pthread_mutex_destroy(&shared->mutex);
	pthread_mutex_destroy(&shared->asking);
	free(shared);
}

/* --- what was asked --------------------------------------------------------------------------- */

static struct asked *find_asked(const struct shared *shared, const struct digest *key)
{
	for (size_t i = 0; i < shared->n_asked; i++)
		if (digest_equal(&shared->asked[i].key, key))
			return &shared->asked[i];
	return NULL;
}

static void add_asked(struct shared *shared, const struct digest *key)
{
	if (digest_is_zero(key) || find_asked(shared, key))
		return;
	pthread_mutex_lock(&shared->mutex);
	shared->asked = grow_vector(shared->asked, shared->n_asked, &shared->cap_asked,
				    sizeof(*shared->asked));
	shared->asked[shared->n_asked++] = (struct asked){ .key = *key };
	pthread_mutex_unlock(&shared->mutex);
}

static void set_from(struct shared *shared, struct asked *asked, const struct cache *from)
{
	pthread_mutex_lock(&shared->mutex);
	asked->from = from;
	pthread_mutex_unlock(&shared->mutex);
}

static void set_lied(struct shared *shared, struct asked *asked)
{
	pthread_mutex_lock(&shared->mutex);
	asked->lied = true;
	pthread_mutex_unlock(&shared->mutex);
}

static const char *name_origin(const struct shared *shared, const struct digest *key)
{
	const struct asked *asked = find_asked(shared, key);

	return asked && asked->from ? asked->from->options->place : NULL;
}

const char *shared_origin(const struct builder *builder, const struct digest *key)
{
	struct shared *shared = builder->shared;
	const char *name;

	if (!shared)
		return NULL;
	pthread_mutex_lock(&shared->mutex);
	name = name_origin(shared, key);
	pthread_mutex_unlock(&shared->mutex);
	return name;
}

bool shared_has_lied(const struct builder *builder, const struct digest *key)
{
	struct shared *shared = builder->shared;
	const struct asked *asked;
	bool lied;

	if (!shared)
		return false;
	pthread_mutex_lock(&shared->mutex);
	asked = find_asked(shared, key);
	lied = asked && asked->lied;
	pthread_mutex_unlock(&shared->mutex);
	return lied;
}

/* --- taking ----------------------------------------------------------------------------------- */

/* An answer: one text, and what was read in it. */
struct answer {
	struct asked *asked;
	struct step_record record;
	struct descriptor blob;
	json_t *parts; /* NULL: there is none, or a lie */
};

static void read_answer(struct builder *builder, struct cache *cache, const char *text,
			struct answer *answer)
{
	struct err why = ERR_INIT, told = ERR_INIT;

	if (!text || shared_parse(text, &answer->asked->key, &answer->record, &answer->blob,
				  &answer->parts, &why) == 0)
		return;
	set_lied(builder->shared, answer->asked);
	err_set(&told, why.kind, "a record in it cannot be believed: %s", why.message);
	turn_off(builder, cache, &told);
}

/* The layer is where the cache is, or with a layout in the store. */
static int take_layer(struct builder *builder, const struct cache *cache,
		      const struct answer *answer, struct err *err)
{
	struct store *store = builder->options->store;
	const struct layer *layer = &answer->record.layer;
	char name[REFERENCE_TEXT_MAX];

	if (layer->empty)
		return 0;
	if (cache->dir_fd >= 0)
		return layout_take_layer(store, cache->dir_fd, &answer->blob, &layer->diff_id, err);
	return layer_add_place(store, &layer->diff_id, layer->size, &answer->blob,
			       reference_repository(&cache->reference, false, name), err);
}

static bool take(struct builder *builder, struct cache *cache, const struct answer *answer)
{
	struct err why = ERR_INIT;

	set_from(builder->shared, answer->asked, cache); /* before anybody can see the record */
	if (take_layer(builder, cache, answer, &why) == 0 &&
	    cache_put(builder->options->store, &answer->asked->key, &answer->record, answer->parts,
		      &why) == 0)
		return true;
	set_from(builder->shared, answer->asked, NULL);
	set_lied(builder->shared, answer->asked);
	turn_off(builder, cache, &why);
	return false;
}

/* --- one cache -------------------------------------------------------------------------------- */

static int get_tags(struct builder *builder, const struct cache *cache, struct tagged *tags,
		    size_t n, struct err *err)
{
	const struct build_options *options = builder->options;

	if (cache->dir_fd >= 0)
		return layout_get_tags(cache->dir_fd, tags, n, err);
	return transport_get_tags(&options->transport, options->store, &cache->reference, tags, n,
				  err);
}

/* All answers are read before one is taken. */
static size_t take_answers(struct builder *builder, struct cache *cache, const struct tagged *tags,
			   struct answer *answers, size_t n)
{
	size_t taken = 0;

	for (size_t i = 0; i < n; i++)
		read_answer(builder, cache, tags[i].text, &answers[i]);
	for (size_t i = 0; i < n && !cache->off; i++)
		if (answers[i].parts)
			taken += take(builder, cache, &answers[i]);
	return taken;
}

/* Ask for all keys from `first` on that nobody knew so far. How many were found. */
static size_t ask(struct builder *builder, struct cache *cache, size_t first)
{
	struct shared *shared = builder->shared;
	size_t n = 0, room = shared->n_asked - first + 1, taken = 0;
	cleanup_free struct answer *answers = xcalloc(room, sizeof(*answers));
	cleanup_free struct tagged *tags = xcalloc(room, sizeof(*tags));
	char(*names)[SHARED_TAG_MAX] = xcalloc(room, sizeof(*names));
	struct err why = ERR_INIT;

	for (size_t i = first; i < shared->n_asked; i++) {
		if (shared->asked[i].from)
			continue;
		answers[n].asked = &shared->asked[i];
		tags[n].tag = shared_tag(&shared->asked[i].key, names[n]);
		n++;
	}
	if (n && get_tags(builder, cache, tags, n, &why) < 0)
		turn_off(builder, cache, &why);
	else
		taken = take_answers(builder, cache, tags, answers, n);
	for (size_t i = 0; i < n; i++) {
		free(tags[i].text);
		json_decref(answers[i].parts);
	}
	free(names);
	return taken;
}

/* --- images that hold records ----------------------------------------------------------------- */

/* A record of an image, and the key that it is of. */
struct inlined {
	struct digest key;
	struct step_record record;
};

static int take_inline(struct builder *builder, struct cache *cache, const struct inlined *inlined,
		       struct err *err)
{
	struct store *store = builder->options->store;
	cleanup_json json_t *parts = json_array();
	struct err ignored = ERR_INIT;
	struct step_record known;

	if (cache_get(store, &inlined->key, &known, &ignored) == 0)
		return 0;
	add_asked(builder->shared, &inlined->key);
	set_from(builder->shared, find_asked(builder->shared, &inlined->key), cache);
	if (cache_put(store, &inlined->key, &inlined->record, parts, err) == 0)
		return 0;
	set_from(builder->shared, find_asked(builder->shared, &inlined->key), NULL);
	return -1;
}

/* All are read before one is taken. */
static int take_inlines(struct builder *builder, struct cache *cache, const struct image *image,
			struct err *err)
{
	size_t n = json_array_size(image->cache);
	cleanup_free struct inlined *all = xcalloc(n + 1, sizeof(*all));

	if (n > INLINE_MAX)
		return err_set(err, ERR_LIMIT, "more than %d records in the image", INLINE_MAX);
	for (size_t i = 0; i < n; i++)
		if (shared_parse_inline(json_array_get(image->cache, i), image, &all[i].key,
					&all[i].record, err) < 0)
			return err_wrap(err, "a record in it cannot be believed");
	for (size_t i = 0; i < n; i++)
		if (take_inline(builder, cache, &all[i], err) < 0)
			return -1;
	return 0;
}

static int read_image(struct builder *builder, struct cache *cache, struct err *err)
{
	const struct build_options *options = builder->options;
	const struct plan *plan = builder->plan;
	struct transport_options transport = options->transport;
	cleanup_with(image_free) struct image *image = NULL;
	struct transport_image peeked;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	transport.platform = &plan->stages[plan->target].platform;
	if (transport_peek(&transport, options->store, &cache->reference, &peeked, err) < 0 ||
	    blob_read(options->store, &peeked.id, &text, err) < 0 ||
	    image_parse(text.data, text.len, &image, err) < 0)
		return -1;
	return take_inlines(builder, cache, image, err);
}

/* Once for each cache. That its reference is no image, or not for this platform, is what most say.
 */
static void look_for_image(struct builder *builder, struct cache *cache)
{
	struct err why = ERR_INIT;

	if (cache->image_read || cache->dir_fd >= 0)
		return;
	cache->image_read = true;
	if (read_image(builder, cache, &why) < 0 && why.kind != ERR_NOT_FOUND &&
	    why.kind != ERR_UNSUPPORTED)
		turn_off(builder, cache, &why);
}

/* --- all caches ------------------------------------------------------------------------------- */

static bool may_ask(const struct shared *shared)
{
	for (size_t i = 0; i < shared->n_caches; i++)
		if (!shared->caches[i].off)
			return true;
	return false;
}

/* Ask each cache for the keys from `first` on. How many were found. */
static size_t ask_all(struct builder *builder, size_t first)
{
	struct shared *shared = builder->shared;
	size_t found = 0;

	for (size_t i = 0; i < shared->n_caches && first < shared->n_asked; i++)
		if (!shared->caches[i].off)
			found += ask(builder, &shared->caches[i], first);
	return found;
}

/* The keys of the build that the store does not know, as far as they can be told. */
static void add_planned(struct builder *builder)
{
	cleanup_with(build_report_free) struct build_report *report = NULL;
	struct build_options options = *builder->options;
	struct err ignored = ERR_INIT;

	options.planning = true;
	if (build_plan(&options, &report, &ignored) < 0)
		return;
	for (size_t i = 0; i < report->n_steps; i++) {
		if (report->steps[i].state != STEP_RUN)
			continue;
		add_asked(builder->shared, &report->steps[i].key);
		add_asked(builder->shared, &report->steps[i].quick);
	}
}

static bool find(struct builder *builder, const struct digest *key)
{
	struct shared *shared = builder->shared;
	bool is_new, learned = true;

	for (size_t i = 0; i < shared->n_caches; i++)
		if (!shared->caches[i].off)
			look_for_image(builder, &shared->caches[i]);
	is_new = !find_asked(shared, key) && may_ask(shared);
	while (is_new && learned) {
		size_t first = shared->n_asked;

		add_asked(shared, key);
		add_planned(builder);
		learned = ask_all(builder, first) > 0;
	}
	return name_origin(shared, key) != NULL;
}

bool shared_find(struct builder *builder, const struct digest *key)
{
	struct shared *shared = builder->shared;
	bool found;

	if (!shared)
		return false;
	pthread_mutex_lock(&shared->asking);
	found = find(builder, key);
	pthread_mutex_unlock(&shared->asking);
	return found;
}

void shared_ask(struct builder *builder, const struct digest *keys, size_t n)
{
	struct shared *shared = builder->shared;
	struct err ignored = ERR_INIT;
	struct step_record known;
	size_t first;

	if (!shared)
		return;
	pthread_mutex_lock(&shared->asking);
	first = shared->n_asked;
	for (size_t i = 0; i < n; i++)
		if (cache_get(builder->options->store, &keys[i], &known, &ignored) < 0)
			add_asked(shared, &keys[i]);
	ask_all(builder, first);
	pthread_mutex_unlock(&shared->asking);
}
