/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line lets RUN use: memory, processors, processes, time and system calls. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/size.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"

#define MEMORY_LEAST (6 << 20) /* docker's */
#define PERIOD	     100000    /* of --cpus, in microseconds */
#define QUOTA_LEAST  1000      /* the kernel's */

static bool is_none(const char *text)
{
	return !strcmp(text, "-1");
}

static int parse_memory(struct cli *cli, const struct limit_flags *flags,
			struct cgroup_limits *limits, struct err *err)
{
	if (flags->memory &&
	    (size_parse(flags->memory, &limits->memory) < 0 || limits->memory > INT64_MAX))
		return cli_usage(cli, err, "--memory: not a size: \"%s\"", flags->memory);
	if (limits->memory && limits->memory < MEMORY_LEAST)
		return cli_usage(cli, err, "--memory: at least 6m is needed");
	if (!flags->memory_swap)
		return 0;
	if (!limits->memory)
		return cli_usage(cli, err, "--memory-swap needs --memory");
	if (is_none(flags->memory_swap))
		limits->memory_swap = UINT64_MAX;
	else if (size_parse(flags->memory_swap, &limits->memory_swap) < 0 ||
		 limits->memory_swap > INT64_MAX)
		return cli_usage(cli, err, "--memory-swap: not a size: \"%s\"", flags->memory_swap);
	if (limits->memory_swap && limits->memory_swap < limits->memory)
		return cli_usage(cli, err,
				 "--memory-swap is memory and swap together: it cannot be less "
				 "than --memory");
	return 0;
}

static int parse_count(struct cli *cli, const char *name, const char *text, uint64_t least,
		       uint64_t most, uint64_t *ret_count, struct err *err)
{
	if (!text)
		return 0;
	if (text[strspn(text, "0123456789")] || size_parse(text, ret_count) < 0 ||
	    (*ret_count && (*ret_count < least || *ret_count > most)))
		return cli_usage(cli, err,
				 "--%s: expected a number from %" PRIu64 " to %" PRIu64
				 ", got \"%s\"",
				 name, least, most, text);
	return 0;
}

/* "1.5" processors, as microseconds in each period. */
static int parse_cpus(struct cli *cli, const char *text, uint64_t *ret_quota, struct err *err)
{
	size_t whole = strspn(text, "0123456789");
	const char *fraction = text[whole] == '.' ? text + whole + 1 : text + whole;
	size_t n = strspn(fraction, "0123456789");
	uint64_t quota = 0, unit = PERIOD;

	if (fraction[n] || whole + n == 0 || whole > 6)
		return cli_usage(cli, err, "--cpus: expected a number such as 1.5, got \"%s\"",
				 text);
	for (size_t i = 0; i < whole; i++)
		quota = quota * 10 + (uint64_t)(text[i] - '0') * PERIOD;
	for (size_t i = 0; i < n && unit; i++)
		quota += (uint64_t)(fraction[i] - '0') * (unit /= 10);
	if (quota && quota < QUOTA_LEAST)
		return cli_usage(cli, err, "--cpus: at least 0.01 is needed");
	*ret_quota = quota;
	return 0;
}

static int parse_cpu(struct cli *cli, const struct limit_flags *flags, struct cgroup_limits *limits,
		     struct err *err)
{
	if (flags->cpus && (flags->cpu_period || flags->cpu_quota))
		return cli_usage(cli, err,
				 "--cpus is --cpu-quota and --cpu-period in one: give "
				 "either");
	if (flags->cpus && parse_cpus(cli, flags->cpus, &limits->cpu_quota, err) < 0)
		return -1;
	if (flags->cpu_quota && is_none(flags->cpu_quota))
		limits->cpu_quota = 0;
	else if (parse_count(cli, "cpu-quota", flags->cpu_quota, QUOTA_LEAST, UINT32_MAX,
			     &limits->cpu_quota, err) < 0)
		return -1;
	if (parse_count(cli, "cpu-period", flags->cpu_period, QUOTA_LEAST, 1000000,
			&limits->cpu_period, err) < 0 ||
	    parse_count(cli, "cpu-shares", flags->cpu_shares, 2, 262144, &limits->cpu_shares, err) <
		    0)
		return -1;
	if (flags->cpuset_cpus && !cgroup_list_valid(flags->cpuset_cpus))
		return cli_usage(cli, err,
				 "--cpuset-cpus: expected a list such as 0-2,7, got \"%s\"",
				 flags->cpuset_cpus);
	if (flags->cpuset_mems && !cgroup_list_valid(flags->cpuset_mems))
		return cli_usage(cli, err, "--cpuset-mems: expected a list such as 0-1, got \"%s\"",
				 flags->cpuset_mems);
	limits->cpuset_cpus = flags->cpuset_cpus;
	limits->cpuset_mems = flags->cpuset_mems;
	return 0;
}

