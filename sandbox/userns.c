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
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/internal.h"

#define FIRST_USERNS_INODE 0xEFFFFFFDU /* PROC_USER_INIT_INO, part of the kernel's ABI */

static bool has_files;	 /* rights over files */
static bool has_mounts;	 /* and a mount namespace */
static bool files_tried; /* a second attempt would start from a half-made user namespace */

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

bool userns_may_chroot(void)
{
	static const unsigned needed[] = { CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
					   CAP_SETGID, CAP_SETUID,	 CAP_SYS_CHROOT };
	uint64_t held = caps_effective();

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(held >> needed[i] & 1))
			return false;
	return true;
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
	if (files_tried)
		return err_set(err, ERR_DENIED, "a user namespace could not be made before");
	files_tried = true;
	if (idmap_enter(err) < 0)
		return -1;
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
		       "with --privileged)\n  as root in a user namespace: %s",
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
	struct err why = ERR_INIT;

	if (has_mounts)
		return 0;
	if (enter(&why) < 0)
		return err_set(err, ERR_DENIED,
			       "cannot run containers here:\n  %s\n  without namespaces: "
			       "--isolation=chroot, which is weaker%s",
			       why.message,
			       userns_may_chroot() ? "" : " (and needs root or a user namespace)");
	has_mounts = true;
	return 0;
}
