/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_INTERNAL_H
#define BUILDER_INTERNAL_H

/*
 * builder/internal.h: what the files of builder/ tell each other, in the order of the data:
 * plan, keys, cache, stages, steps.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/strv.h"
#include "builder/build.h"
#include "builder/copy.h"
#include "builder/explain.h"
#include "builder/source.h"
#include "dockerfile-parser/dockerfile.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"

struct arena;
struct err;
struct deferred;
struct lint_result;
struct reference;
struct schedule;
struct snapshot;

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- scope.c: variables ----------------------------------------------------------------------- */

/* An expand_lookup over a struct strv of "NAME=value". */
const char *scope_lookup(void *env, const char *name, size_t name_len);

/* Expand one word of an instruction; errors point at the word. The result is the caller's. */
int scope_expand(const struct dockerfile *dockerfile, const struct strv *env,
		 const struct word *word, char **ret_text, struct err *err);

/*
 * The ARGs that exist without being declared in FROM: TARGETPLATFORM and so on, and TARGETSTAGE,
 * which is "default" when no stage is asked for (NULL).
 */
void scope_add_platforms(struct strv *args, const struct platform *target,
			 const struct platform *build, const char *target_stage);
bool scope_is_proxy(const char *name);

/* An ARG that speaks to the builder: it is no variable of RUN, and no word expands to it. */
bool scope_is_silent(const char *name);

/* --- plan.c: text to stages, pure */

enum stage_base {
	STAGE_BASE_SCRATCH,
	STAGE_BASE_STAGE,
	STAGE_BASE_IMAGE,
	STAGE_BASE_NAMED, /* a --build-context */
};

struct plan_stage {
	size_t index;
	const char *name; /* lower case, NULL without AS */
	const struct instruction *from;
	enum stage_base base;
	size_t base_stage;	/* STAGE_BASE_STAGE */
	const char *base_image; /* STAGE_BASE_IMAGE: expanded, as written otherwise */
	struct named *named;	/* STAGE_BASE_NAMED */
	bool replaced;		/* by that: none of its own steps are run */
	struct platform platform;
	const struct instruction *steps; /* what follows FROM */
	size_t n_steps;
	bool needed; /* the target depends on it */
};

struct named;
struct named_list;

struct plan {
	struct arena *arena;
	const struct dockerfile *dockerfile;
	struct plan_stage *stages;
	size_t n_stages;
	size_t target;
	struct strv global_args; /* declared before the first FROM, with their values */
	struct strv platform_args;
	struct strv unused_args; /* names of --build-arg that nothing declares */
};

/*
 * Split into stages, expand FROM, choose the target and what it depends on. Reads nothing but
 * its arguments. Errors point into the Dockerfile.
 */
int plan_make(const struct dockerfile *dockerfile, const struct strv *build_args,
	      const char *target, const struct platform *platform, struct plan **ret_plan,
	      struct err *err);
void plan_free(struct plan *plan);

/* Put named contexts in the place of the stages and base images of their names. */
void plan_use_contexts(struct plan *plan, const struct named_list *contexts);

/* The name of a stage above that line that is like this one, or NULL. */
const char *plan_near_stage(const struct plan *plan, const char *name, unsigned line);
/* An ONBUILD trigger is a step of that stage as well: what it reads is needed from now on. */
void plan_need(struct plan *plan, size_t index, const struct instruction *trigger);

/* The stage that a --from or from= means when used in stage `before`: by name or number, only
 * earlier ones. False when it names none (then it is an image). */
bool plan_find_stage(const struct plan *plan, const char *name, size_t before, size_t *ret_index);

/* --- key.c: inputs to key, pure */

/*
 * A key is the sha256 over named parts, in order. The parts stay for `explain`: small ones as
 * text, big ones as their digest. docs/cache-keys.md specifies the bytes.
 */
struct key {
	struct hasher hasher;
	json_t *parts; /* array of [name, value] */
};

