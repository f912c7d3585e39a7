/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/layers/overlay_box.h"

#include <sys/xattr.h>

#define TAR_BUF(name)                                                                              \
	cleanup_buf struct buf name;                                                               \
	buf_init(&name, TAR_BUILD_MAX)

static void put_directory(struct buf *tar, const char *name, unsigned mode, unsigned uid)
{
	struct tar_header header = tar_member(name, '5');

	snprintf(header.mode, sizeof(header.mode), "%07o", mode);
	snprintf(header.uid, sizeof(header.uid), "%07o", uid);
	snprintf(header.mtime, sizeof(header.mtime), "%011o", 99);
	tar_put(tar, header);
}

/* home/ of user 5, old/ hidden by an opaque one, gone/ removed, and some links. */
static void make_layers(struct box *box, struct digest ids[2])
{
	TAR_BUF(tar);

	tar_put_pax1(&tar, "SCHILY.xattr.user.note", "x");
	put_directory(&tar, "home/", 0700, 5);
	put_directory(&tar, "old/", 0755, 0);
	tar_put_file(&tar, "old/f", "x");
	put_directory(&tar, "gone/", 0755, 0);
	tar_put_file(&tar, "gone/f", "x");
	tar_put_link(&tar, "var", '2', "/home");
	tar_put_link(&tar, "nowhere", '2', "/new");
	tar_put_file(&tar, "file", "x");
	ids[0] = box_unpack(box, &tar);
	put_directory(&tar, "old/", 0711, 6);
	tar_put_file(&tar, "old/.wh..wh..opq", "");
	tar_put_file(&tar, ".wh.gone", "");
	ids[1] = box_unpack(box, &tar);
}

static const struct snapshot_point points[] = {
	{ "/deep/er/dir", true }, { "/deep/er/dir/inner", true },
	{ "/dev/x", false },	  { "/gone/again", true },
	{ "/home/.cache", true }, { "/nowhere/f", false },
	{ "/old/f", false },	  { "/proc", true },
};

static void step_check(void)
{
	struct stat st;
	char value[8];

	must(stat("deep/er/dir", &st) == 0 && S_ISDIR(st.st_mode) && st.st_mtime == 0);
	must(stat("deep", &st) == 0 && (st.st_mode & 07777) == 0755 && st.st_uid == 0);
	must(stat("deep/er/dir/inner", &st) < 0 && stat("dev", &st) < 0 && stat("proc", &st) < 0);
	must(stat("gone/again", &st) == 0 && stat("gone/f", &st) < 0);
	must(stat("home/.cache", &st) == 0);
	must(stat("home", &st) == 0 && (st.st_mode & 07777) == 0700 && st.st_uid == 5 &&
	     st.st_mtime == 99);
	must(getxattr("home", "user.note", value, sizeof(value)) == 1);
	must(stat("old/f", &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0);
	must(stat("old", &st) == 0 && (st.st_mode & 07777) == 0711 && st.st_uid == 6);
	must(stat("new/f", &st) == 0 && S_ISREG(st.st_mode));
}

static void step_write_beside(void)
{
	step_check();
	step_write("home/more", "x");
	step_write("deep/more", "x");
}

static struct snapshot *with_points(struct box *box, const struct digest *ids,
				    const struct snapshot_point *wanted, size_t n)
{
	struct err err = ERR_INIT;
	struct snapshot *snapshot;

	assert_ok(box_snapshot(box, ids, 2, true, &snapshot, &err));
	assert_ok(snapshot_add_points(snapshot, box->roots[box->n_roots - 1], wanted, n, &err));
	return snapshot;
}

static void test_points__are_there_and_in_no_layer(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];
	struct layer layer;

	box_need_ids();
	make_layers(box, ids);
	snapshot = with_points(box, ids, points, 8);
	overlay_run(box, snapshot, step_check);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	assert_true(layer.empty);
	snapshot_free(snapshot);
	/* what is written beside them is, with the directories as they are */
	snapshot = with_points(box, ids, points, 8);
	overlay_run(box, snapshot, step_write_beside);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	box_expect(box, &layer.diff_id, "d deep\nf deep/more\nd home\nf home/more\n");
	snapshot_free(snapshot);
}

static void test_points__what_exists_needs_nothing(void **state)
{
	static const struct snapshot_point there[] = { { "/home", true },
						       { "/file", false },
						       { "/var", true } };
	struct box *box = *state;
	struct snapshot *snapshot;
	struct digest ids[2];
	size_t before;

	box_need_ids();
	make_layers(box, ids);
	snapshot = with_points(box, ids, there, 0);
	before = snapshot->n_lowers;
	snapshot_free(snapshot);
	snapshot = with_points(box, ids, there, 3);
	assert_int_equal(snapshot->n_lowers, before);
	snapshot_free(snapshot);
}

static void test_points__below_a_file_is_an_error(void **state)
{
	static const struct snapshot_point bad = { "/file/x", true };
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];

	box_need_ids();
	make_layers(box, ids);
	assert_ok(box_snapshot(box, ids, 2, true, &snapshot, &err));
	assert_int_equal(snapshot_add_points(snapshot, box->roots[box->n_roots - 1], &bad, 1, &err),
			 -1);
	assert_non_null(strstr(err.message, "file"));
	snapshot_free(snapshot);
}

static int run(void)
{
#define BOXED(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		BOXED(test_points__are_there_and_in_no_layer),
		BOXED(test_points__what_exists_needs_nothing),
		BOXED(test_points__below_a_file_is_an_error),
	};

	return cmocka_run_group_tests_name("points", tests, NULL, NULL);
}

int main(void)
{
	return box_run_twice(run);
}
