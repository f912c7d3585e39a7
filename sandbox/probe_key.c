/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the answers of a probe hang on, as one digest. It need not be complete: only what works is
 * remembered, and a build that finds something refused has it forgotten. It must not hold what
 * changes by itself: times of what the kernel makes up (/proc, /dev), or of the store.
 */
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/userns.h"

#define TEXT_MAX    (1 << 20)
#define MOUNT_POINT 4 /* which word of a line of mountinfo */

bool program_find(const char *search, const char *name, char path[PROGRAM_PATH_MAX])
{
	for (const char *dir = search; dir; dir = *dir ? dir + 1 : NULL) {
		int len = (int)strcspn(dir, ":");
		int need = snprintf(path, PROGRAM_PATH_MAX, "%.*s/%s", len ? len : 1,
				    len ? dir : ".", name);

		dir += len;
		if (need < PROGRAM_PATH_MAX && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* The name keeps what follows apart from what came before. */
static void add(struct hasher *hasher, const char *name, const char *text, size_t len)
{
	hasher_add(hasher, name, strlen(name) + 1);
	hasher_add(hasher, &len, sizeof(len));
	hasher_add(hasher, text, len);
}

/* --- files ------------------------------------------------------------------------------------ */

/* False, and nothing is added but the name, where it cannot be read. */
static bool add_content(struct hasher *hasher, const char *path)
{
	cleanup_buf struct buf text;
	struct err ignored = ERR_INIT;
	bool is_there;

	buf_init(&text, TEXT_MAX);
	is_there = file_read_at(AT_FDCWD, path, &text, &ignored) == 0;
	add(hasher, path, text.data, is_there ? text.len : 0);
	return is_there;
}

/* Which file it is; with `times`, also which content it has. */
static void add_file(struct hasher *hasher, const char *name, const char *path, bool times)
{
	char text[200] = "";
	struct stat st;

	if (path && stat(path, &st) == 0)
		snprintf(text, sizeof(text), "%llu %llu %o %u %u %llu",
			 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino, st.st_mode,
			 st.st_uid, st.st_gid, (unsigned long long)st.st_rdev);
	add(hasher, name, text, strlen(text));
	if (!*text || !times)
		return;
	hasher_add(hasher, &st.st_size, sizeof(st.st_size));
	hasher_add(hasher, &st.st_mtim, sizeof(st.st_mtim));
	hasher_add(hasher, &st.st_ctim, sizeof(st.st_ctim));
}

static void add_program(struct hasher *hasher, const char *search, const char *name)
{
	char path[PROGRAM_PATH_MAX];
	bool found = program_find(search, name, path);

	add_file(hasher, name, found ? path : NULL, true);
	add(hasher, "path", path, found ? strlen(path) : 0);
}

/* --- parts of files --------------------------------------------------------------------------- */

typedef bool line_filter(const char *line);

static void add_lines(struct hasher *hasher, const char *path, line_filter *wanted)
{
	cleanup_buf struct buf text;
	struct err ignored = ERR_INIT;

	buf_init(&text, TEXT_MAX);
	if (file_read_at(AT_FDCWD, path, &text, &ignored) < 0)
		return;
	for (const char *line = text.data, *end; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (wanted(line))
			add(hasher, path, line, (size_t)(end - line));
	}
}

/* Capabilities, no_new_privs, and whether a policy filters system calls. */
static bool is_about_rights(const char *line)
{
	return !strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10) ||
	       !strncmp(line, "Seccomp:", 8);
}

/* Whether parts of /proc are covered, as in a container. */
static bool is_mount_on_proc(const char *line)
{
	for (int i = 0; i < MOUNT_POINT; i++) {
		line += strcspn(line, " \n");
		if (*line != ' ')
			return false;
		line++;
	}
	return !strncmp(line, "/proc", 5);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void add_process(struct hasher *hasher)
{
	struct utsname kernel = { 0 };
	uid_t ids[] = { geteuid(), getegid() };

	uname(&kernel);
	add(hasher, "kernel", kernel.release, strlen(kernel.release));
	add(hasher, "version", kernel.version, strlen(kernel.version));
	add(hasher, "ids", (const char *)ids, sizeof(ids));
	add_file(hasher, "program", "/proc/self/exe", true);
	add_file(hasher, "root", "/", false);
	add_file(hasher, "user namespace", "/proc/self/ns/user", false);
	add_file(hasher, "pid namespace", "/proc/self/ns/pid", false);
	add_lines(hasher, "/proc/self/status", is_about_rights);
	add_lines(hasher, "/proc/self/mountinfo", is_mount_on_proc);
}

static void add_store(struct hasher *hasher, const char *store)
{
	struct statvfs fs;
	unsigned long facts[2] = { 0 };

	if (statvfs(store, &fs) == 0) {
		facts[0] = fs.f_flag;
		facts[1] = fs.f_fsid;
	}
	add_file(hasher, "store", store, false);
	add(hasher, "file system", (const char *)facts, sizeof(facts));
}

int userns_probe_key(const struct userns_place *place, struct digest *ret_key, struct err *err)
{
	static const char *const switches[] = {
		"/proc/sys/user/max_user_namespaces",
		"/proc/sys/kernel/unprivileged_userns_clone",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
		"/proc/self/attr/current",
		"/proc/self/uid_map",
		"/proc/self/gid_map",
	};
	static const char *const programs[] = { "newuidmap", "newgidmap", "pasta", "slirp4netns" };
	struct hasher hasher;
	bool known;

	hasher_init(&hasher);
	known = add_content(&hasher, "/proc/sys/kernel/random/boot_id");
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		add_content(&hasher, switches[i]);
	add_process(&hasher);
	add_file(&hasher, "user ranges", "/etc/subuid", true);
	add_file(&hasher, "group ranges", "/etc/subgid", true);
	add_file(&hasher, "tun", "/dev/net/tun", false);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		add_program(&hasher, place->search, programs[i]);
	add_store(&hasher, place->store);
	hasher_finish(&hasher, ret_key);
	return known ? 0
		     : err_set(err, ERR_NOT_FOUND, "the kernel does not tell which boot this is");
}
