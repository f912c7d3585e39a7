/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Dockerfile: parsed, dumped, its triggers parsed again, and looked at by all rules of lint and by
 * the outline.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "base/arena.h"
#include "dockerfile-parser/dockerfile.h"
#include "dockerfile-parser/lint.h"

/* The text of an instruction stands for it: it parses, and to the same text. */
static void check_again(struct dockerfile *file, const struct instruction *instruction)
{
	struct instruction *again;
	struct err err;

	if (file->directives.escape != '\\')
		return;
	if (dockerfile_parse_trigger(file, instruction->text, &again, &err) < 0)
		return; /* what the text's blanks and escapes end in is the shell's */
	if (again->kind != instruction->kind || again->n_args != instruction->n_args ||
	    again->n_heredocs != instruction->n_heredocs)
		abort();
}

static void look_at(struct dockerfile *file, const struct instruction *instruction)
{
	struct flag_option *options;
	struct err err;
	size_t n;

	if (instruction->trigger) {
		look_at(file, instruction->trigger);
		check_again(file, instruction->trigger);
	}
	for (size_t i = 0; i < instruction->n_flags; i++)
		if (!strcmp(instruction->flags[i].name, "mount") &&
		    flag_options_parse(file->arena, instruction->flags[i].value, &options, &n,
				       &err) < 0)
			abort();
	if (instruction->range.start.line < 1 || instruction->range.start.column < 1 ||
	    instruction->range.end.line > file->n_lines ||
	    instruction->range.end.line < instruction->range.start.line)
		abort();
}

static void lint(const struct dockerfile *file)
{
	struct lint_inputs inputs = { .sets = LINT_BUILDKIT | LINT_HADOLINT | LINT_CBUILD };
	struct lint_result *result;
	struct err err;

	if (lint_run(file, &inputs, &result, &err) == 0)
		lint_free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_text(data, size);
	struct dockerfile *file;
	struct err err;

	if (dockerfile_parse("Dockerfile", text, size, &file, &err) < 0)
		return 0;
	for (size_t i = 0; i < file->n_instructions; i++)
		look_at(file, &file->instructions[i]);
	json_decref(dockerfile_to_json(file));
	if (dockerfile_check_stages(file, &err) == 0)
		lint(file);
	dockerfile_free(file);
	return 0;
}
