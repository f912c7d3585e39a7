/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "builder/run_end.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/size.h"
#include "base/strv.h"
#include "builder/build.h"
#include "sandbox/sandbox.h"

static void add_end(const struct build_options *options, const struct sandbox_result *result,
		    struct buf *text)
{
	uint64_t memory = options->cgroup_limits.memory, pids = options->cgroup_limits.pids;
	char size[SIZE_FORMAT_MAX];

	switch (result->killed_by) {
	case SANDBOX_KILLED_BY_TIME:
		buf_addf(text, "was killed: it took longer than %gs (--run-timeout)",
			 (double)options->run_timeout_ns / 1e9);
		break;
	case SANDBOX_KILLED_BY_MEMORY:
		buf_addstr(text, "was killed: memory limit");
		if (memory)
			buf_addf(text, " of %s", size_format(memory, size));
		buf_addstr(text, " reached");
		break;
	case SANDBOX_KILLED_BY_NONE:
		buf_addf(text, "did not complete successfully: exit code: %d", result->exit_status);
		if (result->pids_refused)
			buf_addf(text, " (the limit of %" PRIu64 " processes was reached)",
				 pids ? pids : CGROUP_PIDS_DEFAULT);
		break;
	}
}

int run_end_check(const struct strv *argv, const struct build_options *options,
		  const struct sandbox_result *result, struct err *err)
{
	struct buf command, end;

	if (result->exit_status == 0)
		return 0;
	buf_init(&command, 1024);
	buf_init(&end, 256);
	for (size_t i = 0; i < argv->n; i++)
		buf_addf(&command, "%s%s", i ? " " : "", argv->v[i]);
	add_end(options, result, &end);
	err_set(err, ERR_FAILED, "process \"%s%s\" %s", command.data, command.overflow ? "..." : "",
		end.data);
	buf_release(&command);
	buf_release(&end);
	err->exit_status = result->exit_status;
	return -1;
}
