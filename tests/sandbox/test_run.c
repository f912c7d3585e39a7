/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real steps in a root made of busybox. Passes as root and as a user with subordinate ids. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

#define BUSYBOX "/bin/busybox"

/* clang-format off */
static const char *const applets[] = {
	"sh", "cat", "ls", "id", "env", "echo", "true", "false", "sleep", "mknod", "grep", "kill",
	"mount", "umount", "touch", "mkdir", "hostname", "pwd", "chmod", "head", "setsid", "ip",
	"readlink", "wc", "stat",
};
/* clang-format on */

struct place {
	char path[64];
	int dir_fd;
	unsigned steps;
};

struct step {
	struct sandbox_spec spec;
	struct sandbox_result result;
	struct err err;
	struct buf output;
	const char *lower;
	char upper[32];
	char work[32];
	int status;
};

static int copy_busybox(int dir_fd)
{
	cleanup_fd int from = open(BUSYBOX, O_RDONLY | O_CLOEXEC);
	cleanup_fd int to =
		openat(dir_fd, "base/bin/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;
	struct err err = ERR_INIT;

	assert_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	assert_int_equal(file_copy(from, to, (uint64_t)st.st_size, &err), 0);
	return fchmod(to, 0755);
}

static int setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	static const char *const dirs[] = { "base", "base/bin", "base/tmp", "base/work" };
	struct err err = ERR_INIT;

	snprintf(place->path, sizeof(place->path), "/tmp/cbuild-test-run-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	/* before userns_enter(), as a builder does that knows late whether it has to run anything
	 */
	place->dir_fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->dir_fd >= 0);
	if (userns_enter(&err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(place->dir_fd, dirs[i], 0755), 0);
	assert_int_equal(fchmodat(place->dir_fd, "base/tmp", 01777, 0), 0);
	assert_int_equal(copy_busybox(place->dir_fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
		char name[64];

		snprintf(name, sizeof(name), "base/bin/%s", applets[i]);
		assert_int_equal(symlinkat("busybox", place->dir_fd, name), 0);
	}
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;

	close(place->dir_fd);
	if (file_remove_tree_at(AT_FDCWD, place->path, &err) < 0)
		print_message("%s\n", err.message);
	free(place);
	return 0;
}

static void collect(void *arg, int stream, const char *data, size_t len)
{
	assert_true(stream == 1 || stream == 2);
	buf_add(arg, data, len);
}

static const char *const default_env[] = { "PATH=/bin", "HOME=/root", NULL };

static void step_init(struct step *step)
{
	memset(step, 0, sizeof(*step));
	buf_init(&step->output, 1 << 20);
	step->lower = "base";
	step->spec = (struct sandbox_spec){
		.env = default_env,
		.cwd = "/",
		.network = SANDBOX_NETWORK_NONE,
		.stdin_fd = -1,
		.output = collect,
		.output_arg = &step->output,
	};
}

static void step_run(struct place *place, struct step *step)
{
	const char *lowers[] = { step->lower };
	struct overlay overlay = {
		.dir_fd = place->dir_fd,
		.lowers = lowers,
		.n_lowers = 1,
		.upper = step->upper,
		.work = step->work,
	};

	snprintf(step->upper, sizeof(step->upper), "upper%u", place->steps);
	snprintf(step->work, sizeof(step->work), "work%u", place->steps++);
	assert_int_equal(mkdirat(place->dir_fd, step->upper, 0755), 0);
	assert_int_equal(mkdirat(place->dir_fd, step->work, 0755), 0);
	if (overlay_mount(&overlay, true, &step->spec.root_fd, &step->err) < 0)
		fail_msg("%s", step->err.message);
	step->status = sandbox_run(&step->spec, &step->result, &step->err);
	close(step->spec.root_fd);
}

static void step_release(struct step *step)
{
	buf_release(&step->output);
}

/* Run a shell command and give back its output. */
static void shell(struct place *place, struct step *step, const char *command)
{
	const char *argv[] = { "sh", "-c", command, NULL };

	step->spec.argv = argv;
	step_run(place, step);
	if (step->status < 0 && step->err.kind == ERR_UNSUPPORTED && step->spec.uid)
		skip(); /* a user with a single id */
	if (step->status < 0)
		fail_msg("%s", step->err.message);
}

static void expect_output(struct place *place, const char *command, const char *output)
{
	struct step step;

	step_init(&step);
	shell(place, &step, command);
	assert_string_equal(step.output.data, output);
	step_release(&step);
}

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

/* --- what it must not have ------------------------------------------------------------------ */

static void test_run__status_of_confinement(void **state)
{
	expect_output(*state,
		      "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' "
		      "/proc/self/status",
		      "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
		      "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
		      "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
}

static void test_run__no_path_of_the_host_is_visible(void **state)
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
static void test_run__nothing_is_above_the_root(void **state)
{
	expect_output(*state,
		      "for d in / /.. /../../.. /tmp/.. /tmp/../../..; do "
		      "stat -c %d:%i $d; done | grep -vx $(stat -c %d:%i /) | wc -l; "
		      "cd /tmp; ls ../../bin/sh; ls -d ../../etc/debian_version 2>/dev/null",
		      "0\n../../bin/sh\n");
}

static void test_run__masked_and_read_only_paths(void **state)
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

static void test_run__host_disk_cannot_be_read(void **state)
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

static void test_run__device_nodes_of_the_host_cannot_be_changed(void **state)
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

static void test_run__forbidden_system_calls(void **state)
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

static void test_run__privileged_steps_have_all_capabilities(void **state)
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

static void test_run__unmapped_user_is_named(void **state)
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

/* --- what stays behind ---------------------------------------------------------------------- */

static bool exists(struct place *place, const char *dir, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return faccessat(place->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_run__upper_holds_only_what_the_step_wrote(void **state)
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

static void test_run__daemon_does_not_outlive_the_step(void **state)
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

static void test_run__orphans_are_reaped(void **state)
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
static pid_t start_long_step(struct place *place, const char *command, int *ret_fd)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct step step;

		close(ends[0]);
		step_init(&step);
		step.spec.output = pass_to_fd;
		step.spec.output_arg = &ends[1];
		step.spec.argv = (const char *const[]){ "sh", "-c", command, NULL };
		step_run(place, &step);
		step_release(&step);
		_exit(step.status < 0 ? (int)step.err.kind : 99);
	}
	place->steps++;
	close(ends[1]);
	*ret_fd = ends[0];
	return pid;
}

static void test_run__sigterm_ends_the_step(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		cleanup_fd int fd = -1;
		pid_t pid = start_long_step(*state, "echo up; sleep 600", &fd);
		int status;

		assert_true(wait_for_text(fd, "up"));
		assert_int_equal(kill(pid, signals[i]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), ERR_CANCELLED);
	}
}

static void test_run__second_signal_kills(void **state)
{
	cleanup_fd int fd = -1;
	pid_t pid = start_long_step(*state,
				    "trap 'echo caught' TERM; echo up; "
				    "while :; do sleep 0.05; done",
				    &fd);
	int status;

	assert_true(wait_for_text(fd, "up"));
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_true(wait_for_text(fd, "caught"));
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), ERR_CANCELLED);
}

