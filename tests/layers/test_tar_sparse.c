/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sparse members, old and new: what they mean, and maps that mean nothing. */
#include "tests/layers/tar_read_help.h"

/* Expand a sparse member and compare it. */
static void expect_sparse(struct buf *tar, const char *name, const char *want, size_t len)
{
	const struct entry *entry;
	struct tar_reader *reader;
	struct err err = ERR_INIT;
	cleanup_fd int fd = -1;
	char got[4096];

	tar_put_file(tar, "after", "x");
	tar_put_end(tar);
	fd = tar_as_fd(tar->data, tar->len);
	assert_int_equal(tar_reader_open(fd, "test", 0, 0, &reader, &err), 0);
	if (tar_reader_next(reader, &entry, &err) != 1)
		fail_msg("%s", err.message);
	assert_string_equal(entry->path, name);
	assert_int_equal(entry->size, len);
	assert_int_equal(tar_reader_read(reader, got, sizeof(got), &err), len);
	assert_memory_equal(got, want, len);
	assert_int_equal(tar_reader_next(reader, &entry, &err), 1);
	assert_string_equal(entry->path, "after");
	tar_reader_free(reader);
	buf_clear(tar);
}

static void put_old_sparse(struct buf *tar, const char *stored)
{
	struct tar_header header = tar_member("s", 'S');
	char *bytes = (char *)&header;

	memcpy(header.magic, "ustar ", 6);
	memcpy(header.version, " ", 2);
	memcpy(bytes + 386, "00000000002\00000000000003\0", 24);
	memcpy(bytes + 386 + 24, "00000001000\00000000000002\0", 24);
	memcpy(bytes + 483, "00000001010", 11);
	tar_put_with(tar, header, stored, strlen(stored));
}

static void test_tar_sparse__files_are_expanded(void **state)
{
	struct buf *tar = *state;
	char want[520] = { 0 };
	cleanup_buf struct buf body;

	memcpy(want + 2, "abc", 3);
	memcpy(want + 512, "de", 2);
	put_old_sparse(tar, "abcde");
	expect_sparse(tar, "s", want, 520);
	buf_init(&body, TAR_BUILD_MAX);
	tar_pax_record(&body, "GNU.sparse.numblocks", "2", 1);
	tar_pax_record(&body, "GNU.sparse.size", "520", 3);
	tar_pax_record(&body, "GNU.sparse.offset", "2", 1);
	tar_pax_record(&body, "GNU.sparse.numbytes", "3", 1);
	tar_pax_record(&body, "GNU.sparse.offset", "512", 3);
	tar_pax_record(&body, "GNU.sparse.numbytes", "2", 1);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "s", "abcde");
	expect_sparse(tar, "s", want, 520);
	buf_clear(&body);
	tar_pax_record(&body, "GNU.sparse.name", "real", 4);
	tar_pax_record(&body, "GNU.sparse.size", "520", 3);
	tar_pax_record(&body, "GNU.sparse.numblocks", "2", 1);
	tar_pax_record(&body, "GNU.sparse.map", "2,3,512,2", 9);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "GNUSparseFile/s", "abcde");
	expect_sparse(tar, "real", want, 520);
	buf_clear(&body);
	tar_pax_record(&body, "GNU.sparse.major", "1", 1);
	tar_pax_record(&body, "GNU.sparse.minor", "0", 1);
	tar_pax_record(&body, "GNU.sparse.name", "real", 4);
	tar_pax_record(&body, "GNU.sparse.realsize", "520", 3);
	tar_put_pax(tar, &body);
	buf_clear(&body);
	tar_put_content(&body, "2\n2\n3\n512\n2\n", 12);
	buf_addstr(&body, "abcde");
	tar_put_with(tar, tar_member("GNUSparseFile/s", '0'), body.data, body.len);
	expect_sparse(tar, "real", want, 520);
}

static void test_tar_sparse__bad_maps_are_errors(void **state)
{
	static const char *const maps[] = { "0,3,2,2",	"3,3,0,2", "0,6", "0,5,600,0",
					    "0,5,1",	"0,-5",	   "x,5", "0,9223372036854775807",
					    "0,3,519,2" };
	struct buf *tar = *state;
	cleanup_buf struct buf body;

	put_old_sparse(tar, "abcd");
	expect_error(tar, ERR_CORRUPT, "sparse");
	buf_init(&body, TAR_BUILD_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		buf_clear(&body);
		tar_pax_record(&body, "GNU.sparse.size", "520", 3);
		tar_pax_record(&body, "GNU.sparse.map", maps[i], strlen(maps[i]));
		tar_put_pax(tar, &body);
		tar_put_file(tar, "s", "abcde");
		expect_error(tar, ERR_CORRUPT, "sparse");
	}
	tar_put_pax1(tar, "GNU.sparse.map", "0,5");
	tar_put_file(tar, "s", "abcde");
	expect_error(tar, ERR_CORRUPT, "no size");
	buf_clear(&body);
	tar_pax_record(&body, "GNU.sparse.size", "9223372036854775807", 19);
	tar_pax_record(&body, "GNU.sparse.map", "0,5", 3);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "s", "abcde");
	expect_error(tar, ERR_LIMIT, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_tar_sparse__##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_are_expanded),
		TEST(bad_maps_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
