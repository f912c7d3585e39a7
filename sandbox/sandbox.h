/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

/*
 * sandbox/sandbox.h: run this argv in this root with these mounts. Knows paths, mounts and
 * processes; nothing of images. userns_enter() must have been called,
 * for a run by chroot userns_enter_files().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mem.h"

struct digest;
struct err;

/* --- overlay mounts ------------------------------------------------------------------------- */

/* The layers of a root file system, all named relative to dir_fd, topmost first. */
struct overlay {
	int dir_fd;		   /* a directory of the store; `stub` is made in it */
	const char *const *lowers; /* relative to dir_fd, topmost first; may be none */
	size_t n_lowers;
	const char *upper; /* relative to dir_fd; NULL: the mount is read-only */
	const char *work;  /* with upper: an empty directory on the same file system */
};

/*
 * Mount it, detached and nodev, with the mount points dev, proc, sys and etc/{hosts,hostname,
 * resolv.conf} supplied by an extra bottom layer when `with_stubs`. *ret_fd is the root of the
 * mount: usable as a directory for *at() calls and by sandbox_run().
 * xattr prefix is trusted. as root, user. in a user namespace. volatile, index=off, metacopy=off,
 * redirect_dir off. Falls back to mount(2) where the kernel lacks lowerdir+ (before 6.5).
 */
int overlay_mount(const struct overlay *overlay, bool with_stubs, int *ret_fd, struct err *err);

/* Close the descriptor, and with it the mount. Another directory's is closed, -1 is no error. */
void overlay_unmount(int mount_fd);

/* Whether directories there can be an upper one at all: else ERR_UNSUPPORTED says why, and what
 * would help. */
int overlay_check(int dir_fd, struct err *err);

#define OVERLAY_LOWERS_MAX 500

/*
 * Attach a detached mount at a directory, so that parts of it can be sources of bind mounts: what
 * is opened through mount_fd from then on can. place_fd is a directory of the caller's own.
 * overlay_detach() before the directory is removed.
 */
int overlay_attach(int mount_fd, int place_fd, struct err *err);
void overlay_detach(int mount_fd);

/* --- running -------------------------------------------------------------------------------- */

enum sandbox_network {
	SANDBOX_NETWORK_HOST, /* the caller's network */
	SANDBOX_NETWORK_NONE, /* an own one with the loopback interface only */
	SANDBOX_NETWORK_PRIVATE, /* spec->net */
};

enum sandbox_mount_kind {
	SANDBOX_MOUNT_BIND,  /* source_fd appears at target */
	SANDBOX_MOUNT_TMPFS, /* an empty tmpfs */
	SANDBOX_MOUNT_FILE,  /* a read-only file with these bytes, that is never on a disk */
};

struct sandbox_mount {
	enum sandbox_mount_kind kind;
	int source_fd;	    /* BIND: O_PATH descriptor of a directory or file */
	const char *target; /* absolute, resolved inside the root; created when absent */
	bool read_only;
	uint64_t size; /* TMPFS: bytes, 0 for the kernel's default */
	unsigned mode; /* TMPFS: of its root, 0 for 0755. FILE: its mode */
	const void *data; /* FILE */
	size_t len;
	uid_t uid; /* FILE */
	gid_t gid;
	/* BIND, spec->chroot: source_fd is what home_fd has as home_name. It is moved to the target
	 * for the time of the step, and moved back; what the step has made of it stays. Without
	 * home_name only a file can be bound, of which a copy is put there. With same_as, a target
	 * of another mount, a link to that is. */
	int home_fd;
	const char *home_name;
	const char *same_as;
};

/* The largest FILE, and of all of them together. */
#define SANDBOX_FILE_MAX  (512 * 1024)
#define SANDBOX_FILES_MAX (16 * 1024 * 1024)

/* A resource limit (setrlimit); UINT64_MAX is none. */
struct sandbox_limit {
	int resource;
	const char *name; /* "nofile" */
	uint64_t soft;
	uint64_t hard;
};

/* "nofile=1024:2048", "core=0", "memlock=-1:-1": docker's --ulimit. ERR_INVALID says what is
 * wrong; the name is static. */
int sandbox_limit_parse(const char *text, struct sandbox_limit *ret_limit, struct err *err);

/*
 * Which system calls a step may make: a seccomp profile in docker's JSON form, for a process with
 * docker's default capabilities. `name` is for errors, which say which part of the JSON is wrong
 * (ERR_INVALID) or not possible here (ERR_UNSUPPORTED).
 *
 * Entries are tried in their order; of those of one call the first whose arguments fit decides,
 * and without such the one that has no arguments, then defaultAction. Names that nobody knows are
 * passed over. What is newer than all that the profile names is ENOSYS where it would be an error,
 * as runc has it, and so are, with EPERM, processor modes that the profile does not list.
 */
struct sandbox_profile;

#define SANDBOX_PROFILE_MAX (1 << 20)

