/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a tree says what a layer's tar says with ".wh." names. In overlayfs's notation a whiteout is
 * the character device 0:0, and an opaque directory has an extended attribute "y". Neither can be
 * made in a container that may not mount, least of all when the store lies on an overlay itself. A
 * flat tree (see store_use_flat_trees()) has sockets instead, which no layer can hold and anybody
 * can make: one with the name of what is hidden, one named like the mark of a tar in a directory
 * that is opaque.
 */
#include "layers/internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layers/store.h"

/* The initial user namespace has a fixed inode number (PROC_USER_INIT_INO); the shape of the id
 * map says nothing, since other namespaces may have an identity map too. */
#define INITIAL_USERNS "user:[4026531837]"

const char *overlay_opaque_name(void)
{
	char name[sizeof(INITIAL_USERNS) + 16];
	ssize_t len = readlink("/proc/self/ns/user", name, sizeof(name) - 1);

	if (len < 0)
		return "trusted.overlay.opaque";
	name[len] = '\0';
	return strcmp(name, INITIAL_USERNS) ? OPAQUE_NAME_USER : "trusted.overlay.opaque";
}

const char *tree_opaque_name(const struct store *store)
{
	return store_has_flat_trees(store) ? TAR_OPAQUE : store_opaque_name(store);
}

bool opaque_name_is_flat(const char *opaque_name)
{
	return *opaque_name == '.';
}

bool overlay_is_opaque(int dir_fd, const char *opaque_name)
{
	struct stat st;
	char value[2];

	if (opaque_name_is_flat(opaque_name))
		return fstatat(dir_fd, opaque_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		       S_ISSOCK(st.st_mode);
	return *opaque_name && fgetxattr(dir_fd, opaque_name, value, sizeof(value)) == 1 &&
	       value[0] == 'y';
}

bool overlay_is_whiteout(const struct stat *st, const char *opaque_name)
{
	if (opaque_name_is_flat(opaque_name))
		return S_ISSOCK(st->st_mode);
	return *opaque_name && S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

int overlay_set_opaque(int dir_fd, const char *opaque_name)
{
	if (opaque_name_is_flat(opaque_name))
		return mknodat(dir_fd, opaque_name, S_IFSOCK | 0600, 0);
	return fsetxattr(dir_fd, opaque_name, "y", 1, 0);
}

int overlay_put_whiteout(int dir_fd, const char *name, const char *opaque_name)
{
	return mknodat(dir_fd, name, opaque_name_is_flat(opaque_name) ? S_IFSOCK | 0600 : S_IFCHR,
		       0);
}
