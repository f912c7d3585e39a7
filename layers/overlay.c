/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How overlayfs writes down what a layer's tar says with ".wh." names: a whiteout is the
 * character device 0:0, an opaque directory has an extended attribute "y".
 */
#include "layers/internal.h"

#include <sys/stat.h>
#include <sys/xattr.h>

/* The initial user namespace has a fixed inode number (PROC_USER_INIT_INO); the shape of the id
 * map says nothing, since other namespaces may have an identity map too. */
#define INITIAL_USERNS 4026531837UL

const char *overlay_opaque_name(void)
{
	struct stat st;

	if (stat("/proc/self/ns/user", &st) == 0 && st.st_ino != INITIAL_USERNS)
		return "user.overlay.opaque";
	return "trusted.overlay.opaque";
}

bool overlay_is_opaque(int dir_fd, const char *opaque_name)
{
	char value[2];

	return fgetxattr(dir_fd, opaque_name, value, sizeof(value)) == 1 && value[0] == 'y';
}

bool overlay_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

int overlay_set_opaque(int dir_fd, const char *opaque_name)
{
	return fsetxattr(dir_fd, opaque_name, "y", 1, 0);
}

int overlay_put_whiteout(int dir_fd, const char *name)
{
	return mknodat(dir_fd, name, S_IFCHR, 0);
}
