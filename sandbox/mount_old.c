/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.c's work by mount(2), which knows mounts by their paths alone. A mount waits at a path that
 * its descriptor's number tells, and is moved from there to its place.
 *
 * 1. The waiting room is a tmpfs over "/" of our own mount namespace. Our "/" is what lies below
 *    it, so nothing that has a name is covered, and "/.." leads into it.
 * 2. Each descriptor of a mount has a name of its own there, a directory or a file as what is
 *    mounted. The number is taken before anything is mounted and is nobody else's while it is open,
 *    so threads do not meet; of processes that share the namespace one makes mounts at a time. What
 *    waits where a number is taken anew was closed by somebody who did not say so, and is
 *    unmounted.
 * 3. A child in a mount namespace of its own has a copy of the mounts that wait, at the same paths.
 *    The descriptors it has inherited lie in the parent's; attaching one replaces it by the copy's,
 *    under the same number. Names are never removed: that would unmount what others have there.
 * 4. What a mount may not, its copy may not: flags are only added. In a user namespace the kernel
 *    insists on it.
 * 5. Without allocations or the library's formatting, since the child calls it (init.c).
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define ROOM	     "/.." /* see 1 */
#define PATH_SIZE    40
#define OPTIONS_SIZE 256
#define LINE_SIZE    8192 /* of mountinfo, as far as it is looked at */

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 8192
#endif

_Static_assert(MOUNT_ATTR_RDONLY == MS_RDONLY && MOUNT_ATTR_NOSUID == MS_NOSUID &&
		       MOUNT_ATTR_NODEV == MS_NODEV && MOUNT_ATTR_NOEXEC == MS_NOEXEC,
	       "the attributes of both calls are the same bits");

/* --- names ---------------------------------------------------------------------------------- */

static void add_number(const char *prefix, int number, char path[PATH_SIZE])
{
	size_t len = strlen(prefix);
	int power = 1;

	memcpy(path, prefix, len);
	while (number / power >= 10)
		power *= 10;
	for (; power > 0; power /= 10)
		path[len++] = (char)('0' + number / power % 10);
	path[len] = '\0';
}

static void path_of_fd(int fd, char path[PATH_SIZE])
{
	add_number("/proc/self/fd/", fd, path);
}

static void path_of_place(int fd, bool is_dir, char path[PATH_SIZE])
{
	add_number(is_dir ? ROOM "/cbuild-dir." : ROOM "/cbuild-file.", fd, path);
}

/* Take a number and with it a place, at which nothing waits. -1 with errno. */
static int take_place(bool is_dir, char path[PATH_SIZE])
{
	cleanup_fd int fd = open("/", O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -1;
	path_of_place(fd, is_dir, path);
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if ((is_dir ? mkdir(path, 0700) : mknod(path, S_IFREG | 0600, 0)) < 0 && errno != EEXIST)
		return -1;
	return steal_fd(&fd);
}

/* Make the number that of what is mounted at the path. */
static int give_number(int fd, const char *path)
{
	cleanup_fd int mounted = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return mounted < 0 || dup3(mounted, fd, O_CLOEXEC) < 0 ? -1 : 0;
}

int mount_old_prepare(struct err *err)
{
	if (mount("tmpfs", "/", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return err_os(err, "mount a tmpfs");
	return 0;
}

/* --- flags ---------------------------------------------------------------------------------- */

static int add_flags(const char *path, unsigned long flags)
{
	return mount("none", path, "none", MS_REMOUNT | MS_BIND | flags, NULL);
}

static int add_attributes(int fd, unsigned attributes)
{
	char path[PATH_SIZE];
	struct statvfs fs;
	unsigned long flags;

	if (fstatvfs(fd, &fs) < 0)
		return -1;
	flags = fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC);
	if (fs.f_flag & ST_NOSYMFOLLOW)
		flags |= MS_NOSYMFOLLOW;
	path_of_fd(fd, path);
	return add_flags(path, attributes | flags);
}

/* "rw,nosuid,relatime": those that a remount would take away. */
static unsigned long parse_flags(const char *text)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = {
		{ "ro", MS_RDONLY },	 { "nosuid", MS_NOSUID },	    { "nodev", MS_NODEV },
		{ "noexec", MS_NOEXEC }, { "nosymfollow", MS_NOSYMFOLLOW },
	};
	unsigned long flags = 0;

	for (;; text++) {
		size_t len = strcspn(text, ", ");

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (strlen(known[i].name) == len && !memcmp(known[i].name, text, len))
				flags |= known[i].flag;
		text += len;
		if (*text != ',')
			return flags;
	}
}

/* "\040" is a space. False when it does not fit. */
static bool unescape(const char *text, size_t len, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\\' && len - i > 3) {
			c = (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
				   (text[i + 3] - '0'));
			i += 3;
		}
		if (used + 1 >= size)
			return false;
		out[used++] = c;
	}
	out[used] = '\0';
	return true;
}

/* "36 35 98:0 /root /where ro,nosuid - ...": the fifth field, and what follows it. */
static const char *find_point(const char *line, size_t *ret_len)
{
	for (int i = 0; i < 4 && line; i++) {
		line = strchr(line, ' ');
		line = line ? line + 1 : NULL;
	}
	*ret_len = line ? strcspn(line, " ") : 0;
	return line;
}

