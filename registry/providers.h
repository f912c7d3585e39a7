/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_PROVIDERS_H
#define REGISTRY_PROVIDERS_H

/*
 * registry/providers.h: layers that are not in the store, brought from the repositories that their
 * records name (layers/layer.h, layer_add_place()).
 */

#include <stddef.h>

struct digest;
struct err;
struct session;

struct providers;
struct providers *providers_new(struct session *session);
void providers_free(struct providers *providers);

/* Get ready to ask for the layer; to be called before threads are. A layer that is here or that
 * nobody has is no error yet. */
int providers_add(struct providers *providers, const struct digest *diff_id, struct err *err);

/*
 * Bring a blob of the layer into the store, that one when `want` is not NULL, from the first
 * repository that gives it. From any thread.
 */
int providers_fetch(struct providers *providers, const struct digest *diff_id,
		    const struct digest *want, struct err *err);

#endif
