/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_EXPLAIN_H
#define BUILDER_EXPLAIN_H

/*
 * builder/explain.h: what a build did and why: for each step whether its result was known, and if
 * not, what differs from the nearest earlier record of the same step. The last build of each
 * Dockerfile and context is remembered (builds/<id> in the store), and what the steps of each
 * image cost (costs/<id>).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"

struct build_options;
struct err;
struct store;

enum change_kind {
	CHANGE_FIRST,	 /* no earlier build had this step */
	CHANGE_NO_CACHE, /* `name` is the option that said so */
	CHANGE_GONE,	 /* the key is known, its record or layer is no longer there */
	CHANGE_FAILED,	 /* the step failed in the last build */
	CHANGE_FETCH,	 /* of FROM in a plan: the image `name` is not in the store */
	CHANGE_STEP,	 /* what it stands on changed: `name` is the number of that step; with
			  * old and new, another step stands before it now: their texts */
	CHANGE_BASE,	 /* `part` is name, image or platform; `name` the image */
	CHANGE_PART,	 /* a part of the key: `part` is its name as in docs/cache-keys.md */
	CHANGE_FILE,	 /* a file that COPY selects: `part` is content, mode, ... */
	CHANGE_KINDS,
};

/* One difference. Texts may be NULL: an old one for what is new, a new one for what is gone. */
struct change {
	enum change_kind kind;
	char *part;
	char *name; /* of a variable, file or image */
	char *old, *new;
};

struct changes {
	struct change *v;
	size_t n, cap;
};

/* What a step used. Bytes are those of block devices: what the page cache gave costs nothing. */
struct step_cost {
	uint64_t wall_ns, cpu_ns; /* cpu of all its processes */
	uint64_t peak_bytes;	  /* the largest resident set of one process */
	uint64_t read_bytes, written_bytes;
};

enum step_state {
	STEP_UNFINISHED, /* it failed, or what came before it did */
	STEP_BASE,	 /* FROM */
	STEP_CACHED,
	STEP_RUN, /* it ran; in a plan, it would run */
	STEP_STATES,
};

struct step_report {
	unsigned number;     /* in the build, from 1 */
	unsigned position;   /* in its stage, FROM is 1 */
	char *stage;	     /* its name, or "stage-" and its number */
	char *text;	     /* all of it; of an earlier build, the first line */
	struct digest whole; /* of all of it, zero until somebody needs it */
	enum step_state state;
	struct digest key;   /* zero while not known */
	struct digest quick; /* the key of COPY --from, else zero */
	char *base;	     /* FROM an image: its name, id and platform */
	struct digest id;
	char *platform;
	char *from;	       /* the shared cache that knew the step; NULL: this store did */
	struct step_cost cost; /* of a step that ran */
	struct changes changes;
};

struct build_report {
	char *context; /* absolute paths; "-" for standard input */
	char *dockerfile;
	struct step_report *steps;
	size_t n_steps, cap_steps;
	struct step_report *older; /* steps of earlier builds that this one did not come to */
	size_t n_older, cap_older;
};

void build_report_free(struct build_report *report);
DEFINE_CLEANUP(struct build_report *, build_report_free)

/*
 * The report of the last build with this Dockerfile and context (absolute paths; NULL for standard
 * input), files that changed by name. ERR_NOT_FOUND when there was none.
 */
int build_explain(struct store *store, const char *context, const char *dockerfile,
		  struct build_report **ret_report, struct err *err);

/*
 * What build_run() would do, and why. Nothing is run, fetched or made in the store but the index
 * of the context. What stands on a base that is not in the store cannot be known: it is said to
 * run, and to depend on FROM. A COPY --from whose source is new is said to run although its files
 * may turn out to be the old ones.
 */
int build_plan(const struct build_options *options, struct build_report **ret_report,
	       struct err *err);

/* As `cbuild explain --format json` prints it. */
json_t *build_report_json(const struct build_report *report);

/*
 * The costs of the steps of an image, one for each entry of its history; zero where none is known
 * (bases, instructions without a step, records that are gone). *ret_costs is the caller's.
 */
int build_costs(struct store *store, const struct digest *id, size_t n_history,
		struct step_cost **ret_costs, struct err *err);

/* Forget the costs of an image that is removed. */
int build_costs_forget(struct store *store, const struct digest *id, struct err *err);

#endif
