/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a power cut may have taken. Objects get their names by rename and link, and their bytes
 * reach the disk with one syncfs() at the end of a command; a cut between the two can leave a name
 * with no bytes behind it. The file `synced` holds "BOOT NS": in the boot of that id, all that was
 * written before that time (ns since 1970) is on the disk.
 *
 * 1. store_sync() writes it after syncfs() has succeeded, with the time from before the call.
 * 2. store_open() compares the boot. In another boot, what is younger than NS in blobs/ and trees/
 *    may be damaged: it goes, and is made or fetched again when it is needed. Records carry a crc
 *    of their own.
 * 3. An object's change time is when it got its name, or later. A margin covers coarse clocks.
 * 4. The check is made by one process at a time, and the first of a boot makes it before it writes
 *    anything, so nothing of the new boot is ever taken for old.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/internal.h"
#include "layers/store.h"

#define BOOT_MAX  64
#define MARGIN_NS INT64_C(2000000000)

/* "" where the kernel does not tell. */
static void read_boot(char boot[BOOT_MAX])
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read_all(fd, boot, BOOT_MAX - 1);

	boot[len > 0 ? len : 0] = '\0';
	boot[strcspn(boot, "\n ")] = '\0';
}

static int write_synced(struct store *store, const char *boot, int64_t until, struct err *err)
{
	cleanup_free char *text = xasprintf("%s %lld\n", boot, (long long)until);

	return file_replace_at(store_fd(store), "synced", text, strlen(text), 0600, false, err);
}

/* False when there is none, or it cannot be read: then nothing is known to be safe. */
static bool read_synced(struct store *store, char boot[BOOT_MAX], int64_t *ret_until)
{
	struct err ignored = ERR_INIT;
	cleanup_buf struct buf text;
	size_t len;
	char *end;

	buf_init(&text, 200);
	if (file_read_at(store_fd(store), "synced", &text, &ignored) < 0)
		return false;
	len = strcspn(text.data, " ");
	if (!len || len >= BOOT_MAX || text.data[len] != ' ')
		return false;
	memcpy(boot, text.data, len);
	boot[len] = '\0';
	*ret_until = strtoll(text.data + len + 1, &end, 10);
	return *end == '\n';
}

static bool is_young(int dir_fd, const char *name, int64_t until)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec + MARGIN_NS > until;
}

/* Take what is younger out of a directory, to tmp/, from where store_sweep() removes it. */
static int drop_young(struct store *store, const char *path, int64_t until, struct err *err)
{
	int fd = openat(store_fd(store), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;
	int bad = 0;

	if (fd < 0 && errno == ENOENT) /* a store from before there was such a directory */
		return 0;
	if (!dir) {
		file_close_at(&fd);
		return err_os(err, "open %s", path);
	}
	while (!bad && (item = readdir(dir))) {
		char random[FILE_RANDOM_MAX], aside[FILE_RANDOM_MAX + 8];

		if (item->d_name[0] == '.' || !is_young(fd, item->d_name, until))
			continue;
		snprintf(aside, sizeof(aside), "tmp/%s", file_random_name(random));
		if (renameat(fd, item->d_name, store_fd(store), aside) < 0 && errno != ENOENT)
			bad = err_os(err, "set %s/%s aside", path, item->d_name);
	}
	closedir(dir);
	return bad;
}

int boot_check(struct store *store, struct err *err)
{
	char now[BOOT_MAX], then[BOOT_MAX];
	cleanup_fd int lock = -1;
	int64_t until = 0;
	bool known;

	read_boot(now);
	if (!*now || (read_synced(store, then, &until) && !strcmp(now, then)))
		return 0;
	if (store_lock(store, "boot", true, false, &lock, err) < 0)
		return -1;
	known = read_synced(store, then, &until);
	if (known && !strcmp(now, then)) /* another process was first */
		return 0;
	if (drop_young(store, "blobs/sha256", known ? until : 0, err) < 0 ||
	    drop_young(store, "trees", known ? until : 0, err) < 0 ||
	    drop_young(store, "flat", known ? until : 0, err) < 0 ||
	    drop_young(store, "own", known ? until : 0, err) < 0 ||
	    drop_young(store, "own-flat", known ? until : 0, err) < 0 ||
	    drop_young(store, "nested", known ? until : 0, err) < 0)
		return -1;
	return write_synced(store, now, known ? until : 0, err);
}

int boot_note_sync(struct store *store, int64_t began, struct err *err)
{
	char now[BOOT_MAX];

	read_boot(now);
	return *now ? write_synced(store, now, began, err) : 0;
}
