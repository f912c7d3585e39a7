/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"

#define PIECE  1000
#define PIECES 64000 /* 64 MB in all */
#define KEEP   ((size_t)1 << 20)

/* Pages of memory of this process. */
static long resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size = 0, pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &pages), 2);
	fclose(file);
	return pages;
}

static unsigned char **fill(struct arena *arena)
{
	unsigned char **pieces = xmalloc(PIECES * sizeof(*pieces));

	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = arena_alloc(arena, PIECE);
		assert_int_equal(pieces[i][0], 0);
		assert_int_equal(pieces[i][PIECE - 1], 0);
		memset(pieces[i], (int)(i % 251 + 1), PIECE);
	}
	return pieces;
}

static void check(unsigned char **pieces)
{
	for (size_t i = 0; i < PIECES; i++) {
		assert_int_equal(pieces[i][0], i % 251 + 1);
		assert_int_equal(pieces[i][PIECE - 1], i % 251 + 1);
	}
}

/* A directory to spill to. Not every file system has unnamed files. */
static int open_place(void)
{
	int dir = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(dir >= 0);
	if (fd < 0)
		skip();
	close(fd);
	return dir;
}

static void test_arena__spilled_memory_is_let_go_and_kept(void **state)
{
	struct arena *arena = arena_new();
	int dir = open_place();
	long before = resident(), page = sysconf(_SC_PAGESIZE);
	cleanup_free unsigned char **pieces = NULL;

	(void)state;
	arena_spill(arena, dir, KEEP);
	pieces = fill(arena);
	assert_in_range((resident() - before) * page, 0, 8 << 20);
	check(pieces);
	assert_true((resident() - before) * page > 32 << 20); /* all of it was read again */
	arena_let_go(arena);
	assert_in_range((resident() - before) * page, 0, 8 << 20);
	check(pieces);
	arena_free(arena);
	close(dir);
}

static void test_arena__larger_than_a_window(void **state)
{
	const size_t size = (size_t)5 << 20;
	struct arena *arena = arena_new();
	int dir = open_place();
	unsigned char *bytes;

	(void)state;
	arena_spill(arena, dir, 0);
	bytes = arena_alloc(arena, size);
	memset(bytes, 7, size);
	arena_let_go(arena);
	assert_int_equal(bytes[0], 7);
	assert_int_equal(bytes[size - 1], 7);
	assert_string_equal(arena_strdup(arena, "after it"), "after it");
	arena_free(arena);
	close(dir);
}

/* Where no file can be made, all comes from the heap. */
static void test_arena__no_place_to_spill(void **state)
{
	cleanup_free unsigned char **pieces = NULL;
	struct arena *arena = arena_new();
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	arena_spill(arena, dir, KEEP);
	pieces = fill(arena);
	arena_let_go(arena);
	check(pieces);
	arena_free(arena);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena__spilled_memory_is_let_go_and_kept),
		cmocka_unit_test(test_arena__larger_than_a_window),
		cmocka_unit_test(test_arena__no_place_to_spill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
