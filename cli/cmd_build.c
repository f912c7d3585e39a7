/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cli/build_input.h"
#include "cli/caches.h"
#include "cli/internal.h"
#include "registry/reference.h"

/* The options as they come from the command line. */
struct build_flags {
	struct strv tags, build_args, labels, add_hosts, contexts, trusted;
	const char *file, *target, *platform, *network, *progress, *pull, *iidfile, *authfile;
	const char *call, *format, *sync, *epoch, *isolation, *jobs;
	struct strv no_cache_filter, cache_from, cache_to;
	bool no_cache, quiet, rm, force_rm, tls_verify, check, offline, explain, rewrite_timestamp;
	struct grant_flags grants;
	struct limit_flags limits;
};

static void flags_release(struct build_flags *flags)
{
	strv_release(&flags->tags);
	strv_release(&flags->build_args);
	strv_release(&flags->labels);
	strv_release(&flags->add_hosts);
	strv_release(&flags->contexts);
	strv_release(&flags->trusted);
	strv_release(&flags->no_cache_filter);
	strv_release(&flags->cache_from);
	strv_release(&flags->cache_to);
}

/* What the options point to. */
struct build_things {
	struct build_input input;
	char *hosts;
	struct platform platform;
	struct grants grants;
	struct limits limits;
	struct caches caches;
};

static int parse_pull(struct cli *cli, const char *text, enum build_pull *ret_pull, struct err *err)
{
	if (!text || !strcmp(text, "missing") || !strcmp(text, "false"))
		*ret_pull = BUILD_PULL_MISSING;
	else if (!*text || !strcmp(text, "always") || !strcmp(text, "true"))
		*ret_pull = BUILD_PULL_ALWAYS;
	else if (!strcmp(text, "never"))
		*ret_pull = BUILD_PULL_NEVER;
	else if (!strcmp(text, "newer"))
		*ret_pull = BUILD_PULL_NEWER;
	else
		return cli_usage(cli, err,
				 "--pull: expected always, missing, newer or never, got \"%s\"",
				 text);
	return 0;
}

static int parse_sync(struct cli *cli, const char *text, bool *ret_no_sync, struct err *err)
{
	*ret_no_sync = text && !strcmp(text, "none");
	if (!text || *ret_no_sync || !strcmp(text, "build"))
		return 0;
	return cli_usage(cli, err, "--sync: expected build or none, got \"%s\"", text);
}

static int parse_progress(struct cli *cli, const struct build_flags *flags,
			  enum progress_mode *ret_mode, struct err *err)
{
	const char *text = flags->progress ? flags->progress : getenv("BUILDKIT_PROGRESS");

	*ret_mode = flags->quiet ? PROGRESS_QUIET : PROGRESS_PLAIN;
	if (!text || !*text || !strcmp(text, "plain") || !strcmp(text, "auto"))
		return 0;
	if (!strcmp(text, "quiet") || !strcmp(text, "none"))
		*ret_mode = PROGRESS_QUIET;
	else if (flags->progress)
		return cli_usage(cli, err, "--progress: expected auto, plain or quiet, got \"%s\"",
				 text);
	return 0;
}

#define JOBS_MAX 1024

static int parse_jobs(struct cli *cli, const char *text, unsigned *ret_jobs, struct err *err)
{
	unsigned long jobs;
	char *end;

	*ret_jobs = pool_processors();
	if (!text)
		return 0;
	jobs = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || !jobs || jobs > JOBS_MAX)
		return cli_usage(cli, err, "--jobs: expected a number from 1 to %d, got \"%s\"",
				 JOBS_MAX, text);
	*ret_jobs = (unsigned)jobs;
	return 0;
}

/* --build-arg NAME takes the value of the environment; without one there it is not given. */
static int parse_args(struct cli *cli, const struct strv *given, struct strv *ret_args,
		      struct err *err)
{
	for (size_t i = 0; i < given->n; i++) {
		const char *equals = strchr(given->v[i], '=');
		cleanup_free char *name = xstrndup(given->v[i], strcspn(given->v[i], "="));
		const char *value = equals ? equals + 1 : getenv(name);

		if (!*name)
			return cli_usage(cli, err, "--build-arg: expected NAME=VALUE, got \"%s\"",
					 given->v[i]);
		if (value)
			env_set(ret_args, name, value);
	}
	return 0;
}

