/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SANDBOX_RUN_BOX_H
#define TESTS_SANDBOX_RUN_BOX_H

/*
 * tests/sandbox/run_box.h: real steps in a root made of busybox, for a group of tests with setup()
 * and teardown(). Passes as root and as a user with subordinate ids.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/buf.h"
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

static inline int copy_busybox(int dir_fd)
{
	cleanup_fd int from = open(BUSYBOX, O_RDONLY | O_CLOEXEC);
	cleanup_fd int to =
		openat(dir_fd, "base/bin/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;
	struct err err = ERR_INIT;

	assert_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	assert_int_equal(file_copy(from, to, (uint64_t)st.st_size, NULL, &err), 0);
	return fchmod(to, 0755);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	struct place *place = *state;
	struct err err = ERR_INIT;

	close(place->dir_fd);
	if (file_remove_tree_at(AT_FDCWD, place->path, &err) < 0)
		print_message("%s\n", err.message);
	free(place);
	return 0;
}

static inline void collect(void *arg, int stream, const char *data, size_t len)
{
	assert_true(stream == 1 || stream == 2);
	buf_add(arg, data, len);
}

static const char *const default_env[] = { "PATH=/bin", "HOME=/root", NULL };

static inline void step_init(struct step *step)
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

static inline void step_run(struct place *place, struct step *step)
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

static inline void step_release(struct step *step)
{
	buf_release(&step->output);
}

/* Run a shell command and give back its output. */
static inline void shell(struct place *place, struct step *step, const char *command)
{
	const char *argv[] = { "sh", "-c", command, NULL };

	step->spec.argv = argv;
	step_run(place, step);
	if (step->status < 0 && step->err.kind == ERR_UNSUPPORTED && step->spec.uid)
		skip(); /* a user with a single id */
	if (step->status < 0)
		fail_msg("%s", step->err.message);
}

static inline void expect_output(struct place *place, const char *command, const char *output)
{
	struct step step;

	step_init(&step);
	shell(place, &step, command);
	assert_string_equal(step.output.data, output);
	step_release(&step);
}

static inline bool exists(struct place *place, const char *dir, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return faccessat(place->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Before the tests; false when there is nothing to run. */
static inline bool box_ready(void)
{
	signal(SIGINT, SIG_DFL); /* a shell that started us in the background ignores it */
	if (access(BUSYBOX, X_OK) == 0)
		return true;
	print_message("no " BUSYBOX ": nothing to run in a sandbox, skipped\n");
	return false;
}

#endif
