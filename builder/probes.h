/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_PROBES_H
#define BUILDER_PROBES_H

/*
 * builder/probes.h: what this machine lets a build do (sandbox/userns.h), remembered in the store
 * for as long as nothing that it depends on changes: at most a boot. Builds do not ask: they try.
 */

#include <stdbool.h>

#include "sandbox/userns.h"

struct store;

struct probes {
	struct userns_info info;
	bool remembered; /* from an earlier call; else tried now */
};

/*
 * The answers that are remembered, or else (or when `anew`) those of now. `search` is where
 * programs are looked for, as in PATH. Never fails.
 */
void probes_get(struct store *store, const char *search, bool anew, struct probes *ret_probes);

/* Something was refused that may be remembered as working. */
void probes_forget(struct store *store);

#endif
