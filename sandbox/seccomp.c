/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in filter: docker's default profile for its default capabilities. It is made from the
 * table when a step starts, which takes microseconds.
 *
 * 1. Numbers above what the profile knows get ENOSYS, so that a C library falls back to an older
 *    call; known and forbidden ones get EPERM. clone3 hides its flags in memory, so it gets
 *    ENOSYS too, and libraries use clone.
 * 2. Foreign processor modes (i386, x32) get EPERM and never a signal.
 * 3. Where there is no network namespace, a second filter stands for one without a network: there
 *    is no way to a socket but a UNIX one. It holds whatever the first one is, so foreign modes,
 *    which have other calls for it, are refused here, too.
 */
#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/seccomp_numbers.h"

/* CLONE_NEW* but for CLONE_NEWTIME, whose bit is part of the exit signal here. */
#define CLONE_NAMESPACES 0x7e020000
#define NR_END		 (SECCOMP_LAST_KNOWN + 1)

#define ALLOW	      SECCOMP_RET_ALLOW
#define ERRNO(number) (SECCOMP_RET_ERRNO | (number))
#define INT_ARG0(op, ...)                                                                          \
	{                                                                                          \
		0, op, true, __VA_ARGS__                                                           \
	}

static const struct seccomp_condition no_namespaces =
	INT_ARG0(SECCOMP_OP_MASKED_EQ, 0, CLONE_NAMESPACES);
static const struct seccomp_condition personalities[] = {
	INT_ARG0(SECCOMP_OP_MASKED_EQ, 0, ~UINT64_C(0x20008)),
	INT_ARG0(SECCOMP_OP_EQ, 0xffffffff, 0),
};
static const struct seccomp_condition families[] = {
	INT_ARG0(SECCOMP_OP_EQ, 38 /* AF_ALG */, 0),
	INT_ARG0(SECCOMP_OP_EQ, AF_VSOCK, 0),
};

static const struct seccomp_rule clone_rules[] = { { &no_namespaces, 1, ALLOW } };
static const struct seccomp_rule personality_rules[] = {
	{ &personalities[0], 1, ALLOW },
	{ &personalities[1], 1, ALLOW },
};
static const struct seccomp_rule socket_rules[] = {
	{ &families[0], 1, ERRNO(EPERM) },
	{ &families[1], 1, ERRNO(EPERM) },
};

static const struct {
	int nr;
	struct seccomp_answer answer;
} special[] = {
	{ __NR_clone, { clone_rules, ARRAY_SIZE(clone_rules), ERRNO(EPERM) } },
	{ __NR_clone3, { NULL, 0, ERRNO(ENOSYS) } },
	{ __NR_personality, { personality_rules, ARRAY_SIZE(personality_rules), ERRNO(EPERM) } },
	{ __NR_socket, { socket_rules, ARRAY_SIZE(socket_rules), ALLOW } },
};

static struct seccomp_answer answer_to(unsigned nr, bool allowed)
{
	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (special[i].nr == (int)nr)
			return special[i].answer;
	return (struct seccomp_answer){ .otherwise = allowed ? ALLOW : ERRNO(EPERM) };
}

static void emit(const struct seccomp_range *ranges, size_t n, struct seccomp_filter *filter)
{
	const struct seccomp_mode mode = { .arch = SECCOMP_ARCH, .ranges = ranges, .n = n };
	int status;

	filter->flags = 0;
	status = seccomp_emit(&mode, 1, ERRNO(EPERM), filter);
	assert(status == 0);
	(void)status;
}

/* x32 has the same calls by numbers of its own. */
static void add_end(struct seccomp_range *ranges, size_t *n)
{
#ifdef SECCOMP_HAS_X32
	seccomp_add_range(ranges, n, SECCOMP_X32,
			  (struct seccomp_answer){ .otherwise = ERRNO(EPERM) });
#else
	(void)ranges;
	(void)n;
#endif
}

void seccomp_build(struct seccomp_filter *filter)
{
	struct seccomp_range ranges[NR_END + 2];
	bool allowed[NR_END] = { false };
	size_t n = 0;

	for (size_t i = 0; i < seccomp_n_calls; i++) {
		assert(seccomp_calls[i].nr >= 0 && seccomp_calls[i].nr < NR_END);
		allowed[seccomp_calls[i].nr] = true;
	}
	for (unsigned nr = 0; nr < NR_END; nr++)
		seccomp_add_range(ranges, &n, nr, answer_to(nr, allowed[nr]));
	seccomp_add_range(ranges, &n, NR_END,
			  (struct seccomp_answer){ .otherwise = ERRNO(ENOSYS) });
	add_end(ranges, &n);
	emit(ranges, n, filter);
}

/* --- without a network ---------------------------------------------------------------------- */

static const struct seccomp_condition is_unix = INT_ARG0(SECCOMP_OP_EQ, AF_UNIX, 0);
static const struct seccomp_rule unix_rules[] = { { &is_unix, 1, ALLOW } };

void seccomp_build_offline(struct seccomp_filter *filter)
{
	static const struct seccomp_answer allow = { .otherwise = ALLOW };
	static const struct seccomp_answer only_unix = { unix_rules, ARRAY_SIZE(unix_rules),
							 ERRNO(EAFNOSUPPORT) };
	static const struct seccomp_answer refuse = { .otherwise = ERRNO(EPERM) };
	struct seccomp_range ranges[NR_END + 2];
	size_t n = 0;

	for (unsigned nr = 0; nr < NR_END; nr++) {
		if (nr == __NR_socket || nr == __NR_socketpair)
			seccomp_add_range(ranges, &n, nr, only_unix);
		else if (nr == __NR_io_uring_setup) /* it makes sockets by itself */
			seccomp_add_range(ranges, &n, nr, refuse);
		else
			seccomp_add_range(ranges, &n, nr, allow);
	}
	add_end(ranges, &n);
	emit(ranges, n, filter);
}
