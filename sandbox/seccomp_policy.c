/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A profile in docker's JSON form is read whole, the entries that do not count here with it: they
 * tell which calls the author knew. What is not understood is an error that names its place: a
 * rule that is passed over could open what it was to close.
 */
#include "sandbox/seccomp_policy.h"

#include <linux/seccomp.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "sandbox/seccomp_reader.h"

static int read_entries(struct reader *reader, const json_t *profile)
{
	struct policy *policy = reader->policy;
	const json_t *list;

	if (reader_list(reader, profile, "", "syscalls", &list) < 0)
		return -1;
	policy->entries =
		arena_alloc(reader->arena, (json_array_size(list) + 1) * sizeof(*policy->entries));
	for (size_t i = 0; i < json_array_size(list); i++)
		if (policy_read_entry(reader, json_array_get(list, i),
				      reader_index(reader, "syscalls", i),
				      &policy->entries[policy->n_entries++]) < 0)
			return -1;
	return 0;
}

/* --- processor modes ------------------------------------------------------------------------ */

static int add_mode(struct reader *reader, const json_t *list, const char *path, size_t i)
{
	const char *at;
	struct policy *policy = reader->policy;
	const char *text = reader_text_at(reader, list, path, i);

	if (!text)
		return -1;
	at = reader_index(reader, path, i);
	if (policy->n_tokens == POLICY_MODES_MAX)
		return reader_fail(reader, at, "more than %d architectures", POLICY_MODES_MAX);
	policy->tokens[policy->n_tokens] = seccomp_mode_token(text);
	if (!policy->tokens[policy->n_tokens])
		return reader_fail(reader, at, "unknown architecture \"%.40s\"", text);
	policy->n_tokens++;
	return 0;
}

/* Of the elements of archMap the one for this processor counts. */
static int read_map(struct reader *reader, const json_t *list)
{
	const char *path, *sub;
	static const char *const keys[] = { "architecture", "subArchitectures" };

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *object = json_array_get(list, i), *name, *subs;

		path = reader_index(reader, "archMap", i);
		if (reader_check_keys(reader, object, path, keys, ARRAY_SIZE(keys)) < 0 ||
		    reader_get(reader, object, path, "architecture", JSON_STRING, "a string",
			       &name) < 0 ||
		    reader_list(reader, object, path, "subArchitectures", &subs) < 0)
			return -1;
		if (!name)
			return reader_fail(reader, path, "has no architecture");
		if (seccomp_mode_token(json_string_value(name)) != seccomp_native_token())
			continue;
		sub = reader_join(reader, path, "subArchitectures");
		for (size_t k = 0; k < json_array_size(subs); k++)
			if (add_mode(reader, subs, sub, k) < 0)
				return -1;
	}
	return 0;
}

/* The processor's own mode is always there: without it nothing could run. */
static int read_modes(struct reader *reader, const json_t *profile)
{
	const json_t *list, *map;

	if (reader_list(reader, profile, "", "architectures", &list) < 0 ||
	    reader_list(reader, profile, "", "archMap", &map) < 0)
		return -1;
	if (json_array_size(list) && json_array_size(map))
		return reader_fail(reader, "architectures",
				   "cannot be given together with archMap");
	reader->policy->tokens[reader->policy->n_tokens++] = seccomp_native_token();
	for (size_t i = 0; i < json_array_size(list); i++)
		if (add_mode(reader, list, "architectures", i) < 0)
			return -1;
	return read_map(reader, map);
}

static int read_flags(struct reader *reader, const json_t *profile)
{
	static const struct {
		const char *name;
		unsigned flag;
	} flags[] = {
		{ "SECCOMP_FILTER_FLAG_TSYNC", 0 }, /* there is one thread */
		{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
		{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", 0 }, /* always */
	};
	const json_t *list;

	if (reader_list(reader, profile, "", "flags", &list) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = reader_text_at(reader, list, "flags", i);
		size_t k = 0;

		while (text && k < ARRAY_SIZE(flags) && strcmp(flags[k].name, text))
			k++;
		if (!text)
			return -1;
		if (k == ARRAY_SIZE(flags))
			return reader_fail(reader, reader_index(reader, "flags", i),
					   "unknown flag \"%.40s\"", text);
		reader->policy->flags |= flags[k].flag;
	}
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

static int read_profile(struct reader *reader, const json_t *profile)
{
	static const char *const keys[] = { "defaultAction", "defaultErrnoRet", "defaultErrno",
					    "architectures", "archMap",		"flags",
					    "syscalls",	     "comment" };
	struct policy *policy = reader->policy;

	if (reader_check_keys(reader, profile, "", keys, ARRAY_SIZE(keys)) < 0 ||
	    policy_read_action(reader, profile, "", "defaultAction", "defaultErrnoRet",
			       "defaultErrno", &policy->default_action) < 0 ||
	    read_modes(reader, profile) < 0 || read_flags(reader, profile) < 0)
		return -1;
	policy->permissive = policy->default_action == SECCOMP_RET_ALLOW ||
			     policy->default_action == SECCOMP_RET_LOG;
	return read_entries(reader, profile);
}

int policy_read(struct arena *arena, const char *name, const char *text, size_t len,
		struct policy *ret_policy, struct err *err)
{
	struct policy policy = { 0 };
	struct reader reader = { .name = name, .arena = arena, .policy = &policy, .err = err };
	cleanup_json json_t *profile = NULL;

	if (js_parse(name, text, len, &profile, err) < 0 || read_profile(&reader, profile) < 0)
		return -1;
	*ret_policy = policy;
	return 0;
}
