/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Roots that are copied from flat trees, and layers found by comparing. */
#include "tests/layers/flat_box.h"

#include <sys/mman.h>
#include <sys/xattr.h>

#include "base/child.h"

/* Usually a tmpfs, on which writing by a mapping leaves the times as they are. */
static int shm_setup(void **state)
{
	return flat_setup_in("/dev/shm", state);
}

static void put(int dir_fd, const char *name, const char *text)
{
	struct err err = ERR_INIT;

	assert_ok(file_replace_at(dir_fd, name, text, strlen(text), 0644, false, &err));
}

static void expect_text(int dir_fd, const char *name, const char *want)
{
	struct err err = ERR_INIT;
	TAR_BUF(text);

	assert_ok(file_read_at(dir_fd, name, &text, &err));
	assert_string_equal(text.data, want);
}

static bool has(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- copies ----------------------------------------------------------------------------------- */

static void test_native__copy_is_the_merged_root(void **state)
{
	struct box *box = *state;
	struct snapshot *snapshot;
	struct digest ids[2];
	int fd;

	make_layers(box, ids);
	snapshot = copy_root(box, ids, 2, &fd);
	expect_text(fd, "keep", "k");
	expect_text(fd, "s", "k");
	expect_text(fd, "d/b", "b");
	expect_text(fd, "o/new", "new");
	expect_text(fd, "t", "a file now");
	assert_false(has(fd, "gone"));
	assert_false(has(fd, "d/a"));
	assert_false(has(fd, "o/old"));
	assert_false(has(fd, "o/.wh..wh..opq"));
	close(fd);
	snapshot_free(snapshot);
}

static void test_native__attributes_links_and_times_are_copied(void **state)
{
	struct box *box = *state;
	struct tar_header header = tar_member("d/", '5');
	struct snapshot *snapshot;
	struct digest ids[2];
	struct stat st, other;
	char value[8];
	int fd;
	TAR_BUF(tar);

	snprintf(header.mode, sizeof(header.mode), "%07o", 01711);
	snprintf(header.uid, sizeof(header.uid), "%07o", 5);
	snprintf(header.mtime, sizeof(header.mtime), "%011o", 99);
	box_need_ids();
	tar_put_pax1(&tar, "SCHILY.xattr.user.note", "x");
	tar_put(&tar, header);
	tar_put_file(&tar, "d/one", "1");
	header = tar_member("two", '1');
	snprintf(header.link, sizeof(header.link), "d/one");
	tar_put(&tar, header);
	ids[0] = box_unpack(box, &tar);
	tar_put_file(&tar, "d/more", "m"); /* only implies d */
	ids[1] = box_unpack(box, &tar);
	snapshot = copy_root(box, ids, 2, &fd);
	assert_int_equal(fstatat(fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 01711);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_mtime, 99);
	{
		cleanup_fd int d = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(fgetxattr(d, "user.note", value, sizeof(value)), 1);
	}
	assert_int_equal(fstatat(fd, "two", &st, 0), 0);
	assert_int_equal(fstatat(fd, "d/one", &other, 0), 0);
	assert_int_equal(st.st_ino, other.st_ino);
	assert_true(has(fd, "d/more"));
	close(fd);
	snapshot_free(snapshot);
}

/* --- what a step changed ---------------------------------------------------------------------- */

typedef void change(int fd);

static void expect_change(struct box *box, change *make, const char *want)
{
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];
	struct layer layer;
	unsigned skipped;
	int fd;

	make_layers(box, ids);
	snapshot = copy_root(box, ids, 2, &fd);
	make(fd);
	close(fd);
	assert_ok(snapshot_commit(snapshot, &layer, &skipped, &err));
	snapshot_free(snapshot);
	box_expect(box, &layer.diff_id, want);
	assert_int_equal(layer.empty, !*want);
}

static void change_nothing(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
}

/* What a step touches and puts back as it was is no change, whatever ctime says. */
static void change_and_back(int fd)
{
	struct timespec times[2];
	struct stat st;

	assert_int_equal(fstatat(fd, "d", &st, 0), 0);
	assert_int_equal(renameat(fd, "d/b", fd, "d/x"), 0);
	assert_int_equal(renameat(fd, "d/x", fd, "d/b"), 0);
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(utimensat(fd, "d", times, 0), 0);
}

static void change_some(int fd)
{
	assert_int_equal(mkdirat(fd, "n", 0755), 0);
	put(fd, "n/f", "x");
	put(fd, "keep", "K");
	assert_int_equal(unlinkat(fd, "d/b", 0), 0);
	assert_int_equal(unlinkat(fd, "s", 0), 0);
}

