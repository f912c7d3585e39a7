/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions applied to a config without a build: `import --change`. */
#include "builder/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static int apply(struct builder *builder, struct stage *stage, struct err *err)
{
	const struct dockerfile *dockerfile = builder->dockerfile;

	for (size_t i = 1; i < dockerfile->n_instructions; i++) {
		const struct instruction *instruction = &dockerfile->instructions[i];

		if (instruction->kind == INSTRUCTION_WORKDIR) { /* only the config's part of it */
			cleanup_free char *word = NULL, *path = NULL;

			if (scope_expand(dockerfile, &stage->env, &instruction->args[0], &word,
					 err) < 0)
				return -1;
			path = stage_path(stage, word, false);
			free(stage->image->working_dir);
			stage->image->working_dir = steal_pointer(&path);
			continue;
		}
		if (step_counts(instruction) || instruction->kind == INSTRUCTION_FROM ||
		    instruction->kind == INSTRUCTION_ARG)
			return err_set(err, ERR_INVALID,
				       "%s cannot be applied to an image without a build",
				       instruction->keyword);
		if (step_apply(builder, stage, instruction, err) < 0)
			return -1;
	}
	return 0;
}

int build_apply_changes(struct image *image, const struct strv *changes, struct err *err)
{
	struct build_options options = { .context_fd = -1 };
	struct builder builder = { .options = &options };
	struct stage stage = { .image = image };
	struct buf text;
	int status;

	if (!changes->n)
		return 0;
	buf_init(&text, DOCKERFILE_MAX);
	buf_addstr(&text, "FROM scratch\n");
	for (size_t i = 0; i < changes->n; i++)
		buf_addf(&text, "%s\n", changes->v[i]);
	status = dockerfile_parse("change", text.data, text.len, &builder.dockerfile, err);
	buf_release(&text);
	if (status < 0)
		return -1;
	strv_extend(&stage.env, &image->env);
	status = apply(&builder, &stage, err);
	for (size_t i = 0; i < image->n_history; i++) {
		free(image->history[i].created_by);
		free(image->history[i].author);
		free(image->history[i].comment);
	}
	image->n_history = 0;
	strv_release(&stage.env);
	dockerfile_free(builder.dockerfile);
	return status;
}
