/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For each processor mode a binary search over ranges of numbers, whose leaves return or jump to
 * the rules of one call. A call runs through fewer than 25 instructions of some 160 that the
 * built-in filter has.
 *
 * 1. Arguments of type int are compared in 32 bits: the kernel ignores the upper half of the
 *    register, so a 64-bit comparison could be walked around.
 * 2. Jumps of a condition lead over at most one rule, which is short, so that 8 bits hold them;
 *    longer ways have an instruction of their own.
 */
#include "sandbox/internal.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

#define OFFSET_NR   offsetof(struct seccomp_data, nr)
#define OFFSET_ARCH offsetof(struct seccomp_data, arch)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OFFSET_LOW  0
#define OFFSET_HIGH 4
#else
#define OFFSET_LOW  4
#define OFFSET_HIGH 0
#endif

/* Where a condition's jumps lead, until the distance is known. */
#define TO_HOLDS 254
#define TO_FAILS 255

/* What is too much is counted once: the count must not begin anew. */
static void add(struct seccomp_filter *filter, unsigned code, uint32_t k, size_t jt, size_t jf)
{
	if (filter->n > SECCOMP_INSNS_MAX)
		return;
	if (filter->n < SECCOMP_INSNS_MAX)
		filter->insns[filter->n] = (struct sock_filter){
			.code = (unsigned short)code,
			.jt = (unsigned char)jt,
			.jf = (unsigned char)jf,
			.k = k,
		};
	filter->n++;
}

static void add_load(struct seccomp_filter *filter, size_t offset)
{
	add(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_return(struct seccomp_filter *filter, uint32_t action)
{
	add(filter, BPF_RET | BPF_K, action, 0, 0);
}

static bool fits(const struct seccomp_filter *filter)
{
	return filter->n <= SECCOMP_INSNS_MAX;
}

/* --- conditions ----------------------------------------------------------------------------- */

/* The half of the argument that decides when the other one, if any, is equal. */
static void add_low_half(struct seccomp_filter *filter, const struct seccomp_condition *condition)
{
	uint32_t value = (uint32_t)condition->value;

	add_load(filter, offsetof(struct seccomp_data, args) + condition->arg * 8 + OFFSET_LOW);
	switch (condition->op) {
	case SECCOMP_OP_NE:
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, TO_FAILS, TO_HOLDS);
		break;
	case SECCOMP_OP_LT:
		add(filter, BPF_JMP | BPF_JGE | BPF_K, value, TO_FAILS, TO_HOLDS);
		break;
	case SECCOMP_OP_LE:
		add(filter, BPF_JMP | BPF_JGT | BPF_K, value, TO_FAILS, TO_HOLDS);
		break;
	case SECCOMP_OP_GE:
		add(filter, BPF_JMP | BPF_JGE | BPF_K, value, TO_HOLDS, TO_FAILS);
		break;
	case SECCOMP_OP_GT:
		add(filter, BPF_JMP | BPF_JGT | BPF_K, value, TO_HOLDS, TO_FAILS);
		break;
	case SECCOMP_OP_MASKED_EQ:
		add(filter, BPF_ALU | BPF_AND | BPF_K, (uint32_t)condition->mask, 0, 0);
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, TO_HOLDS, TO_FAILS);
		break;
	case SECCOMP_OP_EQ:
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, TO_HOLDS, TO_FAILS);
		break;
	}
}

static void add_high_half(struct seccomp_filter *filter, const struct seccomp_condition *condition)
{
	uint32_t value = (uint32_t)(condition->value >> 32);

	add_load(filter, offsetof(struct seccomp_data, args) + condition->arg * 8 + OFFSET_HIGH);
	switch (condition->op) {
	case SECCOMP_OP_NE:
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, TO_HOLDS);
		break;
	case SECCOMP_OP_LT:
	case SECCOMP_OP_LE:
		add(filter, BPF_JMP | BPF_JGT | BPF_K, value, TO_FAILS, 0);
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, TO_HOLDS);
		break;
	case SECCOMP_OP_GE:
	case SECCOMP_OP_GT:
		add(filter, BPF_JMP | BPF_JGT | BPF_K, value, TO_HOLDS, 0);
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, TO_FAILS);
		break;
	case SECCOMP_OP_MASKED_EQ:
		add(filter, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(condition->mask >> 32), 0, 0);
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, TO_FAILS);
		break;
	case SECCOMP_OP_EQ:
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, TO_FAILS);
		break;
	}
}