void key_init(struct key *key, const char *kind);
void key_release(struct key *key);
void key_add(struct key *key, const char *name, const char *value);
void key_add_digest(struct key *key, const char *name, const struct digest *digest);
void key_add_strv(struct key *key, const char *name, const struct strv *values);

/* Keep something with the parts that is none of the key. */
void key_note(struct key *key, const char *name, const char *value);
void key_finish(struct key *key, struct digest *ret_key);

#define cleanup_key __attribute__((__cleanup__(key_release)))

/* --- cache.c: key to result */

struct step_record {
	struct layer layer;
	struct digest key; /* parent of what follows: not the record's own if that is a quick key */
	int64_t created;   /* ns since 1970, when the step ran */
	uint64_t wall_ns, cpu_ns, peak_bytes, read_bytes, written_bytes; /* struct step_cost */
};

/* A record as JSON; parts are those of struct key. */
json_t *step_record_json(const struct step_record *record, json_t *parts);
int step_record_parse(const json_t *root, struct step_record *ret_record, struct err *err);

/* ERR_NOT_FOUND when there is none, or its layer is gone; ERR_CORRUPT when it was damaged (once:
 * it is set aside). */
int cache_get(struct store *store, const struct digest *key, struct step_record *ret_record,
	      struct err *err);
int cache_put(struct store *store, const struct digest *key, const struct step_record *record,
	      json_t *parts, struct err *err);

/* The parts of a record that is there, whatever became of its layer. */
int cache_get_parts(struct store *store, const struct digest *key, json_t **ret_parts,
		    struct err *err);

/* --- stage.c, build.c: the state of a build */

enum stage_state {
	STAGE_IDLE,
	STAGE_TAKEN, /* by a thread that builds it */
	STAGE_DONE,
};

/* Belongs to the thread that builds it, and when it is done to all, who only read it. */
struct stage {
	struct builder *builder;
	const struct plan_stage *plan;
	enum stage_state state; /* this and numbered are the schedule's */
	bool numbered;		/* FROM is loaded, or a stage, and all steps are counted */
	struct image *image; /* as built so far */
	struct strv env;     /* of RUN and of expansion: the image's, then ENV and ARG as they come;
			      * the last writer of a name wins */
	struct strv args;    /* declared ARGs with their values ("" for none), for history: each
			      * as often as it was declared */
	struct digest key;   /* of the file system so far */
	bool cmd_set;	     /* CMD came in this stage */
	int64_t created;     /* ns; of the newest layer */
	struct strv trigger_texts;	     /* of the base's ONBUILD, */
	const struct instruction **triggers; /* and parsed */
	unsigned first;	     /* number of FROM in the build; those of the other steps follow */
	unsigned position;   /* steps begun, FROM is 1 */
	unsigned count;	     /* steps in all */
	char name[512];	     /* of the step under way, */
	uint64_t began;	     /* and when that was */
	bool open;	     /* it was begun, and has not ended */
	int lock_fd;	     /* of its key, -1 for none: nobody else runs the same step meanwhile */
	struct deferred **deferred; /* layers whose digests are being computed: see defer.c */
	size_t n_deferred, cap_deferred;
	pthread_mutex_t placing;
	unsigned executed, cached;
	struct build_report *report; /* its steps so far */
	struct root *root;   /* stage_root()'s, grown as layers come */
	struct snapshot *tree; /* what RUN runs in where nothing can be mounted, between two
				* of them; NULL before the first */
	const char *no_cache; /* the option that says that nothing is looked up; NULL for none */
	bool unknown;	      /* in a plan: what it stands on is not in the store */
	unsigned culprit;     /* number of its first step that was no hit; 0 for none */
	struct image *ahead;	 /* its base, when that was fetched before its turn, */
	struct digest ahead_id;	 /* and what that is */
	struct digest base_id;	 /* of the image that it stands on, zero for none */
	size_t base_layers, base_history; /* what it has from there */
	struct step_cost *costs; /* of the image's history; entries at the end may be missing */
	size_t n_costs, cap_costs;
};

