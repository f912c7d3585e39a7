/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/layers/tar_read_help.h"

static void test_tar_read__names_stay_inside_the_root(void **state)
{
	struct buf *tar = *state;
	struct tar_header split = tar_member("name", '0');

	tar_put(tar, tar_member("./", '5'));
	tar_put_file(tar, "../../etc/shadow", "x");
	tar_put_file(tar, "/abs", "xy");
	tar_put(tar, tar_member("dir/", '0')); /* as before ustar */
	memcpy(split.prefix, "a/prefix", 8);
	tar_put(tar, split);
	tar_put_link(tar, "hard", '1', "/dir/../../abs");
	tar_put_link(tar, "soft", '2', "../../../etc");
	expect(tar, "d \nf etc/shadow 1\nf abs 2\nd dir\nf a/prefix/name 0\n"
		    "h hard -> abs\nl soft -> ../../../etc\n");
}

static void test_tar_read__a_root_that_is_no_directory_is_an_error(void **state)
{
	struct buf *tar = *state;

	tar_put_link(tar, "./", '2', "/etc");
	expect_error(tar, ERR_CORRUPT, "root entry");
	tar_put_file(tar, "a/..", "x");
	expect_error(tar, ERR_CORRUPT, "root entry");
}

static void test_tar_read__whiteouts(void **state)
{
	static const char *const bad[] = { ".wh.", "a/.wh.", ".wh..", "d/.wh...", ".wh.d/x" };
	struct buf *tar = *state;
	struct err err = ERR_INIT;
	cleanup_buf struct buf out;

	tar_put_file(tar, "d/.wh.gone", "content is dropped");
	tar_put_file(tar, "d/.wh..wh..opq", "");
	tar_put_file(tar, ".wh..wh..opq", "");
	tar_put(tar, tar_member(".wh..wh.plnk/", '5'));
	tar_put_file(tar, ".wh..wh.plnk/1.2", "x");
	tar_put_file(tar, ".wh..wh.aufs", "x");
	tar_put_file(tar, "last", "x");
	expect(tar, "W d/gone\nO d\nO \nf last 1\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		tar_put_file(tar, bad[i], "");
		expect_error(tar, ERR_CORRUPT, "invalid whiteout");
	}
	/* for ADD they mean nothing */
	buf_init(&out, TAR_BUILD_MAX);
	tar_put_file(tar, ".wh.a", "");
	assert_int_equal(list(tar, 0, &out, &err), 0);
	assert_string_equal(out.data, "f .wh.a 0\n");
}

static void test_tar_read__hard_links_have_no_content(void **state)
{
	struct buf *tar = *state;
	struct tar_header header = tar_member("h", '1');

	memcpy(header.link, "a", 1);
	tar_put_with(tar, header, "payload", 7);
	expect_error(tar, ERR_CORRUPT, "hard link");
	tar_put_pax1(tar, "size", "7");
	tar_put_link(tar, "h", '1', "a");
	expect_error(tar, ERR_CORRUPT, "hard link");
	tar_put_link(tar, "h", '1', "..");
	expect_error(tar, ERR_CORRUPT, "no target");
	tar_put_link(tar, "s", '2', "");
	expect_error(tar, ERR_CORRUPT, "no target");
}

static void test_tar_read__devices(void **state)
{
	struct buf *tar = *state;
	struct tar_header header = tar_member("null", '3');
	struct err err = ERR_INIT;
	cleanup_buf struct buf out;

	memcpy(header.dev_major, "0000001", 7);
	memcpy(header.dev_minor, "0000003", 7);
	tar_put(tar, header);
	expect(tar, "c null\n");
	tar_put(tar, tar_member("trap", '3'));
	expect_error(tar, ERR_CORRUPT, "0:0");
	memcpy(header.dev_major, "7777777", 7);
	tar_put(tar, header);
	expect_error(tar, ERR_CORRUPT, "device numbers");
	buf_init(&out, TAR_BUILD_MAX);
	tar_put(tar, tar_member("trap", '3'));
	assert_int_equal(list(tar, 0, &out, &err), 0);
}

