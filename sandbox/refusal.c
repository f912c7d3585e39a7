/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel refuses namespaces for many reasons and says the same few errnos for all of them. What
 * is in the way is asked of the places where it was switched on, most particular first, and each
 * answer comes with what would change it.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

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

/* A switch of the kernel's, and what it says when it is off. */
static const struct {
	const char *path, *off, *why;
} switches[] = {
	{ "/proc/sys/user/max_user_namespaces", "0\n",
	  "user.max_user_namespaces is 0; fix: sudo sysctl -w user.max_user_namespaces=15000, or "
	  "run as root" },
	{ "/proc/sys/kernel/unprivileged_userns_clone", "0",
	  "kernel.unprivileged_userns_clone is 0; fix: sudo sysctl -w "
	  "kernel.unprivileged_userns_clone=1, or run as root" },
	{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
	  "kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 23.10 and later) and this "
	  "program has no AppArmor profile; fix, one of: sudo install -m644 " APPARMOR_FILE
	  " /etc/apparmor.d/ && sudo apparmor_parser -r /etc/apparmor.d/cbuild, sudo sysctl -w "
	  "kernel.apparmor_restrict_unprivileged_userns=0, or run as root" },
};

const char *refusal_reason(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		if (file_starts_with(switches[i].path, switches[i].off))
			return switches[i].why;
	if (filtered_by_seccomp())
		return "a seccomp policy is in force, as in a container; fix: start the container "
		       "with --security-opt seccomp=unconfined --security-opt "
		       "systempaths=unconfined";
	return "the kernel or a security module refuses, as it does in a chroot; fix: run as root";
}

int refusal_set(const char *what, struct err *err)
{
	const char *answer = strerrordesc_np(errno); /* looking for the reason changes it */

	return err_set(err, ERR_DENIED, "%s: %s (%s)", what, answer, refusal_reason());
}
