/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One element of a profile's "syscalls": names, action, conditions, and whether it counts here. */
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "sandbox/seccomp_reader.h"

/* --- actions -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t action;
	bool has_errno;
} actions[] = {
	{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false },
	{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true },
	{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false },
	{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false },
	{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false },
	{ "SCMP_ACT_LOG", SECCOMP_RET_LOG, false },
	{ "SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true },
	{ "SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false },
};

/* What podman's profiles have beside the number. */
static int read_errno_name(struct reader *reader, const json_t *object, const char *parent,
			   const char *key, bool *given, uint64_t *number)
{
	const json_t *value;

	if (reader_get(reader, object, parent, key, JSON_STRING, "a string", &value) < 0)
		return -1;
	if (!value || !*json_string_value(value))
		return 0;
	for (int i = 1; i < 4096; i++) {
		const char *name = strerrorname_np(i);

		if (!name || strcmp(name, json_string_value(value)))
			continue;
		*given = true;
		*number = (uint64_t)i;
		return 0;
	}
	return reader_fail(reader, reader_join(reader, parent, key), "unknown error \"%.40s\"",
			   json_string_value(value));
}

int policy_read_action(struct reader *reader, const json_t *object, const char *parent,
		       const char *key, const char *ret_key, const char *errno_key,
		       uint32_t *ret_action)
{
	const char *path;
	const json_t *value;
	uint64_t number;
	bool given;
	size_t i = 0;

	if (reader_get(reader, object, parent, key, JSON_STRING, "a string", &value) < 0 ||
	    reader_number(reader, object, parent, ret_key, 4095, &given, &number) < 0 ||
	    read_errno_name(reader, object, parent, errno_key, &given, &number) < 0)
		return -1;
	path = reader_join(reader, parent, key);
	if (!value)
		return reader_fail(reader, path, "is missing");
	if (!strcmp(json_string_value(value), "SCMP_ACT_NOTIFY"))
		return err_set(reader->err, ERR_UNSUPPORTED,
			       "%s: %s: SCMP_ACT_NOTIFY needs a program that answers, which a "
			       "build has not",
			       reader->name, path);
	while (i < ARRAY_SIZE(actions) && strcmp(actions[i].name, json_string_value(value)))
		i++;
	if (i == ARRAY_SIZE(actions))
		return reader_fail(reader, path, "unknown action \"%.40s\"",
				   json_string_value(value));
	if (given && !actions[i].has_errno)
		return reader_fail(reader, reader_join(reader, parent, ret_key), "%s has no number",
				   actions[i].name);
	*ret_action = actions[i].action;
	if (actions[i].has_errno)
		*ret_action |= given ? (uint32_t)number : EPERM;
	return 0;
}

/* --- arguments ------------------------------------------------------------------------------ */

static int read_op(struct reader *reader, const json_t *object, const char *parent,
		   enum seccomp_op *ret_op)
{
	const char *path;
	static const char *const names[] = {
		[SECCOMP_OP_NE] = "SCMP_CMP_NE",
		[SECCOMP_OP_LT] = "SCMP_CMP_LT",
		[SECCOMP_OP_LE] = "SCMP_CMP_LE",
		[SECCOMP_OP_EQ] = "SCMP_CMP_EQ",
		[SECCOMP_OP_GE] = "SCMP_CMP_GE",
		[SECCOMP_OP_GT] = "SCMP_CMP_GT",
		[SECCOMP_OP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
	};
	const json_t *value;

	path = reader_join(reader, parent, "op");
	if (reader_get(reader, object, parent, "op", JSON_STRING, "a string", &value) < 0)
		return -1;
	for (size_t i = 0; value && i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], json_string_value(value))) {
			*ret_op = (enum seccomp_op)i;
			return 0;
		}
	return value ? reader_fail(reader, path, "unknown operator \"%.40s\"",
				   json_string_value(value))
		     : reader_fail(reader, path, "is missing");
}

