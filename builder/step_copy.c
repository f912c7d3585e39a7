/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * COPY and ADD. The key holds the content that is copied, not where it comes from, so a stage
 * that was rebuilt to the same files changes nothing here. Reading a stage's files needs its
 * trees, which a build with nothing to do must not touch: --from therefore has two keys. The
 * quick one names the source's own key and the patterns; its record is a copy of the record of
 * the content key, which is looked up when the quick one is unknown. What follows has the
 * content key as its parent in both cases: the record says it.
 */
#include "builder/copy_words.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/origin.h"
#include "builder/schedule.h"

/* --- keys */

static void key_common(struct key *key, const struct stage *stage, const struct copy_words *words,
		       const struct copy_request *request)
{
	key_add_digest(key, "parent", &stage->key);
	key_add(key, "instruction", request->add ? "ADD" : "COPY");
	key_add(key, "destination", words->dest);
	key_add(key, "chown", words->chown ? words->chown : "");
	key_add(key, "chmod", words->chmod ? words->chmod : "");
	key_add(key, "link", request->link ? "true" : "false");
	key_add(key, "parents", request->parents ? "true" : "false");
}

static void quick_key(const struct stage *stage, const struct digest *from,
		      const struct copy_words *words, const struct copy_request *request,
		      struct key *key, struct digest *ret_key)
{
	key_init(key, "copy-from");
	key_common(key, stage, words, request);
	key_add_digest(key, "from", from);
	key_add_strv(key, "source", &words->patterns);
	key_add_strv(key, "exclude", &words->excludes);
	for (size_t i = 0; i < words->n_remotes; i++) {
		key_add(key, "remote", words->remotes[i].name);
		key_add(key, "remote-place", words->remotes[i].before ? "after" : "before");
		key_add_digest(key, "remote-content", &words->remotes[i].digest);
		key_add(key, "remote-unpack", words->remotes[i].unpack ? "true" : "false");
	}
	for (size_t i = 0; i < words->n_inlines; i++) {
		key_add(key, "inline", words->inlines[i].name);
		key_add(key, "inline-content", words->inlines[i].content);
	}
	key_finish(key, ret_key);
}

/* --- the step */

struct copy_step {
	struct builder *builder;
	struct stage *stage;
	const struct instruction *instruction;
	struct copy_words words;
	struct copy_request request;
	struct step_record record;
	struct digest key;
	bool known;
	bool no_quick; /* the quick key is not to be believed */
};

/* Errors of the selection point at the source that is at fault. */
static int point_at(struct copy_step *step, size_t bad, const struct err *why, struct err *err)
{
	struct range range =
		bad < step->words.patterns.n ? step->words.ranges[bad] : step->instruction->range;

	return dockerfile_error(step->builder->dockerfile, range, why->kind, err, "%s",
				why->message);
}

static int make_layer(struct copy_step *step, struct copy *copy, struct err *err)
{
	struct store *store = step->builder->options->store;
	const struct image *image = step->stage->image;
	struct root *root = NULL;

	if (!step->request.link) {
		if (stage_require_root(step->stage, image, err) < 0)
			return -1;
		if (stage_root(step->builder, step->stage, &root, err) < 0)
			return -1;
	}
	return copy_make_layer(copy, store, root, &step->record.layer, err);
}

/* In a plan: what ADD's URLs gave last. False when that is not known of each. */
static bool recall_remotes(struct copy_step *step)
{
	struct copy_words *words = &step->words;

	for (size_t i = 0; i < words->n_remotes; i++) {
		struct fetched file;

		if (!fetch_known(step->builder->options->store, words->urls.v[i], &file))
			return false;
		words->remotes[i].digest = file.digest;
		words->remotes[i].size = file.size;
		words->remotes[i].mtime = file.mtime;
	}
	return true;
}

/* In a plan: nothing is known of the step, nor of what follows. */
static int give_up(struct copy_step *step)
{
	step->key = (struct digest){ 0 };
	explain_unfetched(step->stage);
	return 0;
}

/* Bring the files of ADD's URLs into the store. */
static int fetch_remotes(struct copy_step *step, struct err *err)
{
	struct copy_words *words = &step->words;

	if (words->n_remotes && schedule_work(step->builder->schedule, err) < 0)
		return -1;
	for (size_t i = 0; i < words->n_remotes; i++) {
		const struct fetch fetch = {
			.options = step->builder->options,
			.url = words->urls.v[i],
			.want = words->has_checksum ? &words->checksum : NULL,
			.listener = stage_transfer,
			.arg = step->stage,
		};
		struct err why = ERR_INIT;
		struct fetched file;

		if (fetch_url(&fetch, &file, &why) < 0)
			return dockerfile_error(step->builder->dockerfile, words->remote_range,
						why.kind, err, "%s", why.message);
		words->remotes[i].digest = file.digest;
		words->remotes[i].size = file.size;
		words->remotes[i].mtime = file.mtime;
	}
	return 0;
}

