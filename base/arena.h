/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/* base/arena.h: memory that is freed all at once: one arena per parsed file, one per plan. */

#include <stddef.h>

struct arena;

struct arena *arena_new(void);

/*
 * From now on, what the arena needs beyond its first `keep` bytes comes from an unnamed file in
 * the directory (of the caller, who keeps it open as long as the arena is used), mapped: memory
 * that the system can take back. Where no such file can be made, or has no room, it comes from the
 * heap as before.
 */
void arena_spill(struct arena *arena, int dir_fd, size_t keep);

/* Let go of the pages of that file: nothing is lost, what is touched next is read again. To be
 * called every so often by who goes through much of an arena; any thread may, at any time. */
void arena_let_go(struct arena *arena);

void arena_free(struct arena *arena); /* NULL is fine */

/* Zeroed memory, aligned for any type, valid until arena_free(). */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *arena, const char *text) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *arena, const char *text, size_t len)
	__attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

/* grow_vector() for a vector that lives in the arena; what it outgrows stays until the end. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t *cap, size_t size);

#endif
