/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "tests/layers/digest_file.h"
#include "tests/layers/sink_buf.h"
#include "tests/layers/tar_build.h"

struct fixture {
	struct buf tar;
	struct sink_buf sink;
	struct tar_writer *writer;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));

	buf_init(&fixture->tar, TAR_BUILD_MAX);
	sink_buf_init(&fixture->sink, &fixture->tar);
	fixture->writer = tar_writer_new(&fixture->sink.sink);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	tar_writer_free(fixture->writer);
	buf_release(&fixture->tar);
	free(fixture);
	return 0;
}

static void put(struct fixture *fixture, const struct entry *entry)
{
	if (tar_writer_entry(fixture->writer, entry, &fixture->err) < 0)
		fail_msg("%s", fixture->err.message);
}

static const struct tar_header *end_with_header(struct fixture *fixture, size_t at)
{
	assert_int_equal(tar_writer_end(fixture->writer, &fixture->err), 0);
	assert_true(fixture->tar.len >= at + TAR_BLOCK);
	return (const struct tar_header *)(fixture->tar.data + at);
}

/* The whole header, byte by byte: what the digest of every layer rests on. */
static void test_tar_write__a_plain_file_is_these_bytes(void **state)
{
	static const struct entry entry = { .path = "usr/bin/env",
					    .type = ENTRY_FILE,
					    .mode = 04755,
					    .uid = 1000,
					    .gid = 100,
					    .size = 3,
					    .mtime = 1700000000 };
	struct fixture *fixture = *state;
	struct tar_header want = { 0 };
	const struct tar_header *got;

	put(fixture, &entry);
	assert_int_equal(tar_writer_data(fixture->writer, "a", 1, &fixture->err), 0);
	assert_int_equal(tar_writer_data(fixture->writer, "bc", 2, &fixture->err), 0);
	got = end_with_header(fixture, 0);
	memcpy(want.name, "usr/bin/env", 11);
	memcpy(want.mode, "0004755", 8);
	memcpy(want.uid, "0001750", 8);
	memcpy(want.gid, "0000144", 8);
	memcpy(want.size, "00000000003", 12);
	memcpy(want.mtime, "14524770400", 12);
	want.type = '0';
	memcpy(want.magic, "ustar", 6);
	memcpy(want.version, "00", 2);
	memcpy(want.dev_major, "0000000", 8);
	memcpy(want.dev_minor, "0000000", 8);
	memcpy(want.checksum, got->checksum, 8); /* which the next line proves */
	assert_true(tar_header_is_sound(got));
	assert_memory_equal(got, &want, sizeof(want));
	assert_int_equal(fixture->tar.len, 4 * TAR_BLOCK);
	assert_memory_equal(fixture->tar.data + TAR_BLOCK, "abc\0", 4);
}

static void test_tar_write__an_empty_layer_is_two_blocks(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(tar_writer_end(fixture->writer, &fixture->err), 0);
	assert_int_equal(fixture->tar.len, 2 * TAR_BLOCK);
	assert_true(tar_block_is_zero(fixture->tar.data));
}

static void test_tar_write__pax_records_are_sorted(void **state)
{
	static const struct xattr xattrs[] = { { "security.capability", "\1\0\n\0", 4 },
					       { "user.x", "", 0 } };
	static const char path[] = "\xc3\xa4";
	static const struct entry entry = { .path = path,
					    .type = ENTRY_FILE,
					    .uid = 2097152,
					    .gid = 4294967294,
					    .size = UINT64_C(1) << 33,
					    .mtime = -1,
					    .xattrs = xattrs,
					    .n_xattrs = 2 };
	static const char want[] = "41 SCHILY.xattr.security.capability=\1\0\n\0\n"
				   "24 SCHILY.xattr.user.x=\n"
				   "18 gid=4294967294\n"
				   "12 mtime=-1\n"
				   "11 path=\xc3\xa4\n"
				   "19 size=8589934592\n"
				   "15 uid=2097152\n";
	struct fixture *fixture = *state;
	const struct tar_header *header;
	static char zeros[1 << 20];

	put(fixture, &entry);
	/* push the block out; the content is never finished */
	assert_int_equal(tar_writer_data(fixture->writer, zeros, sizeof(zeros), &fixture->err), 0);
	assert_memory_equal(fixture->tar.data + TAR_BLOCK, want, sizeof(want) - 1);
	header = (const struct tar_header *)fixture->tar.data;
	assert_int_equal(header->type, 'x');
	assert_memory_equal(header->mtime, "00000000000", 12);
	header += 2;
	assert_memory_equal(header->uid, "0000000", 8);
	assert_memory_equal(header->size, "00000000000", 12);
	assert_memory_equal(header->name, "__\0", 3);
}

