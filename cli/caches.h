/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_CACHES_H
#define CLI_CACHES_H

/* cli/caches.h: --cache-from and --cache-to, in docker's grammar. */

#include <stddef.h>

struct build_cache;
struct build_options;
struct cli;
struct err;
struct strv;

struct caches {
	struct build_cache *from, *to;
	size_t n_from, n_to, cap_from, cap_to;
};

/* Parse what was given. Mistakes are the command line's. */
int caches_parse(struct cli *cli, const struct strv *from, const struct strv *to,
		 struct caches *caches, struct err *err);

/* The options point into the caches then. */
void caches_fill(const struct caches *caches, struct build_options *options);
void caches_release(struct caches *caches);

#endif
