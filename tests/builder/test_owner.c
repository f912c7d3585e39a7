/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/builder/copy_help.h"

#define PASSWD                                                                                     \
	"root:x:0:0:root:/root:/bin/sh\nbroken\nno:id:here\nmax:x:4294967296:1::/:\n"              \
	"games:x:5:60:games:/usr/games:/bin/sh\n1000:x:7:7::/seven:\napp:x:1000:1001::/home/app:"  \
	"/bin/sh\nnohome:x:9:9:::\nlast:x:11:12::/last:"
#define GROUP "root:x:0:\nadm:x:4:games,app\nwheel:x:10:app\nbad:x:z:app\nx:x:13:ap,app2,\n"

static struct root *accounts(struct place *place, const char *passwd, const char *group)
{
	struct layer_writer *writer;
	struct layer layer;
	struct root *root;
	const struct {
		const char *path, *content;
	} files[] = { { "etc/group", group }, { "etc/passwd", passwd } };

	must(layer_writer_open(place->store, &writer, &oops));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct entry entry = { .path = files[i].path, .type = ENTRY_FILE, .mode = 0644 };

		if (!files[i].content)
			continue;
		entry.size = strlen(files[i].content);
		must(tar_writer_entry(layer_writer_tar(writer), &entry, &oops));
		if (entry.size)
			must(tar_writer_data(layer_writer_tar(writer), files[i].content, entry.size,
					     &oops));
	}
	must(layer_writer_commit(writer, &layer, &oops));
	layer_writer_free(writer);
	must(root_open(place->store, &layer.diff_id, 1, &root, &oops));
	return root;
}

struct owner_case {
	const char *text;
	bool primary;
	long uid, gid; /* uid -1: an error with `error` in it */
	const char *error;
};

static const struct owner_case cases[] = {
	{ "root", false, 0, 0, NULL },
	{ "games", false, 5, 60, NULL },
	{ "games", true, 5, 60, NULL },
	{ "games:adm", true, 5, 4, NULL },
	{ "games:77", false, 5, 77, NULL },
	{ "last", false, 11, 12, NULL },
	{ "1000", false, 1000, 1000, NULL }, /* never a name */
	{ "1000", true, 1000, 1001, NULL },
	{ "1234", false, 1234, 1234, NULL },
	{ "1234", true, 1234, 0, NULL },
	{ "1000:0", true, 1000, 0, NULL },
	{ "00012", false, 12, 12, NULL },
	{ ":adm", false, 0, 4, NULL },
	{ "4294967294", false, 4294967294, 4294967294, NULL },
	{ "4294967295", false, -1, 0, "out of range" },
	{ "4294967296", true, -1, 0, "out of range" },
	{ "99999999999999999999999", false, -1, 0, "out of range" },
	{ "1:4294967296", false, -1, 0, "out of range" },
	{ "0x0", false, -1, 0, "no user \"0x0\" in /etc/passwd" },
	{ "-1", false, -1, 0, "no user" },
	{ "broken", false, -1, 0, "no user" },
	{ "max", false, -1, 0, "no user" },
	{ "games:nix", false, -1, 0, "no group \"nix\" in /etc/group" },
	{ "games:bad", false, -1, 0, "no group" },
	{ "", false, -1, 0, "invalid owner" },
	{ ":", false, -1, 0, "invalid owner" },
	{ "a:b:c", false, -1, 0, "invalid owner" },
	{ "games:", false, -1, 0, "invalid owner" },
};

static void test_owner__users_and_groups(void **state)
{
	struct place place;
	struct root *root;

	(void)state;
	place_open(&place, "", NULL);
	root = accounts(&place, PASSWD, GROUP);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct owner_case *c = &cases[i];
		struct err err = ERR_INIT;
		unsigned uid, gid;
		int status = owner_resolve(root, c->text, c->primary, &uid, &gid, &err);

		if (c->uid < 0 ? status == 0 || !strstr(err.message, c->error)
			       : status < 0 || uid != c->uid || gid != c->gid)
			fail_msg("%s: %d %s", c->text, status, err.message);
	}
	root_free(root);
	place_close(&place);
}

static void test_owner__without_files(void **state)
{
	struct err err = ERR_INIT;
	struct place place;
	struct root *root;
	unsigned uid, gid;

	(void)state;
	place_open(&place, "", NULL);
	root = accounts(&place, NULL, NULL);
	must(owner_resolve(root, "5:6", false, &uid, &gid, &oops));
	must(owner_resolve(NULL, "5", true, &uid, &gid, &oops));
	assert_int_equal(gid, 0);
	assert_int_equal(owner_resolve(NULL, "u", true, &uid, &gid, &err), -1);
	assert_int_equal(owner_resolve(root, "u", true, &uid, &gid, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.message, "no user \"u\" in /etc/passwd, which does not exist");
	root_free(root);
	place_close(&place);
}

static void test_owner__groups_and_home(void **state)
{
	static const struct {
		const char *user, *home;
		size_t n;
		unsigned gids[2];
	} rows[] = {
		{ "app", "/home/app", 2, { 4, 10 } },	{ "1000", "/home/app", 2, { 4, 10 } },
		{ "app:app", "/home/app", 0, { 0 } },	{ "games", "/usr/games", 1, { 4 } },
		{ "4242", "/", 0, { 0 } },		{ "nohome", "/", 0, { 0 } },
		{ "nix", "/", 0, { 0 } },		{ "0", "/root", 0, { 0 } },
	};
	struct place place;
	struct root *root;

	(void)state;
	place_open(&place, "", NULL);
	root = accounts(&place, PASSWD, GROUP);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned *gids;
		char *home;
		size_t n;

		must(owner_groups(root, rows[i].user, &gids, &n, &home, &oops));
		assert_string_equal(home, rows[i].home);
		assert_int_equal(n, rows[i].n);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(gids[k], rows[i].gids[k]);
		free(gids);
		free(home);
	}
	root_free(root);
	place_close(&place);
}

static void test_owner__files_are_bounded(void **state)
{
	size_t size = 10 * 1024 * 1024 + 100;
	cleanup_free char *huge = xmalloc(size + 1);
	struct err err = ERR_INIT;
	struct place place;
	struct root *root;
	unsigned uid, gid;

	(void)state;
	memset(huge, 'a', size);
	huge[size] = '\0';
	place_open(&place, "", NULL);
	root = accounts(&place, huge, NULL);
	assert_int_equal(owner_resolve(root, "u", false, &uid, &gid, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	root_free(root);
	huge[size - 1000] = '\0'; /* one line of 10 MiB */
	root = accounts(&place, huge, NULL);
	assert_int_equal(owner_resolve(root, "u", false, &uid, &gid, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	root_free(root);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner__users_and_groups),
		cmocka_unit_test(test_owner__without_files),
		cmocka_unit_test(test_owner__groups_and_home),
		cmocka_unit_test(test_owner__files_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
