/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/layers/overlay_box.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define TAR_BUF(name)                                                                              \
	cleanup_buf struct buf name;                                                               \
	buf_init(&name, TAR_BUILD_MAX)

/* d/{a,b,sub/x}, link, only/deep/f; everything named. */
static struct digest base_layer(struct box *box)
{
	TAR_BUF(tar);

	tar_put(&tar, tar_member("./", '5'));
	tar_put(&tar, tar_member("d/", '5'));
	tar_put_file(&tar, "d/a", "aaaa");
	tar_put_file(&tar, "d/b", "bbbb");
	tar_put(&tar, tar_member("d/sub/", '5'));
	tar_put_file(&tar, "d/sub/x", "x");
	tar_put_link(&tar, "link", '2', "d");
	tar_put(&tar, tar_member("only/", '5'));
	tar_put(&tar, tar_member("only/deep/", '5'));
	tar_put_file(&tar, "only/deep/f", "ffff");
	return box_unpack(box, &tar);
}

static void check_round_trip(struct box *box, const struct layer *layer)
{
	struct err err = ERR_INIT;
	struct sink_digest sink;

	sink_digest_init(&sink, NULL);
	assert_ok(tree_stream(box->store, &layer->diff_id, &sink.sink, &err));
	assert_int_equal(sink.size, layer->size);
}

static void expect_step(struct box *box, const struct digest *ids, size_t n, overlay_step *step,
			const char *want)
{
	struct layer layer = overlay_build(box, ids, n, step);

	box_expect(box, &layer.diff_id, want);
	assert_int_equal(layer.empty, !*want);
	check_round_trip(box, &layer);
}

static void step_nothing(void)
{
	int fd = open("only/deep/f", O_RDWR | O_CLOEXEC);

	must(fd >= 0);
	close(fd);
	must(chmod("d/a", 0644) == 0);
}

static void test_diff__unchanged_copy_ups_are_left_out(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_nothing, "");
}

static void step_add(void)
{
	step_write("d/new", "n");
	must(mkdir("fresh", 0755) == 0);
	step_write("fresh/f", "f");
}

static void test_diff__additions_and_their_directories(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_add, "d d\nf d/new\nd fresh\nf fresh/f\n");
}

static void step_nothing_at_all(void)
{
}

static void step_tree(void)
{
	must(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	step_write("d/e/f", "f");
}

static void test_diff__from_scratch(void **state)
{
	struct box *box = *state;
	struct layer layer;

	expect_step(box, NULL, 0, step_nothing_at_all, "");
	layer = overlay_build(box, NULL, 0, step_tree);
	box_expect(box, &layer.diff_id, "d d\nd d/e\nf d/e/f\n");
}

static void step_change(void)
{
	step_write("only/deep/f", "FFFF");
}

/* Directories on the way that did not change are not in the tar. */
static void test_diff__change_deep_below(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct digest id = base_layer(box);
	struct layer layer = overlay_build(box, &id, 1, step_change);
	struct path_set set;

	box_expect(box, &layer.diff_id, "d only\nd only/deep\nf only/deep/f\n");
	check_round_trip(box, &layer);
	assert_ok(tree_read_implied(box->store, &layer.diff_id, &set, &err));
	assert_int_equal(set.n, 1); /* whoever unpacks the layer alone makes no directory by itself */
	assert_string_equal(set.paths[0], "");
	path_set_release(&set);
}

static void step_remove(void)
{
	must(unlink("d/a") == 0);
	must(unlink("link") == 0);
	must(unlink("d/sub/x") == 0 && rmdir("d/sub") == 0);
	step_write("d/short", "x");
	must(unlink("d/short") == 0);
}

static void test_diff__removals_are_whiteouts(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_remove, "w link\nd d\nw d/a\nw d/sub\n");
}

static void step_replace_directory(void)
{
	must(unlink("d/sub/x") == 0 && rmdir("d/sub") == 0);
	must(mkdir("d/sub", 0755) == 0);
	step_write("d/sub/y", "y");
	must(unlink("d/a") == 0 && mkdir("d/a", 0755) == 0);
	must(unlink("only/deep/f") == 0 && rmdir("only/deep") == 0 && rmdir("only") == 0);
	step_write("only", "file now");
}

/* Opaque only where the lower root has a directory. */
static void test_diff__replaced_directories(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_replace_directory,
		    "d d\nd d/a\nd d/sub\no d/sub\nf d/sub/y\nf only\n");
}

static void step_same_again(void)
{
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	step_write("d/sub/x", "x");
	must(utimensat(AT_FDCWD, "d/sub/x", times, 0) == 0);
	step_write("d/b", "BBBB");
	must(utimensat(AT_FDCWD, "d/b", times, 0) == 0);
}

/* Equal size and times prove nothing; equal content does. */
static void test_diff__content_decides(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_same_again, "d d\nf d/b\n");
}

