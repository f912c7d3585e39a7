/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_BUILD_INPUT_H
#define CLI_BUILD_INPUT_H

/* cli/build_input.h: what a build reads: its context, its Dockerfile, its ignore rules. */

#include "base/buf.h"
#include "builder/build.h"

struct cli;
struct err;

struct build_input {
	struct build_context *context;
	char *dockerfile_name;
	char *dockerfile_path; /* of a local directory absolute; NULL when it is in no file */
	struct buf dockerfile, ignore;
	char *ignore_name;
};

void build_input_init(struct build_input *input);
void build_input_release(struct build_input *input);

/*
 * Open the context and read the Dockerfile: -f (`file`, may be NULL) names a file of the host for
 * a local directory, "-" standard input, and for all other contexts a file inside them. Fills the
 * parts of *options that say so; options->store and ->transport must be set.
 */
int build_input_read(struct cli *cli, struct build_options *options, const char *context,
		     const char *file, build_listener *listener, void *arg,
		     struct build_input *input, struct err *err);

#endif
