/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/layers/store_box.h"

static void test_unpack__names_stay_inside(void **state)
{
	struct box *box = *state;
	struct digest id;
	TAR_BUF(tar);

	tar_put_file(&tar, "../../../../../../cbuild-canary", "x");
	tar_put_file(&tar, "/cbuild-absolute", "x");
	id = box_unpack(box, &tar);
	assert_true(box_has(box, &id, "cbuild-canary"));
	assert_true(box_has(box, &id, "cbuild-absolute"));
	assert_int_equal(access("/cbuild-canary", F_OK), -1);
	assert_int_equal(access("/cbuild-absolute", F_OK), -1);
}

static void test_unpack__link_as_parent_stays_inside(void **state)
{
	struct box *box = *state;
	char inside[160], outside[160];
	struct digest id;
	TAR_BUF(tar);

	tar_put_link(&tar, "absolute", '2', box->dir);
	tar_put_file(&tar, "absolute/canary", "x");
	tar_put_link(&tar, "up", '2', "../../../../../..");
	tar_put_file(&tar, "up/cbuild-up", "x");
	tar_put_link(&tar, "lib", '2', "usr/lib");
	tar_put_file(&tar, "lib/so", "x");
	id = box_unpack(box, &tar);
	snprintf(inside, sizeof(inside), "%s/canary", box->dir + 1);
	snprintf(outside, sizeof(outside), "%s/canary", box->dir);
	assert_true(box_has(box, &id, inside));
	assert_int_equal(access(outside, F_OK), -1);
	assert_true(box_has(box, &id, "cbuild-up"));
	assert_int_equal(access("/cbuild-up", F_OK), -1);
	assert_true(box_has(box, &id, "usr/lib/so"));
}

static void test_unpack__link_loop_as_parent_is_replaced(void **state)
{
	struct box *box = *state;
	struct digest id;
	TAR_BUF(tar);

	tar_put_link(&tar, "a", '2', "b");
	tar_put_link(&tar, "b", '2', "a");
	tar_put_file(&tar, "a/x", "x");
	tar_put_link(&tar, "c", '2', "c/d");
	tar_put_file(&tar, "c/x", "x");
	id = box_unpack(box, &tar);
	assert_true(box_has(box, &id, "a/x"));
	assert_true(box_has(box, &id, "c/x"));
}

static void test_unpack__directory_replaces_link_of_layer_below(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root_entry entry;
	struct digest ids[2];
	struct root *root;
	TAR_BUF(tar);

	tar_put_link(&tar, "link", '2', box->dir);
	ids[0] = box_unpack(box, &tar);
	tar_put(&tar, tar_member("link/", '5'));
	tar_put_file(&tar, "link/canary", "x");
	ids[1] = box_unpack(box, &tar);
	assert_ok(root_open(box->store, ids, 2, &root, &err));
	assert_ok(root_lookup(root, "link/canary", false, &entry, &err));
	assert_string_equal(entry.path, "link/canary");
	root_free(root);
}

static void test_unpack__hardlink_outside_is_refused(void **state)
{
	struct box *box = *state;
	TAR_BUF(tar);

	tar_put_link(&tar, "h", '1', "../../../../../../etc/hostname");
	box_refuse(box, &tar, ERR_CORRUPT, "not in the layer");
	tar_put_link(&tar, "h", '1', "missing");
	box_refuse(box, &tar, ERR_CORRUPT, "not in the layer");
	tar_put(&tar, tar_member("d/", '5'));
	tar_put_link(&tar, "h", '1', "d");
	box_refuse(box, &tar, ERR_CORRUPT, "directory");
}

static void test_unpack__hardlink_with_absolute_target(void **state)
{
	struct box *box = *state;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	tar_put_file(&tar, "run/f", "x");
	tar_put_link(&tar, "a", '1', "/run/f");
	tar_put_link(&tar, "var/run", '2', "/run");
	tar_put_link(&tar, "b", '1', "var/run/f");
	tar_put_link(&tar, "var/run/c", '1', "/var/run/f");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "run/c", &st), 0);
	assert_int_equal(st.st_nlink, 4);
}

static void test_unpack__hardlink_does_not_follow(void **state)
{
	struct box *box = *state;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	tar_put_link(&tar, "s", '2', "/etc/hostname");
	tar_put_link(&tar, "h", '1', "s");
	tar_put_link(&tar, "h", '1', "h");
	tar_put_link(&tar, "h", '1', "s");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "h", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(st.st_nlink, 2);
}

