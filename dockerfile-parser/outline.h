/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOCKERFILE_PARSER_OUTLINE_H
#define DOCKERFILE_PARSER_OUTLINE_H

/*
 * dockerfile-parser/outline.h: what a Dockerfile offers to whoever builds it, as docker's
 * --call=targets and --call=outline have it in JSON (without "sources"). Pure.
 */

#include <stddef.h>

struct dockerfile;
struct err;
struct json_t;
struct lint_inputs;

/* {"targets": [{"name", "default", "description", "base", "platform", "location"}]} */
struct json_t *outline_targets(const struct dockerfile *dockerfile);

/*
 * {"name", "description", "args": [{"name", "value", "description", "location"}],
 * "secrets", "ssh": [{"name", "required", "location"}]} of the stages that inputs->stages marks;
 * `target` is the index of the one to build. The tree is one that dockerfile_check_stages()
 * accepts.
 */
struct json_t *outline_of(const struct dockerfile *dockerfile, const struct lint_inputs *inputs,
			  size_t target);

#endif
