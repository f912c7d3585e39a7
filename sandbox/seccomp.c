/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filter is made from the table when a step starts: each system call number gets an answer,
 * equal neighbours become ranges, and a binary search over the ranges is written down as BPF.
 * That takes microseconds and some 90 instructions, of which a call runs through fewer than 20.
 *
 * 1. Arguments of type int are compared in 32 bits: the kernel ignores the upper half of the
 *    register, so a 64-bit comparison could be walked around.
 * 2. Numbers above what the profile knows get ENOSYS, so that a C library falls back to an older
 *    call; known and forbidden ones get EPERM. clone3 hides its flags in memory, so it gets
 *    ENOSYS too, and libraries use clone.
 * 3. Foreign processor modes (i386, x32) get EPERM and never a signal.
 */
#include "sandbox/internal.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "sandbox/seccomp.c: name this processor's AUDIT_ARCH"
#endif

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

/* CLONE_NEW* but for CLONE_NEWTIME, whose bit is part of the exit signal here. */
#define CLONE_NAMESPACES 0x7e020000
#define X32_BIT		 0x40000000
#define NR_END		 (SECCOMP_LAST_KNOWN + 2) /* the last stands for all above */

#define OFFSET_NR   offsetof(struct seccomp_data, nr)
#define OFFSET_ARCH offsetof(struct seccomp_data, arch)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OFFSET_ARG0 offsetof(struct seccomp_data, args)
#else
#define OFFSET_ARG0 (offsetof(struct seccomp_data, args) + 4)
#endif

enum answer {
	ANSWER_EPERM,
	ANSWER_ENOSYS,
	ANSWER_ALLOW,
	ANSWER_CLONE,
	ANSWER_PERSONALITY,
	ANSWER_SOCKET,
	N_ANSWERS,
};

struct range {
	unsigned start;
	enum answer answer;
};

static void add(struct seccomp_filter *filter, unsigned code, uint32_t k, size_t jt, size_t jf)
{
	assert(filter->n < SECCOMP_INSNS_MAX && jt < 256 && jf < 256);
	filter->insns[filter->n++] = (struct sock_filter){
		.code = (unsigned short)code,
		.jt = (unsigned char)jt,
		.jf = (unsigned char)jf,
		.k = k,
	};
}

static void add_load(struct seccomp_filter *filter, uint32_t offset)
{
	add(filter, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void add_return(struct seccomp_filter *filter, enum answer answer)
{
	static const uint32_t values[] = {
		[ANSWER_EPERM] = SECCOMP_RET_ERRNO | EPERM,
		[ANSWER_ENOSYS] = SECCOMP_RET_ERRNO | ENOSYS,
		[ANSWER_ALLOW] = SECCOMP_RET_ALLOW,
	};

	add(filter, BPF_RET | BPF_K, values[answer], 0, 0);
}

/* One instruction for a leaf, one more than both halves for a node: sizes are known beforehand. */
static void add_search(struct seccomp_filter *filter, const struct range *ranges, size_t n)
{
	size_t left = n / 2;

	if (n > 1) {
		add(filter, BPF_JMP | BPF_JGE | BPF_K, ranges[left].start, 2 * left - 1, 0);
		add_search(filter, ranges, left);
		add_search(filter, ranges + left, n - left);
	} else if (ranges->answer <= ANSWER_ALLOW) {
		add_return(filter, ranges->answer);
	} else {
		/* k is the answer until link_blocks() knows the distance */
		add(filter, BPF_JMP | BPF_JA, ranges->answer, 0, 0);
	}
}

/* Load the first argument; each listed value leads to `then`, the rest to `otherwise`. */
static void add_values(struct seccomp_filter *filter, const uint32_t *values, size_t n,
		       enum answer then, enum answer otherwise)
{
	add_load(filter, OFFSET_ARG0);
	for (size_t i = 0; i < n; i++)
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, values[i], n - i, 0);
	add_return(filter, otherwise);
	add_return(filter, then);
}

static void add_block(struct seccomp_filter *filter, enum answer answer)
{
	static const uint32_t personalities[] = { 0, 0x8, 0x20000, 0x20008, 0xffffffff };
	static const uint32_t families[] = { 38 /* AF_ALG */, AF_VSOCK };

	switch (answer) {
	case ANSWER_CLONE:
		add_load(filter, OFFSET_ARG0);
		add(filter, BPF_JMP | BPF_JSET | BPF_K, CLONE_NAMESPACES, 0, 1);
		add_return(filter, ANSWER_EPERM);
		add_return(filter, ANSWER_ALLOW);
		break;
	case ANSWER_PERSONALITY:
		add_values(filter, personalities, ARRAY_SIZE(personalities), ANSWER_ALLOW,
			   ANSWER_EPERM);
		break;
	case ANSWER_SOCKET:
		add_values(filter, families, ARRAY_SIZE(families), ANSWER_EPERM, ANSWER_ALLOW);
		break;
	default:
		assert(!"an answer without a block");
	}
}

static void link_blocks(struct seccomp_filter *filter, size_t first, size_t end)
{
	size_t starts[N_ANSWERS] = { 0 };

	for (enum answer answer = ANSWER_CLONE; answer < N_ANSWERS; answer++) {
		starts[answer] = filter->n;
		add_block(filter, answer);
	}
	for (size_t i = first; i < end; i++)
		if (filter->insns[i].code == (BPF_JMP | BPF_JA))
			filter->insns[i].k = (uint32_t)(starts[filter->insns[i].k] - i - 1);
}

static size_t collect_ranges(struct range *ranges)
{
	unsigned char answers[NR_END] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < seccomp_n_calls; i++) {
		assert(seccomp_calls[i].nr >= 0 && seccomp_calls[i].nr <= SECCOMP_LAST_KNOWN);
		answers[seccomp_calls[i].nr] = ANSWER_ALLOW;
	}
	answers[SYS_clone] = ANSWER_CLONE;
	answers[SYS_clone3] = ANSWER_ENOSYS;
	answers[SYS_personality] = ANSWER_PERSONALITY;
	answers[SYS_socket] = ANSWER_SOCKET;
	answers[NR_END - 1] = ANSWER_ENOSYS;
	for (unsigned nr = 0; nr < NR_END; nr++)
		if (n == 0 || ranges[n - 1].answer != answers[nr])
			ranges[n++] = (struct range){ nr, answers[nr] };
	return n;
}

void seccomp_build(struct seccomp_filter *filter)
{
	struct range ranges[NR_END];
	size_t n = collect_ranges(ranges);
	size_t first;

	filter->n = 0;
	add_load(filter, OFFSET_ARCH);
	add(filter, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	add_return(filter, ANSWER_EPERM);
	add_load(filter, OFFSET_NR);
#ifdef __x86_64__
	add(filter, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	add_return(filter, ANSWER_EPERM);
#endif
	first = filter->n;
	add_search(filter, ranges, n);
	link_blocks(filter, first, filter->n);
}

int seccomp_install(const struct seccomp_filter *filter)
{
	struct sock_fprog program = {
		.len = filter->n,
		.filter = (struct sock_filter *)filter->insns,
	};

	/* without this flag some kernels slow the process down against speculation */
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
			    &program);
}