/* Add attributes to the mount of this line, when it is `top` or below it. */
static int add_to_line(const char *line, const char *top, unsigned attributes)
{
	char path[PATH_MAX] = ROOM;
	size_t top_len = strlen(top), len;
	const char *point = find_point(line, &len);

	if (!point || strncmp(point, top, top_len) != 0 ||
	    (point[top_len] != ' ' && point[top_len] != '/'))
		return 0;
	if (point[len] != ' ' ||
	    !unescape(point, len, path + strlen(ROOM), sizeof(path) - strlen(ROOM))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return add_flags(path, attributes | parse_flags(point + len + 1));
}

/* To the mount that waits at the path and all that are mounted in it: one call for each. Of mounts
 * at the very same place only the upper one is reached, which hides the other. */
static int add_attributes_to_tree(const char *place, unsigned attributes)
{
	cleanup_fd int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	const char *top = place + strlen(ROOM); /* our "/" is where the room's is */
	char text[4096], line[LINE_SIZE];
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while ((n = read_all(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] != '\n') {
				if (len < sizeof(line) - 1)
					line[len++] = text[i];
				continue;
			}
			line[len] = '\0';
			len = 0;
			if (add_to_line(line, top, attributes) < 0)
				return -1;
		}
	return n < 0 ? -1 : 0;
}

/* --- making --------------------------------------------------------------------------------- */

/* "mode=0755,size=24m" */
static int join_options(const struct mount_option *options, size_t n, char text[OPTIONS_SIZE])
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const char *parts[] = { i ? "," : "", options[i].key, options[i].value ? "=" : "",
					options[i].value ? options[i].value : "" };

		for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
			size_t more = strlen(parts[k]);

			if (len + more >= OPTIONS_SIZE) {
				errno = E2BIG;
				return -1;
			}
			memcpy(text + len, parts[k], more + 1);
			len += more;
		}
	}
	return 0;
}

/* Read-only is for the mount alone: mount(2) would make the file system so, which may be shared. */
int mount_old_new(const char *type, const struct mount_option *options, size_t n,
		  unsigned attributes)
{
	char text[OPTIONS_SIZE], path[PATH_SIZE];
	cleanup_fd int fd = take_place(true, path);

	if (fd < 0 || join_options(options, n, text) < 0 ||
	    mount(type, path, type, attributes & ~(unsigned)MS_RDONLY, text) < 0 ||
	    give_number(fd, path) < 0)
		return -1;
	if (attributes & MS_RDONLY && add_attributes(fd, attributes) < 0)
		return -1;
	return steal_fd(&fd);
}

int mount_old_clone(int dir_fd, const char *path, bool tree, unsigned attributes)
{
	cleanup_fd int source = *path ? openat(dir_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
				      : fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	char from[PATH_SIZE], place[PATH_SIZE];
	cleanup_fd int fd = -1;
	struct stat st;

	if (source < 0 || fstat(source, &st) < 0)
		return -1;
	fd = take_place(S_ISDIR(st.st_mode), place);
	if (fd < 0)
		return -1;
	path_of_fd(source, from);
	if (mount(from, place, "none", MS_BIND | (tree ? MS_REC : 0), NULL) < 0 ||
	    give_number(fd, place) < 0)
		return -1;
	if (attributes &&
	    (tree ? add_attributes_to_tree(place, attributes) : add_attributes(fd, attributes)) < 0)
		return -1;
	return steal_fd(&fd);
}

int mount_old_make(mount_maker *make, void *arg, int *ret_fd, struct err *err)
{
	char path[PATH_SIZE];
	cleanup_fd int fd = take_place(true, path);

	if (fd < 0)
		return err_os(err, "make a mount point");
	if (make(arg, path, err) < 0)
		return -1;
	if (give_number(fd, path) < 0)
		return err_os(err, "open a mount");
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* --- putting in place ----------------------------------------------------------------------- */

/* Where the mount of this descriptor waits in our mount namespace; -1 with errno, EINVAL when it
 * does not. */
static int open_waiting(int mount_fd)
{
	struct stat wanted, found;
	char path[PATH_SIZE];
	cleanup_fd int fd = -1;

	if (fstat(mount_fd, &wanted) < 0)
		return -1;
	path_of_place(mount_fd, S_ISDIR(wanted.st_mode), path);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &found) < 0)
		return -1;
	if (wanted.st_dev != found.st_dev || wanted.st_ino != found.st_ino) {
		errno = EINVAL;
		return -1;
	}
	return steal_fd(&fd);
}

int mount_old_find(int mount_fd)
{
	cleanup_fd int waiting = open_waiting(mount_fd);

	return waiting < 0 || dup3(waiting, mount_fd, O_CLOEXEC) < 0 ? -1 : 0;
}

int mount_old_attach(int mount_fd, int place_fd)
{
	char from[PATH_SIZE], to[PATH_SIZE];

	if (mount_old_find(mount_fd) < 0)
		return -1;
	path_of_fd(mount_fd, from);
	path_of_fd(place_fd, to);
	return mount(from, to, "none", MS_MOVE, NULL);
}

void mount_old_end(int mount_fd)
{
	cleanup_fd int waiting = open_waiting(mount_fd);
	char path[PATH_SIZE];

	if (waiting < 0)
		return;
	path_of_fd(waiting, path);
	umount2(path, MNT_DETACH);
}

/* slirp4netns and pasta change their root and expect one mount at the old one. */
int mount_old_leave(void)
{
	return unshare(CLONE_NEWNS) < 0 ? -1 : umount2(ROOM, MNT_DETACH | UMOUNT_NOFOLLOW);
}
