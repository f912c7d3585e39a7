/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "tests/layers/sink_buf.h"
#include "tests/layers/tar_build.h"

#define SAMPLE_SIZE (5 * 1024 * 1024 + 12345)

/* Bytes between text and noise, the same each time. */
static unsigned char *make_sample(size_t size)
{
	unsigned char *data = xmalloc(size);
	uint32_t x = 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1103515245 + 12345;
		data[i] = i / 65536 % 3 == 0 ? (unsigned char)(x >> 16)
					     : (unsigned char)("etaoin shrdlu\n"[x >> 16 & 7]);
	}
	return data;
}

/* Compress data, cut into writes of `cut` bytes. */
static void pack(enum compression compression, unsigned workers, const unsigned char *data,
		 size_t len, size_t cut, struct buf *out)
{
	struct compressor *compressor;
	struct err err = ERR_INIT;
	struct sink_buf to;

	buf_clear(out);
	sink_buf_init(&to, out);
	compressor = compressor_new(compression, workers, &to.sink);
	for (size_t at = 0; at < len; at += cut)
		assert_int_equal(sink_write(compressor_sink(compressor), data + at,
					    len - at < cut ? len - at : cut, &err),
				 0);
	if (sink_finish(compressor_sink(compressor), &err) < 0)
		fail_msg("%s", err.message);
	compressor_free(compressor);
}

/* Decompress all of data; 0, or -1 and the error. */
static int unpack(const void *data, size_t len, uint64_t max, struct buf *out, struct err *err)
{
	cleanup_fd int fd = tar_as_fd(data, len);
	struct decompressor *from;
	const unsigned char *got;
	struct digest digest, want;
	int status = 0;
	size_t n = 1;
	uint64_t size;

	buf_clear(out);
	if (decompressor_open(fd, -1, "test", max, &from, err) < 0)
		return -1;
	while (n && (status = decompressor_next(from, &got, &n, err)) == 0)
		assert_int_equal(buf_add(out, got, n), 0);
	if (status == 0) {
		assert_int_equal(decompressor_finish(from, &digest, &size, err), 0);
		digest_of(out->data, out->len, &want);
		assert_int_equal(size, out->len);
		assert_true(digest_equal(&digest, &want));
	}
	decompressor_free(from);
	return status;
}

static void test_compress__what_was_packed_comes_back(void **state)
{
	static const size_t sizes[] = { 0,	 1,	  511,	       1048575,
					1048576, 1048577, 2 * 1048576, SAMPLE_SIZE };
	cleanup_free unsigned char *data = make_sample(SAMPLE_SIZE);
	cleanup_buf struct buf packed, back;
	struct err err = ERR_INIT;

	(void)state;
	buf_init(&packed, TAR_BUILD_MAX);
	buf_init(&back, TAR_BUILD_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int kind = COMPRESSION_NONE; kind <= COMPRESSION_ZSTD; kind++) {
			pack((enum compression)kind, 1, data, sizes[i], 100000, &packed);
			if (unpack(packed.data, packed.len, 0, &back, &err) < 0)
				fail_msg("%s", err.message);
			assert_int_equal(back.len, sizes[i]);
			assert_memory_equal(back.data, data, sizes[i]);
		}
}

static void test_compress__bytes_do_not_depend_on_threads_or_cuts(void **state)
{
	static const unsigned workers[] = { 1, 2, 3, 8 };
	static const size_t cuts[] = { 4096, 65537, 1048576, SAMPLE_SIZE };
	cleanup_free unsigned char *data = make_sample(SAMPLE_SIZE);
	cleanup_buf struct buf first, other;

	(void)state;
	buf_init(&first, TAR_BUILD_MAX);
	buf_init(&other, TAR_BUILD_MAX);
	for (int kind = COMPRESSION_GZIP; kind <= COMPRESSION_ZSTD; kind++) {
		pack((enum compression)kind, 1, data, SAMPLE_SIZE, 100000, &first);
		assert_true(first.len < SAMPLE_SIZE * 3 / 4);
		for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
			pack((enum compression)kind, workers[i], data, SAMPLE_SIZE, cuts[i],
			     &other);
			assert_int_equal(other.len, first.len);
			assert_memory_equal(other.data, first.data, first.len);
		}
	}
	/* nothing of this machine or day in the header */
	pack(COMPRESSION_GZIP, 1, data, 10, 10, &first);
	assert_memory_equal(first.data, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
}

