/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_SECCOMP_READER_H
#define SANDBOX_SECCOMP_READER_H

/*
 * sandbox/seccomp_reader.h: values of a profile's JSON, and errors that name their place
 * ("syscalls[3].args[0].op"). Paths live in the arena.
 */

#include "base/json.h"
#include "sandbox/seccomp_policy.h"

struct reader {
	const char *name;
	struct arena *arena;
	struct policy *policy;
	struct err *err;
};

/* Fill *err with ERR_INVALID. Returns -1. */
int reader_fail(struct reader *reader, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "parent.key" and "parent[i]". */
const char *reader_join(struct reader *reader, const char *parent, const char *key);
const char *reader_index(struct reader *reader, const char *parent, size_t i);

/* It is an object and has no other keys. */
int reader_check_keys(struct reader *reader, const json_t *object, const char *parent,
		      const char *const *known, size_t n);

/* A member of this type; *ret_value is NULL when it is absent or null. */
int reader_get(struct reader *reader, const json_t *object, const char *parent, const char *key,
	       json_type type, const char *type_name, const json_t **ret_value);
int reader_list(struct reader *reader, const json_t *object, const char *parent, const char *key,
		const json_t **ret_list);

/* From 0 to max; 0 when it is not given. */
int reader_number(struct reader *reader, const json_t *object, const char *parent, const char *key,
		  json_int_t max, bool *ret_given, uint64_t *ret_number);

/* The text of an element that must be one. NULL with the error. */
const char *reader_text_at(struct reader *reader, const json_t *list, const char *parent, size_t i);

/* --- seccomp_entry.c */

/*
 * The action that is named by `key`, with the errno that one of the other two keys gives (by number
 * as docker has it, by name as podman has it), EPERM without. ERR_INVALID when there is none, it is
 * unknown, or has no place for a number; ERR_UNSUPPORTED for SCMP_ACT_NOTIFY.
 */
int policy_read_action(struct reader *reader, const json_t *object, const char *parent,
		       const char *key, const char *ret_key, const char *errno_key,
		       uint32_t *ret_action);

/* One element of "syscalls" into *entry, which is all zero before; what it points to lives in the
 * arena. An entry that does not count here is read just as well. */
int policy_read_entry(struct reader *reader, const json_t *object, const char *path,
		      struct policy_entry *entry);

#endif
