/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy into a filter: the names of its entries become numbers in each processor mode, and what
 * the entries say of one number becomes its answer.
 *
 * The modes of one AUDIT_ARCH_* (x86_64 and x32, which has a bit set in its numbers) share one
 * search over all numbers. Between those that are named the default holds; what is above the
 * highest that the profile names is ENOSYS, since its author cannot have meant it.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp_policy.h"

#define SPARSE 0x10000 /* numbers from here on are no sequence: arm's private calls */

DEFINE_CLEANUP(struct arena *, arena_free)

/* One name of an entry in one mode. */
struct call {
	uint32_t nr;
	const struct policy_entry *entry;
	unsigned int_args;
};

struct compiler {
	struct arena *arena;
	const struct policy *policy;
	struct seccomp_range *ranges;
	size_t n_ranges;
	struct seccomp_mode modes[POLICY_MODES_MAX];
	size_t n_modes;
};

static int compare_calls(const void *a, const void *b)
{
	const struct call *one = a, *two = b;

	if (one->nr != two->nr)
		return one->nr < two->nr ? -1 : 1;
	return one->entry < two->entry ? -1 : one->entry > two->entry;
}

/* Every call that is named, of entries that count or not, in the order of numbers. */
static struct call *list_calls(struct compiler *compiler, uint32_t token, size_t *ret_n)
{
	const struct policy *policy = compiler->policy;
	struct call *calls;
	size_t n = 0;

	for (size_t i = 0; i < policy->n_entries; i++)
		n += policy->entries[i].n_names;
	calls = arena_alloc(compiler->arena, (n + 1) * sizeof(*calls));
	n = 0;
	for (size_t i = 0; i < policy->n_entries; i++) {
		const struct policy_entry *entry = &policy->entries[i];

		for (size_t k = 0; k < entry->n_names; k++) {
			int64_t nr = seccomp_number(token, entry->names[k]);

			if (nr >= 0)
				calls[n++] = (struct call){ (uint32_t)nr, entry,
							    seccomp_int_args(entry->names[k]) };
		}
	}
	qsort(calls, n, sizeof(*calls), compare_calls);
	*ret_n = n;
	return calls;
}

/* --- one number ----------------------------------------------------------------------------- */

static void add_rules(struct compiler *compiler, const struct call *call,
		      struct seccomp_rule *rules, size_t *n)
{
	const struct policy_entry *entry = call->entry;
	struct seccomp_condition *conditions =
		arena_alloc(compiler->arena, sizeof(entry->conditions));

	for (size_t i = 0; i < entry->n; i++) {
		conditions[i] = entry->conditions[i];
		conditions[i].is_int = call->int_args >> conditions[i].arg & 1;
	}
	if (!entry->any)
		rules[(*n)++] = (struct seccomp_rule){ conditions, entry->n, entry->action };
	for (size_t i = 0; entry->any && i < entry->n; i++)
		rules[(*n)++] = (struct seccomp_rule){ &conditions[i], 1, entry->action };
}

static struct seccomp_answer answer_to(struct compiler *compiler, const struct call *calls,
				       size_t n)
{
	struct seccomp_rule *rules =
		arena_alloc(compiler->arena, n * SECCOMP_ARGS * sizeof(*rules));
	struct seccomp_answer answer = { rules, 0, compiler->policy->default_action };
	bool unconditional = false;

	for (size_t i = 0; i < n; i++) {
		const struct policy_entry *entry = calls[i].entry;

		if (!entry->counts)
			continue;
		if (entry->n)
			add_rules(compiler, &calls[i], rules, &answer.n);
		else if (!unconditional)
			answer.otherwise = entry->action;
		unconditional |= !entry->n;
	}
	return answer;
}

/* --- all numbers of a mode ------------------------------------------------------------------ */

static struct seccomp_answer always(uint32_t action)
{
	return (struct seccomp_answer){ .otherwise = action };
}

static void add_range(struct compiler *compiler, struct seccomp_mode *mode, uint32_t start,
		      struct seccomp_answer answer)
{
	seccomp_add_range(compiler->ranges, &mode->n, start, answer);
}

/* What lies behind the last number that is named. */
static uint32_t beyond(const struct policy *policy)
{
	if (policy->permissive || policy->default_action == (SECCOMP_RET_ERRNO | ENOSYS))
		return policy->default_action;
	return SECCOMP_RET_ERRNO | ENOSYS;
}

