/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a step runs: at a miss its key is compared, part by part, with that of the same step in the
 * last build, whose report is read at the first miss. A part says what changed; some stand for
 * something else, which is looked for: the parent for a step or a base, the content for files.
 */
#include "builder/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/report.h"
#include "builder/schedule.h"

/* --- the earlier record of a step ------------------------------------------------------------- */

static const struct build_report *earlier_report(struct builder *builder)
{
	const struct build_options *options = builder->options;
	struct err ignored = ERR_INIT;

	schedule_lock(builder->schedule);
	if (!builder->earlier_read)
		report_read(options->store, options->context_path, options->dockerfile_path,
			    &builder->earlier, &ignored);
	builder->earlier_read = true;
	schedule_unlock(builder->schedule);
	return builder->earlier;
}

static const struct step_report *find_earlier(const struct stage *stage)
{
	const struct build_report *earlier = earlier_report(stage->builder);
	const struct plan_stage *plan = stage->plan;
	cleanup_free struct digest *texts = NULL;

	if (!earlier)
		return NULL;
	texts = xcalloc(plan->n_steps + 1, sizeof(*texts));
	for (size_t i = 0; i < plan->n_steps; i++) {
		cleanup_free char *text = step_shown(&plan->steps[i]);

		digest_of(text, strlen(text), &texts[i]);
	}
	report_whole(report_current(stage));
	return report_find(earlier, report_current(stage), texts, plan->n_steps);
}

/* --- what stands before a step ---------------------------------------------------------------- */

static struct step_report *step_before(const struct stage *stage)
{
	return &stage->report->steps[stage->report->n_steps - 2];
}

static void add_step(struct changes *changes, unsigned number, const char *old, const char *new)
{
	char text[24];

	snprintf(text, sizeof(text), "%u", number);
	changes_add(changes, CHANGE_STEP, NULL, text, old, new);
}

/* FROM of the same stage in the last build. */
static const struct step_report *earlier_from(struct builder *builder, const char *stage)
{
	const struct build_report *earlier = earlier_report(builder);

	for (size_t i = 0; earlier && i < earlier->n_steps; i++)
		if (earlier->steps[i].state == STEP_BASE && !strcmp(earlier->steps[i].stage, stage))
			return &earlier->steps[i];
	return NULL;
}

static void diff_bases(const struct step_report *old, const struct step_report *new,
		       struct changes *changes)
{
	char was[DIGEST_TEXT_MAX], is[DIGEST_TEXT_MAX];

	if (!old)
		changes_add(changes, CHANGE_BASE, NULL, new->base, NULL, NULL);
	else if (strcmp(old->base ? old->base : old->text, new->base))
		changes_add(changes, CHANGE_BASE, "name", new->base,
			    old->base ? old->base : old->text, new->base);
	else if (strcmp(old->platform ? old->platform : "", new->platform))
		changes_add(changes, CHANGE_BASE, "platform", new->base, old->platform,
			    new->platform);
	else if (digest_is_zero(&new->id)) /* the files of a context */
		changes_add(changes, CHANGE_BASE, "image", new->base, digest_format(&old->key, was),
			    digest_format(&new->key, is));
	else
		changes_add(changes, CHANGE_BASE, "image", new->base, digest_format(&old->id, was),
			    digest_format(&new->id, is));
}

static void explain_stage(const struct stage *stage, struct changes *changes)
{
	add_step(changes, stage->culprit ? stage->culprit : stage_number(stage), NULL, NULL);
}

/* The step whose key was `parent` in the last build, when it is another one than `before`. */
static const struct step_report *other_before(struct builder *builder, const char *parent,
					      struct step_report *before)
{
	const struct build_report *earlier = earlier_report(builder);
	struct err ignored = ERR_INIT;
	struct digest key;

