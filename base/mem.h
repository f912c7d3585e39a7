/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_MEM_H
#define BASE_MEM_H

/*
 * base/mem.h: allocation that cannot fail, and cleaners for local variables. A size that comes
 * from outside is checked against a named limit before it gets here.
 */

#include <stddef.h>
#include <stdlib.h>

/* As malloc() and friends; they abort when memory is exhausted or a product overflows. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/*
 * Make room for one element more in a vector: *items has `count` elements of `size` bytes and a
 * capacity of *cap; doubles when full.
 */
void *grow_vector(void *items, size_t count, size_t *cap, size_t size);

#define cleanup_with(function) __attribute__((__cleanup__(function##_at)))

/* Make function##_at(), which cleanup_with(function) calls with the variable's address. */
#define DEFINE_CLEANUP(type, function)                                                             \
	static inline __attribute__((unused)) void function##_at(type *place)                      \
	{                                                                                          \
		if (*place)                                                                        \
			function(*place);                                                          \
	}

static inline void mem_free_at(void *place)
{
	free(*(void **)place);
}

#define cleanup_free __attribute__((__cleanup__(mem_free_at)))

/* The value of a pointer variable, which is NULL afterwards: ownership moves. */
#define steal_pointer(place)                                                                       \
	({                                                                                         \
		__typeof__(*(place)) stolen_ = *(place);                                           \
		*(place) = NULL;                                                                   \
		stolen_;                                                                           \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