static void test_tar_write__long_names_are_split_where_they_can(void **state)
{
	struct fixture *fixture = *state;
	const struct tar_header *header;
	struct entry entry = { .type = ENTRY_FILE };
	char path[300];

	memset(path, 'a', sizeof(path));
	path[155] = '/';
	path[256] = '\0'; /* 155, a slash, 100 */
	entry.path = path;
	put(fixture, &entry);
	memset(path, 'b', sizeof(path));
	path[155] = '/';
	path[257] = '\0'; /* one too many */
	put(fixture, &entry);
	header = end_with_header(fixture, 0);
	assert_int_equal(header[0].type, '0');
	assert_int_equal(strnlen(header[0].prefix, 155), 155);
	assert_int_equal(strnlen(header[0].name, 100), 100);
	assert_int_equal(header[1].type, 'x');
	assert_memory_equal(header + 2, "267 path=bbb", 12);
}

static void test_tar_write__marks_and_types(void **state)
{
	static const struct entry entries[] = {
		{ .path = "", .type = ENTRY_DIRECTORY, .mode = 0755 },
		{ .path = "", .type = ENTRY_OPAQUE, .mode = 0777, .uid = 7, .mtime = 9 },
		{ .path = "gone", .type = ENTRY_WHITEOUT },
		{ .path = "d", .type = ENTRY_DIRECTORY, .mode = 01777 },
		{ .path = "d", .type = ENTRY_OPAQUE },
		{ .path = "d/gone", .type = ENTRY_WHITEOUT },
		{ .path = "d/hard", .type = ENTRY_HARDLINK, .link = "d", .size = 5 },
		{ .path = "d/null", .type = ENTRY_CHAR, .dev_major = 1, .dev_minor = 3 },
		{ .path = "d/sda", .type = ENTRY_BLOCK, .dev_major = 8 },
		{ .path = "pipe", .type = ENTRY_FIFO, .dev_major = 5, .dev_minor = 5 },
		{ .path = "soft", .type = ENTRY_SYMLINK, .link = "/a/../b", .mode = 0644 },
	};
	static const struct {
		const char *name, *link;
		char type;
	} want[] = {
		{ "./", "", '5' },	{ ".wh..wh..opq", "", '0' },   { ".wh.gone", "", '0' },
		{ "d/", "", '5' },	{ "d/.wh..wh..opq", "", '0' }, { "d/.wh.gone", "", '0' },
		{ "d/hard", "d", '1' }, { "d/null", "", '3' },	       { "d/sda", "", '4' },
		{ "pipe", "", '6' },	{ "soft", "/a/../b", '2' },
	};
	struct fixture *fixture = *state;
	const struct tar_header *header;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		put(fixture, &entries[i]);
	header = end_with_header(fixture, 0);
	assert_int_equal(fixture->tar.len, (ARRAY_SIZE(entries) + 2) * TAR_BLOCK);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++, header++) {
		assert_string_equal(header->name, want[i].name);
		assert_string_equal(header->link, want[i].link);
		assert_int_equal(header->type, want[i].type);
		assert_memory_equal(header->size, "00000000000", 12);
		assert_int_equal(header->uname[0] | header->gname[0], 0);
	}
	header -= ARRAY_SIZE(want);
	assert_memory_equal(header[1].mode, "0000000", 8);
	assert_memory_equal(header[1].uid, "0000000", 8);
	assert_memory_equal(header[1].mtime, "00000000011", 12);
	assert_memory_equal(header[3].mode, "0001777", 8);
	assert_memory_equal(header[7].dev_minor, "0000003", 8);
	assert_memory_equal(header[9].dev_major, "0000000", 8);
	assert_memory_equal(header[10].mode, "0000777", 8);
}

