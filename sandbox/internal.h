/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_INTERNAL_H
#define SANDBOX_INTERNAL_H

/*
 * sandbox/internal.h: what the files of this room share. "Prepared" means made by the caller of
 * sandbox_run() before clone; "child" means pid 1 of the sandbox, between clone and exec, where
 * nothing may allocate, lock or call into libraries (see init.c).
 */

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct buf;
struct sandbox_spec;

/* --- what the child tells its parent -------------------------------------------------------- */

enum init_report_kind {
	INIT_FAILED, /* the process could not be started */
	INIT_EXITED, /* it has ended */
};

/*
 * One message, smaller than PIPE_BUF and so written whole. The texts are literals or were made
 * before clone: the child is a copy of its parent, so the pointers mean the same in both.
 */
struct init_report {
	enum init_report_kind kind;
	enum err_kind err_kind; /* FAILED */
	int os_errno;		/* FAILED: of the system call, or 0 */
	int exit_status;	/* FAILED: 126 or 127 when exec() failed, else 0 */
	const char *what;	/* FAILED: "mount proc" */
	const char *name;	/* FAILED: what it was done to, or NULL */
	int wait_status;	/* EXITED */
};

/* Fill the report with errno or with a kind of its own. Return -1. */
int init_fail_os(struct init_report *report, const char *what, const char *name);
int init_fail(struct init_report *report, enum err_kind kind, const char *what, const char *name);

/* --- etc.c ---------------------------------------------------------------------------------- */

#define ETC_TEXT_MAX (1 << 20)

/* The lines of a resolv.conf; with drop_loopback, without nameservers on loopback addresses. */
int etc_resolv_conf(const char *text, bool drop_loopback, struct buf *out);

/* /etc/hosts: localhost, the name of this host, and the extra lines. */
int etc_hosts(const char *hostname, const char *extra_hosts, struct buf *out);

/* A name that sethostname() and one line of /etc/hosts can hold. */
bool etc_hostname_valid(const char *hostname);

/* --- limits.c: child: the limits that every step has, then the step's own -------------------- */

int limits_set(const struct sandbox_spec *spec, struct init_report *report);

/* --- mounts.c: prepared, detached mounts ---------------------------------------------------- */

#define MOUNTS_NODES	 6
#define MOUNTS_EXTRA_MAX 4096
#define MOUNTS_NAME_MAX	 12

struct mounts {
	/* A tmpfs: hosts, hostname, resolv.conf and the directory empty. The root of the sandbox is
	 * mounted on it until pivot_root(). */
	int scaffold_fd;
	int dev_fd;		    /* tmpfs for /dev: links, directories, empty files */
	int node_fds[MOUNTS_NODES]; /* the host's /dev/null and so on */
	int pts_fd;
	int shm_fd;
	int *extra_fds;	    /* of spec->mounts, in its order; -1: a file on the scaffold */
	bool *extra_is_dir; /* what the place of each has to be */
	size_t n_extra;
	uint64_t file_bytes; /* of spec->mounts on the scaffold */
};

extern const char *const mounts_node_names[MOUNTS_NODES];
extern const char *const mounts_etc_names[3];

void mounts_init(struct mounts *mounts);
int mounts_prepare(const struct sandbox_spec *spec, struct mounts *mounts, struct err *err);
void mounts_release(struct mounts *mounts);

/* The name on the scaffold of the file for spec->mounts[i]. For prepared and child use. */
void mounts_extra_name(size_t i, char name[MOUNTS_NAME_MAX]);

struct mount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/* A new file system of this type, detached. -1 with errno. For prepared and child use. */
int mount_new(const char *type, const struct mount_option *options, size_t n, unsigned attributes);

/* --- mountns.c ------------------------------------------------------------------------------ */

/* A mount namespace of this process's own, from which nothing propagates, with a /proc; the root
 * of it is a mount, also where "/" was a plain directory (a chroot). Needs CAP_SYS_ADMIN over the
 * user namespace, and one thread. */
int mountns_enter(struct err *err);