	if (!earlier || digest_parse(parent, &key, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < earlier->n_steps; i++)
		if (digest_equal(&earlier->steps[i].key, &key))
			return digest_equal(&earlier->steps[i].whole, report_whole(before))
				       ? NULL
				       : &earlier->steps[i];
	return NULL;
}

static void explain_parent(const struct stage *stage, const char *parent, struct changes *changes)
{
	struct builder *builder = stage->builder;
	struct step_report *before = step_before(stage);
	const struct step_report *other;

	if (stage->culprit) {
		add_step(changes, stage->culprit, NULL, NULL);
	} else if (before->state != STEP_BASE) {
		other = other_before(builder, parent, before);
		add_step(changes, before->number, other ? other->text : NULL,
			 other ? before->text : NULL);
	} else if (stage->plan->base == STAGE_BASE_STAGE) {
		explain_stage(&builder->stages[stage->plan->base_stage], changes);
	} else {
		const struct step_report *from = earlier_from(builder, before->stage);

		other = from && digest_equal(&from->key, &before->key)
				? other_before(builder, parent, before)
				: NULL;
		if (other)
			add_step(changes, before->number, other->text, before->text);
		else
			diff_bases(from, before, changes);
	}
}

/* --- which files ------------------------------------------------------------------------------ */

/* What a step selects, listed in the store unless this is a plan. */
struct listing {
	const struct copy *const *copies;
	size_t n_copies;
	bool known;
};

static void list_files(struct builder *builder, struct key *key, struct listing *listing)
{
	struct err ignored = ERR_INIT;
	char text[DIGEST_TEXT_MAX];
	struct digest digest;

	listing->known = listing->n_copies > 0;
	if (builder->planning || !listing->known)
		return;
	listing->known = files_put(builder->options->store, listing->copies, listing->n_copies,
				   &digest, &ignored) == 0;
	if (listing->known)
		key_note(key, "files", digest_format(&digest, text));
}

/* `content` holds what was asked as well: when that changed, the files need not have. */
static bool is_request(const struct change *part)
{
	static const char *const names[] = { "instruction", "destination", "chown",
					     "chmod",	    "link",	   "parents" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(part->part, names[i]))
			return true;
	return false;
}

static void name_files(struct builder *builder, const json_t *old, const struct key *key,
		       const struct listing *listing, bool other_request, struct changes *changes)
{
	const char *was = parts_get(old, "files"), *is = parts_get(key->parts, "files");
	struct store *store = builder->options->store;
	struct err ignored = ERR_INIT;
	size_t before = changes->n;

	if (!was || !listing->known) {
		/* what is not listed is not named */
	} else if (builder->options->explain && is) {
		files_diff_blobs(store, was, is, changes, &ignored);
	} else if (builder->planning) {
		files_diff_copies(store, was, listing->copies, listing->n_copies, changes,
				  &ignored);
	} else if (is && strcmp(was, is) != 0) {
		changes_add(changes, CHANGE_PART, "files", NULL, was, is);
	}
	if (changes->n == before && !other_request)
		changes_add(changes, CHANGE_PART, "content", NULL, parts_get(old, "content"),
			    parts_get(key->parts, "content"));
}

/* --- a miss ----------------------------------------------------------------------------------- */

struct miss {
	struct builder *builder;
	struct stage *stage;
	struct key *key;
	bool quick;
	const char *from; /* of a quick key: what --from says, or NULL */
	struct listing listing;
};

static void explain_from(struct miss *miss, const struct change *part, struct changes *changes)
{
	const struct builder *builder = miss->builder;
	size_t index;

	if (miss->from &&
	    plan_find_stage(builder->plan, miss->from, miss->stage->plan->index, &index))
		explain_stage(&builder->stages[index], changes);
	else
		changes_add(changes, CHANGE_PART, part->part, NULL, part->old, part->new);
}

/* ARG and ENV are one part of the key; who wrote the file knows them as two. */
static bool is_arg(const struct stage *stage, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	for (size_t i = 0; name && i < stage->args.n; i++)
		if (!strncmp(stage->args.v[i], name, len) &&
		    (stage->args.v[i][len] == '=' || !stage->args.v[i][len]))
			return !env_get(&stage->image->env, name);
	return false;
}

/* Of mounts: what is selected from the context, or the key of a stage. False for anything else. */
static bool explain_mount(struct miss *miss, const json_t *old, const struct change *part,
			  struct changes *changes)
{
	const struct builder *builder = miss->builder;
	struct err ignored = ERR_INIT;
	struct digest key;

