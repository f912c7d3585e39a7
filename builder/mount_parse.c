/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN --mount as text (Dockerfile reference, "RUN --mount"): a table of keys, what each is for,
 * and the checks that need all of them. A key that a type has no use for is an error: what is
 * written is meant.
 */
#include "builder/mount.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/size.h"

#define WITH_FROM  (MOUNT_BIND | MOUNT_CACHE)
#define WITH_ID	   (MOUNT_CACHE | MOUNT_SECRET | MOUNT_SSH)
#define WITH_WRITE (MOUNT_BIND | MOUNT_CACHE | MOUNT_TMPFS)
#define ALL	   (WITH_ID | WITH_WRITE)

enum field {
	FIELD_TYPE,
	FIELD_FROM,
	FIELD_SOURCE,
	FIELD_TARGET,
	FIELD_ID,
	FIELD_ENV,
	FIELD_SHARING,
	FIELD_SIZE,
	FIELD_MODE,
	FIELD_UID,
	FIELD_GID,
	FIELD_REQUIRED,
	FIELD_RO,
	FIELD_RW,
	FIELDS,
};

static const struct {
	const char *key;
	enum field field;
	unsigned types;
	bool boolean; /* may stand alone */
} known[] = {
	{ "type", FIELD_TYPE, ALL, false },
	{ "from", FIELD_FROM, WITH_FROM, false },
	{ "source", FIELD_SOURCE, WITH_FROM | MOUNT_SECRET, false },
	{ "src", FIELD_SOURCE, WITH_FROM | MOUNT_SECRET, false },
	{ "target", FIELD_TARGET, ALL, false },
	{ "dst", FIELD_TARGET, ALL, false },
	{ "destination", FIELD_TARGET, ALL, false },
	{ "id", FIELD_ID, WITH_ID, false },
	{ "env", FIELD_ENV, MOUNT_SECRET, false },
	{ "sharing", FIELD_SHARING, MOUNT_CACHE, false },
	{ "size", FIELD_SIZE, MOUNT_TMPFS, false },
	{ "tmpfs-size", FIELD_SIZE, MOUNT_TMPFS, false },
	{ "mode", FIELD_MODE, WITH_ID | MOUNT_TMPFS, false },
	{ "tmpfs-mode", FIELD_MODE, MOUNT_TMPFS, false },
	{ "uid", FIELD_UID, WITH_ID, false },
	{ "gid", FIELD_GID, WITH_ID, false },
	{ "required", FIELD_REQUIRED, MOUNT_SECRET | MOUNT_SSH, true },
	{ "ro", FIELD_RO, ALL, true },
	{ "readonly", FIELD_RO, ALL, true },
	{ "rw", FIELD_RW, WITH_WRITE, true },
	{ "readwrite", FIELD_RW, WITH_WRITE, true },
};

static const char *const type_names[] = { "bind", "cache", "tmpfs", "secret", "ssh" };
static const char *const sharing_names[] = { "shared", "locked", "private" };

/* One --mount while it is parsed. */
struct parse {
	const struct dockerfile *dockerfile;
	const struct stage *stage;
	const struct flag *flag;
	struct mount_request *request;
	char *values[FIELDS];	  /* expanded; NULL: not given */
	const char *keys[FIELDS]; /* as each was spelled */
};

const char *mount_type_name(enum mount_type type)
{
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(type_names) && type != 1U << i)
		i++;
	return type_names[i];
}

int mount_error(const struct dockerfile *dockerfile, const struct mount_request *request,
		const struct err *why, struct err *err)
{
	return dockerfile_error(dockerfile, request->flag->range, why->kind, err, "--mount: %s",
				why->message);
}

static int fail(const struct parse *parse, struct err *err, const char *before, const char *what,
		const char *after)
{
	return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
				"--mount: %s\"%s\"%s", before, what, after);
}

/* --- key=value -------------------------------------------------------------------------------- */

