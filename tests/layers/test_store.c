/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "tests/layers/store_fixture.h"

static void test_store__opening_twice_finds_the_same_store(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct store *again;
	struct stat st;

	assert_int_equal(store_open(fixture->path, false, &again, &err), 0);
	assert_string_equal(store_path(again), fixture->path);
	assert_int_equal(fstat(store_fd(again), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	store_free(again);
}

static void test_store__absent_without_create_is_not_found(void **state)
{
	struct fixture *fixture = *state;
	cleanup_free char *path = xasprintf("%s/a/b/", fixture->dir);
	struct err err = ERR_INIT;
	struct store *store;

	assert_int_equal(store_open(path, false, &store, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(store_open(path, true, &store, &err), 0); /* and makes parents */
	store_free(store);
}

static void test_store__directory_with_other_things_is_refused(void **state)
{
	struct fixture *fixture = *state;
	cleanup_free char *inside = xasprintf("%s/mine", fixture->dir);
	struct err err = ERR_INIT;
	struct store *store;

	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(store_open(fixture->dir, true, &store, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, "is not a store"));
}

static void test_store__writable_by_others_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct store *store;

	assert_int_equal(chmod(fixture->path, 0720), 0);
	assert_int_equal(store_open(fixture->path, true, &store, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
}

static void test_store__of_another_owner_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct store *store;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(fixture->path, 1234, 1234), 0);
	assert_int_equal(store_open(fixture->path, true, &store, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
}

static void test_store__unfinished_one_is_finished(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct store *store;
	int fd;

	/* as after a crash in the middle of writing `format` */
	assert_int_equal(unlinkat(store_fd(fixture->store), "images/ids", AT_REMOVEDIR), 0);
	fd = openat(store_fd(fixture->store), "format", O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "cbuild", 6), 6);
	close(fd);
	assert_int_equal(store_open(fixture->path, false, &store, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(store_open(fixture->path, true, &store, &err), 0);
	assert_int_equal(faccessat(store_fd(store), "images/ids", F_OK, 0), 0);
	store_free(store);
}

static void test_store__other_version_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct store *store;
	int fd = openat(store_fd(fixture->store), "format", O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, "cbuild store 2\n", 15), 15);
	close(fd);
	assert_int_equal(store_open(fixture->path, true, &store, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
}

static void test_store__sync_works(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;

	assert_int_equal(store_sync(fixture->store, &err), 0);
}

/* As if the machine had been restarted: another boot wrote `synced`, until then all is safe. */
static void reopen_after_cut(struct fixture *fixture, int64_t until)
{
	cleanup_free char *text = xasprintf("another-boot %lld\n", (long long)until);
	struct err err = ERR_INIT;

	assert_int_equal(file_replace_at(store_fd(fixture->store), "synced", text, strlen(text), 0600,
					 false, &err),
			 0);
	store_free(fixture->store);
	fixture->store = NULL;
	if (store_open(fixture->path, true, &fixture->store, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_store__what_a_power_cut_may_have_taken_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct digest digest;

	assert_int_equal(blob_put(fixture->store, "x", 1, &digest, &err), 0);
	assert_int_equal(mkdirat(store_fd(fixture->store), "trees/some", 0700), 0);
	reopen_after_cut(fixture, clock_wall_ns() + INT64_C(60000000000));
	assert_true(blob_exists(fixture->store, &digest, NULL));
	reopen_after_cut(fixture, clock_wall_ns() - INT64_C(60000000000));
	assert_false(blob_exists(fixture->store, &digest, NULL));
	assert_int_equal(faccessat(store_fd(fixture->store), "trees/some", F_OK, 0), -1);
	/* the new boot's own things are kept */
	assert_int_equal(blob_put(fixture->store, "x", 1, &digest, &err), 0);
	store_free(fixture->store);
	assert_int_equal(store_open(fixture->path, true, &fixture->store, &err), 0);
	assert_true(blob_exists(fixture->store, &digest, NULL));
	assert_int_equal(store_sweep(fixture->store, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)
	const struct CMUnitTest tests[] = {
		TEST(test_store__opening_twice_finds_the_same_store),
		TEST(test_store__absent_without_create_is_not_found),
		TEST(test_store__directory_with_other_things_is_refused),
		TEST(test_store__writable_by_others_is_refused),
		TEST(test_store__of_another_owner_is_refused),
		TEST(test_store__unfinished_one_is_finished),
		TEST(test_store__other_version_is_refused),
		TEST(test_store__what_a_power_cut_may_have_taken_is_dropped),
		TEST(test_store__sync_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
