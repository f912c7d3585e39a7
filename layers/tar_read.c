/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tar in, from anybody. The stream is read once, in order, and never seeked; what a member says
 * of itself is believed only after it was checked:
 *  1. A pax header or GNU long name belongs to exactly the next member. Its size is that of its
 *     own header; pax "size" counts only for the content of the member it describes.
 *  2. Only regular files have content. A hard link that claims some is corrupt.
 *  3. No allocation is as large as a header says: memory grows with bytes that were read, up to
 *     TAR_SPECIAL_MAX.
 *  4. Names end up relative, clean and inside the root by text alone; links in a target's
 *     directories are for whoever opens it to resolve.
 * Flips of types and duplicate members are not errors here.
 */
#include "layers/entry.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "layers/internal.h"
#include "layers/tar_reader.h"

int tar_corrupt(struct tar_reader *reader, struct err *err, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return err_set(err, ERR_CORRUPT, "%s: corrupt tar: %s", reader->what, text);
}

int tar_reader_open(int fd, const char *what, unsigned flags, uint64_t max_bytes,
		    struct tar_reader **ret_reader, struct err *err)
{
	struct decompressor *from;
	struct tar_reader *reader;

	if (decompressor_open(fd, -1, what, max_bytes, &from, err) < 0)
		return -1;
	reader = xcalloc(1, sizeof(*reader));
	reader->from = from;
	reader->what = xstrdup(what);
	reader->flags = flags;
	buf_init(&reader->pax_body, TAR_SPECIAL_MAX);
	buf_init(&reader->long_name, TAR_SPECIAL_MAX);
	buf_init(&reader->long_link, TAR_SPECIAL_MAX);
	buf_init(&reader->raw, TAR_SPECIAL_MAX);
	*ret_reader = reader;
	return 0;
}

