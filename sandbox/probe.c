/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each thing is tried, not guessed from the user id or the kernel's version: namespaces can be
 * made in places where nothing can then be mounted in them. All of it happens in a child that
 * enters the namespaces as a build would, and what would change more than a probe may is tried in
 * children of that one. It takes a few milliseconds.
 */
#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/sandbox.h"

static void __attribute__((format(printf, 4, 5)))
add(struct userns_info *info, const char *name, bool ok, const char *format, ...)
{
	struct userns_probe *probe;
	va_list args;

	if (info->n_probes == USERNS_PROBES_MAX)
		return;
	probe = &info->probes[info->n_probes++];
	probe->name = name;
	probe->ok = ok;
	va_start(args, format);
	vsnprintf(probe->detail, sizeof(probe->detail), format, args);
	va_end(args);
}

/* Run one attempt in a child of its own and add what it says. */
static bool try_out(struct userns_info *info, const char *name, child_function *attempt, void *arg,
		    const char *good)
{
	struct err err = ERR_INIT;
	bool ok = child_call(attempt, arg, NULL, 0, &err) == 0;

	add(info, name, ok, "%s", ok ? good : err.message);
	return ok;
}

/* --- attempts ------------------------------------------------------------------------------- */

/* /proc needs a pid namespace with a process in it. */
static int try_proc(void *arg, void *result, struct err *err)
{
	int status;
	pid_t pid;

	(void)arg;
	(void)result;
	if (unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return err_os(err, "make pid, ipc, uts and cgroup namespaces");
	pid = fork();
	if (pid < 0)
		return err_os(err, "fork into a pid namespace");
	if (pid == 0)
		_exit(mount_new("proc", NULL, 0, MOUNT_ATTR_NOSUID) < 0 ? errno : 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status))
		return err_set(err, ERR_FAILED, "a process in a pid namespace was killed");
	errno = WEXITSTATUS(status);
	if (errno == EPERM)
		return err_set(err, ERR_DENIED,
			       "mount proc: Operation not permitted (parts of "
			       "/proc are masked, as in a container; fix: start it "
			       "with --security-opt systempaths=unconfined)");
	return errno ? err_os(err, "mount proc") : 0;
}

static int try_network(void *arg, void *result, struct err *err)
{
	(void)arg;
	(void)result;
	if (unshare(CLONE_NEWNET) < 0)
		return err_os(err, "make a network namespace");
	if (net_loopback_up() < 0)
		return err_os(err, "bring up its loopback interface");
	return 0;
}

static int try_seccomp(void *arg, void *result, struct err *err)
{
	struct seccomp_filter filter;

	(void)arg;
	(void)result;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* as Landlock sets it where it has to */
	seccomp_build(&filter);
	if (seccomp_install(&filter) < 0)
		return err_os(err, "install a seccomp filter");
	return 0;
}

static int try_landlock(void *arg, void *result, struct err *err)
{
	int abi = landlock_abi();

	(void)arg;
	(void)result;
	if (abi == 0)
		return err_set(err, ERR_UNSUPPORTED,
			       "not in this kernel, or switched off (fix: Linux 5.13 or newer with "
			       "landlock in the lsm= boot option); RUN works without it, but with "
			       "--isolation=chroot it reaches other processes");
	if (landlock_confine(abi) < 0)
		return err_os(err, "restrict a process by it");
	if (abi < LANDLOCK_SCOPES)
		return err_set(err, ERR_UNSUPPORTED,
			       "ABI %d: files, but not signals and abstract sockets (fix: Linux "
			       "6.12 or newer)",
			       abi);
	return 0;
}

static int mount_and_write(int dir_fd, struct err *err)
{
	struct overlay overlay = { .dir_fd = dir_fd, .upper = "upper", .work = "work" };
	cleanup_fd int root = -1, file = -1;

	if (mkdirat(dir_fd, "upper", 0755) < 0 || mkdirat(dir_fd, "work", 0755) < 0)
		return err_os(err, "make directories");
	if (overlay_mount(&overlay, true, &root, err) < 0) {
		if (err->os_errno == EINVAL)
			return err_wrap(err, "overlayfs does not work on this file system (fix: "
					     "--root on another one, such as a volume or a tmpfs)");
		return -1;
	}
	file = openat(root, "etc/hosts", O_WRONLY | O_CLOEXEC); /* a copy-up */
	if (file < 0 || fchmod(file, 0600) < 0 || unlinkat(root, "etc/hostname", 0) < 0)
		return err_os(err, "write to a mounted overlay");
	return 0;
}

static int try_overlay(void *arg, void *result, struct err *err)
{
	const char *dir = arg;
	char name[FILE_RANDOM_MAX];
	cleanup_fd int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct err ignored = ERR_INIT;
	int status;

	(void)result;
	if (parent < 0)
		return err_os(err, "open %s", dir);
	if (overlay_check(parent, err) < 0)
		return -1;
	file_random_name(name);
	if (mkdirat(parent, name, 0700) < 0)
		return err_os(err, "make a directory in %s", dir);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	status = fd < 0 ? err_os(err, "open a directory in %s", dir) : mount_and_write(fd, err);
	file_remove_tree_at(parent, name, &ignored);
	return status;
}