static void test_tar_write__what_a_layer_cannot_hold_is_refused(void **state)
{
	static const struct xattr odd = { "user.a=b", "", 0 };
	static const struct entry bad[] = {
		{ .path = ".wh.x", .type = ENTRY_FILE },
		{ .path = "a/.wh.x/b", .type = ENTRY_FILE },
		{ .path = ".wh.x", .type = ENTRY_WHITEOUT },
		{ .path = "/a", .type = ENTRY_FILE },
		{ .path = "", .type = ENTRY_FILE },
		{ .path = "s", .type = ENTRY_SYMLINK, .link = "" },
		{ .path = "h", .type = ENTRY_HARDLINK, .link = "/x" },
		{ .path = "c", .type = ENTRY_CHAR, .dev_major = 1u << 21 },
		{ .path = "c", .type = ENTRY_CHAR }, /* overlayfs and other readers: a whiteout */
		{ .path = "f", .type = ENTRY_FILE, .size = UINT64_MAX },
		{ .path = "x", .type = ENTRY_FILE, .xattrs = &odd, .n_xattrs = 1 },
	};
	struct fixture *fixture = *state;
	struct entry entry = { .type = ENTRY_WHITEOUT };
	char path[300];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sink_buf sink;
		struct tar_writer *writer;

		sink_buf_init(&sink, &fixture->tar);
		writer = tar_writer_new(&sink.sink);
		assert_int_equal(tar_writer_entry(writer, &bad[i], &fixture->err), -1);
		assert_int_equal(fixture->err.kind, ERR_INVALID);
		tar_writer_free(writer);
	}
	memset(path, 'w', sizeof(path));
	path[252] = '\0'; /* with ".wh." it is 256 */
	entry.path = path;
	assert_int_equal(tar_writer_entry(fixture->writer, &entry, &fixture->err), -1);
}

