/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "tests/layers/sink_buf.h"
#include "tests/layers/tar_build.h"

struct fixture {
	char path[40];
	struct store *store;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));

	snprintf(fixture->path, sizeof(fixture->path), "/tmp/cbuild-layer-XXXXXX");
	if (!mkdtemp(fixture->path) ||
	    store_open(fixture->path, true, &fixture->store, &fixture->err) < 0)
		fail_msg("%s", fixture->err.message);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	store_free(fixture->store);
	file_remove_tree_at(AT_FDCWD, fixture->path, &fixture->err);
	free(fixture);
	return 0;
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			fail_msg("%s", fixture->err.message);                                      \
	} while (0)

/* A layer of one file, made as COPY makes it. */
static struct layer make_layer(struct fixture *fixture, const char *content)
{
	struct entry entry = { .path = "f", .type = ENTRY_FILE, .size = strlen(content) };
	struct layer_writer *writer;
	struct layer layer;

	OK(layer_writer_open(fixture->store, &writer, &fixture->err));
	OK(tar_writer_entry(layer_writer_tar(writer), &entry, &fixture->err));
	OK(tar_writer_data(layer_writer_tar(writer), content, strlen(content), &fixture->err));
	OK(layer_writer_commit(writer, &layer, &fixture->err));
	layer_writer_free(writer);
	return layer;
}

/* A tar, compressed as asked. */
static void make_tar(struct fixture *fixture, enum compression compression, struct buf *out)
{
	struct compressor *compressor;
	struct sink_buf sink;
	cleanup_buf struct buf tar;

	buf_init(&tar, TAR_BUILD_MAX);
	tar_put_file(&tar, "from/elsewhere", "content");
	tar_put_end(&tar);
	buf_clear(out);
	sink_buf_init(&sink, out);
	compressor = compressor_new(compression, 1, &sink.sink);
	OK(sink_write(compressor_sink(compressor), tar.data, tar.len, &fixture->err));
	OK(sink_finish(compressor_sink(compressor), &fixture->err));
	compressor_free(compressor);
}

static void expect_stream(struct fixture *fixture, const struct digest *diff_id)
{
	struct sink_digest sink;
	struct digest got;

	sink_digest_init(&sink, NULL);
	OK(layer_stream(fixture->store, diff_id, &sink.sink, &fixture->err));
	hasher_finish(&sink.hasher, &got);
	assert_true(digest_equal(&got, diff_id));
}

static void put_at(struct fixture *fixture, struct layer_writer *writer, const char *path,
		   enum entry_type type, int64_t mtime)
{
	struct entry entry = { .path = path, .type = type, .mode = 0755, .mtime = mtime };

	entry.size = type == ENTRY_FILE ? 4 : 0;
	entry.link = type == ENTRY_HARDLINK ? "d/f" : NULL;
	OK(tar_writer_entry(layer_writer_tar(writer), &entry, &fixture->err));
	if (entry.size)
		OK(tar_writer_data(layer_writer_tar(writer), "data", 4, &fixture->err));
}

static struct layer make_times(struct fixture *fixture, int64_t old, int64_t young)
{
	struct layer_writer *writer;
	struct layer layer;

	OK(layer_writer_open(fixture->store, &writer, &fixture->err));
	put_at(fixture, writer, "d", ENTRY_DIRECTORY, young);
	put_at(fixture, writer, "d", ENTRY_OPAQUE, 0);
	put_at(fixture, writer, "d/gone", ENTRY_WHITEOUT, 0);
	put_at(fixture, writer, "d/f", ENTRY_FILE, old);
	put_at(fixture, writer, "d/g", ENTRY_HARDLINK, young);
	put_at(fixture, writer, "h", ENTRY_FILE, young);
	OK(layer_writer_commit(writer, &layer, &fixture->err));
	layer_writer_free(writer);
	return layer;
}

