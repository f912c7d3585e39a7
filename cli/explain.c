/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports of builds as text: what was done or would be, and why. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/internal.h"

#define SHOWN_CHANGES 10 /* of one step; --format json has all */
#define SHOWN_TEXT    80 /* characters of a value or an instruction */
#define SHOWN_DIGITS  19 /* of a digest: "sha256:" and the first 12 */

/* A value as it is shown: short, and nothing in it reaches the terminal's controls. */
static void add_value(struct buf *out, const char *value)
{
	if (!strncmp(value, "sha256:", 7) && strlen(value) == DIGEST_TEXT_MAX - 1) {
		buf_addf(out, "%.*s\xe2\x80\xa6", SHOWN_DIGITS, value);
	} else {
		cleanup_free char *cell = text_cell(value, SHOWN_TEXT);

		buf_addstr(out, *cell ? cell : "\"\"");
	}
}

static void add_pair(struct buf *out, const struct change *change)
{
	add_value(out, change->old);
	buf_addstr(out, " \xe2\x86\x92 ");
	add_value(out, change->new);
}

/* "WHAT changed: old -> new", "WHAT is new: new", "WHAT is gone: old". */
static void add_difference(struct buf *out, const char *what, const struct change *change)
{
	buf_addstr(out, what);
	if (change->old && change->new) {
		buf_addstr(out, " changed: ");
		add_pair(out, change);
	} else if (change->new) {
		buf_addstr(out, " is new: ");
		add_value(out, change->new);
	} else if (change->old) {
		buf_addstr(out, " is gone: ");
		add_value(out, change->old);
	} else {
		buf_addstr(out, " changed");
	}
}

static void add_file(struct buf *out, const struct change *change)
{
	add_value(out, *change->name ? change->name : ".");
	if (!change->old) {
		buf_addstr(out, " added");
	} else if (!change->new) {
		buf_addstr(out, " removed");
	} else if (!strcmp(change->part, "content")) {
		buf_addstr(out, " changed (");
		add_pair(out, change);
		buf_addch(out, ')');
	} else if (!strcmp(change->part, "attributes")) {
		buf_addstr(out, ": attributes or hard links changed");
	} else {
		buf_addf(out, ": %s changed (", change->part);
		add_pair(out, change);
		buf_addch(out, ')');
	}
}

static void add_variable(struct buf *out, const char *what, const struct change *change)
{
	if (!change->name) {
		buf_addstr(out, "the order of the environment changed");
		return;
	}
	buf_addf(out, "%s ", what);
	add_value(out, change->name);
	if (change->old) {
		buf_addstr(out, change->new ? " was " : " is gone, was ");
		add_value(out, change->old);
		if (change->new)
			buf_addstr(out, ", is ");
	} else {
		buf_addstr(out, " is new: ");
	}
	if (change->new)
		add_value(out, change->new);
}

static void add_part(struct buf *out, const struct change *change)
{
	/* names of parts that need other words than their own */
	static const struct {
		const char *part, *words;
	} names[] = {
		{ "directory", "working directory" },
		{ "from", "the image or repository it is from" },
		{ "path", "directory" },
		{ "link", "--link" },
		{ "parents", "--parents" },
		{ "chown", "--chown" },
		{ "chmod", "--chmod" },
		{ "exclude", "--exclude" },
		{ "mount", "--mount" },
		{ "network", "--network" },
		{ "hosts", "--add-host" },
		{ "inline", "heredoc" },
		{ "inline-content", "heredoc" },
		{ "script", "heredoc" },
		{ "variables", "an ARG or ENV" },
	};
	const char *words = change->part;

	if (!strcmp(change->part, "environment")) {
		add_variable(out, "ENV", change);
	} else if (!strcmp(change->part, "build-arg")) {
		add_variable(out, "ARG", change);
	} else if (!strcmp(change->part, "content") || !strcmp(change->part, "files")) {
		buf_addstr(out, "what it selects changed");
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (!strcmp(change->part, names[i].part))
				words = names[i].words;
		add_difference(out, words, change);
	}
}

static void add_base(struct buf *out, const struct change *change)
{
	buf_addstr(out, "base image changed: ");
	if (change->old && change->new &&strcmp(change->part, "name")) {
		add_value(out, change->name ? change->name : "");
		buf_addstr(out, " (");
		add_pair(out, change);
		buf_addch(out, ')');
	} else if (change->old && change->new) {
		add_pair(out, change);
	} else {
		add_value(out, change->name ? change->name : "");
	}
}

static void add_step(struct buf *out, const struct change *change)
{
	if (change->old && change->new) {
		buf_addf(out, "follows step %s (", change->name);
		add_value(out, change->new);
		buf_addstr(out, ") now, not ");
		add_value(out, change->old);
	} else {
		buf_addf(out, "depends on step %s", change->name);
	}
}

static void add_change(struct buf *out, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_FIRST:
		buf_addstr(out, "first build of this step");
		break;
	case CHANGE_NO_CACHE:
		add_value(out, change->name);
		break;
	case CHANGE_GONE:
		buf_addstr(out, "its earlier result is no longer in the store");
		break;
	case CHANGE_FAILED:
		buf_addstr(out, "it did not finish in the last build");
		break;
	case CHANGE_FETCH:
		buf_addstr(out, "not in the store: it would be fetched");
		break;
	case CHANGE_STEP:
		add_step(out, change);
		break;
	case CHANGE_BASE:
		add_base(out, change);
		break;
	case CHANGE_PART:
		add_part(out, change);
		break;
	case CHANGE_FILE:
		add_file(out, change);
		break;
	case CHANGE_KINDS:
		break;
	}
}

