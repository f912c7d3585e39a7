/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the groups of steps go. The kernel's rules decide: a group whose children have controllers
 * holds no processes itself (the root of the hierarchy may); a controller reaches the children
 * of a group when it is named in cgroup.subtree_control there; and to move a process takes write
 * permission up to the nearest group above both its old and its new one. So the candidates are the
 * process's own group, from which it steps aside when it is alone there, and those above it, where
 * a service manager keeps the processes of one user in groups side by side. Each is tried by
 * putting a process into a new child of it, since permissions alone do not tell.
 *
 * 1. The group of a step is locked by flock() on its directory as long as the supervisor lives. One
 *    that can be locked is left over: its maker was killed.
 * 2. Nothing is asked for, nothing is changed: no controller is enabled for a default.
 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "sandbox/internal.h"

#define LEAF	      "supervisor"
#define PROC_TEXT_MAX (4 << 20)

static const char *const controllers[] = { "memory", "cpu", "cpuset", "pids" };

/* --- reading -------------------------------------------------------------------------------- */

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += len)
		if ((at == text || at[-1] == ' ' || at[-1] == '+') &&
		    (at[len] == '\0' || at[len] == ' ' || at[len] == '\n'))
			return true;
	return false;
}

static int read_text(int dir_fd, const char *name, struct buf *text)
{
	struct err why = ERR_INIT;

	buf_init(text, PROC_TEXT_MAX);
	return file_read_at(dir_fd, name, text, &why);
}

/* --- what is wanted ------------------------------------------------------------------------- */

static bool is_wanted(const struct cgroup_limits *limits, size_t i)
{
	switch (i) {
	case 0:
		return limits->memory || limits->memory_swap;
	case 1:
		return limits->cpu_quota || limits->cpu_shares;
	case 2:
		return limits->cpuset_cpus || limits->cpuset_mems;
	default:
		return limits->pids && limits->pids != UINT64_MAX;
	}
}

static bool is_any_wanted(const struct cgroup_limits *limits)
{
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		if (is_wanted(limits, i))
			return true;
	return false;
}

/* --- one candidate -------------------------------------------------------------------------- */

/* Only this process is in the group. */
static bool is_alone(int fd)
{
	cleanup_buf struct buf text;
	char own[16];

	snprintf(own, sizeof(own), "%d\n", (int)getpid());
	return read_text(fd, "cgroup.procs", &text) == 0 && !strcmp(text.data, own);
}

static int step_aside(struct cgroup *cgroup, int fd)
{
	cleanup_fd int leaf = -1;
	cleanup_fd int own = -1;

	if (mkdirat(fd, LEAF, 0755) < 0 && errno != EEXIST)
		return -1;
	leaf = openat(fd, LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (leaf < 0 || own < 0 || cgroup_step_join(leaf) < 0)
		return -1;
	cgroup->own_fd = steal_fd(&own); /* the way back */
	return 0;
}

static void step_back(struct cgroup *cgroup)
{
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		char text[16];

		snprintf(text, sizeof(text), "-%s", controllers[i]);
		(void)cgroup_write(cgroup->own_fd, "cgroup.subtree_control", text);
	}
	if (cgroup_step_join(cgroup->own_fd) == 0)
		unlinkat(cgroup->own_fd, LEAF, AT_REMOVEDIR);
	close(steal_fd(&cgroup->own_fd));
}

static int enable(int fd, const char *controller, const char *path, struct err *err)
{
	cleanup_buf struct buf text;
	char change[16];

	if (read_text(fd, "cgroup.controllers", &text) < 0 || !has_word(text.data, controller))
		return err_set(err, ERR_UNSUPPORTED, "cgroup %s has no controller \"%s\"", path,
			       controller);
	snprintf(change, sizeof(change), "+%s", controller);
	if (cgroup_write(fd, "cgroup.subtree_control", change) == 0)
		return 0;
	if (errno == EBUSY)
		return err_set(
			err, ERR_UNSUPPORTED,
			"there are processes in cgroup %s itself, so those below it can have "
			"no limits",
			path);
	return err_os(err, "enable the controller \"%s\" in cgroup %s", controller, path);
}