/* SOURCE_DATE_EPOCH is a build argument that the environment gives as well, as docker has it. */
static void add_epoch(const char *option, struct strv *args)
{
	const char *value = option ? option : getenv("SOURCE_DATE_EPOCH");

	if (option || (value && *value && !env_get(args, "SOURCE_DATE_EPOCH")))
		env_set(args, "SOURCE_DATE_EPOCH", value);
}

/* --no-cache-filter a,b is as docker's. */
static void split_stages(const struct strv *given, struct strv *ret_stages)
{
	for (size_t i = 0; i < given->n; i++) {
		for (const char *at = given->v[i]; *at; at += strspn(at, ",")) {
			size_t len = strcspn(at, ",");

			if (len)
				strv_addn(ret_stages, at, len);
			at += len;
		}
	}
}

static int fill_options(struct cli *cli, const struct build_flags *flags,
			struct build_things *things, struct build_options *options, struct err *err)
{
	const char *platform =
		flags->platform ? flags->platform : getenv("DOCKER_DEFAULT_PLATFORM");
	struct err why = ERR_INIT;

	if (cli_network(cli, flags->network, &options->network, err) < 0 ||
	    cli_isolation(cli, flags->isolation, &options->isolation, err) < 0 ||
	    parse_pull(cli, flags->pull, &options->pull, err) < 0 ||
	    parse_sync(cli, flags->sync, &options->no_sync, err) < 0 ||
	    parse_jobs(cli, flags->jobs, &options->jobs, err) < 0 ||
	    parse_args(cli, &flags->build_args, &options->build_args, err) < 0 ||
	    cli_hosts(cli, &flags->add_hosts, &things->hosts, err) < 0 ||
	    grants_parse(cli, &flags->grants, &things->grants, err) < 0 ||
	    limits_parse(cli, &flags->limits, &things->limits, options, err) < 0 ||
	    caches_parse(cli, &flags->cache_from, &flags->cache_to, &things->caches, err) < 0)
		return -1;
	grants_fill(&things->grants, options);
	caches_fill(&things->caches, options);
	add_epoch(flags->epoch, &options->build_args);
	options->keep_times = !flags->rewrite_timestamp;
	for (size_t i = 0; i < flags->tags.n; i++)
		if (cli_name(cli, flags->tags.v[i], &options->tags, err) < 0)
			return -1;
	for (size_t i = 0; i < flags->labels.n; i++) {
		if (*flags->labels.v[i] == '=' || !*flags->labels.v[i])
			return cli_usage(cli, err, "--label: expected NAME=VALUE, got \"%s\"",
					 flags->labels.v[i]);
	}
	strv_extend(&options->labels, &flags->labels);
	strv_extend(&options->contexts, &flags->contexts);
	if (platform && *platform) {
		if (platform_parse(platform, &things->platform, &why) < 0)
			return cli_usage(cli, err, "--platform: %s", why.message);
		options->platform = &things->platform;
	}
	options->no_cache = flags->no_cache;
	split_stages(&flags->no_cache_filter, &options->no_cache_stages);
	options->offline = flags->offline;
	options->explain = flags->explain;
	options->target = flags->target;
	options->extra_hosts = things->hosts;
	options->transport = cli_transport(cli);
	options->transport.authfile = flags->authfile;
	options->transport.insecure = !flags->tls_verify;
	return 0;
}

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
typedef int build_function(struct cli *cli, const struct build_flags *flags,
			   struct build_things *things, const char *context,
			   struct build_options *options, struct err *err);

static int plan(struct cli *cli, const struct build_flags *flags, struct build_things *things,
		const char *context, struct build_options *options, struct err *err)
{
	cleanup_with(build_report_free) struct build_report *report = NULL;

	if (flags->check || flags->call)
		return cli_usage(cli, err, "--check and --call are options of build, not of plan");
	options->planning = true;
	if (fill_options(cli, flags, things, options, err) < 0 ||
	    cli_store(cli, &options->store, err) < 0 ||
	    build_input_read(cli, options, context, flags->file, NULL, NULL, &things->input, err) <
		    0 ||
	    build_plan(options, &report, err) < 0)
		return -1;
	return explain_print(cli, report, flags->format, true, err);
}