/*
 * What is set before the stages are built does not change. The rest is guarded as it says; the
 * locks are the schedule's.
 */
struct builder {
	const struct build_options *options;
	build_listener *listener;
	void *arg;
	pthread_mutex_t listening; /* held while the listener is called */
	struct schedule *schedule;
	struct dockerfile *dockerfile;
	struct plan *plan;
	struct ignore *ignore;
	struct cgroup *cgroup;	  /* of RUN, opened when first needed, under schedule_lock() */
	struct net *net;	  /* of RUN, made by the first step that needs it */
	struct source *context;	  /* opened when first needed, under schedule_lock() */
	struct named_list *named; /* what they hold, too */
	struct stage *stages;	  /* one per stage of the plan */
	bool alone;		  /* there is one stage, which needs no name */
	struct ssh_agent *agents; /* that were started for --ssh, under schedule_lock() */
	struct strv build_args;	  /* options', each name once */
	unsigned total;		  /* steps of all stages that are needed: schedule_lock_plan() */
	unsigned numbered; /* of them, those that have their numbers: schedule_begin_turn() */
	struct lint_result *lint; /* of the last builder_lint() */
	bool planning;		     /* keys only: nothing is run, fetched or kept */
	struct build_report *report; /* of this build; filled when the stages are done */
	struct build_report *earlier; /* of the last one, once it was read: schedule_lock() */
	bool earlier_read;
	struct strv no_cache_names; /* "--no-cache-filter NAME" for stages */
	struct shared *shared;	    /* --cache-from; NULL for none */
	struct digest *epoch_keys; /* of layers whose times were put right */
	size_t n_epoch_keys;
	bool here_only; /* what is elsewhere counts for nothing: a layer of it could not be had */
	atomic_bool lost; /* that happened in this build */
	atomic_bool told_of_landlock; /* that RUN is without it */
};

/* --- defer.c: digests that are computed while later steps run */

/*
 * The layer of a settled snapshot is the stage's next, as yet without a name; its record, which is
 * otherwise complete, will be written. Takes the snapshot, the parts, and the lock of the key.
 * stage_add_result() follows. Errors of the digest come from stage_collect(), and point at `where`.
 */
int stage_defer(struct stage *stage, struct snapshot **snapshot, const struct digest *key,
		struct key *parts, struct range where, struct step_record *record, struct err *err);

/* Between these no layer of the stage is moved: a root is prepared and mounted. */
void stage_begin_mount(struct stage *stage);
void stage_end_mount(struct stage *stage);

/* Wait for all digests. Nothing may be mounted over the stage's root any more. */
int stage_collect(struct stage *stage, struct err *err);

/* Build a stage to its end: what schedule_require() does with one that is nobody's. */
int stage_build(struct stage *stage, struct err *err);

/* The layers of the stage so far, for lookups and snapshots; stays the stage's. */
int stage_root(struct builder *builder, struct stage *stage, struct root **ret_root,
	       struct err *err);

/* Find or fetch an image for the stage's platform; its config is the caller's. */
int base_load(struct stage *stage, struct range where, const char *name, struct digest *ret_id,
	      struct image **ret_image, struct err *err);

/*
 * Before the stage's turn: find or fetch its base image, and say nothing of it but warnings; the
 * caller puts it into stage->ahead, where base_load() finds it. *ret_image is NULL when there is no
 * use in that: it has another kind of base, or one that an earlier stage has.
 */
int base_fetch_ahead(struct stage *stage, struct digest *ret_id, struct image **ret_image,
		     struct err *err);

/* An image that the store has under that name; *ret_remote is what it was pulled by, or zero. */
int base_find(struct store *store, const struct reference *reference, struct digest *ret_id,
	      struct digest *ret_remote, struct image **ret_image, struct err *err);