static bool is_enabled(int fd, const char *controller)
{
	cleanup_buf struct buf text;

	return read_text(fd, "cgroup.subtree_control", &text) == 0 &&
	       has_word(text.data, controller);
}

static int enable_wanted(struct cgroup *cgroup, int fd, const char *path, bool is_own,
			 struct err *err)
{
	if (!is_any_wanted(&cgroup->limits))
		return is_enabled(fd, "pids")
			       ? 0
			       : err_set(err, ERR_UNSUPPORTED,
					 "the controller \"pids\" is not enabled in cgroup %s",
					 path);
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		if (!is_wanted(&cgroup->limits, i) || is_enabled(fd, controllers[i]))
			continue;
		if (is_own && cgroup->own_fd < 0 && is_alone(fd) && step_aside(cgroup, fd) < 0)
			return err_os(err, "make a cgroup in %s", path);
		if (enable(fd, controllers[i], path, err) < 0)
			return -1;
	}
	return 0;
}

/* A process into a new child and out again. */
static int try_out(struct cgroup *cgroup, const char *path, struct err *err)
{
	struct cgroup_step step = CGROUP_STEP_INIT;
	struct cgroup_events ignored;
	bool joined;
	pid_t pid;

	if (cgroup_step_start(cgroup, &step, err) < 0)
		return -1;
	pid = clone_into(0, NULL, step.fd, &joined);
	if (pid == 0)
		_exit(!joined && cgroup_step_join(step.fd) < 0);
	if (pid < 0) {
		err_os(err, "put a process into a cgroup below %s", path);
	} else {
		int status = 0;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (status)
			err_set(err, ERR_DENIED, "a process could not join a cgroup below %s",
				path);
		pid = status ? -1 : pid;
	}
	cgroup_step_end(&step, &ignored);
	return pid < 0 ? -1 : 0;
}

/* --- what was left behind ------------------------------------------------------------------- */

static void remove_left_over(int dir_fd, const char *name)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	(void)cgroup_write(fd, "cgroup.kill", "1");
	cgroup_remove(dir_fd, name);
}

static void sweep(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((item = readdir(dir)))
		if (!strncmp(item->d_name, CGROUP_PREFIX, strlen(CGROUP_PREFIX)))
			remove_left_over(dir_fd, item->d_name);
	closedir(dir);
}

/* --- finding -------------------------------------------------------------------------------- */

static int use(struct cgroup *cgroup, int *fd, const char *path, bool is_own, struct err *err)
{
	if (enable_wanted(cgroup, *fd, path, is_own, err) < 0)
		return -1;
	cgroup->dir_fd = *fd;
	cgroup->limits_pids = cgroup->limits.pids != UINT64_MAX && is_enabled(*fd, "pids");
	sweep(*fd);
	if (try_out(cgroup, path, err) == 0) {
		*fd = -1;
		return 0;
	}
	cgroup->dir_fd = -1;
	cgroup->limits_pids = false;
	return -1;
}

/* The reason that counts is that of the nearest group. */
static int use_own_or_above(struct cgroup *cgroup, int mount_fd, char *path, struct err *err)
{
	bool is_own = true;

	for (;;) {
		struct err why = ERR_INIT;
		cleanup_fd int fd = inroot_open(mount_fd, path, O_RDONLY | O_DIRECTORY, 0);
		char *slash = strrchr(path, '/');

		if (fd < 0)
			err_os(&why, "open cgroup %s", path);
		else if (use(cgroup, &fd, *path ? path : "/", is_own, &why) == 0)
			return 0;
		if (is_own)
			*err = why;
		if (!slash || !strcmp(path, "/"))
			return -1;
		slash[slash == path] = '\0';
		is_own = false;
	}
}

