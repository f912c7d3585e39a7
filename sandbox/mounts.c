/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that can be mounted without being inside the new namespaces is made here, in the
 * caller, where memory and errors are easy: detached, each mount a descriptor. The child only
 * moves them into place.
 *
 * 1. Sources of bind mounts are cloned here: the child's mount namespace is a copy, in which the
 *    caller's descriptors name nothing that may be cloned.
 * 2. Every mount is nodev but for the six device nodes, and those are read-only: they can be
 *    opened for writing all the same, and the host's inode keeps its mode and owner whatever
 *    root in the sandbox tries.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

#define SHM_DEFAULT (UINT64_C(64) << 20)

static const unsigned node_numbers[MOUNTS_NODES][2] = {
	{ 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 },
};
const char *const mounts_node_names[MOUNTS_NODES] = {
	"null", "zero", "full", "random", "urandom", "tty",
};

dev_t mounts_node_device(size_t i)
{
	return makedev(node_numbers[i][0], node_numbers[i][1]);
}

const char *const mounts_etc_names[3] = { "hosts", "hostname", "resolv.conf" };

/* --- /etc ----------------------------------------------------------------------------------- */

static int write_file(int dir_fd, const char *name, const struct buf *text, struct err *err)
{
	cleanup_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || fchmod(fd, 0644) < 0 || write_all(fd, text->data, text->len) < 0)
		return err_os(err, "write the sandbox's /etc/%s", name);
	return 0;
}

/* A machine without a resolv.conf has an empty one. In a private network the machine's servers are
 * reached as anything else is, and those on its loopback interface through the helper. */
static int add_resolv_conf(enum sandbox_network network, struct buf *out, struct err *err)
{
	cleanup_buf struct buf text;
	struct err why = ERR_INIT;

	buf_init(&text, ETC_TEXT_MAX);
	if (file_read_at(AT_FDCWD, "/etc/resolv.conf", &text, &why) < 0 &&
	    why.kind != ERR_NOT_FOUND) {
		*err = why;
		return -1;
	}
	etc_resolv_conf(text.data, network != SANDBOX_NETWORK_HOST, out);
	if (network == SANDBOX_NETWORK_PRIVATE && !etc_has_nameserver(out->data))
		buf_addstr(out, "nameserver " NET_NAMESERVER "\n");
	return 0;
}

int mounts_etc_text(const struct sandbox_spec *spec, const char *hostname, size_t i,
		    struct buf *out, struct err *err)
{
	if (i == 0)
		etc_hosts(hostname, spec->extra_hosts, out);
	else if (i == 1)
		buf_addf(out, "%s\n", hostname);
	else if (spec->resolv_conf)
		buf_addstr(out, spec->resolv_conf);
	else if (add_resolv_conf(spec->network, out, err) < 0)
		return -1;
	if (out->overflow)
		return err_set(err, ERR_LIMIT, "/etc/%s would be larger than %d bytes",
			       mounts_etc_names[i], ETC_TEXT_MAX);
	return 0;
}

static int write_etc(const struct sandbox_spec *spec, const char *hostname, int fd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(mounts_etc_names); i++) {
		cleanup_buf struct buf text;

		buf_init(&text, ETC_TEXT_MAX);
		if (mounts_etc_text(spec, hostname, i, &text, err) < 0)
			return -1;
		if (write_file(fd, mounts_etc_names[i], &text, err) < 0)
			return -1;
	}
	return 0;
}

static int prepare_scaffold(const struct sandbox_spec *spec, struct mounts *mounts, struct err *err)
{
	static const struct mount_option options[] = { { "mode", "0755" }, { "size", "24m" } };
	const char *hostname = spec->hostname ? spec->hostname : SANDBOX_HOSTNAME;

	if (!etc_hostname_valid(hostname))
		return err_set(err, ERR_INVALID, "not a host name: %s", hostname);
	mounts->scaffold_fd = mount_new("tmpfs", options, ARRAY_SIZE(options),
					MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mounts->scaffold_fd < 0)
		return err_os(err, "make a tmpfs");
	if (mkdirat(mounts->scaffold_fd, "empty", 0555) < 0)
		return err_os(err, "fill a tmpfs");
	return write_etc(spec, hostname, mounts->scaffold_fd, err);
}

