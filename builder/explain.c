/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report of a build: a step is added when it begins, gets its key when the key is known, and
 * its costs when it is done. Which files a COPY's content differs in is found out when somebody
 * asks: the lists are blobs that the records name.
 */
#include "builder/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/report.h"
#include "builder/schedule.h"

struct step_report *report_current(const struct stage *stage)
{
	return &stage->report->steps[stage->report->n_steps - 1];
}

void stage_label(const struct stage *stage, char label[STAGE_LABEL_MAX], const char **ret_label)
{
	snprintf(label, STAGE_LABEL_MAX, "stage-%zu", stage->plan->index);
	*ret_label = stage->plan->name ? stage->plan->name : label;
}

void explain_begin(struct stage *stage, const char *text)
{
	char label[STAGE_LABEL_MAX];
	const char *name;

	stage_label(stage, label, &name);
	report_add(stage->report, name, stage->position, text)->number = stage_number(stage);
}

void explain_base(struct stage *stage, const char *shown)
{
	struct step_report *step = report_current(stage);
	char platform[PLATFORM_TEXT_MAX];

	step->state = STEP_BASE;
	step->key = stage->key;
	step->platform = xstrdup(platform_format(&stage->image->platform, platform));
	if (stage->plan->base == STAGE_BASE_STAGE)
		return;
	step->base = xstrdup(shown);
	step->id = stage->base_id;
	if (stage->unknown)
		explain_unfetched(stage);
}

void explain_unfetched(struct stage *stage)
{
	struct step_report *step = report_current(stage);

	changes_add(&step->changes, CHANGE_FETCH, NULL, step->base, NULL, NULL);
	if (!stage->culprit)
		stage->culprit = step->number;
}

void explain_hit(struct stage *stage, const struct digest *key, const struct digest *parent,
		 const char *from)
{
	struct step_report *step = report_current(stage);

	free(step->from);
	step->from = from ? xstrdup(from) : NULL;
	step->key = *parent;
	if (!digest_equal(key, parent))
		step->quick = *key;
}

void explain_quick(struct stage *stage, const struct digest *quick)
{
	report_current(stage)->quick = *quick;
}

void explain_finish(struct stage *stage, bool cached, const struct step_record *record)
{
	struct step_report *step = report_current(stage);

	step->state = cached ? STEP_CACHED : STEP_RUN;
	if (cached)
		return;
	step->cost = (struct step_cost){
		.wall_ns = record->wall_ns,
		.cpu_ns = record->cpu_ns,
		.peak_bytes = record->peak_bytes,
		.read_bytes = record->read_bytes,
		.written_bytes = record->written_bytes,
	};
}

void explain_unknown(struct stage *stage)
{
	struct step_report *step = report_current(stage);
	char number[24];

	step->state = STEP_RUN;
	snprintf(number, sizeof(number), "%u", stage->culprit);
	changes_add(&step->changes, CHANGE_STEP, NULL, number, NULL, NULL);
}

/* --- after the build -------------------------------------------------------------------------- */

/* By number: those of a stage follow each other. */
static int compare_stages(const void *a, const void *b)
{
	const struct stage *x = *(struct stage *const *)a, *y = *(struct stage *const *)b;

	return (x->first > y->first) - (x->first < y->first);
}

void explain_gather(struct builder *builder)
{
	cleanup_free struct stage **stages = xcalloc(builder->plan->n_stages, sizeof(*stages));
	size_t n = 0;

	for (size_t i = 0; i < builder->plan->n_stages; i++)
		if (builder->stages[i].report->n_steps)
			stages[n++] = &builder->stages[i];
	qsort(stages, n, sizeof(struct stage *), compare_stages);
	for (size_t i = 0; i < n; i++)
		report_take(builder->report, stages[i]->report);
}

void explain_save(struct builder *builder)
{
	cleanup_strv struct strv complete = STRV_INIT;
	struct err why = ERR_INIT;

	if (!builder->report->n_steps)
		return;
	for (size_t i = 0; i < builder->plan->n_stages; i++) {
		char label[STAGE_LABEL_MAX];
		const char *name;

		if (!schedule_is_done(builder->schedule, i))
			continue;
		stage_label(&builder->stages[i], label, &name);
		strv_add(&complete, name);
	}
	if (report_write(builder->options->store, builder->report, &complete, &why) < 0)
		builder_warn(builder, "`cbuild explain` will not know this build: %s", why.message);
}

/* Put the names of the files in the place of two lists. */
static void expand_files(struct store *store, struct changes *changes)
{
	struct changes all = { 0 };

	for (size_t i = 0; i < changes->n; i++) {
		struct change *change = &changes->v[i];
		struct err ignored = ERR_INIT;
		size_t before = all.n;

		if (change->kind != CHANGE_PART || strcmp(change->part, "files")) {
			changes_add(&all, change->kind, change->part, change->name, change->old,
				    change->new);
			continue;
		}
		if (files_diff_blobs(store, change->old, change->new, &all, &ignored) < 0 ||
		    (all.n == before && changes->n == 1))
			changes_add(&all, CHANGE_PART, "content", NULL, NULL, NULL);
	}
	changes_release(changes);
	*changes = all;
}

int build_explain(struct store *store, const char *context, const char *dockerfile,
		  struct build_report **ret_report, struct err *err)
{
	struct build_report *report;

	if (report_read(store, context, dockerfile, &report, err) < 0)
		return -1;
	for (size_t i = 0; i < report->n_steps; i++)
		expand_files(store, &report->steps[i].changes);
	*ret_report = report;
	return 0;
}
