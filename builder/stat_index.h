/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_STAT_INDEX_H
#define BUILDER_STAT_INDEX_H

/*
 * builder/stat_index.h: the stat index of a context as it lies in its file, contexts/<sha256 of the
 * context's path>, which is replaced whole by rename, so that builds that share a context each see
 * a whole one; the last to write wins and what the other knew is read again. Layout, in the
 * machine's byte order (a store does not travel):
 *
 *	header	magic, counts, the sha256 of all that follows and then of the header with this
 *		field zero
 *	records	struct index_record, those of one directory together, sorted by name
 *	dirs	struct index_dir, sorted by path
 *	pool	texts with their NUL, and attribute lists
 *
 * Whatever does not fit that is damage: the index is not used, and written anew.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

#define INDEX_DIRECTORY "contexts"
#define INDEX_NAME_MAX	(sizeof(INDEX_DIRECTORY) + DIGEST_HEX_MAX)
#define INDEX_SIZE_MAX	((uint64_t)4 << 30)

struct index_header {
	char magic[16];
	uint64_t n_records, n_dirs, pool_len;
	struct digest digest;
};

/* One file. */
struct index_record {
	uint64_t dev, ino, size;
	int64_t mtime, ctime;
	struct digest digest;
	uint32_t name;	 /* offset into the pool */
	uint32_t xattrs; /* offset into the pool, of xattrs_len bytes */
	uint32_t xattrs_len;
	uint32_t unused;
};

struct index_dir {
	uint32_t path;	   /* offset into the pool */
	uint32_t first, n; /* records */
};

/* An index in memory: a mapping of a file that nobody changes in place. */
struct stat_index {
	const unsigned char *bytes;
	size_t size;
	const struct index_header *header;
	const struct index_record *records;
	const struct index_dir *dirs;
	const char *pool;
	_Atomic size_t used; /* bytes of records that were looked at since pages were let go */
};

void index_magic(char magic[16]);

/* Let go of its pages, as reading does of itself every so often. */
void stat_index_let_go(struct stat_index *index);

/* The name of the file in the store. */
const char *index_file(const char *path, char name[INDEX_NAME_MAX]);

#endif