/* --- /dev ----------------------------------------------------------------------------------- */

static int clone_node(size_t i, int *ret_fd, struct err *err)
{
	char path[32];
	cleanup_fd int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "/dev/%s", mounts_node_names[i]);
	fd = mount_clone(AT_FDCWD, path, false,
			 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_os(err, "make a mount of %s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != mounts_node_device(i))
		return err_set(err, ERR_UNSUPPORTED, "%s of this machine is not that device", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int fill_dev(int fd)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" },	 { "/proc/self/fd/0", "stdin" },
		{ "/proc/self/fd/1", "stdout" }, { "/proc/self/fd/2", "stderr" },
		{ "pts/ptmx", "ptmx" },
	};
	static const char *const dirs[] = { "pts", "shm", "mqueue" };

	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i][0], fd, links[i][1]) < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdirat(fd, dirs[i], 0755) < 0)
			return -1;
	for (size_t i = 0; i < MOUNTS_NODES; i++)
		if (mknodat(fd, mounts_node_names[i], S_IFREG | 0600, 0) < 0)
			return -1;
	return 0;
}

/* Group 5 is tty in every distribution, but need not be mapped in a user namespace. */
static int new_devpts(void)
{
	static const struct mount_option options[] = {
		{ "ptmxmode", "0666" },
		{ "mode", "0620" },
		{ "gid", "5" },
	};
	unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	int fd = mount_new("devpts", options, ARRAY_SIZE(options), attributes);

	if (fd < 0)
		fd = mount_new("devpts", options, ARRAY_SIZE(options) - 1, attributes);
	return fd;
}

static int prepare_dev(const struct sandbox_spec *spec, struct mounts *mounts, struct err *err)
{
	static const struct mount_option dev[] = { { "mode", "0755" }, { "size", "64m" } };
	char shm_size[24];
	const struct mount_option shm[] = { { "mode", "1777" }, { "size", shm_size } };

	snprintf(shm_size, sizeof(shm_size), "%llu",
		 (unsigned long long)(spec->shm_size ? spec->shm_size : SHM_DEFAULT));
	mounts->dev_fd =
		mount_new("tmpfs", dev, ARRAY_SIZE(dev), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mounts->dev_fd < 0 || fill_dev(mounts->dev_fd) < 0)
		return err_os(err, "make /dev");
	mounts->shm_fd = mount_new("tmpfs", shm, ARRAY_SIZE(shm),
				   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mounts->shm_fd < 0)
		return err_os(err, "make /dev/shm");
	mounts->pts_fd = new_devpts();
	if (mounts->pts_fd < 0)
		return err_os(err, "make /dev/pts");
	for (size_t i = 0; i < MOUNTS_NODES; i++)
		if (clone_node(i, &mounts->node_fds[i], err) < 0)
			return -1;
	return 0;
}

/* --- the caller's mounts -------------------------------------------------------------------- */

static int clone_bind(const struct sandbox_mount *mount, bool *ret_is_dir, struct err *err)
{
	cleanup_fd int source = mount_reopen(mount->source_fd);
	cleanup_fd int fd = mount_clone(source, "", true,
					MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
						(mount->read_only ? MOUNT_ATTR_RDONLY : 0));
	struct stat st;

	if (fd < 0 && errno == EINVAL)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: this kernel cannot bind from a detached mount; Linux 6.15 or "
			       "newer is needed",
			       mount->target);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_os(err, "make a bind mount for %s", mount->target);
	*ret_is_dir = S_ISDIR(st.st_mode);
	return steal_fd(&fd);
}

static int new_tmpfs(const struct sandbox_mount *mount, struct err *err)
{
	char mode[8], size[24];
	struct mount_option options[] = { { "mode", mode }, { "size", size } };
	int fd;

	snprintf(mode, sizeof(mode), "%04o", mount->mode ? mount->mode & 07777 : 0755);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)mount->size);
	fd = mount_new("tmpfs", options, mount->size ? 2 : 1,
		       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       (mount->read_only ? MOUNT_ATTR_RDONLY : 0));
	if (fd < 0)
		return err_os(err, "make a tmpfs for %s", mount->target);
	return fd;
}

