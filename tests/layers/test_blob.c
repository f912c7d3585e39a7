/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "base/digest.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "tests/layers/store_fixture.h"

static unsigned count_files(struct fixture *fixture, const char *dir)
{
	cleanup_free char *command = xasprintf("%s/%s", fixture->path, dir);
	struct stat st;

	assert_int_equal(stat(command, &st), 0);
	return (unsigned)st.st_nlink - 2; /* subdirectories */
}

static void test_blob__put_and_read(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	cleanup_buf struct buf text;
	struct digest digest, expected;
	uint64_t size = 0;

	buf_init(&text, 100);
	digest_of("hello", 5, &expected);
	assert_false(blob_exists(fixture->store, &expected, NULL));
	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	assert_true(digest_equal(&digest, &expected));
	assert_true(blob_exists(fixture->store, &digest, &size));
	assert_int_equal(size, 5);
	assert_int_equal(blob_read(fixture->store, &digest, &text, &err), 0);
	assert_string_equal(text.data, "hello");
}

static void test_blob__writer_hashes_what_it_is_given(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct blob_writer *writer;
	struct digest digest, expected;
	struct hasher hasher;
	uint64_t size, sum = 0;
	static char block[300 * 1024];

	hasher_init(&hasher);
	assert_int_equal(blob_writer_open(fixture->store, &writer, &err), 0);
	for (size_t len = 0; len < sizeof(block); len = len * 3 + 1) { /* small and large writes */
		memset(block, (int)len, len);
		hasher_add(&hasher, block, len);
		sum += len;
		assert_int_equal(sink_write(blob_writer_sink(writer), block, len, &err), 0);
	}
	hasher_finish(&hasher, &expected);
	assert_int_equal(blob_writer_commit(writer, NULL, &digest, &size, &err), 0);
	blob_writer_free(writer);
	assert_true(digest_equal(&digest, &expected));
	assert_int_equal(size, sum);
	assert_true(blob_exists(fixture->store, &digest, &size));
	assert_int_equal(size, sum);
}

/* Large enough for each of the ways in which bytes are written. */
static void test_blob__a_large_one_hashed_beside(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest digest, expected, stored;
	struct blob_writer *writer;
	struct hasher hasher;
	uint64_t size, sum = 0;
	static char block[1200 * 1024];
	ssize_t got;
	int fd;

	hasher_init(&hasher);
	assert_int_equal(blob_writer_open(fixture->store, &writer, &err), 0);
	blob_writer_hash_beside(writer);
	for (unsigned i = 0; sum < 70 * 1024 * 1024; i++) {
		size_t len = i % 5 ? sizeof(block) - i : 100 + i;

		memset(block, (int)i, len);
		hasher_add(&hasher, block, len);
		assert_int_equal(sink_write(blob_writer_sink(writer), block, len, &err), 0);
		sum += len;
	}
	hasher_finish(&hasher, &expected);
	assert_int_equal(blob_writer_commit(writer, &expected, &digest, &size, &err), 0);
	blob_writer_free(writer);
	assert_true(digest_equal(&digest, &expected));
	assert_int_equal(size, sum);
	assert_int_equal(blob_open(fixture->store, &digest, &fd, NULL, &err), 0);
	hasher_init(&hasher);
	for (sum = 0; (got = read_all(fd, block, sizeof(block))) > 0; sum += (uint64_t)got)
		hasher_add(&hasher, block, (size_t)got);
	hasher_finish(&hasher, &stored);
	close(fd);
	assert_true(digest_equal(&stored, &expected));
	assert_int_equal(size, sum);
}

static void test_blob__wrong_digest_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct blob_writer *writer;
	struct digest want, got;

	digest_of("other", 5, &want);
	digest_of("bytes", 5, &got);
	assert_int_equal(blob_writer_open(fixture->store, &writer, &err), 0);
	assert_int_equal(sink_write(blob_writer_sink(writer), "bytes", 5, &err), 0);
	assert_int_equal(blob_writer_commit(writer, &want, NULL, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	blob_writer_free(writer);
	assert_false(blob_exists(fixture->store, &want, NULL));
	assert_false(blob_exists(fixture->store, &got, NULL));
	assert_int_equal(count_files(fixture, "tmp"), 0);
}

static void test_blob__told_digest_is_believed(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct blob_writer *writer;
	struct digest digest;
	uint64_t size;

	digest_of("copied", 6, &digest);
	assert_int_equal(blob_writer_open(fixture->store, &writer, &err), 0);
	assert_int_equal(write(blob_writer_fd(writer), "copied", 6), 6);
	blob_writer_set_digest(writer, &digest, 6);
	assert_int_equal(blob_writer_commit(writer, &digest, NULL, &size, &err), 0);
	assert_int_equal(size, 6);
	blob_writer_free(writer);
	assert_true(blob_exists(fixture->store, &digest, &size));
}

static char *path_of(const struct digest *digest, const char *suffix)
{
	char hex[DIGEST_HEX_MAX];

	return xasprintf("blobs/sha256/%s%s", digest_hex(digest, hex), suffix);
}

static void test_blob__damaged_one_is_set_aside(void **state)
{
	struct fixture *fixture = *state;
	int dir_fd = store_fd(fixture->store);
	struct err err = ERR_INIT;
	struct digest digest;
	cleanup_buf struct buf text;
	cleanup_free char *path = NULL, *aside = NULL;
	int fd;

	buf_init(&text, 100);
	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	path = path_of(&digest, "");
	aside = path_of(&digest, "~damaged");
	assert_int_equal(fchmodat(dir_fd, path, 0600, 0), 0);
	fd = openat(dir_fd, path, O_WRONLY);
	assert_int_equal(write(fd, "HELLO", 5), 5);
	close(fd);
	assert_int_equal(blob_read(fixture->store, &digest, &text, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(faccessat(dir_fd, aside, F_OK, 0), 0);
	assert_int_equal(blob_read(fixture->store, &digest, &text, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void test_blob__cut_one_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest digest;
	cleanup_buf struct buf text;
	cleanup_free char *path = NULL;

	buf_init(&text, 100);
	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	path = path_of(&digest, "");
	assert_int_equal(fchmodat(store_fd(fixture->store), path, 0600, 0), 0);
	close(openat(store_fd(fixture->store), path, O_WRONLY | O_TRUNC));
	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	assert_int_equal(blob_read(fixture->store, &digest, &text, &err), 0);
	assert_string_equal(text.data, "hello");
}

static void test_blob__reading_keeps_the_limit(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest digest;
	cleanup_buf struct buf text;

	buf_init(&text, 4);
	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	assert_int_equal(blob_read(fixture->store, &digest, &text, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
}

static void test_blob__removing_twice_is_no_error(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest digest;
	int fd;

	assert_int_equal(blob_put(fixture->store, "hello", 5, &digest, &err), 0);
	assert_int_equal(blob_remove(fixture->store, &digest, &err), 0);
	assert_int_equal(blob_remove(fixture->store, &digest, &err), 0);
	assert_int_equal(blob_open(fixture->store, &digest, &fd, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)
	const struct CMUnitTest tests[] = {
		TEST(test_blob__put_and_read),
		TEST(test_blob__writer_hashes_what_it_is_given),
		TEST(test_blob__a_large_one_hashed_beside),
		TEST(test_blob__wrong_digest_leaves_nothing),
		TEST(test_blob__told_digest_is_believed),
		TEST(test_blob__damaged_one_is_set_aside),
		TEST(test_blob__cut_one_is_replaced),
		TEST(test_blob__reading_keeps_the_limit),
		TEST(test_blob__removing_twice_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
