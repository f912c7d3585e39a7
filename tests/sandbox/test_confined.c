/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a step must not have: tried from inside, in a root made of busybox. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "tests/sandbox/run_box.h"

static void test_confined__status_of_confinement(void **state)
{
	expect_output(*state,
		      "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' "
		      "/proc/self/status",
		      "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
		      "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
		      "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
}

static void test_confined__no_path_of_the_host_is_visible(void **state)
{
	struct place *place = *state;
	struct step step;

	step_init(&step);
	shell(place, &step,
	      "cat /proc/self/mountinfo /proc/mounts /proc/1/cmdline /proc/1/comm; "
	      "cat /proc/1/environ /proc/1/maps 2>/dev/null; "
	      "readlink /proc/1/exe /proc/1/cwd /proc/1/root; ls /proc/1/fd");
	assert_non_null(strstr(step.output.data, " / / rw,nodev"));
	assert_null(strstr(step.output.data, place->path));
	assert_null(strstr(step.output.data, "test_run"));
	assert_null(memmem(step.output.data, step.output.len, "test_run", 8));
	step_release(&step);
}

/* What lies on top of the root's mount is where ".." of the root leads. */
static void test_confined__nothing_is_above_the_root(void **state)
{
	expect_output(*state,
		      "for d in / /.. /../../.. /tmp/.. /tmp/../../..; do "
		      "stat -c %d:%i $d; done | grep -vx $(stat -c %d:%i /) | wc -l; "
		      "cd /tmp; ls ../../bin/sh; ls -d ../../etc/debian_version 2>/dev/null",
		      "0\n../../bin/sh\n");
}

static void test_confined__masked_and_read_only_paths(void **state)
{
	expect_output(*state,
		      "cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | "
		      "wc -c; "
		      "ls /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v : | grep -c .; "
		      "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern "
		      "/sys/kernel/mm/ksm/run /proc/irq/default_smp_affinity; do "
		      "(echo x >$f) 2>/dev/null && echo $f; done; "
		      "mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; "
		      "umount /proc/sys 2>/dev/null && echo umounted; true",
		      "0\n0\n");
}

static void test_confined__host_disk_cannot_be_read(void **state)
{
	struct stat st;
	struct step step;
	char command[256];

	assert_int_equal(stat("/", &st), 0);
	snprintf(command, sizeof(command),
		 "for d in / /dev /dev/shm /tmp; do mknod $d/b b %u %u 2>/dev/null; "
		 "mknod $d/l b 7 0 2>/dev/null; mknod $d/m c 1 1 2>/dev/null; "
		 "cat $d/b $d/l $d/m 2>/dev/null | head -c 1 | wc -c; done",
		 major(st.st_dev), minor(st.st_dev));
	step_init(&step);
	shell(*state, &step, command);
	assert_string_equal(step.output.data, "0\n0\n0\n0\n");
	step_release(&step);
}

static void test_confined__device_nodes_of_the_host_cannot_be_changed(void **state)
{
	struct stat before, after;

	assert_int_equal(stat("/dev/null", &before), 0);
	expect_output(*state, "chmod 600 /dev/null 2>/dev/null || echo refused", "refused\n");
	assert_int_equal(stat("/dev/null", &after), 0);
	assert_int_equal(before.st_mode, after.st_mode);
}

/* In the sandbox, this program again: what the shell cannot say. */
static int be_inside(void)
{
	const struct {
		const char *name;
		long result;
		int error;
	} tries[] = {
#define TRY(call)                                                                                  \
	{ #call, ({                                                                                \
		  errno = 0;                                                                       \
		  call;                                                                            \
	  }),                                                                                      \
	  errno }
		TRY(socket(AF_VSOCK, SOCK_STREAM, 0)),
		TRY(syscall(SYS_socket, 0x100000000L | AF_VSOCK, SOCK_STREAM, 0)),
		TRY(syscall(SYS_socket, 0x100000000L | AF_ALG, SOCK_SEQPACKET, 0)),
		TRY(unshare(CLONE_NEWUSER)),
		TRY(unshare(CLONE_NEWNS)),
		TRY(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)),
		TRY(syscall(SYS_clone3, NULL, 0)),
		TRY(syscall(SYS_keyctl, 0, -3, 1)),
		TRY(syscall(SYS_bpf, 0, NULL, 0)),
		TRY(syscall(SYS_io_uring_setup, 1, NULL)),
		TRY(syscall(SYS_userfaultfd, 0)),
		TRY(syscall(SYS_open_by_handle_at, 0, NULL, 0)),
		TRY(syscall(600)),
		TRY(syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, 1, 0, 0)),
	};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		if (tries[i].result >= 0)
			printf("%s works\n", tries[i].name);
		else if (tries[i].error != EPERM)
			printf("%s: %s\n", tries[i].name, strerrorname_np(tries[i].error));
	printf("socketpair: %d\n", socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0, 0 }));
	return 0;
}

