/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "layers/image.h"
#include "layers/layer.h"
#include "tests/layers/store_fixture.h"

/* A layer with one directory. */
static struct digest make_layer(struct store *store, const char *name)
{
	struct entry entry = { .path = name, .type = ENTRY_DIRECTORY, .mode = 0755 };
	struct layer_writer *writer;
	struct err err = ERR_INIT;
	struct layer layer;

	if (layer_writer_open(store, &writer, &err) < 0 ||
	    tar_writer_entry(layer_writer_tar(writer), &entry, &err) < 0 ||
	    layer_writer_commit(writer, &layer, &err) < 0)
		fail_msg("%s", err.message);
	layer_writer_free(writer);
	return layer.diff_id;
}

/* An image of up to two layers, created at a time. */
static struct digest make_image(struct store *store, const char *one, const char *two,
				int64_t created)
{
	const char *names[] = { one, two };
	struct image *image = image_new();
	struct err err = ERR_INIT;
	struct digest id;

	image->created = created;
	image->has_created = true;
	for (int i = 0; i < 2; i++) {
		struct digest diff_id;

		if (!names[i])
			continue;
		diff_id = make_layer(store, names[i]);
		image_add_layer(image, &diff_id);
	}
	if (image_put(store, image, &id, &err) < 0)
		fail_msg("%s", err.message);
	image_free(image);
	return id;
}

static void test_image_store__image_comes_back(void **state)
{
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store, "a", NULL, 7);
	struct image_record record;
	struct err err = ERR_INIT;
	struct image *image;

	assert_int_equal(image_load(fixture->store, &id, &image, &err), 0);
	assert_int_equal(image->created, 7);
	assert_int_equal(image->n_layers, 1);
	image_free(image);
	assert_int_equal(image_record_get(fixture->store, &id, &record, &err), 0);
	assert_true(record.stored > 0);
	assert_int_equal(record.manifest.size, 0);
}

static void test_image_store__names_do_not_collide(void **state)
{
	static const char *const names[] = {
		"[::1]:5000/a:1",
		"docker.io/library/p1:latest",
		"docker.io/library/p1/latest:latest",
		"docker.io/library/p1:sub.damaged",
		"docker.io/library/"
		"p1@sha256:0000000000000000000000000000000000000000000000000000000"
		"000000000",
		"localhost:5000/a/b/c:1",
		"localhost:5000/a/b:1",
	};
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store, "a", NULL, 7);
	struct digest remote = { { 5 } };
	struct err err = ERR_INIT;
	struct image_list *list;
	struct image_name name;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (image_tag(fixture->store, names[i], &id, i ? NULL : &remote, &err) < 0)
			fail_msg("%s", err.message);
	assert_int_equal(image_list(fixture->store, &list, &err), 0);
	assert_int_equal(list->n_names, ARRAY_SIZE(names));
	assert_int_equal(list->n_images, 1);
	for (size_t i = 1; i < list->n_names; i++)
		assert_true(strcmp(list->names[i - 1].name, list->names[i].name) < 0);
	image_list_free(list);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(image_name_get(fixture->store, names[i], &name, &err), 0);
		assert_true(digest_equal(&name.id, &id));
		assert_true(digest_equal(&name.remote, i ? &(struct digest){ { 0 } } : &remote));
		assert_string_equal(name.name, names[i]);
		image_name_release(&name);
		assert_int_equal(image_untag(fixture->store, names[i], &err), 0);
		assert_int_equal(image_untag(fixture->store, names[i], &err), -1);
		assert_int_equal(err.kind, ERR_NOT_FOUND);
	}
	/* no directory is left */
	assert_int_equal(unlinkat(store_fd(fixture->store), "images/names", AT_REMOVEDIR), 0);
}

static void test_image_store__bad_names_never_become_paths(void **state)
{
	static const char *const names[] = {
		"",	    "p1",      "p1:latest", "/a:1", "a//b:1", "a/../../b:1",
		"../a/b:1", "a/./b:1", "a/b",	    "a/b:", "a/:1",   "a/:b/c:1",
	};
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store, "a", NULL, 7);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (image_tag(fixture->store, names[i], &id, NULL, &err) == 0)
			fail_msg("accepted: %s", names[i]);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

