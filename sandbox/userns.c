/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to the rights that a build needs: rung by rung, and each rung at most once.
 *
 * 1. Rights over files come first: a plain user unshares into a user namespace in place and is
 *    mapped to 0 there; root has them. Ids change before the mount namespace is made, which then
 *    belongs to the user namespace.
 * 2. Root that may not make a mount namespace (no CAP_SYS_ADMIN) makes a user namespace too, with
 *    the ids it has.
 * 3. What has been done is a fact about the process, hence the static variables.
 */
#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"

#define FIRST_USERNS_INODE 0xEFFFFFFDU /* PROC_USER_INIT_INO, part of the kernel's ABI */

static bool has_files;	/* rights over files */
static bool has_mounts; /* and a mount namespace */
/* A second attempt would start from a half-made namespace, or beside other threads. */
static struct err files_refused, mounts_refused;

bool userns_entered(void)
{
	return has_mounts;
}

bool userns_is_rootless(void)
{
	struct stat st;

	if (geteuid() != 0)
		return true;
	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != FIRST_USERNS_INODE;
}

bool userns_has_single_id(void)
{
	cleanup_buf struct buf map;
	struct err ignored = ERR_INIT;
	unsigned inside, outside, count = 0;

	buf_init(&map, 64 * 1024);
	if (geteuid() != 0)
		return true;
	if (file_read_at(AT_FDCWD, "/proc/self/uid_map", &map, &ignored) < 0)
		return false;
	return sscanf(map.data, "%u %u %u", &inside, &outside, &count) == 3 && count == 1 &&
	       strchr(map.data, '\n') == map.data + map.len - 1;
}

#define CAP(name)  (UINT64_C(1) << (name))
#define CAPS_FILES (CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER))
/* kill: the reaper's children may have become other users */
#define CAPS_CHROOT                                                                                \
	(CAPS_FILES | CAP(CAP_SETGID) | CAP(CAP_SETUID) | CAP(CAP_SYS_CHROOT) | CAP(CAP_KILL))

bool userns_may_use_all_files(void)
{
	return (caps_effective() & CAPS_FILES) == CAPS_FILES;
}

bool userns_may_chroot(void)
{
	return (caps_effective() & CAPS_CHROOT) == CAPS_CHROOT;
}

const char *userns_rung_name(enum userns_rung rung)
{
	switch (rung) {
	case USERNS_ROOT:
		return "root";
	case USERNS_NESTED:
		return "root in a user namespace";
	case USERNS_RANGES:
		return "user with subordinate id ranges";
	case USERNS_SINGLE:
		return "user with a single id";
	case USERNS_CHROOT:
		return "chroot only, with --isolation=chroot";
	case USERNS_NONE:
		break;
	}
	return "no namespaces";
}

/* -------------------------------------------------------------------------------------------- */

int userns_enter_files(struct err *err)
{
	if (has_files || geteuid() == 0) {
		has_files = true;
		return 0;
	}
	if (files_refused.kind == ERR_NONE)
		idmap_enter(&files_refused);
	if (files_refused.kind != ERR_NONE) {
		*err = files_refused;
		return -1;
	}
	has_files = true;
	return 0;
}

/* Both reasons are told: either may be the one that can be removed. */
static int enter_nested(const struct err *why, struct err *err)
{
	struct err second = ERR_INIT;

	if (idmap_enter(&second) == 0 && mountns_enter(&second) == 0)
		return 0;
	return err_set(err, ERR_DENIED,
		       "as root: %s (CAP_SYS_ADMIN is missing, as in a container; fix: start it "
		       "with --privileged); as root in a user namespace: %s",
		       why->message, second.message);
}

static int enter(struct err *err)
{
	bool root = geteuid() == 0 && !userns_is_rootless();
	struct err why = ERR_INIT;

	if (userns_enter_files(err) < 0)
		return err_wrap(err, "as a user in a user namespace");
	if (mountns_enter(&why) == 0)
		return 0;
	if (why.os_errno == EPERM && !(caps_effective() >> CAP_SYS_ADMIN & 1))
		return enter_nested(&why, err);
	*err = why;
	return err_wrap(err, root ? "as root" : "as root of a user namespace");
}

int userns_enter(struct err *err)
{
	if (has_mounts)
		return 0;
	if (mounts_refused.kind == ERR_NONE)
		enter(&mounts_refused);
	if (mounts_refused.kind != ERR_NONE)
		return err_set(err, ERR_DENIED,
			       "cannot run containers here: %s; without namespaces: "
			       "--isolation=chroot, which is weaker%s",
			       mounts_refused.message,
			       userns_may_chroot() ? "" : " (and needs root or a user namespace)");
	has_mounts = true;
	return 0;
}
