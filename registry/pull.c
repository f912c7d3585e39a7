/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/session.h"

/*
 * Pulling. The name is resolved once; from there on everything is asked for by digest, so it does
 * not matter who gives it. Order on disk: blobs, then the layers' records, a sync, the image's
 * record, its name: whatever is named is complete, but that a lazy pull leaves the layers where
 * they are, and their records say where.
 */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/http.h"
#include "registry/remote.h"
#include "registry/transfer.h"

#define INDEX_DEPTH_MAX 4

struct pull {
	struct session *session;
	struct places places;
	struct remote **remotes; /* one for each place */
	size_t first;		 /* who gave the manifest: the first to ask for blobs */
	struct platform platform;
	bool platform_given;
	bool lazy, nameless;
	struct digest remote_digest; /* what the name resolved to */
	struct document document;
	struct manifest *manifest;
	struct image *image;
	const struct descriptor **order; /* layers to fetch, each once, largest first */
	size_t n_order;
};

static void pull_release(struct pull *pull)
{
	for (size_t i = 0; i < pull->places.n && pull->remotes; i++)
		remote_free(pull->remotes[i]);
	free(pull->remotes);
	places_release(&pull->places);
	document_release(&pull->document);
	manifest_free(pull->manifest);
	image_free(pull->image);
	free(pull->order);
}

static int pull_open(struct pull *pull, struct session *session, struct err *err)
{
	const char *platform = json_string_value(json_object_get(session->request, "platform"));

	pull->session = session;
	pull->lazy = json_is_true(json_object_get(session->request, "lazy"));
	pull->nameless = json_is_true(json_object_get(session->request, "nameless"));
	session->impatient = pull->nameless;
	if (platform && platform_parse(platform, &pull->platform, err) < 0)
		return -1;
	pull->platform_given = platform != NULL;
	if (!platform)
		platform_host(&pull->platform);
	if (registries_places(session->registries, &session->reference, false, &pull->places, err) <
	    0)
		return -1;
	pull->remotes = xcalloc(pull->places.n, sizeof(pull->remotes[0]));
	for (size_t i = 0; i < pull->places.n; i++)
		pull->remotes[i] = remote_new(session, &pull->places.items[i], false);
	return 0;
}

/* Whether the next place may do better. */
static bool worth_asking_next(const struct pull *pull, size_t i, const struct err *err)
{
	if (i + 1 == pull->places.n)
		return false;
	return err->kind == ERR_NOT_FOUND || err->kind == ERR_DENIED || err->kind == ERR_FAILED ||
	       err->kind == ERR_CORRUPT;
}

/* --- from name to manifest --------------------------------------------------- */

static bool is_index(enum media media)
{
	return media == MEDIA_OCI_INDEX || media == MEDIA_DOCKER_LIST;
}

/* Replace the document, an index, by what it has for the platform. */
static int descend(struct pull *pull, struct remote *remote, struct err *err)
{
	cleanup_with(index_free) struct image_index *index = NULL;
	const struct index_entry *entry;
	struct document child = { 0 };
	struct document *document = &pull->document;

	if (index_parse(document->text.data, document->text.len, document->content_type, &index,
			err) < 0 ||
	    index_choose(index, &pull->platform, &entry, err) < 0)
		return -1;
	if (entry->descriptor.size > IMAGE_DOCUMENT_MAX)
		return err_set(err, ERR_LIMIT, "a manifest of more than %d bytes",
			       IMAGE_DOCUMENT_MAX);
	if (remote_get_manifest(remote, NULL, &entry->descriptor.digest, &child, err) < 0) {
		document_release(&child);
		return -1;
	}
	document_release(document);
	*document = child;
	if (document->text.len != entry->descriptor.size)
		return err_set(err, ERR_CORRUPT, "a manifest is not as long as its index says");
	/* The index is what was asked for; it knows what it points to. */
	if (entry->descriptor.media != MEDIA_UNKNOWN)
		document->media = entry->descriptor.media;
	return 0;
}

static int resolve_from(struct pull *pull, struct remote *remote, struct err *err)
{
	const struct reference *reference = &pull->session->reference;
	struct document *document = &pull->document;

	document_release(document);
	if (remote_get_manifest(remote, reference->tag,
				reference->has_digest ? &reference->digest : NULL, document,
				err) < 0)
		return -1;
	pull->remote_digest = document->digest;
	for (unsigned depth = 0; is_index(document->media); depth++) {
		if (depth == INDEX_DEPTH_MAX)
			return err_set(err, ERR_LIMIT, "indexes nested more than %d deep",
				       INDEX_DEPTH_MAX);
		if (descend(pull, remote, err) < 0)
			return -1;
	}
	return manifest_parse(document->text.data, document->text.len, document->content_type,
			      &pull->manifest, err);
}

