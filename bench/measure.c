/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure COMMAND...: run it, then print on descriptor 3 its wall time in milliseconds, the peak
 * memory in KiB of the largest of it and the processes it waited for, and its own. Exits as the
 * command does. A program of its own because a shell's fork costs as long as a cached build, and
 * because a child's peak starts at the size of what started it: this one is tiny.
 *
 * A process's own peak is gone when it can be waited for, so that it is traced: it stops once after
 * exec and once when it is about to end. Nothing it starts is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* VmHWM of a process that has not ended. */
static long own_peak(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* Wait for the end, letting go on whenever it stops. */
static int wait_for(pid_t pid, int *ret_status, struct rusage *ret_usage, long *ret_own)
{
	for (int sig;;) {
		if (wait4(pid, ret_status, __WALL, ret_usage) < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (!WIFSTOPPED(*ret_status))
			return 0;
		sig = WSTOPSIG(*ret_status);
		if (*ret_status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			*ret_own = own_peak(pid);
		if (sig == SIGTRAP) {
			ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT);
			sig = 0;
		}
		ptrace(PTRACE_CONT, pid, 0, sig);
	}
}

int main(int argc, char **argv)
{
	struct timespec start, end;
	struct rusage usage;
	long own = 0;
	int status;
	pid_t pid;

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (pid < 0)
		return 126;
	if (wait_for(pid, &status, &usage, &own) < 0)
		return 126;
	clock_gettime(CLOCK_MONOTONIC, &end);
	dprintf(3, "%.3f %ld %ld\n",
		(double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6,
		usage.ru_maxrss, own);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
