/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refuse NAME[,NAME]... COMMAND...: run a command under a filter that answers ENOSYS to these
 * system calls, or EPERM to those with a "!" before them, as kernels and container policies do
 * that know less. As root.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (argc < 3 || !filter)
		return 2;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* newuidmap is setuid */
	for (char *name = strtok(argv[1], ","); name; name = strtok(NULL, ",")) {
		int nr = seccomp_syscall_resolve_name(name + (*name == '!'));
		uint32_t answer = SCMP_ACT_ERRNO(*name == '!' ? EPERM : ENOSYS);

		if (nr < 0 || seccomp_rule_add(filter, answer, nr, 0) < 0) {
			fprintf(stderr, "refuse: %s?\n", name);
			return 2;
		}
	}
	if (seccomp_load(filter) < 0) {
		perror("refuse");
		return 2;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
