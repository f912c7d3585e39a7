/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "layers/internal.h"
#include "layers/layer.h"
#include "tests/layers/store_fixture.h"

static bool is_there(struct fixture *fixture, const char *path)
{
	return faccessat(store_fd(fixture->store), path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_scratch__is_gone_after_free(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	char path[SCRATCH_PATH_MAX];
	struct scratch *scratch;

	assert_int_equal(scratch_open(fixture->store, &scratch, &err), 0);
	snprintf(path, sizeof(path), "%s", scratch->path);
	assert_true(is_there(fixture, path));
	assert_int_equal(mkdirat(scratch->dir_fd, "a", 0), 0);
	scratch_free(scratch);
	assert_false(is_there(fixture, path));
}

static void test_scratch__nothing_is_left_of_a_process_that_ends(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	struct scratch *scratch;
	char path[TMP_PATH_MAX];
	int fd;

	assert_int_equal(scratch_open(fixture->store, &scratch, &err), 0);
	assert_int_equal(tmp_file_open(fixture->store, path, &fd, &err), 0);
	close(fd);
	scratch_free(scratch);
	assert_true(is_there(fixture, path)); /* nobody gave it a name */
	store_free(steal_pointer(&fixture->store));
	assert_int_equal(store_open(fixture->path, false, &fixture->store, &err), 0);
	assert_int_equal(unlinkat(store_fd(fixture->store), "tmp", AT_REMOVEDIR), 0); /* empty */
	assert_int_equal(mkdirat(store_fd(fixture->store), "tmp", 0700), 0);
}

static void test_scratch__a_forked_child_passes_over_what_its_parent_has(void **state)
{
	struct fixture *fixture = *state;
	struct scratch *before, *parents;
	struct err err = ERR_INIT;
	int status;
	pid_t pid;

	assert_int_equal(scratch_open(fixture->store, &before, &err), 0);
	pid = fork();
	if (pid == 0) {
		struct scratch *mine;

		_exit(scratch_open(fixture->store, &mine, &err) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(scratch_open(fixture->store, &parents, &err), 0);
	scratch_free(parents);
	scratch_free(before);
}

static void test_scratch__sweep_takes_only_what_is_dead(void **state)
{
	struct fixture *fixture = *state;
	char tmp[TMP_PATH_MAX], dead[SCRATCH_PATH_MAX + 8] = "";
	struct err err = ERR_INIT;
	struct scratch *alive;
	int pipe_fds[2], tmp_fd;
	pid_t pid;

	assert_int_equal(scratch_open(fixture->store, &alive, &err), 0);
	assert_int_equal(tmp_file_open(fixture->store, tmp, &tmp_fd, &err), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) { /* dies with a directory and a file under tmp/ */
		struct scratch *scratch;
		char path[TMP_PATH_MAX];
		struct store *store;
		int fd;

		if (store_open(fixture->path, false, &store, &err) < 0 ||
		    scratch_open(store, &scratch, &err) < 0 ||
		    mkdirat(scratch->dir_fd, "sub", 0700) < 0 ||
		    tmp_file_open(store, path, &fd, &err) < 0 ||
		    write(pipe_fds[1], scratch->path, sizeof(scratch->path)) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	assert_true(read(pipe_fds[0], dead, SCRATCH_PATH_MAX) > 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_true(is_there(fixture, dead));
	assert_int_equal(mkdirat(store_fd(fixture->store), "tmp/precious", 0700), 0);
	assert_int_equal(store_sweep(fixture->store, &err), 0);
	assert_false(is_there(fixture, dead));
	assert_true(is_there(fixture, alive->path));
	assert_true(is_there(fixture, tmp));
	assert_true(is_there(fixture, "tmp/precious"));
	close(tmp_fd);
	scratch_free(alive);
	assert_int_equal(unlinkat(store_fd(fixture->store), "tmp/precious", AT_REMOVEDIR), 0);
}

static void test_scratch__exclusive_locks_exclude(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	int one, two;

	assert_int_equal(store_lock(fixture->store, "a", false, false, &one, &err), 0);
	assert_int_equal(store_lock(fixture->store, "a", false, true, &two, &err), 0);
	assert_true(two >= 0);
	close(two);
	assert_int_equal(store_lock(fixture->store, "a", true, true, &two, &err), 0);
	assert_int_equal(two, -1);
	close(one);
	assert_int_equal(store_lock(fixture->store, "a", true, true, &two, &err), 0);
	assert_true(two >= 0);
	close(two);
}

static void test_scratch__keys_exclude_each_one_for_itself(void **state)
{
	struct fixture *fixture = *state;
	struct digest key = { .bytes = { 0xff, 1 } }, other = { .bytes = { 0xff, 2 } };
	struct err err = ERR_INIT;
	int one, two;

	assert_int_equal(store_lock_key(fixture->store, "keys", &key, &one, &err), 0);
	assert_true(one >= 0);
	assert_int_equal(store_lock_key(fixture->store, "keys", &other, &two, &err), 0);
	assert_true(two >= 0);
	store_unlock(&two);
	assert_int_equal(store_lock_key(fixture->store, "keys", &key, &two, &err), 0);
	assert_int_equal(two, -1);
	store_unlock(&one);
	assert_int_equal(one, -1);
	assert_int_equal(store_lock_key(fixture->store, "keys", &key, &two, &err), 0);
	assert_true(two >= 0);
	store_unlock(&two);
}

static void test_scratch__a_lock_ends_though_a_child_has_a_copy(void **state)
{
	struct fixture *fixture = *state;
	struct digest key = { .bytes = { 1 } };
	struct err err = ERR_INIT;
	int copies[2], fds[2], again;

	assert_int_equal(store_lock(fixture->store, "a", true, true, &fds[0], &err), 0);
	assert_int_equal(store_lock_key(fixture->store, "keys", &key, &fds[1], &err), 0);
	for (int i = 0; i < 2; i++) {
		copies[i] = dup(fds[i]); /* as fork() would */
		store_unlock(&fds[i]);
	}
	assert_int_equal(store_lock(fixture->store, "a", true, true, &again, &err), 0);
	assert_true(again >= 0);
	store_unlock(&again);
	assert_int_equal(store_lock_key(fixture->store, "keys", &key, &again, &err), 0);
	assert_true(again >= 0);
	store_unlock(&again);
	close(copies[0]);
	close(copies[1]);
}

/* A directory of the store that somebody dies with, after it was moved to `place`. */
static void die_with_loan(struct fixture *fixture, const char *place)
{
	const struct loan loan = { "homes/0", "home.0", "/c" };
	struct err err = ERR_INIT;
	struct snapshot snapshot = { .store = NULL };
	char path[SCRATCH_PATH_MAX + 32];
	pid_t pid = fork();

	if (pid == 0) {
		if (store_open(fixture->path, false, &snapshot.store, &err) < 0 ||
		    scratch_open(snapshot.store, &snapshot.scratch, &err) < 0 ||
		    snapshot_lend(&snapshot, &loan, 1, &err) < 0)
			_exit(1);
		snprintf(path, sizeof(path), "%s/upper", snapshot.scratch->path);
		if (mkdirat(store_fd(fixture->store), path, 0700) < 0)
			_exit(2);
		snprintf(path, sizeof(path), "%s/upper/%s", snapshot.scratch->path, place);
		_exit(renameat(store_fd(fixture->store), "homes/0", store_fd(fixture->store),
			       path) < 0);
	}
	assert_int_equal(waitpid(pid, &(int){ 0 }, 0), pid);
	assert_false(is_there(fixture, "homes/0"));
}

static void test_scratch__what_was_lent_comes_home_before_it_is_swept(void **state)
{
	struct fixture *fixture = *state;
	int store_dir = store_fd(fixture->store), lock;
	struct err err = ERR_INIT;

	assert_int_equal(mkdirat(store_dir, "homes", 0700), 0);
	assert_int_equal(mkdirat(store_dir, "homes/0", 0700), 0);
	assert_int_equal(mkdirat(store_dir, "homes/0/kept", 0700), 0);
	die_with_loan(fixture, "c");
	/* not while somebody has its lock: then all stays as it is */
	assert_int_equal(store_lock(fixture->store, "home.0", true, true, &lock, &err), 0);
	assert_int_equal(store_sweep(fixture->store, &err), 0);
	assert_false(is_there(fixture, "homes/0"));
	store_unlock(&lock);
	assert_int_equal(store_sweep(fixture->store, &err), 0);
	assert_true(is_there(fixture, "homes/0/kept"));
	/* what was moved away is none any more, and neither is what is at its place */
	die_with_loan(fixture, "elsewhere");
	assert_int_equal(store_sweep(fixture->store, &err), 0);
	assert_false(is_there(fixture, "homes/0"));
	/* nor does it replace a new one */
	assert_int_equal(mkdirat(store_dir, "homes/0", 0700), 0);
	die_with_loan(fixture, "c");
	assert_int_equal(mkdirat(store_dir, "homes/0", 0700), 0);
	assert_int_equal(mkdirat(store_dir, "homes/0/new", 0700), 0);
	assert_int_equal(store_sweep(fixture->store, &err), 0);
	assert_true(is_there(fixture, "homes/0/new"));
	assert_int_equal(unlinkat(store_dir, "tmp", AT_REMOVEDIR), 0); /* empty */
	assert_int_equal(mkdirat(store_dir, "tmp", 0700), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)
	const struct CMUnitTest tests[] = {
		TEST(test_scratch__is_gone_after_free),
		TEST(test_scratch__nothing_is_left_of_a_process_that_ends),
		TEST(test_scratch__a_forked_child_passes_over_what_its_parent_has),
		TEST(test_scratch__sweep_takes_only_what_is_dead),
		TEST(test_scratch__exclusive_locks_exclude),
		TEST(test_scratch__keys_exclude_each_one_for_itself),
		TEST(test_scratch__a_lock_ends_though_a_child_has_a_copy),
		TEST(test_scratch__what_was_lent_comes_home_before_it_is_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
