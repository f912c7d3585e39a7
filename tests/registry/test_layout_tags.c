/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A layout that somebody else has made, or left half done, is written to. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/store.h"
#include "registry/transport.h"

#define MANIFEST "{\"schemaVersion\":2}"
#define LAYER	 "what a layer has in it"

struct box {
	char dir[64];
	int layout_fd; /* layout/ in it; outside/ and store/ are its neighbours */
	struct store *store;
};

static int setup(void **state)
{
	struct box *box = xcalloc(1, sizeof(*box));
	struct err err = ERR_INIT;
	cleanup_free char *path = NULL;

	snprintf(box->dir, sizeof(box->dir), "/tmp/cbuild-test-XXXXXX");
	if (!mkdtemp(box->dir) || chdir(box->dir) < 0 || mkdir("layout", 0755) < 0 ||
	    mkdir("layout/blobs", 0755) < 0 || mkdir("layout/blobs/sha256", 0755) < 0 ||
	    mkdir("outside", 0755) < 0)
		return -1;
	path = xasprintf("%s/store", box->dir);
	box->layout_fd = open("layout", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = box;
	return box->layout_fd < 0 ? -1 : store_open(path, true, &box->store, &err);
}

static int teardown(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	int bad;

	store_free(box->store);
	close(box->layout_fd);
	bad = file_remove_tree_at(AT_FDCWD, box->dir, &err);
	free(box);
	return bad;
}

static char *blob_path(const char *text)
{
	char hex[DIGEST_HEX_MAX];
	struct digest digest;

	digest_of(text, strlen(text), &digest);
	return xasprintf("layout/blobs/sha256/%s", digest_hex(&digest, hex));
}

static void put_file(const char *path, const char *text)
{
	struct err err = ERR_INIT;

	if (file_replace_at(AT_FDCWD, path, text, strlen(text), 0644, false, &err) < 0)
		fail_msg("%s", err.message);
}

static void put(struct box *box, const char *name)
{
	struct tagged tag = { .tag = name, .text = (char *)MANIFEST };
	struct err err = ERR_INIT;

	tag.diff_id.bytes[0] = 1;
	tag.blob = (struct descriptor){ .media = MEDIA_OCI_LAYER_GZIP, .size = strlen(LAYER) };
	if (blob_put(box->store, LAYER, tag.blob.size, &tag.blob.digest, &err) < 0 ||
	    layout_put_tags(box->store, box->layout_fd, &tag, 1, &err) < 0)
		fail_msg("%s", err.message);
}

static void check_tag(struct box *box, const char *name)
{
	struct tagged tag = { .tag = name };
	struct err err = ERR_INIT;

	if (layout_get_tags(box->layout_fd, &tag, 1, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(tag.text);
	assert_string_equal(tag.text, MANIFEST);
	free(tag.text);
}

static void check_layer(void)
{
	cleanup_free char *path = blob_path(LAYER);
	cleanup_buf struct buf text;
	struct err err = ERR_INIT;
	struct stat st;

	buf_init(&text, 4096);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	if (file_read_at(AT_FDCWD, path, &text, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(text.data, LAYER);
}

static void test_layout_tags__a_manifest_and_its_layer_are_put(void **state)
{
	put(*state, "one");
	put(*state, "two");
	check_tag(*state, "one");
	check_tag(*state, "two");
	check_layer();
}

static void test_layout_tags__a_link_is_no_blob(void **state)
{
	cleanup_free char *manifest = blob_path(MANIFEST);
	cleanup_free char *layer = blob_path(LAYER);
	struct stat st;

	put_file("outside/file", "kept");
	assert_int_equal(symlink("../../../outside/file", manifest), 0);
	assert_int_equal(symlink("../../../outside/new", layer), 0);
	put(*state, "one");
	check_tag(*state, "one");
	check_layer();
	assert_int_equal(stat("outside/file", &st), 0);
	assert_int_equal(st.st_size, strlen("kept"));
	assert_int_equal(lstat("outside/new", &st), -1);
}

static void test_layout_tags__directories_that_are_links_lead_nowhere_else(void **state)
{
	struct box *box = *state;
	struct tagged tag = { .tag = "one", .text = (char *)MANIFEST };
	struct err err = ERR_INIT;

	assert_int_equal(rmdir("layout/blobs/sha256"), 0);
	assert_int_equal(symlink("../../outside", "layout/blobs/sha256"), 0);
	assert_int_equal(layout_put_tags(box->store, box->layout_fd, &tag, 1, &err), -1);
	assert_int_equal(unlinkat(AT_FDCWD, "outside", AT_REMOVEDIR), 0); /* it is empty */
}

static void test_layout_tags__what_is_cut_short_is_put_again(void **state)
{
	cleanup_free char *manifest = blob_path(MANIFEST);
	cleanup_free char *layer = blob_path(LAYER);

	put_file(manifest, "");
	put_file(layer, "what");
	put(*state, "one");
	check_tag(*state, "one");
	check_layer();
}

static void test_layout_tags__a_fifo_is_not_waited_for(void **state)
{
	cleanup_free char *layer = blob_path(LAYER);

	assert_int_equal(mkfifo(layer, 0644), 0);
	put(*state, "one");
	check_layer();
}

static void test_layout_tags__an_index_without_manifests_gets_them(void **state)
{
	put_file("layout/index.json", "{\"schemaVersion\":2}");
	put(*state, "one");
	check_tag(*state, "one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_layout_tags__a_manifest_and_its_layer_are_put,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_layout_tags__a_link_is_no_blob, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_layout_tags__directories_that_are_links_lead_nowhere_else, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_layout_tags__what_is_cut_short_is_put_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_layout_tags__a_fifo_is_not_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_layout_tags__an_index_without_manifests_gets_them, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
