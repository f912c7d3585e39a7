/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ids of a new user namespace. One's own id anybody may map, from inside; more are mapped from
 * outside: by newuidmap and newgidmap for a plain user, and for root that may set ids by a child of
 * our own. Whoever works outside is forked before and waits for a byte until the namespace is
 * there; the two helpers run at once, since they are what takes the time.
 *
 * Without a line in /etc/subuid and /etc/subgid, only the user's own ids are mapped. If there are
 * lines and the helpers fail, that is an error: nobody gets less than was set up for him.
 *
 * The files of a process that is not dumpable are root's in /proc, so that its maps could not be
 * written: it is dumpable for that time, which is before there is any step.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "sandbox/userns.h"

#define SUBID_FILE_MAX (16 << 20)
#define MAP_MAX	       (64 * 1024) /* of /proc/self/uid_map: 340 lines */

static void read_ranges(const char *path, const char *name, struct subid *ret_subid)
{
	cleanup_buf struct buf text;
	struct err ignored = ERR_INIT;

	buf_init(&text, SUBID_FILE_MAX);
	if (file_read_at(AT_FDCWD, path, &text, &ignored) < 0)
		buf_clear(&text);
	subid_parse(text.data, name, geteuid(), ret_subid);
}

void userns_ranges(struct subid *ret_uids, struct subid *ret_gids)
{
	const struct passwd *user = getpwuid(geteuid());
	cleanup_free char *name = user ? xstrdup(user->pw_name) : NULL;

	read_ranges("/etc/subuid", name, ret_uids);
	read_ranges("/etc/subgid", name, ret_gids);
}

struct mapper {
	const char *program;
	pid_t pid;
	int go_fd;
	int text_fd; /* what it has to say */
};

static _Noreturn void be_mapper(const char *program, char *const *argv, int go_fd, int text_fd)
{
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go_fd, &go, 1) != 1 || dup2(text_fd, 1) < 0 || dup2(text_fd, 2) < 0)
		_exit(1);
	execvp(program, argv);
	dprintf(2, "%s", strerrordesc_np(errno));
	_exit(127);
}

static void add_map(struct strv *argv, uid_t own, const struct subid *subid)
{
	uint32_t inside = 1;

	strv_addf(argv, "0");
	strv_addf(argv, "%u", own);
	strv_addf(argv, "1");
	for (size_t i = 0; i < subid->n; i++) {
		strv_addf(argv, "%u", inside);
		strv_addf(argv, "%u", subid->ranges[i].start);
		strv_addf(argv, "%u", subid->ranges[i].count);
		inside += subid->ranges[i].count;
	}
}

static int mapper_start(struct mapper *mapper, const char *program, uid_t own,
			const struct subid *subid, struct err *err)
{
	cleanup_strv struct strv argv = STRV_INIT;
	int go[2], text[2];

	strv_add(&argv, program);
	strv_addf(&argv, "%d", (int)getpid());
	add_map(&argv, own, subid);
	if (pipe2(go, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	if (pipe2(text, O_CLOEXEC) < 0) {
		err_os(err, "make a pipe");
		close(go[0]);
		close(go[1]);
		return -1;
	}
	*mapper = (struct mapper){ program, fork(), go[1], text[0] };
	if (mapper->pid == 0) {
		close(go[1]);
		be_mapper(program, strv_argv(&argv), go[0], text[1]);
	}
	close(go[0]);
	close(text[1]);
	if (mapper->pid < 0) {
		err_os(err, "fork");
		close(go[1]);
		close(text[0]);
		return -1;
	}
	return 0;
}

/* Without go it ends without having done anything. */
static int mapper_finish(struct mapper *mapper, struct err *err)
{
	char text[300];
	ssize_t len;
	int status = -1;

	file_close_at(&mapper->go_fd);
	len = read_all(mapper->text_fd, text, sizeof(text) - 1);
	close(mapper->text_fd);
	while (waitpid(mapper->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return 0;
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len < 0 ? 0 : len] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: %s (fix: install it, Debian's package is uidmap)",
			       mapper->program, text);
	return err_set(err, ERR_DENIED, "%s failed: %s (%s)", mapper->program, text,
		       refusal_reason());
}

static int write_map(const char *path, const char *text, struct err *err)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write_all(fd, text, strlen(text)) < 0) {
		char what[64];

		snprintf(what, sizeof(what), "writing %s", path);
		return refusal_set(what, err);
	}
	return 0;
}

static int unshare_user(struct err *err)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return refusal_set("cannot create a user namespace", err);
	return 0;
}

static int map_single(uid_t uid, gid_t gid, struct err *err)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", uid);
	snprintf(gids, sizeof(gids), "0 %u 1", gid);
	if (unshare_user(err) < 0 || write_map("/proc/self/uid_map", uids, err) < 0 ||
	    write_map("/proc/self/setgroups", "deny", err) < 0 ||
	    write_map("/proc/self/gid_map", gids, err) < 0)
		return -1;
	return 0;
}

