/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_SHARED_H
#define BUILDER_SHARED_H

/*
 * builder/shared.h: caches that machines share. A step's record lies in a repository or an OCI
 * layout as one small manifest under a tag made of its key, with the step's layer; so a cache is
 * never rewritten, and a key is one question. An image can hold the records of its own steps as
 * well. What a cache says is checked as far as it can be, and believed no further:
 * docs/architecture.md has what it can do and what it cannot.
 */

#include "builder/internal.h"

struct shared;

/* --- shared.c: asking ------------------------------------------------------------------------- */

/* Get ready to use --cache-from. ERR_DENIED with --offline, also for --cache-to. A cache that
 * cannot be opened is warned of. */
int shared_open(struct builder *builder, struct err *err);
void shared_free(struct shared *shared);

/*
 * A key that the store does not know: ask the caches, for it and for all others that the build is
 * going to need as far as they can be told by now. True when the store knows it then. A cache that
 * fails or lies is warned of and not asked again. From any thread, as what follows.
 */
bool shared_find(struct builder *builder, const struct digest *key);

/* Ask for these keys alone, those that the store does not know. */
void shared_ask(struct builder *builder, const struct digest *keys, size_t n);

/* The cache that knew the key in this build, as messages show it; NULL: none. */
const char *shared_origin(const struct builder *builder, const struct digest *key);

/* Whether a cache gave another record, or none that can be believed, for this key. */
bool shared_has_lied(const struct builder *builder, const struct digest *key);

/* --- shared_bring.c: the layers of what was told ---------------------------------------------- */

/* Bring those of the layers that are elsewhere into the store, with events of the stage's step. */
int shared_bring(struct stage *stage, const struct digest *diff_ids, size_t n, struct err *err);

/* A layer of the image is not what it was said to be: forget those of which that is so. */
void shared_distrust(struct builder *builder, const struct image *image);

/* --- shared_export.c: giving ------------------------------------------------------------------ */

/* Leave the records of its steps in the image, when that is asked for. */
void shared_add_inline(struct builder *builder, struct image *image);

/* Fill each --cache-to; what is there is not sent again. */
int shared_export(struct builder *builder, struct err *err);

/* --- shared_record.c: records as others see them, pure ---------------------------------------- */

#define SHARED_TAG_MAX (DIGEST_HEX_MAX + 4)
const char *shared_tag(const struct digest *key, char tag[SHARED_TAG_MAX]);

/*
 * The manifest of a record. blob is its layer's, not looked at when that is empty. parts (may be
 * NULL) are told without the environment, and left out when they make it too long. free() it.
 */
char *shared_format(const struct digest *key, const struct step_record *record,
		    const struct descriptor *blob, const json_t *parts);

/* Take it apart. ERR_CORRUPT or ERR_INVALID when it is not the record of this key, or nothing that
 * we write. */
int shared_parse(const char *text, const struct digest *key, struct step_record *ret_record,
		 struct descriptor *ret_blob, json_t **ret_parts, struct err *err);

/* One element of an image's cache, and back; its layer must be one of the image's. */
json_t *shared_format_inline(const struct digest *key, const struct step_record *record,
			     const struct image *image);
int shared_parse_inline(const json_t *element, const struct image *image, struct digest *ret_key,
			struct step_record *ret_record, struct err *err);

#endif
