/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Steps without namespaces: chroot(), Landlock and a reaper. As root and as a user who may make a
 * user namespace (for the right to chroot). */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

#define BUSYBOX "/bin/busybox"

struct place {
	char path[64];
	int dir_fd, root_fd, aside_fd;
};

struct step {
	struct sandbox_spec spec;
	struct sandbox_result result;
	struct err err;
	struct buf output;
	int status;
};

static const char *const applets[] = {
	"sh",	 "cat", "ls",	 "id",	  "echo",   "true", "sleep",  "mknod", "kill",	 "touch",
	"mkdir", "rm",	"chmod", "setsid", "chroot", "stat", "rmdir", "ln",    "usleep", "mv",
	"test",	 "nc",
};

static int setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	static const char *const dirs[] = { "aside", "root", "root/bin", "root/etc", "root/dev" };
	struct err err = ERR_INIT;
	cleanup_fd int from = open(BUSYBOX, O_RDONLY | O_CLOEXEC), to = -1;
	struct stat st;

	snprintf(place->path, sizeof(place->path), "/tmp/cbuild-test-plain-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	if (userns_enter_files(&err) < 0)
		fail_msg("%s", err.message);
	place->dir_fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(place->dir_fd, dirs[i], 0755), 0);
	place->root_fd = openat(place->dir_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place->aside_fd = openat(place->dir_fd, "aside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = openat(place->root_fd, "bin/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	assert_int_equal(file_copy(from, to, (uint64_t)st.st_size, NULL, &err), 0);
	assert_int_equal(fchmod(to, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
		char name[64];

		snprintf(name, sizeof(name), "bin/%s", applets[i]);
		assert_int_equal(symlinkat("busybox", place->root_fd, name), 0);
	}
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;

	close(place->dir_fd);
	close(place->root_fd);
	close(place->aside_fd);
	if (file_remove_tree_at(AT_FDCWD, place->path, &err) < 0)
		print_message("%s\n", err.message);
	free(place);
	return 0;
}

static void collect(void *arg, int stream, const char *data, size_t len)
{
	(void)stream;
	buf_add(arg, data, len);
}

static void step_init(const struct place *place, struct step *step)
{
	static const char *const env[] = { "PATH=/bin", NULL };

	memset(step, 0, sizeof(*step));
	buf_init(&step->output, 1 << 20);
	step->spec = (struct sandbox_spec){
		.root_fd = place->root_fd,
		.chroot = true,
		.aside_fd = place->aside_fd,
		.env = env,
		.cwd = "/",
		.stdin_fd = -1,
		.output = collect,
		.output_arg = &step->output,
	};
}

static void shell(struct step *step, const char *command)
{
	const char *argv[] = { "sh", "-c", command, NULL };

	step->spec.argv = argv;
	step->status = sandbox_run(&step->spec, &step->result, &step->err);
}

static void expect(const struct place *place, const char *command, int status, const char *output)
{
	struct step step;

	step_init(place, &step);
	shell(&step, command);
	if (step.status < 0)
		fail_msg("%s", step.err.message);
	assert_string_equal(step.output.data, output);
	assert_int_equal(step.result.exit_status, status);
	buf_release(&step.output);
}

static void put_file(const struct place *place, const char *name, const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(
		file_replace_at(place->root_fd, name, text, strlen(text), 0644, false, &err), 0);
}

static void expect_file(const struct place *place, const char *name, const char *text)
{
	struct err err = ERR_INIT;
	cleanup_buf struct buf got;

	buf_init(&got, 1000);
	if (file_read_at(place->root_fd, name, &got, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(got.data, text);
}

/* -------------------------------------------------------------------------------------------- */

static void test_plain__exit_status_and_output_come_through(void **state)
{
	expect(*state, "echo out; echo err >&2; exit 3", 3, "out\nerr\n");
	expect(*state, "kill -9 $$", 137, "");
}

static void test_plain__what_is_put_in_is_taken_out(void **state)
{
	struct place *place = *state;
	struct stat before, after;

	put_file(place, "etc/hosts", "the image's\n");
	assert_int_equal(symlinkat("/nowhere", place->root_fd, "etc/resolv.conf"), 0);
	assert_int_equal(fstatat(place->root_fd, "etc", &before, 0), 0);
	usleep(20000);
	expect(place,
	       "set -e; test -d /proc; test -f /etc/hostname; test ! -L /etc/resolv.conf; "
	       "echo x >/dev/null; rm /etc/hosts; mkdir /etc/hosts; echo y >/etc/hosts/y; "
	       "touch /proc/x /dev/x 2>/dev/null || true",
	       0, "");
	expect_file(place, "etc/hosts", "the image's\n");
	assert_int_equal(faccessat(place->root_fd, "etc/hostname", F_OK, 0), -1);
	assert_int_equal(faccessat(place->root_fd, "proc", F_OK, 0), -1);
	assert_int_equal(faccessat(place->root_fd, "dev/null", F_OK, 0), -1);
	assert_int_equal(faccessat(place->root_fd, "dev", F_OK, 0), 0);
	assert_int_equal(fstatat(place->root_fd, "etc/resolv.conf", &after, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(after.st_mode));
	/* the step removed hosts itself, so the time is its own; a step that does nothing leaves it */
	assert_int_equal(fstatat(place->root_fd, "etc", &before, 0), 0);
	usleep(20000);
	expect(place, "true", 0, "");
	assert_int_equal(fstatat(place->root_fd, "etc", &after, 0), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim));
}

static void test_plain__files_and_empty_directories_can_be_mounted(void **state)
{
	struct place *place = *state;
	const struct sandbox_mount mounts[] = {
		{ .kind = SANDBOX_MOUNT_FILE, .target = "/run/secrets/a", .data = "secret",
		  .len = 6, .mode = 0400 },
		{ .kind = SANDBOX_MOUNT_TMPFS, .target = "/etc", .mode = 01777 },
	};
	struct step step;

	put_file(place, "etc/mine", "m");
	step_init(place, &step);
	step.spec.mounts = mounts;
	step.spec.n_mounts = ARRAY_SIZE(mounts);
	shell(&step, "cat /run/secrets/a; ls /etc; stat -c %a /etc /run/secrets/a; echo z >/etc/z");
	if (step.status < 0)
		fail_msg("%s", step.err.message);
	assert_string_equal(step.output.data, "secret1777\n400\n");
	buf_release(&step.output);
	expect_file(place, "etc/mine", "m");
	assert_int_equal(faccessat(place->root_fd, "etc/z", F_OK, 0), -1);
	assert_int_equal(faccessat(place->root_fd, "run", F_OK, 0), -1);
}

static void test_plain__what_needs_namespaces_is_refused(void **state)
{
	struct place *place = *state;
	struct sandbox_mount bind = { .kind = SANDBOX_MOUNT_BIND, .source_fd = place->aside_fd,
				      .target = "/mnt" };
	struct step step;

	for (int i = 0; i < 3; i++) {
		static const char *const words[] = { "--network=private", "--security=insecure",
						     "a directory cannot be mounted" };

		step_init(place, &step);
		step.spec.network = i == 0 ? SANDBOX_NETWORK_PRIVATE : SANDBOX_NETWORK_HOST;
		step.spec.all_capabilities = i == 1;
		step.spec.mounts = &bind;
		step.spec.n_mounts = i == 2;
		shell(&step, "true");
		assert_int_equal(step.status, -1);
		assert_int_equal(step.err.kind, ERR_UNSUPPORTED);
		if (!strstr(step.err.message, words[i]))
			fail_msg("%s", step.err.message);
		buf_release(&step.output);
		/* nothing is left of what was put in before it failed */
		assert_int_equal(faccessat(place->root_fd, "mnt", F_OK, 0), -1);
		assert_int_equal(faccessat(place->root_fd, "dev/null", F_OK, 0), -1);
		assert_int_equal(faccessat(place->root_fd, "proc", F_OK, 0), -1);
	}
}

/* --- directories that are moved in ---------------------------------------------------------- */

/* place->dir has home/cache/in, which is mounted on /deep/er/mnt, and nothing on the way. */
static void mount_home(struct place *place, const char *target, const char *command)
{
	cleanup_fd int home = -1;
	struct sandbox_mount mount = { .kind = SANDBOX_MOUNT_BIND, .target = target,
				       .home_name = "cache" };
	struct err err = ERR_INIT;
	struct step step;

	assert_int_equal(file_remove_tree_at(place->dir_fd, "home", &err), 0);
	assert_int_equal(mkdirat(place->dir_fd, "home", 0755), 0);
	assert_int_equal(mkdirat(place->dir_fd, "home/cache", 0755), 0);
	home = openat(place->dir_fd, "home", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mount.home_fd = home;
	assert_int_equal(file_replace_at(home, "cache/in", "i", 1, 0644, false, &err), 0);
	step_init(place, &step);
	step.spec.mounts = &mount;
	step.spec.n_mounts = 1;
	shell(&step, command);
	if (step.status < 0)
		fail_msg("%s", step.err.message);
	if (step.result.exit_status)
		fail_msg("%s", step.output.data);
	buf_release(&step.output);
}

static bool there(const struct place *place, const char *path)
{
	return faccessat(place->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_plain__directory_is_moved_in_and_back(void **state)
{
	struct place *place = *state;

	mount_home(place, "/deep/er/mnt", "test -f /deep/er/mnt/in && echo x >/deep/er/mnt/new");
	assert_true(there(place, "home/cache/in") && there(place, "home/cache/new"));
	assert_false(there(place, "root/deep"));
	/* what the step puts beside it is its own, and keeps the directory */
	mount_home(place, "/deep/er/mnt", "echo x >/deep/mine");
	assert_true(there(place, "home/cache/in") && there(place, "root/deep/mine"));
	assert_false(there(place, "root/deep/er"));
	/* a place at the end of links, of which one leads nowhere as yet */
	assert_int_equal(symlinkat("/run", place->root_fd, "link"), 0);
	mount_home(place, "/link/mnt", "test -f /run/mnt/in");
	assert_true(there(place, "home/cache/in") && there(place, "root/link"));
	assert_false(there(place, "root/run"));
	/* what is in the way comes back */
	assert_int_equal(mkdirat(place->root_fd, "full", 0750), 0);
	put_file(place, "full/mine", "m");
	mount_home(place, "/full", "test ! -e /full/mine");
	expect_file(place, "full/mine", "m");
}

/* Whatever a step makes of the place, nothing outside is touched, and the directory comes home
 * unless it was removed. */
static void test_plain__places_of_mounts_are_attacked_in_vain(void **state)
{
	static const struct {
		const char *command;
		const char *left; /* in the root, or NULL */
		bool home;	  /* is there afterwards */
	} attacks[] = {
		{ "mv /a /b; ln -s ../outside /a", "root/a", true },
		{ "mv /a/mnt /mine; ln -s ../outside /a/mnt", "root/mine/in", false },
		{ "mv /a/mnt /mine; ln -s ../../outside /a/mnt; ln -s ../outside /mine/x",
		  "root/mine/x", false },
		{ "rm -r /a; ln -s ../outside /a", "root/a", false },
		{ "mv /a/mnt /x; mv /a /x/a; ln -s /x/a /a", "root/x/a", false },
		{ "rm -r /a/mnt; echo x >/a/mnt", NULL, false },
		{ "rm -r /a/mnt; mkdir /a/mnt; echo x >/a/mnt/in", NULL, true },
		{ "ln -s ../../../outside/canary /a/mnt/link; mv /a /c", NULL, true },
	};
	struct place *place = *state;
	struct err err = ERR_INIT;

	assert_int_equal(mkdirat(place->dir_fd, "outside", 0755), 0);
	assert_int_equal(mkdirat(place->dir_fd, "outside/mnt", 0755), 0);
	assert_int_equal(
		file_replace_at(place->dir_fd, "outside/mnt/canary", "c", 1, 0644, false, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		static const char *const names[] = { "a", "b", "c", "mine", "x" };

		mount_home(place, "/a/mnt", attacks[i].command);
		if (attacks[i].left && !there(place, attacks[i].left))
			fail_msg("%s: not left", attacks[i].command);
		if (there(place, "home/cache/in") != attacks[i].home)
			fail_msg("%s: home", attacks[i].command);
		assert_true(there(place, "outside/mnt/canary"));
		assert_false(there(place, "outside/mnt/in") || there(place, "outside/x"));
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			assert_int_equal(file_remove_tree_at(place->root_fd, names[k], &err), 0);
	}
}

/* A secret under another name is an empty file afterwards, also when the caller was killed. */
static void test_plain__secrets_are_emptied(void **state)
{
	const struct sandbox_mount mount = { .kind = SANDBOX_MOUNT_FILE, .target = "/s",
					     .data = "secret", .len = 6, .mode = 0400 };
	struct place *place = *state;
	struct step step;
	pid_t pid;

	step_init(place, &step);
	step.spec.mounts = &mount;
	step.spec.n_mounts = 1;
	shell(&step, "ln /s /linked; mv /s /moved; cat /moved");
	assert_string_equal(step.output.data, "secret");
	buf_release(&step.output);
	expect_file(place, "linked", "");
	expect_file(place, "moved", "");
	pid = fork();
	if (pid == 0) {
		step_init(place, &step);
		step.spec.mounts = &mount;
		step.spec.n_mounts = 1;
		shell(&step, "ln /s /again; touch /ready; sleep 1000");
		_exit(0);
	}
	for (int i = 0; i < 500 && !there(place, "root/ready"); i++)
		usleep(10000);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	usleep(300000);
	expect_file(place, "again", "");
	expect_file(place, "s", "");
}

static void test_plain__without_a_network_there_are_unix_sockets_only(void **state)
{
	struct place *place = *state;

	for (int i = 0; i < 4; i++) {
		const char *argv[] = { "nc", "-w", "1", "127.0.0.1", "9", NULL };
		struct step step;

		step_init(place, &step);
		step.spec.network = i % 2 ? SANDBOX_NETWORK_NONE : SANDBOX_NETWORK_HOST;
		step.spec.seccomp_unconfined = i > 1;
		step.spec.argv = argv;
		step.status = sandbox_run(&step.spec, &step.result, &step.err);
		assert_int_equal(step.status, 0);
		assert_int_equal(step.result.exit_status, 1);
		assert_int_equal(!!strstr(step.output.data, "Address family not supp"), i % 2);
		buf_release(&step.output);
	}
}

static void test_plain__root_with_links_in_place_of_mount_points_is_refused(void **state)
{
	struct place *place = *state;
	struct step step;

	assert_int_equal(unlinkat(place->root_fd, "dev", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/tmp", place->root_fd, "dev"), 0);
	step_init(place, &step);
	shell(&step, "true");
	assert_int_equal(step.status, -1);
	assert_string_equal(step.err.message,
			    "a mount point of the image is not a directory: dev");
	buf_release(&step.output);
}

/* --- keeping in ----------------------------------------------------------------------------- */

static void test_plain__second_chroot_and_device_nodes_are_denied(void **state)
{
	expect(*state,
	       "chroot / /bin/true 2>/dev/null && echo chroot; "
	       "mknod /n c 1 3 2>/dev/null && echo mknod; mknod /b b 8 0 2>/dev/null && echo block; "
	       "ls /../ >/dev/null",
	       0, "");
}

/* Who has a directory of outside, as a step may that another one hands it over. */
static int open_outside(void *arg, void *result, struct err *err)
{
	const struct place *place = arg;
	cleanup_fd int fd = -1;

	(void)result;
	if (fchdir(place->root_fd) < 0 || chroot(".") < 0 || landlock_confine(landlock_abi()) < 0)
		return err_os(err, "enter the root");
	fd = open("bin/busybox", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_os(err, "open a file inside");
	if (openat(place->dir_fd, "outside", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ||
	    openat(place->dir_fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
		return err_set(err, ERR_FAILED, "a file outside is opened");
	return 0;
}

static void test_plain__landlock_alone_keeps_files_apart(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;
	cleanup_fd int fd = openat(place->dir_fd, "outside", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	assert_true(fd >= 0);
	if (landlock_abi() == 0)
		skip();
	if (child_call(open_outside, place, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
}

/* There is no /proc to look in: the shell tries to use each of them. */
static void test_plain__only_three_descriptors(void **state)
{
	cleanup_fd int leak = open("/tmp", O_RDONLY); /* on purpose not close-on-exec */
	cleanup_fd int far = fcntl(leak, F_DUPFD, 60);

	assert_true(leak >= 3 && leak < 50 && far >= 60 && far < 70);
	expect(*state,
	       "i=0; while [ $i -lt 70 ]; do (eval \": <&$i\") 2>/dev/null && echo $i; "
	       "i=$((i + 1)); done",
	       0, "0\n1\n2\n");
}

static void test_plain__other_processes_cannot_be_signalled(void **state)
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


static void test_plain__daemons_do_not_outlive_the_step(void **state)
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
static void test_plain__many_processes_end_at_once(void **state)
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

static void test_plain__a_scope_that_does_not_hold_is_noticed(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (child_call(become_reaper_unconfined, NULL, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_plain__no_fork_escapes_the_end(void **state)
{
	struct place *place = *state;

	expect(place, "(while :; do (sleep 1000 &) ; done) & sleep 0.3; echo done", 0, "done\n");
	/* whoever was left would go on writing here */
	expect(place, "(while :; do touch /alive; done) & sleep 0.1; rm -f /alive", 0, "");
	unlinkat(place->root_fd, "alive", 0);
	usleep(100000);
	assert_int_equal(faccessat(place->root_fd, "alive", F_OK, 0), -1);
}

static void test_plain__all_dies_with_a_killed_caller(void **state)
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

static void test_plain__sigterm_ends_the_step(void **state)
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
		cmocka_unit_test_setup_teardown(test_plain__exit_status_and_output_come_through,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__what_is_put_in_is_taken_out, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_plain__files_and_empty_directories_can_be_mounted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__what_needs_namespaces_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__directory_is_moved_in_and_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_plain__places_of_mounts_are_attacked_in_vain,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__secrets_are_emptied, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_plain__without_a_network_there_are_unix_sockets_only, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_plain__root_with_links_in_place_of_mount_points_is_refused, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_plain__second_chroot_and_device_nodes_are_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__landlock_alone_keeps_files_apart, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_plain__only_three_descriptors, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_plain__other_processes_cannot_be_signalled,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain__daemons_do_not_outlive_the_step, setup,
						teardown),
		cmocka_unit_test(test_plain__many_processes_end_at_once),
		cmocka_unit_test(test_plain__a_scope_that_does_not_hold_is_noticed),
		cmocka_unit_test_setup_teardown(test_plain__no_fork_escapes_the_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_plain__all_dies_with_a_killed_caller, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_plain__sigterm_ends_the_step, setup, teardown),
	};

	signal(SIGINT, SIG_DFL);
	if (access(BUSYBOX, X_OK) < 0) {
		print_message("no " BUSYBOX ": nothing to run, skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
