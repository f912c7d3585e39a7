/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOCKERFILE_PARSER_LINT_H
#define DOCKERFILE_PARSER_LINT_H

/*
 * dockerfile-parser/lint.h: a tree in, warnings out. Pure: what a rule must know beyond the text
 * (the ignore file, what the store knows of a base image) comes in through struct lint_inputs.
 * docs/lint.md lists the rules.
 */

#include <stdbool.h>
#include <stddef.h>

#include "dockerfile-parser/dockerfile.h"

struct err;
struct strv;

#define LINT_WARNINGS_MAX 10000 /* what comes after is not reported */

enum lint_set {
	LINT_BUILDKIT = 1 << 0, /* BuildKit's checks, by its names and in its words */
	LINT_HADOLINT = 1 << 1, /* hadolint's, by its numbers */
	LINT_CBUILD = 1 << 2,	/* our own */
};

enum lint_severity {
	LINT_WARNING,
	LINT_ERROR, /* what is written does not do what it says */
	LINT_INFO,  /* a smaller or faster image is possible */
};

struct lint_rule {
	const char *name;	     /* "StageNameCasing", "DL3008" */
	const char *description;     /* one sentence */
	const char *url;	     /* "" when there is none */
	enum lint_severity severity; /* hadolint's of its rules */
};

struct lint_warning {
	const struct lint_rule *rule; /* static */
	const char *message;
	struct range range; /* the lines of an instruction, as a rule */
};

/* What is known of a base image. Strings belong to whoever was asked. */
struct lint_base {
	const struct strv *env; /* "NAME=value" */
	const char *platform;	/* "linux/arm64/v8" */
	bool has_shell;
	bool has_triggers;
};

/*
 * Look up an image by the name in FROM. False when nothing is known of it: then the checks that
 * need it are silent. What *ret_base points to stays valid until lint_run() returns.
 */
typedef bool lint_base_lookup(void *arg, const char *name, struct lint_base *ret_base);

/* Everything may be zero. */
struct lint_inputs {
	unsigned sets;			  /* of enum lint_set */
	const char *config;		  /* replaces the "check" directive; NULL: it counts */
	const struct strv *build_args;	  /* "NAME=value", each name once */
	const struct strv *platform_args; /* TARGETPLATFORM=... and so on */
	const struct ignore *ignore;
	const struct strv *registries; /* for DL3026: those that images may come from */
	const bool *stages;	       /* one per FROM: whether its instructions count, for checks
					* that follow the build; NULL: all do */
	lint_base_lookup *base;
	void *base_arg;
	bool (*is_image_name)(const char *name); /* NULL: anything but "" is one */
};

struct lint_result {
	struct arena *arena; /* holds all that follows */
	const char *name;    /* of the file, and its lines, when there are warnings */
	const char **lines;
	size_t n_lines;
	struct lint_warning *warnings; /* by line */
	size_t n_warnings;
	bool fail; /* "error=true": the build must not go on when there are warnings */
};

/*
 * Check a tree that dockerfile_check_stages() accepts. Fails with ERR_INVALID when the options of
 * the directive (or inputs->config) are wrong. Free with lint_free().
 */
int lint_run(const struct dockerfile *dockerfile, const struct lint_inputs *inputs,
	     struct lint_result **ret_result, struct err *err);
void lint_free(struct lint_result *result);

/* "lint violation found for rules: A, B" into *err. Returns -1. */
int lint_error(const struct lint_result *result, struct err *err);

#endif
