/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference of two keys by their parts. Nothing here knows what a part means, but for the
 * environment, whose variables are compared one by one: a part that is new to cbuild is explained
 * without a change here.
 */
#include "builder/report.h"

#include <string.h>

#include "base/buf.h"

#define VALUE_MAX 16384 /* bytes of a list put together */

static const char *part_name(const json_t *part)
{
	const char *name = json_string_value(json_array_get(part, 0));

	return name ? name : "";
}

static const char *part_value(const json_t *part)
{
	const char *value = json_string_value(json_array_get(part, 1));

	return value ? value : "";
}

const char *parts_get(const json_t *parts, const char *name)
{
	for (size_t i = 0; i < json_array_size(parts); i++)
		if (!strcmp(part_name(json_array_get(parts, i)), name))
			return part_value(json_array_get(parts, i));
	return NULL;
}

/* All values of one name, in order; they stay the parts'. */
struct values {
	const char **v;
	size_t n, cap;
};

static struct values values_of(const json_t *parts, const char *name)
{
	struct values values = { 0 };

	for (size_t i = 0; i < json_array_size(parts); i++) {
		const json_t *part = json_array_get(parts, i);

		if (strcmp(part_name(part), name))
			continue;
		values.v = grow_vector(values.v, values.n, &values.cap, sizeof(*values.v));
		values.v[values.n++] = part_value(part);
	}
	return values;
}

static bool same_values(const struct values *a, const struct values *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]))
			return false;
	return true;
}

/* The values in one text; those that stand in `other` at the same place left out when both have as
 * many: of a command line in shell form only the command is shown. */
static char *join(const struct values *values, const struct values *other)
{
	struct buf text;

	if (!values->n)
		return NULL;
	buf_init(&text, VALUE_MAX);
	for (size_t i = 0; i < values->n; i++)
		if (values->n != other->n || strcmp(values->v[i], other->v[i]))
			buf_addf(&text, "%s%s", text.len ? " " : "", values->v[i]);
	return buf_steal(&text);
}

/* --- the environment -------------------------------------------------------------------------- */

static const char *value_of(const struct values *env, const char *entry)
{
	size_t len = strcspn(entry, "=");

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], entry, len) && env->v[i][len] == '=')
			return env->v[i] + len + 1;
	return NULL;
}

static const char *value_in(const char *entry)
{
	const char *equals = strchr(entry, '=');

	return equals ? equals + 1 : "";
}

static void diff_environment(const struct values *old, const struct values *new,
			     struct changes *changes)
{
	size_t before = changes->n;

	for (size_t i = 0; i < new->n; i++) {
		const char *was = value_of(old, new->v[i]), *is = value_in(new->v[i]);
		cleanup_free char *name = xstrndup(new->v[i], strcspn(new->v[i], "="));

		if (!was || strcmp(was, is))
			changes_add(changes, CHANGE_PART, "environment", name, was, is);
	}
	for (size_t i = 0; i < old->n; i++) {
		cleanup_free char *name = xstrndup(old->v[i], strcspn(old->v[i], "="));

		if (!value_of(new, old->v[i]))
			changes_add(changes, CHANGE_PART, "environment", name, value_in(old->v[i]),
				    NULL);
	}
	if (changes->n == before)
		changes_add(changes, CHANGE_PART, "environment", NULL, NULL, NULL); /* order */
}

/* --- all parts -------------------------------------------------------------------------------- */

static void diff_part(const json_t *old, const json_t *new, const char *name,
		      struct changes *changes)
{
	struct values was = values_of(old, name), is = values_of(new, name);

	if (same_values(&was, &is)) {
		/* nothing to say */
	} else if (!strcmp(name, "environment") && !was.n) {
		/* the record of a shared cache, which is not told it */
	} else if (!strcmp(name, "environment")) {
		diff_environment(&was, &is, changes);
	} else {
		cleanup_free char *was_text = join(&was, &is);
		cleanup_free char *is_text = join(&is, &was);

		changes_add(changes, CHANGE_PART, name, NULL, was_text, is_text);
	}
	free(was.v);
	free(is.v);
}

void parts_diff(const json_t *old, const json_t *new, struct changes *changes)
{
	const json_t *const sides[] = { new, old };
	cleanup_strv struct strv seen = STRV_INIT;
	size_t before = changes->n;

	strv_add(&seen, "files"); /* no part of the key: key_note() */
	for (size_t side = 0; side < ARRAY_SIZE(sides); side++) {
		for (size_t i = 0; i < json_array_size(sides[side]); i++) {
			const char *name = part_name(json_array_get(sides[side], i));
			size_t k = 0;

			while (k < seen.n && strcmp(seen.v[k], name))
				k++;
			if (k < seen.n)
				continue;
			strv_add(&seen, name);
			diff_part(old, new, name, changes);
		}
	}
	if (changes->n == before && !parts_get(old, "environment") && parts_get(new, "environment"))
		changes_add(changes, CHANGE_PART, "variables", NULL, NULL, NULL);
}
