/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_COPY_WORDS_H
#define BUILDER_COPY_WORDS_H

/* builder/copy_words.h: what a COPY or ADD says, expanded and sorted by kind of source. */

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "builder/internal.h"
#include "builder/remote.h"

struct copy_words {
	struct strv sources;  /* all of them as history shows them, without passwords */
	struct strv patterns; /* paths in the source */
	struct range *ranges; /* of the patterns */
	struct strv excludes;
	char *dest;
	char *chown, *chmod;
	struct strv urls; /* of the remotes */
	struct copy_remote *remotes;
	char **names; /* of the remotes */
	size_t n_remotes;
	struct range remote_range; /* of the last URL or repository */
	struct copy_inline *inlines;
	char **contents; /* of inlines */
	size_t n_inlines;
	bool has_git;
	struct git_place git;
	bool has_checksum; /* of the one URL */
	struct digest checksum;
	bool unpack; /* --unpack, else what is usual for local files */
};

/* Errors point at the word. *ret_words is released by the caller, also after a failure. */
int copy_words_read(struct builder *builder, struct stage *stage,
		    const struct instruction *instruction, struct copy_words *words,
		    struct err *err);
void copy_words_release(struct copy_words *words);

#endif
