/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_REFERENCE_H
#define REGISTRY_REFERENCE_H

/*
 * registry/reference.h: image names as docker reads them (the distribution project's reference
 * grammar, ParseNormalizedNamed). `p1` is docker.io/library/p1:latest.
 */

#include <stdbool.h>

#include "base/digest.h"

struct err;

struct reference {
	char domain[256];     /* "docker.io", "localhost:5000" */
	char path[256];	      /* "library/p1" */
	char tag[129];	      /* "" when only a digest was given */
	struct digest digest; /* zero when none was given */
	bool has_digest;
};

/*
 * Parse and normalise. Without tag and digest the tag is "latest". Fails with ERR_INVALID and
 * docker's words ("invalid reference format", "repository name (A) must be lowercase", ...).
 */
int reference_parse(const char *text, struct reference *ret_reference, struct err *err);

#define REFERENCE_TEXT_MAX 800

/* Normal form: domain/path[:tag][@digest]. */
const char *reference_format(const struct reference *reference, char text[REFERENCE_TEXT_MAX]);

/* As users see it: docker.io/ and library/ dropped. */
const char *reference_familiar(const struct reference *reference, char text[REFERENCE_TEXT_MAX]);

/* The name without tag and digest, in normal and familiar form. */
const char *reference_repository(const struct reference *reference, bool familiar,
				 char text[REFERENCE_TEXT_MAX]);

#endif
