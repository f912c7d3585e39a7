/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SANDBOX_SECCOMP_MODELS_H
#define TESTS_SANDBOX_SECCOMP_MODELS_H

/*
 * What filters are compared with: a BPF machine that runs them, and a plain reading of a profile
 * that answers one call at a time.
 */

#include <jansson.h>
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#define EPERM_ANSWER  (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_ANSWER (SECCOMP_RET_ERRNO | ENOSYS)

/* Run the filter; *steps grows by the instructions that were executed. */
uint32_t emulate(const struct sock_filter *insns, size_t n, uint32_t arch, uint32_t nr,
		 const uint64_t args[6], size_t *steps);

struct model;

/* The profile for one processor ("amd64") and one of its modes (a token of libseccomp). */
struct model *model_new(const json_t *profile, const char *native, uint32_t token);
void model_free(struct model *model);

/* By the profile's own words: no ENOSYS for what it does not know, all arguments in 64 bits. */
uint32_t model_ask(const struct model *model, uint32_t nr, const uint64_t args[6]);

/* The highest number below 65536 that it names, the mode's bit left out. */
uint32_t model_last(const struct model *model);

/* testdata/seccomp/NAME, or a path. NULL when there is none. */
json_t *model_read_profile(const char *name);

#endif
