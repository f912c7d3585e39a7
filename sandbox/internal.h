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

#include "base/child.h"
#include "base/err.h"
#include "base/landlock.h"
#include "sandbox/cgroup.h"

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
bool etc_has_nameserver(const char *text);

/* /etc/hosts: localhost, the name of this host, and the extra lines. */
int etc_hosts(const char *hostname, const char *extra_hosts, struct buf *out);

/* A name that sethostname() and one line of /etc/hosts can hold. */
bool etc_hostname_valid(const char *hostname);

/* --- limits.c: child: the limits that every step has, then the step's own -------------------- */

#define LIMITS_PROCESSES 8192

/* With limit_processes, at most LIMITS_PROCESSES of one user, unless the step says otherwise. */
int limits_set(const struct sandbox_spec *spec, bool limit_processes, struct init_report *report);

/* --- clone.c -------------------------------------------------------------------------------- */

/*
 * A copy of this process, with CLONE_PIDFD in flags also *pidfd. With cgroup_fd >= 0 it is born
 * in that group, or, where only clone() may be used, has to cgroup_step_join(): *ret_joined is
 * false then, in both processes. As fork(): 0 in the child, -1 with errno.
 */
pid_t clone_into(uint64_t flags, int *pidfd, int cgroup_fd, bool *ret_joined);

/* --- fds.c: child: descriptors from this one on, closed now or by exec() ---------------------- */

#define FDS_MAX (1 << 20) /* what the kernel allows where nobody has raised it */

void fds_close(int first);
void fds_close_range(int first, int last);
void fds_close_on_exec(int first);

/* --- cgroup.c, cgroup_step.c, cgroup_text.c -------------------------------------------------- */

#define CGROUP_PREFIX "cbuild-" /* of the groups of steps */

struct cgroup {
	int dir_fd; /* the groups of steps are made here; -1: there are none */
	int own_fd; /* the process's first group, when it has stepped aside from it; else -1 */
	bool limits_pids;
	struct cgroup_limits limits;
};

/* The mount point of a hierarchy of v2 and which of its directories is mounted there, from
 * /proc/self/mountinfo; false when there is none. free() both. */
bool cgroup_find_mount(const char *mountinfo, char **ret_point, char **ret_root);

/* The group in /proc/self/cgroup, as a path below the mount; NULL when there is none. free() it. */
char *cgroup_find_own(const char *text, const char *root);

struct cgroup_step {
	int dir_fd;
	int fd; /* -1: there is none */
	char name[32];
};

#define CGROUP_STEP_INIT                                                                           \
	{                                                                                          \
		.dir_fd = -1, .fd = -1                                                             \
	}

struct cgroup_events {
	bool out_of_memory; /* processes were killed for it */
	bool pids_refused;  /* there were no more to be had */
};

/* Make a group with the limits, where there can be one. cgroup_step_end() kills what is in it. */
int cgroup_step_start(const struct cgroup *cgroup, struct cgroup_step *step, struct err *err);
void cgroup_step_end(struct cgroup_step *step, struct cgroup_events *ret_events);

/* Move this process into a group. -1 with errno. For the child, too. */
int cgroup_step_join(int fd);

/* Write to a control file. -1 with errno. */
int cgroup_write(int dir_fd, const char *name, const char *text);

/* Remove a group, waiting for the last of its dead processes. */
void cgroup_remove(int dir_fd, const char *name);

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
dev_t mounts_node_device(size_t i);

/* The text of /etc/<mounts_etc_names[i]>. */
int mounts_etc_text(const struct sandbox_spec *spec, const char *hostname, size_t i,
		    struct buf *out, struct err *err);

void mounts_init(struct mounts *mounts);
int mounts_prepare(const struct sandbox_spec *spec, struct mounts *mounts, struct err *err);
void mounts_release(struct mounts *mounts);

/* The name on the scaffold of the file for spec->mounts[i]. For prepared and child use. */
void mounts_extra_name(size_t i, char name[MOUNTS_NAME_MAX]);

/* --- mount.c, mount_old.c: mounts that have no place yet -------------------------------------- */

struct mount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/*
 * A mount without a place is a descriptor (O_PATH) of its root, and the caller's. It ends with
 * mount_close(), unless it was attached before. All but mount_make() are for prepared and child
 * use; what is prepared can be attached by a child in a mount namespace of its own. Failures of
 * those are -1 with errno.
 */

/* A new file system of this type. attributes: MOUNT_ATTR_{RDONLY,NOSUID,NODEV,NOEXEC}. */
int mount_new(const char *type, const struct mount_option *options, size_t n, unsigned attributes);

/* What is mounted at the path ("": at dir_fd), a link not followed, as a second mount; with tree
 * also the mounts in it. The attributes are added to those they have. EINVAL: it is not in this
 * mount namespace. */
int mount_clone(int dir_fd, const char *path, bool tree, unsigned attributes);

/* What only mount(2) can make: `make` mounts something at the place it is told. That may be for a
 * moment a directory in dir_fd, which is the caller's own. */