static int map_ranges(uid_t uid, gid_t gid, const struct subid *uids, const struct subid *gids,
		      struct err *err)
{
	struct err second = ERR_INIT;
	struct mapper mappers[2];
	bool unshared;
	int status;

	if (mapper_start(&mappers[0], "newuidmap", uid, uids, err) < 0)
		return -1;
	if (mapper_start(&mappers[1], "newgidmap", gid, gids, err) < 0) {
		mapper_finish(&mappers[0], &second);
		return -1;
	}
	unshared = unshare_user(err) == 0;
	for (size_t i = 0; unshared && i < 2; i++)
		if (write_all(mappers[i].go_fd, "x", 1) < 0) {
			err_os(err, "start %s", mappers[i].program);
			unshared = false;
		}
	/* each waits for the end of its pipe, and the second one has the first one's too */
	for (size_t i = 0; i < 2; i++) {
		file_close_at(&mappers[i].go_fd);
		mappers[i].go_fd = -1;
	}
	status = mapper_finish(&mappers[0], unshared ? err : &second);
	if (mapper_finish(&mappers[1], unshared && status == 0 ? err : &second) < 0)
		status = -1;
	return unshared ? status : -1;
}

/* --- root that may set ids ------------------------------------------------------------------ */

struct identity {
	pid_t pid; /* whose maps are written */
	int go_fds[2];
};

/* A namespace inside keeps every id it has: each extent of ours, mapped to itself. (One line over
 * all of them is refused where ours has several.) */
static int copy_map(pid_t pid, const char *name, struct err *err)
{
	char from[40], to[40];
	cleanup_buf struct buf ours, theirs;
	uint32_t inside, outside, count;
	int used = 0;

	buf_init(&ours, MAP_MAX);
	buf_init(&theirs, MAP_MAX);
	snprintf(from, sizeof(from), "/proc/self/%s", name);
	snprintf(to, sizeof(to), "/proc/%d/%s", (int)pid, name);
	if (file_read_at(AT_FDCWD, from, &ours, err) < 0)
		return -1;
	for (const char *at = ours.data; sscanf(at, "%" SCNu32 " %" SCNu32 " %" SCNu32 "%n",
						&inside, &outside, &count, &used) == 3;
	     at += used)
		buf_addf(&theirs, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", inside, inside, count);
	return write_map(to, theirs.data, err);
}

static int copy_maps(void *arg, void *result, struct err *err)
{
	const struct identity *identity = arg;
	char go;

	(void)result;
	close(identity->go_fds[1]);
	if (read(identity->go_fds[0], &go, 1) != 1)
		return err_set(err, ERR_FAILED, "there is no user namespace");
	if (copy_map(identity->pid, "uid_map", err) < 0)
		return -1;
	return copy_map(identity->pid, "gid_map", err);
}

static int map_identity(struct err *err)
{
	struct identity identity = { .pid = getpid() };
	struct err second = ERR_INIT;
	struct child child;
	int status;

	if (pipe2(identity.go_fds, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	if (child_start(&child, copy_maps, &identity, 0, err) < 0) {
		close(identity.go_fds[0]);
		close(identity.go_fds[1]);
		return -1;
	}
	close(identity.go_fds[0]);
	status = unshare_user(err);
	if (status == 0 && write_all(identity.go_fds[1], "x", 1) < 0)
		status = err_os(err, "start to map ids");
	close(identity.go_fds[1]);
	if (child_wait(&child, NULL, 0, status < 0 ? &second : err) < 0)
		return -1;
	return status;
}

/* -------------------------------------------------------------------------------------------- */

static int become_root(bool set_groups, struct err *err)
{
	if (setresgid(0, 0, 0) < 0 || (set_groups && setgroups(0, NULL) < 0) ||
	    setresuid(0, 0, 0) < 0)
		return err_os(err, "become root of the user namespace");
	return 0;
}

static int enter(struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct subid uids, gids;
	bool ranges;

	if (uid == 0)
		return map_identity(err) < 0 ? -1 : become_root(true, err);
	userns_ranges(&uids, &gids);
	ranges = uids.n > 0 && gids.n > 0;
	if (ranges ? map_ranges(uid, gid, &uids, &gids, err) < 0 : map_single(uid, gid, err) < 0)
		return -1;
	return become_root(ranges, err);
}

int idmap_enter(struct err *err)
{
	int dumpable = prctl(PR_GET_DUMPABLE), status;

	prctl(PR_SET_DUMPABLE, 1);
	status = enter(err);
	prctl(PR_SET_DUMPABLE, dumpable); /* other ids have changed it */
	return status;
}
