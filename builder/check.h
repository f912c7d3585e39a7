/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_CHECK_H
#define BUILDER_CHECK_H

/*
 * builder/check.h: what can be said of a Dockerfile without building it. Nothing is fetched: a
 * base image that the store does not have is not known, and the checks that need it are silent.
 */

#include <jansson.h>

struct build_options;
struct err;
struct lint_result;
struct strv;

/*
 * All rules. Without a target every stage is looked at, else those that it needs. When the file
 * parses and still cannot be planned, *ret_result is set and -1 is returned with the reason;
 * otherwise *ret_result is NULL on failure. `registries` are those that DL3026 allows, or NULL.
 * Free the result with lint_free().
 */
int build_check(const struct build_options *options, const struct strv *registries,
		struct lint_result **ret_result, struct err *err);

/* dockerfile-parser/outline.h, with what the options say. Free with json_decref(). */
int build_targets(const struct build_options *options, json_t **ret_targets, struct err *err);
int build_outline(const struct build_options *options, json_t **ret_outline, struct err *err);

#endif