static void test_layer__times_are_clamped(void **state)
{
	struct fixture *fixture = *state;
	struct layer layer = make_times(fixture, 5, 2000), want = make_times(fixture, 5, 1000), got;

	OK(layer_clamp(fixture->store, &layer.diff_id, 1000, &got, &fixture->err));
	assert_true(digest_equal(&got.diff_id, &want.diff_id));
	assert_int_equal(got.size, want.size);
	/* itself when it has nothing later; before 1970 as well */
	OK(layer_clamp(fixture->store, &got.diff_id, 1000, &got, &fixture->err));
	assert_true(digest_equal(&got.diff_id, &want.diff_id));
	layer = make_times(fixture, -7, -7);
	OK(layer_clamp(fixture->store, &layer.diff_id, 0, &got, &fixture->err));
	assert_true(digest_equal(&got.diff_id, &layer.diff_id));
	/* later than what a header holds */
	layer = make_times(fixture, 5, INT64_C(1) << 40);
	OK(layer_clamp(fixture->store, &layer.diff_id, 1000, &got, &fixture->err));
	assert_true(digest_equal(&got.diff_id, &want.diff_id));
}

static void test_layer__a_written_layer_is_its_own_blob(void **state)
{
	struct fixture *fixture = *state;
	struct layer layer = make_layer(fixture, "hello"), again;
	struct descriptor blob;

	assert_int_equal(layer.size, 4 * TAR_BLOCK);
	assert_false(layer.empty);
	assert_true(blob_exists(fixture->store, &layer.diff_id, NULL));
	assert_true(layer_present(fixture->store, &layer.diff_id));
	assert_int_equal(layer_size(fixture->store, &layer.diff_id), layer.size);
	expect_stream(fixture, &layer.diff_id);
	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_NONE, &blob, &fixture->err));
	assert_true(digest_equal(&blob.digest, &layer.diff_id));
	assert_int_equal(blob.media, MEDIA_OCI_LAYER);
	again = make_layer(fixture, "hello");
	assert_true(digest_equal(&again.diff_id, &layer.diff_id));
}

static void test_layer__an_empty_layer_is_known_as_such(void **state)
{
	struct fixture *fixture = *state;
	struct layer_writer *writer;
	struct layer layer, taken;
	cleanup_fd int fd = tar_as_fd((char[1024]){ 0 }, 1024);

	OK(layer_writer_open(fixture->store, &writer, &fixture->err));
	OK(layer_writer_commit(writer, &layer, &fixture->err));
	layer_writer_free(writer);
	assert_true(layer.empty);
	OK(layer_take(fixture->store, fd, &layer.diff_id, &taken, &fixture->err));
	assert_true(taken.empty);
}

static void test_layer__packing_is_done_once(void **state)
{
	struct fixture *fixture = *state;
	struct layer layer = make_layer(fixture, "pack me");
	struct descriptor gzip, zstd, again;
	cleanup_fd int fd = -1;

	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_GZIP, &gzip, &fixture->err));
	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_ZSTD, &zstd, &fixture->err));
	assert_int_equal(gzip.media, MEDIA_OCI_LAYER_GZIP);
	assert_int_equal(zstd.media, MEDIA_OCI_LAYER_ZSTD);
	assert_false(digest_equal(&gzip.digest, &zstd.digest));
	/* the tar gone, its packed form is enough, and is not made again */
	OK(blob_remove(fixture->store, &layer.diff_id, &fixture->err));
	assert_true(layer_present(fixture->store, &layer.diff_id));
	expect_stream(fixture, &layer.diff_id);
	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_GZIP, &again, &fixture->err));
	assert_true(digest_equal(&again.digest, &gzip.digest));
	assert_int_equal(again.size, gzip.size);
	/* a blob that went away is made again, with the same bytes */
	OK(blob_remove(fixture->store, &gzip.digest, &fixture->err));
	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_GZIP, &again, &fixture->err));
	assert_true(digest_equal(&again.digest, &gzip.digest));
	OK(blob_open(fixture->store, &again.digest, &fd, NULL, &fixture->err));
}

static void test_layer__what_comes_compressed_keeps_its_bytes(void **state)
{
	struct fixture *fixture = *state;
	cleanup_buf struct buf packed;

	buf_init(&packed, TAR_BUILD_MAX);
	for (int kind = COMPRESSION_GZIP; kind <= COMPRESSION_ZSTD; kind++) {
		struct descriptor blob;
		struct digest digest;
		struct layer layer;
		cleanup_fd int fd = -1;

		make_tar(fixture, (enum compression)kind, &packed);
		digest_of(packed.data, packed.len, &digest);
		fd = tar_as_fd(packed.data, packed.len);
		OK(layer_take(fixture->store, fd, NULL, &layer, &fixture->err));
		assert_int_equal(layer.size, 4 * TAR_BLOCK);
		expect_stream(fixture, &layer.diff_id);
		/* whatever is asked for */
		OK(layer_blob(fixture->store, &layer.diff_id, (enum compression)kind, &blob,
			      &fixture->err));
		assert_true(digest_equal(&blob.digest, &digest));
		OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_NONE, &blob,
			      &fixture->err));
		assert_int_not_equal(media_compression(blob.media), COMPRESSION_NONE);
	}
}