static int unknown_key(const struct parse *parse, const char *key, struct err *err)
{
	const char *names[ARRAY_SIZE(known)];
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		names[i] = known[i].key;
	near = suggest(key, names, ARRAY_SIZE(known));
	return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
				"--mount: unexpected key \"%s\"%s%s%s", key,
				near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static int take_option(struct parse *parse, const struct flag_option *option, struct err *err)
{
	struct word word = { .text = option->value, .range = parse->flag->range };
	size_t i = 0;
	char **place;

	while (i < ARRAY_SIZE(known) && strcmp(known[i].key, option->key))
		i++;
	if (i == ARRAY_SIZE(known))
		return unknown_key(parse, option->key, err);
	if (!option->has_value && !known[i].boolean)
		return fail(parse, err, "invalid field ", option->key,
			    ": it must be a key=value pair");
	place = &parse->values[known[i].field];
	parse->keys[known[i].field] = known[i].key;
	free(steal_pointer(place));
	if (known[i].field == FIELD_FROM) { /* the parser has refused variables */
		*place = xstrdup(option->value);
		return 0;
	}
	return scope_expand(parse->dockerfile, &parse->stage->env, &word, place, err);
}

DEFINE_CLEANUP(struct arena *, arena_free)

static int take_options(struct parse *parse, struct err *err)
{
	cleanup_with(arena_free) struct arena *arena = arena_new();
	struct flag_option *options;
	struct err why = ERR_INIT;
	size_t n;

	if (flag_options_parse(arena, parse->flag->value, &options, &n, &why) < 0)
		return dockerfile_error(parse->dockerfile, parse->flag->range, why.kind, err,
					"--mount: %s", why.message);
	for (size_t i = 0; i < n; i++)
		if (take_option(parse, &options[i], err) < 0)
			return -1;
	return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

/* As Go's ParseBool; a key that stands alone is true. */
static int parse_bool(const struct parse *parse, enum field field, bool *ret_value, struct err *err)
{
	static const char *const texts[] = { "",  "1", "t", "T",     "true",  "TRUE", "True",
					     "0", "f", "F", "false", "FALSE", "False" };
	const char *value = parse->values[field];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (!strcmp(texts[i], value)) {
			*ret_value = i < 7;
			return 0;
		}
	}
	return fail(parse, err, "invalid value of a yes-or-no option: ", value, "");
}

static int parse_number(const struct parse *parse, enum field field, int base, unsigned long max,
			unsigned *ret_number, struct err *err)
{
	const char *value = parse->values[field];
	unsigned long number;
	char *end;

	if (!value)
		return 0;
	errno = 0;
	number = strtoul(value, &end, base);
	if (!isdigit((unsigned char)*value) || *end || errno || number > max)
		return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
					"--mount: invalid value \"%s\" of %s", value,
					parse->keys[field]);
	*ret_number = (unsigned)number;
	return 0;
}

/* The place of text in names, or -1. */
static int find_name(const char *text, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(text, names[i]))
			return (int)i;
	return -1;
}

/* `expected` is the names in words, for when none is near. */
static int not_one_of(const struct parse *parse, const char *what, const char *text,
		      const char *const *names, size_t n, const char *expected, struct err *err)
{
	const char *near = suggest(text, names, n);

	return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
				"--mount: unsupported %s \"%s\" (%s%s%s", what, text,
				near ? "did you mean " : "expected ", near ? near : expected,
				near ? "?)" : ")");
}

static int take_type(struct parse *parse, struct err *err)
{
	const char *text = parse->values[FIELD_TYPE];
	int i = text ? find_name(text, type_names, ARRAY_SIZE(type_names)) : 0;

	if (i < 0)
		return not_one_of(parse, "mount type", text, type_names, ARRAY_SIZE(type_names),
				  "bind, cache, tmpfs, secret or ssh", err);
	parse->request->type = 1U << i;
	for (size_t k = 0; k < ARRAY_SIZE(known); k++)
		if (parse->keys[known[k].field] == known[k].key &&
		    !(known[k].types & parse->request->type))
			return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID,
						err, "--mount: %s is not an option of type=%s",
						known[k].key, type_names[i]);
	return 0;
}

static int take_sharing(struct parse *parse, struct err *err)
{
	const char *text = parse->values[FIELD_SHARING];
	int i = text ? find_name(text, sharing_names, ARRAY_SIZE(sharing_names)) : 0;

	if (i < 0)
		return not_one_of(parse, "sharing value", text, sharing_names,
				  ARRAY_SIZE(sharing_names), "shared, private or locked", err);
	parse->request->sharing = (enum mount_sharing)i;
	return 0;
}

static int take_access(struct parse *parse, struct err *err)
{
	bool value = false;

	parse->request->read_only = parse->request->type == MOUNT_BIND;
	if (parse->values[FIELD_RO]) {
		if (parse_bool(parse, FIELD_RO, &value, err) < 0)
			return -1;
		parse->request->read_only = value;
	}
	if (parse->values[FIELD_RW]) {
		if (parse_bool(parse, FIELD_RW, &value, err) < 0)
			return -1;
		if (parse->values[FIELD_RO] && parse->request->read_only == value)
			return fail(parse, err, "ro and ", parse->keys[FIELD_RW],
				    " contradict each other");
		parse->request->read_only = !value;
	}
	if (parse->values[FIELD_REQUIRED])
		return parse_bool(parse, FIELD_REQUIRED, &parse->request->required, err);
	return 0;
}