static int file_of(size_t size)
{
	cleanup_free unsigned char *data = xmalloc(size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(i * 31 + i / 4096);
	return tar_as_fd(data, size);
}

static void test_tar_write__files_are_copied_and_hashed(void **state)
{
	static const size_t sizes[] = { 0,	1,	 511,	  512,	   513,	   786432,
					900000, 1048575, 1048576, 1048577, 3000000 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char path[2] = { (char)('a' + i) };
		struct entry entry = { .path = path, .type = ENTRY_FILE, .size = sizes[i] };
		cleanup_fd int fd = file_of(sizes[i]), again = file_of(sizes[i]);
		struct digest got, want;

		if (tar_writer_file(fixture->writer, &entry, fd, &got, &fixture->err) < 0)
			fail_msg("%s", fixture->err.message);
		digest_file(again, &want);
		assert_true(digest_equal(&got, &want));
	}
	assert_int_equal(tar_writer_end(fixture->writer, &fixture->err), 0);
	assert_int_equal(fixture->tar.len % TAR_BLOCK, 0);
	for (size_t i = 0, at = 0; i < ARRAY_SIZE(sizes); i++) {
		cleanup_free char *want = xmalloc(sizes[i] + 1);
		cleanup_fd int fd = file_of(sizes[i]);

		assert_int_equal(fixture->tar.data[at], 'a' + (int)i);
		assert_int_equal(read_all(fd, want, sizes[i]), sizes[i]);
		assert_memory_equal(fixture->tar.data + at + TAR_BLOCK, want, sizes[i]);
		at += TAR_BLOCK + sizes[i] + tar_padding(sizes[i]);
	}
}

static void test_tar_write__a_file_that_changed_is_an_error(void **state)
{
	static const size_t sizes[] = { 1, 100, 1048576, 2000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int delta = -1; delta <= 1; delta += 2) {
			struct entry entry = { .path = "f", .type = ENTRY_FILE };
			cleanup_fd int fd = file_of(sizes[i]);
			struct err err = ERR_INIT;
			cleanup_buf struct buf out;
			struct tar_writer *writer;
			struct sink_buf sink;

			buf_init(&out, TAR_BUILD_MAX);
			sink_buf_init(&sink, &out);
			writer = tar_writer_new(&sink.sink);
			entry.size = sizes[i] + (size_t)delta;
			assert_int_equal(tar_writer_file(writer, &entry, fd, NULL, &err), -1);
			assert_int_equal(err.kind, ERR_CORRUPT);
			tar_writer_free(writer);
		}
}

/* What is written reads back as it was. */
static void test_tar_write__the_reader_agrees(void **state)
{
	static const struct xattr xattrs[] = { { "security.capability", "\1\0\n=\0", 5 },
					       { "user.x", "", 0 } };
	char long_path[1300], long_link[2000];
	const struct entry entries[] = {
		{ .path = "", .type = ENTRY_DIRECTORY, .mode = 0755, .mtime = 1 },
		{ .path = "w", .type = ENTRY_WHITEOUT },
		{ .path = "a b\n\t\"", .type = ENTRY_FILE, .mode = 07777, .mtime = -5 },
		{ .path = "c", .type = ENTRY_CHAR, .dev_major = 4095, .dev_minor = 1048575 },
		{ .path = "d", .type = ENTRY_DIRECTORY, .uid = 4294967294, .gid = 2097151 },
		{ .path = "d", .type = ENTRY_OPAQUE },
		{ .path = long_path, .type = ENTRY_FILE, .xattrs = xattrs, .n_xattrs = 2 },
		{ .path = "e", .type = ENTRY_HARDLINK, .link = long_path },
		{ .path = "f", .type = ENTRY_SYMLINK, .link = long_link, .mode = 0777 },
		{ .path = "\xff\xfe", .type = ENTRY_FIFO, .mtime = INT64_C(1) << 40 },
	};
	struct fixture *fixture = *state;
	const struct entry *got;
	struct tar_reader *reader;
	cleanup_fd int fd = -1;

	memset(long_path, 'p', sizeof(long_path));
	for (size_t i = 1; i < sizeof(long_path); i += 101)
		long_path[i] = '/';
	long_path[0] = 'd';
	long_path[sizeof(long_path) - 1] = '\0';
	memset(long_link, 'l', sizeof(long_link));
	long_link[sizeof(long_link) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		put(fixture, &entries[i]);
	assert_int_equal(tar_writer_end(fixture->writer, &fixture->err), 0);
	fd = tar_as_fd(fixture->tar.data, fixture->tar.len);
	assert_int_equal(tar_reader_open(fd, "t", TAR_READER_LAYER, 0, &reader, &fixture->err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		const struct entry *want = &entries[i];

		if (tar_reader_next(reader, &got, &fixture->err) != 1)
			fail_msg("%zu: %s", i, fixture->err.message);
		assert_string_equal(got->path, want->path);
		assert_int_equal(got->type, want->type);
		assert_int_equal(got->mode, want->mode);
		assert_int_equal(got->uid, want->uid);
		assert_int_equal(got->gid, want->gid);
		assert_int_equal(got->mtime, want->mtime);
		assert_int_equal(got->dev_major, want->dev_major);
		assert_int_equal(got->dev_minor, want->dev_minor);
		assert_int_equal(got->n_xattrs, want->n_xattrs);
		for (size_t k = 0; k < want->n_xattrs; k++) {
			assert_string_equal(got->xattrs[k].name, xattrs[k].name);
			assert_int_equal(got->xattrs[k].len, xattrs[k].len);
			assert_memory_equal(got->xattrs[k].value, xattrs[k].value, xattrs[k].len);
		}
		if (want->link)
			assert_string_equal(got->link, want->link);
	}
	assert_int_equal(tar_reader_next(reader, &got, &fixture->err), 0);
	tar_reader_free(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_tar_write__##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_file_is_these_bytes),
		TEST(an_empty_layer_is_two_blocks),
		TEST(pax_records_are_sorted),
		TEST(long_names_are_split_where_they_can),
		TEST(marks_and_types),
		TEST(what_a_layer_cannot_hold_is_refused),
		TEST(files_are_copied_and_hashed),
		TEST(a_file_that_changed_is_an_error),
		TEST(the_reader_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
