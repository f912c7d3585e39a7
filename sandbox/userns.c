/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plain user unshares into a user namespace in place and is mapped to 0 there; more ids are
 * mapped by newuidmap and newgidmap, which must run outside: they are forked before and wait for
 * a byte until the namespace is there. Both run at once, since they are what takes the time.
 *
 * 1. Without a line in /etc/subuid and /etc/subgid, only the user's own ids are mapped. If there
 *    are lines and the helpers fail, that is an error: nobody gets less than was set up for him.
 * 2. Ids change after the maps are written and before the mount namespace is made, which then
 *    belongs to the user namespace.
 * 3. Whether it has been done is a fact about the process, hence the one static variable.
 */
#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "sandbox/internal.h"

#define SUBID_FILE_MAX	   (16 << 20)
#define FIRST_USERNS_INODE 0xEFFFFFFDU /* PROC_USER_INIT_INO, part of the kernel's ABI */

static bool entered;

bool userns_entered(void)
{
	return entered;
}

bool userns_is_rootless(void)
{
	struct stat st;

	if (geteuid() != 0)
		return true;
	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != FIRST_USERNS_INODE;
}

const char *userns_rung_name(enum userns_rung rung)
{
	switch (rung) {
	case USERNS_ROOT:
		return "root";
	case USERNS_RANGES:
		return "user with subordinate id ranges";
	case USERNS_SINGLE:
		return "user with a single id";
	case USERNS_NONE:
		break;
	}
	return "no namespaces";
}

/* --- why not -------------------------------------------------------------------------------- */

static bool file_starts_with(const char *path, const char *text)
{
	cleanup_buf struct buf buf;
	struct err ignored = ERR_INIT;

	buf_init(&buf, 64);
	return file_read_at(AT_FDCWD, path, &buf, &ignored) == 0 &&
	       !strncmp(buf.data, text, strlen(text));
}

static bool filtered_by_seccomp(void)
{
	cleanup_buf struct buf buf;
	struct err ignored = ERR_INIT;

	buf_init(&buf, 1 << 16);
	return file_read_at(AT_FDCWD, "/proc/self/status", &buf, &ignored) == 0 &&
	       strstr(buf.data, "\nSeccomp:\t2");
}

static const char *explain_refusal(void)
{
	if (file_starts_with("/proc/sys/user/max_user_namespaces", "0\n"))
		return "user.max_user_namespaces is 0; fix: sudo sysctl -w "
		       "user.max_user_namespaces=15000, or run as root";
	if (file_starts_with("/proc/sys/kernel/unprivileged_userns_clone", "0"))
		return "kernel.unprivileged_userns_clone is 0; fix: sudo sysctl -w "
		       "kernel.unprivileged_userns_clone=1, or run as root";
	if (file_starts_with("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
		return "kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 23.10 and "
		       "later) and this program has no AppArmor profile; fix: sudo sysctl -w "
		       "kernel.apparmor_restrict_unprivileged_userns=0, or run as root";
	if (filtered_by_seccomp())
		return "a seccomp policy is in force, as in a container; fix: start the container "
		       "with --security-opt seccomp=unconfined --security-opt "
		       "systempaths=unconfined";
	return "the kernel or a security module refuses; fix: run as root";
}

static int fail_refused(const char *what, struct err *err)
{
	return err_set(err, ERR_DENIED, "%s: %s (%s)", what, strerrordesc_np(errno),
		       explain_refusal());
}

/* --- maps ----------------------------------------------------------------------------------- */

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

	close(mapper->go_fd);
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
		       explain_refusal());
}

static int write_map(const char *path, const char *text, struct err *err)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write_all(fd, text, strlen(text)) < 0) {
		char what[64];

		snprintf(what, sizeof(what), "writing %s", path);
		return fail_refused(what, err);
	}
	return 0;
}

static int unshare_user(struct err *err)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return fail_refused("cannot create a user namespace", err);
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
	status = mapper_finish(&mappers[0], unshared ? err : &second);
	if (mapper_finish(&mappers[1], unshared && status == 0 ? err : &second) < 0)
		status = -1;
	return unshared ? status : -1;
}

static int become_root(bool ranges, struct err *err)
{
	if (setresgid(0, 0, 0) < 0 || (ranges && setgroups(0, NULL) < 0) || setresuid(0, 0, 0) < 0)
		return err_os(err, "become root of the user namespace");
	prctl(PR_SET_DUMPABLE, 1); /* it is still the user's own process, to debug as he likes */
	return 0;
}

static int enter_user_namespace(struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct subid uids, gids;
	bool ranges;

	userns_ranges(&uids, &gids);
	ranges = uids.n > 0 && gids.n > 0;
	if (ranges ? map_ranges(uid, gid, &uids, &gids, err) < 0 : map_single(uid, gid, err) < 0)
		return -1;
	return become_root(ranges, err);
}

int userns_enter(struct err *err)
{
	if (entered)
		return 0;
	if (geteuid() != 0 && enter_user_namespace(err) < 0)
		return err_wrap(err, "cannot run containers here");
	if (unshare(CLONE_NEWNS) < 0)
		return err_set(
			err, ERR_DENIED,
			"cannot create a mount namespace: %s (root here lacks CAP_SYS_ADMIN, "
			"as in a container; fix: start the container with --privileged, or "
			"run as a user outside of it)",
			strerrordesc_np(errno));
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return fail_refused("cannot make the mount namespace private", err);
	entered = true;
	return 0;
}
