/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_ANSWER_H
#define REGISTRY_ANSWER_H

/*
 * registry/answer.h: a registry's refusal in words: "METHOD host/path: CODE: message; detail",
 * from {"errors":[{code, message, detail}]} or whatever else it said, made safe for a terminal.
 */

#include <stddef.h>

struct err;
struct http_response;

/* Fill *err from an answer that is no success. Its kind follows the status: 401 and 403
 * ERR_DENIED, 404 ERR_NOT_FOUND, others ERR_FAILED. Always -1. */
int answer_refuse(const char *method, const struct http_response *response, struct err *err);

/* Replace what a terminal would act on (control characters, invalid UTF-8) by "?"; returns text,
 * cut after max bytes. */
char *answer_sanitise(char *text, size_t max);

#endif
