/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks from the heap, and from a file once an arena that may spill has become large. Pages of the
 * file count as memory of the process only between being touched and arena_let_go(); the space is
 * reserved before it is mapped, so that a full disk is noticed here and not by a signal later.
 */
#include "base/arena.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define CHUNK_SIZE  16384
#define WINDOW_SIZE ((size_t)2 << 20) /* of the file, mapped at once */

struct chunk {
	struct chunk *next;
	unsigned char *bytes; /* what follows this, or a mapping */
	size_t mapped;	      /* bytes of that; 0 for a chunk of the heap */
	_Alignas(max_align_t) unsigned char own[];
};

/* What an arena needs to spill. Apart, for most never do. */
struct spill {
	pthread_mutex_t lock; /* of the list of chunks, for arena_let_go() by other threads */
	int dir_fd;
	int fd; /* -1: not made yet */
	size_t keep;
	off_t end;
	bool broken; /* there is no file, or no room: the heap it is */
};

struct arena {
	struct chunk *chunks; /* the one in use first */
	size_t used;	      /* bytes of it */
	size_t size;
	size_t total; /* bytes of all */
	struct spill *spill;
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

		if (arena->chunks->mapped)
			munmap(arena->chunks->bytes, arena->chunks->mapped);
		free(arena->chunks);
		arena->chunks = next;
	}
	if (arena->spill) {
		if (arena->spill->fd >= 0)
			close(arena->spill->fd);
		pthread_mutex_destroy(&arena->spill->lock);
		free(arena->spill);
	}
	free(arena);
}

/* --- the file --------------------------------------------------------------------------------- */

void arena_spill(struct arena *arena, int dir_fd, size_t keep)
{
	struct spill *spill = xcalloc(1, sizeof(*spill));

	pthread_mutex_init(&spill->lock, NULL);
	spill->dir_fd = dir_fd;
	spill->fd = -1;
	spill->keep = keep;
	arena->spill = spill;
}

static void let_go(const struct chunk *chunk)
{
	for (; chunk; chunk = chunk->next)
		if (chunk->mapped)
			madvise(chunk->bytes, chunk->mapped, MADV_DONTNEED);
}

void arena_let_go(struct arena *arena)
{
	if (!arena->spill)
		return;
	pthread_mutex_lock(&arena->spill->lock);
	let_go(arena->chunks);
	pthread_mutex_unlock(&arena->spill->lock);
}

/* The next `size` bytes of the file, or NULL when there are none to be had. */
static void *map_window(struct spill *spill, size_t size)
{
	void *got;

	if (spill->fd < 0)
		spill->fd = openat(spill->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (spill->fd < 0 || fallocate(spill->fd, 0, spill->end, (off_t)size) < 0)
		return NULL;
	got = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, spill->fd, spill->end);
	if (got == MAP_FAILED)
		return NULL;
	spill->end += (off_t)size;
	return got;
}

/* A chunk of the file of at least `want` bytes, which is set to what it has. */
static struct chunk *spilled_chunk(struct arena *arena, size_t *want)
{
	size_t size = (*want + WINDOW_SIZE - 1) / WINDOW_SIZE * WINDOW_SIZE;
	struct spill *spill = arena->spill;
	struct chunk *chunk;
	void *bytes;

	if (!spill || spill->broken || arena->total < spill->keep)
		return NULL;
	bytes = map_window(spill, size);
	if (!bytes) {
		spill->broken = true;
		return NULL;
	}
	let_go(arena->chunks);
	chunk = xcalloc(1, sizeof(*chunk));
	chunk->bytes = bytes;
	*want = chunk->mapped = size;
	return chunk;
}

/* --- chunks ----------------------------------------------------------------------------------- */

static void add_chunk(struct arena *arena, size_t want)
{
	struct spill *spill = arena->spill;
	struct chunk *chunk;

	if (spill)
		pthread_mutex_lock(&spill->lock);
	chunk = spilled_chunk(arena, &want);
	if (!chunk) {
		chunk = xcalloc(1, sizeof(*chunk) + want);
		chunk->bytes = chunk->own;
	}
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->used = 0;
	arena->size = want;
	arena->total += want;
	if (spill)
		pthread_mutex_unlock(&spill->lock);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	void *got;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + align - 1) / align * align;
	if (!arena->chunks || size > arena->size - arena->used)
		add_chunk(arena, size > CHUNK_SIZE ? size : CHUNK_SIZE);
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
