/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One function per instruction, found by its kind. */
#include "builder/internal.h"

#include "base/mem.h"
#include "builder/remote.h"

static step_function *const functions[] = {
	[INSTRUCTION_ADD] = step_copy,
	[INSTRUCTION_ARG] = step_arg,
	[INSTRUCTION_CMD] = step_cmd,
	[INSTRUCTION_COPY] = step_copy,
	[INSTRUCTION_ENTRYPOINT] = step_entrypoint,
	[INSTRUCTION_ENV] = step_env,
	[INSTRUCTION_EXPOSE] = step_expose,
	[INSTRUCTION_HEALTHCHECK] = step_healthcheck,
	[INSTRUCTION_LABEL] = step_label,
	[INSTRUCTION_MAINTAINER] = step_maintainer,
	[INSTRUCTION_ONBUILD] = step_onbuild,
	[INSTRUCTION_RUN] = step_run,
	[INSTRUCTION_SHELL] = step_shell,
	[INSTRUCTION_STOPSIGNAL] = step_stopsignal,
	[INSTRUCTION_USER] = step_user,
	[INSTRUCTION_VOLUME] = step_volume,
	[INSTRUCTION_WORKDIR] = step_workdir,
};

int step_apply(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	       struct err *err)
{
	return functions[instruction->kind](builder, stage, instruction, err);
}

bool step_counts(const struct instruction *instruction)
{
	return instruction->kind == INSTRUCTION_RUN || instruction->kind == INSTRUCTION_COPY ||
	       instruction->kind == INSTRUCTION_ADD || instruction->kind == INSTRUCTION_WORKDIR;
}

char *step_shown(const struct instruction *instruction)
{
	if (instruction->kind == INSTRUCTION_COPY || instruction->kind == INSTRUCTION_ADD)
		return remote_redact(instruction->text);
	return xstrdup(instruction->text);
}