/* The steps before any stage: text to tree, tree to plan. */
int builder_parse(struct builder *builder, struct err *err);
int builder_plan(struct builder *builder, struct err *err);
void builder_init(struct builder *builder, const struct build_options *options);
void builder_release(struct builder *builder);

/*
 * BuildKit's checks of the stages that the target needs, into builder->lint. Fails with
 * ERR_INVALID when the options of the checks are wrong, or say that warnings are errors and there
 * are some.
 */
int builder_lint(struct builder *builder, struct err *err);

/* Whether anybody gave such options. */
bool builder_has_check_options(const struct builder *builder);

/* The rights of rights_enter(), and the control group of this build. */
int builder_enter(struct builder *builder, struct err *err);

/* Trees of the image's layers, fetched if they are elsewhere, with events of the stage's step. */
int stage_require_trees(struct stage *stage, const struct image *image, struct err *err);

/* As much of that as root_lookup() needs; nothing is unpacked where our own tars can be asked. */
int stage_require_root(struct stage *stage, const struct image *image, struct err *err);

/* Announce the next step, and its end. */
void stage_begin(struct stage *stage, const char *text);
void stage_finish(struct stage *stage, bool cached, const struct step_record *record);
void stage_end(struct stage *stage, enum build_event_kind kind); /* counts nothing */

/* An event of the step under way. The second is a transport_listener whose arg is the stage. */
void stage_event(struct stage *stage, struct build_event *event);
void stage_transfer(void *arg, const struct transport_event *transfer);

/* The number of the step under way. */
unsigned stage_number(const struct stage *stage);

/* The record of a key, unless --no-cache says that there is none. Damage is warned of. */
bool stage_look_up(struct stage *stage, const struct digest *key, struct step_record *ret_record);

/*
 * The same for a key whose step is run when it is not known (in a plan, it is only looked up).
 * Then it is this stage's up to the end of the step: whoever else wants the same result, in this
 * build or in another one, waits for it, and finds the record.
 */
int stage_claim(struct stage *stage, const struct digest *key, bool *ret_known,
		struct step_record *ret_record, struct err *err);

