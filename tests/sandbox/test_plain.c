/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Steps without namespaces: what is put into the root and taken out, and what keeps a step in. */
#include <sys/wait.h>

#include "base/landlock.h"
#include "tests/sandbox/plain_box.h"

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
	};

	if (!plain_ready())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
