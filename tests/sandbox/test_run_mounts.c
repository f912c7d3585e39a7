/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is mounted for a step, and roots that do not want it. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/sandbox/run_box.h"

static void test_run_mounts__binds_and_tmpfs(void **state)
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

static void test_run_mounts__files_are_on_a_tmpfs_and_read_only(void **state)
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

static void test_run_mounts__files_have_a_limit(void **state)
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

static void test_run_mounts__files_together_have_a_limit(void **state)
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

static void test_run_mounts__limits_and_shm_size(void **state)
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

static void test_run_mounts__limit_above_a_users_own_is_named(void **state)
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
static void test_run_mounts__attached_overlays(void **state)
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
static void test_run_mounts__bind_from_another_overlay(void **state)
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

static void test_run_mounts__root_with_links_in_place_of_mount_points_is_refused(void **state)
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

static void test_run_mounts__resolv_conf_link_is_covered_not_followed(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_mounts__binds_and_tmpfs),
		cmocka_unit_test(test_run_mounts__files_are_on_a_tmpfs_and_read_only),
		cmocka_unit_test(test_run_mounts__files_have_a_limit),
		cmocka_unit_test(test_run_mounts__files_together_have_a_limit),
		cmocka_unit_test(test_run_mounts__limits_and_shm_size),
		cmocka_unit_test(test_run_mounts__limit_above_a_users_own_is_named),
		cmocka_unit_test(test_run_mounts__attached_overlays),
		cmocka_unit_test(test_run_mounts__bind_from_another_overlay),
		cmocka_unit_test(test_run_mounts__root_with_links_in_place_of_mount_points_is_refused),
		cmocka_unit_test(test_run_mounts__resolv_conf_link_is_covered_not_followed),
	};

	if (!box_ready())
		return 77;
	return cmocka_run_group_tests(tests, setup, teardown);
}
