/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libseccomp knows: processor modes and the numbers of calls in them. It is older than some
 * calls, whose numbers are the same in all modes, and on i386 it hides the numbers of calls that
 * also go through socketcall() and ipc().
 */
#include "sandbox/internal.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <string.h>

#include "base/mem.h"

#if defined(__x86_64__)
const char seccomp_native_name[] = "amd64";
#elif defined(__aarch64__)
const char seccomp_native_name[] = "arm64";
#elif defined(__riscv)
const char seccomp_native_name[] = "riscv64";
#endif

uint32_t seccomp_mode_token(const char *name)
{
	char lower[24];
	size_t len = 0;

	if (strncmp(name, "SCMP_ARCH_", 10))
		return 0;
	for (name += 10; *name && len < sizeof(lower) - 1; name++)
		lower[len++] = (char)(*name >= 'A' && *name <= 'Z' ? *name | 0x20 : *name);
	lower[len] = '\0';
	return *name ? 0 : seccomp_arch_resolve_name(lower);
}

uint32_t seccomp_native_token(void)
{
	return seccomp_arch_native();
}

uint32_t seccomp_token_arch(uint32_t token, uint32_t *ret_bit)
{
	*ret_bit = token == SCMP_ARCH_X32 ? SECCOMP_X32 : 0;
	return token == SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : token;
}

static int64_t find_newer(uint32_t token, const char *name)
{
	static const struct seccomp_call calls[] = {
		{ "futex_waitv", 449 },	      { "set_mempolicy_home_node", 450 },
		{ "cachestat", 451 },	      { "fchmodat2", 452 },
		{ "map_shadow_stack", 453 },  { "futex_wake", 454 },
		{ "futex_wait", 455 },	      { "futex_requeue", 456 },
		{ "statmount", 457 },	      { "listmount", 458 },
		{ "lsm_get_self_attr", 459 }, { "lsm_set_self_attr", 460 },
		{ "lsm_list_modules", 461 },  { "mseal", 462 },
		{ "setxattrat", 463 },	      { "getxattrat", 464 },
		{ "listxattrat", 465 },	      { "removexattrat", 466 },
		{ "open_tree_attr", 467 },    { "file_getattr", 468 },
		{ "file_setattr", 469 },
	};
	uint32_t bit;

	if (!strcmp(name, "uretprobe") && token == SCMP_ARCH_X86_64)
		return 335;
	(void)seccomp_token_arch(token, &bit);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].nr | (int64_t)bit;
	return -1;
}

static int64_t find_i386(const char *name)
{
	static const struct seccomp_call calls[] = {
		{ "socket", 359 },	{ "socketpair", 360 }, { "bind", 361 },
		{ "connect", 362 },	{ "listen", 363 },     { "accept4", 364 },
		{ "getsockopt", 365 },	{ "setsockopt", 366 }, { "getsockname", 367 },
		{ "getpeername", 368 }, { "sendto", 369 },     { "sendmsg", 370 },
		{ "recvfrom", 371 },	{ "recvmsg", 372 },    { "shutdown", 373 },
		{ "semget", 393 },	{ "semctl", 394 },     { "shmget", 395 },
		{ "shmctl", 396 },	{ "shmat", 397 },      { "shmdt", 398 },
		{ "msgget", 399 },	{ "msgsnd", 400 },     { "msgrcv", 401 },
		{ "msgctl", 402 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].nr;
	return -1;
}

int64_t seccomp_number(uint32_t token, const char *name)
{
	int number = seccomp_syscall_resolve_name_arch(token, name);

	if (number >= 0)
		return number;
	if (number == __NR_SCMP_ERROR)
		return find_newer(token, name);
	return token == SCMP_ARCH_X86 ? find_i386(name) : -1;
}

unsigned seccomp_int_args(const char *name)
{
	static const struct {
		const char *name;
		unsigned args;
	} calls[] = {
		{ "socket", 7 },
		{ "socketpair", 7 },
		{ "socketcall", 1 },
		{ "personality", 1 },
		{ "clone", 1 },
		{ "unshare", 1 },
		{ "setns", 3 },
		{ "ioctl", 3 },
		{ "fcntl", 3 },
		{ "prctl", 1 },
		{ "setsockopt", 7 },
		{ "getsockopt", 7 },
		{ "bpf", 1 },
		{ "keyctl", 1 },
		{ "kill", 3 },
		{ "tgkill", 7 },
		{ "tkill", 3 },
		{ "accept4", 9 },
		{ "sched_setscheduler", 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].args;
	return 0;
}