static int resolve_manifest(struct pull *pull, struct err *err)
{
	for (size_t i = 0; i < pull->places.n; i++) {
		if (resolve_from(pull, pull->remotes[i], err) == 0) {
			pull->first = i;
			return 0;
		}
		if (!worth_asking_next(pull, i, err))
			return -1;
		http_note(pull->session->http, "mirror: %s", err->message);
		err_clear(err);
	}
	return -1;
}

/* --- what is here already ---------------------------------------------------- */

static bool image_is_here(struct pull *pull, const struct image_name *name,
			  struct image_record *record)
{
	struct session *session = pull->session;
	struct err ignored = ERR_INIT;

	if (image_record_get(session->store, &name->id, record, &ignored) < 0 ||
	    !record->manifest.size ||
	    image_load(session->store, &name->id, &pull->image, &ignored) < 0 ||
	    !platform_match(&pull->platform, &pull->image->platform))
		return false;
	for (size_t i = 0; i < pull->image->n_layers; i++) {
		const struct digest *diff_id = &pull->image->diff_ids[i];

		if (pull->lazy ? !layer_known(session->store, diff_id)
			       : !layer_present(session->store, diff_id))
			return false;
	}
	return true;
}

/* The name was pulled before: one HEAD tells whether it still means the same. */
static bool is_current(struct pull *pull, struct image_name *name, struct image_record *record)
{
	char text[REFERENCE_TEXT_MAX];
	const struct reference *reference = &pull->session->reference;
	struct err ignored = ERR_INIT;
	struct digest digest;
	bool known;

	if (image_name_get(pull->session->store, reference_format(reference, text), name,
			   &ignored) < 0 ||
	    digest_is_zero(&name->remote) || !image_is_here(pull, name, record))
		return false;
	if (reference->has_digest)
		return digest_equal(&reference->digest, &name->remote);
	if (remote_head_manifest(pull->remotes[0], reference->tag, NULL, &digest, &known,
				 &ignored) < 0)
		return false;
	return known && digest_equal(&digest, &name->remote);
}

/* --- blobs ------------------------------------------------------------------- */

static int fetch(struct pull *pull, const struct descriptor *blob, struct err *err)
{
	return blob_download(pull->session, pull->remotes + pull->first,
			     pull->places.n - pull->first, blob, err);
}

static int check_platform(struct pull *pull, struct err *err)
{
	char want[PLATFORM_TEXT_MAX], have[PLATFORM_TEXT_MAX];

	if (platform_match(&pull->platform, &pull->image->platform))
		return 0;
	platform_format(&pull->platform, want);
	platform_format(&pull->image->platform, have);
	if (pull->platform_given)
		return err_set(err, ERR_NOT_FOUND, "no match for platform %s; available: %s", want,
			       have);
	http_note(pull->session->http, "the image is for %s, this machine is %s", have, want);
	return 0;
}

static int fetch_config(struct pull *pull, struct err *err)
{
	const struct descriptor *config = &pull->manifest->config;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (config->size > IMAGE_DOCUMENT_MAX)
		return err_set(err, ERR_LIMIT, "a config of more than %d bytes",
			       IMAGE_DOCUMENT_MAX);
	if (fetch(pull, config, err) < 0 ||
	    blob_read(pull->session->store, &config->digest, &text, err) < 0 ||
	    image_parse(text.data, text.len, &pull->image, err) < 0)
		return err_wrap(err, "config");
	if (pull->image->n_layers != pull->manifest->n_layers)
		return err_set(err, ERR_CORRUPT, "the config knows %zu layers, the manifest %zu",
			       pull->image->n_layers, pull->manifest->n_layers);
	return check_platform(pull, err);
}

static int larger_first(const void *a, const void *b)
{
	const struct descriptor *const *left = a, *const *right = b;

	return ((*left)->size < (*right)->size) - ((*left)->size > (*right)->size);
}

static void order_layers(struct pull *pull)
{
	const struct manifest *manifest = pull->manifest;

	pull->order = xcalloc(manifest->n_layers + 1, sizeof(pull->order[0]));
	for (size_t i = 0; i < manifest->n_layers; i++) {
		const struct descriptor *layer = &manifest->layers[i];
		bool known = false;

		for (size_t j = 0; j < pull->n_order && !known; j++)
			known = digest_equal(&pull->order[j]->digest, &layer->digest);
		if (!known)
			pull->order[pull->n_order++] = layer;
	}
	for (size_t i = 0; i < pull->n_order; i++)
		session_event(pull->session, TRANSPORT_WAITING, &pull->order[i]->digest, 0,
			      pull->order[i]->size);
	qsort(pull->order, pull->n_order, sizeof(pull->order[0]), larger_first);
}

