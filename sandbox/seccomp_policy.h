/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_SECCOMP_POLICY_H
#define SANDBOX_SECCOMP_POLICY_H

/* sandbox/seccomp_policy.h: what a profile says, between its JSON and the filter. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/internal.h"

struct arena;

/* One element of "syscalls". */
struct policy_entry {
	bool counts; /* for this processor, kernel and set of capabilities */
	const char **names;
	size_t n_names;
	struct seccomp_condition conditions[SECCOMP_ARGS];
	size_t n;
	bool any; /* one condition is enough, else all are needed */
	uint32_t action;
};

#define POLICY_MODES_MAX 8

struct policy {
	uint32_t default_action;
	bool permissive;		   /* by default calls are made */
	unsigned flags;			   /* SECCOMP_FILTER_FLAG_* */
	uint32_t tokens[POLICY_MODES_MAX]; /* processor modes, as libseccomp names them */
	size_t n_tokens;
	struct policy_entry *entries;
	size_t n_entries;
};

/* What it points to lives in the arena. Fails as sandbox_profile_parse() does. */
int policy_read(struct arena *arena, const char *name, const char *text, size_t len,
		struct policy *ret_policy, struct err *err);

#endif
