/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_REPORT_H
#define BUILDER_REPORT_H

/*
 * builder/report.h: how reports are made and kept; the parts of builder/explain.h that only
 * builder/ uses.
 */

#include "base/strv.h"
#include "builder/explain.h"

struct buf;
struct copy;

/* --- report.c: reports, and the record of the last build -------------------------------------- */

/* Any of the texts may be NULL. All are copied. */
struct change *changes_add(struct changes *changes, enum change_kind kind, const char *part,
			   const char *name, const char *old, const char *new);
void changes_release(struct changes *changes);

struct build_report *build_report_new(const char *context, const char *dockerfile);

/* A new step at the end; it counts its number. */
struct step_report *report_add(struct build_report *report, const char *stage, unsigned position,
			       const char *text);

/* Move the steps of another report to the end, with the numbers that they have. */
void report_take(struct build_report *report, struct build_report *from);

/* The digest of the step's text. */
const struct digest *report_whole(struct step_report *step);

/* The record of the last build. ERR_NOT_FOUND when there is none, or it cannot be used. */
int report_read(struct store *store, const char *context, const char *dockerfile,
		struct build_report **ret_report, struct err *err);

/*
 * Replace it, unless this build found all in the cache and the record says so already, which
 * costs one small read. Steps of earlier builds that this one did not come
 * to are carried over; `complete` tells which stages are whole (a strv of their names).
 */
int report_write(struct store *store, struct build_report *report, const struct strv *complete,
		 struct err *err);

/*
 * The step of an earlier report that `step` was: of the same stage and kind, with the same text, or
 * if there is none, one whose text is not in `texts` (the digests of all texts of the stage) any
 * more; the nearest by position. NULL when there is none.
 */
const struct step_report *report_find(const struct build_report *earlier,
				      const struct step_report *step, const struct digest *texts,
				      size_t n_texts);

/* --- report_json.c ---------------------------------------------------------------------------- */

/* With `record`, what only a later build needs is in it too. */
json_t *report_json(const struct build_report *report, bool record);
int report_parse(const struct buf *text, struct build_report **ret_report, struct err *err);

/* --- explain.c -------------------------------------------------------------------------------- */

struct stage;

/* The step under way. */
struct step_report *report_current(const struct stage *stage);

/* A stage as stage_begin() calls it: by its name, or its number. */
#define STAGE_LABEL_MAX 32
void stage_label(const struct stage *stage, char label[STAGE_LABEL_MAX], const char **ret_label);

/* --- parts.c: the difference of two keys, pure ------------------------------------------------ */

/*
 * Compare the parts of two keys as struct key and step records have them. `parent` and `content`
 * come out as CHANGE_PART like the others; the caller knows what they stand for. Parts that are
 * lists are compared as a whole, the environment by names.
 */
void parts_diff(const json_t *old, const json_t *new, struct changes *changes);

/* The text of the first part of that name, or NULL. */
const char *parts_get(const json_t *parts, const char *name);

/* --- files.c: what a COPY selected, as text --------------------------------------------------- */

#define FILES_MAX (16 * 1024 * 1024) /* bytes of lists that are compared in memory */

/*
 * The lists of some copies, one after another, as a blob of the store, whatever their length. One
 * line for each entry: type, mode, owner or "-", content or target or "-", the digest of its other
 * attributes or "-", path; in the order of the selection.
 */
int files_put(struct store *store, const struct copy *const *copies, size_t n,
	      struct digest *ret_digest, struct err *err);

/* The differences of two lists, by path. Lines that are none of these are skipped. */
void files_diff(const char *old, const char *new, struct changes *changes);

/* As files_diff() for lists that are blobs of the store. What they begin and end with alike is left
 * out first: ERR_LIMIT when the rest is larger than FILES_MAX. ERR_NOT_FOUND when one is gone. */
int files_diff_blobs(struct store *store, const char *old, const char *new, struct changes *changes,
		     struct err *err);

/* The same with the list that files_put() would make: nothing is kept. */
int files_diff_copies(struct store *store, const char *old, const struct copy *const *copies,
		      size_t n, struct changes *changes, struct err *err);

#endif