/* Select, look the content up, make the layer when it is new. */
static int run_copy(struct copy_step *step, struct err *err)
{
	struct store *store = step->builder->options->store;
	cleanup_with(copy_free) struct copy *copy = NULL;
	struct digest content;
	struct hasher hasher;
	cleanup_key struct key key;
	struct err why = ERR_INIT;
	size_t bad = SIZE_MAX;

	key_init(&key, "copy");
	if (copy_open(&step->request, &copy, &bad, &why) < 0)
		return point_at(step, bad, &why, err);
	hasher_init(&hasher);
	if (copy_add_to_key(copy, &hasher, &why) < 0)
		return point_at(step, SIZE_MAX, &why, err);
	hasher_finish(&hasher, &content);
	key_common(&key, step->stage, &step->words, &step->request);
	key_add_digest(&key, "content", &content);
	key_finish(&key, &step->key);
	if (stage_claim(step->stage, &step->key, &step->known, &step->record, err) < 0)
		return -1;
	if (step->known)
		return 0;
	explain_miss(step->stage, &key, &step->key, (const struct copy *const[]){ copy }, 1);
	if (step->builder->planning)
		return 0;
	step->record.created = clock_wall_ns();
	if (schedule_work(step->builder->schedule, err) < 0)
		return -1;
	if (step->words.has_checksum && fetch_remotes(step, err) < 0)
		return -1;
	if (make_layer(step, copy, &why) < 0)
		return point_at(step, SIZE_MAX, &why, err);
	step->record.wall_ns = clock_monotonic_ns() - step->stage->began;
	step->record.key = step->key;
	return cache_put(store, &step->key, &step->record, key.parts, err);
}

/*
 * With a quick key: open() makes the source when the record is not known. `name` is what --from
 * says, NULL for a repository. A stage that was run whatever was known has its old key and maybe
 * other files: then the quick key says nothing.
 */
static int run_quick(struct copy_step *step, const struct digest *from, const char *name,
		     int (*open)(struct copy_step *step, void *arg, struct err *err), void *arg,
		     struct err *err)
{
	struct store *store = step->builder->options->store;
	struct err why = ERR_INIT;
	cleanup_key struct key key;
	struct digest quick;

	quick_key(step->stage, from, &step->words, &step->request, &key, &quick);
	step->known = !step->no_quick && stage_look_up(step->stage, &quick, &step->record);
	if (step->known) {
		step->key = step->record.key;
		return 0;
	}
	if (step->builder->planning) {
		step->key = quick;
		explain_miss_from(step->stage, &key, &quick, name);
		return 0;
	}
	if (schedule_work(step->builder->schedule, err) < 0)
		return -1;
	if (open(step, arg, &why) < 0)
		return point_at(step, 0, &why, err);
	if (run_copy(step, err) < 0)
		return -1;
	step->record.key = step->key;
	explain_quick(step->stage, &quick);
	return cache_put(store, &quick, &step->record, key.parts, err);
}

static int open_from(struct copy_step *step, void *arg, struct err *err)
{
	struct origin *origin = arg;

	if (origin_open(origin, err) < 0)
		return -1;
	step->request.source = origin->source;
	return 0;
}

static void begin(struct copy_step *step)
{
	cleanup_free char *text = step_shown(step->instruction);

	stage_begin(step->stage, text);
}

static int run_from(struct copy_step *step, const struct flag *from, struct err *err)
{
	struct origin origin = ORIGIN_INIT;
	int status;

	/* events of another stage come between: the step begins afterwards */
	status = origin_find(step->stage, from->value, from->range, &origin, err);
	if (status == 0) {
		begin(step);
		step->request.from_root = origin.owners;
		if (origin.image) {
			step->no_quick = origin.no_cache != NULL;
			status = run_quick(step, &origin.key, from->value, open_from, &origin, err);
		} else {
			step->request.source = origin.source;
			status = run_copy(step, err);
		}
	}
	origin_release(&origin);
	return status;
}

/* --- git */

struct clone {
	struct git git;
	struct git_commit commit;
	struct tree tree;
	struct source *source;
};

