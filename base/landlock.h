/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

/*
 * base/landlock.h: rules that a process gives itself for good, and all that it starts. What the
 * kernel's version of them (the ABI) lacks is left out; on a kernel without any, nothing happens.
 * Each function but the first needs CAP_SYS_ADMIN or no_new_privs, and returns -1 with errno.
 */

#define LANDLOCK_SCOPES 6 /* the ABI that can keep signals and abstract sockets inside */

/* The version that the kernel offers; 0 when it has none, or it is switched off. */
int landlock_abi(void);

/*
 * No signal and no connection to an abstract socket leaves this process and what it starts from
 * now on; with confine, no file outside "/" is reached either, and no device node made.
 */
int landlock_scope(int abi);
int landlock_scope_outer(int abi); /* for one that will hold a confined domain */
int landlock_confine(int abi);

/* Nothing but what is below this directory is opened, made, moved or removed by name any more. Sets
 * no_new_privs. Needs ABI 2, which can move files from one directory to another. */
int landlock_keep_below(int dir_fd);

#endif
