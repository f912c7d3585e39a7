/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/layers/overlay_box.h"

#include <sys/xattr.h>

#define TAR_BUF(name)                                                                              \
	cleanup_buf struct buf name;                                                               \
	buf_init(&name, TAR_BUILD_MAX)

static void put_directory(struct buf *tar, const char *name, unsigned mode, unsigned uid,
			  unsigned mtime)
{
	struct tar_header header = tar_member(name, '5');

	snprintf(header.mode, sizeof(header.mode), "%07o", mode);
	snprintf(header.uid, sizeof(header.uid), "%07o", uid);
	snprintf(header.mtime, sizeof(header.mtime), "%011o", mtime);
	tar_put(tar, header);
}

static void step_check_attributes(void)
{
	struct stat st;
	char value[8];

	must(stat(".", &st) == 0 && (st.st_mode & 07777) == 0711 && st.st_uid == 2);
	must(stat("a", &st) == 0 && (st.st_mode & 07777) == 0700 && st.st_uid == 5);
	must(st.st_mtime == 99);
	must(getxattr("a", "user.note", value, sizeof(value)) == 1);
	must(stat("a/b", &st) == 0 && (st.st_mode & 07777) == 01777 && st.st_uid == 6);
	must(stat("a/b/lower", &st) == 0 && stat("a/b/upper", &st) == 0);
	must(stat("a/b/new", &st) == 0 && (st.st_mode & 07777) == 0755 && st.st_uid == 0);
}

static void step_write_there(void)
{
	step_write("a/b/more", "x");
}

static void make_layers(struct box *box, struct digest ids[2])
{
	TAR_BUF(tar);

	put_directory(&tar, "./", 0711, 2, 98);
	tar_put_pax1(&tar, "SCHILY.xattr.user.note", "x");
	put_directory(&tar, "a/", 0700, 5, 99);
	put_directory(&tar, "a/b/", 01777, 6, 100);
	tar_put_file(&tar, "a/b/lower", "x");
	ids[0] = box_unpack(box, &tar);
	tar_put_file(&tar, "a/b/upper", "x");
	tar_put_file(&tar, "a/b/new/f", "x");
	ids[1] = box_unpack(box, &tar);
}

static void test_snapshot__implied_directories_reset_nothing(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[3];
	struct layer layer;

	box_need_ids();
	make_layers(box, ids);
	assert_ok(box_snapshot(box, ids, 2, true, &snapshot, &err));
	assert_int_equal(snapshot->n_lowers, 3);
	overlay_run(box, snapshot, step_check_attributes);
	snapshot_free(snapshot);
	assert_ok(box_snapshot(box, ids, 2, false, &snapshot, &err));
	assert_null(snapshot->upper);
	overlay_run(box, snapshot, step_check_attributes);
	snapshot_free(snapshot);
	/* The directories of top/ are no change of the step. */
	layer = overlay_build(box, ids, 2, step_write_there);
	box_expect(box, &layer.diff_id, "d a\nd a/b\nf a/b/more\n");
	ids[2] = layer.diff_id;
	assert_ok(box_snapshot(box, ids, 3, true, &snapshot, &err));
	overlay_run(box, snapshot, step_check_attributes);
	snapshot_free(snapshot);
}

static void step_check_cut(void)
{
	struct stat st;

	must(stat("below", &st) < 0 && stat("above", &st) == 0);
}

static void test_snapshot__opaque_root_hides_all_below(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];
	TAR_BUF(tar);

	tar_put_file(&tar, "below", "x");
	ids[0] = box_unpack(box, &tar);
	tar_put_file(&tar, ".wh..wh..opq", "");
	tar_put_file(&tar, "above", "x");
	ids[1] = box_unpack(box, &tar);
	assert_ok(box_snapshot(box, ids, 2, true, &snapshot, &err));
	assert_int_equal(snapshot->n_lowers, 1);
	overlay_run(box, snapshot, step_check_cut);
	snapshot_free(snapshot);
}

static void step_file(void)
{
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	step_write("f", "x");
	must(utimensat(AT_FDCWD, "f", times, 0) == 0);
}

static void test_snapshot__same_change_is_the_same_layer(void **state)
{
	struct box *box = *state;
	struct layer a = overlay_build(box, NULL, 0, step_file);
	struct layer b = overlay_build(box, NULL, 0, step_file);

	assert_true(digest_equal(&a.diff_id, &b.diff_id));
	assert_false(a.empty);
	assert_int_equal(layer_size(box->store, &a.diff_id), a.size);
}

