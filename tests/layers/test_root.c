/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/layers/store_box.h"

#define TAR_BUF(name)                                                                              \
	cleanup_buf struct buf name;                                                               \
	buf_init(&name, TAR_BUILD_MAX)

/* A layer of ours, from lines as box_list() prints them; files hold their own path. */
static struct digest own_layer(struct box *box, const struct entry *entries, size_t n)
{
	struct err err = ERR_INIT;
	struct layer_writer *writer;
	struct layer layer;

	assert_ok(layer_writer_open(box->store, &writer, &err));
	for (size_t i = 0; i < n; i++) {
		struct entry entry = entries[i];

		if (entry.type == ENTRY_FILE)
			entry.size = strlen(entry.path);
		assert_ok(tar_writer_entry(layer_writer_tar(writer), &entry, &err));
		if (entry.size)
			assert_ok(tar_writer_data(layer_writer_tar(writer), entry.path, entry.size,
						  &err));
	}
	assert_ok(layer_writer_commit(writer, &layer, &err));
	layer_writer_free(writer);
	return layer.diff_id;
}

#define OWN(box, entries) own_layer(box, entries, ARRAY_SIZE(entries))
#define DIR(p)                                                                                     \
	{                                                                                          \
		.path = p, .type = ENTRY_DIRECTORY, .mode = 0750, .uid = 3, .mtime = 50            \
	}
#define FILE_(p)                                                                                   \
	{                                                                                          \
		.path = p, .type = ENTRY_FILE, .mode = 0640, .gid = 4, .mtime = 60                 \
	}
#define LINK(p, to)                                                                                \
	{                                                                                          \
		.path = p, .type = ENTRY_SYMLINK, .link = to                                       \
	}
#define GONE(p)                                                                                    \
	{                                                                                          \
		.path = p, .type = ENTRY_WHITEOUT                                                  \
	}
#define OPAQUE(p)                                                                                  \
	{                                                                                          \
		.path = p, .type = ENTRY_OPAQUE                                                    \
	}

static const struct entry bottom[] = {
	DIR("d"),
	FILE_("d/a"),
	DIR("d/b"),
	FILE_("d/b/c"),
	LINK("escape", "../../../d"),
	DIR("etc"),
	FILE_("etc/passwd"),
	LINK("lib", "usr/lib"),
	LINK("loop1", "loop2"),
	LINK("loop2", "/loop1"),
	LINK("nowhere", "d/new"),
	FILE_("o/hidden"),
	DIR("r"),
	FILE_("r/x"),
	FILE_("usr/lib/so"),
};

static const struct entry top[] = {
	GONE("r"),
	DIR("d"),
	GONE("d/a"),
	{ .path = "d/b", .type = ENTRY_FIFO, .mode = 0600 },
	LINK("d/up", "../etc"),
	FILE_("d-2"),
	FILE_("etc/group"),
	DIR("o"),
	OPAQUE("o"),
	FILE_("o/seen"),
	FILE_("usr/lib/more"),
	{ .path = "usr/lib/other",
	  .type = ENTRY_HARDLINK,
	  .mode = 0640,
	  .gid = 4,
	  .mtime = 60,
	  .link = "usr/lib/more" },
};

static struct root *open_both(struct box *box, bool unpack)
{
	struct digest ids[2] = { OWN(box, bottom), OWN(box, top) };
	struct err err = ERR_INIT;
	struct root *root;
	bool trees;

	if (unpack)
		assert_ok(layer_require_trees(box->store, ids, 2, 2, NULL, NULL, &err));
	assert_true(root_is_ready(box->store, ids, 2, &trees));
	assert_int_equal(trees, unpack);
	assert_ok(root_open(box->store, ids, 2, &root, &err));
	return root;
}

static void expect(struct root *root, const char *path, bool follow, mode_t format,
		   const char *real)
{
	struct err err = ERR_INIT;
	struct root_entry entry;

	assert_ok(root_lookup(root, path, follow, &entry, &err));
	assert_int_equal(entry.stat.st_mode & S_IFMT, format);
	assert_string_equal(entry.path, real);
}