static void test_tar_read__host_attributes_are_dropped(void **state)
{
	static const char *const dropped[] = {
		"trusted.overlay.opaque", "user.overlay.redirect", "security.selinux",
		"security.ima",		  "security.evm",	   "system.nfs4_acl",
		"btrfs.compression",
	};
	struct buf *tar = *state;
	cleanup_buf struct buf body;

	buf_init(&body, TAR_BUILD_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		char key[100];

		snprintf(key, sizeof(key), "SCHILY.xattr.%s", dropped[i]);
		tar_pax_record(&body, key, "y", 1);
	}
	tar_pax_record(&body, "SCHILY.xattr.user.b", "", 0);
	tar_pax_record(&body, "SCHILY.xattr.security.capability", "\1\0\0\2\0\n\0=", 8);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "f", "x");
	tar_put_file(tar, "g", "x");
	expect(tar, "f f 1 security.capability:8 user.b:0\nf g 1\n");
}

static void test_tar_read__owners_are_in_range(void **state)
{
	static const char *const bad[] = { "4294967295", "4294967296", "-1",
					   "1x",	 "1.5",	       "99999999999999999999" };
	struct tar_header header = tar_member("f", '0');
	struct buf *tar = *state;

	tar_put_pax1(tar, "uid", "4294967294");
	tar_put_file(tar, "f", "");
	expect(tar, "f f 0\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		tar_put_pax1(tar, i % 2 ? "uid" : "gid", bad[i]);
		tar_put_file(tar, "f", "");
		expect_error(tar, ERR_CORRUPT, "");
	}
	memset(header.uid, 0xff, sizeof(header.uid)); /* -1 in base 256 */
	tar_put(tar, header);
	expect_error(tar, ERR_CORRUPT, "owner");
}

static void test_tar_read__sizes_are_in_range(void **state)
{
	static const unsigned char huge[12] = { 0x80, 0, 0, 0, 0x40 };
	static const char *const bad[] = { "-1", "9223372036854775808", "1e3", " 1", "0x10" };
	struct tar_header header = tar_member("f", '0');
	struct buf *tar = *state;

	memset(header.size, 0xff, sizeof(header.size));
	tar_put(tar, header);
	expect_error(tar, ERR_CORRUPT, "size");
	memcpy(header.size, huge, sizeof(huge)); /* 2^62: nothing is allocated for it */
	tar_put(tar, header);
	expect_error(tar, ERR_CORRUPT, "ends in the middle");
	memcpy(header.size, "0000000009 ", 11);
	tar_put(tar, header);
	expect_error(tar, ERR_CORRUPT, "size");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		tar_put_pax1(tar, "size", bad[i]);
		tar_put_file(tar, "f", "");
		expect_error(tar, ERR_CORRUPT, "size");
	}
	header = tar_member("pax", 'x');
	memcpy(header.size, "77777777777", 11);
	tar_put(tar, header);
	expect_error(tar, ERR_LIMIT, "larger than");
}

/* The size in a pax header is the next file's, never that of a special header between. */
static void test_tar_read__pax_size_governs_the_next_file_only(void **state)
{
	struct buf *tar = *state;
	char inner[TAR_BLOCK] = "";
	cleanup_buf struct buf hidden;

	buf_init(&hidden, TAR_BUILD_MAX);
	tar_put_file(&hidden, "smuggled", "");
	memcpy(inner, hidden.data, TAR_BLOCK);
	/* the header says 0, pax says 512: what follows is content, not a member */
	tar_put_pax1(tar, "size", "512");
	tar_put(tar, tar_member("f", '0'));
	tar_put_content(tar, inner, sizeof(inner));
	tar_put_file(tar, "g", "x");
	expect(tar, "f f 512\nf g 1\n");
	tar_put_pax1(tar, "size", "512");
	tar_put_with(tar, tar_member("././@LongLink", 'L'), "long-name", 10);
	tar_put(tar, tar_member("f", '0'));
	tar_put_content(tar, inner, sizeof(inner));
	expect(tar, "f long-name 512\n");
}