/* Copy-ups that change nothing, a removal, a replacement, new files; all times are set. */
static void step_much(void)
{
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	static const char *const changed[] = { "n/d/f", "n/d", "n", "a/b/upper", "a/b", "a", "." };
	int fd = open("a/b/lower", O_RDWR | O_CLOEXEC); /* copied up, and equal */

	must(fd >= 0 && close(fd) == 0);
	must(mkdir("n", 0755) == 0 && mkdir("n/d", 0700) == 0);
	step_write("n/d/f", "x");
	must(link("n/d/f", "n/d/g") == 0 && symlink("f", "n/d/l") == 0);
	must(unlink("a/b/upper") == 0 && mkdir("a/b/upper", 0755) == 0);
	must(unlink("a/b/new/f") == 0 && rmdir("a/b/new") == 0);
	must(utimensat(AT_FDCWD, "n/d/l", times, AT_SYMLINK_NOFOLLOW) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		must(utimensat(AT_FDCWD, changed[i], times, 0) == 0);
}

static void step_check_much(void)
{
	struct stat st;

	must(stat("n/d/g", &st) == 0 && st.st_nlink == 2);
	must(stat("a/b/lower", &st) == 0 && stat("a/b/upper", &st) == 0 && S_ISDIR(st.st_mode));
	must(stat("a/b/new", &st) < 0);
}

static void test_snapshot__settled_is_the_same_layer(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *settled, *above;
	struct root_entry entry;
	struct layer want, layer;
	struct digest ids[2];
	struct root *root;
	unsigned skipped;
	bool empty;

	box_need_ids();
	make_layers(box, ids);
	assert_ok(box_snapshot(box, ids, 2, true, &settled, &err));
	root = box->roots[box->n_roots - 1];
	overlay_run(box, settled, step_much);
	assert_ok(snapshot_settle(settled, &empty, &skipped, &err));
	assert_false(empty);
	assert_ok(snapshot_push(settled, root, &err));

	/* it is there before it has a name */
	assert_int_equal(root_count(root), 3);
	assert_ok(root_lookup(root, "n/d/f", true, &entry, &err));
	assert_int_equal(root_lookup(root, "a/b/new", true, &entry, &err), -1);
	assert_ok(snapshot_prepare(root, true, &above, &err));
	overlay_run(box, above, step_check_much);
	snapshot_free(above);

	want = overlay_build(box, ids, 2, step_much);
	assert_ok(snapshot_digest(settled, &layer, &err));
	assert_true(digest_equal(&layer.diff_id, &want.diff_id));
	assert_int_equal(layer.size, want.size);

	assert_ok(snapshot_name(settled, &layer, &err));
	root_name(root, 2, &layer.diff_id);
	assert_ok(root_lookup(root, "n/d/f", true, &entry, &err));
	snapshot_free(settled);
	assert_ok(snapshot_prepare(root, true, &above, &err));
	overlay_run(box, above, step_check_much);
	snapshot_free(above);
}

static void test_snapshot__settled_without_changes_is_empty(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];
	struct layer layer;
	unsigned skipped;
	bool empty;

	box_need_ids();
	make_layers(box, ids);
	assert_ok(box_snapshot(box, ids, 2, true, &snapshot, &err));
	assert_ok(snapshot_settle(snapshot, &empty, &skipped, &err));
	assert_true(empty);
	assert_ok(snapshot_digest(snapshot, &layer, &err));
	assert_int_equal(layer.size, 1024);
	snapshot_free(snapshot);
}

static void step_check_repeated(void)
{
	struct stat st;

	must(stat("a/b/lower", &st) == 0 && stat("a/b/upper", &st) == 0);
}

/* As two steps give it that do the same at the same time; the kernel takes no lower twice. */
static void test_snapshot__a_layer_may_come_twice(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[4];

	box_need_ids();
	make_layers(box, ids);
	ids[2] = ids[0];
	ids[3] = ids[1];
	assert_ok(box_snapshot(box, ids, 4, true, &snapshot, &err));
	overlay_run(box, snapshot, step_check_repeated);
	snapshot_free(snapshot);
}

static void test_snapshot__read_only_has_no_layer(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct layer layer;

	assert_ok(box_snapshot(box, NULL, 0, false, &snapshot, &err));
	assert_int_equal(snapshot->n_lowers, 1);
	assert_int_equal(snapshot_commit(snapshot, &layer, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	snapshot_free(snapshot);
}

static void test_snapshot__missing_tree_is_not_found(void **state)
{
	struct box *box = *state;
	struct digest id = { { 9 } };
	struct err err = ERR_INIT;
	struct snapshot *snapshot;

	assert_int_equal(box_snapshot(box, &id, 1, true, &snapshot, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static int run(void)
{
#define BOXED(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		BOXED(test_snapshot__implied_directories_reset_nothing),
		BOXED(test_snapshot__opaque_root_hides_all_below),
		BOXED(test_snapshot__same_change_is_the_same_layer),
		BOXED(test_snapshot__settled_is_the_same_layer),
		BOXED(test_snapshot__settled_without_changes_is_empty),
		BOXED(test_snapshot__a_layer_may_come_twice),
		BOXED(test_snapshot__read_only_has_no_layer),
		BOXED(test_snapshot__missing_tree_is_not_found),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}

int main(void)
{
	return box_run_twice(run);
}