/* With MASKED_EQ, value is the mask and valueTwo what is compared with. */
static int read_condition(struct reader *reader, const json_t *object, const char *path,
			  struct seccomp_condition *ret_condition)
{
	static const char *const keys[] = { "index", "value", "valueTwo", "op" };
	uint64_t index, value, second;
	bool has_index, given;

	if (reader_check_keys(reader, object, path, keys, ARRAY_SIZE(keys)) < 0 ||
	    reader_number(reader, object, path, "index", SECCOMP_ARGS - 1, &has_index, &index) <
		    0 ||
	    reader_number(reader, object, path, "value", INT64_MAX, &given, &value) < 0 ||
	    reader_number(reader, object, path, "valueTwo", INT64_MAX, &given, &second) < 0 ||
	    read_op(reader, object, path, &ret_condition->op) < 0)
		return -1;
	if (!has_index)
		return reader_fail(reader, reader_join(reader, path, "index"), "is missing");
	ret_condition->arg = (unsigned)index;
	ret_condition->value = ret_condition->op == SECCOMP_OP_MASKED_EQ ? second : value;
	ret_condition->mask = value;
	return 0;
}

/* Conditions on one argument are alternatives (as runc has it), on several they add up. */
static int read_args(struct reader *reader, const json_t *object, const char *parent,
		     struct policy_entry *entry)
{
	const char *list_path;
	const json_t *list;
	unsigned seen = 0;

	if (reader_list(reader, object, parent, "args", &list) < 0)
		return -1;
	list_path = reader_join(reader, parent, "args");
	if (json_array_size(list) > SECCOMP_ARGS)
		return reader_fail(reader, list_path, "more than %d conditions", SECCOMP_ARGS);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct seccomp_condition *condition = &entry->conditions[entry->n++];

		if (read_condition(reader, json_array_get(list, i),
				   reader_index(reader, list_path, i), condition) < 0)
			return -1;
		entry->any |= seen >> condition->arg & 1;
		seen |= 1U << condition->arg;
	}
	return 0;
}

/* --- which entries count -------------------------------------------------------------------- */

/* Whether a list names this processor, or a capability that a step has: any of them, or all. */
static int match_list(struct reader *reader, const json_t *object, const char *parent,
		      const char *key, bool (*has)(const char *), bool all, bool *ret_matches)
{
	const char *path;
	const json_t *list;
	size_t n = 0;

	if (reader_list(reader, object, parent, key, &list) < 0)
		return -1;
	path = reader_join(reader, parent, key);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = reader_text_at(reader, list, path, i);

		if (!text)
			return -1;
		n += has(text);
	}
	*ret_matches = all ? n == json_array_size(list) : n > 0;
	return 0;
}

static bool is_native(const char *name)
{
	return !strcmp(name, seccomp_native_name);
}

/* "4.8", and whatever may follow a release's first two numbers. */
static bool parse_release(const char *text, bool whole, unsigned version[2])
{
	static const char digits[] = "0123456789";
	size_t major = strspn(text, digits);
	size_t minor = text[major] == '.' ? strspn(text + major + 1, digits) : 0;

	if (!major || major > 4 || !minor || minor > 4 || (whole && text[major + 1 + minor]))
		return false;
	version[0] = (unsigned)strtoul(text, NULL, 10);
	version[1] = (unsigned)strtoul(text + major + 1, NULL, 10);
	return true;
}

/* Without a minKernel it is not `given`. */
static int match_kernel(struct reader *reader, const json_t *object, const char *parent,
			bool *ret_given, bool *ret_reached)
{
	const json_t *value;
	unsigned wanted[2], here[2];
	struct utsname name;

	if (reader_get(reader, object, parent, "minKernel", JSON_STRING, "a string", &value) < 0)
		return -1;
	*ret_given = value;
	*ret_reached = true;
	if (!value)
		return 0;
	if (!parse_release(json_string_value(value), true, wanted))
		return reader_fail(reader, reader_join(reader, parent, "minKernel"),
				   "\"%.40s\" is not a version such as \"4.8\"",
				   json_string_value(value));
	if (uname(&name) < 0 || !parse_release(name.release, false, here))
		return err_set(reader->err, ERR_UNSUPPORTED,
			       "the kernel does not tell its version");
	*ret_reached = here[0] > wanted[0] || (here[0] == wanted[0] && here[1] >= wanted[1]);
	return 0;
}

