/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dockerfile-parser/outline.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "dockerfile-parser/lint_internal.h"

/* Text of a file may be anything; JSON is UTF-8. */
static json_t *text(const char *value)
{
	json_t *string = json_string(value);

	return string ? string : json_string("(not UTF-8)");
}

static void set_text(json_t *object, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(object, key, text(value));
}

/* One range per line, as BuildKit has them. */
static json_t *location(const struct instruction *instruction)
{
	json_t *ranges = json_array();

	for (unsigned line = instruction->range.start.line; line <= instruction->range.end.line;
	     line++)
		json_array_append_new(ranges, json_pack("{s:{s:i},s:{s:i}}", "start", "line",
							(int)line, "end", "line", (int)line));
	return json_pack("{s:o}", "ranges", ranges);
}

/* What a comment "name description" above the instruction says of the name, or "". */
static const char *description(const struct instruction *instruction, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < instruction->n_comments; i++)
		if (!strncmp(instruction->comments[i], name, len) &&
		    instruction->comments[i][len] == ' ')
			return instruction->comments[i] + len + 1;
	return "";
}

static char *lower(const char *name)
{
	char *copy = xstrdup(name);

	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

json_t *outline_targets(const struct dockerfile *dockerfile)
{
	json_t *targets = json_array(), *last = NULL;

	for (size_t i = 0; i < dockerfile->n_instructions; i++) {
		const struct instruction *from = &dockerfile->instructions[i];
		const struct flag *platform;
		cleanup_free char *name = NULL;

		if (from->kind != INSTRUCTION_FROM)
			continue;
		platform = instruction_flag(from, "platform");
		name = lower(from->n_args == 3 ? from->args[2].text : "");
		last = json_pack("{s:o}", "name", text(name));
		set_text(last, "description", *name ? description(from, name) : "");
		json_object_set_new(last, "base", text(from->args[0].text));
		json_object_set_new(last, "platform", text(platform ? platform->value : ""));
		json_object_set_new(last, "location", location(from));
		json_array_append_new(targets, last);
	}
	if (last)
		json_object_set_new(last, "default", json_true());
	return json_pack("{s:o}", "targets", targets);
}

/* --- outline --------------------------------------------------------------------------------- */

static bool is_listed(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_object_get(json_array_get(list, i), "name")),
			    name))
			return true;
	return false;
}

static void add_arg(json_t *args, const struct instruction *arg, const char *name,
		    const char *value)
{
	json_t *object;

	if (is_listed(args, name))
		return;
	object = json_pack("{s:o}", "name", text(name));
	set_text(object, "description", description(arg, name));
	set_text(object, "value", value);
	json_object_set_new(object, "location", location(arg));
	json_array_append_new(args, object);
}

/* An ARG before FROM, and those its default is made of. */
static void add_global(struct lint *lint, json_t *args, const char *name)
{
	for (size_t i = 0; i < lint->n_steps && !lint->steps[i].stage; i++) {
		const struct instruction *arg = lint->steps[i].instruction;

		for (size_t k = 0; k < arg->n_args; k += 3) {
			struct lint_expansion expansion;

			if (strcmp(arg->args[k].text, name) || is_listed(args, name))
				continue;
			add_arg(args, arg, name, env_get(&lint->globals, name));
			lint_expand_global(lint, &lint->globals, arg->args[k + 1].text, &expansion);
			for (size_t n = 0; n < expansion.found.n; n++)
				add_global(lint, args, expansion.found.v[n]);
			lint_expansion_release(&expansion);
		}
	}
}

static void add_used(struct lint *lint, json_t *args, const char *word)
{
	struct lint_expansion expansion;

	lint_expand_global(lint, &lint->globals, word, &expansion);
	for (size_t i = 0; i < expansion.found.n; i++)
		add_global(lint, args, expansion.found.v[i]);
	lint_expansion_release(&expansion);
}

static void add_stage_args(struct lint *lint, json_t *args, const struct lint_step *step)
{
	const struct instruction *arg = step->instruction;
	const struct strv *given = lint->inputs->build_args;

	for (size_t i = 0; i + 2 < arg->n_args; i += 3) {
		const char *name = arg->args[i].text;
		const char *value = given ? env_get(given, name) : NULL;

		if (!value && !*arg->args[i + 2].text && env_get(&lint->globals, name))
			add_global(lint, args, name);
		else
			add_arg(args, arg, name, value ? value : step->words[i + 1]);
	}
}