	if (!part->old || !part->new)
		return false;
	if (!strncmp(part->new, "content=", 8) && !strncmp(part->old, "content=", 8)) {
		name_files(miss->builder, old, miss->key, &miss->listing, false, changes);
		return true;
	}
	if (strncmp(part->new, "from=", 5) || digest_parse(part->new + 5, &key, &ignored) < 0)
		return false;
	for (size_t i = 0; i < builder->plan->n_stages; i++) {
		if (!schedule_is_done(builder->schedule, i) ||
		    !digest_equal(&builder->stages[i].key, &key))
			continue;
		explain_stage(&builder->stages[i], changes);
		return true;
	}
	return false;
}

/* Say of each part what it stands for. */
static void translate(struct miss *miss, const json_t *old, const struct changes *parts,
		      struct changes *changes)
{
	bool other_request = false;

	for (size_t i = 0; i < parts->n; i++)
		other_request |= is_request(&parts->v[i]);
	for (size_t i = 0; i < parts->n; i++) {
		const struct change *part = &parts->v[i];

		if (!strcmp(part->part, "parent"))
			explain_parent(miss->stage, part->old, changes);
		else if (!strcmp(part->part, "content"))
			name_files(miss->builder, old, miss->key, &miss->listing, other_request,
				   changes);
		else if (!strcmp(part->part, "from"))
			explain_from(miss, part, changes);
		else if (!strcmp(part->part, "mount") && explain_mount(miss, old, part, changes))
			continue;
		else
			changes_add(changes, CHANGE_PART,
				    !strcmp(part->part, "environment") &&
						    is_arg(miss->stage, part->name)
					    ? "build-arg"
					    : part->part,
				    part->name, part->old, part->new);
	}
}

static void compare_with(struct miss *miss, const struct digest *earlier_key,
			 struct changes *changes)
{
	cleanup_json json_t *old = NULL;
	struct changes parts = { 0 };
	struct err ignored = ERR_INIT;

	if (cache_get_parts(miss->builder->options->store, earlier_key, &old, &ignored) < 0) {
		changes_add(changes, CHANGE_GONE, NULL, NULL, NULL, NULL);
		return;
	}
	parts_diff(old, miss->key->parts, &parts);
	translate(miss, old, &parts, changes);
	changes_release(&parts);
	if (!changes->n)
		changes_add(changes, CHANGE_GONE, NULL, NULL, NULL, NULL);
}

static void find_changes(struct miss *miss, const struct digest *digest, struct changes *changes)
{
	const struct step_report *earlier;

	if (miss->stage->no_cache) {
		changes_add(changes, CHANGE_NO_CACHE, NULL, miss->stage->no_cache, NULL, NULL);
		return;
	}
	earlier = find_earlier(miss->stage);
	if (!earlier)
		changes_add(changes, CHANGE_FIRST, NULL, NULL, NULL, NULL);
	else if (earlier->state == STEP_UNFINISHED)
		changes_add(changes, CHANGE_FAILED, NULL, NULL, NULL, NULL);
	else if (miss->quick)
		compare_with(miss, &earlier->quick, changes);
	else if (digest_equal(&earlier->key, digest))
		changes_add(changes, CHANGE_GONE, NULL, NULL, NULL, NULL);
	else
		compare_with(miss, &earlier->key, changes);
}

static void explain(struct miss *miss, const struct digest *digest)
{
	struct step_report *step = report_current(miss->stage);
	struct build_event event = { .kind = BUILD_EVENT_EXPLAIN, .explained = step };

	step->key = *digest;
	find_changes(miss, digest, &step->changes);
	if (!miss->stage->culprit)
		miss->stage->culprit = step->number;
	if (miss->builder->options->explain)
		stage_event(miss->stage, &event);
}

void explain_miss(struct stage *stage, struct key *key, const struct digest *digest,
		  const struct copy *const *copies, size_t n_copies)
{
	struct miss miss = {
		.builder = stage->builder,
		.stage = stage,
		.key = key,
		.listing = { .copies = copies, .n_copies = n_copies },
	};

	list_files(stage->builder, key, &miss.listing);
	explain(&miss, digest);
}

void explain_miss_from(struct stage *stage, struct key *quick, const struct digest *digest,
		       const char *from)
{
	struct miss miss = {
		.builder = stage->builder, .stage = stage, .key = quick, .quick = true, .from = from
	};

	explain(&miss, digest);
}
