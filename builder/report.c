/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports, and the record of the last build: builds/<sha256 of context NUL Dockerfile NUL>, the
 * report as JSON. The record is also the index by which the next build finds the earlier record of
 * a step. That of a build that found all in the cache begins with a fingerprint of the report: the
 * same build again computes that, compares, and makes no JSON and writes nothing.
 */
#include "builder/report.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "layers/store.h"

#define RECORD_MAX (4 * 1024 * 1024)
#define OLDER_MAX  1000 /* steps that are carried over */
#define STDIN_NAME "-"

/* --- memory ----------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

struct change *changes_add(struct changes *changes, enum change_kind kind, const char *part,
			   const char *name, const char *old, const char *new)
{
	changes->v = grow_vector(changes->v, changes->n, &changes->cap, sizeof(*changes->v));
	changes->v[changes->n] = (struct change){
		.kind = kind,
		.part = copy_text(part),
		.name = copy_text(name),
		.old = copy_text(old),
		.new = copy_text(new),
	};
	return &changes->v[changes->n++];
}

void changes_release(struct changes *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		free(changes->v[i].part);
		free(changes->v[i].name);
		free(changes->v[i].old);
		free(changes->v[i].new);
	}
	free(changes->v);
	*changes = (struct changes){ 0 };
}

static void steps_free(struct step_report *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(steps[i].stage);
		free(steps[i].text);
		free(steps[i].base);
		free(steps[i].platform);
		free(steps[i].from);
		changes_release(&steps[i].changes);
	}
	free(steps);
}

struct build_report *build_report_new(const char *context, const char *dockerfile)
{
	struct build_report *report = xcalloc(1, sizeof(*report));

	report->context = xstrdup(context ? context : STDIN_NAME);
	report->dockerfile = xstrdup(dockerfile ? dockerfile : STDIN_NAME);
	return report;
}

void build_report_free(struct build_report *report)
{
	if (!report)
		return;
	free(report->context);
	free(report->dockerfile);
	steps_free(report->steps, report->n_steps);
	steps_free(report->older, report->n_older);
	free(report);
}

struct step_report *report_add(struct build_report *report, const char *stage, unsigned position,
			       const char *text)
{
	struct step_report *step;

	report->steps = grow_vector(report->steps, report->n_steps, &report->cap_steps,
				    sizeof(*report->steps));
	step = &report->steps[report->n_steps++];
	*step = (struct step_report){
		.number = (unsigned)report->n_steps,
		.position = position,
		.stage = xstrdup(stage),
		.text = xstrdup(text),
	};
	return step;
}

void report_take(struct build_report *report, struct build_report *from)
{
	for (size_t i = 0; i < from->n_steps; i++) {
		report->steps = grow_vector(report->steps, report->n_steps, &report->cap_steps,
					    sizeof(*report->steps));
		report->steps[report->n_steps++] = from->steps[i];
	}
	from->n_steps = 0;
}

const struct digest *report_whole(struct step_report *step)
{
	if (digest_is_zero(&step->whole))
		digest_of(step->text, strlen(step->text), &step->whole);
	return &step->whole;
}

/* --- the record ------------------------------------------------------------------------------- */

static void record_name(const char *context, const char *dockerfile, struct digest *ret_name)
{
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_add(&hasher, context, strlen(context) + 1);
	hasher_add(&hasher, dockerfile, strlen(dockerfile) + 1);
	hasher_finish(&hasher, ret_name);
}

int report_read(struct store *store, const char *context, const char *dockerfile,
		struct build_report **ret_report, struct err *err)
{
	cleanup_buf struct buf text;
	struct digest name;

	record_name(context ? context : STDIN_NAME, dockerfile ? dockerfile : STDIN_NAME, &name);
	buf_init(&text, RECORD_MAX);
	if (record_read(store, "builds", &name, &text, err) < 0)
		return -1;
	if (report_parse(&text, ret_report, err) < 0)
		return err_set(err, ERR_NOT_FOUND, "no usable record of a build");
	return 0;
}

static bool is_complete(const struct strv *complete, const char *stage)
{
	for (size_t i = 0; i < complete->n; i++)
		if (!strcmp(complete->v[i], stage))
			return true;
	return false;
}

/* Whether the new report has come to that place of that stage. */
static bool is_superseded(const struct build_report *report, const struct strv *complete,
			  const struct step_report *old)
{
	if (is_complete(complete, old->stage))
		return true;
	for (size_t i = 0; i < report->n_steps; i++)
		if (report->steps[i].state != STEP_UNFINISHED &&
		    report->steps[i].position >= old->position &&
		    !strcmp(report->steps[i].stage, old->stage))
			return true;
	return false;
}

/* Move what is still of use from the steps of an earlier report. */
static void carry_over(struct build_report *report, const struct strv *complete,
		       struct step_report *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (report->n_older == OLDER_MAX || steps[i].state == STEP_UNFINISHED ||
		    is_superseded(report, complete, &steps[i]))
			continue;
		changes_release(&steps[i].changes);
		report->older = grow_vector(report->older, report->n_older, &report->cap_older,
					    sizeof(*report->older));
		report->older[report->n_older++] = steps[i];
		steps[i] = (struct step_report){ 0 };
	}
}

