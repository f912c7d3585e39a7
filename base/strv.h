/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_STRV_H
#define BASE_STRV_H

/* base/strv.h: a NULL-terminated vector of strings that owns them: argument lists, environments. */

#include <stddef.h>

struct strv {
	char **v; /* n strings and a NULL; NULL itself while empty */
	size_t n;
	size_t cap;
};

#define STRV_INIT                                                                                  \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

void strv_release(struct strv *strv);
void strv_wipe(struct strv *strv); /* the same for what holds a secret: zeroed first */
void strv_add(struct strv *strv, const char *text);		 /* a copy of text */
void strv_addn(struct strv *strv, const char *text, size_t len); /* a copy of len bytes */
void strv_addf(struct strv *strv, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strv_extend(struct strv *strv, const struct strv *more);

/* Remove element i; the order of the others stays. */
void strv_remove(struct strv *strv, size_t i);

/* The vector as execve() takes it, never NULL. */
char *const *strv_argv(const struct strv *strv);

/* Environments, "NAME=value" each. The value, or NULL when the name is absent. */
const char *env_get(const struct strv *env, const char *name);

/* Set a name: in place when it is there (docker keeps the order), else at the end. */
void env_set(struct strv *env, const char *name, const char *value);

#define cleanup_strv __attribute__((__cleanup__(strv_release)))

#endif