typedef int mount_maker(void *arg, const char *place, struct err *err);
int mount_make(int dir_fd, mount_maker *make, void *arg, int *ret_fd, struct err *err);

/* Put it in its place, which is in this mount namespace and nothing is mounted at; afterwards
 * mount_fd is what is there. */
int mount_attach(int mount_fd, int place_fd);
int mount_attach_at(int mount_fd, int dir_fd, const char *name);

/* Somewhere above "/", to be taken away by the first umount() when the root has been changed. */
int mount_attach_above_root(int mount_fd);

/* Make this directory a mount; path names it, too. The descriptor of its root, or -1. */
int mount_bind_on_itself(int dir_fd, const char *path);

/* End it, unless it is attached. -1 is no error. */
void mount_close(int mount_fd);

/* For a process that will be another program, which may change its root: nothing of the above is in
 * its mount namespace any more, nor above "/". For the child, too. -1 with errno. */
int mount_leave(void);

/* Find out which calls there are, before anything of the above; in a mount namespace of our own.
 * Then, when nothing propagates from it, prepare for them. */
void mount_choose_calls(void);
int mount_prepare_calls(struct err *err);
bool mount_is_old(void); /* it is mount(2) */

/* Of mount.c's functions those for kernels and policies without the calls of Linux 5.12. */
int mount_old_new(const char *type, const struct mount_option *options, size_t n,
		  unsigned attributes);
int mount_old_clone(int dir_fd, const char *path, bool tree, unsigned attributes);
int mount_old_make(mount_maker *make, void *arg, int *ret_fd, struct err *err);
int mount_old_find(int mount_fd); /* make mount_fd that of this mount namespace */
int mount_old_attach(int mount_fd, int place_fd);
void mount_old_end(int mount_fd);
int mount_old_leave(void);
int mount_old_prepare(struct err *err);

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

/* --- place.c: what is put into a root in which nothing can be mounted ------------------------- */

struct placed;

struct places {
	struct placed *v;
	size_t n, cap;
};

/*
 * Put something at `path` (absolute) in spec->root_fd, what is there goes aside to spec->aside_fd.
 * Links on the way are followed inside the root, in the last component with follow_links. After
 * a failure, too, places_take_out() is due.
 */
int places_put_dir(struct places *places, const struct sandbox_spec *spec, const char *path,
		   bool follow_links, mode_t mode, int *ret_fd, struct err *err);
/* An empty file, 0600, open for writing. */
int places_put_file(struct places *places, const struct sandbox_spec *spec, const char *path,
		    bool follow_links, int *ret_fd, struct err *err);
int places_put_link(struct places *places, const struct sandbox_spec *spec, const char *path,
		    const char *target, struct err *err);

/* Move what is home_name in home_fd, which stay the caller's and there; it goes back there. */
int places_move(struct places *places, const struct sandbox_spec *spec, const char *path,
		int home_fd, const char *home_name, struct err *err);

/* All is put: directories get their times back. */
void places_settle(struct places *places);

/* Take all out, when nobody is in the root any more, and forget it. */
int places_take_out(struct places *places, int aside_fd, struct err *err);

/* --- plain.c: the same without mounts, for a root that is entered by chroot() ---------------- */

struct plain {
	struct places places;
	int *kept_fds; /* of files that are emptied at the end; ascending */
	size_t n_kept, cap_kept;
	int abi;     /* of Landlock; 0: there is none */
	int null_fd; /* the host's /dev/null, above 2 */
	int proc_fd; /* the host's /proc, or -1 */
};

/* Put into the root what a step gets besides its layers; take it out again when all processes of
 * the step are dead, and also when something has failed. */
void plain_init(struct plain *plain);
int plain_prepare(const struct sandbox_spec *spec, struct plain *plain, struct err *err);
int plain_restore(const struct sandbox_spec *spec, struct plain *plain, struct err *err);
void plain_release(struct plain *plain);

/* --- reaper.c: the child where there is no pid namespace ------------------------------------- */

int reaper_become(int abi, struct init_report *report);

/* Kill all descendants and collect them. proc_fd is a directory of procfs, or -1. */
void reaper_end_all(int abi, int proc_fd);

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

/* Whether CAPS_DEFAULT has the capability of this name ("CAP_CHOWN"). */
bool caps_is_default(const char *name);

/* The effective set of this process. */
uint64_t caps_effective(void);

/* --- seccomp_emit.c: answers to system calls, written down as BPF ---------------------------- */

#define SECCOMP_INSNS_MAX 4096 /* the kernel's */

struct seccomp_filter {
	struct sock_filter insns[SECCOMP_INSNS_MAX];
	unsigned short n;
	unsigned flags; /* SECCOMP_FILTER_FLAG_* */
};

enum seccomp_op {
	SECCOMP_OP_NE,
	SECCOMP_OP_LT,
	SECCOMP_OP_LE,
	SECCOMP_OP_EQ,
	SECCOMP_OP_GE,
	SECCOMP_OP_GT,
	SECCOMP_OP_MASKED_EQ, /* (argument & mask) == value */
};

#define SECCOMP_ARGS 6

