/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_USERNS_H
#define SANDBOX_USERNS_H

/*
 * sandbox/userns.h: which rights this process has to make containers, and how it gets them.
 * A plain user enters one user namespace per process, by newuidmap and newgidmap with the ranges
 * of /etc/subuid and /etc/subgid; root enters one only where it lacks CAP_SYS_ADMIN.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct digest;
struct err;

enum userns_rung {
	USERNS_ROOT,   /* real root with the capabilities that are needed */
	USERNS_NESTED, /* root without some of them, in a user namespace of its own */
	USERNS_RANGES, /* a plain user with subordinate id ranges */
	USERNS_SINGLE, /* a plain user with one id */
	USERNS_CHROOT, /* no namespaces: RUN needs --isolation=chroot */
	USERNS_NONE,   /* RUN cannot work here */
};

struct userns_probe {
	char name[32]; /* "namespaces", "overlay mount", ... */
	bool ok;
	char detail[800]; /* the answer, or why not and what would fix it */
};

#define USERNS_PROBES_MAX 16

struct userns_info {
	enum userns_rung rung;
	struct userns_probe probes[USERNS_PROBES_MAX];
	size_t n_probes;
};

/* Where it is tried. */
struct userns_place {
	const char *store;   /* absolute path of the store; its `stub` is made */
	const char *scratch; /* an empty directory in it, relative; NULL: there can be none */
	const char *search;  /* directories of programs, as in PATH */
};

/*
 * Try each thing a RUN needs in throw-away children and tell what works. Never fails: what does
 * not work is in the answer, with the reason and what would change it.
 */
void userns_probe(const struct userns_place *place, struct userns_info *ret_info);

/*
 * What the answers depend on, as far as it can be looked up: the boot, the kernel and its switches,
 * this program, process and container, the user's ranges, the store's file system, the programs.
 * While it is the same, so is what works. ERR_NOT_FOUND where the boot is not known.
 */
int userns_probe_key(const struct userns_place *place, struct digest *ret_key, struct err *err);

/* "root", "user with subordinate id ranges", ... */
const char *userns_rung_name(enum userns_rung rung);

/*
 * Make this process able to chown, to unpack, and to remove what it unpacked: root is already, a
 * plain user enters a user namespace in which it is 0:0. Must be called while the process has one
 * thread. Calling it again does nothing. Fails with ERR_DENIED or ERR_UNSUPPORTED and a message
 * that names the cause and the fixes; the process then still works, over the user's own files.
 */
int userns_enter_files(struct err *err);

/*
 * And able to mount: beside the above a private mount namespace, also out of a chroot into a plain
 * directory. Fails likewise; the message has a line for each way that was tried.
 */
int userns_enter(struct err *err);

/* Whether this process can give files to nobody but itself: one id is mapped, or it has no rights.
 * It asks /proc. */
bool userns_has_single_id(void);

/* Whether a root can be entered by chroot() and files in it given to other owners. */
bool userns_may_chroot(void);

/* Whether files can be given to others, and used whatever their mode. */
bool userns_may_use_all_files(void);

/* Whether userns_enter() has succeeded in this process. */
bool userns_entered(void);

/* Whether the process is, or by userns_enter() would be, in another user namespace than the
 * machine's first: overlay needs `userxattr` then, and device nodes cannot be made. */
bool userns_is_rootless(void);

#endif
