/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/build_flags.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/size.h"

#define JOBS_MAX 1024

/* --- the tables ------------------------------------------------------------------------------- */

#define OPTIONS_MAX 64

struct option_table {
	struct opt opts[OPTIONS_MAX];
	size_t n;
};

static void add(struct option_table *table, const struct opt *opts, size_t n)
{
	assert(table->n + n <= OPTIONS_MAX);
	memcpy(table->opts + table->n, opts, n * sizeof(*opts));
	table->n += n;
}

/* What is built. */
static void add_image(struct option_table *table, struct build_flags *flags)
{
	const struct opt opts[] = {
		{ "tag", 't', OPT_LIST, &flags->tags, "NAME[:TAG]",
		  "name of the image (repeatable)" },
		{ "file", 'f', OPT_STRING, &flags->file, "FILE",
		  "the Dockerfile (default: PATH/Dockerfile; - for standard input)" },
		{ "build-arg", 0, OPT_LIST, &flags->build_args, "NAME[=VALUE]",
		  "value of an ARG (repeatable)" },
		{ "build-context", 0, OPT_LIST, &flags->contexts, "NAME=VALUE",
		  "what FROM NAME and --from=NAME mean: a path, docker-image://, ... "
		  "(repeatable)" },
		{ "target", 0, OPT_STRING, &flags->target, "STAGE", "the stage to build" },
		{ "label", 0, OPT_LIST, &flags->labels, "NAME=VALUE",
		  "label of the image (repeatable)" },
		{ "platform", 0, OPT_STRING, &flags->platform, "OS/ARCH", "platform to build for" },
		{ "max-dockerfile-size", 0, OPT_STRING, &flags->dockerfile_max, "BYTES",
		  "how large the Dockerfile may be (default: 1m)" },
		{ "source-date-epoch", 0, OPT_STRING, &flags->epoch, "SECONDS",
		  "times of the image (default: $SOURCE_DATE_EPOCH)" },
		{ "rewrite-timestamp", 0, OPT_BOOL, &flags->rewrite_timestamp, NULL,
		  "=false: the epoch leaves the times of files alone" },
	};

	add(table, opts, ARRAY_SIZE(opts));
}

/* What is used again, fetched and kept. */
static void add_reuse(struct option_table *table, struct build_flags *flags)
{
	const struct opt opts[] = {
		{ "no-cache", 0, OPT_BOOL, &flags->no_cache, NULL, "run every step" },
		{ "no-cache-filter", 0, OPT_LIST, &flags->no_cache_filter, "STAGE",
		  "run every step of a stage (repeatable)" },
		{ "cache-from", 0, OPT_LIST, &flags->cache_from, "NAME | type=TYPE,...",
		  "take results of steps from a shared cache: registry or local (repeatable)" },
		{ "cache-to", 0, OPT_LIST, &flags->cache_to, "type=TYPE,...",
		  "give them to one: registry, local or inline (repeatable)" },
		{ "jobs", 0, OPT_STRING, &flags->jobs, "N",
		  "stages to build at once (default: the number of processors)" },
		{ "explain", 0, OPT_BOOL, &flags->explain, NULL, "say why each step runs" },
		{ "pull", 0, OPT_OPTIONAL, &flags->pull, "WHEN",
		  "fetch bases: always (bare --pull), missing (default), newer or never" },
		{ "offline", 0, OPT_BOOL, &flags->offline, NULL,
		  "an attempt to use the network is an error" },
		{ "sync", 0, OPT_STRING, &flags->sync, "WHEN",
		  "write to the disk before the end: build (default), or none: leave it to the "
		  "system" },
	};

	add(table, opts, ARRAY_SIZE(opts));
}

/* What RUN has. */
static void add_run(struct option_table *table, struct build_flags *flags)
{
	const struct opt opts[] = {
		{ "network", 0, OPT_STRING, &flags->network, "MODE",
		  "network of RUN: default, host, private or none" },
		{ "isolation", 0, OPT_STRING, &flags->isolation, "MODE",
		  "of RUN: auto, namespace, or chroot, which is weaker" },
		{ "add-host", 0, OPT_LIST, &flags->add_hosts, "HOST:ADDRESS",
		  "line for /etc/hosts of RUN (repeatable)" },
		{ "secret", 0, OPT_LIST, &flags->grants.secrets, "id=ID[,src=PATH][,env=NAME]",
		  "value for RUN --mount=type=secret (repeatable)" },
		{ "ssh", 0, OPT_LIST, &flags->grants.ssh, "ID[=SOCKET|KEY]",
		  "agent or keys for RUN --mount=type=ssh (repeatable)" },
		{ "allow", 0, OPT_LIST, &flags->grants.allow, "WHAT",
		  "let RUN have network.host or security.insecure (repeatable)" },
		{ "ulimit", 0, OPT_LIST, &flags->grants.ulimits, "TYPE=SOFT[:HARD]",
		  "resource limit of RUN (repeatable)" },
		{ "shm-size", 0, OPT_STRING, &flags->grants.shm_size, "BYTES",
		  "size of RUN's /dev/shm (default: 64m)" },
	};

	add(table, opts, ARRAY_SIZE(opts));
}

