/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners where only one id can be given to files: they are written down in an extended attribute
 * instead, which goes along wherever overlayfs copies a file up, and is told again when a layer is
 * made of it. Links and nodes cannot have such attributes: they are root's. The attribute is ours
 * and in no layer (xattr_is_portable()), so none comes from an image.
 */
#include "layers/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "layers/layer.h"

#define OWNER_TEXT_MAX 32

bool owner_recorded(int fd, uid_t *ret_uid, gid_t *ret_gid)
{
	char text[OWNER_TEXT_MAX];
	ssize_t len = fgetxattr(fd, OWNER_XATTR, text, sizeof(text) - 1);
	unsigned uid, gid;
	int end = 0;

	if (len <= 0)
		return false;
	text[len] = '\0';
	if (sscanf(text, "%u:%u%n", &uid, &gid, &end) != 2 || end != len)
		return false;
	*ret_uid = uid;
	*ret_gid = gid;
	return true;
}

int owner_give(int fd, uid_t uid, gid_t gid, bool record)
{
	char text[OWNER_TEXT_MAX];

	if (!record)
		return fchown(fd, uid, gid);
	if (uid == 0 && gid == 0)
		return fremovexattr(fd, OWNER_XATTR) == 0 || errno == ENODATA ? 0 : -1;
	snprintf(text, sizeof(text), "%u:%u", (unsigned)uid, (unsigned)gid);
	return fsetxattr(fd, OWNER_XATTR, text, strlen(text), 0);
}
