/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_MODE_H
#define BUILDER_MODE_H

/* builder/mode.h: --chmod: an octal mode, or clauses as chmod(1) has them ("u=rwX,go=rX"), which
 * change the mode a file has. There is no umask. */

#include <stdbool.h>
#include <sys/types.h>

struct err;

#define MODE_CLAUSES_MAX 64

struct mode_clause {
	mode_t who;	   /* the bits that may change */
	char op;	   /* + - = */
	mode_t set;	   /* bits named by letters */
	bool execute_some; /* X */
	char copy;	   /* u, g or o: take that class's bits; 0 for none */
};

struct mode_change {
	bool octal;
	mode_t mode; /* octal */
	struct mode_clause clauses[MODE_CLAUSES_MAX];
	unsigned n;
};

/* Fails with ERR_INVALID. */
int mode_parse(const char *text, struct mode_change *ret_change, struct err *err);

/* The new permission bits (07777) of a file that has `mode`, a directory or not. */
mode_t mode_apply(const struct mode_change *change, mode_t mode, bool directory);

#endif
