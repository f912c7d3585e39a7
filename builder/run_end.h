/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_RUN_END_H
#define BUILDER_RUN_END_H

/* builder/run_end.h: how a RUN ended, in words. */

struct build_options;
struct err;
struct sandbox_result;
struct strv;

/* 0 when the process ended with 0, else ERR_FAILED with its exit status and the command line, and
 * which of the options' limits it was that ended it. */
int run_end_check(const struct strv *argv, const struct build_options *options,
		  const struct sandbox_result *result, struct err *err);

#endif