struct seccomp_condition {
	unsigned arg;
	enum seccomp_op op;
	bool is_int; /* the kernel looks at the lower 32 bits only, and so do we */
	uint64_t value;
	uint64_t mask;
};

/* Holds when all conditions do. */
struct seccomp_rule {
	const struct seccomp_condition *conditions;
	size_t n;
	uint32_t action; /* SECCOMP_RET_* with its data */
};

/* The first rule that holds, or else `otherwise`. */
struct seccomp_answer {
	const struct seccomp_rule *rules;
	size_t n;
	uint32_t otherwise;
};

/* Calls from this number up to the start of the next range. */
struct seccomp_range {
	uint32_t start;
	struct seccomp_answer answer;
};

/* What a processor mode may call. The first range starts at 0. */
struct seccomp_mode {
	uint32_t arch; /* AUDIT_ARCH_* */
	const struct seccomp_range *ranges;
	size_t n;
};

/* Other modes get `foreign`. -1 when that is more than the kernel takes. */
int seccomp_emit(const struct seccomp_mode *modes, size_t n, uint32_t foreign,
		 struct seccomp_filter *filter);

/* Add a range to an array of them, or to the last one when it is answered the same and has no
 * rules. Starts only grow. */
void seccomp_add_range(struct seccomp_range *ranges, size_t *n, uint32_t start,
		       struct seccomp_answer answer);

/* Child, with CAP_SYS_ADMIN. -1 with errno. */
int seccomp_install(const struct seccomp_filter *filter);

/* --- seccomp.c: the built-in filter --------------------------------------------------------- */

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

/* No sockets but UNIX ones, and otherwise everything: beside another filter. */
void seccomp_build_offline(struct seccomp_filter *filter);

/* --- seccomp_names.c: names by libseccomp ---------------------------------------------------- */

#define SECCOMP_X32 0x40000000 /* set in the numbers of x32, which else is x86_64 */

/* "SCMP_ARCH_X86_64" as a token of libseccomp; 0 for none. */
uint32_t seccomp_mode_token(const char *name);

/* This processor as docker's profiles name it ("amd64"), and as a token. */
extern const char seccomp_native_name[];
uint32_t seccomp_native_token(void);

/* The AUDIT_ARCH_* of a token, and the bit that is set in all numbers of the mode. */
uint32_t seccomp_token_arch(uint32_t token, uint32_t *ret_bit);

/* The number of a call in a mode, with that bit; -1: there is none. */
int64_t seccomp_number(uint32_t token, const char *name);

/* Which arguments of a call the kernel takes as int, as a set of bits. */
unsigned seccomp_int_args(const char *name);

/* --- seccomp_profile.c ----------------------------------------------------------------------- */

struct sandbox_profile {
	struct seccomp_filter filter;
};

/* --- net.c, net_helper.c -------------------------------------------------------------------- */

/* Bring up the loopback interface of this thread's network. For the child, too. -1 with errno. */
int net_loopback_up(void);

/* In a private network, what is sent to port 53 of it goes to the machine's nameserver. */
#define NET_NAMESERVER "10.0.2.3"

struct net_helper {
	pid_t pid;	 /* of its guard */
	int pidfd;
	int said_fd;	 /* what it says */
	int lifeline_fd; /* it ends when this is closed */
};

#define NET_HELPER_MISSING                                                                         \
	"neither pasta nor slirp4netns is installed (fix: apt-get install passt, or slirp4netns; "  \
	"or --network=host)"

/* Whether there is what any such program needs. */
int net_helper_check(struct err *err);

/* Connect the namespace to this process's network, until net_helper_end() or the end of this
 * process, however it ends. */
int net_helper_start(struct net_helper *helper, int ns_fd, struct err *err);
void net_helper_end(struct net_helper *helper);

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

/* --- probe_attempts.c: a struct userns_place is the argument, and there is no result ---------- */

child_function attempt_overlay, attempt_proc, attempt_network, attempt_seccomp, attempt_landlock;

/* --- probe_key.c ---------------------------------------------------------------------------- */

#define PROGRAM_PATH_MAX 512

/* The program that execvp() would take from this PATH; false when there is none. */
bool program_find(const char *search, const char *name, char path[PROGRAM_PATH_MAX]);

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
	int cgroup_fd;	      /* -1: none */
	bool cgroup_joined;   /* pid 1 is in it from its birth */
	bool limit_processes; /* no group does that */
	int net_fd; /* the namespace to join, or -1 */
	bool may_setgroups;
	const struct seccomp_filter *filter; /* NULL: none is to be installed */
	const struct seccomp_filter *offline; /* likewise */
	int landlock_abi;
	bool plain;  /* no namespaces: chroot() and a reaper */
	int null_fd; /* plain: stdin's default, above 2; else -1 */
	int proc_fd; /* plain: for reaper_end_all(), or -1 */
	const int *kept_fds; /* plain: files that are emptied at the end; ascending, high ones */
	size_t n_kept;
};

/* All to their defaults: one that is ignored would stay so through exec, and SIGCHLD must not be. */
void init_reset_signals(void);

_Noreturn void init_main(const struct init_plan *plan);

#endif
