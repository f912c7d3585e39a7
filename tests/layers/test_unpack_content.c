/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an unpacked layer is: contents, attributes, owners and modes, and its digest. */
#include "tests/layers/store_box.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/child.h"

static void test_unpack_content__digest_is_verified(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct digest wrong = { { 1 } };
	char dir[160];
	struct unpack unpack = {
		.what = "test",
		.want_diff_id = &wrong,
		.opaque_name = tree_opaque_name(box->store),
		.record = tree_owner_record(box->store),
	};
	TAR_BUF(tar);

	tar_put_file(&tar, "x", "1");
	tar_put_end(&tar);
	snprintf(dir, sizeof(dir), "%s/target", box->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	unpack.tar_fd = tar_as_fd(tar.data, tar.len);
	unpack.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(child_call(unpack_run, &unpack, &wrong, 0, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	close(unpack.tar_fd);
	close(unpack.dir_fd);
}

static void test_unpack_content__devices(void **state)
{
	struct box *box = *state;
	char path[TREE_PATH_MAX];
	struct err err = ERR_INIT;
	struct tar_header header = tar_member("dev/null", '3');
	cleanup_buf struct buf list;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	buf_init(&list, 1000);
	snprintf(header.dev_major, sizeof(header.dev_major), "%07o", 1);
	snprintf(header.dev_minor, sizeof(header.dev_minor), "%07o", 3);
	tar_put(&tar, header);
	tar_put(&tar, tar_member("fifo", '6'));
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "fifo", &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	if (!box_is_rootless() && !store_has_flat_trees(box->store)) {
		assert_int_equal(box_stat(box, &id, "dev/null", &st), 0);
		assert_int_equal(st.st_rdev, makedev(1, 3));
		return;
	}
	assert_false(box_has(box, &id, "dev/null"));
	assert_ok(file_read_at(store_fd(box->store), tree_path(box->store, &id, "devices", path),
			       &list, &err));
	assert_string_equal(list.data, "c 1:3 dev/null");
}

static void test_unpack_content__attributes(void **state)
{
	struct box *box = *state;
	char path[TREE_PATH_MAX + 160], value[8], place[TREE_PATH_MAX];
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	box_need_ids();
	tar_put(&tar, tar_member_of("d/", '5', 02711, 7, 1000));
	tar_put_pax1(&tar, "SCHILY.xattr.user.note", "hello");
	tar_put(&tar, tar_member_of("d/suid", '0', 04755, 8, 2000));
	tar_put(&tar, tar_member_of("d/none/", '5', 0, 9, 3000));
	tar_put_file(&tar, "d/none/f", "x");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "d", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 02711);
	assert_int_equal(st.st_mtime, 1000);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(box_stat(box, &id, "d/suid", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 04755);
	assert_int_equal(st.st_uid, 8);
	assert_int_equal(st.st_mtime, 2000);
	assert_int_equal(box_stat(box, &id, "d/none", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR);
	assert_int_equal(st.st_mtime, 3000);
	snprintf(path, sizeof(path), "%s/store/%s/d/suid", box->dir,
		 tree_path(box->store, &id, "fs", place));
	assert_int_equal(getxattr(path, "user.note", value, sizeof(value)), 5);
}

/* What is shut, also to its owner, is filled, read and removed; what the image said is told. */
static void test_unpack_content__owners_and_modes_are_recorded(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root_entry entry;
	cleanup_buf struct buf text;
	struct root *root;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	store_use_flat_trees(box->store);
	store_record_owners(box->store, true);
	buf_init(&text, 1000);
	tar_put(&tar, tar_member_of("shut/", '5', 0, 7, 1));
	tar_put(&tar, tar_member_of("shut/sub/", '5', 01755, 0, 1));
	tar_put(&tar, tar_member_of("shut/sub/f", '0', 06000, 8, 1));
	tar_put_link(&tar, "shut/sub/h", '1', "shut/sub/f");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "shut/sub/f", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_uid, geteuid());
	assert_ok(root_open(box->store, &id, 1, &root, &err));
	assert_ok(root_lookup(root, "shut", false, &entry, &err));
	assert_int_equal(entry.stat.st_mode, S_IFDIR);
	assert_int_equal(entry.stat.st_uid, 7);
	assert_ok(root_lookup(root, "shut/sub", false, &entry, &err));
	assert_int_equal(entry.stat.st_mode, S_IFDIR | 01755);
	assert_int_equal(entry.stat.st_uid, 0);
	assert_ok(root_lookup(root, "shut/sub/h", false, &entry, &err));
	assert_int_equal(entry.stat.st_mode, S_IFREG | 06000);
	assert_int_equal(entry.stat.st_uid, 8);
	assert_ok(root_read(root, "shut/sub/f", 10, &text, &err));
	root_free(root);
}

static void test_unpack_content__implied_directories_are_recorded(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct path_set set;
	struct digest id;
	TAR_BUF(tar);

	tar_put_file(&tar, "a/b/c", "x");
	tar_put(&tar, tar_member("a/", '5'));
	tar_put_file(&tar, "a!/c", "x");
	id = box_unpack(box, &tar);
	assert_ok(tree_read_implied(box->store, &id, &set, &err));
	assert_int_equal(set.n, 3);
	assert_string_equal(set.paths[0], "");
	assert_string_equal(set.paths[1], "a/b");
	assert_string_equal(set.paths[2], "a!");
	path_set_release(&set);
}

static void count(void *arg, const struct digest *diff_id, bool done)
{
	unsigned *counts = arg;

	(void)diff_id;
	counts[done]++;
}

static void test_unpack_content__several_at_once(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	unsigned counts[2] = { 0 };
	struct digest ids[10];
	TAR_BUF(tar);

	for (unsigned i = 0; i < 9; i++) {
		char name[128];

		snprintf(name, sizeof(name), "file-%u", i);
		tar_put_file(&tar, name, "x");
		ids[i] = box_take(box, &tar);
	}
	ids[9] = ids[0];
	assert_ok(layer_require_trees(box->store, ids, 10, 4, count, counts, &err));
	assert_int_equal(counts[0], 9);
	assert_int_equal(counts[1], 9);
	for (unsigned i = 0; i < 10; i++)
		assert_true(tree_exists(box->store, &ids[i]));
}

static void test_unpack_content__missing_layer_is_not_found(void **state)
{
	struct box *box = *state;
	struct digest id = { { 1, 2, 3 } };
	struct err err = ERR_INIT;

	assert_int_equal(layer_require_trees(box->store, &id, 1, 2, NULL, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

/* Our own tar, unpacked, gives the same bytes again: tree_stream() verifies the digest. */
static void test_unpack_content__own_tar_round_trip(void **state)
{
	static const struct xattr note = { "user.note", "x", 1 };
	const struct entry entries[] = {
		{ .path = "", .type = ENTRY_DIRECTORY, .mode = 0711, .mtime = 5 },
		{ .path = "gone", .type = ENTRY_WHITEOUT },
		{ .path = "d", .type = ENTRY_DIRECTORY, .mode = 01777, .uid = 4, .mtime = 6 },
		{ .path = "d", .type = ENTRY_OPAQUE },
		{ .path = "d/a", .type = ENTRY_FILE, .mode = 0600, .xattrs = &note, .n_xattrs = 1 },
		{ .path = "d/b", .type = ENTRY_HARDLINK, .mode = 0600, .link = "d/a" },
		{ .path = "d/s", .type = ENTRY_SYMLINK, .link = "nowhere", .mtime = 9 },
		{ .path = "implied/x", .type = ENTRY_FIFO, .mode = 0644, .gid = 3 },
	};
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct layer_writer *writer;
	struct sink_digest sink;
	struct layer layer;

	box_need_ids();
	assert_ok(layer_writer_open(box->store, &writer, &err));
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		struct entry entry = entries[i];

		/* A hardlink's header repeats what the file says, which has its attributes. */
		if (entry.type == ENTRY_HARDLINK) {
			entry.mode = 0600;
			entry.mtime = 0;
		}
		assert_ok(tar_writer_entry(layer_writer_tar(writer), &entry, &err));
	}
	assert_ok(layer_writer_commit(writer, &layer, &err));
	layer_writer_free(writer);
	assert_ok(layer_require_trees(box->store, &layer.diff_id, 1, 1, NULL, NULL, &err));
	sink_digest_init(&sink, NULL);
	assert_ok(tree_stream(box->store, &layer.diff_id, &sink.sink, &err));
}

static int run(void)
{
#define BOXED(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		BOXED(test_unpack_content__digest_is_verified),
		BOXED(test_unpack_content__devices),
		BOXED(test_unpack_content__attributes),
		BOXED(test_unpack_content__owners_and_modes_are_recorded),
		BOXED(test_unpack_content__implied_directories_are_recorded),
		BOXED(test_unpack_content__several_at_once),
		BOXED(test_unpack_content__missing_layer_is_not_found),
		BOXED(test_unpack_content__own_tar_round_trip),
	};

	return cmocka_run_group_tests_name("unpack_content", tests, NULL, NULL);
}

int main(void)
{
	int failed = box_run_twice(run);

	return failed ? failed : box_run_bare(run);
}
