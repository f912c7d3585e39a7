/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real steps in a root made of busybox: what a process is given, and how it ends. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "tests/sandbox/run_box.h"

/* --- exit status, errors -------------------------------------------------------------------- */

static void test_run__exit_status_comes_through(void **state)
{
	static const struct {
		const char *command;
		int status, signal;
	} cases[] = {
		{ "true", 0, 0 },	  { "exit 3", 3, 0 },	      { "exit 255", 255, 0 },
		{ "kill -9 $$", 137, 9 }, { "kill -15 $$", 143, 15 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct step step;

		step_init(&step);
		shell(*state, &step, cases[i].command);
		assert_int_equal(step.result.exit_status, cases[i].status);
		assert_int_equal(step.result.term_signal, cases[i].signal);
		assert_true(step.result.wall_ns > 0);
		assert_true(step.result.peak_bytes > 0);
		step_release(&step);
	}
}

static void expect_failure(struct place *place, const char *const *argv, enum err_kind kind,
			   int exit_status)
{
	struct step step;

	step_init(&step);
	step.spec.argv = argv;
	step_run(place, &step);
	assert_int_equal(step.status, -1);
	assert_int_equal(step.err.kind, kind);
	assert_int_equal(step.err.exit_status, exit_status);
	assert_non_null(strstr(step.err.message, argv[0]));
	step_release(&step);
}

static void test_run__missing_executable_is_127(void **state)
{
	expect_failure(*state, (const char *const[]){ "no-such", NULL }, ERR_NOT_FOUND, 127);
	expect_failure(*state, (const char *const[]){ "/bin/no-such", NULL }, ERR_NOT_FOUND, 127);
}

static void test_run__directory_as_executable_is_126(void **state)
{
	expect_failure(*state, (const char *const[]){ "/tmp", NULL }, ERR_DENIED, 126);
}

static void test_run__output_of_both_streams_and_much_of_it(void **state)
{
	struct step step;

	step_init(&step);
	shell(*state, &step, "echo out; echo err >&2; head -c 300000 /dev/zero");
	assert_int_equal(step.output.len, 300008);
	step_release(&step);
}

/* --- what the process is given -------------------------------------------------------------- */

static void test_run__environment_is_only_what_was_given(void **state)
{
	struct step step;

	step_init(&step);
	step.spec.argv = (const char *const[]){ "env", NULL };
	step_run(*state, &step);
	assert_string_equal(step.output.data, "PATH=/bin\nHOME=/root\n");
	step_release(&step);
}

static void test_run__working_directory(void **state)
{
	struct step step;

	step_init(&step);
	step.spec.cwd = "/work";
	shell(*state, &step, "pwd");
	assert_string_equal(step.output.data, "/work\n");
	step_release(&step);
	step_init(&step);
	step.spec.cwd = "/a/b";
	step.spec.create_cwd = true;
	shell(*state, &step, "pwd; id -u");
	assert_string_equal(step.output.data, "/a/b\n0\n");
	step_release(&step);
}

static void test_run__working_directory_cannot_be_a_leaked_descriptor(void **state)
{
	for (int fd = 3; fd < 12; fd++) {
		struct step step;
		char cwd[32];

		snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", fd);
		step_init(&step);
		step.spec.cwd = cwd;
		step.spec.argv = (const char *const[]){ "pwd", NULL };
		step_run(*state, &step);
		assert_int_equal(step.status, -1);
		step_release(&step);
	}
}

static void test_run__user_and_groups(void **state)
{
	static const gid_t groups[] = { 7, 8 };
	struct step step;

	step_init(&step);
	step.spec.uid = 1000;
	step.spec.gid = 1001;
	step.spec.groups = groups;
	step.spec.n_groups = 2;
	shell(*state, &step,
	      "id -u; id -g; id -G; grep Cap[IPEA] /proc/self/status; "
	      "echo ok >/dev/stdout");
	assert_string_equal(step.output.data, "1000\n1001\n1001 7 8\n"
					      "CapInh:\t0000000000000000\n"
					      "CapPrm:\t0000000000000000\n"
					      "CapEff:\t0000000000000000\n"
					      "CapAmb:\t0000000000000000\nok\n");
	step_release(&step);
}

static void test_run__only_three_descriptors(void **state)
{
	cleanup_fd int leak = open("/tmp", O_RDONLY); /* on purpose not close-on-exec */

	assert_true(leak >= 0);
	expect_output(
		*state, "echo /proc/self/fd/*; readlink /proc/self/fd/0",
		"/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n/dev/null\n");
}

static void test_run__names_of_this_host(void **state)
{
	struct step step;

	expect_output(*state, "hostname; cat /etc/hostname", "buildkitsandbox\nbuildkitsandbox\n");
	step_init(&step);
	step.spec.hostname = "box";
	step.spec.extra_hosts = "10.0.0.1\tdb\n";
	step.spec.resolv_conf = "nameserver 10.0.0.2\n";
	shell(*state, &step, "hostname; cat /etc/hosts /etc/resolv.conf");
	assert_string_equal(step.output.data, "box\n127.0.0.1\tlocalhost box\n"
					      "::1\tlocalhost ip6-localhost ip6-loopback\n"
					      "10.0.0.1\tdb\nnameserver 10.0.0.2\n");
	step_release(&step);
}

static void test_run__own_network_has_loopback_only(void **state)
{
	expect_output(*state, "ls /sys/class/net; ip addr show lo | grep -c 'LOOPBACK,UP'",
		      "lo\n1\n");
}

static void test_run__host_network_is_the_callers(void **state)
{
	struct step step;
	char here[64] = "";

	assert_true(readlink("/proc/self/ns/net", here, sizeof(here) - 1) > 0);
	step_init(&step);
	step.spec.network = SANDBOX_NETWORK_HOST;
	shell(*state, &step, "readlink /proc/self/ns/net");
	assert_memory_equal(step.output.data, here, strlen(here));
	step_release(&step);
}

static void test_run__stdin_is_given(void **state)
{
	cleanup_fd int in = memfd_create("in", MFD_CLOEXEC);
	struct step step;

	assert_int_equal(write_all(in, "hello\n", 6), 0);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	step_init(&step);
	step.spec.stdin_fd = in;
	shell(*state, &step, "cat");
	assert_string_equal(step.output.data, "hello\n");
	step_release(&step);
}

static void test_run__output_is_inherited_without_a_callback(void **state)
{
	cleanup_fd int out = memfd_create("out", MFD_CLOEXEC), saved = dup(1);
	struct step step;
	char text[64] = "";

	step_init(&step);
	step.spec.output = NULL;
	step.spec.argv = (const char *const[]){ "echo", "straight", NULL };
	fflush(stdout);
	assert_int_equal(dup2(out, 1), 1);
	step_run(*state, &step);
	assert_int_equal(dup2(saved, 1), 1);
	assert_int_equal(step.status, 0);
	assert_true(pread_all(out, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "straight\n");
	step_release(&step);
}

static void test_run__devices_work(void **state)
{
	expect_output(
		*state,
		"echo x >/dev/null && head -c 3 /dev/zero | wc -c; "
		"head -c 4 /dev/urandom | wc -c; ls /dev; echo y >/dev/shm/y; cat /dev/shm/y",
		"3\n4\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\n"
		"tty\nurandom\nzero\ny\n");
}

/* --- threads -------------------------------------------------------------------------------- */

struct thread_job {
	struct place place;
	int failures;
	char last[200]; /* assertions are for the main thread */
};

static void *run_some(void *arg)
{
	struct thread_job *job = arg;

	for (int i = 0; i < 5; i++) {
		struct step step;

		step_init(&step);
		step.spec.argv = (const char *const[]){ "sh", "-c", "echo $((6 * 7))", NULL };
		step_run(&job->place, &step);
		if (step.status < 0 || strcmp(step.output.data, "42\n") != 0) {
			job->failures++;
			snprintf(job->last, sizeof(job->last), "%d %.100s %.60s", step.status,
				 step.err.message, step.output.data);
		}
		step_release(&step);
	}
	return NULL;
}

static void test_run__steps_run_side_by_side(void **state)
{
	struct thread_job jobs[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		jobs[i] = (struct thread_job){ .place = *(struct place *)*state };
		jobs[i].place.steps += 1000 * (i + 1);
		assert_int_equal(pthread_create(&threads[i], NULL, run_some, &jobs[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_string_equal(jobs[i].last, "");
		assert_int_equal(jobs[i].failures, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run__exit_status_comes_through),
		cmocka_unit_test(test_run__missing_executable_is_127),
		cmocka_unit_test(test_run__directory_as_executable_is_126),
		cmocka_unit_test(test_run__output_of_both_streams_and_much_of_it),
		cmocka_unit_test(test_run__environment_is_only_what_was_given),
		cmocka_unit_test(test_run__working_directory),
		cmocka_unit_test(test_run__working_directory_cannot_be_a_leaked_descriptor),
		cmocka_unit_test(test_run__user_and_groups),
		cmocka_unit_test(test_run__only_three_descriptors),
		cmocka_unit_test(test_run__names_of_this_host),
		cmocka_unit_test(test_run__own_network_has_loopback_only),
		cmocka_unit_test(test_run__host_network_is_the_callers),
		cmocka_unit_test(test_run__stdin_is_given),
		cmocka_unit_test(test_run__output_is_inherited_without_a_callback),
		cmocka_unit_test(test_run__devices_work),
		cmocka_unit_test(test_run__steps_run_side_by_side),
	};

	if (!box_ready())
		return 77;
	return cmocka_run_group_tests(tests, setup, teardown);
}
