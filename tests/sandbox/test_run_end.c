/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stays behind when a step ends, by itself, by a signal, with its caller. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/sandbox/run_box.h"

static void test_run_end__upper_holds_only_what_the_step_wrote(void **state)
{
	static const char *const places[] = { "dev", "proc", "sys", "etc" };
	struct place *place = *state;
	struct step step;

	step_init(&step);
	shell(place, &step, "echo hi >/tmp/new");
	assert_true(exists(place, step.upper, "tmp/new"));
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		assert_false(exists(place, step.upper, places[i]));
	step_release(&step);
	step_init(&step);
	shell(place, &step, "echo hi >/etc/new");
	assert_true(exists(place, step.upper, "etc/new"));
	assert_false(exists(place, step.upper, "etc/hosts"));
	step_release(&step);
}

static void test_run_end__daemon_does_not_outlive_the_step(void **state)
{
	uint64_t start = clock_monotonic_ns();
	struct step step;

	step_init(&step); /* it ignores SIGTERM, and holds stdout open */
	shell(*state, &step,
	      "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 600; done' & "
	      "echo started");
	assert_string_equal(step.output.data, "started\n");
	assert_int_equal(step.result.exit_status, 0);
	assert_true(clock_monotonic_ns() - start < 5000000000);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left here */
	step_release(&step);
}

static void test_run_end__orphans_are_reaped(void **state)
{
	expect_output(*state,
		      "(sleep 0 & sleep 0 & true); sleep 0.2; "
		      "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '",
		      "0\n");
}

static bool wait_for_text(int fd, const char *text)
{
	char seen[256] = "";
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(seen) - 1 && (n = read(fd, seen + len, sizeof(seen) - 1 - len)) > 0) {
		len += (size_t)n;
		seen[len] = '\0';
		if (strstr(seen, text))
			return true;
	}
	return false;
}

static void pass_to_fd(void *arg, int stream, const char *data, size_t len)
{
	(void)stream;
	write_all(*(int *)arg, data, len);
}

/* A child that runs a long step and tells about its output through a pipe. */
static pid_t start_long_step(struct place *place, const char *command, int stdin_fd, int *ret_fd)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct step step;

		close(ends[0]);
		step_init(&step);
		step.spec.stdin_fd = stdin_fd;
		step.spec.output = pass_to_fd;
		step.spec.output_arg = &ends[1];
		step.spec.argv = (const char *const[]){ "sh", "-c", command, NULL };
		step_run(place, &step);
		step_release(&step);
		_exit(step.status < 0 ? (int)step.err.kind : 99);
	}
	assert_true(pid > 0); /* -1 would be everybody, when it is killed */
	place->steps++;
	close(ends[1]);
	*ret_fd = ends[0];
	return pid;
}

static void test_run_end__sigterm_ends_the_step(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		cleanup_fd int fd = -1;
		pid_t pid = start_long_step(*state, "echo up; sleep 600", -1, &fd);
		int status;

		assert_true(wait_for_text(fd, "up"));
		assert_int_equal(kill(pid, signals[i]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), ERR_CANCELLED);
	}
}

static void test_run_end__second_signal_kills(void **state)
{
	cleanup_fd int fd = -1;
	pid_t pid = start_long_step(*state,
				    "trap 'echo caught' TERM; echo up; "
				    "while :; do sleep 0.05; done",
				    -1, &fd);
	int status;

	assert_true(wait_for_text(fd, "up"));
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_true(wait_for_text(fd, "caught"));
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), ERR_CANCELLED);
}

static void test_run_end__all_dies_with_a_killed_caller(void **state)
{
	cleanup_fd int fd = -1, held = -1;
	struct pollfd readers;
	int in[2];
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	held = in[1];
	pid = start_long_step(*state, "echo up; sleep 600", in[0], &fd);
	close(in[0]);
	assert_true(wait_for_text(fd, "up"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* the processes of the step are those that could still read their stdin */
	readers = (struct pollfd){ .fd = held };
	assert_int_equal(poll(&readers, 1, 5000), 1);
	assert_true(readers.revents & POLLERR);
}

/* --- pipes that others hold ------------------------------------------------------------------ */

/* What a step may have handed to another one, or a child of another thread have got by fork(). */
struct holder {
	pid_t pid;
	bool writes; /* without end; else it only holds them */
};

/* Our own, which end at exec(), are those of the step: its report's, then its output's. */
static int open_writer(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	char path[40];
	struct stat st;

	if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY || fcntl(fd, F_GETFD) != FD_CLOEXEC ||
	    fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static _Noreturn void be_holder(bool writes)
{
	static char block[65536];
	int fds[64], n = 0;

	for (int fd = 3; fd < 64; fd++) {
		fds[n] = open_writer(fd);
		n += fds[n] >= 0;
	}
	alarm(4);
	for (int i = 1; writes && i < n; i++)
		if (fork() == 0)
			for (alarm(4); write(fds[i], block, sizeof(block)) > 0;)
				;
	pause();
	_exit(0);
}

static void hold_pipes(void *arg, int stream, const char *data, size_t len)
{
	struct holder *holder = arg;

	(void)stream;
	(void)data;
	(void)len;
	if (holder->pid) {
		usleep(1000); /* who shows output takes longer than who writes it */
		return;
	}
	holder->pid = fork();
	if (holder->pid == 0) {
		setpgid(0, 0);
		be_holder(holder->writes);
	}
	usleep(200000);
}

static void expect_quick_end(struct place *place, bool writes, const char *command)
{
	uint64_t start = clock_monotonic_ns();
	struct holder holder = { .writes = writes };
	struct step step;

	step_init(&step);
	step.spec.output = hold_pipes;
	step.spec.output_arg = &holder;
	step.spec.timeout_ns = 1000000000;
	shell(place, &step, command);
	assert_true(holder.pid > 0);
	kill(-holder.pid, SIGKILL);
	waitpid(holder.pid, NULL, 0);
	assert_true(clock_monotonic_ns() - start < 3000000000);
	assert_int_equal(step.result.killed_by,
			 writes ? SANDBOX_KILLED_BY_NONE : SANDBOX_KILLED_BY_TIME);
	step_release(&step);
}

static void test_run_end__output_of_others_is_not_awaited(void **state)
{
	expect_quick_end(*state, true, "echo up; sleep 0.4");
}

static void test_run_end__report_of_the_dead_is_not_awaited(void **state)
{
	expect_quick_end(*state, false, "echo up; sleep 600");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_end__upper_holds_only_what_the_step_wrote),
		cmocka_unit_test(test_run_end__daemon_does_not_outlive_the_step),
		cmocka_unit_test(test_run_end__orphans_are_reaped),
		cmocka_unit_test(test_run_end__sigterm_ends_the_step),
		cmocka_unit_test(test_run_end__second_signal_kills),
		cmocka_unit_test(test_run_end__all_dies_with_a_killed_caller),
		cmocka_unit_test(test_run_end__output_of_others_is_not_awaited),
		cmocka_unit_test(test_run_end__report_of_the_dead_is_not_awaited),
	};

	if (!box_ready())
		return 77;
	return cmocka_run_group_tests(tests, setup, teardown);
}
