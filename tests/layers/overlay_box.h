/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAYERS_OVERLAY_BOX_H
#define TESTS_LAYERS_OVERLAY_BOX_H

/*
 * tests/layers/overlay_box.h: a step, as the kernel's overlay makes it: mount a snapshot in a
 * process of its own, run a function in it, and end.
 */

#include "tests/layers/store_box.h"

typedef void overlay_step(void); /* its working directory is the merged root */

/* Mount and run. 77 when this machine has no overlay here. */
static inline int overlay_mount_and_run(struct box *box, const struct snapshot *snapshot,
					overlay_step *step)
{
	cleanup_buf struct buf options;
	char merged[160];

	buf_init(&options, 4000);
	buf_addstr(&options, "lowerdir=");
	for (size_t i = 0; i < snapshot->n_lowers; i++)
		buf_addf(&options, "%s%s", i ? ":" : "", snapshot->lowers[i]);
	if (snapshot->upper)
		buf_addf(&options, ",upperdir=%s,workdir=%s", snapshot->upper, snapshot->work);
	buf_addf(&options, ",index=off,metacopy=off,%s",
		 box_is_rootless() ? "userxattr" : "redirect_dir=nofollow");
	snprintf(merged, sizeof(merged), "%s/merged", box->dir);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    chdir(store_path(box->store)) < 0 || (mkdir(merged, 0700) < 0 && errno != EEXIST))
		return 1;
	if (mount("overlay", merged, "overlay", MS_NODEV, options.data) < 0) {
		perror("overlay");
		return 77;
	}
	if (chdir(merged) < 0)
		return 1;
	step();
	return 0;
}

static inline void overlay_run(struct box *box, const struct snapshot *snapshot, overlay_step *step)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		umask(022);
		_exit(overlay_mount_and_run(box, snapshot, step));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* Run a step over layers and commit it. */
static inline struct layer overlay_build(struct box *box, const struct digest *ids, size_t n,
					 overlay_step *step)
{
	struct err err = ERR_INIT;
	struct snapshot *snapshot;
	struct layer layer;

	assert_ok(box_snapshot(box, ids, n, true, &snapshot, &err));
	overlay_run(box, snapshot, step);
	assert_ok(snapshot_commit(snapshot, &layer, NULL, &err));
	snapshot_free(snapshot);
	return layer;
}

/* Steps fail by their exit status. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #condition);        \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline void step_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

#endif
