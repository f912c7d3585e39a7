/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports as JSON and back: for the record of the last build, and for `--format json`. */
#include "builder/report.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define STEP_TEXT_MAX 512

static const char *const change_names[CHANGE_KINDS] = {
	[CHANGE_FIRST] = "first",   [CHANGE_NO_CACHE] = "no-cache", [CHANGE_GONE] = "gone",
	[CHANGE_FAILED] = "failed", [CHANGE_FETCH] = "fetch",	    [CHANGE_STEP] = "step",
	[CHANGE_BASE] = "base",	    [CHANGE_PART] = "part",	    [CHANGE_FILE] = "file",
};

static const char *const state_names[STEP_STATES] = {
	[STEP_UNFINISHED] = "unfinished",
	[STEP_BASE] = "base",
	[STEP_CACHED] = "cached",
	[STEP_RUN] = "run",
};

/* --- to JSON ---------------------------------------------------------------------------------- */

/* Bytes that are no UTF-8 become "?". */
static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);
	cleanup_free char *ascii = NULL;

	if (value)
		return value;
	ascii = xstrdup(text);
	for (char *c = ascii; *c; c++)
		if (*c & 0x80)
			*c = '?';
	return json_string(ascii);
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, text_json(text));
}

static void set_digest(json_t *object, const char *key, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];

	if (!digest_is_zero(digest))
		json_object_set_new(object, key, json_string(digest_format(digest, text)));
}

static json_t *changes_json(const struct changes *changes)
{
	json_t *array = json_array();

	for (size_t i = 0; i < changes->n; i++) {
		const struct change *change = &changes->v[i];
		json_t *object = json_object();

		json_object_set_new(object, "kind", json_string(change_names[change->kind]));
		set_text(object, "part", change->part);
		set_text(object, "name", change->name);
		set_text(object, "old", change->old);
		set_text(object, "new", change->new);
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *cost_json(const struct step_cost *cost)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "wall_ns", (json_int_t)cost->wall_ns,
			 "cpu_ns", (json_int_t)cost->cpu_ns, "peak_bytes",
			 (json_int_t)cost->peak_bytes, "read_bytes", (json_int_t)cost->read_bytes,
			 "written_bytes", (json_int_t)cost->written_bytes);
}

/* With `record`, what only report_find() needs is kept too. */
static json_t *step_json(struct step_report *step, bool record)
{
	size_t len = strcspn(step->text, "\n");
	cleanup_free char *text = xstrndup(step->text, len < STEP_TEXT_MAX ? len : STEP_TEXT_MAX);
	json_t *object = json_object();

	json_object_set_new(object, "step", json_integer(step->number));
	json_object_set_new(object, "stage", text_json(step->stage));
	json_object_set_new(object, "position", json_integer(step->position));
	json_object_set_new(object, "instruction", text_json(text));
	json_object_set_new(object, "state", json_string(state_names[step->state]));
	set_digest(object, "key", &step->key);
	if (record) {
		set_digest(object, "whole", report_whole(step));
		set_digest(object, "quick", &step->quick);
	}
	set_text(object, "base", step->base);
	set_digest(object, "id", &step->id);
	set_text(object, "platform", step->platform);
	set_text(object, "from", step->from);
	if (step->state == STEP_RUN && step->cost.wall_ns)
		json_object_set_new(object, "cost", cost_json(&step->cost));
	if (step->changes.n)
		json_object_set_new(object, "changes", changes_json(&step->changes));
	return object;
}

static json_t *steps_json(struct step_report *steps, size_t n, bool record)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, step_json(&steps[i], record));
	return array;
}

json_t *report_json(const struct build_report *report, bool record)
{
	json_t *object = json_object();

	json_object_set_new(object, "context", text_json(report->context));
	json_object_set_new(object, "dockerfile", text_json(report->dockerfile));
	json_object_set_new(object, "steps", steps_json(report->steps, report->n_steps, record));
	if (record && report->n_older)
		json_object_set_new(object, "older",
				    steps_json(report->older, report->n_older, record));
	return object;
}

json_t *build_report_json(const struct build_report *report)
{
	return report_json(report, false);
}

/* --- from JSON -------------------------------------------------------------------------------- */

static int parse_name(const json_t *object, const char *key, const char *const *names, int n,
		      int *ret_index, struct err *err)
{
	const char *text;
	int i = 0;

	if (js_string(object, key, "", &text, err) < 0)
		return -1;
	while (i < n && strcmp(names[i], text))
		i++;
	if (i == n)
		return err_set(err, ERR_INVALID, "\"%s\" is unknown: %.100s", key, text);
	*ret_index = i;
	return 0;
}