/* What tells one build that ran nothing from another. False for builds that ran something. */
static bool fingerprint(const struct build_report *report, struct digest *ret_fingerprint)
{
	struct hasher hasher;

	hasher_init(&hasher);
	for (size_t i = 0; i < report->n_steps; i++) {
		const struct step_report *step = &report->steps[i];

		if (step->state != STEP_BASE && step->state != STEP_CACHED)
			return false;
		hasher_add(&hasher, step->stage, strlen(step->stage) + 1);
		hasher_add(&hasher, step->text, strlen(step->text) + 1);
		hasher_add(&hasher, &step->key, sizeof(step->key));
		hasher_add(&hasher, &step->quick, sizeof(step->quick));
		hasher_add(&hasher, &step->id, sizeof(step->id));
		if (step->from)
			hasher_add(&hasher, step->from, strlen(step->from) + 1);
	}
	hasher_finish(&hasher, ret_fingerprint);
	return true;
}

#define FINGERPRINT_BEGIN "{\"fingerprint\":\""

static bool says_the_same(const struct buf *record, const struct digest *print)
{
	size_t len = strlen(FINGERPRINT_BEGIN);
	char text[DIGEST_TEXT_MAX];

	digest_format(print, text);
	return record->len > len + DIGEST_TEXT_MAX &&
	       !memcmp(record->data, FINGERPRINT_BEGIN, len) &&
	       !memcmp(record->data + len, text, DIGEST_TEXT_MAX - 1);
}

static int write_record(struct store *store, const struct digest *name,
			const struct build_report *report, const struct digest *print,
			struct err *err)
{
	cleanup_json json_t *root = json_object();
	cleanup_json json_t *members = report_json(report, true);
	cleanup_free char *text = NULL;
	char digest[DIGEST_TEXT_MAX];

	if (print)
		json_object_set_new(root, "fingerprint", json_string(digest_format(print, digest)));
	json_object_update(root, members);
	text = js_dump(root);
	if (strlen(text) >= RECORD_MAX)
		return err_set(err, ERR_LIMIT, "the record of the build is larger than %d bytes",
			       RECORD_MAX);
	return record_write(store, "builds", name, text, strlen(text), err);
}

int report_write(struct store *store, struct build_report *report, const struct strv *complete,
		 struct err *err)
{
	cleanup_with(build_report_free) struct build_report *earlier = NULL;
	cleanup_buf struct buf record;
	struct err ignored = ERR_INIT;
	struct digest name, print;
	bool has_print = fingerprint(report, &print);

	record_name(report->context, report->dockerfile, &name);
	buf_init(&record, RECORD_MAX);
	if (record_read(store, "builds", &name, &record, &ignored) == 0) {
		if (has_print && says_the_same(&record, &print))
			return 0;
		if (report_parse(&record, &earlier, &ignored) == 0) {
			carry_over(report, complete, earlier->steps, earlier->n_steps);
			carry_over(report, complete, earlier->older, earlier->n_older);
		}
	}
	return write_record(store, &name, report, has_print ? &print : NULL, err);
}

/* --- the same step ---------------------------------------------------------------------------- */

/* COPY and ADD are one kind: which of them it is, is a part of the key. */
static bool same_kind(const char *a, const char *b)
{
	size_t a_len = strcspn(a, " \t"), b_len = strcspn(b, " \t");

	if (a_len == 3 && !strncasecmp(a, "ADD", 3))
		a = "COPY", a_len = 4;
	if (b_len == 3 && !strncasecmp(b, "ADD", 3))
		b = "COPY", b_len = 4;
	return a_len == b_len && !strncasecmp(a, b, a_len);
}

static bool holds(const struct digest *texts, size_t n, const struct digest *whole)
{
	for (size_t i = 0; i < n; i++)
		if (digest_equal(&texts[i], whole))
			return true;
	return false;
}

struct search {
	const struct step_report *step;
	const struct digest *texts;
	size_t n_texts;
	const struct step_report *found;
	uint64_t distance; /* of found; the smaller the better */
};

static void consider(struct search *search, const struct step_report *old)
{
	const struct step_report *step = search->step;
	bool same_text = digest_equal(&old->whole, &step->whole);
	uint64_t distance;

	if (strcmp(old->stage, step->stage) || !same_kind(old->text, step->text))
		return;
	if (old->state == STEP_UNFINISHED && !digest_equal(&old->key, &step->key))
		return;
	if (!same_text && holds(search->texts, search->n_texts, &old->whole))
		return;
	distance = old->position > step->position ? old->position - step->position
						  : step->position - old->position;
	if (!same_text)
		distance += UINT32_MAX;
	if (!search->found || distance < search->distance) {
		search->found = old;
		search->distance = distance;
	}
}

const struct step_report *report_find(const struct build_report *earlier,
				      const struct step_report *step, const struct digest *texts,
				      size_t n_texts)
{
	struct search search = { .step = step, .texts = texts, .n_texts = n_texts };

	for (size_t i = 0; i < earlier->n_steps; i++)
		consider(&search, &earlier->steps[i]);
	for (size_t i = 0; i < earlier->n_older; i++)
		consider(&search, &earlier->older[i]);
	return search.found;
}
