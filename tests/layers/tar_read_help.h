/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAYERS_TAR_READ_HELP_H
#define TESTS_LAYERS_TAR_READ_HELP_H

/* Archives made by tar_build.h, read and shown, for a group of tests with setup() and teardown().
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/entry.h"
#include "tests/layers/tar_build.h"

/* A line per member: type, path, and what else matters. */
static inline void describe(struct buf *out, const struct entry *entry)
{
	static const char types[] = { 'f', 'd', 'l', 'h', 'c', 'b', 'p', 'W', 'O' };

	buf_addf(out, "%c %s", types[entry->type], entry->path);
	if (entry->type == ENTRY_SYMLINK || entry->type == ENTRY_HARDLINK)
		buf_addf(out, " -> %s", entry->link);
	if (entry->type == ENTRY_FILE)
		buf_addf(out, " %llu", (unsigned long long)entry->size);
	for (size_t i = 0; i < entry->n_xattrs; i++)
		buf_addf(out, " %s:%zu", entry->xattrs[i].name, entry->xattrs[i].len);
	buf_addch(out, '\n');
}

/* Read all; 0 and the listing, or -1. Content of files is read when asked. */
static inline int list_fd(int fd, unsigned flags, uint64_t max, bool read_content, struct buf *out,
			  struct err *err)
{
	const struct entry *entry;
	struct tar_reader *reader;
	struct digest digest;
	uint64_t size;
	int status;

	buf_clear(out);
	if (tar_reader_open(fd, "test", flags, max, &reader, err) < 0)
		return -1;
	while ((status = tar_reader_next(reader, &entry, err)) == 1) {
		char block[1000];
		uint64_t total = 0;
		ssize_t got = 0;

		describe(out, entry);
		while (entry->type == ENTRY_FILE && read_content &&
		       (got = tar_reader_read(reader, block, sizeof(block), err)) > 0)
			total += (uint64_t)got;
		if (got < 0) {
			status = -1;
			break;
		}
		if (entry->type == ENTRY_FILE && read_content)
			assert_int_equal(total, entry->size);
	}
	if (status == 0)
		status = tar_reader_finish(reader, &digest, &size, err);
	tar_reader_free(reader);
	return status;
}

static inline int list(const struct buf *tar, unsigned flags, struct buf *out, struct err *err)
{
	cleanup_fd int fd = tar_as_fd(tar->data, tar->len);

	return list_fd(fd, flags, 0, true, out, err);
}

static inline void expect(struct buf *tar, const char *want)
{
	struct err err = ERR_INIT;
	cleanup_buf struct buf out;

	buf_init(&out, TAR_BUILD_MAX);
	tar_put_end(tar);
	if (list(tar, TAR_READER_LAYER, &out, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(out.data, want);
	buf_clear(tar);
}

static inline void expect_error(struct buf *tar, enum err_kind kind, const char *text)
{
	struct err err = ERR_INIT;
	cleanup_buf struct buf out;

	buf_init(&out, TAR_BUILD_MAX);
	tar_put_end(tar);
	assert_int_equal(list(tar, TAR_READER_LAYER, &out, &err), -1);
	assert_int_equal(err.kind, kind);
	if (!strstr(err.message, text))
		fail_msg("\"%s\" does not say \"%s\"", err.message, text);
	buf_clear(tar);
}

static inline int setup(void **state)
{
	static struct buf tar;

	buf_init(&tar, TAR_BUILD_MAX);
	*state = &tar;
	return 0;
}

static inline int teardown(void **state)
{
	buf_release(*state);
	return 0;
}

#endif