static int parse_digest(const json_t *object, const char *key, struct digest *ret_digest,
			struct err *err)
{
	return json_object_get(object, key) ? js_digest(object, key, ret_digest, err) : 0;
}

static int parse_changes(const json_t *object, struct changes *changes, struct err *err)
{
	json_t *array;

	if (js_array(object, "changes", &array, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *item = json_array_get(array, i);
		const char *part, *name, *old, *new;
		int kind = 0;

		if (parse_name(item, "kind", change_names, CHANGE_KINDS, &kind, err) < 0 ||
		    js_string(item, "part", NULL, &part, err) < 0 ||
		    js_string(item, "name", NULL, &name, err) < 0 ||
		    js_string(item, "old", NULL, &old, err) < 0 ||
		    js_string(item, "new", NULL, &new, err) < 0)
			return -1;
		changes_add(changes, (enum change_kind)kind, part, name, old, new);
	}
	return 0;
}

static int parse_cost(const json_t *object, struct step_cost *cost, struct err *err)
{
	json_t *values;

	if (js_object(object, "cost", &values, err) < 0 ||
	    js_uint(values, "wall_ns", 0, &cost->wall_ns, err) < 0 ||
	    js_uint(values, "cpu_ns", 0, &cost->cpu_ns, err) < 0 ||
	    js_uint(values, "peak_bytes", 0, &cost->peak_bytes, err) < 0 ||
	    js_uint(values, "read_bytes", 0, &cost->read_bytes, err) < 0 ||
	    js_uint(values, "written_bytes", 0, &cost->written_bytes, err) < 0)
		return -1;
	return 0;
}

static int parse_step(const json_t *object, struct step_report *step, struct err *err)
{
	const char *stage, *text, *base, *platform, *from;
	uint64_t number, position;
	int state = 0;

	if (js_uint(object, "step", 0, &number, err) < 0 ||
	    js_uint(object, "position", 0, &position, err) < 0 ||
	    js_string(object, "stage", "", &stage, err) < 0 ||
	    js_string(object, "instruction", "", &text, err) < 0 ||
	    js_string(object, "base", NULL, &base, err) < 0 ||
	    js_string(object, "platform", NULL, &platform, err) < 0 ||
	    js_string(object, "from", NULL, &from, err) < 0 ||
	    parse_name(object, "state", state_names, STEP_STATES, &state, err) < 0)
		return -1;
	step->number = (unsigned)number;
	step->position = (unsigned)position;
	step->state = (enum step_state)state;
	step->stage = xstrdup(stage);
	step->text = xstrdup(text);
	step->base = base ? xstrdup(base) : NULL;
	step->platform = platform ? xstrdup(platform) : NULL;
	step->from = from ? xstrdup(from) : NULL;
	if (parse_digest(object, "key", &step->key, err) < 0 ||
	    parse_digest(object, "whole", &step->whole, err) < 0 ||
	    parse_digest(object, "quick", &step->quick, err) < 0 ||
	    parse_digest(object, "id", &step->id, err) < 0 ||
	    parse_cost(object, &step->cost, err) < 0)
		return -1;
	return parse_changes(object, &step->changes, err);
}

static int parse_steps(const json_t *object, const char *key, struct step_report **steps, size_t *n,
		       size_t *cap, struct err *err)
{
	json_t *array;

	if (js_array(object, key, &array, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(array); i++) {
		*steps = grow_vector(*steps, *n, cap, sizeof(**steps));
		(*steps)[*n] = (struct step_report){ 0 };
		if (parse_step(json_array_get(array, i), &(*steps)[(*n)++], err) < 0)
			return -1;
	}
	return 0;
}

int report_parse(const struct buf *text, struct build_report **ret_report, struct err *err)
{
	cleanup_json json_t *root = NULL;
	cleanup_with(build_report_free) struct build_report *report = NULL;
	const char *context, *dockerfile;

	if (js_parse("record of a build", text->data, text->len, &root, err) < 0 ||
	    js_string(root, "context", NULL, &context, err) < 0 ||
	    js_string(root, "dockerfile", NULL, &dockerfile, err) < 0)
		return -1;
	report = build_report_new(context, dockerfile);
	if (parse_steps(root, "steps", &report->steps, &report->n_steps, &report->cap_steps, err) <
		    0 ||
	    parse_steps(root, "older", &report->older, &report->n_older, &report->cap_older, err) <
		    0)
		return -1;
	*ret_report = steal_pointer(&report);
	return 0;
}
