/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners where only one id can be given to files: they are written down in an extended attribute
 * instead, which goes along wherever overlayfs copies a file up, and is told again when a layer is
 * made of it. Links and nodes cannot have such attributes: they are root's. The attribute is ours
 * and in no layer (xattr_is_portable()), so none comes from an image.
 *
 * Who has no rights over files that are shut to him writes the mode down too, and leaves himself
 * in: otherwise he could not fill a directory that is 0555, nor read a file that is 0000 in the image.
 */
#include "layers/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layers/layer.h"

#define OWNER_TEXT_MAX 40

void owner_settle(struct stat *stat, uid_t euid)
{
	if (euid != 0)
		stat->st_uid = stat->st_gid = 0;
}

bool owner_recorded(int fd, struct stat *stat)
{
	char text[OWNER_TEXT_MAX];
	ssize_t len = fgetxattr(fd, OWNER_XATTR, text, sizeof(text) - 1);
	unsigned uid, gid, mode;
	int end = 0, far = 0;

	if (len <= 0)
		return false;
	text[len] = '\0';
	if (sscanf(text, "%u:%u%n:%o%n", &uid, &gid, &end, &mode, &far) < 2 ||
	    (end != len && (far != len || mode > 07777)))
		return false;
	if (uid == (uid_t)-1 || gid == (gid_t)-1) /* no id, and what too long a number becomes */
		return false;
	stat->st_uid = uid;
	stat->st_gid = gid;
	if (far)
		stat->st_mode = (stat->st_mode & S_IFMT) | mode;
	return true;
}

/* -1 with errno. */
static int write_down(int fd, const char *text)
{
	if (*text)
		return fsetxattr(fd, OWNER_XATTR, text, strlen(text), 0);
	return fremovexattr(fd, OWNER_XATTR) == 0 || errno == ENODATA ? 0 : -1;
}

/* The owner goes first: a change of owner takes setuid bits and file capabilities away. */
int owner_give(int fd, uid_t uid, gid_t gid, mode_t mode, enum owner_record record)
{
	char text[OWNER_TEXT_MAX] = "";
	mode_t open_mode = mode;
	struct stat st;

	if (record == OWNER_GIVEN)
		return fchown(fd, uid, gid) < 0 ? -1 : fchmod(fd, mode);
	if (record == OWNER_AND_MODE_RECORDED) {
		if (fstat(fd, &st) < 0)
			return -1;
		open_mode = (mode & 0777) | (S_ISDIR(st.st_mode) ? 0700 : 0600);
	}
	if (open_mode != mode)
		snprintf(text, sizeof(text), "%u:%u:%o", (unsigned)uid, (unsigned)gid,
			 (unsigned)mode);
	else if (uid || gid)
		snprintf(text, sizeof(text), "%u:%u", (unsigned)uid, (unsigned)gid);
	return write_down(fd, text) < 0 ? -1 : fchmod(fd, open_mode);
}