static void test_layer__what_comes_plain_may_be_packed(void **state)
{
	struct fixture *fixture = *state;
	struct descriptor blob;
	struct layer layer;
	cleanup_buf struct buf tar;
	cleanup_fd int fd = -1;

	buf_init(&tar, TAR_BUILD_MAX);
	make_tar(fixture, COMPRESSION_NONE, &tar);
	fd = tar_as_fd(tar.data, tar.len);
	OK(layer_take(fixture->store, fd, NULL, &layer, &fixture->err));
	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_NONE, &blob, &fixture->err));
	assert_true(digest_equal(&blob.digest, &layer.diff_id));
	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_GZIP, &blob, &fixture->err));
	assert_int_equal(blob.media, MEDIA_OCI_LAYER_GZIP);
}

static size_t count_blobs(struct fixture *fixture)
{
	cleanup_free char *path = xasprintf("%s/blobs/sha256", fixture->path);
	DIR *dir = opendir(path);
	size_t n = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void test_layer__the_wrong_layer_is_not_taken(void **state)
{
	struct fixture *fixture = *state;
	struct digest want = { { 1 } };
	struct layer layer;
	cleanup_buf struct buf packed;

	buf_init(&packed, TAR_BUILD_MAX);
	for (int kind = COMPRESSION_NONE; kind <= COMPRESSION_ZSTD; kind++) {
		cleanup_fd int fd = -1;

		make_tar(fixture, (enum compression)kind, &packed);
		fd = tar_as_fd(packed.data, packed.len);
		assert_int_equal(layer_take(fixture->store, fd, &want, &layer, &fixture->err), -1);
		assert_int_equal(fixture->err.kind, ERR_CORRUPT);
		assert_int_equal(count_blobs(fixture), 0);
	}
}

static void test_layer__a_blob_that_lies_does_not_pass(void **state)
{
	struct fixture *fixture = *state;
	struct layer layer = make_layer(fixture, "truth"), lie = make_layer(fixture, "a lie");
	struct digest diff_id = { { 7 } };
	struct descriptor blob = { MEDIA_DOCKER_LAYER, lie.diff_id, lie.size }, got;
	struct sink_digest sink;

	(void)layer;
	OK(layer_add_place(fixture->store, &diff_id, 0, &blob, "r.test/x", &fixture->err));
	sink_digest_init(&sink, NULL);
	assert_int_equal(layer_stream(fixture->store, &diff_id, &sink.sink, &fixture->err), -1);
	assert_int_equal(fixture->err.kind, ERR_CORRUPT);
	/* a pulled one keeps its own form and type */
	OK(layer_blob(fixture->store, &diff_id, COMPRESSION_GZIP, &got, &fixture->err));
	assert_true(digest_equal(&got.digest, &lie.diff_id));
	assert_int_equal(got.media, MEDIA_DOCKER_LAYER);
}

static void test_layer__absent_layers_are_not_found(void **state)
{
	struct fixture *fixture = *state;
	struct digest diff_id = { { 9 } };
	struct descriptor blob;
	struct sink_digest sink;

	sink_digest_init(&sink, NULL);
	assert_false(layer_present(fixture->store, &diff_id));
	assert_false(layer_known(fixture->store, &diff_id));
	assert_int_equal(layer_size(fixture->store, &diff_id), 0);
	assert_int_equal(layer_blob(fixture->store, &diff_id, COMPRESSION_GZIP, &blob,
				    &fixture->err),
			 -1);
	assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
	assert_int_equal(layer_stream(fixture->store, &diff_id, &sink.sink, &fixture->err), -1);
	assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
}

static void test_layer__a_layer_that_is_elsewhere_is_known_and_not_present(void **state)
{
	struct fixture *fixture = *state;
	struct digest diff_id = { { 9 } };
	struct descriptor blob = { MEDIA_OCI_LAYER_GZIP, { { 8 } }, 100 }, got;
	struct layer_places places;
	struct sink_digest sink;

	sink_digest_init(&sink, NULL);
	OK(layer_add_place(fixture->store, &diff_id, 1536, &blob, "r.test/x", &fixture->err));
	OK(layer_add_place(fixture->store, &diff_id, 0, &blob, "r.test/y", &fixture->err));
	OK(layer_add_place(fixture->store, &diff_id, 0, &blob, "r.test/x", &fixture->err));
	assert_true(layer_known(fixture->store, &diff_id));
	assert_false(layer_present(fixture->store, &diff_id));
	assert_int_equal(layer_size(fixture->store, &diff_id), 1536);
	assert_int_equal(layer_stream(fixture->store, &diff_id, &sink.sink, &fixture->err), -1);
	assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
	OK(layer_blob(fixture->store, &diff_id, COMPRESSION_ZSTD, &got, &fixture->err));
	assert_true(digest_equal(&got.digest, &blob.digest));
	OK(layer_places_read(fixture->store, &diff_id, &places, &fixture->err));
	assert_int_equal(places.n, 2);
	assert_string_equal(places.v[0].repository, "r.test/x"); /* the newest */
	assert_string_equal(places.v[1].repository, "r.test/y");
	assert_true(digest_equal(&places.v[1].blob.digest, &blob.digest));
	layer_places_release(&places);
}

static void test_layer__places_of_a_layer_are_few(void **state)
{
	struct fixture *fixture = *state;
	struct digest diff_id = { { 9 } };
	struct descriptor blob = { MEDIA_OCI_LAYER_GZIP, { { 8 } }, 100 };
	struct layer_places places;

	for (unsigned i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "r.test/x%u", i);
		OK(layer_add_place(fixture->store, &diff_id, 0, &blob, name, &fixture->err));
	}
	OK(layer_places_read(fixture->store, &diff_id, &places, &fixture->err));
	assert_int_equal(places.n, 4);
	assert_string_equal(places.v[0].repository, "r.test/x49");
	layer_places_release(&places);
}

