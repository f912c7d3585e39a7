/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SANDBOX_PLAIN_BOX_H
#define TESTS_SANDBOX_PLAIN_BOX_H

/*
 * tests/sandbox/plain_box.h: steps without namespaces, in a root made of busybox, for a group of
 * tests with setup() and teardown(). As root and as a user who may make a user namespace (for the
 * right to chroot).
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
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
	"sh",	 "cat",	  "ls",	    "id", "echo",  "true",   "sleep",  "mknod",
	"kill",	 "touch", "mkdir",  "rm", "chmod", "setsid", "chroot", "stat",
	"rmdir", "ln",	  "usleep", "mv", "test",  "nc",
};

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void collect(void *arg, int stream, const char *data, size_t len)
{
	(void)stream;
	buf_add(arg, data, len);
}

static inline void step_init(const struct place *place, struct step *step)
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

static inline void shell(struct step *step, const char *command)
{
	const char *argv[] = { "sh", "-c", command, NULL };

	step->spec.argv = argv;
	step->status = sandbox_run(&step->spec, &step->result, &step->err);
}

static inline void expect(const struct place *place, const char *command, int status,
			  const char *output)
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

static inline void put_file(const struct place *place, const char *name, const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(
		file_replace_at(place->root_fd, name, text, strlen(text), 0644, false, &err), 0);
}

static inline void expect_file(const struct place *place, const char *name, const char *text)
{
	struct err err = ERR_INIT;
	cleanup_buf struct buf got;

	buf_init(&got, 1000);
	if (file_read_at(place->root_fd, name, &got, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(got.data, text);
}

/* Before the tests; false when there is nothing to run. */
static inline bool plain_ready(void)
{
	signal(SIGINT, SIG_DFL); /* a shell that started us in the background ignores it */
	if (access(BUSYBOX, X_OK) == 0)
		return true;
	print_message("no " BUSYBOX ": nothing to run, skipped\n");
	return false;
}

#endif
