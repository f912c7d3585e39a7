/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

/*
 * sandbox/cgroup.h: limits on all processes of a step together, by a control group (v2) of its
 * own. Where the groups of steps are made is found once for a build.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct err;

/* Zero everywhere is: nothing is asked for. */
struct cgroup_limits {
	uint64_t memory;	 /* bytes */
	uint64_t memory_swap;	 /* bytes of memory and swap together, at least `memory`; 0: twice
				  * the memory, UINT64_MAX: any amount of swap */
	uint64_t cpu_quota;	 /* microseconds of processor time in each period */
	uint64_t cpu_period;	 /* microseconds; 0: 100000 */
	uint64_t cpu_shares;	 /* 2 to 262144; 1024 is what others have */
	const char *cpuset_cpus; /* "0-2,7"; NULL: all. The caller keeps the texts */
	const char *cpuset_mems;
	uint64_t pids; /* processes and threads; 0: CGROUP_PIDS_DEFAULT where that can be had;
			* UINT64_MAX: any number */
};

#define CGROUP_PIDS_DEFAULT 8192

struct cgroup;

/*
 * Find where steps can have groups with these limits: below `parent` (a path in the hierarchy,
 * made when it is not there), or when that is NULL below the group of this process or one of those
 * above it. What earlier processes left there when they were killed is removed. When the
 * process's own group is writable and it is alone there, it moves into one below, "supervisor",
 * until cgroup_free().
 *
 * A limit that was asked for and cannot be had is ERR_UNSUPPORTED or ERR_DENIED with the reason
 * and the fix. When nothing is asked for it never fails: then the default limit of processes is
 * set where that changes nothing for others, and nothing elsewhere.
 */
int cgroup_open(const char *parent, const struct cgroup_limits *limits, struct cgroup **ret_cgroup,
		struct err *err);
void cgroup_free(struct cgroup *cgroup);
DEFINE_CLEANUP(struct cgroup *, cgroup_free)

/* "0-3,8": what cpuset.cpus and cpuset.mems take. */
bool cgroup_list_valid(const char *text);

#endif