static void test_tar_read__bad_records_are_errors(void **state)
{
	static const char *const bad[] = {
		"5 a=b\n", "7 a=b\n", "6 a=b",	  "x a=b\n",	       "6 =bb\n",
		"6 abc\n", "4 a\n",   " 6 a=b\n", "99999999999 a=b\n", "6\n",
	};
	struct buf *tar = *state;
	cleanup_buf struct buf body;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		tar_put_with(tar, tar_member("p", 'x'), bad[i], strlen(bad[i]));
		tar_put_file(tar, "f", "");
		expect_error(tar, ERR_CORRUPT, "extended header");
	}
	buf_init(&body, TAR_BUILD_MAX);
	tar_pax_record(&body, "path", "a\0b", 3);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "f", "");
	expect_error(tar, ERR_CORRUPT, "path");
	buf_clear(&body);
	tar_pax_record(&body, "path", "a", 1);
	tar_pax_record(&body, "path", "b", 1);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "f", "");
	expect_error(tar, ERR_CORRUPT, "path");
	buf_clear(&body);
	tar_pax_record(&body, "SCHILY.xattr.user.a", "1", 1);
	tar_pax_record(&body, "SCHILY.xattr.user.a", "2", 1);
	tar_put_pax(tar, &body);
	tar_put_file(tar, "f", "");
	expect_error(tar, ERR_CORRUPT, "user.a");
	tar_put_pax1(tar, "path", "a");
	tar_put_pax1(tar, "path", "b");
	tar_put_file(tar, "f", "");
	expect_error(tar, ERR_CORRUPT, "two extended headers");
	tar_put_pax1(tar, "path", "a");
	expect_error(tar, ERR_CORRUPT, "ends in the middle");
}

static void test_tar_read__long_names_and_times(void **state)
{
	struct buf *tar = *state;
	struct tar_header header = tar_member("f", '0');
	const struct entry *entry;
	struct tar_reader *reader;
	struct err err = ERR_INIT;
	char name[301], big[ENTRY_PATH_MAX + 100];
	cleanup_fd int fd = -1;

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	tar_put_with(tar, tar_member("././@LongLink", 'L'), name, 257);
	tar_put_file(tar, "f", "");
	expect_error(tar, ERR_CORRUPT, "too long");
	memset(big, 'b', sizeof(big));
	for (size_t i = 0; i < sizeof(big); i += 200)
		big[i] = '/';
	big[sizeof(big) - 1] = '\0';
	tar_put_pax1(tar, "path", big);
	tar_put_file(tar, "f", "");
	expect_error(tar, ERR_CORRUPT, "too long");
	big[ENTRY_LINK_MAX] = '\0';
	tar_put_pax1(tar, "linkpath", big);
	tar_put_link(tar, "s", '2', "short");
	expect_error(tar, ERR_CORRUPT, "too long");

	tar_put_pax1(tar, "mtime", "-1.5");
	tar_put(tar, header);
	tar_put_pax1(tar, "mtime", "1700000000.999999999");
	tar_put(tar, header);
	memset(header.mtime, 0xff, sizeof(header.mtime));
	tar_put(tar, header);
	tar_put_end(tar);
	fd = tar_as_fd(tar->data, tar->len);
	assert_int_equal(tar_reader_open(fd, "test", 0, 0, &reader, &err), 0);
	assert_int_equal(tar_reader_next(reader, &entry, &err), 1);
	assert_int_equal(entry->mtime, -2);
	assert_int_equal(tar_reader_next(reader, &entry, &err), 1);
	assert_int_equal(entry->mtime, 1700000000);
	assert_int_equal(tar_reader_next(reader, &entry, &err), 1);
	assert_int_equal(entry->mtime, -1);
	tar_reader_free(reader);
}

static void test_tar_read__names_are_bytes(void **state)
{
	struct buf *tar = *state;

	/* decomposed accents stay so, and what is no UTF-8 is no error */
	tar_put_pax1(tar, "path", "a\xcc\x88");
	tar_put_file(tar, "x", "");
	tar_put_pax1(tar, "path", "\xff\xfe");
	tar_put_file(tar, "x", "");
	tar_put_file(tar, "\xe4", "");
	expect(tar, "f a\xcc\x88 0\nf \xff\xfe 0\nf \xe4 0\n");
}