static int match_filters(struct reader *reader, const json_t *object, const char *parent,
			 bool *ret_counts)
{
	const char *in, *out;
	static const char *const keys[] = { "arches", "caps", "minKernel" };
	const json_t *includes, *excludes;
	bool no_arch, no_cap, kernel_given, no_kernel, arch = true, caps = true, kernel = true;

	in = reader_join(reader, parent, "includes");
	out = reader_join(reader, parent, "excludes");
	if (reader_get(reader, object, parent, "includes", JSON_OBJECT, "an object", &includes) <
		    0 ||
	    reader_get(reader, object, parent, "excludes", JSON_OBJECT, "an object", &excludes) <
		    0 ||
	    (includes && reader_check_keys(reader, includes, in, keys, ARRAY_SIZE(keys)) < 0) ||
	    (excludes && reader_check_keys(reader, excludes, out, keys, ARRAY_SIZE(keys)) < 0) ||
	    match_list(reader, excludes, out, "arches", is_native, false, &no_arch) < 0 ||
	    match_list(reader, excludes, out, "caps", caps_is_default, false, &no_cap) < 0 ||
	    match_kernel(reader, excludes, out, &kernel_given, &no_kernel) < 0)
		return -1;
	no_kernel &= kernel_given;
	if (json_array_size(json_object_get(includes, "arches")) > 0 &&
	    match_list(reader, includes, in, "arches", is_native, false, &arch) < 0)
		return -1;
	if (match_list(reader, includes, in, "caps", caps_is_default, true, &caps) < 0 ||
	    match_kernel(reader, includes, in, &kernel_given, &kernel) < 0)
		return -1;
	*ret_counts = !no_arch && !no_cap && !no_kernel && arch && caps && kernel;
	return 0;
}

/* --- "syscalls" ----------------------------------------------------------------------------- */

static int read_names(struct reader *reader, const json_t *object, const char *path,
		      struct policy_entry *entry)
{
	const char *at;
	const json_t *name, *names;

	if (reader_get(reader, object, path, "name", JSON_STRING, "a string", &name) < 0 ||
	    reader_list(reader, object, path, "names", &names) < 0)
		return -1;
	if (name && !*json_string_value(name))
		name = NULL;
	if (name && json_array_size(names))
		return reader_fail(reader, path, "has both \"name\" and \"names\"");
	at = reader_join(reader, path, "names");
	if (!name && !json_array_size(names))
		return reader_fail(reader, at, "is missing");
	entry->names =
		arena_alloc(reader->arena, (json_array_size(names) + 1) * sizeof(*entry->names));
	if (name)
		entry->names[entry->n_names++] =
			arena_strdup(reader->arena, json_string_value(name));
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *text = reader_text_at(reader, names, at, i);

		if (!text)
			return -1;
		entry->names[entry->n_names++] = arena_strdup(reader->arena, text);
	}
	return 0;
}

int policy_read_entry(struct reader *reader, const json_t *object, const char *path,
		      struct policy_entry *entry)
{
	static const char *const keys[] = { "name", "names",   "action",   "errnoRet", "errno",
					    "args", "comment", "includes", "excludes" };

	if (reader_check_keys(reader, object, path, keys, ARRAY_SIZE(keys)) < 0 ||
	    read_names(reader, object, path, entry) < 0 ||
	    policy_read_action(reader, object, path, "action", "errnoRet", "errno",
			       &entry->action) < 0 ||
	    read_args(reader, object, path, entry) < 0 ||
	    match_filters(reader, object, path, &entry->counts) < 0)
		return -1;
	return 0;
}
