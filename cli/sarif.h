/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_SARIF_H
#define CLI_SARIF_H

/* cli/sarif.h: warnings for programs. Both are the caller's (json_decref()). */

#include <jansson.h>
#include <stddef.h>

struct lint_result;

/* docker's shape: {"warnings": [{"ruleName", "description", "url", "detail", "location"}],
 * "sources": [{"filename", "language", "data"}]}; the text goes into data. */
json_t *lint_to_json(const struct lint_result *result, const char *name, const char *text,
		     size_t len);

/* SARIF 2.1.0, one run. `name` is the file. */
json_t *lint_to_sarif(const struct lint_result *result, const char *name);

/* The text as base64. */
json_t *json_base64(const char *text, size_t len);

#endif
