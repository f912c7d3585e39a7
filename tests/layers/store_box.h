/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAYERS_STORE_BOX_H
#define TESTS_LAYERS_STORE_BOX_H

/*
 * tests/layers/store_box.h: a store in a directory of its own under /tmp, layers from tars that a
 * test makes, and the same tests run twice: as we are, and in a user namespace of 65536 ids; those
 * of unpacking also without any right.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/sink.h"
#include "layers/internal.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "tests/layers/tar_build.h"

struct box {
	char dir[128]; /* with store/ in it */
	struct store *store;
	struct root *roots[16]; /* of snapshots; freed at the end */
	size_t n_roots;
};

#define assert_ok(call)                                                                            \
	do {                                                                                       \
		err_clear(&err);                                                                   \
		if ((call) < 0)                                                                    \
			fail_msg("%s", err.message);                                               \
	} while (0)

static inline bool box_is_rootless(void)
{
	return overlay_opaque_name()[0] == 'u';
}

/* Skip what needs other owners where only one id is mapped. */
static inline void box_need_ids(void)
{
	cleanup_fd int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	char map[200] = "";
	unsigned inside, outside, count = 0;

	assert_true(fd >= 0 && read(fd, map, sizeof(map) - 1) > 0);
	if (geteuid() != 0 ||
	    (sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && count < 65536))
		skip();
}

/* A snapshot over these layers. */
static inline int box_snapshot(struct box *box, const struct digest *ids, size_t n, bool writable,
			       struct snapshot **ret_snapshot, struct err *err)
{
	assert_true(box->n_roots < 16);
	if (root_open(box->store, ids, n, &box->roots[box->n_roots], err) < 0)
		return -1;
	return snapshot_prepare(box->roots[box->n_roots++], writable, ret_snapshot, err);
}

