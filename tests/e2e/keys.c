/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keys add COMMAND...: run a command with a session keyring that holds a key.
 * keys find: whether the session keyring leads to that key.
 */
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME "cbuild-test-key"

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "find")) {
		long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user",
				   NAME, 0);

		puts(key < 0 ? "key: out of reach" : "key: found");
		return 0;
	}
	if (argc < 3 || syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
	    syscall(SYS_add_key, "user", NAME, "value", 5, KEY_SPEC_SESSION_KEYRING) < 0)
		return 2;
	execvp(argv[2], argv + 2);
	return 127;
}