static void test_tar_read__damage_is_an_error(void **state)
{
	struct buf *tar = *state;
	struct err err = ERR_INIT;
	cleanup_buf struct buf out;
	size_t whole;

	buf_init(&out, TAR_BUILD_MAX);
	tar_put_file(tar, "f", "content");
	whole = tar->len;
	for (size_t len = 1; len < whole; len++) {
		struct buf cut = *tar;

		cut.len = len;
		assert_int_equal(list(&cut, 0, &out, &err), -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
	assert_int_equal(list(tar, 0, &out, &err), 0); /* without end blocks */
	tar->data[3] ^= 1;
	expect_error(tar, ERR_CORRUPT, "checksum");
	tar_put(tar, tar_member("odd", 'Q'));
	expect_error(tar, ERR_CORRUPT, "unknown type");
	/* a zero block and then a member */
	tar_put_content(tar, "", 0);
	buf_add(tar, (char[TAR_BLOCK]){ 0 }, TAR_BLOCK);
	tar_put_file(tar, "late", "");
	expect_error(tar, ERR_CORRUPT, "after a zero block");
}

static void test_tar_read__the_digest_covers_all_bytes(void **state)
{
	struct buf *tar = *state;
	struct digest digest, want;
	const struct entry *entry;
	struct tar_reader *reader;
	struct err err = ERR_INIT;
	cleanup_fd int fd = -1;
	uint64_t size;

	tar_put_file(tar, "f", "content");
	tar_put_end(tar);
	buf_addstr(tar, "what comes after the end");
	digest_of(tar->data, tar->len, &want);
	fd = tar_as_fd(tar->data, tar->len);
	assert_int_equal(tar_reader_open(fd, "test", 0, 0, &reader, &err), 0);
	while (tar_reader_next(reader, &entry, &err) == 1)
		;
	assert_int_equal(tar_reader_finish(reader, &digest, &size, &err), 0);
	assert_int_equal(size, tar->len);
	assert_true(digest_equal(&digest, &want));
	tar_reader_free(reader);
}

static void test_tar_read__empty_archives(void **state)
{
	struct buf *tar = *state;
	struct err err = ERR_INIT;
	cleanup_buf struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(list(tar, 0, &out, &err), 0);
	expect(tar, "");
}

/* 2 GiB of zeros in 2 MiB: stopped at the limit, in little memory. */
static void test_tar_read__bombs_are_stopped(void **state)
{
	struct buf *tar = *state;
	struct tar_header header = tar_member("zeros", '0');
	static const size_t chunk = 1024 * 1024;
	cleanup_free char *zeros = xcalloc(1, chunk);
	cleanup_free unsigned char *packed = xmalloc(chunk);
	z_stream z = { 0 };
	cleanup_buf struct buf out;
	struct err err = ERR_INIT;
	cleanup_fd int fd = -1;
	struct rusage usage;

	memcpy(header.size, "20000000000", 11); /* 2 GiB */
	tar_put(tar, header);
	buf_init(&out, TAR_BUILD_MAX);
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	memcpy(zeros, tar->data, TAR_BLOCK);
	for (unsigned i = 0; i < 2048; i++) {
		z.next_in = (unsigned char *)zeros;
		z.avail_in = (uInt)chunk;
		z.next_out = packed;
		z.avail_out = (uInt)chunk;
		deflate(&z, i == 2047 ? Z_FINISH : Z_NO_FLUSH);
		buf_add(&out, packed, chunk - z.avail_out);
		memset(zeros, 0, TAR_BLOCK);
	}
	deflateEnd(&z);
	fd = tar_as_fd(out.data, out.len);
	assert_int_equal(list_fd(fd, 0, 256 << 20, true, &out, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
#ifndef __SANITIZE_ADDRESS__
	assert_true(usage.ru_maxrss < 128 * 1024);
#endif
}

static void test_tar_read__detect_tells_archives_by_content(void **state)
{
	struct buf *tar = *state;
	cleanup_fd int archive = -1, text = -1, empty = -1, zeros = -1;

	tar_put_file(tar, "f", "x");
	archive = tar_as_fd(tar->data, tar->len);
	assert_int_equal(lseek(archive, 7, SEEK_SET), 7);
	assert_true(tar_detect(archive));
	assert_int_equal(lseek(archive, 0, SEEK_CUR), 7);
	text = tar_as_fd("#!/bin/sh\n", 10);
	assert_false(tar_detect(text));
	empty = tar_as_fd("", 0);
	assert_false(tar_detect(empty));
	buf_clear(tar);
	tar_put_end(tar);
	zeros = tar_as_fd(tar->data, tar->len);
	assert_false(tar_detect(zeros));
	assert_false(tar_detect(-1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_tar_read__##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_stay_inside_the_root),
		TEST(a_root_that_is_no_directory_is_an_error),
		TEST(whiteouts),
		TEST(hard_links_have_no_content),
		TEST(devices),
		TEST(host_attributes_are_dropped),
		TEST(owners_are_in_range),
		TEST(sizes_are_in_range),
		TEST(pax_size_governs_the_next_file_only),
		TEST(bad_records_are_errors),
		TEST(long_names_and_times),
		TEST(names_are_bytes),
		TEST(damage_is_an_error),
		TEST(the_digest_covers_all_bytes),
		TEST(empty_archives),
		TEST(bombs_are_stopped),
		TEST(detect_tells_archives_by_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
