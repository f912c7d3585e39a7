/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/providers.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "registry/http.h"
#include "registry/remote.h"
#include "registry/session.h"
#include "registry/transfer.h"

/* One repository, as configured: mirrors first. */
struct provider {
	char *repository; /* as records have it */
	struct places places;
	struct remote **remotes; /* one for each place that answers */
	size_t n_remotes;
};

struct providers {
	struct session *session;
	struct provider *items;
	size_t n, cap;
};

struct providers *providers_new(struct session *session)
{
	struct providers *providers = xcalloc(1, sizeof(*providers));

	providers->session = session;
	return providers;
}

void providers_free(struct providers *providers)
{
	if (!providers)
		return;
	for (size_t i = 0; i < providers->n; i++) {
		struct provider *provider = &providers->items[i];

		for (size_t k = 0; k < provider->n_remotes; k++)
			remote_free(provider->remotes[k]);
		free(provider->remotes);
		places_release(&provider->places);
		free(provider->repository);
	}
	free(providers->items);
	free(providers);
}

static const struct provider *find(const struct providers *providers, const char *repository)
{
	for (size_t i = 0; i < providers->n; i++)
		if (!strcmp(providers->items[i].repository, repository))
			return &providers->items[i];
	return NULL;
}

/* One that does not answer is left out; when all are, fetching says so. */
static void open_remotes(struct session *session, struct provider *provider)
{
	provider->remotes = xcalloc(provider->places.n + 1, sizeof(*provider->remotes));
	for (size_t i = 0; i < provider->places.n; i++) {
		struct remote *remote = remote_new(session, &provider->places.items[i], false);
		struct err why = ERR_INIT;

		if (remote_settle(remote, &why) == 0) {
			provider->remotes[provider->n_remotes++] = remote;
			continue;
		}
		http_note(session->http, "%s", why.message);
		remote_free(remote);
	}
}

static int open_provider(struct providers *providers, const char *repository, struct err *err)
{
	struct provider provider = { .repository = NULL };
	struct reference reference;

	if (reference_parse(repository, &reference, err) < 0 ||
	    registries_places(providers->session->registries, &reference, false, &provider.places,
			      err) < 0)
		return -1;
	provider.repository = xstrdup(repository);
	open_remotes(providers->session, &provider);
	providers->items = grow_vector(providers->items, providers->n, &providers->cap,
				       sizeof(*providers->items));
	providers->items[providers->n++] = provider;
	return 0;
}

int providers_add(struct providers *providers, const struct digest *diff_id, struct err *err)
{
	struct store *store = providers->session->store;
	struct layer_places places;
	int status = 0;

	if (layer_present(store, diff_id))
		return 0;
	if (layer_places_read(store, diff_id, &places, err) < 0)
		return -1;
	for (size_t i = 0; i < places.n && status == 0; i++)
		if (!find(providers, places.v[i].repository))
			status = open_provider(providers, places.v[i].repository, err);
	layer_places_release(&places);
	return status;
}

static int fetch_from(struct providers *providers, const struct layer_place *place, struct err *err)
{
	const struct provider *provider = find(providers, place->repository);

	if (!provider || !provider->n_remotes)
		return err_set(err, ERR_FAILED, "%s does not answer", place->repository);
	return blob_download(providers->session, provider->remotes, provider->n_remotes,
			     &place->blob, err);
}

int providers_fetch(struct providers *providers, const struct digest *diff_id,
		    const struct digest *want, struct err *err)
{
	struct layer_places places;
	char text[DIGEST_TEXT_MAX];
	int status = -1;

	if (layer_places_read(providers->session->store, diff_id, &places, err) < 0)
		return -1;
	err_set(err, ERR_NOT_FOUND, "it is not in the store, and no registry is known to have it");
	for (size_t i = 0; i < places.n && status < 0; i++) {
		if (want && !digest_equal(&places.v[i].blob.digest, want))
			continue;
		err_clear(err);
		status = fetch_from(providers, &places.v[i], err);
	}
	layer_places_release(&places);
	return status < 0 ? err_wrap(err, "layer %s", digest_format(diff_id, text)) : 0;
}

/* --- the operation that does no more ----------------------------------------- */

struct wanted {
	struct providers *providers;
	struct digest *diff_ids; /* each once */
	size_t n;
};

static int read_wanted(struct wanted *wanted, const json_t *array, struct err *err)
{
	wanted->diff_ids = xcalloc(json_array_size(array) + 1, sizeof(*wanted->diff_ids));
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));
		struct digest *diff_id = &wanted->diff_ids[wanted->n];
		size_t k = 0;

		if (digest_parse(text ? text : "", diff_id, err) < 0)
			return -1;
		while (!digest_equal(&wanted->diff_ids[k], diff_id))
			k++;
		if (k < wanted->n)
			continue;
		wanted->n++;
		if (providers_add(wanted->providers, diff_id, err) < 0)
			return -1;
	}
	return 0;
}

static int bring(void *arg, size_t i, struct err *err)
{
	struct wanted *wanted = arg;

	return providers_fetch(wanted->providers, &wanted->diff_ids[i], NULL, err);
}

int layers_run(struct session *session, json_t **ret_result, struct err *err)
{
	struct wanted wanted = { .providers = providers_new(session) };
	int status = read_wanted(&wanted, json_object_get(session->request, "diff_ids"), err);

	if (status == 0)
		status = session_each(session, SESSION_BLOBS, wanted.n, bring, &wanted, err);
	free(wanted.diff_ids);
	providers_free(wanted.providers);
	if (status == 0)
		*ret_result = json_object();
	return status;
}
