/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_BUILD_FLAGS_H
#define CLI_BUILD_FLAGS_H

/* cli/build_flags.h: the options of build and plan, and what a build makes of them. */

#include <stdbool.h>

#include "base/strv.h"
#include "builder/build.h"
#include "cli/caches.h"
#include "cli/internal.h"

struct err;

struct build_flags {
	/* as they were given; NULL for what was not */
	struct strv tags, build_args, labels, add_hosts, contexts, trusted;
	struct strv no_cache_filter, cache_from, cache_to;
	const char *file, *target, *platform, *network, *progress, *pull, *iidfile, *authfile;
	const char *call, *format, *sync, *epoch, *isolation, *jobs, *dockerfile_max;
	bool no_cache, quiet, rm, force_rm, tls_verify, check, offline, explain, rewrite_timestamp;
	struct grant_flags grants;
	struct limit_flags limits;

	/* what the options of the build point to */
	struct {
		char *hosts;
		struct platform platform;
		struct grants grants;
		struct limits limits;
		struct caches caches;
	} made;
};

/* Read the command line. Whatever comes of it, *flags is to be released. */
int build_flags_parse(struct cli *cli, int *argc, char **argv, struct build_flags *flags,
		      struct err *err);

/*
 * Turn them into options, which point into flags then, and read the environment and the files that
 * count as well (secrets, a seccomp profile). The store and the input of the build are not among
 * them. Mistakes are the command line's.
 */
int build_flags_fill(struct cli *cli, struct build_flags *flags, struct build_options *options,
		     struct err *err);

/* --quiet, --progress and $BUILDKIT_PROGRESS. */
int build_flags_progress(struct cli *cli, const struct build_flags *flags,
			 enum progress_mode *ret_mode, struct err *err);

/* Free what is in both; secrets are wiped. */
void build_flags_release(struct build_flags *flags, struct build_options *options);

#endif
