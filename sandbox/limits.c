/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resource limits: those that every step has, so that a build does not depend on the shell it was
 * started from, and over them what the caller asks for (docker's --ulimit).
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "sandbox/sandbox.h"

#define FILES_SOFT 1024
#define FILES_HARD 524288

static const struct {
	const char *name;
	int resource;
} known[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

/* --- --ulimit ------------------------------------------------------------------------------- */

static int parse_number(const char **text, uint64_t *ret_number)
{
	char *end;

	if (!strncmp(*text, "-1", 2)) {
		*ret_number = UINT64_MAX;
		*text += 2;
		return 0;
	}
	if (**text < '0' || **text > '9')
		return -1;
	errno = 0;
	*ret_number = strtoull(*text, &end, 10);
	*text = end;
	return errno ? -1 : 0;
}

int sandbox_limit_parse(const char *text, struct sandbox_limit *ret_limit, struct err *err)
{
	size_t len = strcspn(text, "="), i = 0;
	struct sandbox_limit limit = { 0 };
	const char *at = text + len + 1;

	if (!text[len])
		return err_set(err, ERR_INVALID, "expected TYPE=SOFT[:HARD], got \"%s\"", text);
	while (i < ARRAY_SIZE(known) &&
	       (strlen(known[i].name) != len || strncmp(known[i].name, text, len)))
		i++;
	if (i == ARRAY_SIZE(known))
		return err_set(err, ERR_INVALID, "unknown type \"%.*s\"", (int)len, text);
	limit.resource = known[i].resource;
	limit.name = known[i].name;
	if (parse_number(&at, &limit.soft) < 0)
		return err_set(err, ERR_INVALID, "expected TYPE=SOFT[:HARD], got \"%s\"", text);
	limit.hard = limit.soft;
	if (*at == ':') {
		at++;
		if (parse_number(&at, &limit.hard) < 0)
			return err_set(err, ERR_INVALID, "bad hard limit in \"%s\"", text);
	}
	if (*at)
		return err_set(err, ERR_INVALID, "expected TYPE=SOFT[:HARD], got \"%s\"", text);
	if (limit.soft > limit.hard)
		return err_set(err, ERR_INVALID, "\"%s\": the soft limit is above the hard one",
			       text);
	*ret_limit = limit;
	return 0;
}

/* --- in the child --------------------------------------------------------------------------- */

static rlim_t limit_value(uint64_t value)
{
	return value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
}

static bool is_asked_for(const struct sandbox_spec *spec, int resource)
{
	for (size_t i = 0; i < spec->n_limits; i++)
		if (spec->limits[i].resource == resource)
			return true;
	return false;
}

static int set_files(struct init_report *report)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return init_fail_os(report, "read resource limits", NULL);
	if (files.rlim_max > FILES_HARD)
		files.rlim_max = FILES_HARD;
	files.rlim_cur = files.rlim_max < FILES_SOFT ? files.rlim_max : FILES_SOFT;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return init_fail_os(report, "set resource limits", NULL);
	return 0;
}

/* Against fork bombs: of a user's processes the kernel counts those in his user namespace. */
static int set_processes(struct init_report *report)
{
	struct rlimit processes;

	if (getrlimit(RLIMIT_NPROC, &processes) < 0)
		return init_fail_os(report, "read resource limits", NULL);
	if (processes.rlim_max > LIMITS_PROCESSES)
		processes.rlim_max = LIMITS_PROCESSES;
	if (processes.rlim_cur > processes.rlim_max)
		processes.rlim_cur = processes.rlim_max;
	if (setrlimit(RLIMIT_NPROC, &processes) < 0)
		return init_fail_os(report, "set resource limits", NULL);
	return 0;
}

int limits_set(const struct sandbox_spec *spec, bool limit_processes, struct init_report *report)
{
	const struct rlimit no_core = { 0, 0 };

	for (size_t i = 0; i < spec->n_limits; i++) {
		const struct sandbox_limit *limit = &spec->limits[i];
		struct rlimit value = { limit_value(limit->soft), limit_value(limit->hard) };

		if (setrlimit(limit->resource, &value) < 0)
			return init_fail_os(
				report, "raise beyond this user's own hard limit:", limit->name);
	}
	if (!is_asked_for(spec, RLIMIT_NOFILE) && set_files(report) < 0)
		return -1;
	if (!is_asked_for(spec, RLIMIT_CORE) && setrlimit(RLIMIT_CORE, &no_core) < 0)
		return init_fail_os(report, "set resource limits", NULL);
	if (limit_processes && !is_asked_for(spec, RLIMIT_NPROC))
		return set_processes(report);
	return 0;
}