static void test_layer__a_layer_under_a_wrong_name_is_forgotten(void **state)
{
	struct fixture *fixture = *state;
	struct layer sound = make_layer(fixture, "truth"), lie = make_layer(fixture, "a lie");
	struct digest diff_id = { { 7 } };
	struct descriptor blob = { MEDIA_OCI_LAYER, lie.diff_id, lie.size };

	OK(layer_add_place(fixture->store, &diff_id, 0, &blob, "r.test/x", &fixture->err));
	assert_true(layer_present(fixture->store, &diff_id));
	assert_true(layer_distrust(fixture->store, &diff_id));
	assert_false(layer_known(fixture->store, &diff_id));
	assert_false(layer_distrust(fixture->store, &sound.diff_id));
	assert_true(layer_present(fixture->store, &sound.diff_id));
	assert_false(layer_distrust(fixture->store, &(struct digest){ { 1 } }));
}

static void test_layer__a_forgotten_layer_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct layer layer = make_layer(fixture, "forget me");
	struct descriptor blob;

	OK(layer_blob(fixture->store, &layer.diff_id, COMPRESSION_GZIP, &blob, &fixture->err));
	OK(layer_forget(fixture->store, &layer.diff_id, &fixture->err));
	assert_false(layer_present(fixture->store, &layer.diff_id));
	assert_int_equal(layer_size(fixture->store, &layer.diff_id), 0);
	assert_int_equal(count_blobs(fixture), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_layer__##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_written_layer_is_its_own_blob),
		TEST(times_are_clamped),
		TEST(an_empty_layer_is_known_as_such),
		TEST(packing_is_done_once),
		TEST(what_comes_compressed_keeps_its_bytes),
		TEST(what_comes_plain_may_be_packed),
		TEST(the_wrong_layer_is_not_taken),
		TEST(a_blob_that_lies_does_not_pass),
		TEST(absent_layers_are_not_found),
		TEST(a_layer_that_is_elsewhere_is_known_and_not_present),
		TEST(places_of_a_layer_are_few),
		TEST(a_layer_under_a_wrong_name_is_forgotten),
		TEST(a_forgotten_layer_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