static int full(struct sink *sink, const void *data, size_t len, struct err *err)
{
	(void)sink;
	(void)data;
	return len > 10 ? err_set(err, ERR_LIMIT, "full") : 0;
}

static void test_compress__a_failing_sink_stops_it(void **state)
{
	cleanup_free unsigned char *data = make_sample(SAMPLE_SIZE);
	struct sink to = { full, NULL };

	(void)state;
	for (int kind = COMPRESSION_GZIP; kind <= COMPRESSION_ZSTD; kind++) {
		struct compressor *compressor = compressor_new((enum compression)kind, 2, &to);
		struct err err = ERR_INIT;
		int status = sink_write(compressor_sink(compressor), data, SAMPLE_SIZE, &err);

		if (status == 0)
			status = sink_finish(compressor_sink(compressor), &err);
		assert_int_equal(status, -1);
		assert_int_equal(err.kind, ERR_LIMIT);
		compressor_free(compressor);
	}
}

static void test_compress__cut_or_damaged_input_is_an_error(void **state)
{
	cleanup_free unsigned char *data = make_sample(200000);
	cleanup_buf struct buf packed, back;
	struct err err = ERR_INIT;

	(void)state;
	buf_init(&packed, TAR_BUILD_MAX);
	buf_init(&back, TAR_BUILD_MAX);
	for (int kind = COMPRESSION_GZIP; kind <= COMPRESSION_ZSTD; kind++) {
		pack((enum compression)kind, 1, data, 200000, 200000, &packed);
		for (size_t len = packed.len - 1; len > 10; len = len * 9 / 10) {
			assert_int_equal(unpack(packed.data, len, 0, &back, &err), -1);
			assert_int_equal(err.kind, ERR_CORRUPT);
		}
		packed.data[packed.len - 6] ^= 1; /* in gzip's crc; in zstd's last block */
		assert_int_equal(unpack(packed.data, packed.len, 0, &back, &err), -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
		packed.data[packed.len - 6] ^= 1;
		assert_int_equal(unpack(packed.data, packed.len, 199999, &back, &err), -1);
		assert_int_equal(err.kind, ERR_LIMIT);
		assert_int_equal(unpack(packed.data, packed.len, 200000, &back, &err), 0);
		buf_addstr(&packed, "more");
		assert_int_equal(unpack(packed.data, packed.len, 0, &back, &err), -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
}

static void test_compress__members_and_frames_join(void **state)
{
	cleanup_free unsigned char *data = make_sample(300000);
	cleanup_buf struct buf packed, all, back;
	struct err err = ERR_INIT;

	(void)state;
	buf_init(&packed, TAR_BUILD_MAX);
	buf_init(&all, TAR_BUILD_MAX);
	buf_init(&back, TAR_BUILD_MAX);
	for (int kind = COMPRESSION_GZIP; kind <= COMPRESSION_ZSTD; kind++) {
		buf_clear(&all);
		for (size_t i = 0; i < 3; i++) {
			pack((enum compression)kind, 1, data + i * 100000, 100000, 100000, &packed);
			buf_add(&all, packed.data, packed.len);
		}
		if (kind == COMPRESSION_ZSTD) /* a frame to skip, as zstd:chunked has */
			buf_add(&all, "\x50\x2a\x4d\x18\x04\0\0\0skip", 12);
		else
			buf_add(&all, "\0\0\0\0", 4);
		if (unpack(all.data, all.len, 0, &back, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(back.len, 300000);
		assert_memory_equal(back.data, data, 300000);
	}
}

enum foreign {
	FOREIGN_BZIP2,
	FOREIGN_XZ,
	FOREIGN_GZIP,
	FOREIGN_ZSTD,
};

/* As the formats' own libraries write them. */
static void pack_foreign(enum foreign format, const unsigned char *data, size_t len,
			 struct buf *out)
{
	size_t room = len + 65536, used = 0;
	cleanup_free unsigned char *packed = xmalloc(room);
	unsigned used_bzip2 = (unsigned)room;
	z_stream gzip = { .next_in = (unsigned char *)data,
			  .avail_in = (unsigned)len,
			  .next_out = packed,
			  .avail_out = (unsigned)room };

	switch (format) {
	case FOREIGN_BZIP2:
		assert_int_equal(BZ2_bzBuffToBuffCompress((char *)packed, &used_bzip2, (char *)data,
							  (unsigned)len, 9, 0, 0),
				 BZ_OK);
		used = used_bzip2;
		break;
	case FOREIGN_XZ:
		assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, data, len, packed,
							 &used, room),
				 LZMA_OK);
		break;
	case FOREIGN_GZIP:
		assert_int_equal(deflateInit2(&gzip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
				 Z_OK);
		assert_int_equal(deflate(&gzip, Z_FINISH), Z_STREAM_END);
		used = gzip.total_out;
		deflateEnd(&gzip);
		break;
	case FOREIGN_ZSTD:
		used = ZSTD_compress(packed, room, data, len, 3);
		assert_false(ZSTD_isError(used));
		break;
	}
	buf_clear(out);
	buf_add(out, packed, used);
}

static void test_compress__foreign_formats_are_read(void **state)
{
	cleanup_free unsigned char *data = make_sample(1500000);
	cleanup_buf struct buf packed, back;
	struct err err = ERR_INIT;

	(void)state;
	buf_init(&packed, TAR_BUILD_MAX);
	buf_init(&back, TAR_BUILD_MAX);
	for (int i = FOREIGN_BZIP2; i <= FOREIGN_ZSTD; i++) {
		pack_foreign((enum foreign)i, data, 1500000, &packed);
		if (unpack(packed.data, packed.len, 0, &back, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(back.len, 1500000);
		assert_memory_equal(back.data, data, 1500000);
		assert_int_equal(unpack(packed.data, packed.len / 2, 0, &back, &err), -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
	for (int i = FOREIGN_BZIP2; i <= FOREIGN_ZSTD; i++) { /* two streams in a row are one file */
		cleanup_buf struct buf twice;

		buf_init(&twice, TAR_BUILD_MAX);
		pack_foreign((enum foreign)i, data, 700000, &packed);
		buf_add(&twice, packed.data, packed.len);
		pack_foreign((enum foreign)i, data + 700000, 800000, &packed);
		buf_add(&twice, packed.data, packed.len);
		if (unpack(twice.data, twice.len, 0, &back, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(back.len, 1500000);
		assert_memory_equal(back.data, data, 1500000);
	}
	/* a file's name is no compression */
	assert_int_equal(unpack("BZh9 is my name", 15, 0, &back, &err), 0);
	assert_string_equal(back.data, "BZh9 is my name");
}

/* A frame that wants a window of 256 MiB. */
static void test_compress__huge_windows_are_refused(void **state)
{
	static const unsigned char frame[] = { 0x28,	       0xb5, 0x2f, 0xfd, 0x00,
					       (28 - 10) << 3, 0x01, 0x00, 0x00 };
	cleanup_buf struct buf back;
	struct err err = ERR_INIT;

	(void)state;
	buf_init(&back, 1000);
	assert_int_equal(unpack(frame, sizeof(frame), 0, &back, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

/* Each packet is one read: headers, members and trailers are cut everywhere. */
static void test_compress__input_may_come_byte_by_byte(void **state)
{
	cleanup_free unsigned char *data = make_sample(100);
	cleanup_buf struct buf packed, back;

	(void)state;
	buf_init(&packed, TAR_BUILD_MAX);
	buf_init(&back, TAR_BUILD_MAX);
	for (int kind = COMPRESSION_NONE; kind <= COMPRESSION_ZSTD; kind++) {
		struct err err = ERR_INIT;
		const unsigned char *got;
		struct decompressor *from;
		size_t n = 1;
		int fds[2];

		buf_clear(&back);
		pack((enum compression)kind, 1, data, 100, 100, &packed);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
		for (size_t i = 0; i < packed.len; i++)
			assert_int_equal(send(fds[1], packed.data + i, 1, MSG_DONTWAIT), 1);
		close(fds[1]);
		assert_int_equal(decompressor_open(fds[0], -1, "socket", 0, &from, &err), 0);
		while (n && decompressor_next(from, &got, &n, &err) == 0)
			buf_add(&back, got, n);
		assert_int_equal(back.len, 100);
		assert_memory_equal(back.data, data, 100);
		decompressor_free(from);
		close(fds[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compress__what_was_packed_comes_back),
		cmocka_unit_test(test_compress__bytes_do_not_depend_on_threads_or_cuts),
		cmocka_unit_test(test_compress__a_failing_sink_stops_it),
		cmocka_unit_test(test_compress__cut_or_damaged_input_is_an_error),
		cmocka_unit_test(test_compress__members_and_frames_join),
		cmocka_unit_test(test_compress__foreign_formats_are_read),
		cmocka_unit_test(test_compress__huge_windows_are_refused),
		cmocka_unit_test(test_compress__input_may_come_byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
