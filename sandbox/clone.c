/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clone3(), or clone() where a seccomp policy refuses calls whose flags it cannot see. */
#include "sandbox/internal.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ENOSYS and EPERM are what policies answer, the others old kernels that know fewer fields. */
static bool is_refused(int error)
{
	return error == ENOSYS || error == EPERM || error == EINVAL || error == E2BIG;
}

pid_t clone_into(uint64_t flags, int *pidfd, int cgroup_fd, bool *ret_joined)
{
	struct clone_args args = {
		.flags = flags | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
	};
	long pid;

	*ret_joined = true;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid >= 0 || !is_refused(errno))
		return (pid_t)pid;
	*ret_joined = cgroup_fd < 0;
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, pidfd, NULL, NULL);
}