/* On the scaffold, from which the child binds it: files of a detached mount cannot be cloned. */
static int write_extra(const struct sandbox_mount *mount, size_t i, struct mounts *mounts,
		       struct err *err)
{
	char name[MOUNTS_NAME_MAX];
	cleanup_fd int fd = -1;

	if (mount->len > SANDBOX_FILE_MAX)
		return err_set(err, ERR_LIMIT, "the file for %s is larger than %d bytes",
			       mount->target, SANDBOX_FILE_MAX);
	mounts->file_bytes += mount->len;
	if (mounts->file_bytes > SANDBOX_FILES_MAX)
		return err_set(err, ERR_LIMIT, "the files of a step are larger than %d bytes",
			       SANDBOX_FILES_MAX);
	mounts_extra_name(i, name);
	fd = openat(mounts->scaffold_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, mount->data, mount->len) < 0)
		return err_os(err, "write the file for %s", mount->target);
	if (fchown(fd, mount->uid, mount->gid) < 0 || fchmod(fd, mount->mode) < 0)
		return err_os(err, "give the file for %s to %u:%u", mount->target,
			      (unsigned)mount->uid, (unsigned)mount->gid);
	return 0;
}

void mounts_extra_name(size_t i, char name[MOUNTS_NAME_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t len = 4;

	memcpy(name, "file", len);
	for (int shift = 12; shift >= 0; shift -= 4)
		name[len++] = digits[i >> shift & 15];
	name[len] = '\0';
}

static int make_extra(const struct sandbox_mount *mount, struct mounts *mounts, size_t i,
		      int *ret_fd, struct err *err)
{
	mounts->extra_is_dir[i] = true;
	switch (mount->kind) {
	case SANDBOX_MOUNT_BIND:
		*ret_fd = clone_bind(mount, &mounts->extra_is_dir[i], err);
		break;
	case SANDBOX_MOUNT_TMPFS:
		*ret_fd = new_tmpfs(mount, err);
		break;
	case SANDBOX_MOUNT_FILE:
		mounts->extra_is_dir[i] = false;
		*ret_fd = -1;
		return write_extra(mount, i, mounts, err);
	}
	return *ret_fd < 0 ? -1 : 0;
}

static int prepare_extra(const struct sandbox_spec *spec, struct mounts *mounts, struct err *err)
{
	mounts->extra_fds = xcalloc(spec->n_mounts + 1, sizeof(*mounts->extra_fds));
	mounts->extra_is_dir = xcalloc(spec->n_mounts + 1, sizeof(*mounts->extra_is_dir));
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct sandbox_mount *mount = &spec->mounts[i];
		int fd = -1;

		if (*mount->target != '/' || strlen(mount->target) >= PATH_MAX)
			return err_set(err, ERR_INVALID, "not the place of a mount: %s",
				       mount->target);
		if (i >= MOUNTS_EXTRA_MAX)
			return err_set(err, ERR_LIMIT, "more than %d mounts", MOUNTS_EXTRA_MAX);
		if (make_extra(mount, mounts, i, &fd, err) < 0)
			return -1;
		mounts->extra_fds[mounts->n_extra++] = fd;
	}
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

void mounts_init(struct mounts *mounts)
{
	*mounts = (struct mounts){ .scaffold_fd = -1, .dev_fd = -1, .pts_fd = -1, .shm_fd = -1 };
	for (size_t i = 0; i < MOUNTS_NODES; i++)
		mounts->node_fds[i] = -1;
}

int mounts_prepare(const struct sandbox_spec *spec, struct mounts *mounts, struct err *err)
{
	if (prepare_scaffold(spec, mounts, err) < 0 || prepare_dev(spec, mounts, err) < 0 ||
	    prepare_extra(spec, mounts, err) < 0)
		return -1;
	return 0;
}

void mounts_release(struct mounts *mounts)
{
	mount_close(mounts->scaffold_fd);
	mount_close(mounts->dev_fd);
	mount_close(mounts->pts_fd);
	mount_close(mounts->shm_fd);
	for (size_t i = 0; i < MOUNTS_NODES; i++)
		mount_close(mounts->node_fds[i]);
	for (size_t i = 0; i < mounts->n_extra; i++)
		mount_close(mounts->extra_fds[i]);
	free(mounts->extra_fds);
	free(mounts->extra_is_dir);
}