/* The same size and time, other bytes. */
static void change_secretly(int fd)
{
	struct timespec times[2];
	struct stat st;
	int file;

	assert_int_equal(fstatat(fd, "d/b", &st, 0), 0);
	file = openat(fd, "d/b", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(file, "B", 1), 1);
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(futimens(file, times), 0);
	close(file);
}

/* The same by a mapping of a page that was read before: not every file system notes that. */
static void change_by_mapping(int fd)
{
	cleanup_fd int file = openat(fd, "d/b", O_RDWR | O_CLOEXEC);
	volatile char *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	assert_true(page != MAP_FAILED);
	page[0] = (char)(page[0] ^ 0x20);
	munmap((void *)page, 1);
}

/* A new name for a file that is there: both names are of the layer. */
static void link_file(int fd)
{
	assert_int_equal(linkat(fd, "keep", fd, "n", 0), 0);
}

/* Two directories change places: nothing below them was touched. */
static void swap_directories(int fd)
{
	assert_int_equal(renameat2(fd, "d", fd, "o", RENAME_EXCHANGE), 0);
}

static void replace_directory(int fd)
{
	assert_int_equal(unlinkat(fd, "d/b", 0), 0);
	assert_int_equal(unlinkat(fd, "d", AT_REMOVEDIR), 0);
	put(fd, "d", "a file");
	assert_int_equal(unlinkat(fd, "t", 0), 0);
	assert_int_equal(mkdirat(fd, "t", 0755), 0);
}

static void make_socket(int fd)
{
	assert_int_equal(mknodat(fd, "sock", S_IFSOCK | 0600, 0), 0);
}

static void test_native__only_changes_are_in_the_layer(void **state)
{
	expect_change(*state, change_nothing, "");
	expect_change(*state, change_and_back, "");
	expect_change(*state, change_some, "w s\nd d\nw d/b\nf keep\nd n\nf n/f\n");
	expect_change(*state, change_secretly, "d d\nf d/b\n");
	expect_change(*state, change_by_mapping, "d d\nf d/b\n");
	expect_change(*state, link_file, "f keep\nh n > keep\n");
	expect_change(*state, replace_directory, "f d\nd t\n");
	expect_change(*state, make_socket, "");
}

static void test_native__moved_directories_are_seen(void **state)
{
	expect_change(*state, swap_directories, "d d\nw d/b\nf d/new\nd o\nw o/new\nf o/b\n");
}

/* Commit what was done to the directory, and make it ready for the next step, whose root has the
 * layer. */
static void expect_step(struct box *box, struct snapshot *snapshot, change *make, const char *want)
{
	cleanup_fd int fd = openat(store_fd(box->store), snapshot->upper,
				   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct root *root = box->roots[box->n_roots - 1];
	struct err err = ERR_INIT;
	struct layer layer;

	make(fd);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	assert_int_equal(layer.empty, !*want);
	assert_true(snapshot->reusable);
	assert_ok(layer_require_trees(box->store, &layer.diff_id, 1, 1, NULL, NULL, &err));
	box_expect(box, &layer.diff_id, want);
	if (*want)
		assert_ok(root_push(root, &layer.diff_id, &err));
	assert_ok(snapshot_renew(snapshot, &err));
}

static void write_again(int fd)
{
	put(fd, "n/f", "y");
}

static void remove_all(int fd)
{
	assert_int_equal(unlinkat(fd, "n/f", 0), 0);
	assert_int_equal(unlinkat(fd, "n", AT_REMOVEDIR), 0);
}

static void test_native__one_copy_serves_many_steps(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2], more;
	int fd;
	TAR_BUF(tar);

	make_layers(box, ids);
	snapshot = copy_root(box, ids, 2, &fd);
	expect_step(box, snapshot, change_nothing, "");
	expect_step(box, snapshot, change_some, "w s\nd d\nw d/b\nf keep\nd n\nf n/f\n");
	expect_step(box, snapshot, change_nothing, "");
	expect_step(box, snapshot, write_again, "d n\nf n/f\n");
	/* what another step gave comes on top */
	tar_put_file(&tar, "added/f", "a");
	tar_put_file(&tar, ".wh.keep", "");
	more = box_unpack(box, &tar);
	assert_ok(root_push(box->roots[box->n_roots - 1], &more, &err));
	snapshot->reusable = true;
	assert_ok(snapshot_renew(snapshot, &err));
	expect_text(fd, "added/f", "a");
	assert_false(has(fd, "keep"));
	expect_step(box, snapshot, make_socket, "");
	assert_false(has(fd, "sock"));
	expect_step(box, snapshot, remove_all, "w n\n");
	close(fd);
	snapshot_free(snapshot);
}

