/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the context changes the key of a COPY, and what does not. */
#include "tests/builder/copy_help.h"

struct edit {
	const char *name;
	void (*apply)(int dir_fd);
	bool changes;
};

static void edit_touch(int fd)
{
	struct timespec times[2] = { { 77, 0 }, { 77, 0 } };

	assert_int_equal(utimensat(fd, "d/f", times, 0), 0);
	assert_int_equal(utimensat(fd, "d", times, 0), 0);
}

static void edit_other(int fd)
{
	put_file(fd, "other", 0644, "not selected");
}

static void edit_top_mode(int fd)
{
	assert_int_equal(fchmodat(fd, "d", 0711, 0), 0); /* only its contents are copied */
}

static void edit_rewrite(int fd)
{
	put_file(fd, "d/f", 0644, "F");
}

static void edit_mode(int fd)
{
	assert_int_equal(fchmodat(fd, "d/f", 0755, 0), 0);
}

static void edit_name(int fd)
{
	assert_int_equal(renameat(fd, "d/f", fd, "d/g"), 0);
}

static void edit_content(int fd)
{
	put_file(fd, "d/f", 0644, "G");
}

static void edit_link(int fd)
{
	assert_int_equal(unlinkat(fd, "d/l", 0), 0);
	assert_int_equal(symlinkat("elsewhere", fd, "d/l"), 0);
}

static void edit_type(int fd)
{
	assert_int_equal(unlinkat(fd, "d/f", 0), 0);
	assert_int_equal(mkdirat(fd, "d/f", 0644), 0);
}

static void edit_add(int fd)
{
	put_file(fd, "d/new", 0644, "");
}

static void edit_hardlink(int fd)
{
	assert_int_equal(unlinkat(fd, "d/h", 0), 0);
	assert_int_equal(linkat(fd, "d/f", fd, "d/h", 0), 0);
}

static void edit_xattr(int fd)
{
	int file = openat(fd, "d/f", O_RDONLY | O_CLOEXEC);

	if (fsetxattr(file, "user.test", "v", 1, 0) < 0)
		put_file(fd, "d/f", 0644, "no attributes here");
	close(file);
}

static void edit_dir_xattr(int fd)
{
	int dir = openat(fd, "d/s", O_RDONLY | O_CLOEXEC);

	if (fsetxattr(dir, "user.test", "v", 1, 0) < 0)
		put_file(fd, "d/f", 0644, "no attributes here");
	close(dir);
}

static const struct edit edits[] = {
	{ "mtime", edit_touch, false },
	{ "a file outside", edit_other, false },
	{ "mode of the top directory", edit_top_mode, false },
	{ "the same content again", edit_rewrite, false },
	{ "mode", edit_mode, true },
	{ "name", edit_name, true },
	{ "content of the same size", edit_content, true },
	{ "target of a link", edit_link, true },
	{ "type", edit_type, true },
	{ "a new file", edit_add, true },
	{ "two files become one", edit_hardlink, true },
	{ "attribute of a file", edit_xattr, true },
	{ "attribute of a directory", edit_dir_xattr, true },
};

static void test_copy_key__changes_with_what_is_copied(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		struct digest before, after;
		struct place place;

		place_open(&place, "d d 755\nf d/f 644 F\nf d/h 644 F\nl d/l t\nd d/s 755", NULL);
		copy_run(&place, "d", "/x", false, &before, NULL);
		must(source_save(place.source, &oops));
		edits[i].apply(place.context);
		copy_run(&place, "d", "/x", false, &after, NULL);
		if (digest_equal(&before, &after) == edits[i].changes)
			fail_msg("%s: the key %s", edits[i].name,
				 edits[i].changes ? "is the same" : "changed");
		place_close(&place);
	}
}

/* It is what a directory gets that is there already. */
static void test_copy_key__the_mode_of_a_passage_counts_whatever_chmod_says(void **state)
{
	const char *patterns[] = { "d/f" };
	struct copy_request request = { .patterns = patterns, .n_patterns = 1, .dest = "/x/",
					.parents = true, .chmod = "644", .now = HELP_NOW };
	struct digest keys[2];
	struct place place;

	(void)state;
	place_open(&place, "d d 755\nf d/f 644 F", NULL);
	for (int i = 0; i < 2; i++) {
		struct copy *copy;

		request.source = place_context(&place);
		must(copy_open(&request, &copy, NULL, &oops));
		keys[i] = copy_key(copy);
		copy_free(copy);
		assert_int_equal(fchmodat(place.context, "d", 0700, 0), 0);
	}
	assert_false(digest_equal(&keys[0], &keys[1]));
	place_close(&place);
}

/* Of two sources of one name the last one is what is there. */
static void test_copy_key__the_place_of_a_fetched_file_counts(void **state)
{
	const char *const patterns[][2] = { { "a", "b" }, { "[ab]", "c*" } };
	const struct copy_remote remote = { .name = "b", .before = 1 };
	struct copy_request request = { .add = true, .n_patterns = 2, .remotes = &remote,
					.n_remotes = 1, .dest = "/x/", .now = HELP_NOW };
	struct digest keys[2];
	struct place place;

	(void)state;
	place_open(&place, "f a 644 A\nf b 644 B", NULL);
	request.source = place_context(&place);
	for (int i = 0; i < 2; i++) {
		struct copy *copy;

		request.patterns = patterns[i];
		must(copy_open(&request, &copy, NULL, &oops));
		keys[i] = copy_key(copy);
		copy_free(copy);
	}
	assert_false(digest_equal(&keys[0], &keys[1]));
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_key__changes_with_what_is_copied),
		cmocka_unit_test(test_copy_key__the_mode_of_a_passage_counts_whatever_chmod_says),
		cmocka_unit_test(test_copy_key__the_place_of_a_fetched_file_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