static void test_image_store__name_of_an_absent_image_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct digest id = { { 9 } };
	struct err err = ERR_INIT;

	assert_int_equal(image_tag(fixture->store, "a/b:1", &id, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void test_image_store__newest_images_come_first(void **state)
{
	struct fixture *fixture = *state;
	struct digest old = make_image(fixture->store, "a", NULL, 1000);
	struct digest new = make_image(fixture->store, "a", NULL, 3000);
	struct digest mid = make_image(fixture->store, "a", NULL, 2000);
	struct err err = ERR_INIT;
	struct image_list *list;

	assert_int_equal(image_list(fixture->store, &list, &err), 0);
	assert_int_equal(list->n_images, 3);
	assert_true(digest_equal(&list->images[0].id, &new));
	assert_true(digest_equal(&list->images[1].id, &mid));
	assert_true(digest_equal(&list->images[2].id, &old));
	image_list_free(list);
}

static void test_image_store__ids_are_found_by_prefix(void **state)
{
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store, "a", NULL, 1), found;
	char hex[DIGEST_HEX_MAX], text[DIGEST_TEXT_MAX];
	struct err err = ERR_INIT;
	unsigned ambiguous = 0;

	digest_hex(&id, hex);
	assert_int_equal(image_find_id(fixture->store, hex, &found, &err), 0);
	assert_true(digest_equal(&id, &found));
	digest_format(&id, text);
	text[7 + 12] = '\0';
	assert_int_equal(image_find_id(fixture->store, text, &found, &err), 0);
	hex[0] = hex[0] == '0' ? '1' : '0';
	assert_int_equal(image_find_id(fixture->store, hex, &found, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(image_find_id(fixture->store, "xyz", &found, &err), -1);
	for (int i = 0; i < 17; i++) /* two of seventeen begin with the same digit */
		make_image(fixture->store, NULL, NULL, i);
	for (int i = 0; i < 16; i++) {
		char digit[2] = { "0123456789abcdef"[i], '\0' };

		err_clear(&err);
		ambiguous += image_find_id(fixture->store, digit, &found, &err) < 0 &&
			     err.kind == ERR_INVALID;
	}
	assert_true(ambiguous > 0);
}

static void test_image_store__manifest_is_made_in_both_forms(void **state)
{
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store, "a", "b", 1);
	struct descriptor oci, docker, zstd, again;
	struct manifest *manifest;
	struct err err = ERR_INIT;
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (image_manifest(fixture->store, &id, COMPRESSION_GZIP, false, &oci, &err) < 0 ||
	    image_manifest(fixture->store, &id, COMPRESSION_GZIP, true, &docker, &err) < 0 ||
	    image_manifest(fixture->store, &id, COMPRESSION_ZSTD, false, &zstd, &err) < 0 ||
	    image_manifest(fixture->store, &id, COMPRESSION_GZIP, false, &again, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(oci.media, MEDIA_OCI_MANIFEST);
	assert_int_equal(docker.media, MEDIA_DOCKER_MANIFEST);
	assert_true(digest_equal(&oci.digest, &again.digest));
	assert_false(digest_equal(&oci.digest, &zstd.digest));
	assert_int_equal(blob_read(fixture->store, &docker.digest, &text, &err), 0);
	assert_int_equal(text.len, docker.size);
	assert_int_equal(
		manifest_parse(text.data, text.len, media_name(docker.media), &manifest, &err), 0);
	assert_int_equal(manifest->n_layers, 2);
	assert_int_equal(manifest->layers[1].media, MEDIA_DOCKER_LAYER_GZIP);
	assert_true(blob_exists(fixture->store, &manifest->layers[1].digest, NULL));
	assert_true(digest_equal(&manifest->config.digest, &id));
	manifest_free(manifest);
}

static void test_image_store__pulled_manifest_is_kept(void **state)
{
	static const char spaced[] =
		"{ \"schemaVersion\": 2, \"mediaType\": "
		"\"application/vnd.oci.image.manifest.v1+json\","
		"  \"config\": {\"mediaType\":\"application/vnd.oci.image.config.v1+json\","
		"  \"digest\":\"%s\",\"size\":%llu}, \"layers\": [] }";
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store, NULL, NULL, 1);
	struct image_record record = { .id = id, .stored = 12 };
	char digest[DIGEST_TEXT_MAX];
	cleanup_free char *text = NULL;
	struct descriptor got;
	struct err err = ERR_INIT;
	uint64_t size;

	assert_true(blob_exists(fixture->store, &id, &size));
	text = xasprintf(spaced, digest_format(&id, digest), (unsigned long long)size);
	record.manifest = (struct descriptor){ .media = MEDIA_OCI_MANIFEST, .size = strlen(text) };
	assert_int_equal(
		blob_put(fixture->store, text, strlen(text), &record.manifest.digest, &err), 0);
	assert_int_equal(image_record_put(fixture->store, &record, &err), 0);
	assert_int_equal(image_manifest(fixture->store, &id, COMPRESSION_ZSTD, false, &got, &err),
			 0);
	assert_true(digest_equal(&got.digest, &record.manifest.digest));
	assert_int_equal(image_manifest(fixture->store, &id, COMPRESSION_ZSTD, true, &got, &err),
			 0);
	assert_int_equal(got.media, MEDIA_DOCKER_MANIFEST);
	make_image(fixture->store, NULL, NULL, 1); /* built again: the record keeps what it knew */
	assert_int_equal(image_record_get(fixture->store, &id, &record, &err), 0);
	assert_int_equal(record.manifest.size, strlen(text));
}

static void count_removed(void *arg, const char *what, const struct digest *digest)
{
	unsigned *counts = arg;

	(void)digest;
	counts[!strcmp(what, "layer")]++;
}

static void test_image_store__removal_keeps_what_others_need(void **state)
{
	struct fixture *fixture = *state;
	struct digest one = make_image(fixture->store, "a", "b", 1);
	struct digest two = make_image(fixture->store, "a", "c", 2);
	struct digest a = make_layer(fixture->store, "a"), b = make_layer(fixture->store, "b");
	struct descriptor manifest;
	unsigned removed[2] = { 0, 0 };
	struct err err = ERR_INIT;

	assert_int_equal(
		image_manifest(fixture->store, &one, COMPRESSION_GZIP, false, &manifest, &err), 0);
	assert_int_equal(image_tag(fixture->store, "x/one:1", &one, NULL, &err), 0);
	assert_int_equal(image_remove(fixture->store, &one, count_removed, removed, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_int_equal(image_untag(fixture->store, "x/one:1", &err), 0);
	if (image_remove(fixture->store, &one, count_removed, removed, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(removed[0], 1);
	assert_int_equal(removed[1], 1);
	assert_true(layer_present(fixture->store, &a));
	assert_false(layer_present(fixture->store, &b));
	assert_false(blob_exists(fixture->store, &one, NULL));
	assert_false(blob_exists(fixture->store, &manifest.digest, NULL));
	assert_int_equal(image_remove(fixture->store, &one, NULL, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(image_remove(fixture->store, &two, NULL, NULL, &err), 0);
	/* nothing is left at all */
	assert_int_equal(unlinkat(store_fd(fixture->store), "blobs/sha256", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(store_fd(fixture->store), "layers", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(store_fd(fixture->store), "images/ids", AT_REMOVEDIR), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)
	const struct CMUnitTest tests[] = {
		TEST(test_image_store__image_comes_back),
		TEST(test_image_store__names_do_not_collide),
		TEST(test_image_store__bad_names_never_become_paths),
		TEST(test_image_store__name_of_an_absent_image_is_refused),
		TEST(test_image_store__newest_images_come_first),
		TEST(test_image_store__ids_are_found_by_prefix),
		TEST(test_image_store__manifest_is_made_in_both_forms),
		TEST(test_image_store__pulled_manifest_is_kept),
		TEST(test_image_store__removal_keeps_what_others_need),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