/* What is done outside to a file with two names would be done to the next step's root. */
static void test_native__a_copy_with_names_outside_serves_no_other_step(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];
	struct layer layer;
	int fd;

	make_layers(box, ids);
	snapshot = copy_root(box, ids, 2, &fd);
	assert_int_equal(linkat(fd, "keep", store_fd(box->store), "tmp/outside", 0), 0);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	assert_false(snapshot->reusable);
	assert_int_equal(unlinkat(store_fd(box->store), "tmp/outside", 0), 0);
	close(fd);
	snapshot_free(snapshot);
}

/* --- owners that are only recorded ------------------------------------------------------------ */

static void test_native__recorded_owners_are_told_and_kept(void **state)
{
	struct box *box = *state;
	struct tar_header header = tar_member("d/", '5');
	struct err err = ERR_INIT;
	struct root_entry entry;
	struct snapshot *snapshot;
	struct digest id;
	struct layer layer;
	struct root *root;
	struct stat st;
	int fd;
	TAR_BUF(tar);

	store_record_owners(box->store, false);
	snprintf(header.uid, sizeof(header.uid), "%07o", 1000);
	snprintf(header.gid, sizeof(header.gid), "%07o", 5);
	/* an image's own attribute of that name is no owner */
	tar_put_pax1(&tar, "SCHILY.xattr.user.cbuild.owner", "77:77");
	tar_put(&tar, header);
	header = tar_member("d/f", '0');
	snprintf(header.uid, sizeof(header.uid), "%07o", 7);
	tar_put(&tar, header);
	id = box_unpack(box, &tar);
	assert_int_equal(box_stat(box, &id, "d", &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_ok(root_open(box->store, &id, 1, &root, &err));
	assert_ok(root_lookup(root, "d", false, &entry, &err));
	assert_int_equal(entry.stat.st_uid, 1000);
	assert_int_equal(entry.stat.st_gid, 5);
	assert_ok(root_lookup(root, "d/f", false, &entry, &err));
	assert_int_equal(entry.stat.st_uid, 7);
	root_free(root);
	snapshot = copy_root(box, &id, 1, &fd);
	{
		cleanup_fd int d = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(owner_recorded(d, &st));
		assert_int_equal(st.st_uid, 1000);
	}
	put(fd, "d/new", "n");
	close(fd);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	snapshot_free(snapshot);
	box_expect(box, &layer.diff_id, "d d\nf d/new\n");
	assert_ok(root_open(box->store, &layer.diff_id, 1, &root, &err));
	assert_ok(root_lookup(root, "d", false, &entry, &err));
	assert_int_equal(entry.stat.st_uid, 1000);
	assert_ok(root_lookup(root, "d/new", false, &entry, &err));
	assert_int_equal(entry.stat.st_uid, 0);
	root_free(root);
}

static void change_with_mark_name(int fd)
{
	put(fd, "d/.wh.x", "");
}

static void test_native__names_that_a_layer_cannot_hold_are_refused(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct digest ids[2];
	struct layer layer;
	int fd;

	make_layers(box, ids);
	snapshot = copy_root(box, ids, 2, &fd);
	change_with_mark_name(fd);
	close(fd);
	assert_int_equal(snapshot_commit(snapshot, &layer, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	snapshot_free(snapshot);
}

/* A step may write the attribute, too. */
static void test_native__owners_that_no_layer_can_hold_are_not_believed(void **state)
{
	static const char *const texts[] = { "-1:0", "0:4294967295", "99999999999999999999:0" };
	struct box *box = *state;
	cleanup_fd int file = -1;
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/file", box->dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(fsetxattr(file, OWNER_XATTR, texts[i], strlen(texts[i]), 0), 0);
		assert_false(owner_recorded(file, &st));
	}
	assert_int_equal(fsetxattr(file, OWNER_XATTR, "4294967294:0", 12, 0), 0);
	assert_true(owner_recorded(file, &st));
	assert_int_equal(st.st_uid, 4294967294);
}

static int run(void)
{
#define FLAT(test) cmocka_unit_test_setup_teardown(test, flat_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		FLAT(test_native__copy_is_the_merged_root),
		FLAT(test_native__attributes_links_and_times_are_copied),
		FLAT(test_native__only_changes_are_in_the_layer),
		cmocka_unit_test_setup_teardown(test_native__only_changes_are_in_the_layer,
						shm_setup, box_teardown),
		FLAT(test_native__moved_directories_are_seen),
		FLAT(test_native__one_copy_serves_many_steps),
		FLAT(test_native__a_copy_with_names_outside_serves_no_other_step),
		FLAT(test_native__recorded_owners_are_told_and_kept),
		FLAT(test_native__owners_that_no_layer_can_hold_are_not_believed),
		FLAT(test_native__names_that_a_layer_cannot_hold_are_refused),
	};

	return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}

int main(void)
{
	return box_run_twice(run);
}
