/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The group of one step: made with its limits, asked what it had to refuse, killed and removed. */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "sandbox/cgroup.h"

#define PERIOD_DEFAULT 100000
#define REMOVE_TRIES   500 /* of a millisecond each */
#define MAKE_TRIES     100

int cgroup_write(int dir_fd, const char *name, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

/* A dead process is in its group until it has been waited for. */
void cgroup_remove(int dir_fd, const char *name)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			return;
		nanosleep(&pause, NULL);
	}
}

/* --- limits --------------------------------------------------------------------------------- */

static int set(int fd, const char *file, const char *value, struct err *err)
{
	if (cgroup_write(fd, file, value) < 0)
		return err_os(err, "set %s of a cgroup to %s", file, value);
	return 0;
}

static int set_number(int fd, const char *file, uint64_t value, struct err *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return set(fd, file, value == UINT64_MAX ? "max" : text, err);
}

/* Without swap in the kernel there is nothing to limit unless somebody asks for it. */
static int set_swap(int fd, const struct cgroup_limits *limits, struct err *err)
{
	uint64_t swap = limits->memory;

	if (limits->memory_swap)
		swap = limits->memory_swap == UINT64_MAX ? UINT64_MAX
							 : limits->memory_swap - limits->memory;
	else if (faccessat(fd, "memory.swap.max", F_OK, 0) < 0)
		return 0;
	return set_number(fd, "memory.swap.max", swap, err);
}

static int set_memory(int fd, const struct cgroup_limits *limits, struct err *err)
{
	if (!limits->memory)
		return 0;
	/* half a step is of no use: the group dies together */
	if (set_number(fd, "memory.max", limits->memory, err) < 0 ||
	    set_swap(fd, limits, err) < 0 || set(fd, "memory.oom.group", "1", err) < 0)
		return -1;
	return 0;
}

static int set_cpu(int fd, const struct cgroup_limits *limits, struct err *err)
{
	uint64_t period = limits->cpu_period ? limits->cpu_period : PERIOD_DEFAULT;
	char text[48];

	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, limits->cpu_quota, period);
	if (limits->cpu_quota && set(fd, "cpu.max", text, err) < 0)
		return -1;
	/* 2..262144 of v1 is 1..10000 of v2, by runc's line */
	if (limits->cpu_shares &&
	    set_number(fd, "cpu.weight", 1 + (limits->cpu_shares - 2) * 9999 / 262142, err) < 0)
		return -1;
	if (limits->cpuset_cpus && set(fd, "cpuset.cpus", limits->cpuset_cpus, err) < 0)
		return -1;
	if (limits->cpuset_mems && set(fd, "cpuset.mems", limits->cpuset_mems, err) < 0)
		return -1;
	return 0;
}

static int set_limits(const struct cgroup *cgroup, int fd, struct err *err)
{
	uint64_t pids = cgroup->limits.pids ? cgroup->limits.pids : CGROUP_PIDS_DEFAULT;

	if (set_memory(fd, &cgroup->limits, err) < 0 || set_cpu(fd, &cgroup->limits, err) < 0)
		return -1;
	return cgroup->limits_pids ? set_number(fd, "pids.max", pids, err) : 0;
}

/* --- the group ------------------------------------------------------------------------------ */

/* Made and locked. Somebody who tidies up may have had it between the two: then it is gone. -1 with
 * errno, and nothing is left. */
static int make(int dir_fd, struct cgroup_step *step)
{
	for (int i = 0; i < MAKE_TRIES; i++) {
		char random[FILE_RANDOM_MAX];
		struct stat st;
		int fd, why;

		snprintf(step->name, sizeof(step->name), CGROUP_PREFIX "%s",
			 file_random_name(random));
		if (mkdirat(dir_fd, step->name, 0755) < 0)
			return -1;
		fd = openat(dir_fd, step->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX) == 0 &&
		    fstatat(dir_fd, step->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return fd;
		why = errno;
		file_close_at(&fd);
		unlinkat(dir_fd, step->name, AT_REMOVEDIR);
		if (why != ENOENT && why != EINTR) {
			errno = why;
			return -1;
		}
	}
	errno = EBUSY;
	return -1;
}

int cgroup_step_start(const struct cgroup *cgroup, struct cgroup_step *step, struct err *err)
{
	struct cgroup_events ignored;

	if (cgroup->dir_fd < 0)
		return 0;
	step->fd = make(cgroup->dir_fd, step);
	if (step->fd < 0)
		return err_os(err, "make a cgroup");
	step->dir_fd = cgroup->dir_fd;
	if (set_limits(cgroup, step->fd, err) == 0)
		return 0;
	cgroup_step_end(step, &ignored);
	return -1;
}

int cgroup_step_join(int fd)
{
	return cgroup_write(fd, "cgroup.procs", "0");
}

/* Whether a file of lines "NAME COUNT" counts any of these. */
static bool has_event(int fd, const char *file, const char *name)
{
	cleanup_buf struct buf text;
	struct err ignored = ERR_INIT;
	const char *at;

	buf_init(&text, 4096);
	buf_addstr(&text, "\n");
	if (file_read_at(fd, file, &text, &ignored) < 0)
		return false;
	at = strstr(text.data, name);
	return at && at[strlen(name)] != '0';
}

void cgroup_step_end(struct cgroup_step *step, struct cgroup_events *ret_events)
{
	*ret_events = (struct cgroup_events){ 0 };
	if (step->fd < 0)
		return;
	ret_events->out_of_memory = has_event(step->fd, "memory.events", "\noom_kill ");
	ret_events->pids_refused = has_event(step->fd, "pids.events", "\nmax ");
	(void)cgroup_write(step->fd, "cgroup.kill", "1");
	cgroup_remove(step->dir_fd, step->name);
	close(steal_fd(&step->fd));
}