static void step_links(void)
{
	step_write("d/z1", "z");
	must(link("d/z1", "d/z2") == 0);
	must(link("d/a", "d/a2") == 0);
	must(symlink("nowhere", "d/sym") == 0);
}

static void test_diff__hardlinks(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_links,
		    "d d\nf d/a\nh d/a2 > d/a\nl d/sym > nowhere\nf d/z1\nh d/z2 > d/z1\n");
}

static void step_attributes(void)
{
	must(chmod("d/a", 0600) == 0);
	must(chown("d/b", 5, 6) == 0);
	must(setxattr("d/sub/x", "user.note", "n", 1, 0) == 0);
	must(chmod("only", 0700) == 0);
}

static void test_diff__attributes(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	box_need_ids();
	expect_step(box, &id, 1, step_attributes, "d d\nf d/a\nf d/b\nd d/sub\nf d/sub/x\nd only\n");
}

static void step_root_mode(void)
{
	must(chmod(".", 0711) == 0);
}

static void test_diff__root_attributes(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);

	expect_step(box, &id, 1, step_root_mode, "d \n");
}

static void step_bad_name(void)
{
	step_write("d/.wh.x", "");
}

static void test_diff__names_of_marks_are_refused(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct layer layer;

	assert_ok(box_snapshot(box, &id, 1, true, &snapshot, &err));
	overlay_run(box, snapshot, step_bad_name);
	assert_int_equal(snapshot_commit(snapshot, &layer, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, "d/.wh.x"));
	snapshot_free(snapshot);
}

static void step_socket(void)
{
	struct sockaddr_un address = { AF_UNIX, "d/sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	close(fd);
}

static void test_diff__sockets_are_counted(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct layer layer;
	unsigned skipped;

	assert_ok(box_snapshot(box, &id, 1, true, &snapshot, &err));
	overlay_run(box, snapshot, step_socket);
	assert_ok(snapshot_commit(snapshot, &layer, &skipped, &err));
	assert_int_equal(skipped, 1);
	box_expect(box, &layer.diff_id, "d d\n");
	check_round_trip(box, &layer);
	snapshot_free(snapshot);
}

static void step_overlay_attribute(void)
{
	must(mkdir("d/m", 0755) == 0);
	/* 6.7 and later escape it; before that it is refused */
	(void)setxattr("d/sub", "user.overlay.opaque", "y", 1, 0);
	step_write("d/sub/y", "y");
}

static void test_diff__overlay_attributes_are_dropped(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);
	struct layer layer = overlay_build(box, &id, 1, step_overlay_attribute);

	box_expect(box, &layer.diff_id, "d d\nd d/m\nd d/sub\nf d/sub/y\n");
	check_round_trip(box, &layer);
	assert_false(box_is_opaque(box, &layer.diff_id, "d/sub"));
}

static void step_capability(void)
{
	/* cap_net_raw+ep, version 2 */
	static const unsigned char value[20] = { 1, 0, 0, 2, 0, 0x20 };

	step_write("d/ping", "x");
	must(setxattr("d/ping", "security.capability", value, sizeof(value), 0) == 0);
}

/* The bytes name no id of the host: version 2, also in a user namespace. */
static void test_diff__file_capabilities_are_the_same_everywhere(void **state)
{
	struct box *box = *state;
	struct digest id = base_layer(box);
	struct layer layer = overlay_build(box, &id, 1, step_capability);
	cleanup_fd int fd = memfd_create("layer", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	const struct entry *entry;
	struct tar_reader *reader;
	struct sink_fd sink;

	sink_fd_init(&sink, fd);
	assert_ok(layer_stream(box->store, &layer.diff_id, &sink.sink, &err));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(tar_reader_open(fd, "layer", TAR_READER_LAYER, 0, &reader, &err));
	while (tar_reader_next(reader, &entry, &err) > 0)
		if (!strcmp(entry->path, "d/ping")) {
			assert_int_equal(entry->n_xattrs, 1);
			assert_int_equal(entry->xattrs[0].len, 20);
		}
	tar_reader_free(reader);
}

static int run(void)
{
#define BOXED(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		BOXED(test_diff__unchanged_copy_ups_are_left_out),
		BOXED(test_diff__additions_and_their_directories),
		BOXED(test_diff__from_scratch),
		BOXED(test_diff__change_deep_below),
		BOXED(test_diff__removals_are_whiteouts),
		BOXED(test_diff__replaced_directories),
		BOXED(test_diff__content_decides),
		BOXED(test_diff__hardlinks),
		BOXED(test_diff__attributes),
		BOXED(test_diff__root_attributes),
		BOXED(test_diff__names_of_marks_are_refused),
		BOXED(test_diff__sockets_are_counted),
		BOXED(test_diff__overlay_attributes_are_dropped),
		BOXED(test_diff__file_capabilities_are_the_same_everywhere),
	};

	return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}

int main(void)
{
	return box_run_twice(run);
}
