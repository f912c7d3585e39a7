/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_REGISTRIES_H
#define REGISTRY_REGISTRIES_H

/*
 * registry/registries.h: containers-registries.conf(5), version 2: where an image name is
 * looked for: mirrors first, the registry itself last.
 */

#include <stdbool.h>
#include <stddef.h>

struct err;
struct reference;
struct strv;

struct registries;

/*
 * Read the file, or with NULL the one that CONTAINERS_REGISTRIES_CONF names, or the user's, or
 * the system's, with the drop-ins next to it. No file at all is fine. ERR_INVALID names file and
 * line.
 */
int registries_load(const char *file, const struct strv *environment,
		    struct registries **ret_registries, struct err *err);
void registries_free(struct registries *registries);

/* Add the registries of one file's text; those with a prefix known before replace it. */
int registries_add(struct registries *registries, const char *source, const char *text, size_t len,
		   struct err *err);
struct registries *registries_new(void);

struct place {
	char *host;	  /* "registry-1.docker.io", "localhost:5000" */
	char *repository; /* the path on that host */
	char *domain;	  /* of the name that was asked for */
	bool insecure;
	bool mirror;
};

struct places {
	struct place *items;
	size_t n;
	size_t cap;
};

/* Where to pull from, in order, or to push to (no mirrors). ERR_DENIED when blocked. */
int registries_places(const struct registries *registries, const struct reference *reference,
		      bool push, struct places *ret_places, struct err *err);
void places_release(struct places *places);
#define cleanup_places __attribute__((__cleanup__(places_release)))

#endif
