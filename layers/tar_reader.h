/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_TAR_READER_H
#define LAYERS_TAR_READER_H

/*
 * layers/tar_reader.h: the two halves of reading tar: tar_read.c has the stream, tar_member.c
 * makes an entry of a member's headers.
 */

#include "base/buf.h"
#include "layers/internal.h"

struct tar_reader {
	struct decompressor *from;
	char *what;
	unsigned flags;
	const unsigned char *data; /* rest of the decompressor's block */
	size_t have;
	uint64_t left;	   /* stored content of the member that was not read */
	size_t pad;	   /* and the zeros after it */
	uint64_t position; /* in the content as the caller sees it */
	size_t extent;	   /* of a sparse file: the current one */
	bool sparse, ended;
	bool has_pax;
	struct tar_pax pax;
	struct buf pax_body, long_name, long_link;
	struct buf raw; /* the member's name as it was spelled */
	struct entry entry;
	char path[ENTRY_PATH_MAX], link[ENTRY_PATH_MAX];
};

/* ERR_CORRUPT, with what is read and why. Returns -1. */
int tar_corrupt(struct tar_reader *reader, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The next len bytes to `to` (NULL: dropped); fewer are ERR_CORRUPT. */
int tar_take(struct tar_reader *reader, void *to, uint64_t len, struct err *err);

/*
 * Fill reader->entry from a member's header and what came before it, and reader->left and the
 * like from what follows. 1, or 0 when the member is to be dropped.
 */
int tar_set_entry(struct tar_reader *reader, const struct tar_header *header, struct err *err);

#endif