char *explain_text(const struct step_report *step)
{
	const struct changes *changes = &step->changes;
	struct buf out;

	buf_init(&out, SIZE_MAX / 2);
	for (size_t i = 0; i < changes->n && i < SHOWN_CHANGES; i++) {
		if (i)
			buf_addstr(&out, "; ");
		add_change(&out, &changes->v[i]);
	}
	if (changes->n > SHOWN_CHANGES)
		buf_addf(&out, "; and %zu more", changes->n - SHOWN_CHANGES);
	return buf_steal(&out);
}

/* --- whole reports ---------------------------------------------------------------------------- */

static const char *state_text(const struct step_report *step, bool plan)
{
	switch (step->state) {
	case STEP_BASE:
		return "base";
	case STEP_CACHED:
		return "cached";
	case STEP_RUN:
		return plan ? "runs" : "ran";
	default:
		return "not finished";
	}
}

static bool has_stages(const struct build_report *report)
{
	for (size_t i = 1; i < report->n_steps; i++)
		if (strcmp(report->steps[i].stage, report->steps[0].stage))
			return true;
	return false;
}

/* The first line of it. */
static char *instruction_text(const struct step_report *step)
{
	cleanup_free char *line = xstrndup(step->text, strcspn(step->text, "\n"));

	return text_cell(line, SHOWN_TEXT);
}

static void print_step(const struct step_report *step, bool stages, bool plan)
{
	cleanup_free char *instruction = instruction_text(step);
	cleanup_free char *stage = text_cell(step->stage, SHOWN_TEXT);
	cleanup_free char *why = explain_text(step);

	printf("step %u ", step->number);
	if (stages)
		printf("[%s] ", stage);
	if (step->from) {
		cleanup_free char *from = text_cell(step->from, SHOWN_TEXT);

		printf("%s: hit (from %s)\n", instruction, from);
	} else {
		printf("%s: %s\n", instruction, *why ? why : state_text(step, plan));
	}
}

static int print_json(const struct build_report *report)
{
	cleanup_json json_t *value = build_report_json(report);
	cleanup_free char *text = js_dump_indented(value, 4);

	printf("%s\n", text);
	return EXIT_OK;
}

int explain_print(struct cli *cli, const struct build_report *report, const char *format, bool plan,
		  struct err *err)
{
	bool stages = has_stages(report);
	size_t run = 0, cached = 0;

	if (format && !strcmp(format, "json"))
		return print_json(report);
	if (format && strcmp(format, "text"))
		return cli_usage(cli, err, "--format: expected text or json, got \"%s\"", format);
	for (size_t i = 0; i < report->n_steps; i++) {
		print_step(&report->steps[i], stages, plan);
		run += report->steps[i].state == STEP_RUN;
		cached += report->steps[i].state == STEP_CACHED;
	}
	printf(plan ? "%zu to run, %zu cached\n" : "%zu run, %zu cached\n", run, cached);
	return EXIT_OK;
}

/* --- costs ------------------------------------------------------------------------------------ */

#define DEAREST 3

const char *text_duration(uint64_t ns, char text[SIZE_TEXT_MAX])
{
	if (ns < 1000000000)
		snprintf(text, SIZE_TEXT_MAX, "%.1fms", (double)ns / 1e6);
	else
		snprintf(text, SIZE_TEXT_MAX, "%.1fs", (double)ns / 1e9);
	return text;
}

static void print_cost(const struct step_report *step)
{
	const struct step_cost *cost = &step->cost;
	cleanup_free char *instruction = instruction_text(step);
	char wall[SIZE_TEXT_MAX], cpu[SIZE_TEXT_MAX], size[SIZE_TEXT_MAX];

	fprintf(stderr, "  #%u %s: %s", step->number, instruction,
		text_duration(cost->wall_ns, wall));
	if (cost->cpu_ns)
		fprintf(stderr, ", cpu %s", text_duration(cost->cpu_ns, cpu));
	if (cost->peak_bytes)
		fprintf(stderr, ", memory %s", text_size(cost->peak_bytes, size));
	if (cost->read_bytes)
		fprintf(stderr, ", read %s", text_size(cost->read_bytes, size));
	if (cost->written_bytes)
		fprintf(stderr, ", written %s", text_size(cost->written_bytes, size));
	fputc('\n', stderr);
}

void explain_costs(const struct build_report *report)
{
	const struct step_report *dearest[DEAREST] = { NULL };

	for (size_t i = 0; i < report->n_steps; i++) {
		const struct step_report *step = &report->steps[i];

		for (size_t k = 0; k < DEAREST && step && step->state == STEP_RUN; k++) {
			const struct step_report *other = dearest[k];

			if (other && other->cost.wall_ns >= step->cost.wall_ns)
				continue;
			dearest[k] = step;
			step = other;
		}
	}
	if (dearest[0])
		fputs("Dearest steps:\n", stderr);
	for (size_t k = 0; k < DEAREST && dearest[k]; k++)
		print_cost(dearest[k]);
}
