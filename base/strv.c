/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void strv_release(struct strv *strv)
{
	for (size_t i = 0; i < strv->n; i++)
		free(strv->v[i]);
	free(strv->v);
	*strv = (struct strv)STRV_INIT;
}

void strv_wipe(struct strv *strv)
{
	for (size_t i = 0; i < strv->n; i++)
		explicit_bzero(strv->v[i], strlen(strv->v[i]));
	strv_release(strv);
}

static void add_owned(struct strv *strv, char *text)
{
	strv->v = grow_vector(strv->v, strv->n + 1, &strv->cap, sizeof(char *));
	strv->v[strv->n++] = text;
	strv->v[strv->n] = NULL;
}

void strv_add(struct strv *strv, const char *text)
{
	add_owned(strv, xstrdup(text));
}

void strv_addn(struct strv *strv, const char *text, size_t len)
{
	add_owned(strv, xstrndup(text, len));
}

void strv_addf(struct strv *strv, const char *format, ...)
{
	char *text;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	add_owned(strv, text);
}

void strv_extend(struct strv *strv, const struct strv *more)
{
	for (size_t i = 0; i < more->n; i++)
		strv_add(strv, more->v[i]);
}

void strv_remove(struct strv *strv, size_t i)
{
	free(strv->v[i]);
	memmove(&strv->v[i], &strv->v[i + 1], (strv->n - i) * sizeof(char *));
	strv->n--;
}

char *const *strv_argv(const struct strv *strv)
{
	static char *const none[] = { NULL };

	return strv->v ? strv->v : none;
}

static char **env_find(const struct strv *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], name, len) && env->v[i][len] == '=')
			return &env->v[i];
	return NULL;
}

const char *env_get(const struct strv *env, const char *name)
{
	char **found = env_find(env, name);

	return found ? *found + strlen(name) + 1 : NULL;
}

void env_set(struct strv *env, const char *name, const char *value)
{
	char **found = env_find(env, name);

	if (!found) {
		strv_addf(env, "%s=%s", name, value);
		return;
	}
	free(*found);
	*found = xasprintf("%s=%s", name, value);
}