static void test_confined__forbidden_system_calls(void **state)
{
	char self[256] = "";
	const char *const places[] = { "/usr", "/lib", "/lib64", self };
	static const char *const targets[] = { "/usr", "/lib", "/lib64", "/inside" };
	static const char *const env[] = { "ASAN_OPTIONS=detect_leaks=0", NULL };
	struct sandbox_mount mounts[ARRAY_SIZE(places)];
	size_t n = 0;
	struct step step;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int fd = open(places[i], O_PATH | O_CLOEXEC);

		if (fd >= 0)
			mounts[n++] = (struct sandbox_mount){ .source_fd = fd,
							      .target = targets[i],
							      .read_only = true };
	}
	step_init(&step);
	step.spec.mounts = mounts;
	step.spec.n_mounts = n;
	step.spec.env = env;
	step.spec.argv = (const char *const[]){ "/inside", "--inside", NULL };
	step_run(*state, &step);
	if (step.status < 0)
		fail_msg("%s", step.err.message);
	assert_string_equal(step.output.data, "syscall(SYS_clone3, NULL, 0): ENOSYS\n"
					      "syscall(600): ENOSYS\nsocketpair: 0\n");
	for (size_t i = 0; i < n; i++)
		close(mounts[i].source_fd);
	step_release(&step);
}

static void test_confined__privileged_steps_have_all_capabilities(void **state)
{
	struct step step;

	step_init(&step);
	step.spec.all_capabilities = true;
	shell(*state, &step,
	      "grep -E '^(Seccomp|CapInh|CapAmb):' /proc/self/status; "
	      "mount -t tmpfs x /tmp && echo mounted");
	assert_string_equal(step.output.data, "CapInh:\t0000000000000000\n"
					      "CapAmb:\t0000000000000000\nSeccomp:\t0\nmounted\n");
	step_release(&step);
}

static void test_confined__unmapped_user_is_named(void **state)
{
	struct step step;

	if (!userns_is_rootless())
		skip();
	step_init(&step);
	step.spec.uid = 3000000;
	step.spec.argv = (const char *const[]){ "true", NULL };
	step_run(*state, &step);
	assert_int_equal(step.status, -1);
	assert_int_equal(step.err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(step.err.message, "3000000"));
	step_release(&step);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_confined__status_of_confinement),
		cmocka_unit_test(test_confined__no_path_of_the_host_is_visible),
		cmocka_unit_test(test_confined__nothing_is_above_the_root),
		cmocka_unit_test(test_confined__masked_and_read_only_paths),
		cmocka_unit_test(test_confined__host_disk_cannot_be_read),
		cmocka_unit_test(test_confined__device_nodes_of_the_host_cannot_be_changed),
		cmocka_unit_test(test_confined__forbidden_system_calls),
		cmocka_unit_test(test_confined__privileged_steps_have_all_capabilities),
		cmocka_unit_test(test_confined__unmapped_user_is_named),
	};

	if (argc == 2 && !strcmp(argv[1], "--inside"))
		return be_inside();
	if (!box_ready())
		return 77;
	return cmocka_run_group_tests(tests, setup, teardown);
}
