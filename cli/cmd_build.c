/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/build_flags.h"
#include "cli/build_input.h"
#include "cli/internal.h"
#include "registry/reference.h"

/* The file is written before anything is printed: scripts read it after the exit status. */
static int write_iidfile(const char *path, const struct digest *id, struct err *err)
{
	char text[DIGEST_TEXT_MAX];

	digest_format(id, text);
	if (file_replace_at(AT_FDCWD, path, text, strlen(text), 0644, false, err) < 0)
		return err_wrap(err, "--iidfile");
	return 0;
}

static void report(const struct build_options *options, const struct build_result *result,
		   uint64_t began)
{
	char id[DIGEST_TEXT_MAX], name[REFERENCE_TEXT_MAX];
	struct reference reference;
	struct err ignored = ERR_INIT;

	fprintf(stderr, "Built %s in %.3fs (%u run, %u cached)\n", digest_format(&result->id, id),
		(double)(clock_monotonic_ns() - began) / 1e9, result->executed, result->cached);
	for (size_t i = 0; i < options->tags.n; i++)
		if (reference_parse(options->tags.v[i], &reference, &ignored) == 0)
			fprintf(stderr, "Tagged %s\n", reference_familiar(&reference, name));
}

static int read_and_run(struct cli *cli, const struct build_flags *flags, struct build_input *input,
			const char *context, struct build_options *options,
			struct progress *progress, struct build_result *result, struct err *err)
{
	if (build_input_read(cli, options, context, flags->file, progress_build, progress, input,
			     err) < 0)
		return -1;
	return build_run(options, progress_build, progress, result, err);
}

/* A command over flags and a context: build, plan. */
typedef int build_function(struct cli *cli, struct build_flags *flags, struct build_input *input,
			   const char *context, struct build_options *options, struct err *err);

static int plan(struct cli *cli, struct build_flags *flags, struct build_input *input,
		const char *context, struct build_options *options, struct err *err)
{
	cleanup_with(build_report_free) struct build_report *report = NULL;

	if (flags->check || flags->call)
		return cli_usage(cli, err, "--check and --call are options of build, not of plan");
	options->planning = true;
	if (build_flags_fill(cli, flags, options, err) < 0 ||
	    cli_store(cli, &options->store, err) < 0 ||
	    build_input_read(cli, options, context, flags->file, NULL, NULL, input, err) < 0 ||
	    build_plan(options, &report, err) < 0)
		return -1;
	return explain_print(cli, report, flags->format, true, err);
}

static int build(struct cli *cli, struct build_flags *flags, struct build_input *input,
		 const char *context, enum progress_mode mode, struct build_options *options,
		 struct err *err)
{
	uint64_t began = clock_monotonic_ns();
	struct build_result result;
	struct progress progress;
	char id[DIGEST_TEXT_MAX];
	int status;

	if (cli_store(cli, &options->store, err) < 0)
		return -1;
	progress_init(&progress, mode);
	status = read_and_run(cli, flags, input, context, options, &progress, &result, err);
	progress_release(&progress);
	if (status < 0 || (flags->iidfile && write_iidfile(flags->iidfile, &result.id, err) < 0))
		return -1;
	if (mode == PROGRESS_QUIET)
		printf("%s\n", digest_format(&result.id, id));
	else
		report(options, &result, began);
	return EXIT_OK;
}

/* A question about a directory needs no store; what bases are is asked of one that is there. */
static bool needs_store(const struct cli *cli, const char *context)
{
	struct stat info;

	return access(cli->root, F_OK) == 0 || stat(context, &info) < 0 || !S_ISDIR(info.st_mode);
}

static int call(struct cli *cli, struct build_flags *flags, struct build_input *input,
		const char *context, const struct check_call_options *call,
		struct build_options *options, struct err *err)
{
	struct progress progress;
	int status;

	if (needs_store(cli, context) && cli_store(cli, &options->store, err) < 0)
		return -1;
	progress_init(&progress, PROGRESS_QUIET);
	status = build_input_read(cli, options, context, flags->file, progress_build, &progress,
				  input, err);
	progress_release(&progress);
	return status < 0 ? -1 : check_call_run(call, options, err);
}

static int build_or_call(struct cli *cli, struct build_flags *flags, struct build_input *input,
			 const char *context, struct build_options *options, struct err *err)
{
	struct check_call_options asked;
	enum progress_mode mode;

	if (check_call_parse(cli, flags->call, flags->check, flags->format, &asked, err) < 0 ||
	    build_flags_fill(cli, flags, options, err) < 0 ||
	    build_flags_progress(cli, flags, &mode, err) < 0)
		return -1;
	asked.registries = &flags->trusted;
	if (asked.call != CALL_BUILD)
		return call(cli, flags, input, context, &asked, options, err);
	return build(cli, flags, input, context, mode, options, err);
}

static int run_command(struct cli *cli, int argc, char **argv, build_function *function,
		       struct err *err)
{
	struct build_options options = { .context_fd = -1 };
	struct build_input input;
	struct build_flags flags;
	int status = -1;

	build_input_init(&input);
	if (build_flags_parse(cli, &argc, argv, &flags, err) == 0)
		status = function(cli, &flags, &input, argv[1], &options, err);
	build_flags_release(&flags, &options);
	build_input_release(&input);
	return status;
}

int cmd_build(struct cli *cli, int argc, char **argv, struct err *err)
{
	return run_command(cli, argc, argv, build_or_call, err);
}

/* The options of build are all taken, so that the line of a build can be asked about. */
int cmd_plan(struct cli *cli, int argc, char **argv, struct err *err)
{
	return run_command(cli, argc, argv, plan, err);
}