static void expect_absent(struct root *root, const char *path, bool follow, const char *real)
{
	struct err err = ERR_INIT;
	struct root_entry entry;

	assert_int_equal(root_lookup(root, path, follow, &entry, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(entry.path, real);
}

static void check_lookups(struct root *root)
{
	expect(root, "/", false, S_IFDIR, "");
	expect(root, "", true, S_IFDIR, "");
	expect(root, "../../d/./", false, S_IFDIR, "d");
	expect(root, "d/b", true, S_IFIFO, "d/b");
	expect(root, "d/up/passwd", false, S_IFREG, "etc/passwd");
	expect(root, "d/up", false, S_IFLNK, "d/up");
	expect(root, "d/up", true, S_IFDIR, "etc");
	expect(root, "d/up/../d-2", true, S_IFREG, "d-2");
	expect(root, "lib/so", false, S_IFREG, "usr/lib/so");
	expect(root, "/lib/more", false, S_IFREG, "usr/lib/more");
	expect(root, "/lib/other", false, S_IFREG, "usr/lib/other");
	expect(root, "escape/up", false, S_IFLNK, "d/up");
	expect(root, "o/seen", false, S_IFREG, "o/seen");
	expect_absent(root, "o/hidden", false, "o/hidden");
	expect_absent(root, "d/a", false, "d/a");
	expect_absent(root, "d/b/c", false, "");
	expect_absent(root, "r", false, "r");
	expect_absent(root, "r/x", false, "");
	expect_absent(root, "nowhere", true, "d/new");
	expect_absent(root, "new/", true, "new");
	expect_absent(root, "new/er", true, "");
}

static void check_attributes(struct root *root)
{
	struct err err = ERR_INIT;
	struct root_entry entry;

	assert_ok(root_lookup(root, "etc", false, &entry, &err));
	assert_int_equal(entry.stat.st_mode, S_IFDIR | 0750);
	assert_int_equal(entry.stat.st_uid, 3);
	assert_int_equal(entry.stat.st_mtime, 50);
	assert_ok(root_lookup(root, "usr", false, &entry, &err));
	assert_int_equal(entry.stat.st_mode, S_IFDIR | 0755);
	assert_int_equal(entry.stat.st_mtime, 0);
	assert_ok(root_lookup(root, "d-2", false, &entry, &err));
	assert_int_equal(entry.stat.st_gid, 4);
	assert_int_equal(entry.stat.st_size, 3);
	assert_ok(root_lookup(root, "lib", false, &entry, &err));
	assert_string_equal(entry.link, "usr/lib");
	assert_int_equal(root_lookup(root, "loop1", true, &entry, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
}

static void check_reading(struct root *root)
{
	struct err err = ERR_INIT;
	cleanup_buf struct buf text;

	buf_init(&text, 100);
	assert_ok(root_read(root, "d/up/passwd", 100, &text, &err));
	assert_string_equal(text.data, "etc/passwd");
	buf_clear(&text);
	assert_ok(root_read(root, "usr/lib/other", 100, &text, &err));
	assert_string_equal(text.data, "usr/lib/more");
	assert_int_equal(root_read(root, "etc/passwd", 5, &text, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(root_read(root, "d/b", 100, &text, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_int_equal(root_read(root, "r/x", 100, &text, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void test_root__trees_and_tars_say_the_same(void **state)
{
	box_need_ids();
	for (int unpack = 0; unpack < 2; unpack++) {
		struct root *root = open_both(*state, unpack);

		check_lookups(root);
		check_attributes(root);
		check_reading(root);
		root_free(root);
	}
}

static void test_root__foreign_tar_must_be_unpacked(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root_entry entry;
	struct root *root;
	struct digest id;
	bool trees;
	TAR_BUF(tar);

	tar_put_file(&tar, "b", "x");
	tar_put_file(&tar, "a", "x");
	id = box_take(box, &tar);
	assert_false(root_is_ready(box->store, &id, 1, &trees));
	assert_ok(root_open(box->store, &id, 1, &root, &err));
	assert_int_equal(root_lookup(root, "a", false, &entry, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_ok(layer_require_trees(box->store, &id, 1, 1, NULL, NULL, &err));
	assert_ok(root_lookup(root, "a", false, &entry, &err));
	root_free(root);
}

static void test_root__no_layers_is_an_empty_directory(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root *root;

	assert_ok(root_open(box->store, NULL, 0, &root, &err));
	expect(root, "/", true, S_IFDIR, "");
	expect_absent(root, "etc", true, "etc");
	root_free(root);
}

static void test_root__long_names_are_refused(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root_entry entry;
	struct root *root;
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_ok(root_open(box->store, NULL, 0, &root, &err));
	assert_int_equal(root_lookup(root, name, false, &entry, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	root_free(root);
}

static int run(void)
{
#define BOXED(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		BOXED(test_root__trees_and_tars_say_the_same),
		BOXED(test_root__foreign_tar_must_be_unpacked),
		BOXED(test_root__no_layers_is_an_empty_directory),
		BOXED(test_root__long_names_are_refused),
	};

	return cmocka_run_group_tests_name("root", tests, NULL, NULL);
}

int main(void)
{
	return box_run_twice(run);
}
