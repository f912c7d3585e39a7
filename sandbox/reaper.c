/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What takes the place of pid 1 where there are no namespaces: a process that is the reaper of all
 * its descendants, and does not end before they have. It runs under the rules of init.c.
 *
 * 1. Orphans come to the nearest reaper above them, so who double-forks becomes our child.
 * 2. All are killed when the step's process has ended, when the caller gives up (SIGQUIT), and
 *    when it dies (the same signal, by PR_SET_PDEATHSIG). SIGKILL would leave them behind.
 * 3. With Landlock's scopes two domains are nested: we are in the outer, the step in the inner. A
 *    step cannot signal us; and kill(-1) from here reaches just these two domains, in one go, so
 *    no fork escapes it. Without scopes children are looked for in /proc, generation by generation.
 * 4. That the scope holds is tried on the caller before any step begins: a kill(-1) without it
 *    would end every process that we may signal, for root the whole machine.
 */
#include "sandbox/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

/* The caller waits for us, so it is there, and outside. */
static bool signals_stay_inside(void)
{
	return kill(getppid(), 0) < 0 && errno == EPERM;
}

int reaper_become(int abi, struct init_report *report)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return init_fail_os(report, "become the reaper of the step", NULL);
	/* without CAP_SYS_ADMIN neither Landlock nor seccomp is to be had otherwise */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_scope_outer(abi) < 0)
		return init_fail_os(report, "set up Landlock", NULL);
	if (abi >= LANDLOCK_SCOPES && !signals_stay_inside())
		return init_fail(report, ERR_UNSUPPORTED,
				 "Landlock does not keep the step's signals inside", NULL);
	return 0;
}

/* The parent of a process: the second field after the name, which may hold anything but ends with
 * the last ')'. 0 when it is gone. */
static pid_t parent_of(int proc_fd, const char *pid)
{
	char path[32], text[512];
	size_t len = strlen(pid);
	cleanup_fd int fd = -1;
	const char *at;
	pid_t parent = 0;
	ssize_t got;

	if (len + sizeof("/stat") > sizeof(path))
		return 0;
	memcpy(path, pid, len);
	memcpy(path + len, "/stat", sizeof("/stat"));
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	at = strrchr(text, ')');
	if (!at || strlen(at) < 5)
		return 0;
	for (at += 4; *at >= '0' && *at <= '9'; at++)
		parent = parent * 10 + (*at - '0');
	return parent;
}

static pid_t pid_of(const char *name)
{
	pid_t pid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		pid = pid * 10 + (*name - '0');
	return *name ? 0 : pid;
}

static void kill_children(int proc_fd)
{
	_Alignas(struct dirent64) char block[8192];
	pid_t self = getpid();
	ssize_t got;

	lseek(proc_fd, 0, SEEK_SET);
	while ((got = getdents64(proc_fd, block, sizeof(block))) > 0) {
		const struct dirent64 *item;

		for (ssize_t at = 0; at < got; at += item->d_reclen) {
			item = (const struct dirent64 *)(block + at);
			if (pid_of(item->d_name) > 0 && parent_of(proc_fd, item->d_name) == self)
				kill(pid_of(item->d_name), SIGKILL);
		}
	}
}

/* Either way all processes of the machine are gone through: not once for each that dies. */
void reaper_end_all(int abi, int proc_fd)
{
	for (;;) {
		if (abi >= LANDLOCK_SCOPES)
			kill(-1, SIGKILL);
		else if (proc_fd >= 0)
			kill_children(proc_fd);
		else
			return; /* neither: said before the step began */
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