/* --- what is there -------------------------------------------------------------------------- */

static void probe_ranges(struct userns_info *info)
{
	struct subid uids, gids;

	userns_ranges(&uids, &gids);
	if (uids.n > 0 && gids.n > 0)
		add(info, "subordinate ids", true, "%llu user ids and %llu group ids",
		    (unsigned long long)uids.total, (unsigned long long)gids.total);
	else
		add(info, "subordinate ids", false,
		    "no range in %s (fix: sudo usermod --add-subuids 100000-165535 --add-subgids "
		    "100000-165535 $USER)",
		    uids.n > 0 ? "/etc/subgid" : "/etc/subuid");
	info->rung = uids.n > 0 && gids.n > 0 ? USERNS_RANGES : USERNS_SINGLE;
}

static void probe_capabilities(struct userns_info *info)
{
	static const struct {
		const char *name;
		int number;
	} needed[] = {
		{ "chown", CAP_CHOWN },		{ "dac_override", CAP_DAC_OVERRIDE },
		{ "fowner", CAP_FOWNER },	{ "fsetid", CAP_FSETID },
		{ "setgid", CAP_SETGID },	{ "setuid", CAP_SETUID },
		{ "setpcap", CAP_SETPCAP },	{ "sys_chroot", CAP_SYS_CHROOT },
		{ "sys_admin", CAP_SYS_ADMIN }, { "mknod", CAP_MKNOD },
		{ "setfcap", CAP_SETFCAP },
	};
	uint64_t held = caps_effective();
	char missing[150] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(held >> needed[i].number & 1))
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, " %s",
						needed[i].name);
	add(info, "capabilities", len == 0, "%s%s", len ? "missing:" : "all that are needed",
	    missing);
}

/* What RUN needs of it: setuid programs, and any programs. */
static void probe_store(struct userns_info *info, const char *dir)
{
	struct statvfs fs;
	bool bad = statvfs(dir, &fs) < 0;

	if (bad)
		info->rung = USERNS_NONE;
	if (!bad && fs.f_flag & (ST_NOSUID | ST_NOEXEC))
		add(info, "store", false,
		    "its file system is mounted %s: %s in RUN (fix: --root on another one)",
		    fs.f_flag & ST_NOEXEC ? "noexec" : "nosuid",
		    fs.f_flag & ST_NOEXEC ? "nothing can be executed" : "su and sudo do not work");
	else
		add(info, "store", !bad, "%s",
		    bad ? strerrordesc_np(errno) : "a usual file system");
}

/* Without namespaces. The child has tried for them and is what it was, or in a half-made one. */
static void probe_chroot(struct userns_info *info)
{
	bool may = userns_may_chroot();

	add(info, "chroot", may, "%s",
	    may ? "root can be changed and files given away"
		: "needs the capabilities chown, dac_override, fowner, kill, setgid, setuid, "
		  "sys_chroot (fix: run as root, or where a user may make namespaces)");
	info->rung = may ? USERNS_CHROOT : USERNS_NONE;
}

static enum userns_rung rung_entered(bool root, enum userns_rung users)
{
	if (!root)
		return users;
	return userns_is_rootless() ? USERNS_NESTED : USERNS_ROOT;
}

static int probe_all(void *arg, void *result, struct err *err)
{
	struct userns_info *info = result;
	bool root = geteuid() == 0, works;

	if (!root)
		probe_ranges(info);
	works = userns_enter(err) == 0;
	add(info, "namespaces", works, "%s",
	    works ? "user and mount namespaces as needed" : err->message);
	if (works)
		info->rung = rung_entered(root, info->rung);
	probe_capabilities(info);
	if (works) {
		works &= try_out(info, "overlay mount", try_overlay, arg, "works in the store");
		works &= try_out(info, "pid namespace", try_proc, NULL, "with a /proc of its own");
		try_out(info, "network namespace", try_network, NULL, "with a loopback interface");
	}
	if (!works)
		probe_chroot(info);
	if (!try_out(info, "seccomp filter", try_seccomp, NULL, "can be installed"))
		info->rung = USERNS_NONE;
	try_out(info, "Landlock", try_landlock, NULL, "files, signals and abstract sockets");
	probe_store(info, arg);
	return 0;
}

void userns_probe(const char *dir, struct userns_info *ret_info)
{
	struct userns_info info = { .rung = USERNS_NONE };
	struct err err = ERR_INIT;

	_Static_assert(sizeof(info) <= CHILD_RESULT_MAX, "the answer crosses in one message");
	if (child_call(probe_all, (void *)dir, &info, sizeof(info), &err) < 0) {
		info = (struct userns_info){ .rung = USERNS_NONE };
		add(&info, "probe", false, "%s", err.message);
	}
	*ret_info = info;
}
