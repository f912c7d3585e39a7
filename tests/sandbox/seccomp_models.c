/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sandbox/seccomp_models.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sandbox/internal.h"

#define NUMBERS 0x10000

/* --- the machine ---------------------------------------------------------------------------- */

static bool compare(const struct sock_filter *insn, uint32_t a)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return a == insn->k;
	case BPF_JGE:
		return a >= insn->k;
	case BPF_JGT:
		return a > insn->k;
	case BPF_JSET:
		return a & insn->k;
	}
	fail_msg("instruction %#x", insn->code);
	return false;
}

uint32_t emulate(const struct sock_filter *insns, size_t n, uint32_t arch, uint32_t nr,
		 const uint64_t args[6], size_t *steps)
{
	struct seccomp_data data = { .nr = (int)nr, .arch = arch };
	uint32_t a = 0, memory[BPF_MEMWORDS] = { 0 };

	for (size_t i = 0; i < 6; i++)
		data.args[i] = args[i];
	for (size_t pc = 0; pc < n; (*steps)++) {
		const struct sock_filter *insn = &insns[pc++];

		if (insn->code == (BPF_LD | BPF_W | BPF_ABS)) {
			assert_true(insn->k + 4 <= sizeof(data));
			memcpy(&a, (char *)&data + insn->k, 4);
		} else if (insn->code == (BPF_LD | BPF_MEM)) {
			a = memory[insn->k];
		} else if (insn->code == BPF_ST) {
			memory[insn->k] = a;
		} else if (insn->code == (BPF_ALU | BPF_AND | BPF_K)) {
			a &= insn->k;
		} else if (insn->code == (BPF_JMP | BPF_JA)) {
			pc += insn->k;
		} else if (insn->code == (BPF_RET | BPF_K)) {
			return insn->k;
		} else {
			assert_int_equal(BPF_CLASS(insn->code), BPF_JMP);
			pc += compare(insn, a) ? insn->jt : insn->jf;
		}
	}
	fail_msg("the filter has no end");
	return 0;
}

/* --- the reading ---------------------------------------------------------------------------- */

struct model {
	const json_t *profile;
	uint32_t bit;
	uint32_t last;
	/* for each number the entries of "syscalls" that name it and count, -1 after the last */
	short *entries[NUMBERS];
};

static bool list_has(const json_t *object, const char *key, const char *text)
{
	const json_t *list = json_object_get(object, key), *item;
	size_t i;

	json_array_foreach(list, i, item) if (!strcmp(json_string_value(item), text)) return true;
	return false;
}

/* The kernel of the test is newer than all minKernel. */
static bool counts(const json_t *entry, const char *native)
{
	const json_t *includes = json_object_get(entry, "includes");
	const json_t *excludes = json_object_get(entry, "excludes"), *cap;
	size_t i;

	if (list_has(excludes, "arches", native) || json_object_get(excludes, "minKernel"))
		return false;
	if (json_array_size(json_object_get(includes, "arches")) &&
	    !list_has(includes, "arches", native))
		return false;
	json_array_foreach(json_object_get(excludes, "caps"), i,
			   cap) if (caps_is_default(json_string_value(cap))) return false;
	json_array_foreach(json_object_get(includes, "caps"), i,
			   cap) if (!caps_is_default(json_string_value(cap))) return false;
	return true;
}

static void add_entry(struct model *model, uint32_t nr, short entry)
{
	short *list = model->entries[nr];
	size_t n = 0;

	while (list && list[n] >= 0)
		n++;
	list = realloc(list, (n + 2) * sizeof(*list));
	assert_non_null(list);
	list[n] = entry;
	list[n + 1] = -1;
	model->entries[nr] = list;
}

struct model *model_new(const json_t *profile, const char *native, uint32_t token)
{
	struct model *model = xcalloc(1, sizeof(*model));
	const json_t *entry, *name;
	size_t i, k;

	model->profile = profile;
	(void)seccomp_token_arch(token, &model->bit);
	json_array_foreach(json_object_get(profile, "syscalls"), i, entry)
	{
		json_array_foreach(json_object_get(entry, "names"), k, name)
		{
			int64_t nr = seccomp_number(token, json_string_value(name));

			if (nr >= 0)
				nr &= ~(int64_t)model->bit;
			if (nr < 0 || nr >= NUMBERS)
				continue;
			if (nr > model->last)
				model->last = (uint32_t)nr;
			if (counts(entry, native))
				add_entry(model, (uint32_t)nr, (short)i);
		}
	}
	return model;
}

void model_free(struct model *model)
{
	for (size_t i = 0; i < NUMBERS; i++)
		free(model->entries[i]);
	free(model);
}

static bool holds(const json_t *condition, const uint64_t args[6])
{
	const char *op = json_string_value(json_object_get(condition, "op"));
	uint64_t value = (uint64_t)json_integer_value(json_object_get(condition, "value"));
	uint64_t second = (uint64_t)json_integer_value(json_object_get(condition, "valueTwo"));
	uint64_t arg = args[json_integer_value(json_object_get(condition, "index"))];

	if (!strcmp(op, "SCMP_CMP_MASKED_EQ"))
		return (arg & value) == second;
	return !strcmp(op, "SCMP_CMP_NE")   ? arg != value
	       : !strcmp(op, "SCMP_CMP_LT") ? arg < value
	       : !strcmp(op, "SCMP_CMP_LE") ? arg <= value
	       : !strcmp(op, "SCMP_CMP_EQ") ? arg == value
	       : !strcmp(op, "SCMP_CMP_GE") ? arg >= value
					    : arg > value;
}

static bool fits(const json_t *entry, const uint64_t args[6])
{
	const json_t *list = json_object_get(entry, "args"), *condition;
	size_t i;

	json_array_foreach(list, i, condition) if (!holds(condition, args)) return false;
	return true;
}

static uint32_t action_of(const json_t *object, const char *key, const char *number_key)
{
	const char *action = json_string_value(json_object_get(object, key));
	const json_t *number = json_object_get(object, number_key);

	if (!strcmp(action, "SCMP_ACT_ALLOW"))
		return SECCOMP_RET_ALLOW;
	assert_string_equal(action, "SCMP_ACT_ERRNO");
	return SECCOMP_RET_ERRNO |
	       (json_is_integer(number) ? (uint32_t)json_integer_value(number) : EPERM);
}

uint32_t model_ask(const struct model *model, uint32_t nr, const uint64_t args[6])
{
	const json_t *entries = json_object_get(model->profile, "syscalls");
	const short *list = (nr & ~model->bit) < NUMBERS ? model->entries[nr & ~model->bit] : NULL;

	for (; list && *list >= 0; list++) {
		const json_t *entry = json_array_get(entries, (size_t)*list);

		if (fits(entry, args))
			return action_of(entry, "action", "errnoRet");
	}
	return action_of(model->profile, "defaultAction", "defaultErrnoRet");
}

uint32_t model_last(const struct model *model)
{
	return model->last;
}

json_t *model_read_profile(const char *name)
{
	const char *srcdir = getenv("srcdir");
	cleanup_free char *path =
		*name == '/' ? xstrdup(name)
			     : xasprintf("%s/testdata/seccomp/%s", srcdir ? srcdir : ".", name);

	return json_load_file(path, 0, NULL);
}