static inline int box_setup_in(const char *dir, void **state)
{
	struct box *box = xcalloc(1, sizeof(*box));
	struct err err = ERR_INIT;
	char path[160];

	snprintf(box->dir, sizeof(box->dir), "%s/cbuild-test-XXXXXX", dir);
	if (!mkdtemp(box->dir))
		return -1;
	snprintf(path, sizeof(path), "%s/store", box->dir);
	if (store_open(path, true, &box->store, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return -1;
	}
	if (geteuid() != 0) { /* as builder/rights.c does where there is no namespace */
		store_use_flat_trees(box->store);
		store_record_owners(box->store, true);
	}
	*state = box;
	return 0;
}

static inline int box_setup(void **state)
{
	return box_setup_in("/tmp", state);
}

static inline int box_teardown(void **state)
{
	struct box *box = *state;
	struct err err = ERR_INIT;
	int bad;

	for (size_t i = 0; i < box->n_roots; i++)
		root_free(box->roots[i]);
	store_free(box->store);
	bad = file_remove_tree_at(AT_FDCWD, box->dir, &err);
	if (bad)
		fprintf(stderr, "%s\n", err.message);
	free(box);
	return bad;
}

/* Store a tar (the end blocks are added) as a layer, without unpacking it. */
static inline struct digest box_take(struct box *box, struct buf *tar)
{
	struct err err = ERR_INIT;
	struct layer layer;
	cleanup_fd int fd = -1;

	tar_put_end(tar);
	fd = tar_as_fd(tar->data, tar->len);
	assert_ok(layer_take(box->store, fd, NULL, &layer, &err));
	buf_clear(tar);
	return layer.diff_id;
}

static inline struct digest box_unpack(struct box *box, struct buf *tar)
{
	struct err err = ERR_INIT;
	struct digest diff_id = box_take(box, tar);

	assert_ok(layer_require_trees(box->store, &diff_id, 1, 1, NULL, NULL, &err));
	return diff_id;
}

/* Unpacking fails with this kind of error, and leaves no tree. */
static inline void box_refuse(struct box *box, struct buf *tar, enum err_kind kind,
			      const char *words)
{
	struct err err = ERR_INIT;
	struct digest diff_id = box_take(box, tar);

	assert_int_equal(layer_require_trees(box->store, &diff_id, 1, 1, NULL, NULL, &err), -1);
	if (err.kind != kind || !strstr(err.message, words))
		fail_msg("kind %d: %s", err.kind, err.message);
	assert_false(tree_exists(box->store, &diff_id));
}

/* lstat in the tree of a layer; -1 when it is not there. */
static inline int box_stat(struct box *box, const struct digest *diff_id, const char *path,
			   struct stat *ret_stat)
{
	char place[TREE_PATH_MAX];
	cleanup_fd int fd =
		openat(store_fd(box->store), tree_path(box->store, diff_id, "fs", place), O_PATH | O_DIRECTORY);

	assert_true(fd >= 0);
	return fstatat(fd, *path ? path : ".", ret_stat, AT_SYMLINK_NOFOLLOW);
}

static inline bool box_has(struct box *box, const struct digest *diff_id, const char *path)
{
	struct stat st;

	return box_stat(box, diff_id, path, &st) == 0;
}

static inline bool box_is_opaque(struct box *box, const struct digest *diff_id, const char *path)
{
	char place[TREE_PATH_MAX], whole[TREE_PATH_MAX + 100];
	cleanup_fd int fd = -1;

	snprintf(whole, sizeof(whole), "%s/%s", tree_path(box->store, diff_id, "fs", place), path);
	fd = openat(store_fd(box->store), whole, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	return overlay_is_opaque(fd, tree_opaque_name(box->store));
}

/* The entries of a layer, one a line: type, path, link. */
static inline void box_list(struct box *box, const struct digest *diff_id, struct buf *ret_text)
{
	static const char letters[] = "fdlhcbpwo";
	cleanup_fd int fd = memfd_create("layer", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	const struct entry *entry;
	struct tar_reader *reader;
	struct sink_fd sink;
	int more;

	sink_fd_init(&sink, fd);
	assert_ok(layer_stream(box->store, diff_id, &sink.sink, &err));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(tar_reader_open(fd, "layer", TAR_READER_LAYER, 0, &reader, &err));
	while ((more = tar_reader_next(reader, &entry, &err)) > 0)
		buf_addf(ret_text, "%c %s%s%s\n", letters[entry->type], entry->path,
			 entry->link ? " > " : "", entry->link ? entry->link : "");
	assert_int_equal(more, 0);
	tar_reader_free(reader);
}

static inline void box_expect(struct box *box, const struct digest *diff_id, const char *want)
{
	cleanup_buf struct buf text;

	buf_init(&text, TAR_BUILD_MAX);
	box_list(box, diff_id, &text);
	assert_string_equal(text.data, want);
}

/* --- both as root and in a user namespace ------------------------------------------------------
 */

static inline void box_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
}

static inline int box_run_in_userns(int (*run)(void))
{
	int go[2], done[2], status = 1;
	char path[64], byte = 0;
	bool root = getuid() == 0;
	char single[64];
	pid_t pid;

	snprintf(single, sizeof(single), "0 %u 1", getuid());
	if (pipe(go) < 0 || pipe(done) < 0)
		return 1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || write(done[1], "x", 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			_exit(77);
		fprintf(stderr, "--- in a user namespace\n");
		exit(run());
	}
	close(done[1]);
	if (read(done[0], &byte, 1) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
		if (!root)
			box_write(path, "deny");
		snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
		box_write(path, root ? "0 0 65536" : single);
		snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
		if (!root)
			snprintf(single, sizeof(single), "0 %u 1", getgid());
		box_write(path, root ? "0 0 65536" : single);
	}
	if (write(go[1], "x", 1) != 1)
		return 1;
	waitpid(pid, &status, 0);
	close(go[0]);
	close(go[1]);
	close(done[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return 0; /* this machine has no user namespaces */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* As a user without any right: not to a root of his own either. */
static inline int box_run_bare(int (*run)(void))
{
	int status = 1;
	pid_t pid;

	if (getuid() != 0)
		return run();
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		fprintf(stderr, "--- without rights\n");
		exit(run());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static inline int box_run_twice(int (*run)(void))
{
	int failed = getuid() == 0 ? run() : 0;

	return failed ? failed : box_run_in_userns(run);
}

#endif
