/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK_SIZE 16384

struct chunk {
	struct chunk *next;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct chunk *chunks; /* the one in use first */
	size_t used;	      /* bytes of it */
	size_t size;
};

struct arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct arena));
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	while (arena->chunks) {
		struct chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
	free(arena);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	void *got;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + align - 1) / align * align;
	if (!arena->chunks || size > arena->size - arena->used) {
		size_t want = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		struct chunk *chunk = xcalloc(1, sizeof(*chunk) + want);

		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->used = 0;
		arena->size = want;
	}
	got = arena->chunks->bytes + arena->used;
	arena->used += size;
	return got;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy = arena_alloc(arena, len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	return arena_strdup(arena, text);
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t *cap, size_t size)
{
	void *bigger;

	if (count < *cap)
		return items;
	*cap = *cap ? *cap * 2 : 4;
	bigger = arena_alloc(arena, *cap * size);
	if (count)
		memcpy(bigger, items, count * size);
	return bigger;
}
