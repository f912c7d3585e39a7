/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees in a form that needs no right but to write files, and those that root stacks apart. */
#include "tests/layers/flat_box.h"

#include "base/child.h"

static void test_flat__hidden_names_are_sockets_in_a_flat_tree(void **state)
{
	struct box *box = *state;
	struct digest ids[2];
	struct stat st;

	make_layers(box, ids);
	assert_int_equal(box_stat(box, &ids[1], "gone", &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	box_expect(box, &ids[1], "w gone\nw d/a\no o\nf o/new\nf t\n");
}

static void test_flat__flat_trees_are_looked_into_as_others_are(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct root_entry entry;
	struct digest ids[2];
	struct root *root;

	make_layers(box, ids);
	assert_ok(root_open(box->store, ids, 2, &root, &err));
	assert_ok(root_lookup(root, "keep", false, &entry, &err));
	assert_ok(root_lookup(root, "s", true, &entry, &err));
	assert_string_equal(entry.path, "keep");
	assert_ok(root_lookup(root, "d/b", false, &entry, &err));
	assert_ok(root_lookup(root, "o/new", false, &entry, &err));
	assert_int_equal(root_lookup(root, "gone", false, &entry, &err), -1);
	assert_int_equal(root_lookup(root, "d/a", false, &entry, &err), -1);
	assert_int_equal(root_lookup(root, "o/old", false, &entry, &err), -1);
	root_free(root);
}

static void test_flat__device_nodes_are_not_made_in_a_flat_tree(void **state)
{
	struct box *box = *state;
	struct tar_header header = tar_member("dev/sda", '4');
	struct digest id;
	TAR_BUF(tar);

	snprintf(header.dev_major, sizeof(header.dev_major), "%07o", 8);
	tar_put(&tar, header);
	id = box_unpack(box, &tar);
	assert_false(box_has(box, &id, "dev/sda"));
}

/* A layer that exists as a tree of the one kind only becomes one of the other. */
static void test_flat__trees_are_converted(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct layer layer;
	struct digest ids[2];
	struct stat st;
	int fd;

	make_layers(box, ids);
	snapshot = copy_root(box, ids, 2, &fd);
	assert_int_equal(unlinkat(fd, "keep", 0), 0);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	close(fd);
	snapshot_free(snapshot);
	assert_ok(layer_require_trees(box->store, &layer.diff_id, 1, 1, NULL, NULL, &err));
	assert_int_equal(box_stat(box, &layer.diff_id, "keep", &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_ok(layer_forget(box->store, &layer.diff_id, &err)); /* only the flat tree is left */
	store_free(box->store);
	{
		char path[200];

		snprintf(path, sizeof(path), "%s/store", box->dir);
		assert_ok(store_open(path, false, &box->store, &err));
	}
	assert_false(tree_exists(box->store, &layer.diff_id));
	assert_true(layer_present(box->store, &layer.diff_id));
	assert_ok(layer_require_trees(box->store, &layer.diff_id, 1, 1, NULL, NULL, &err));
	assert_int_equal(box_stat(box, &layer.diff_id, "keep", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	for (size_t i = 0; i < box->n_roots; i++)
		root_free(box->roots[i]);
	box->n_roots = 0;
	assert_ok(tree_remove(box->store, &layer.diff_id, &err));
	assert_false(tree_exists(box->store, &layer.diff_id));
	assert_false(tree_exists_somehow(box->store, &layer.diff_id));
}

struct nested {
	struct box *box;
	struct root *root;
	const struct digest *ids;
};

static int enter_user_namespace(struct err *err)
{
	static const char *const maps[][2] = {
		{ "/proc/self/uid_map", "0 0 1" },
		{ "/proc/self/setgroups", "deny" },
		{ "/proc/self/gid_map", "0 0 1" },
	};

	if (unshare(CLONE_NEWUSER) < 0)
		return err_os(err, "unshare");
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		cleanup_fd int fd = open(maps[i][0], O_WRONLY | O_CLOEXEC);

		if (write_all(fd, maps[i][1], strlen(maps[i][1])) < 0)
			return err_os(err, "write %s", maps[i][0]);
	}
	return 0;
}

static int use_in_namespace(void *arg, void *result, struct err *err)
{
	const struct nested *nested = arg;
	struct store *store = nested->box->store;
	struct err missing = ERR_INIT;

	(void)result;
	if (enter_user_namespace(err) < 0)
		return -1;
	store_note_namespace(store);
	if (tree_exists(store, &nested->ids[1]) || root_use_trees(nested->root, &missing) == 0)
		return err_set(err, ERR_FAILED, "root's tree is used");
	if (layer_require_trees(store, nested->ids, 2, 1, NULL, NULL, err) < 0 ||
	    root_use_trees(nested->root, err) < 0)
		return -1;
	if (!box_is_opaque(nested->box, &nested->ids[1], "o") ||
	    strcmp(root_opaque_name(nested->root, 1), OPAQUE_NAME_USER))
		return err_set(err, ERR_FAILED, "an opaque directory is not");
	return 0;
}

/* Root's opaque marks are hidden from who is root of a namespace only. */
static void test_flat__trees_of_root_are_made_again_in_a_namespace(void **state)
{
	struct nested nested = { .box = *state };
	struct box *box = *state;
	struct err err = ERR_INIT;
	struct digest ids[2];

	if (geteuid() != 0 || box_is_rootless())
		skip();
	make_layers(box, ids);
	assert_ok(root_open(box->store, ids, 2, &nested.root, &err));
	assert_ok(root_use_trees(nested.root, &err));
	box->roots[box->n_roots++] = nested.root;
	nested.ids = ids;
	assert_ok(child_call(use_in_namespace, &nested, NULL, 0, &err));
	assert_true(box_is_opaque(box, &ids[1], "o"));
	assert_ok(tree_remove(box->store, &ids[1], &err));
	assert_false(tree_exists_somehow(box->store, &ids[1]));
}

static int run(void)
{
#define FLAT(test) cmocka_unit_test_setup_teardown(test, flat_setup, box_teardown)
	const struct CMUnitTest tests[] = {
		FLAT(test_flat__hidden_names_are_sockets_in_a_flat_tree),
		FLAT(test_flat__flat_trees_are_looked_into_as_others_are),
		FLAT(test_flat__device_nodes_are_not_made_in_a_flat_tree),
		FLAT(test_flat__trees_are_converted),
		cmocka_unit_test_setup_teardown(
			test_flat__trees_of_root_are_made_again_in_a_namespace, box_setup,
			box_teardown),
	};

	return cmocka_run_group_tests_name("flat", tests, NULL, NULL);
}

int main(void)
{
	return box_run_twice(run);
}
