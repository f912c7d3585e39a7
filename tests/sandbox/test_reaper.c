/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of a step's processes where there is no pid namespace. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/landlock.h"
#include "tests/sandbox/plain_box.h"

static void test_reaper__other_processes_cannot_be_signalled(void **state)
{
	char command[200];

	if (landlock_abi() < LANDLOCK_SCOPES)
		skip();
	snprintf(command, sizeof(command),
		 "kill -0 %d 2>/dev/null && echo caller; kill -0 $PPID 2>/dev/null && echo reaper; "
		 "kill -0 1 2>/dev/null && echo init; kill -0 $$ && echo self",
		 (int)getpid());
	expect(*state, command, 0, "self\n");
}

static void test_reaper__daemons_do_not_outlive_the_step(void **state)
{
	uint64_t began = clock_monotonic_ns();
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1); /* who is left comes to us */
	expect(*state,
	       "(trap '' TERM HUP; setsid sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000' &) ; "
	       "sleep 0.1; echo done",
	       0, "done\n");
	assert_true(clock_monotonic_ns() - began < UINT64_C(3000000000));
	pid = waitpid(-1, NULL, WNOHANG);
	assert_true(pid < 0 && errno == ECHILD);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

#define MANY 1500

static int end_many(void *arg, void *result, struct err *err)
{
	cleanup_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)arg;
	(void)result;
	for (int i = 0; i < MANY; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return err_os(err, "fork");
		while (pid == 0)
			pause();
	}
	reaper_end_all(0, proc); /* as without Landlock */
	return 0;
}

/* To look through /proc takes milliseconds; to do so for each of them, a minute. */
static void test_reaper__many_processes_end_at_once(void **state)
{
	uint64_t began = clock_monotonic_ns();
	struct err err = ERR_INIT;

	(void)state;
	if (child_call(end_many, NULL, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(clock_monotonic_ns() - began < UINT64_C(5000000000));
}

/* Landlock says that it confined us, and did not. */
static int become_reaper_unconfined(void *arg, void *result, struct err *err)
{
	struct sock_filter lines[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_restrict_self, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(lines), lines };
	struct init_report report = { 0 };

	(void)arg;
	(void)result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return err_os(err, "install a filter");
	if (reaper_become(LANDLOCK_SCOPES, &report) == 0)
		return err_set(err, ERR_FAILED, "a kill(-1) would end the machine");
	return 0;
}

static void test_reaper__a_scope_that_does_not_hold_is_noticed(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (child_call(become_reaper_unconfined, NULL, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_reaper__no_fork_escapes_the_end(void **state)
{
	struct place *place = *state;

	expect(place, "(while :; do (sleep 1000 &) ; done) & sleep 0.3; echo done", 0, "done\n");
	/* whoever was left would go on writing here */
	expect(place, "(while :; do touch /alive; done) & sleep 0.1; rm -f /alive", 0, "");
	unlinkat(place->root_fd, "alive", 0);
	usleep(100000);
	assert_int_equal(faccessat(place->root_fd, "alive", F_OK, 0), -1);
}

static void test_reaper__all_dies_with_a_killed_caller(void **state)
{
	struct place *place = *state;
	pid_t pid = fork();

	if (pid == 0) {
		struct step step;

		step_init(place, &step);
		shell(&step, "(setsid sh -c 'while :; do touch /tick; usleep 10000; done' &); "
			     "touch /ready; sleep 1000");
		_exit(0);
	}
	assert_true(pid > 0); /* -1 would be everybody */
	for (int i = 0; i < 500 && faccessat(place->root_fd, "tick", F_OK, 0) < 0; i++)
		usleep(10000);
	assert_int_equal(faccessat(place->root_fd, "tick", F_OK, 0), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	usleep(300000);
	unlinkat(place->root_fd, "tick", 0);
	usleep(100000);
	assert_int_equal(faccessat(place->root_fd, "tick", F_OK, 0), -1);
}

static void test_reaper__sigterm_ends_the_step(void **state)
{
	struct place *place = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct step step;

		step_init(place, &step);
		shell(&step, "(setsid sleep 1000 &); touch /ready; exec sleep 1000");
		_exit(step.status < 0 ? step.err.exit_status : 0);
	}
	assert_true(pid > 0); /* -1 would be everybody */
	for (int i = 0; i < 500 && faccessat(place->root_fd, "ready", F_OK, 0) < 0; i++)
		usleep(10000);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reaper__other_processes_cannot_be_signalled,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_reaper__daemons_do_not_outlive_the_step, setup,
						teardown),
		cmocka_unit_test(test_reaper__many_processes_end_at_once),
		cmocka_unit_test(test_reaper__a_scope_that_does_not_hold_is_noticed),
		cmocka_unit_test_setup_teardown(test_reaper__no_fork_escapes_the_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_reaper__all_dies_with_a_killed_caller, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_reaper__sigterm_ends_the_step, setup,
						teardown),
	};

	if (!plain_ready())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
