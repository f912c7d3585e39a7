/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_SOURCE_H
#define BUILDER_SOURCE_H

/*
 * builder/source.h: where COPY and ADD read from: the build context, filtered by its ignore
 * rules and remembered by a stat index (contexts/<id> in the store), or a directory that is the
 * root of a stage or an image. Everything is opened inside the source's directory
 * (base/inroot.h), so no link leads out.
 */

#include <stddef.h>

#include "base/mem.h"

struct err;
struct ignore;
struct source;
struct store;

/*
 * A build context. `path` (absolute) names its index and appears in messages; dir_fd and ignore
 * (may be NULL) stay the caller's and must outlive the source. The directory is walked when
 * something is first selected, once for all selections; content is hashed by up to `jobs`
 * threads and only where the index cannot vouch for it: git's rule, so a file as young as the
 * index is read again. A context that cannot be read fails with the path.
 */
int source_open_context(struct store *store, const char *path, int dir_fd,
			const struct ignore *ignore, unsigned jobs, struct source **ret_source,
			struct err *err);

/* The root of a stage or image, mounted or unpacked: owners are kept, nothing is ignored. The store
 * only takes what is too much for memory. */
int source_open_root(struct store *store, int dir_fd, const char *what, unsigned jobs,
		     struct source **ret_source, struct err *err);

/* Write the index if it changed. A failure to write it is no failure of the build: it is
 * returned so that it can be shown as a warning. */
int source_save(struct source *source, struct err *err);

void source_free(struct source *source);
DEFINE_CLEANUP(struct source *, source_free)

#endif
