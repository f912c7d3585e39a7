/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure COMMAND...: run it, then print its wall time in milliseconds and the peak memory in KiB of
 * the largest process it waited for, on descriptor 3. Exits as the command does. A program of its
 * own because a shell's fork costs as long as a cached build, and because a child's peak starts at
 * the size of what started it: this one is tiny.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec start, end;
	struct rusage usage;
	int status;
	pid_t pid;

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (pid < 0)
		return 126;
	while (wait4(pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			return 126;
	clock_gettime(CLOCK_MONOTONIC, &end);
	dprintf(3, "%.3f %ld\n",
		(double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6,
		usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