static int parse_pids(struct cli *cli, const char *text, uint64_t *ret_pids, struct err *err)
{
	if (!text)
		return 0;
	if (is_none(text) || !strcmp(text, "0"))
		*ret_pids = UINT64_MAX;
	else
		return parse_count(cli, "pids-limit", text, 1, 4194304, ret_pids, err);
	return 0;
}

static int parse_timeout(struct cli *cli, const char *text, uint64_t *ret_ns, struct err *err)
{
	struct err why = ERR_INIT;
	int64_t ns;

	if (!text)
		return 0;
	if (duration_parse(text, &ns, &why) < 0 || ns <= 0)
		return cli_usage(cli, err,
				 "--run-timeout: expected a duration such as 90s or 1h30m, "
				 "got \"%s\"",
				 text);
	*ret_ns = (uint64_t)ns;
	return 0;
}

static int read_profile(const char *path, struct limits *limits, struct err *err)
{
	cleanup_buf struct buf text;

	buf_init(&text, SANDBOX_PROFILE_MAX);
	if (file_read_at(AT_FDCWD, path, &text, err) < 0)
		return err_wrap(err, "--security-opt seccomp");
	sandbox_profile_free(limits->profile);
	limits->profile = NULL;
	limits->unconfined = false;
	if (sandbox_profile_parse(path, text.data, text.len, &limits->profile, err) < 0)
		return err_wrap(err, "--security-opt seccomp");
	return 0;
}

/* seccomp=FILE, with a colon too, as docker once had it. */
static int parse_security(struct cli *cli, const char *text, struct limits *limits, struct err *err)
{
	const char *value = text + strcspn(text, "=:");

	if (strncmp(text, "seccomp", (size_t)(value - text)) || value - text != 7 || !value[0] ||
	    !value[1])
		return cli_usage(cli, err,
				 "--security-opt: expected seccomp=FILE or seccomp=unconfined, got "
				 "\"%s\"",
				 text);
	if (!strcmp(value + 1, "unconfined")) {
		limits->unconfined = true;
		return 0;
	}
	return read_profile(value + 1, limits, err);
}

int limits_parse(struct cli *cli, const struct limit_flags *flags, struct limits *limits,
		 struct build_options *options, struct err *err)
{
	struct cgroup_limits *cgroup = &options->cgroup_limits;

	if (parse_memory(cli, flags, cgroup, err) < 0 || parse_cpu(cli, flags, cgroup, err) < 0 ||
	    parse_pids(cli, flags->pids, &cgroup->pids, err) < 0 ||
	    parse_timeout(cli, flags->timeout, &options->run_timeout_ns, err) < 0)
		return -1;
	if (flags->cgroup_parent && !*flags->cgroup_parent)
		return cli_usage(cli, err, "--cgroup-parent: the path is empty");
	options->cgroup_parent = flags->cgroup_parent;
	for (size_t i = 0; i < flags->security.n; i++)
		if (parse_security(cli, flags->security.v[i], limits, err) < 0)
			return -1;
	options->seccomp = limits->unconfined ? NULL : limits->profile;
	options->seccomp_unconfined = limits->unconfined;
	return 0;
}

void limits_release(struct limits *limits, struct limit_flags *flags)
{
	sandbox_profile_free(limits->profile);
	strv_release(&flags->security);
}
