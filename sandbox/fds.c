/* SPDX-License-Identifier: GPL-2.0-or-later */
/* close_range() (Linux 5.9; on exec 5.11), or the same one by one where it is refused. */
#include "sandbox/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <unistd.h>

/* Past the last descriptor that there can be. */
static int end_of_fds(void)
{
	struct rlimit limit = { .rlim_cur = 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < FDS_MAX ? (int)limit.rlim_cur : FDS_MAX;
}

void fds_close_range(int first, int last)
{
	if (first > last || close_range((unsigned)first, (unsigned)last, 0) == 0)
		return;
	for (int fd = first, end = end_of_fds(); fd <= last && fd < end; fd++)
		close(fd);
}

void fds_close(int first)
{
	fds_close_range(first, INT_MAX);
}

void fds_close_on_exec(int first)
{
	if (close_range((unsigned)first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	for (int fd = first, end = end_of_fds(); fd < end; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}
