/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Landlock: rules that a process gives itself and can never take off, nor can what it starts. It
 * needs no capability but no_new_privs, and docker's policy lets it through, so it is there where
 * namespaces are not. Raw system calls and numbers of our own: the kernel's header may be older
 * than the kernel. ABI 6 (Linux 6.12) brought scopes: no signal and no connection to an abstract
 * socket leaves the domain. Fields that an older kernel does not know are left out of the size.
 */
#include "base/landlock.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#define CREATE_VERSION	  1u /* ask for the ABI */
#define RULE_PATH_BENEATH 1
#define FS_MAKE_CHAR	  (UINT64_C(1) << 6)
#define FS_MAKE_BLOCK	  (UINT64_C(1) << 11)
#define FS_ALL_1	  ((UINT64_C(1) << 13) - 1)
#define FS_REFER	  (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE	  (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV	  (UINT64_C(1) << 15) /* ABI 5 */
#define SCOPE_SOCKETS	  (UINT64_C(1) << 0)
#define SCOPE_SIGNALS	  (UINT64_C(1) << 1)
#define SIZE_FS		  8
#define SIZE_SCOPED	  24

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t all_rights(int abi)
{
	return FS_ALL_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
	       (abi >= 5 ? FS_IOCTL_DEV : 0);
}

static int make(const struct ruleset *ruleset, int abi)
{
	return (int)syscall(SYS_landlock_create_ruleset, ruleset,
			    abi >= LANDLOCK_SCOPES ? SIZE_SCOPED : SIZE_FS, 0);
}

/* The caller has CAP_SYS_ADMIN, or promised never to gain rights by exec (no_new_privs). */
static int restrict_self(int fd)
{
	return (int)syscall(SYS_landlock_restrict_self, fd, 0);
}

/* Of the rights to files that it handles, the domain has these below the directory. */
static int enter_domain(int abi, uint64_t handled, uint64_t allowed, int dir_fd)
{
	const struct ruleset ruleset = {
		.fs = handled,
		.scoped = abi >= LANDLOCK_SCOPES ? SCOPE_SOCKETS | SCOPE_SIGNALS : 0,
	};
	const struct path_rule rule = { .allowed = allowed, .fd = dir_fd };
	cleanup_fd int fd = make(&ruleset, abi);

	if (!handled)
		return fd < 0 ? -1 : restrict_self(fd);
	if (fd < 0 || dir_fd < 0 ||
	    syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &rule, 0) < 0)
		return -1;
	return restrict_self(fd);
}

static int enter_domain_of_root(int abi, uint64_t handled, uint64_t allowed)
{
	cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return enter_domain(abi, handled, allowed, root);
}

int landlock_scope(int abi)
{
	return abi < LANDLOCK_SCOPES ? 0 : enter_domain(abi, 0, 0, -1);
}

/* A domain that does not mention renames between directories forbids them to an inner one. */
int landlock_scope_outer(int abi)
{
	return abi < LANDLOCK_SCOPES ? 0 : enter_domain_of_root(abi, FS_REFER, FS_REFER);
}

int landlock_confine(int abi)
{
	uint64_t all = all_rights(abi);

	return abi == 0 ? 0 : enter_domain_of_root(abi, all, all & ~(FS_MAKE_CHAR | FS_MAKE_BLOCK));
}

int landlock_keep_below(int dir_fd)
{
	int abi = landlock_abi();
	uint64_t all = all_rights(abi);

	if (abi < 2)
		return 0;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1
							  : enter_domain(abi, all, all, dir_fd);
}