/* What RUN may use. */
static void add_limits(struct option_table *table, struct build_flags *flags)
{
	const struct opt opts[] = {
		{ "memory", 'm', OPT_STRING, &flags->limits.memory, "BYTES",
		  "memory of each RUN, all its processes together" },
		{ "memory-swap", 0, OPT_STRING, &flags->limits.memory_swap, "BYTES",
		  "memory and swap together (default: twice the memory; -1: any)" },
		{ "cpus", 0, OPT_STRING, &flags->limits.cpus, "NUMBER",
		  "processors that each RUN may keep busy, such as 1.5" },
		{ "cpu-period", 0, OPT_STRING, &flags->limits.cpu_period, "MICROSECONDS",
		  "in which --cpu-quota is counted (default: 100000)" },
		{ "cpu-quota", 0, OPT_STRING, &flags->limits.cpu_quota, "MICROSECONDS",
		  "processor time of each RUN in a period" },
		{ "cpu-shares", 'c', OPT_STRING, &flags->limits.cpu_shares, "NUMBER",
		  "weight against others (default: 1024)" },
		{ "cpuset-cpus", 0, OPT_STRING, &flags->limits.cpuset_cpus, "LIST",
		  "processors that RUN may use, such as 0-2,7" },
		{ "cpuset-mems", 0, OPT_STRING, &flags->limits.cpuset_mems, "LIST",
		  "memory nodes that RUN may use" },
		{ "pids-limit", 0, OPT_STRING, &flags->limits.pids, "NUMBER",
		  "processes and threads of each RUN (-1: any number)" },
		{ "cgroup-parent", 0, OPT_STRING, &flags->limits.cgroup_parent, "PATH",
		  "cgroup below which RUN gets its own" },
		{ "run-timeout", 0, OPT_STRING, &flags->limits.timeout, "DURATION",
		  "time that each RUN may take, such as 90s or 1h30m" },
		{ "security-opt", 0, OPT_LIST, &flags->limits.security, "seccomp=FILE",
		  "system calls of RUN: a profile in docker's form, or unconfined" },
	};

	add(table, opts, ARRAY_SIZE(opts));
}

/* What is said and to whom; checks instead of a build; what scripts give to docker. */
static void add_output(struct option_table *table, struct build_flags *flags)
{
	const struct opt opts[] = {
		{ "quiet", 'q', OPT_BOOL, &flags->quiet, NULL,
		  "print the image id and nothing else" },
		{ "iidfile", 0, OPT_STRING, &flags->iidfile, "FILE",
		  "write the image id to a file" },
		{ "progress", 0, OPT_STRING, &flags->progress, "MODE", "auto, plain or quiet" },
		{ "tls-verify", 0, OPT_BOOL, &flags->tls_verify, NULL,
		  "=false: registries may be plain HTTP or have unknown certificates" },
		{ "authfile", 0, OPT_STRING, &flags->authfile, "FILE",
		  "credentials of registries" },
		{ "check", 0, OPT_BOOL, &flags->check, NULL,
		  "check the Dockerfile instead of building" },
		{ "call", 0, OPT_STRING, &flags->call, "METHOD",
		  "check, outline (what can be set) or targets (the stages)" },
		{ "format", 0, OPT_STRING, &flags->format, "FORMAT",
		  "of --check and --call: text, json or sarif" },
		{ "trusted-registry", 0, OPT_LIST, &flags->trusted, "HOST",
		  "where --check lets images come from (repeatable)" },
		{ "rm", 0, OPT_BOOL, &flags->rm, NULL, NULL },
		{ "force-rm", 0, OPT_BOOL, &flags->force_rm, NULL, NULL },
	};

	add(table, opts, ARRAY_SIZE(opts));
}

int build_flags_parse(struct cli *cli, int *argc, char **argv, struct build_flags *flags,
		      struct err *err)
{
	struct option_table table = { .n = 0 };

	*flags = (struct build_flags){ .tls_verify = true, .rewrite_timestamp = true };
	add_image(&table, flags);
	add_reuse(&table, flags);
	add_run(&table, flags);
	add_limits(&table, flags);
	add_output(&table, flags);
	return opts_parse(cli, table.opts, table.n, argc, argv, err);
}