int sandbox_profile_parse(const char *name, const char *text, size_t len,
			  struct sandbox_profile **ret_profile, struct err *err);
void sandbox_profile_free(struct sandbox_profile *profile);
DEFINE_CLEANUP(struct sandbox_profile *, sandbox_profile_free)

/* sha256 of what the profile compiles to, for keys. */
void sandbox_profile_digest(const struct sandbox_profile *profile, struct digest *ret_digest);

/* What the process writes. Called from sandbox_run() in the caller's thread. */
typedef void sandbox_output(void *arg, int stream /* 1 or 2 */, const char *data, size_t len);

struct cgroup;
struct net;

#define SANDBOX_HOSTNAME "buildkitsandbox" /* as BuildKit's */

/* How a caller ends steps that other threads run: descriptors that he makes readable, and that
 * stay so. */
struct sandbox_cancel {
	int stop_fd; /* SIGTERM is passed on; ten seconds later the step is ended by force */
	int kill_fd; /* it is ended by force */
};

struct sandbox_spec {
	int root_fd;		   /* from overlay_mount(); used up, see sandbox_run() */
	const char *const *argv;   /* argv[0] is looked up in PATH of env when it has no slash */
	const char *const *env;    /* the whole environment */
	const char *cwd;	   /* absolute; links are followed inside the root */
	bool create_cwd;	   /* make it (root's, 0755) when it is not there */
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary */
	size_t n_groups;
	enum sandbox_network network;
	struct net *net; /* PRIVATE: see sandbox/net.h */
	const struct sandbox_mount *mounts;
	size_t n_mounts;
	const char *hostname;	 /* NULL: SANDBOX_HOSTNAME */
	const char *resolv_conf; /* bytes of /etc/resolv.conf; NULL: the caller's, without loopback
				  * servers unless the network is the host's */
	const char *extra_hosts; /* lines added to /etc/hosts, or NULL */
	const struct sandbox_limit *limits; /* beside those that every step has; later ones win */
	size_t n_limits;
	uint64_t shm_size; /* bytes of /dev/shm, 0 for 64 MiB */
	uint64_t timeout_ns; /* until all processes are killed; 0: never */
	const struct cgroup *cgroup; /* limits on all processes together; NULL: none */
	const struct sandbox_profile *seccomp; /* NULL: docker's default */
	/* Without namespaces: root_fd is a plain directory, which is entered by chroot() under
	 * Landlock. Its processes see all others' network, and those that Landlock cannot keep
	 * apart (before Linux 6.12) their pids. aside_fd is a directory on the same file system
	 * without names like "aside1". Nothing is read-only, no tmpfs has a size. NETWORK_NONE
	 * is a system call policy: no sockets but UNIX ones. No private network, no privileged
	 * steps. The bytes of a FILE are on the disk as long as the step lasts. */
	bool chroot;
	int aside_fd;
	bool seccomp_unconfined;
	bool all_capabilities;	 /* for privileged steps: also unconfined and without masks on
				  * /proc and /sys; still no way to the store */
	int stdin_fd;		 /* -1: /dev/null */
	const struct sandbox_cancel *cancel; /* NULL: SIGINT and SIGTERM end the step */
	sandbox_output *output;	 /* NULL: stdout and stderr are inherited (cbuild run) */
	void *output_arg;
};

enum sandbox_killer {
	SANDBOX_KILLED_BY_NONE,
	SANDBOX_KILLED_BY_TIME,	  /* timeout_ns */
	SANDBOX_KILLED_BY_MEMORY, /* the memory of the cgroup was used up */
};

struct sandbox_result {
	int exit_status;      /* 0-255; 128+n when signal n ended it */
	int term_signal;      /* 0, or n */
	enum sandbox_killer killed_by; /* which limit it was that ended it by SIGKILL */
	bool pids_refused;    /* the limit of processes was met */
	uint64_t wall_ns;
	uint64_t cpu_ns;      /* user and system, all processes of the step */
	uint64_t peak_bytes;  /* largest resident set of one process */
	uint64_t read_bytes, written_bytes; /* from and to block devices */
};

/*
 * Run and wait. 0 when the process ran, whatever its exit status; -1 when it could not be
 * started: ERR_NOT_FOUND (the executable is not there; err->exit_status 127), ERR_DENIED (it is
 * not executable; 126), or another kind. All processes of the step are dead when it returns.
 *
 * The mount of root_fd is moved into the sandbox, so a root serves one run; the descriptor can
 * still be read through afterwards, and while it is open the kernel holds upper and work.
 *
 * SIGINT and SIGTERM are passed on and end the step, after ten seconds or a second signal by
 * force: ERR_CANCELLED, err->exit_status 128+n. A caller who runs steps in several threads blocks
 * both in all of them, takes them himself, and ends steps by spec->cancel: ERR_CANCELLED.
 */
int sandbox_run(const struct sandbox_spec *spec, struct sandbox_result *ret_result,
		struct err *err);

#endif
