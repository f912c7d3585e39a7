/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_TOML_H
#define REGISTRY_TOML_H

/*
 * registry/toml.h: TOML 1.0 as far as configuration files of containers use it: strings of all
 * four kinds, booleans, integers, arrays, inline tables, tables, arrays of tables, dotted and
 * quoted keys. Floats and dates are refused, with their line, as not supported.
 */

#include <jansson.h>
#include <stddef.h>

struct err;

/* The document as a JSON object; json_decref() it. Fails with ERR_INVALID or ERR_UNSUPPORTED:
 * "source:line: why". */
int toml_parse(const char *source, const char *text, size_t len, json_t **ret_root,
	       struct err *err);

#endif