/* --- one by one ------------------------------------------------------------------------------- */

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

static int parse_jobs(struct cli *cli, const char *text, unsigned *ret_jobs, struct err *err)
{
	uint64_t jobs;

	*ret_jobs = pool_processors();
	if (!text)
		return 0;
	if (text[strspn(text, "0123456789")] || size_parse(text, &jobs) < 0 || !jobs ||
	    jobs > JOBS_MAX)
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

static int parse_platform(struct cli *cli, const char *given, struct platform *platform,
			  struct build_options *options, struct err *err)
{
	const char *text = given ? given : getenv("DOCKER_DEFAULT_PLATFORM");
	struct err why = ERR_INIT;

	if (!text || !*text)
		return 0;
	if (platform_parse(text, platform, &why) < 0)
		return cli_usage(cli, err, "--platform: %s", why.message);
	options->platform = platform;
	return 0;
}

static int parse_tags(struct cli *cli, const struct strv *given, struct strv *ret_tags,
		      struct err *err)
{
	for (size_t i = 0; i < given->n; i++)
		if (cli_name(cli, given->v[i], ret_tags, err) < 0)
			return -1;
	return 0;
}

static int parse_labels(struct cli *cli, const struct strv *given, struct strv *ret_labels,
			struct err *err)
{
	for (size_t i = 0; i < given->n; i++)
		if (*given->v[i] == '=' || !*given->v[i])
			return cli_usage(cli, err, "--label: expected NAME=VALUE, got \"%s\"",
					 given->v[i]);
	strv_extend(ret_labels, given);
	return 0;
}

/* What cannot be wrong. */
static void fill_plain(struct cli *cli, struct build_flags *flags, struct build_options *options)
{
	grants_fill(&flags->made.grants, options);
	caches_fill(&flags->made.caches, options);
	add_epoch(flags->epoch, &options->build_args);
	strv_extend(&options->contexts, &flags->contexts);
	split_stages(&flags->no_cache_filter, &options->no_cache_stages);
	options->keep_times = !flags->rewrite_timestamp;
	options->no_cache = flags->no_cache;
	options->offline = flags->offline;
	options->explain = flags->explain;
	options->target = flags->target;
	options->extra_hosts = flags->made.hosts;
	options->transport = cli_transport(cli);
	options->transport.authfile = flags->authfile;
	options->transport.insecure = !flags->tls_verify;
}

int build_flags_fill(struct cli *cli, struct build_flags *flags, struct build_options *options,
		     struct err *err)
{
	if (cli_network(cli, flags->network, &options->network, err) < 0 ||
	    cli_isolation(cli, flags->isolation, &options->isolation, err) < 0 ||
	    parse_pull(cli, flags->pull, &options->pull, err) < 0 ||
	    parse_sync(cli, flags->sync, &options->no_sync, err) < 0 ||
	    parse_jobs(cli, flags->jobs, &options->jobs, err) < 0 ||
	    cli_dockerfile_max(cli, flags->dockerfile_max, &options->dockerfile_max, err) < 0 ||
	    parse_args(cli, &flags->build_args, &options->build_args, err) < 0 ||
	    cli_hosts(cli, &flags->add_hosts, &flags->made.hosts, err) < 0 ||
	    grants_parse(cli, &flags->grants, &flags->made.grants, err) < 0 ||
	    limits_parse(cli, &flags->limits, &flags->made.limits, options, err) < 0 ||
	    caches_parse(cli, &flags->cache_from, &flags->cache_to, &flags->made.caches, err) < 0 ||
	    parse_tags(cli, &flags->tags, &options->tags, err) < 0 ||
	    parse_labels(cli, &flags->labels, &options->labels, err) < 0 ||
	    parse_platform(cli, flags->platform, &flags->made.platform, options, err) < 0)
		return -1;
	fill_plain(cli, flags, options);
	return 0;
}

int build_flags_progress(struct cli *cli, const struct build_flags *flags,
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

void build_flags_release(struct build_flags *flags, struct build_options *options)
{
	struct strv *const lists[] = {
		&flags->tags,	    &flags->build_args,	       &flags->labels,
		&flags->add_hosts,  &flags->contexts,	       &flags->trusted,
		&flags->cache_from, &flags->cache_to,	       &flags->no_cache_filter,
		&options->tags,	    &options->build_args,      &options->labels,
		&options->contexts, &options->no_cache_stages,
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_release(lists[i]);
	grants_release(&flags->made.grants, &flags->grants);
	limits_release(&flags->made.limits, &flags->limits);
	caches_release(&flags->made.caches);
	free(flags->made.hosts);
}