void builder_warn(struct builder *builder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void builder_event(struct builder *builder, struct build_event *event);

/* The build context. */
int builder_context(struct builder *builder, struct source **ret_source, struct err *err);

/* --- rights.c --------------------------------------------------------------------------------- */

/*
 * Get the rights that unpacking and running need, as far as they can be had (once), and clean tmp/.
 * Where nothing can be mounted the store has flat trees from then on.
 */
int rights_enter(struct store *store, enum build_isolation isolation, struct err *err);

/* And those for RUN: else an error that says what was tried, why it failed and what would help. */
int rights_require_run(struct store *store, enum build_isolation isolation, struct err *err);

/* --- run_root.c ------------------------------------------------------------------------------- */

struct root;
struct step_mounts;

/* The files of the layers, to look into; with `writable`, what is written is thrown away with the
 * snapshot. Detached, without a place for other mounts. Else as run_root_open(). */
int root_open_files(struct store *store, struct root *root, bool writable,
		    struct snapshot **ret_snapshot, int *ret_fd, struct err *err);

/* A root to run in, over the layers of `root`: *ret_fd is it, and *snapshot owns what is written.
 * Both are the caller's, also after a failure; the descriptor is closed before the snapshot is
 * committed. *snapshot is NULL before, or a copy that an earlier step of the stage left.
 * `mounts` (may be NULL) get places in it. */
int run_root_open(struct root *root, enum build_isolation isolation,
		  const struct step_mounts *mounts, struct snapshot **snapshot, int *ret_fd,
		  struct err *err);

/* --- explain.c, explain_miss.c, costs.c: what is done, why, and what it costs */

void explain_begin(struct stage *stage, const char *text);

/* FROM is done; `shown` is what it says, or what stands in its place. */
void explain_base(struct stage *stage, const char *shown);

/* The key is known; `parent` is what later steps have as their parent, `from` the shared cache that
 * knew it, or NULL. */
void explain_hit(struct stage *stage, const struct digest *key, const struct digest *parent,
		 const char *from);

/*
 * The key is not known: find out why, before the step is run. copies are what it selects from the
 * context or from a stage; the list of that is kept, and noted in the key's parts.
 */
void explain_miss(struct stage *stage, struct key *key, const struct digest *digest,
		  const struct copy *const *copies, size_t n_copies);

/* The same for a quick key, in a plan, which goes no further; `from` is what --from says, NULL for
 * a repository. */
void explain_miss_from(struct stage *stage, struct key *quick, const struct digest *digest,
		       const char *from);

/* The quick key of a COPY --from that was no hit itself. */
void explain_quick(struct stage *stage, const struct digest *quick);

/* In a plan: what the step reads is not in the store. */
void explain_unfetched(struct stage *stage);

/* In a plan: what the step stands on cannot be known. */
void explain_unknown(struct stage *stage);

void explain_finish(struct stage *stage, bool cached, const struct step_record *record);

/* Put the steps of all stages into the report of the build. */
void explain_gather(struct builder *builder);

/* Remember the build for build_explain() and the next one's misses. A failure is a warning. */
void explain_save(struct builder *builder);

/* The costs of the step whose history entry is the newest. */
void stage_add_cost(struct stage *stage, const struct step_record *record);
void stage_copy_costs(struct stage *stage, const struct stage *base);
int stage_save_costs(struct store *store, const struct stage *stage, const struct digest *id,
		     struct err *err);

/* --- epoch.c: SOURCE_DATE_EPOCH */

#define EPOCH_ARG "SOURCE_DATE_EPOCH"

/*
 * The time, in seconds since 1970, that --build-arg or a global ARG gives; *ret_given is false
 * when neither does, or it is empty. ERR_INVALID for what is no time.
 */
int epoch_find(const struct builder *builder, bool *ret_given, int64_t *ret_epoch,
	       struct err *err);

/*
 * Make an image the same whenever it is built: its time and those of its own history become the
 * epoch, and in its own layers nothing is later. What is the base's stays.
 */
int epoch_apply(struct builder *builder, struct stage *stage, int64_t epoch, struct err *err);

/* The value that --secret gives to the id, the last one given, or NULL. */
const struct build_secret *secret_find(const struct build_options *options, const char *id);

/* --- steps: one function per instruction, in a table (step.c) */

typedef int step_function(struct builder *builder, struct stage *stage,
			  const struct instruction *instruction, struct err *err);

step_function step_run, step_copy, step_workdir;
step_function step_arg, step_cmd, step_entrypoint, step_env, step_expose, step_healthcheck,
	step_label, step_maintainer, step_onbuild, step_shell, step_stopsignal, step_user,
	step_volume;

int step_apply(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	       struct err *err);

/* Whether the instruction makes a layer, and so counts as a step. */
bool step_counts(const struct instruction *instruction);

/* The text of a step as it is shown and remembered: no passwords of URLs in ADD. free() it. */
char *step_shown(const struct instruction *instruction);

/* Adopt a step's result: layer, history, key. */
void stage_add_result(struct stage *stage, const struct step_record *record,
		      const struct digest *key, const char *created_by);

/* A history entry without a layer. */
void stage_add_history(struct stage *stage, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "|2 A=1 B=2 " for history: the declared ARGs as RUN sees them; "" without ARGs. */
void stage_args_prefix(const struct stage *stage, struct buf *out);

/* path made absolute: joined to the stage's working directory, cleaned; a final slash kept when
 * keep_slash. */
char *stage_path(const struct stage *stage, const char *path, bool keep_slash);

#endif