static void test_run__all_dies_with_a_killed_caller(void **state)
{
	cleanup_fd int fd = -1;
	pid_t pid = start_long_step(*state, "echo up; sleep 600", &fd);
	char rest[64];

	assert_true(wait_for_text(fd, "up"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* pid 1 of the sandbox was the only other holder of this pipe */
	assert_int_equal(read(fd, rest, sizeof(rest)), 0);
}

/* --- mounts --------------------------------------------------------------------------------- */

static void test_run__binds_and_tmpfs(void **state)
{
	struct place *place = *state;
	cleanup_fd int dir = -1, file = -1;
	struct sandbox_mount mounts[4];
	struct step step;

	assert_int_equal(mkdirat(place->dir_fd, "outside", 0755), 0);
	dir = openat(place->dir_fd, "outside", O_PATH | O_DIRECTORY | O_CLOEXEC);
	file = openat(place->dir_fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write_all(file, "text\n", 5), 0);
	mounts[0] = (struct sandbox_mount){ .source_fd = dir, .target = "/mnt/rw/" };
	mounts[1] =
		(struct sandbox_mount){ .source_fd = dir, .target = "/mnt/ro", .read_only = true };
	mounts[2] = (struct sandbox_mount){ .source_fd = file,
					    .target = "/x/y/file",
					    .read_only = true };
	mounts[3] = (struct sandbox_mount){
		.kind = SANDBOX_MOUNT_TMPFS, .target = "/cache", .size = 1 << 20, .mode = 0700
	};
	step_init(&step);
	step.spec.mounts = mounts;
	step.spec.n_mounts = ARRAY_SIZE(mounts);
	shell(place, &step,
	      "echo a >/mnt/rw/a; cat /mnt/ro/a; (echo b >/mnt/ro/b) 2>/dev/null || "
	      "echo ro; cat /x/y/file; (echo z >/x/y/file) 2>/dev/null || echo ro; "
	      "stat -c %a /cache; touch /cache/f");
	assert_string_equal(step.output.data, "a\nro\ntext\nro\n700\n");
	assert_true(exists(place, "outside", "a"));
	assert_false(exists(place, step.upper, "cache/f"));
	assert_false(exists(place, step.upper, "mnt/rw/a"));
	step_release(&step);
}

static void test_run__files_are_on_a_tmpfs_and_read_only(void **state)
{
	struct sandbox_mount mounts[] = {
		{ .kind = SANDBOX_MOUNT_FILE,
		  .target = "/run/secret",
		  .data = "abc",
		  .len = 3,
		  .mode = 0400 },
		{ .kind = SANDBOX_MOUNT_FILE, .target = "/empty", .data = "", .mode = 0640 },
	};
	struct step step;

	step_init(&step);
	step.spec.mounts = mounts;
	step.spec.n_mounts = ARRAY_SIZE(mounts);
	shell(*state, &step,
	      "cat /run/secret; stat -c ' %a %u %s' /run/secret; stat -c '%a %s' /empty; "
	      "(echo x >/run/secret) 2>/dev/null || echo ro; stat -f -c %T /run/secret; "
	      "grep -c ' /run/secret ro,nosuid,nodev,noexec' /proc/self/mountinfo");
	assert_string_equal(step.output.data, "abc 400 0 3\n640 0\nro\ntmpfs\n1\n");
	step_release(&step);
}

static void test_run__files_have_a_limit(void **state)
{
	cleanup_free char *data = xcalloc(1, SANDBOX_FILE_MAX + 1);
	struct sandbox_mount mount = { .kind = SANDBOX_MOUNT_FILE,
				       .target = "/f",
				       .data = data,
				       .len = SANDBOX_FILE_MAX + 1 };
	struct step step;

	step_init(&step);
	step.spec.mounts = &mount;
	step.spec.n_mounts = 1;
	step.spec.argv = (const char *const[]){ "true", NULL };
	step_run(*state, &step);
	assert_int_equal(step.status, -1);
	assert_int_equal(step.err.kind, ERR_LIMIT);
	step_release(&step);
}

static void test_run__files_together_have_a_limit(void **state)
{
	const size_t n = SANDBOX_FILES_MAX / SANDBOX_FILE_MAX + 1;
	cleanup_free char *data = xcalloc(1, SANDBOX_FILE_MAX);
	cleanup_free struct sandbox_mount *mounts = xcalloc(n, sizeof(*mounts));
	struct step step;

	for (size_t i = 0; i < n; i++)
		mounts[i] = (struct sandbox_mount){ .kind = SANDBOX_MOUNT_FILE,
						    .target = "/f",
						    .data = data,
						    .len = SANDBOX_FILE_MAX,
						    .mode = 0400 };
	step_init(&step);
	step.spec.mounts = mounts;
	step.spec.n_mounts = n - 1;
	shell(*state, &step, "stat -c %s /f");
	step_release(&step);
	step_init(&step);
	step.spec.mounts = mounts;
	step.spec.n_mounts = n;
	step.spec.argv = (const char *const[]){ "true", NULL };
	step_run(*state, &step);
	assert_int_equal(step.status, -1);
	assert_int_equal(step.err.kind, ERR_LIMIT);
	step_release(&step);
}

static void test_run__limits_and_shm_size(void **state)
{
	struct sandbox_limit limits[2];
	struct step step;

	step_init(&step);
	assert_int_equal(sandbox_limit_parse("nofile=100:200", &limits[0], &step.err), 0);
	assert_int_equal(sandbox_limit_parse("fsize=512", &limits[1], &step.err), 0);
	step.spec.limits = limits;
	step.spec.n_limits = ARRAY_SIZE(limits);
	step.spec.shm_size = 1 << 20;
	shell(*state, &step,
	      "ulimit -Sn; ulimit -Hn; ulimit -f; ulimit -c; "
	      "grep -o 'size=1024k' /proc/self/mountinfo");
	assert_string_equal(step.output.data, "100\n200\n1\n0\nsize=1024k\n");
	step_release(&step);
}

static void test_run__limit_above_a_users_own_is_named(void **state)
{
	struct sandbox_limit limit;
	struct step step;

	if (!userns_is_rootless())
		skip();
	step_init(&step);
	assert_int_equal(sandbox_limit_parse("nofile=-1", &limit, &step.err), 0);
	step.spec.limits = &limit;
	step.spec.n_limits = 1;
	step.spec.argv = (const char *const[]){ "true", NULL };
	step_run(*state, &step);
	assert_int_equal(step.status, -1);
	assert_non_null(strstr(step.err.message, "hard limit: nofile"));
	step_release(&step);
}

/* What an attached overlay has can be bound in part, on kernels that cannot bind from a detached
 * one. */
static void test_run__attached_overlays(void **state)
{
	struct place *place = *state;
	const char *lowers[] = { "base" };
	struct overlay overlay = { .dir_fd = place->dir_fd, .lowers = lowers, .n_lowers = 1 };
	struct sandbox_mount mount = { .target = "/bin2", .read_only = true };
	cleanup_fd int view = -1, at = -1, bin = -1;
	struct step step;

	step_init(&step);
	assert_int_equal(mkdirat(place->dir_fd, "at", 0755), 0);
	at = openat(place->dir_fd, "at", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(overlay_mount(&overlay, false, &view, &step.err), 0);
	assert_int_equal(overlay_attach(view, at, &step.err), 0);
	bin = openat(view, "bin", O_PATH | O_CLOEXEC);
	mount.source_fd = bin;
	step.spec.mounts = &mount;
	step.spec.n_mounts = 1;
	shell(place, &step, "[ -x /bin2/busybox ] && echo there");
	assert_string_equal(step.output.data, "there\n");
	overlay_detach(view);
	assert_int_equal(unlinkat(place->dir_fd, "at", AT_REMOVEDIR), 0);
	step_release(&step);
}

/* RUN --mount=from=STAGE: the source is another stack of layers. */
static void test_run__bind_from_another_overlay(void **state)
{
	struct place *place = *state;
	const char *lowers[] = { "base" };
	struct overlay overlay = { .dir_fd = place->dir_fd, .lowers = lowers, .n_lowers = 1 };
	struct sandbox_mount mount = { .target = "/stage", .read_only = true };
	cleanup_fd int stage = -1, bin = -1;
	struct step step;

	step_init(&step);
	assert_int_equal(overlay_mount(&overlay, false, &stage, &step.err), 0);
	bin = openat(stage, "bin", O_PATH | O_CLOEXEC);
	mount.source_fd = bin;
	step.spec.mounts = &mount;
	step.spec.n_mounts = 1;
	step.spec.argv = (const char *const[]){ "sh", "-c", "ls /stage/busybox", NULL };
	step_run(place, &step);
	if (step.status < 0 && step.err.kind == ERR_UNSUPPORTED) {
		step_release(&step);
		skip(); /* before Linux 6.15 */
	}
	assert_int_equal(step.status, 0);
	assert_string_equal(step.output.data, "/stage/busybox\n");
	step_release(&step);
}

/* --- hostile roots -------------------------------------------------------------------------- */

static void make_root(struct place *place, const char *name)
{
	char path[64];

	assert_int_equal(mkdirat(place->dir_fd, name, 0755), 0);
	snprintf(path, sizeof(path), "%s/bin", name);
	assert_int_equal(mkdirat(place->dir_fd, path, 0755), 0);
	snprintf(path, sizeof(path), "%s/bin/busybox", name);
	assert_int_equal(linkat(place->dir_fd, "base/bin/busybox", place->dir_fd, path, 0), 0);
	snprintf(path, sizeof(path), "%s/bin/sh", name);
	assert_int_equal(symlinkat("busybox", place->dir_fd, path), 0);
	snprintf(path, sizeof(path), "%s/bin/cat", name);
	assert_int_equal(symlinkat("busybox", place->dir_fd, path), 0);
}

static void test_run__root_with_links_in_place_of_mount_points_is_refused(void **state)
{
	static const char *const names[] = { "dev", "proc", "sys" };
	struct place *place = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct step step;
		char root[32], path[64];

		snprintf(root, sizeof(root), "evil-%s", names[i]);
		make_root(place, root);
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		assert_int_equal(symlinkat("/tmp", place->dir_fd, path), 0);
		step_init(&step);
		step.lower = root;
		step.spec.argv = (const char *const[]){ "sh", "-c", "true", NULL };
		step_run(place, &step);
		assert_int_equal(step.status, -1);
		assert_int_equal(step.err.kind, ERR_INVALID);
		assert_non_null(strstr(step.err.message, names[i]));
		step_release(&step);
	}
}

static void test_run__resolv_conf_link_is_covered_not_followed(void **state)
{
	struct place *place = *state;
	struct step step;

	make_root(place, "linked");
	assert_int_equal(mkdirat(place->dir_fd, "linked/etc", 0755), 0);
	assert_int_equal(symlinkat("../run/nowhere", place->dir_fd, "linked/etc/resolv.conf"), 0);
	step_init(&step);
	step.lower = "linked";
	step.spec.resolv_conf = "nameserver 10.9.8.7\n";
	shell(place, &step, "cat /etc/resolv.conf");
	assert_string_equal(step.output.data, "nameserver 10.9.8.7\n");
	assert_false(exists(place, step.upper, "etc"));
	assert_false(exists(place, step.upper, "run"));
	step_release(&step);
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

int main(int argc, char **argv)
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
		cmocka_unit_test(test_run__status_of_confinement),
		cmocka_unit_test(test_run__no_path_of_the_host_is_visible),
		cmocka_unit_test(test_run__nothing_is_above_the_root),
		cmocka_unit_test(test_run__masked_and_read_only_paths),
		cmocka_unit_test(test_run__host_disk_cannot_be_read),
		cmocka_unit_test(test_run__device_nodes_of_the_host_cannot_be_changed),
		cmocka_unit_test(test_run__forbidden_system_calls),
		cmocka_unit_test(test_run__privileged_steps_have_all_capabilities),
		cmocka_unit_test(test_run__unmapped_user_is_named),
		cmocka_unit_test(test_run__upper_holds_only_what_the_step_wrote),
		cmocka_unit_test(test_run__daemon_does_not_outlive_the_step),
		cmocka_unit_test(test_run__orphans_are_reaped),
		cmocka_unit_test(test_run__sigterm_ends_the_step),
		cmocka_unit_test(test_run__second_signal_kills),
		cmocka_unit_test(test_run__all_dies_with_a_killed_caller),
		cmocka_unit_test(test_run__binds_and_tmpfs),
		cmocka_unit_test(test_run__files_are_on_a_tmpfs_and_read_only),
		cmocka_unit_test(test_run__files_have_a_limit),
		cmocka_unit_test(test_run__files_together_have_a_limit),
		cmocka_unit_test(test_run__limits_and_shm_size),
		cmocka_unit_test(test_run__limit_above_a_users_own_is_named),
		cmocka_unit_test(test_run__attached_overlays),
		cmocka_unit_test(test_run__bind_from_another_overlay),
		cmocka_unit_test(test_run__root_with_links_in_place_of_mount_points_is_refused),
		cmocka_unit_test(test_run__resolv_conf_link_is_covered_not_followed),
		cmocka_unit_test(test_run__steps_run_side_by_side),
	};

	signal(SIGINT, SIG_DFL); /* a shell that started us in the background ignores it */
	if (argc == 2 && !strcmp(argv[1], "--inside"))
		return be_inside();
	if (access(BUSYBOX, X_OK) < 0) {
		print_message("no " BUSYBOX ": nothing to run in a sandbox, skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