void tar_reader_free(struct tar_reader *reader)
{
	if (!reader)
		return;
	decompressor_free(reader->from);
	tar_pax_release(&reader->pax);
	buf_release(&reader->pax_body);
	buf_release(&reader->long_name);
	buf_release(&reader->long_link);
	buf_release(&reader->raw);
	free(reader->what);
	free(reader);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Make reader->have non-zero unless the stream is at its end. */
static int fill(struct tar_reader *reader, struct err *err)
{
	if (reader->have)
		return 0;
	return decompressor_next(reader->from, &reader->data, &reader->have, err);
}

static int cut_short(struct tar_reader *reader, struct err *err)
{
	return tar_corrupt(reader, err, "it ends in the middle of a member");
}

/* len bytes to `to` (NULL: dropped). *ret_got may be less at the end of the stream. */
static int take(struct tar_reader *reader, void *to, uint64_t len, uint64_t *ret_got,
		struct err *err)
{
	uint64_t got = 0;

	while (got < len) {
		size_t part;

		if (fill(reader, err) < 0)
			return -1;
		if (!reader->have)
			break;
		part = reader->have < len - got ? reader->have : (size_t)(len - got);
		if (to)
			memcpy((char *)to + got, reader->data, part);
		reader->data += part;
		reader->have -= part;
		got += part;
	}
	*ret_got = got;
	return 0;
}

int tar_take(struct tar_reader *reader, void *to, uint64_t len, struct err *err)
{
	uint64_t got;

	if (take(reader, to, len, &got, err) < 0)
		return -1;
	return got == len ? 0 : cut_short(reader, err);
}

/* 1: a header block; 0: the end (two zero blocks, one at the end of the stream, or none). */
static int take_header(struct tar_reader *reader, struct tar_header *header, struct err *err)
{
	for (unsigned zeros = 0;;) {
		uint64_t got;

		if (take(reader, header, TAR_BLOCK, &got, err) < 0)
			return -1;
		if (got == 0)
			return 0;
		if (got < TAR_BLOCK)
			return cut_short(reader, err);
		if (tar_block_is_zero(header)) {
			if (++zeros == 2)
				return 0;
			continue;
		}
		if (zeros)
			return tar_corrupt(reader, err, "a member after a zero block");
		if (!tar_header_is_sound(header))
			return tar_corrupt(reader, err, "bad header checksum");
		return 1;
	}
}

/* --- extended headers ------------------------------------------------------------------------- */

/* The body of a special member, in pieces, so that memory follows the bytes. */
static int take_body(struct tar_reader *reader, const struct tar_header *header, struct buf *body,
		     struct err *err)
{
	int64_t size;
	uint64_t left;

	if (!tar_parse_number(header->size, sizeof(header->size), &size) || size < 0)
		return tar_corrupt(reader, err, "bad size of an extended header");
	if (size > TAR_SPECIAL_MAX)
		return err_set(err, ERR_LIMIT, "%s: a tar header is larger than %d bytes",
			       reader->what, TAR_SPECIAL_MAX);
	for (left = (uint64_t)size; left > 0;) {
		size_t part;

		if (fill(reader, err) < 0)
			return -1;
		if (!reader->have)
			return cut_short(reader, err);
		part = reader->have < left ? reader->have : (size_t)left;
		if (body)
			buf_add(body, reader->data, part);
		reader->data += part;
		reader->have -= part;
		left -= part;
	}
	return tar_take(reader, NULL, tar_padding((uint64_t)size), err);
}

static int take_pax(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	if (reader->has_pax)
		return tar_corrupt(reader, err, "two extended headers for one member");
	reader->has_pax = true;
	if (take_body(reader, header, &reader->pax_body, err) < 0)
		return -1;
	if (tar_pax_parse(&reader->pax, reader->pax_body.data, reader->pax_body.len, err) < 0)
		return err_wrap(err, "%s", reader->what);
	return 0;
}

/* GNU long names end with a NUL, which nothing but NULs may follow. */
static int take_long(struct tar_reader *reader, const struct tar_header *header, struct buf *name,
		     struct err *err)
{
	if (name->len)
		return tar_corrupt(reader, err, "two long names for one member");
	if (take_body(reader, header, name, err) < 0)
		return -1;
	for (size_t i = strlen(name->data); i < name->len; i++)
		if (name->data[i])
			return tar_corrupt(reader, err, "a NUL in a long name");
	return 0;
}

/* Read special headers up to that of a member: 1, or 0 at the end. */
static int take_member(struct tar_reader *reader, struct tar_header *header, struct err *err)
{
	for (;;) {
		int status = take_header(reader, header, err);

		if (status < 0)
			return -1;
		if (status == 0) {
			if (reader->has_pax || reader->long_name.len || reader->long_link.len)
				return cut_short(reader, err);
			return 0;
		}
		switch (header->type) {
		case 'x':
		case 'X':
			status = take_pax(reader, header, err);
			break;
		case 'L':
			status = take_long(reader, header, &reader->long_name, err);
			break;
		case 'K':
			status = take_long(reader, header, &reader->long_link, err);
			break;
		case 'g': /* defaults for all members, which no layer writer uses; git's comment */
		case 'V': /* a volume's label */
			status = take_body(reader, header, NULL, err);
			break;
		default:
			return 1;
		}
		if (status < 0)
			return -1;
	}
}

/* --- members ---------------------------------------------------------------------------------- */

static int skip_content(struct tar_reader *reader, struct err *err)
{
	uint64_t rest = reader->left + reader->pad;

	reader->left = reader->pad = 0;
	reader->position = 0;
	reader->extent = 0;
	reader->sparse = false;
	reader->has_pax = false;
	tar_pax_reset(&reader->pax);
	buf_clear(&reader->pax_body);
	buf_clear(&reader->long_name);
	buf_clear(&reader->long_link);
	return tar_take(reader, NULL, rest, err);
}

int tar_reader_next(struct tar_reader *reader, const struct entry **ret_entry, struct err *err)
{
	struct tar_header header;
	int status = 0;

	while (!reader->ended && status == 0) {
		if (skip_content(reader, err) < 0)
			return -1;
		status = take_member(reader, &header, err);
		if (status < 0)
			return -1;
		if (status == 0)
			reader->ended = true;
		else
			status = tar_set_entry(reader, &header, err);
	}
	if (status == 1)
		*ret_entry = &reader->entry;
	return status;
}

/* How far the current piece of a sparse file goes, and whether it is a hole. */
static uint64_t piece(struct tar_reader *reader, bool *ret_hole)
{
	const struct tar_sparse *sparse = &reader->pax.sparse;

	for (; reader->extent < sparse->n; reader->extent++) {
		const struct tar_extent *extent = &sparse->extents[reader->extent];

		*ret_hole = reader->position < extent->offset;
		if (*ret_hole)
			return extent->offset - reader->position;
		if (reader->position < extent->offset + extent->len)
			return extent->offset + extent->len - reader->position;
	}
	*ret_hole = true;
	return sparse->size - reader->position;
}

ssize_t tar_reader_read(struct tar_reader *reader, void *data, size_t len, struct err *err)
{
	size_t done = 0;

	assert(reader->entry.type == ENTRY_FILE);
	while (done < len && reader->position < reader->entry.size) {
		bool hole = false;
		uint64_t part = reader->sparse ? piece(reader, &hole) : reader->left;

		if (part > len - done)
			part = len - done;
		if (hole) {
			memset((char *)data + done, 0, part);
		} else {
			if (tar_take(reader, (char *)data + done, part, err) < 0)
				return -1;
			reader->left -= part;
		}
		reader->position += part;
		done += part;
	}
	return (ssize_t)done;
}

int tar_reader_finish(struct tar_reader *reader, struct digest *ret_diff_id, uint64_t *ret_size,
		      struct err *err)
{
	assert(reader->ended);
	reader->have = 0;
	return decompressor_finish(reader->from, ret_diff_id, ret_size, err);
}

bool tar_detect(int fd)
{
	struct tar_header header;
	const unsigned char *data;
	struct decompressor *from;
	struct err err = ERR_INIT;
	size_t have = 0, len;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    decompressor_open(fd, 0, "", 0, &from, &err) < 0)
		return false;
	do {
		if (decompressor_next(from, &data, &len, &err) < 0)
			break;
		len = len < sizeof(header) - have ? len : sizeof(header) - have;
		memcpy((char *)&header + have, data, len);
		have += len;
	} while (len && have < sizeof(header));
	decompressor_free(from);
	return have == sizeof(header) && !tar_block_is_zero(&header) &&
	       tar_header_is_sound(&header);
}
