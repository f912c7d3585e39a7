/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

/*
 * base/cancel.h: the wish that work ends early, told once to all threads that do a part of it. Who
 * works long looks at it between two blocks, and who waits also waits for its descriptor. NULL
 * stands for work that nobody ends.
 */

#include <stdbool.h>

#include "base/mem.h"

struct cancel;
struct err;

int cancel_new(struct cancel **ret_cancel, struct err *err);
void cancel_free(struct cancel *cancel);
DEFINE_CLEANUP(struct cancel *, cancel_free)

/* From now on; there is no way back. */
void cancel_ask(struct cancel *cancel);

/* 0, or ERR_CANCELLED when it was asked for. Costs next to nothing. */
int cancel_check(const struct cancel *cancel, struct err *err);

/* Readable once it is asked for; never read. -1, which poll() leaves out, for NULL. */
int cancel_fd(const struct cancel *cancel);

/* Wait until there is something to read from fd, or its end: 0. ERR_CANCELLED as above. */
int cancel_await(const struct cancel *cancel, int fd, struct err *err);

/* Sleep, unless it is asked for: ERR_CANCELLED. */
int cancel_pause(const struct cancel *cancel, unsigned ms, struct err *err);

#endif
