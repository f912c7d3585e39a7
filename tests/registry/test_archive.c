/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/digest.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "registry/transport.h"
#include "tests/layers/digest_file.h"
#include "tests/layers/store_fixture.h"
#include "tests/layers/tar_build.h"

/* --- archives made by hand -------------------------------------------------------------------- */

struct maker {
	struct buf tar;
};

static struct maker maker_begin(void)
{
	struct maker maker;

	buf_init(&maker.tar, TAR_BUILD_MAX);
	return maker;
}

static void maker_add(struct maker *maker, const char *path, const void *data, size_t len)
{
	tar_put_with(&maker->tar, tar_member(path, '0'), data, len);
}

static void maker_text(struct maker *maker, const char *path, const char *text)
{
	tar_put_file(&maker->tar, path, text);
}

static void maker_link(struct maker *maker, const char *path, const char *target)
{
	tar_put_link(&maker->tar, path, '2', target);
}

static int maker_end(struct maker *maker)
{
	int fd;

	tar_put_end(&maker->tar);
	fd = tar_as_fd(maker->tar.data, maker->tar.len);
	buf_release(&maker->tar);
	return fd;
}

/* A tar with one file, as a layer. */
static char *make_layer_bytes(const char *content, size_t *ret_len, struct digest *ret_diff_id)
{
	struct maker maker = maker_begin();
	cleanup_fd int fd = -1;
	char *data;
	off_t len;

	maker_text(&maker, "f", content);
	fd = maker_end(&maker);
	len = lseek(fd, 0, SEEK_END);
	data = xmalloc((size_t)len);
	assert_int_equal(pread_all(fd, data, (size_t)len, 0), len);
	digest_of(data, (size_t)len, ret_diff_id);
	*ret_len = (size_t)len;
	return data;
}