static void add_mode(struct compiler *compiler, struct seccomp_mode *mode, uint32_t token,
		     uint32_t bit)
{
	const struct policy *policy = compiler->policy;
	uint32_t next = bit, last = 0;
	size_t n, same;
	struct call *calls = list_calls(compiler, token, &n);

	for (size_t i = 0; i < n; i++)
		if ((calls[i].nr & ~bit) < SPARSE)
			last = calls[i].nr;
	for (size_t i = 0; i < n; i += same) {
		uint32_t nr = calls[i].nr;

		for (same = 1; i + same < n && calls[i + same].nr == nr;)
			same++;
		if (nr > next)
			add_range(compiler, mode, next,
				  always(next > last && last ? beyond(policy)
							     : policy->default_action));
		add_range(compiler, mode, nr, answer_to(compiler, calls + i, same));
		next = nr + 1;
	}
	add_range(compiler, mode, next, always(n ? beyond(policy) : policy->default_action));
}

/* Room for each number that is named and the gap behind it, in all modes of one architecture. */
static void make_ranges(struct compiler *compiler, struct seccomp_mode *mode)
{
	size_t names = 0;

	for (size_t i = 0; i < compiler->policy->n_entries; i++)
		names += compiler->policy->entries[i].n_names;
	compiler->ranges =
		arena_alloc(compiler->arena, (2 * names + 2) * 2 * sizeof(*compiler->ranges));
	mode->ranges = compiler->ranges;
}

/* The modes with the bit come last: starts only grow. */
static void compile_arch(struct compiler *compiler, uint32_t arch)
{
	const struct policy *policy = compiler->policy;
	struct seccomp_mode *mode = &compiler->modes[compiler->n_modes++];
	uint32_t high = 0;

	mode->arch = arch;
	make_ranges(compiler, mode);
	for (size_t i = 0; i < policy->n_tokens; i++) {
		uint32_t bit;

		if (seccomp_token_arch(policy->tokens[i], &bit) != arch)
			continue;
		if (bit)
			high = policy->tokens[i];
		else if (!mode->n)
			add_mode(compiler, mode, policy->tokens[i], 0);
	}
	if (!mode->n) /* the second mode alone */
		add_range(compiler, mode, 0, always(SECCOMP_RET_ERRNO | EPERM));
	if (high) {
		uint32_t bit;

		(void)seccomp_token_arch(high, &bit);
		add_mode(compiler, mode, high, bit);
	} else if (arch == AUDIT_ARCH_X86_64) {
		add_range(compiler, mode, SECCOMP_X32, always(SECCOMP_RET_ERRNO | EPERM));
	}
}

static bool has_mode(const struct compiler *compiler, uint32_t arch)
{
	for (size_t i = 0; i < compiler->n_modes; i++)
		if (compiler->modes[i].arch == arch)
			return true;
	return false;
}

int sandbox_profile_parse(const char *name, const char *text, size_t len,
			  struct sandbox_profile **ret_profile, struct err *err)
{
	cleanup_with(arena_free) struct arena *arena = arena_new();
	cleanup_with(sandbox_profile_free) struct sandbox_profile *profile =
		xcalloc(1, sizeof(*profile));
	struct policy policy;
	struct compiler compiler = { .arena = arena, .policy = &policy };

	if (policy_read(arena, name, text, len, &policy, err) < 0)
		return -1;
	for (size_t i = 0; i < policy.n_tokens; i++) {
		uint32_t bit, arch = seccomp_token_arch(policy.tokens[i], &bit);

		if (!has_mode(&compiler, arch))
			compile_arch(&compiler, arch);
	}
	profile->filter.flags = policy.flags;
	if (seccomp_emit(compiler.modes, compiler.n_modes, SECCOMP_RET_ERRNO | EPERM,
			 &profile->filter) < 0)
		return err_set(err, ERR_LIMIT,
			       "%s: the filter is larger than the kernel takes (%d "
			       "instructions)",
			       name, SECCOMP_INSNS_MAX);
	*ret_profile = steal_pointer(&profile);
	return 0;
}

void sandbox_profile_free(struct sandbox_profile *profile)
{
	free(profile);
}

void sandbox_profile_digest(const struct sandbox_profile *profile, struct digest *ret_digest)
{
	digest_of(profile->filter.insns, profile->filter.n * sizeof(profile->filter.insns[0]),
		  ret_digest);
}