static int build(struct cli *cli, const struct build_flags *flags, struct build_things *things,
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
	status =
		read_and_run(cli, flags, &things->input, context, options, &progress, &result, err);
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

static int call(struct cli *cli, const struct build_flags *flags, struct build_things *things,
		const char *context, const struct check_call_options *call,
		struct build_options *options, struct err *err)
{
	struct progress progress;
	int status;

	if (needs_store(cli, context) && cli_store(cli, &options->store, err) < 0)
		return -1;
	progress_init(&progress, PROGRESS_QUIET);
	status = build_input_read(cli, options, context, flags->file, progress_build, &progress,
				  &things->input, err);
	progress_release(&progress);
	return status < 0 ? -1 : check_call_run(call, options, err);
}

static int build_or_call(struct cli *cli, const struct build_flags *flags,
			 struct build_things *things, const char *context,
			 struct build_options *options, struct err *err)
{
	struct check_call_options asked;
	enum progress_mode mode;

	if (check_call_parse(cli, flags->call, flags->check, flags->format, &asked, err) < 0 ||
	    fill_options(cli, flags, things, options, err) < 0 ||
	    parse_progress(cli, flags, &mode, err) < 0)
		return -1;
	asked.registries = &flags->trusted;
	if (asked.call != CALL_BUILD)
		return call(cli, flags, things, context, &asked, options, err);
	return build(cli, flags, things, context, mode, options, err);
}

static int run_command(struct cli *cli, int argc, char **argv, build_function *function,
		       struct err *err)
{
	struct build_flags flags = { .tls_verify = true, .rewrite_timestamp = true };
	const struct opt opts[] = {
		{ "tag", 't', OPT_LIST, &flags.tags, "NAME[:TAG]",
		  "name of the image (repeatable)" },
		{ "file", 'f', OPT_STRING, &flags.file, "FILE",
		  "the Dockerfile (default: PATH/Dockerfile; - for standard input)" },
		{ "build-arg", 0, OPT_LIST, &flags.build_args, "NAME[=VALUE]",
		  "value of an ARG (repeatable)" },
		{ "build-context", 0, OPT_LIST, &flags.contexts, "NAME=VALUE",
		  "what FROM NAME and --from=NAME mean: a path, docker-image://, ... "
		  "(repeatable)" },
		{ "target", 0, OPT_STRING, &flags.target, "STAGE", "the stage to build" },
		{ "no-cache", 0, OPT_BOOL, &flags.no_cache, NULL, "run every step" },
		{ "no-cache-filter", 0, OPT_LIST, &flags.no_cache_filter, "STAGE",
		  "run every step of a stage (repeatable)" },
		{ "cache-from", 0, OPT_LIST, &flags.cache_from, "NAME | type=TYPE,...",
		  "take results of steps from a shared cache: registry or local (repeatable)" },
		{ "cache-to", 0, OPT_LIST, &flags.cache_to, "type=TYPE,...",
		  "give them to one: registry, local or inline (repeatable)" },
		{ "jobs", 0, OPT_STRING, &flags.jobs, "N",
		  "stages to build at once (default: the number of processors)" },
		{ "explain", 0, OPT_BOOL, &flags.explain, NULL, "say why each step runs" },
		{ "pull", 0, OPT_OPTIONAL, &flags.pull, "WHEN",
		  "fetch bases: always (bare --pull), missing (default), newer or never" },
		{ "offline", 0, OPT_BOOL, &flags.offline, NULL,
		  "an attempt to use the network is an error" },
		{ "sync", 0, OPT_STRING, &flags.sync, "WHEN",
		  "write to the disk before the end: build (default), or none: leave it to the "
		  "system" },
		{ "label", 0, OPT_LIST, &flags.labels, "NAME=VALUE",
		  "label of the image (repeatable)" },
		{ "platform", 0, OPT_STRING, &flags.platform, "OS/ARCH", "platform to build for" },
		{ "network", 0, OPT_STRING, &flags.network, "MODE",
		  "network of RUN: default, host or none" },
		{ "isolation", 0, OPT_STRING, &flags.isolation, "MODE",
		  "of RUN: auto, namespace, or chroot, which is weaker" },
		{ "add-host", 0, OPT_LIST, &flags.add_hosts, "HOST:ADDRESS",
		  "line for /etc/hosts of RUN (repeatable)" },
		{ "secret", 0, OPT_LIST, &flags.grants.secrets, "id=ID[,src=PATH][,env=NAME]",
		  "value for RUN --mount=type=secret (repeatable)" },
		{ "ssh", 0, OPT_LIST, &flags.grants.ssh, "ID[=SOCKET|KEY]",
		  "agent or keys for RUN --mount=type=ssh (repeatable)" },
		{ "allow", 0, OPT_LIST, &flags.grants.allow, "WHAT",
		  "let RUN have network.host or security.insecure (repeatable)" },
		{ "ulimit", 0, OPT_LIST, &flags.grants.ulimits, "TYPE=SOFT[:HARD]",
		  "resource limit of RUN (repeatable)" },
		{ "shm-size", 0, OPT_STRING, &flags.grants.shm_size, "BYTES",
		  "size of RUN's /dev/shm (default: 64m)" },
		{ "source-date-epoch", 0, OPT_STRING, &flags.epoch, "SECONDS",
		  "times of the image (default: $SOURCE_DATE_EPOCH)" },
		{ "rewrite-timestamp", 0, OPT_BOOL, &flags.rewrite_timestamp, NULL,
		  "=false: the epoch leaves the times of files alone" },
		{ "memory", 'm', OPT_STRING, &flags.limits.memory, "BYTES",
		  "memory of each RUN, all its processes together" },
		{ "memory-swap", 0, OPT_STRING, &flags.limits.memory_swap, "BYTES",
		  "memory and swap together (default: twice the memory; -1: any)" },
		{ "cpus", 0, OPT_STRING, &flags.limits.cpus, "NUMBER",
		  "processors that each RUN may keep busy, such as 1.5" },
		{ "cpu-period", 0, OPT_STRING, &flags.limits.cpu_period, "MICROSECONDS",
		  "in which --cpu-quota is counted (default: 100000)" },
		{ "cpu-quota", 0, OPT_STRING, &flags.limits.cpu_quota, "MICROSECONDS",
		  "processor time of each RUN in a period" },
		{ "cpu-shares", 'c', OPT_STRING, &flags.limits.cpu_shares, "NUMBER",
		  "weight against others (default: 1024)" },
		{ "cpuset-cpus", 0, OPT_STRING, &flags.limits.cpuset_cpus, "LIST",
		  "processors that RUN may use, such as 0-2,7" },
		{ "cpuset-mems", 0, OPT_STRING, &flags.limits.cpuset_mems, "LIST",
		  "memory nodes that RUN may use" },
		{ "pids-limit", 0, OPT_STRING, &flags.limits.pids, "NUMBER",
		  "processes and threads of each RUN (-1: any number)" },
		{ "cgroup-parent", 0, OPT_STRING, &flags.limits.cgroup_parent, "PATH",
		  "cgroup below which RUN gets its own" },
		{ "run-timeout", 0, OPT_STRING, &flags.limits.timeout, "DURATION",
		  "time that each RUN may take, such as 90s or 1h30m" },
		{ "security-opt", 0, OPT_LIST, &flags.limits.security, "seccomp=FILE",
		  "system calls of RUN: a profile in docker's form, or unconfined" },
		{ "quiet", 'q', OPT_BOOL, &flags.quiet, NULL,
		  "print the image id and nothing else" },
		{ "iidfile", 0, OPT_STRING, &flags.iidfile, "FILE",
		  "write the image id to a file" },
		{ "progress", 0, OPT_STRING, &flags.progress, "MODE", "auto, plain or quiet" },
		{ "tls-verify", 0, OPT_BOOL, &flags.tls_verify, NULL,
		  "=false: registries may be plain HTTP or have unknown certificates" },
		{ "authfile", 0, OPT_STRING, &flags.authfile, "FILE", "credentials of registries" },
		{ "check", 0, OPT_BOOL, &flags.check, NULL,
		  "check the Dockerfile instead of building" },
		{ "call", 0, OPT_STRING, &flags.call, "METHOD",
		  "check, outline (what can be set) or targets (the stages)" },
		{ "format", 0, OPT_STRING, &flags.format, "FORMAT",
		  "of --check and --call: text, json or sarif" },
		{ "trusted-registry", 0, OPT_LIST, &flags.trusted, "HOST",
		  "where --check lets images come from (repeatable)" },
		{ "rm", 0, OPT_BOOL, &flags.rm, NULL, NULL },
		{ "force-rm", 0, OPT_BOOL, &flags.force_rm, NULL, NULL },
	};
	struct build_options options = { .context_fd = -1 };
	struct build_things things = { .hosts = NULL };
	int status = -1;

	build_input_init(&things.input);
	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) == 0)
		status = function(cli, &flags, &things, argv[1], &options, err);
	strv_release(&options.build_args);
	strv_release(&options.labels);
	strv_release(&options.tags);
	strv_release(&options.no_cache_stages);
	grants_release(&things.grants, &flags.grants);
	limits_release(&things.limits, &flags.limits);
	caches_release(&things.caches);
	strv_release(&options.contexts);
	build_input_release(&things.input);
	free(things.hosts);
	flags_release(&flags);
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