static const char *option(const struct flag_option *options, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(options[i].key, key))
			return options[i].has_value ? options[i].value : "true";
	return NULL;
}

/* --mount=type=secret or ssh */
static void add_mount(struct lint *lint, json_t *outline, const struct instruction *run,
		      const struct flag *flag)
{
	const char *type, *id, *target, *required;
	struct flag_option *options;
	struct err ignored = ERR_INIT;
	json_t *list, *mount;
	size_t n;

	if (flag_options_parse(lint->arena, flag->value, &options, &n, &ignored) < 0)
		return;
	type = option(options, n, "type");
	if (!type || (strcmp(type, "secret") && strcmp(type, "ssh")))
		return;
	list = json_object_get(outline, !strcmp(type, "ssh") ? "ssh" : "secrets");
	target = option(options, n, "target");
	id = option(options, n, "id");
	if (!id && target && !strcmp(type, "secret"))
		id = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (!id)
		id = "default";
	if (is_listed(list, id))
		return;
	required = option(options, n, "required");
	mount = json_pack("{s:o}", "name", text(id));
	if (required && strcasecmp(required, "false") && strcmp(required, "0"))
		json_object_set_new(mount, "required", json_true());
	json_object_set_new(mount, "location", location(run));
	json_array_append_new(list, mount);
}

static void add_stage(struct lint *lint, json_t *outline, const struct lint_stage *stage)
{
	const struct instruction *from = stage->from->instruction;
	const struct flag *platform = instruction_flag(from, "platform");
	json_t *args = json_object_get(outline, "args");

	for (size_t i = stage->first; i < stage->end; i++) {
		const struct lint_step *step = &lint->steps[i];

		if (step->instruction->kind == INSTRUCTION_ARG)
			add_stage_args(lint, args, step);
		for (size_t f = 0; f < step->instruction->n_flags; f++)
			if (!strcmp(step->instruction->flags[f].name, "mount"))
				add_mount(lint, outline, step->instruction,
					  &step->instruction->flags[f]);
	}
	add_used(lint, args, from->args[0].text);
	if (platform)
		add_used(lint, args, platform->value);
}

static int line_of(const json_t *item)
{
	json_t *ranges = json_object_get(json_object_get(item, "location"), "ranges");

	return (int)json_integer_value(
		json_object_get(json_object_get(json_array_get(ranges, 0), "start"), "line"));
}

/* By line; an insertion sort, since the parts are in order already. */
static void sort_list(json_t *list)
{
	for (size_t i = 1; i < json_array_size(list); i++) {
		json_t *item = json_incref(json_array_get(list, i));
		size_t k = i;

		while (k > 0 && line_of(json_array_get(list, k - 1)) > line_of(item))
			k--;
		json_array_remove(list, i);
		json_array_insert_new(list, k, item);
	}
}

static void finish(json_t *outline)
{
	static const char *const keys[] = { "args", "secrets", "ssh" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *list = json_object_get(outline, keys[i]);

		sort_list(list);
		if (!json_array_size(list))
			json_object_del(outline, keys[i]);
	}
}

json_t *outline_of(const struct dockerfile *dockerfile, const struct lint_inputs *inputs,
		   size_t target)
{
	json_t *outline = json_pack("{s:[],s:[],s:[]}", "args", "secrets", "ssh");
	struct lint lint = {
		.dockerfile = dockerfile,
		.inputs = inputs,
		.arena = arena_new(),
		.budget = DOCKERFILE_MAX,
	};
	const char *name;

	lint_scope_fill(&lint);
	name = lint.stages[target].name;
	if (name) {
		set_text(outline, "name", name);
		set_text(outline, "description",
			 description(lint.stages[target].from->instruction, name));
	}
	for (size_t i = target + 1; i-- > 0;) /* what is nearest to the target speaks first */
		if (lint.stages[i].walked)
			add_stage(&lint, outline, &lint.stages[i]);
	finish(outline);
	lint_scope_release(&lint);
	arena_free(lint.arena);
	return outline;
}