/* The file goes to a new inode: the other name keeps its content. */
static void test_unpack__file_replaces_without_writing_through(void **state)
{
	struct box *box = *state;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	tar_put_file(&tar, "a", "long content");
	tar_put_link(&tar, "b", '1', "a");
	tar_put_file(&tar, "b", "x");
	tar_put_link(&tar, "c", '2', "a");
	tar_put_file(&tar, "c", "y");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "a", &st), 0);
	assert_int_equal(st.st_size, 12);
	assert_int_equal(box_stat(box, &id, "c", &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void test_unpack__root_must_be_directory(void **state)
{
	struct box *box = *state;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	box_need_ids();
	tar_put_link(&tar, "./", '2', "/tmp");
	box_refuse(box, &tar, ERR_CORRUPT, "root entry");
	tar_put(&tar, tar_member_of("./", '5', 0750, 3, 77));
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_uid, 3);
	assert_int_equal(st.st_mtime, 77);
}

static void test_unpack__bad_whiteouts_are_refused(void **state)
{
	struct box *box = *state;
	TAR_BUF(tar);

	tar_put_file(&tar, "d/.wh.", "");
	box_refuse(box, &tar, ERR_CORRUPT, "whiteout");
	tar_put_file(&tar, "d/.wh..", "");
	box_refuse(box, &tar, ERR_CORRUPT, "whiteout");
	tar_put_file(&tar, "d/.wh...", "");
	box_refuse(box, &tar, ERR_CORRUPT, "whiteout");
}

static void test_unpack__whiteout_and_file_in_any_order(void **state)
{
	struct box *box = *state;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	tar_put_file(&tar, ".wh.before", "");
	tar_put_file(&tar, "before", "x");
	tar_put_file(&tar, "after", "x");
	tar_put_file(&tar, ".wh.after", "");
	tar_put_file(&tar, "dir/x", "x");
	tar_put_file(&tar, ".wh.dir", "");
	tar_put_file(&tar, ".wh.gone", "");
	tar_put_file(&tar, "gone2/.wh.x", "");
	tar_put_file(&tar, ".wh.gone2", "");
	tar_put_file(&tar, "before/.wh.x", "");
	tar_put_file(&tar, "opaque/.wh..wh..opq", "");
	tar_put_file(&tar, "opaque/x", "");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "before", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(box_stat(box, &id, "after", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_true(box_is_opaque(box, &id, "dir"));
	assert_true(box_is_opaque(box, &id, "opaque"));
	assert_int_equal(box_stat(box, &id, "gone", &st), 0);
	assert_true(overlay_is_whiteout(&st, tree_opaque_name(box->store)));
	assert_int_equal(box_stat(box, &id, "gone2", &st), 0);
	assert_true(overlay_is_whiteout(&st, tree_opaque_name(box->store)));
}

static void test_unpack__whiteout_through_link_stays_inside(void **state)
{
	struct box *box = *state;
	char victim[160];
	struct digest id;
	TAR_BUF(tar);
	int fd;

	snprintf(victim, sizeof(victim), "%s/victim", box->dir);
	fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	tar_put_link(&tar, "link", '2', box->dir);
	tar_put_file(&tar, "link/.wh.victim", "");
	tar_put_file(&tar, "link/.wh..wh..opq", "");
	id = box_unpack(box, &tar);
	assert_int_equal(access(victim, F_OK), 0);
	assert_true(box_has(box, &id, victim + 1));
}

static void test_unpack__overlay_attributes_mean_nothing(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root_entry entry;
	struct digest ids[2];
	struct sink_digest sink;
	struct root *root;
	TAR_BUF(tar);

	tar_put_file(&tar, "d/lower", "x");
	ids[0] = box_unpack(box, &tar);
	tar_put_pax1(&tar, "SCHILY.xattr.trusted.overlay.opaque", "y");
	tar_put(&tar, tar_member("d/", '5'));
	tar_put_pax1(&tar, "SCHILY.xattr.user.overlay.opaque", "y");
	tar_put(&tar, tar_member("d/", '5'));
	ids[1] = box_unpack(box, &tar);
	assert_false(box_is_opaque(box, &ids[1], "d"));
	assert_ok(root_open(box->store, ids, 2, &root, &err));
	assert_ok(root_lookup(root, "d/lower", false, &entry, &err));
	root_free(root);
	sink_digest_init(&sink, NULL);
	assert_ok(layer_stream(box->store, &ids[1], &sink.sink, &err));
	assert_ok(sink_finish(&sink.sink, &err));
	assert_true(digest_equal(&sink.digest, &ids[1]));
}

static void test_unpack__unmapped_owner_names_the_range(void **state)
{
	struct box *box = *state;
	struct digest id;
	TAR_BUF(tar);

	tar_put(&tar, tar_member_of("f", '0', 0644, 200000, 1));
	if (box_is_rootless()) {
		box_refuse(box, &tar, ERR_UNSUPPORTED, "200000");
		tar_put(&tar, tar_member_of("f", '0', 0644, 200000, 1));
		box_refuse(box, &tar, ERR_UNSUPPORTED, "/etc/subuid");
	} else {
		id = box_unpack(box, &tar);
		assert_true(box_has(box, &id, "f"));
	}
}

static void test_unpack__bad_tars_are_refused(void **state)
{
	struct box *box = *state;
	struct tar_header header = tar_member("f", '0');
	TAR_BUF(tar);

	memset(header.size, 0xff, sizeof(header.size));
	tar_put(&tar, header);
	box_refuse(box, &tar, ERR_CORRUPT, "");
	header = tar_member("f", '0');
	snprintf(header.size, sizeof(header.size), "%011o", 012345670);
	tar_put(&tar, header);
	box_refuse(box, &tar, ERR_CORRUPT, "");
	header = tar_member("null", '3');
	tar_put(&tar, header);
	box_refuse(box, &tar, ERR_CORRUPT, "");
	header = tar_member("f", '0');
	tar_put_pax1(&tar, "uid", "4294967295");
	tar_put(&tar, header);
	box_refuse(box, &tar, ERR_CORRUPT, "");
}

/* As deep as a layer's path can be, and the longest name. */
static void test_unpack__deep_and_long(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	char path[10003] = "", name[256];
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	for (size_t i = 0; i < 10000; i += 2)
		memcpy(path + i, "d/", 3);
	tar_put_pax1(&tar, "path", path);
	tar_put(&tar, tar_member("deep/", '5'));
	path[strlen(path)] = 'f';
	tar_put_pax1(&tar, "path", path);
	tar_put_file(&tar, "file", "x");
	tar_put_pax1(&tar, "linkpath", path);
	tar_put(&tar, tar_member("other", '1'));
	memset(name, 'n', 255);
	name[255] = '\0';
	tar_put_pax1(&tar, "path", name);
	tar_put_file(&tar, "long", "x");
	id = box_unpack(box, &tar);
	assert_true(box_has(box, &id, name));
	assert_int_equal(box_stat(box, &id, "other", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_ok(tree_remove(box->store, &id, &err));
	assert_false(tree_exists(box->store, &id));
}

static void test_unpack__types_flip(void **state)
{
	struct box *box = *state;
	struct digest id;
	struct stat st;
	TAR_BUF(tar);

	tar_put_file(&tar, "x/y/z", "1");
	tar_put_file(&tar, "x", "22");
	tar_put_file(&tar, "x/y", "333");
	tar_put(&tar, tar_member("x/y/", '5'));
	tar_put_file(&tar, "p/q", "1");
	tar_put_file(&tar, "p/r", "1");
	tar_put_link(&tar, "p", '2', "x");
	tar_put_file(&tar, "p/r", "4444");
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "x/y", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_false(box_has(box, &id, "x/y/z"));
	assert_int_equal(box_stat(box, &id, "x/r", &st), 0);
	assert_int_equal(st.st_size, 4);
}

static int run(void)
{
#define BOXED(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		BOXED(test_unpack__names_stay_inside),
		BOXED(test_unpack__link_as_parent_stays_inside),
		BOXED(test_unpack__link_loop_as_parent_is_replaced),
		BOXED(test_unpack__directory_replaces_link_of_layer_below),
		BOXED(test_unpack__hardlink_outside_is_refused),
		BOXED(test_unpack__hardlink_with_absolute_target),
		BOXED(test_unpack__hardlink_does_not_follow),
		BOXED(test_unpack__file_replaces_without_writing_through),
		BOXED(test_unpack__root_must_be_directory),
		BOXED(test_unpack__bad_whiteouts_are_refused),
		BOXED(test_unpack__whiteout_and_file_in_any_order),
		BOXED(test_unpack__whiteout_through_link_stays_inside),
		BOXED(test_unpack__overlay_attributes_mean_nothing),
		BOXED(test_unpack__unmapped_owner_names_the_range),
		BOXED(test_unpack__bad_tars_are_refused),
		BOXED(test_unpack__deep_and_long),
		BOXED(test_unpack__types_flip),
	};

	return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}

int main(void)
{
	int failed = box_run_twice(run);

	return failed ? failed : box_run_bare(run);
}