/* From `start` on, jumps to `where` lead to what comes next. */
static void link_here(struct seccomp_filter *filter, size_t start, unsigned char where)
{
	for (size_t i = start; fits(filter) && i < filter->n; i++) {
		struct sock_filter *insn = &filter->insns[i];

		if (BPF_CLASS(insn->code) != BPF_JMP || insn->code == (BPF_JMP | BPF_JA))
			continue;
		if (insn->jt == where)
			insn->jt = (unsigned char)(filter->n - i - 1);
		if (insn->jf == where)
			insn->jf = (unsigned char)(filter->n - i - 1);
	}
}

static void add_rules(struct seccomp_filter *filter, const struct seccomp_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++) {
		const struct seccomp_rule *rule = &answer->rules[i];
		size_t start = filter->n;

		assert(rule->n <= SECCOMP_ARGS);
		for (size_t k = 0; k < rule->n; k++) {
			size_t from = filter->n;

			if (!rule->conditions[k].is_int)
				add_high_half(filter, &rule->conditions[k]);
			add_low_half(filter, &rule->conditions[k]);
			link_here(filter, from, TO_HOLDS);
		}
		add_return(filter, rule->action);
		link_here(filter, start, TO_FAILS);
	}
	add_return(filter, answer->otherwise);
}

/* --- the search ----------------------------------------------------------------------------- */

static size_t search_size(size_t n)
{
	size_t left = n > 1 ? search_size(n / 2) : 0;

	return n > 1 ? left + search_size(n - n / 2) + (left > 255 ? 2 : 1) : 1;
}

static void add_search(struct seccomp_filter *filter, const struct seccomp_range *ranges, size_t n)
{
	size_t left = n / 2, distance = search_size(left);

	if (n == 1) {
		if (ranges->answer.n) /* k is found by link_rules() */
			add(filter, BPF_JMP | BPF_JA, 0, 0, 0);
		else
			add_return(filter, ranges->answer.otherwise);
		return;
	}
	if (distance > 255) {
		add(filter, BPF_JMP | BPF_JGE | BPF_K, ranges[left].start, 0, 1);
		add(filter, BPF_JMP | BPF_JA, (uint32_t)distance, 0, 0);
	} else {
		add(filter, BPF_JMP | BPF_JGE | BPF_K, ranges[left].start, distance, 0);
	}
	add_search(filter, ranges, left);
	add_search(filter, ranges + left, n - left);
}

/* The leaves come in the order of the ranges. */
static void link_rules(struct seccomp_filter *filter, size_t start,
		       const struct seccomp_range *ranges, size_t n)
{
	size_t end = filter->n, at = start;

	for (size_t i = 0; i < n; i++) {
		if (!ranges[i].answer.n)
			continue;
		for (; fits(filter) && at < end; at++)
			if (filter->insns[at].code == (BPF_JMP | BPF_JA) && !filter->insns[at].k)
				break;
		if (fits(filter))
			filter->insns[at].k = (uint32_t)(filter->n - at - 1);
		at++;
		add_rules(filter, &ranges[i].answer);
	}
}

int seccomp_emit(const struct seccomp_mode *modes, size_t n, uint32_t foreign,
		 struct seccomp_filter *filter)
{
	filter->n = 0;
	add_load(filter, OFFSET_ARCH);
	for (size_t i = 0; i < n && fits(filter); i++) {
		size_t start = filter->n + 3U;

		add(filter, BPF_JMP | BPF_JEQ | BPF_K, modes[i].arch, 1, 0);
		add(filter, BPF_JMP | BPF_JA, 0, 0, 0); /* to the next mode */
		add_load(filter, OFFSET_NR);
		add_search(filter, modes[i].ranges, modes[i].n);
		link_rules(filter, start, modes[i].ranges, modes[i].n);
		if (fits(filter))
			filter->insns[start - 2].k = (uint32_t)(filter->n - start + 1);
	}
	add_return(filter, foreign);
	return fits(filter) ? 0 : -1;
}

void seccomp_add_range(struct seccomp_range *ranges, size_t *n, uint32_t start,
		       struct seccomp_answer answer)
{
	const struct seccomp_answer *last = *n ? &ranges[*n - 1].answer : NULL;

	if (!last || last->n || answer.n || last->otherwise != answer.otherwise)
		ranges[(*n)++] = (struct seccomp_range){ start, answer };
}

int seccomp_install(const struct seccomp_filter *filter)
{
	struct sock_fprog program = {
		.len = filter->n,
		.filter = (struct sock_filter *)filter->insns,
	};

	/* without SPEC_ALLOW some kernels slow the process down against speculation */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_SPEC_ALLOW | filter->flags, &program) == 0)
		return 0;
	if (errno != ENOSYS || filter->flags)
		return -1;
	/* the older way, which valgrind knows */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