static int use_parent(struct cgroup *cgroup, int mount_fd, const char *path, struct err *err)
{
	cleanup_fd int fd = -1;

	if (inroot_mkdirs(mount_fd, path, 0755, geteuid(), getegid(), &fd, err) < 0)
		return -1;
	close(steal_fd(&fd)); /* a path only: it cannot be locked or listed */
	fd = inroot_open(mount_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_os(err, "open cgroup %s", path);
	if (use(cgroup, &fd, path, false, err) == 0)
		return 0;
	if (is_any_wanted(&cgroup->limits))
		return -1;
	/* no controller for a default: the processes are to be there all the same */
	err_clear(err);
	cgroup->limits_pids = false;
	cgroup->dir_fd = fd;
	if (try_out(cgroup, path, err) < 0) {
		cgroup->dir_fd = -1;
		return -1;
	}
	(void)steal_fd(&fd);
	return 0;
}

/* In which words the limits were asked for. */
static const char *wanted_name(const struct cgroup_limits *limits)
{
	static const char *const names[] = { "--memory", "--cpus", "--cpuset-cpus",
					     "--pids-limit" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is_wanted(limits, i))
			return names[i];
	return "--cgroup-parent";
}

/* Whether a hierarchy of cgroup v1 has a controller that is wanted: /proc/cgroups has lines of the
 * name and the number of the hierarchy, which is 0 for v2. */
static bool is_in_v1(const struct cgroup_limits *limits)
{
	cleanup_buf struct buf text;
	bool found = false;

	if (read_text(AT_FDCWD, "/proc/cgroups", &text) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(controllers) && !found; i++) {
		cleanup_free char *line = xasprintf("\n%s\t", controllers[i]);
		const char *at = is_wanted(limits, i) ? strstr(text.data, line) : NULL;

		found = at && at[strlen(line)] != '0';
	}
	return found;
}

static int explain(const struct cgroup_limits *limits, const struct err *why, struct err *err)
{
	const char *name = wanted_name(limits);

	if (is_in_v1(limits))
		return err_set(err, ERR_UNSUPPORTED,
			       "%s cannot be enforced here: the controller belongs to cgroup v1 on "
			       "this machine (fix: boot with systemd.unified_cgroup_hierarchy=1)",
			       name);
	if (!why)
		return err_set(
			err, ERR_UNSUPPORTED,
			"%s cannot be enforced here: no cgroup v2 hierarchy is mounted (fix: "
			"mount -t cgroup2 none /sys/fs/cgroup, or boot with "
			"systemd.unified_cgroup_hierarchy=1)",
			name);
	return err_set(err, why->kind == ERR_UNSUPPORTED ? ERR_UNSUPPORTED : ERR_DENIED,
		       "%s cannot be enforced here: %s (fix: start cbuild in a cgroup of its own: "
		       "systemd-run --user --scope -p Delegate=yes cbuild ..., or name one that is "
		       "delegated: --cgroup-parent)",
		       name, why->message);
}

static int find(struct cgroup *cgroup, const char *parent, struct err *err)
{
	cleanup_buf struct buf mountinfo, own;
	cleanup_free char *point = NULL, *root = NULL, *path = NULL;
	cleanup_fd int mount_fd = -1;
	struct err why = ERR_INIT;
	bool mounted = read_text(AT_FDCWD, "/proc/self/mountinfo", &mountinfo) == 0 &&
		       cgroup_find_mount(mountinfo.data, &point, &root);

	if (read_text(AT_FDCWD, "/proc/self/cgroup", &own) == 0 && mounted)
		path = cgroup_find_own(own.data, root);
	if (path)
		mount_fd = open(point, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mount_fd < 0)
		return explain(&cgroup->limits, NULL, err);
	if ((parent ? use_parent(cgroup, mount_fd, parent, &why)
		    : use_own_or_above(cgroup, mount_fd, path, &why)) == 0)
		return 0;
	return explain(&cgroup->limits, &why, err);
}

int cgroup_open(const char *parent, const struct cgroup_limits *limits, struct cgroup **ret_cgroup,
		struct err *err)
{
	cleanup_with(cgroup_free) struct cgroup *cgroup = xcalloc(1, sizeof(*cgroup));
	struct err why = ERR_INIT;

	cgroup->dir_fd = cgroup->own_fd = -1;
	cgroup->limits = *limits;
	if (find(cgroup, parent, &why) < 0 && (parent || is_any_wanted(limits))) {
		*err = why;
		return -1;
	}
	*ret_cgroup = steal_pointer(&cgroup);
	return 0;
}

void cgroup_free(struct cgroup *cgroup)
{
	if (!cgroup)
		return;
	if (cgroup->dir_fd >= 0)
		close(cgroup->dir_fd);
	if (cgroup->own_fd >= 0)
		step_back(cgroup);
	free(cgroup);
}