static int fetch_layer(void *arg, size_t i, struct err *err)
{
	struct pull *pull = arg;

	return fetch(pull, pull->order[i], err);
}

static int record_image(struct pull *pull, struct err *err)
{
	struct store *store = pull->session->store;
	struct document *document = &pull->document;
	struct image_record record = { .id = pull->manifest->config.digest,
				       .manifest = { .media = pull->manifest->media,
						     .digest = document->digest,
						     .size = document->text.len } };
	char name[REFERENCE_TEXT_MAX];
	struct digest digest;

	reference_repository(&pull->session->reference, false, name);
	for (size_t i = 0; i < pull->manifest->n_layers; i++)
		if (layer_add_place(store, &pull->image->diff_ids[i], 0, &pull->manifest->layers[i],
				    name, err) < 0)
			return -1;
	if (pull->nameless)
		return 0;
	if (blob_put(store, document->text.data, document->text.len, &digest, err) < 0)
		return -1;
	if (store_sync(store, err) < 0 || image_record_put(store, &record, err) < 0)
		return -1;
	return image_tag(store, reference_format(&pull->session->reference, name), &record.id,
			 &pull->remote_digest, err);
}

static json_t *result(const struct digest *id, const struct digest *manifest,
		      const struct digest *remote)
{
	json_t *object = json_object();
	char text[DIGEST_TEXT_MAX];

	json_object_set_new(object, "id", json_string(digest_format(id, text)));
	json_object_set_new(object, "manifest", json_string(digest_format(manifest, text)));
	json_object_set_new(object, "remote", json_string(digest_format(remote, text)));
	return object;
}

static int pull_image(struct pull *pull, json_t **ret_result, struct err *err)
{
	struct image_name name = { 0 };
	struct image_record record;
	bool current = !pull->nameless && is_current(pull, &name, &record);

	if (current)
		*ret_result = result(&record.id, &record.manifest.digest, &name.remote);
	image_name_release(&name);
	if (current)
		return 0;
	image_free(steal_pointer(&pull->image));
	if (resolve_manifest(pull, err) < 0 || fetch_config(pull, err) < 0)
		return -1;
	if (!pull->lazy)
		order_layers(pull);
	if ((!pull->lazy && session_each(pull->session, SESSION_BLOBS, pull->n_order, fetch_layer,
					 pull, err) < 0) ||
	    record_image(pull, err) < 0)
		return -1;
	*ret_result = result(&pull->manifest->config.digest, &pull->document.digest,
			     &pull->remote_digest);
	return 0;
}

int pull_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct pull pull = { 0 };
	int rc;

	rc = pull_open(&pull, session, err);
	if (rc == 0)
		rc = pull_image(&pull, ret_result, err);
	pull_release(&pull);
	return rc;
}

/* --- only what a name means -------------------------------------------------- */

static int resolve_at(struct pull *pull, struct remote *remote, struct digest *ret_digest,
		      struct err *err)
{
	struct document *document = &pull->document;
	bool known;

	if (remote_head_manifest(remote, pull->session->reference.tag, NULL, ret_digest, &known,
				 err) < 0)
		return -1;
	if (known)
		return 0;
	/* Not there, or a registry that tells no digest: a GET says which, and why. */
	document_release(document);
	if (remote_get_manifest(remote, pull->session->reference.tag, NULL, document, err) < 0)
		return -1;
	*ret_digest = document->digest;
	return 0;
}

static int resolve_anywhere(struct pull *pull, struct digest *ret_digest, struct err *err)
{
	if (pull->session->reference.has_digest) {
		*ret_digest = pull->session->reference.digest;
		return 0;
	}
	for (size_t i = 0;; i++) {
		if (resolve_at(pull, pull->remotes[i], ret_digest, err) == 0)
			return 0;
		if (!worth_asking_next(pull, i, err))
			return -1;
		http_note(pull->session->http, "mirror: %s", err->message);
		err_clear(err);
	}
}

int resolve_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct pull pull = { 0 };
	char text[DIGEST_TEXT_MAX];
	struct digest digest;
	int rc;

	rc = pull_open(&pull, session, err);
	if (rc == 0)
		rc = resolve_anywhere(&pull, &digest, err);
	pull_release(&pull);
	if (rc < 0)
		return -1;
	*ret_result = json_object();
	json_object_set_new(*ret_result, "digest", json_string(digest_format(&digest, text)));
	return 0;
}