static char *config_text(const struct digest *diff_ids, size_t n)
{
	char text[DIGEST_TEXT_MAX];
	struct buf out;

	buf_init(&out, 100000);
	buf_addstr(&out, "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},"
			 "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
	for (size_t i = 0; i < n; i++)
		buf_addf(&out, "%s\"%s\"", i ? "," : "", digest_format(&diff_ids[i], text));
	buf_addstr(&out, "]}}");
	return buf_steal(&out);
}

/* --- loading ---------------------------------------------------------------------------------- */

struct loaded {
	unsigned n;
	struct digest id;
	char names[200];
};

static void on_image(void *arg, const char *name, const struct digest *id)
{
	struct loaded *loaded = arg;
	size_t used = strlen(loaded->names);

	loaded->n++;
	loaded->id = *id;
	snprintf(loaded->names + used, sizeof(loaded->names) - used, "%s ", name ? name : "-");
}

static void expect_error(struct fixture *fixture, struct maker *maker, enum err_kind kind,
			 const char *words)
{
	struct loaded loaded = { .n = 0 };
	cleanup_fd int fd = maker_end(maker);
	struct err err = ERR_INIT;

	if (archive_load(fixture->store, fd, on_image, &loaded, &err) == 0)
		fail_msg("loaded, expected: %s", words);
	if (err.kind != kind || !strstr(err.message, words))
		fail_msg("expected %d \"%s\", got %d: %s", kind, words, err.kind, err.message);
	assert_int_equal(loaded.n, 0);
}

static void test_archive__docker_form_with_links_loads(void **state)
{
	struct fixture *fixture = *state;
	struct maker maker = maker_begin();
	struct loaded loaded = { .n = 0 };
	struct err err = ERR_INIT;
	struct digest diff_ids[2], id;
	cleanup_free char *layer = NULL, *config = NULL;
	cleanup_fd int fd = -1;
	size_t len;

	layer = make_layer_bytes("hello", &len, &diff_ids[0]);
	diff_ids[1] = diff_ids[0];
	config = config_text(diff_ids, 2);
	digest_of(config, strlen(config), &id);
	/* the link comes before what it names, the list in the middle, as no tool would do it */
	maker_link(&maker, "two/layer.tar", "../one/layer.tar");
	maker_text(&maker, "manifest.json",
		   "[{\"Config\":\"c.json\",\"RepoTags\":[\"p1:latest\",\"localhost:5000/a/b:1\"],"
		   "\"Layers\":[\"one/layer.tar\",\"./two/layer.tar\"]}]");
	maker_add(&maker, "one/layer.tar", layer, len);
	maker_text(&maker, "one/VERSION", "1.0");
	maker_text(&maker, "c.json", config);
	fd = maker_end(&maker);
	if (archive_load(fixture->store, fd, on_image, &loaded, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(loaded.n, 2);
	assert_true(digest_equal(&loaded.id, &id));
	assert_string_equal(loaded.names, "docker.io/library/p1:latest localhost:5000/a/b:1 ");
	assert_true(layer_present(fixture->store, &diff_ids[0]));
	assert_int_equal(layer_size(fixture->store, &diff_ids[0]), len);
	/* loading once more changes nothing, and nothing stays under tmp/ */
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(archive_load(fixture->store, fd, on_image, &loaded, &err), 0);
	store_free(steal_pointer(&fixture->store));
	assert_int_equal(store_open(fixture->path, false, &fixture->store, &err), 0);
	assert_int_equal(unlinkat(store_fd(fixture->store), "tmp", AT_REMOVEDIR), 0);
}

static void test_archive__last_member_of_a_name_counts(void **state)
{
	struct fixture *fixture = *state;
	struct maker maker = maker_begin();
	struct loaded loaded = { .n = 0 };
	cleanup_free char *config = config_text(NULL, 0);
	struct err err = ERR_INIT;
	cleanup_fd int fd = -1;

	maker_text(&maker, "manifest.json", "not json");
	maker_text(&maker, "c.json", config);
	maker_text(&maker, "manifest.json", "[{\"Config\":\"c.json\",\"Layers\":null}]");
	fd = maker_end(&maker);
	if (archive_load(fixture->store, fd, on_image, &loaded, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(loaded.names, "- ");
}

static void test_archive__hostile_docker_archives_are_refused(void **state)
{
	static const struct {
		const char *manifest;
		enum err_kind kind;
		const char *words;
	} cases[] = {
		{ "{}", ERR_INVALID, "names no images" },
		{ "[]", ERR_INVALID, "names no images" },
		{ "[1]", ERR_INVALID, "not an object" },
		{ "[{}]", ERR_INVALID, "does not have" },
		{ "[{\"Config\":\"../../../etc/passwd\",\"Layers\":[]}]", ERR_INVALID,
		  "does not have" },
		{ "[{\"Config\":\"/etc/passwd\",\"Layers\":[]}]", ERR_INVALID, "does not have" },
		{ "[{\"Config\":\"out\",\"Layers\":[]}]", ERR_INVALID, "does not have" },
		{ "[{\"Config\":\"loop1\",\"Layers\":[]}]", ERR_INVALID, "does not have" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[]}]", ERR_INVALID, "0 layers" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[1]}]", ERR_INVALID, "not a string" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[\"gone\"]}]", ERR_INVALID, "does not have" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[\"other.tar\"]}]", ERR_CORRUPT, "expected" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[\"c.json\"]}]", ERR_CORRUPT, "expected" },
		{ "[{\"Config\":\"other.tar\",\"Layers\":[]}]", ERR_INVALID, "other.tar" },
		{ "[{\"Config\":\"blobs/sha256/"
		  "00000000000000000000000000000000000000000000000000000000"
		  "00000000\",\"Layers\":[\"layer.tar\"]}]",
		  ERR_CORRUPT, "is sha256:" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[\"layer.tar\"],\"RepoTags\":[\"A b\"]}]",
		  ERR_INVALID, "A b" },
		{ "[{\"Config\":\"c.json\",\"Layers\":[\"layer.tar\"],\"RepoTags\":[7]}]",
		  ERR_INVALID, "not a string" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *layer = NULL, *other = NULL, *config = NULL;
		struct maker maker = maker_begin();
		struct digest diff_id, other_id;
		size_t len, other_len;

		layer = make_layer_bytes("hello", &len, &diff_id);
		other = make_layer_bytes("other", &other_len, &other_id);
		config = config_text(&diff_id, 1);
		maker_text(&maker, "manifest.json", cases[i].manifest);
		maker_text(&maker, "c.json", config);
		maker_text(&maker,
			   "blobs/sha256/00000000000000000000000000000000000000000000000000000"
			   "00000000000",
			   config);
		maker_add(&maker, "layer.tar", layer, len);
		maker_add(&maker, "other.tar", other, other_len);
		maker_link(&maker, "out", "../../etc/passwd");
		maker_link(&maker, "loop1", "loop2");
		maker_link(&maker, "loop2", "loop1");
		expect_error(fixture, &maker, cases[i].kind, cases[i].words);
	}
}

static void test_archive__what_is_no_archive_of_images_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct maker maker = maker_begin();

	maker_text(&maker, "hello", "x");
	expect_error(fixture, &maker, ERR_INVALID, "neither manifest.json nor index.json");
	maker = maker_begin();
	maker_text(&maker, "repositories", "{}");
	expect_error(fixture, &maker, ERR_UNSUPPORTED, "older than 1.10");
}

static void test_archive__hostile_layouts_are_refused(void **state)
{
	static const struct {
		const char *index;
		enum err_kind kind;
		const char *words;
	} cases[] = {
		{ "{}", ERR_INVALID, "index.json" },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", ERR_INVALID, "names no images" },
		{ "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image."
		  "manifest.v1+json\",\"digest\":\"sha256:"
		  "111111111111111111111111111111111111111111"
		  "1111111111111111111111\",\"size\":7}]}",
		  ERR_INVALID, "does not have" },
		{ "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image."
		  "manifest.v1+json\",\"digest\":\"sha256:"
		  "000000000000000000000000000000000000000000"
		  "0000000000000000000000\",\"size\":7}]}",
		  ERR_CORRUPT, "blobs/sha256/0000" },
		{ "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image."
		  "manifest.v1+json\",\"digest\":\"sha256:../../../../../../../../../../../etc/"
		  "passwd"
		  "\",\"size\":7}]}",
		  ERR_INVALID, "digest" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct maker maker = maker_begin();

		maker_text(&maker, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
		maker_text(&maker, "index.json", cases[i].index);
		maker_text(&maker,
			   "blobs/sha256/00000000000000000000000000000000000000000000000000000"
			   "00000000000",
			   "{}");
		expect_error(fixture, &maker, cases[i].kind, cases[i].words);
	}
}

static void test_archive__cut_archives_are_refused(void **state)
{
	struct fixture *fixture = *state;
	cleanup_free char *config = config_text(NULL, 0);
	struct maker maker = maker_begin();
	struct err err = ERR_INIT;
	cleanup_fd int fd = -1;

	maker_text(&maker, "manifest.json", "[{\"Config\":\"c.json\",\"Layers\":null}]");
	maker_text(&maker, "c.json", config);
	fd = maker_end(&maker);
	assert_int_equal(ftruncate(fd, 1024 + 512 + 10), 0);
	assert_int_equal(archive_load(fixture->store, fd, NULL, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

/* --- saving ----------------------------------------------------------------------------------- */

static struct digest make_image(struct store *store)
{
	static const char *const contents[] = { "hello", "world" };
	struct image *image = image_new();
	struct err err = ERR_INIT;
	struct digest id;

	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		struct maker maker = maker_begin();
		cleanup_fd int fd = -1;
		struct layer layer;

		maker_text(&maker, "f", contents[i]);
		fd = maker_end(&maker);
		if (layer_take(store, fd, NULL, &layer, &err) < 0)
			fail_msg("%s", err.message);
		image_add_layer(image, &layer.diff_id);
	}
	if (image_put(store, image, &id, &err) < 0)
		fail_msg("%s", err.message);
	image_free(image);
	return id;
}

static int save(struct store *store, const struct digest *id, enum archive_format format)
{
	struct archive_image images[] = { { *id, "docker.io/library/p1:1" },
					  { *id, "localhost:5000/p2:latest" },
					  { *id, NULL } };
	int fd = memfd_create("saved", MFD_CLOEXEC);
	struct err err = ERR_INIT;

	if (archive_save(store, images, ARRAY_SIZE(images), format, fd, &err) < 0)
		fail_msg("%s", err.message);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void check_comes_back(struct fixture *fixture, enum archive_format format, const char *names)
{
	struct digest id = make_image(fixture->store), first, second;
	cleanup_free char *path = xasprintf("%s/other", fixture->dir);
	struct loaded loaded = { .n = 0 };
	struct err err = ERR_INIT;
	struct image *image;
	struct store *other;
	int fd = save(fixture->store, &id, format);

	assert_int_equal(store_open(path, true, &other, &err), 0);
	if (archive_load(other, fd, on_image, &loaded, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(digest_equal(&loaded.id, &id));
	assert_string_equal(loaded.names, names);
	assert_int_equal(image_load(other, &id, &image, &err), 0);
	for (size_t i = 0; i < image->n_layers; i++)
		assert_true(layer_present(other, &image->diff_ids[i]));
	image_free(image);
	store_free(other);
	lseek(fd, 0, SEEK_SET);
	digest_file(fd, &first);
	close(fd);
	fd = save(fixture->store, &id, format); /* the same bytes again */
	digest_file(fd, &second);
	close(fd);
	assert_true(digest_equal(&first, &second));
}

static void test_archive__docker_form_comes_back(void **state)
{
	check_comes_back(*state, ARCHIVE_DOCKER,
			 "docker.io/library/p1:1 localhost:5000/p2:latest ");
}

static void test_archive__oci_form_comes_back(void **state)
{
	check_comes_back(*state, ARCHIVE_OCI, "docker.io/library/p1:1 localhost:5000/p2:latest - ");
}

static void test_archive__missing_layer_is_told_before_writing(void **state)
{
	struct fixture *fixture = *state;
	struct digest id = make_image(fixture->store);
	struct archive_image wanted = { id, NULL };
	cleanup_fd int fd = memfd_create("saved", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct image *image;

	assert_int_equal(image_load(fixture->store, &id, &image, &err), 0);
	assert_int_equal(blob_remove(fixture->store, &image->diff_ids[1], &err), 0);
	image_free(image);
	assert_int_equal(archive_save(fixture->store, &wanted, 1, ARCHIVE_DOCKER, fd, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(archive_save(fixture->store, &wanted, 1, ARCHIVE_OCI, fd, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)
	const struct CMUnitTest tests[] = {
		TEST(test_archive__docker_form_with_links_loads),
		TEST(test_archive__last_member_of_a_name_counts),
		TEST(test_archive__hostile_docker_archives_are_refused),
		TEST(test_archive__what_is_no_archive_of_images_is_refused),
		TEST(test_archive__hostile_layouts_are_refused),
		TEST(test_archive__cut_archives_are_refused),
		TEST(test_archive__docker_form_comes_back),
		TEST(test_archive__oci_form_comes_back),
		TEST(test_archive__missing_layer_is_told_before_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