/*
 * The same file by a descriptor of its own whose mount is in this mount namespace: what was opened
 * before userns_enter() lies in the old one, where nothing may be cloned or stacked. A plain
 * duplicate when there is no such path here (a detached mount). -1 with errno.
 */
int mount_reopen(int fd);

/* --- rootfs.c: the child puts the mounts together -------------------------------------------- */

int rootfs_assemble(const struct sandbox_spec *spec, const struct mounts *mounts,
		    struct init_report *report);
int rootfs_enter(int root_fd, struct init_report *report);

/* --- caps.c --------------------------------------------------------------------------------- */

/* docker's default capabilities. */
#define CAPS_DEFAULT UINT64_C(0xa80425fb)

/*
 * Child: reduce bounding, permitted and effective set to `keep` (as far as they are held);
 * inheritable and ambient become empty. -1 with errno.
 */
int caps_limit(uint64_t keep);

/* The effective set of this process. */
uint64_t caps_effective(void);

/* --- seccomp.c ------------------------------------------------------------------------------ */

#define SECCOMP_INSNS_MAX 512

struct seccomp_filter {
	struct sock_filter insns[SECCOMP_INSNS_MAX];
	unsigned short n;
};

struct seccomp_call {
	const char *name;
	int nr;
};

/* System calls that are always allowed, in no order, and the highest number docker's profile
 * knows of. */
extern const struct seccomp_call seccomp_calls[];
extern const size_t seccomp_n_calls;
#define SECCOMP_LAST_KNOWN 466

void seccomp_build(struct seccomp_filter *filter);

/* Child, with CAP_SYS_ADMIN. -1 with errno. */
int seccomp_install(const struct seccomp_filter *filter);

/* --- net.c ---------------------------------------------------------------------------------- */

/* Child: bring up the loopback interface. -1 with errno. */
int net_loopback_up(void);

/* --- subid.c -------------------------------------------------------------------------------- */

#define SUBID_RANGES_MAX 32

struct subid_range {
	uint32_t start;
	uint32_t count;
};

struct subid {
	struct subid_range ranges[SUBID_RANGES_MAX];
	size_t n;
	uint64_t total;
};

/* The ranges that the text of /etc/subuid gives to this user; lines that make no sense are
 * passed over, as newuidmap does. `name` may be NULL. */
void subid_parse(const char *text, const char *name, uid_t uid, struct subid *ret_subid);

/* --- idmap.c -------------------------------------------------------------------------------- */

/* The ranges of this user; n is 0 where there are none. */
void userns_ranges(struct subid *ret_uids, struct subid *ret_gids);

/* Enter a user namespace as 0:0: a user with his ranges, or his own id; root with all its ids. */
int idmap_enter(struct err *err);

/* --- refusal.c ------------------------------------------------------------------------------ */

/* Why namespaces are refused here and what would help; static. */
const char *refusal_reason(void);

/* ERR_DENIED "what: <errno> (<reason>)". Returns -1. */
int refusal_set(const char *what, struct err *err);

/* --- overlay.c ------------------------------------------------------------------------------ */

struct overlay;

enum overlay_way {
	OVERLAY_NEWEST,	   /* whatever the kernel has */
	OVERLAY_OLD_MOUNT, /* mount(2): for kernels before 6.5 and the test of that */
};

int overlay_mount_by(enum overlay_way way, const struct overlay *overlay, bool with_stubs,
		     int *ret_fd, struct err *err);

/* --- init.c --------------------------------------------------------------------------------- */

/* All that the child needs. */
struct init_plan {
	const struct sandbox_spec *spec;
	struct mounts mounts;
	const char *hostname;
	int report_fd;	      /* write end, above 2 */
	int report_read_fd;   /* read end, which the child must not keep */
	int output_fds[2];    /* write ends of stdout and stderr, above 2; -1: inherited */
	uintptr_t args_start; /* where /proc/1/cmdline comes from */
	uintptr_t args_end;
	bool may_setgroups;
	bool confined; /* filter is to be installed */
	struct seccomp_filter filter;
};

_Noreturn void init_main(const struct init_plan *plan);

#endif