static int take_numbers(struct parse *parse, struct err *err)
{
	struct mount_request *request = parse->request;
	const char *size = parse->values[FIELD_SIZE];

	request->mode = request->type == MOUNT_SECRET ? 0400
			: request->type == MOUNT_SSH  ? 0600
						      : 0755;
	if (size && size_parse(size, &request->size) < 0)
		return fail(parse, err, "invalid size ", size, "");
	request->owned =
		parse->values[FIELD_MODE] || parse->values[FIELD_UID] || parse->values[FIELD_GID];
	if (parse_number(parse, FIELD_MODE, 8, 07777, &request->mode, err) < 0 ||
	    parse_number(parse, FIELD_UID, 10, UINT32_MAX - 1, &request->uid, err) < 0)
		return -1;
	return parse_number(parse, FIELD_GID, 10, UINT32_MAX - 1, &request->gid, err);
}

/* --- target and id ---------------------------------------------------------------------------- */

static bool is_variable_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	return name[strspn(name,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] ==
	       '\0';
}

/* Of a path, the last component; "" when there is none. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A secret is named by id, or by source, or by the end of its target; it is a file unless it is
 * only a variable. */
static int take_secret(struct parse *parse, struct err *err)
{
	struct mount_request *request = parse->request;
	char **values = parse->values;
	const char *name;

	request->env = steal_pointer(&values[FIELD_ENV]);
	if (request->env && !is_variable_name(request->env))
		return fail(parse, err, "not the name of a variable: ", request->env, "");
	if (values[FIELD_SOURCE] && *values[FIELD_SOURCE])
		request->id = steal_pointer(&values[FIELD_SOURCE]);
	else if (values[FIELD_ID] && *values[FIELD_ID])
		request->id = steal_pointer(&values[FIELD_ID]);
	else if (values[FIELD_TARGET])
		request->id = xstrdup(base_name(values[FIELD_TARGET]));
	if (!request->id || !*request->id)
		return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
					"--mount: a secret needs an id or a target");
	if (values[FIELD_TARGET] || request->env)
		return 0;
	name = base_name(request->id);
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return fail(parse, err, "the secret ", request->id, " needs a target");
	values[FIELD_TARGET] = xasprintf("/run/secrets/%s", name);
	return 0;
}

static int take_target(struct parse *parse, struct err *err)
{
	struct mount_request *request = parse->request;
	const char *target = parse->values[FIELD_TARGET];

	if (!target && (request->type == MOUNT_SSH || request->env))
		return 0;
	if (!target || !*target)
		return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
					"--mount: target is missing");
	request->target = stage_path(parse->stage, target, false);
	if (!strcmp(request->target, "/"))
		return dockerfile_error(parse->dockerfile, parse->flag->range, ERR_INVALID, err,
					"--mount: invalid mount target \"%s\": the root itself",
					target);
	return 0;
}

static int check(struct parse *parse, struct err *err)
{
	struct mount_request *request = parse->request;
	char **values = parse->values;

	if (take_type(parse, err) < 0 || take_sharing(parse, err) < 0 ||
	    take_access(parse, err) < 0 || take_numbers(parse, err) < 0)
		return -1;
	if (request->type == MOUNT_SECRET && take_secret(parse, err) < 0)
		return -1;
	if (take_target(parse, err) < 0)
		return -1;
	if (request->type == MOUNT_CACHE && values[FIELD_SOURCE] && !values[FIELD_FROM])
		return dockerfile_error(
			parse->dockerfile, parse->flag->range, ERR_INVALID, err,
			"--mount: source of a cache needs from=, the stage or image "
			"that a new cache is filled from");
	if (values[FIELD_FROM] && !*values[FIELD_FROM])
		return fail(parse, err, "", "from", " is empty");
	request->from = steal_pointer(&values[FIELD_FROM]);
	request->source = steal_pointer(&values[FIELD_SOURCE]);
	if (!request->id && values[FIELD_ID] && *values[FIELD_ID])
		request->id = steal_pointer(&values[FIELD_ID]);
	if (!request->id && request->type == MOUNT_CACHE)
		request->id = xstrdup(request->target);
	if (!request->id && request->type == MOUNT_SSH)
		request->id = xstrdup("default");
	return 0;
}

int mount_parse(const struct dockerfile *dockerfile, const struct stage *stage,
		const struct flag *flag, struct mount_request *ret_request, struct err *err)
{
	struct mount_request request = { .flag = flag };
	struct parse parse = {
		.dockerfile = dockerfile,
		.stage = stage,
		.flag = flag,
		.request = &request,
	};
	int status = -1;

	if (take_options(&parse, err) == 0 && check(&parse, err) == 0)
		status = 0;
	for (size_t i = 0; i < FIELDS; i++)
		free(parse.values[i]);
	if (status < 0)
		mount_request_release(&request);
	else
		*ret_request = request;
	return status;
}

void mount_request_release(struct mount_request *request)
{
	free(request->target);
	free(request->from);
	free(request->source);
	free(request->id);
	free(request->env);
	*request = (struct mount_request){ 0 };
}