static int open_clone(struct copy_step *step, void *arg, struct err *err)
{
	struct clone *clone = arg;

	if (git_checkout(&clone->git, &clone->commit, &clone->tree, err) < 0 ||
	    source_open_root(step->builder->options->store, clone->tree.dir_fd, "the repository",
			     step->builder->options->jobs, &clone->source, err) < 0)
		return -1;
	step->request.source = clone->source;
	return 0;
}

static void git_key(const struct clone *clone, struct digest *ret_key)
{
	const struct git_place *place = clone->git.place;
	cleanup_key struct key key;

	key_init(&key, "git");
	key_add(&key, "commit", clone->commit.id);
	key_add(&key, "subdir", place->subdir ? place->subdir : "");
	/* what .git and a submodule's relative URL say depends on where it comes from */
	key_add(&key, "url", place->url);
	key_add(&key, "keep-git-dir", place->keep_git_dir ? "true" : "false");
	key_add(&key, "submodules", place->without_submodules ? "false" : "true");
	key_finish(&key, ret_key);
}

static int run_git(struct copy_step *step, struct err *err)
{
	const struct build_options *options = step->builder->options;
	struct clone clone = {
		.git = { options->store, options->transport.environment, &step->words.git,
			 options },
		.tree = TREE_INIT,
	};
	struct err why = ERR_INIT;
	struct digest from;
	int status;

	if (step->builder->planning && !git_is_pinned(&step->words.git))
		return give_up(step);
	if (git_resolve(&clone.git, &clone.commit, &why) < 0)
		return dockerfile_error(step->builder->dockerfile, step->words.remote_range,
					why.kind, err, "%s", why.message);
	git_key(&clone, &from);
	status = run_quick(step, &from, NULL, open_clone, &clone, err);
	source_free(clone.source);
	tree_release(&clone.tree);
	return status;
}

/* --- the kinds */

static int run_step(struct copy_step *step, const struct flag *from, struct err *err)
{
	struct err why = ERR_INIT;

	if (from)
		return run_from(step, from, err);
	begin(step);
	if (step->builder->planning && !step->words.has_checksum && !recall_remotes(step))
		return give_up(step);
	if (!step->builder->planning && !step->words.has_checksum && fetch_remotes(step, err) < 0)
		return -1;
	if (step->words.has_git)
		return run_git(step, err);
	if (step->words.patterns.n &&
	    builder_context(step->builder, &step->request.source, &why) < 0)
		return point_at(step, 0, &why, err);
	step->request.from_root = step->builder->options->context_owners;
	return run_copy(step, err);
}

/* The flags as they are written, sources and destination as they were resolved; of heredocs the
 * name alone. */
static char *history_text(const struct copy_step *step)
{
	const struct instruction *instruction = step->instruction;
	struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX * 2);
	buf_addstr(&text, instruction->kind == INSTRUCTION_ADD ? "ADD" : "COPY");
	for (size_t i = 0; i < instruction->n_flags; i++)
		buf_addf(&text, " --%s%s%s", instruction->flags[i].name,
			 instruction->flags[i].has_value ? "=" : "", instruction->flags[i].value);
	for (size_t i = 0; i < step->words.sources.n; i++)
		buf_addf(&text, " %s", step->words.sources.v[i]);
	buf_addf(&text, " %s", step->words.dest);
	return buf_steal(&text);
}

int step_copy(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	      struct err *err)
{
	struct copy_step step = {
		.builder = builder,
		.stage = stage,
		.instruction = instruction,
	};
	const struct flag *from = instruction_flag(instruction, "from");
	int status = -1;

	if (copy_words_read(builder, stage, instruction, &step.words, err) == 0) {
		step.request = (struct copy_request){
			.add = step.words.unpack,
			.patterns = (const char *const *)step.words.patterns.v,
			.n_patterns = step.words.patterns.n,
			.remotes = step.words.remotes,
			.n_remotes = step.words.n_remotes,
			.inlines = step.words.inlines,
			.n_inlines = step.words.n_inlines,
			.dest = step.words.dest,
			.chown = step.words.chown,
			.chmod = step.words.chmod,
			.link = instruction_flag_bool(instruction, "link"),
			.parents = instruction_flag_bool(instruction, "parents"),
			.excludes = (const char *const *)step.words.excludes.v,
			.n_excludes = step.words.excludes.n,
			.now = clock_wall_ns() / 1000000000,
		};
		status = run_step(&step, from, err);
	}
	if (status == 0) {
		cleanup_free char *text = history_text(&step);

		stage_add_result(stage, &step.record, &step.key, text);
		stage_finish(stage, step.known, &step.record);
	}
	copy_words_release(&step.words);
	return status;
}
