/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree as JSON. The members, their order and their meaning are promised in dockerfile.h. */
#include "dockerfile-parser/internal.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define RUNE_REPLACEMENT 0xfffd

static json_t *replace_bad(const char *text, size_t len)
{
	cleanup_buf struct buf clean;
	size_t width;

	buf_init(&clean, 3 * (size_t)DOCKERFILE_MOST);
	for (size_t i = 0; i < len; i += width) {
		uint32_t rune = rune_decode(text + i, len - i, &width);

		rune_add(&clean, rune >= RUNE_BAD ? RUNE_REPLACEMENT : rune);
	}
	return json_stringn(clean.data, clean.len);
}

/* JSON is UTF-8; a Dockerfile need not be. */
static json_t *text_to_json(const char *text, size_t len)
{
	json_t *value = json_stringn(text, len);

	return value ? value : replace_bad(text, len);
}

static json_t *string_to_json(const char *text)
{
	return text_to_json(text, strlen(text));
}

static json_t *position_to_json(struct position position)
{
	json_t *object = json_object();

	json_object_set_new(object, "line", json_integer(position.line));
	json_object_set_new(object, "column", json_integer(position.column));
	return object;
}

static json_t *flags_to_json(const struct instruction *instruction)
{
	json_t *array = json_array();

	for (size_t i = 0; i < instruction->n_flags; i++) {
		const struct flag *flag = &instruction->flags[i];
		cleanup_free char *text =
			xasprintf("--%s%s%s", flag->name, flag->has_value ? "=" : "", flag->value);

		json_array_append_new(array, string_to_json(text));
	}
	return array;
}

static json_t *heredocs_to_json(const struct instruction *instruction)
{
	json_t *array = json_array();

	for (size_t i = 0; i < instruction->n_heredocs; i++) {
		const struct heredoc *heredoc = &instruction->heredocs[i];
		json_t *object = json_object();

		json_object_set_new(object, "name", string_to_json(heredoc->name));
		json_object_set_new(object, "content",
				    text_to_json(heredoc->raw, heredoc->raw_len));
		json_object_set_new(object, "expand", json_boolean(heredoc->expand));
		json_object_set_new(object, "chomp", json_boolean(heredoc->chomp));
		json_object_set_new(object, "fd", json_integer(heredoc->fd));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *comments_to_json(const struct instruction *instruction)
{
	json_t *array = json_array();

	for (size_t i = 0; i < instruction->n_comments; i++)
		json_array_append_new(array, string_to_json(instruction->comments[i]));
	return array;
}

static json_t *instruction_to_json(const struct instruction *instruction);

static json_t *args_to_json(const struct instruction *instruction)
{
	json_t *array = json_array();

	if (instruction->trigger)
		json_array_append_new(array, instruction_to_json(instruction->trigger));
	for (size_t i = 0; i < instruction->n_args; i++)
		json_array_append_new(array, string_to_json(instruction->args[i].text));
	return array;
}

static json_t *instruction_to_json(const struct instruction *instruction)
{
	json_t *object = json_object();

	json_object_set_new(object, "cmd", json_string(instruction_name(instruction->kind)));
	json_object_set_new(object, "flags", flags_to_json(instruction));
	json_object_set_new(object, "args", args_to_json(instruction));
	json_object_set_new(object, "json", json_boolean(instruction->json));
	json_object_set_new(object, "heredocs", heredocs_to_json(instruction));
	json_object_set_new(object, "start", position_to_json(instruction->range.start));
	json_object_set_new(object, "end", position_to_json(instruction->range.end));
	json_object_set_new(object, "comments", comments_to_json(instruction));
	return object;
}

static json_t *directives_to_json(const struct directives *directives)
{
	const char escape[] = { directives->escape, '\0' };
	json_t *object = json_object();

	if (directives->syntax)
		json_object_set_new(object, "syntax", string_to_json(directives->syntax));
	if (directives->has_escape)
		json_object_set_new(object, "escape", json_string(escape));
	if (directives->check)
		json_object_set_new(object, "check", string_to_json(directives->check));
	return object;
}

json_t *dockerfile_to_json(const struct dockerfile *dockerfile)
{
	json_t *object = json_object(), *array = json_array();

	for (size_t i = 0; i < dockerfile->n_instructions; i++)
		json_array_append_new(array, instruction_to_json(&dockerfile->instructions[i]));
	json_object_set_new(object, "directives", directives_to_json(&dockerfile->directives));
	json_object_set_new(object, "instructions", array);
	return object;
}
