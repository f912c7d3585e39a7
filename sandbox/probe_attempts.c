/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cannot be asked is tried, each in a child of its own that ends with it: the child is in the
 * namespaces that a build would have entered, and changes nothing but itself and the scratch
 * directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

#define NAME_MAX_LEN 128

/* --- overlayfs, where the store is ------------------------------------------------------------ */

/* The layer below is the store's own stub, as in every step. */
static int mount_and_write(int store_fd, const char *scratch, struct err *err)
{
	char upper[NAME_MAX_LEN], work[NAME_MAX_LEN];
	struct overlay overlay = { .dir_fd = store_fd, .upper = upper, .work = work };
	cleanup_fd int root = -1, file = -1;

	snprintf(upper, sizeof(upper), "%s/upper", scratch);
	snprintf(work, sizeof(work), "%s/work", scratch);
	if (mkdirat(store_fd, upper, 0755) < 0 || mkdirat(store_fd, work, 0755) < 0)
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

int attempt_overlay(void *arg, void *result, struct err *err)
{
	const struct userns_place *place = arg;
	cleanup_fd int fd = open(place->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err ignored = ERR_INIT;
	char name[NAME_MAX_LEN];
	int status;

	(void)result;
	if (fd < 0)
		return err_os(err, "open %s", place->store);
	if (!place->scratch)
		return err_set(err, ERR_FAILED, "nothing can be written to %s", place->store);
	if (overlay_check(fd, err) < 0)
		return -1;
	status = mount_and_write(fd, place->scratch, err);
	/* what was made with the rights in here is removed with them */
	snprintf(name, sizeof(name), "%s/upper", place->scratch);
	file_remove_tree_at(fd, name, &ignored);
	snprintf(name, sizeof(name), "%s/work", place->scratch);
	file_remove_tree_at(fd, name, &ignored);
	return status;
}

/* --- namespaces ------------------------------------------------------------------------------- */

/* /proc needs a pid namespace with a process in it. */
int attempt_proc(void *arg, void *result, struct err *err)
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
			       "with --security-opt systempaths=unconfined, podman: unmask=ALL)");
	return errno ? err_os(err, "mount proc") : 0;
}

int attempt_network(void *arg, void *result, struct err *err)
{
	(void)arg;
	(void)result;
	if (unshare(CLONE_NEWNET) < 0)
		return err_os(err, "make a network namespace");
	if (net_loopback_up() < 0)
		return err_os(err, "bring up its loopback interface");
	return 0;
}

/* --- confinement ------------------------------------------------------------------------------ */

int attempt_seccomp(void *arg, void *result, struct err *err)
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

int attempt_landlock(void *arg, void *result, struct err *err)
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
