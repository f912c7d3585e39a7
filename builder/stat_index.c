/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading an index. All of it is checked before any of it is believed. Its pages are let go as it
 * is read: a mapping counts as memory of the process for as long as it was touched.
 */
#include "builder/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/mem.h"
#include "layers/store.h"

#define WINDOW ((size_t)2 << 20) /* bytes that are looked at before pages are let go */

/* The last bytes tell byte order and widths apart. */
void index_magic(char magic[16])
{
	const uint32_t order = 0x01020304;

	memset(magic, 0, 16);
	memcpy(magic, "cbuild-index", 12);
	memcpy(magic + 12, &order, sizeof(order));
}

const char *index_file(const char *path, char name[INDEX_NAME_MAX])
{
	struct digest digest;
	char hex[DIGEST_HEX_MAX];

	digest_of(path, strlen(path), &digest);
	snprintf(name, INDEX_NAME_MAX, INDEX_DIRECTORY "/%s", digest_hex(&digest, hex));
	return name;
}

void stat_index_let_go(struct stat_index *index)
{
	if (index->size > WINDOW)
		madvise((void *)index->bytes, index->size, MADV_DONTNEED);
	index->used = 0;
}

static void note_use(struct stat_index *index, size_t bytes)
{
	index->used += bytes;
	if (index->used > WINDOW)
		stat_index_let_go(index);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool sizes_fit(const struct stat_index *index)
{
	const struct index_header *header = index->header;
	char magic[16];

	index_magic(magic);
	return index->size >= sizeof(*header) && !memcmp(header->magic, magic, sizeof(magic)) &&
	       header->n_records < INDEX_SIZE_MAX && header->n_dirs < INDEX_SIZE_MAX &&
	       header->pool_len < INDEX_SIZE_MAX &&
	       index->size == sizeof(*header) + header->n_records * sizeof(struct index_record) +
				      header->n_dirs * sizeof(struct index_dir) + header->pool_len;
}

static bool records_are_sound(struct stat_index *index)
{
	uint64_t pool_len = index->header->pool_len;

	for (uint64_t i = 0; i < index->header->n_records; i++) {
		const struct index_record *record = &index->records[i];

		if (record->name >= pool_len || record->xattrs > pool_len ||
		    record->xattrs_len > pool_len - record->xattrs ||
		    record->xattrs_len > NODE_XATTRS_MAX * 2 ||
		    (record->xattrs_len &&
		     !xattrs_are_sound(stat_index_xattrs(index, record), record->xattrs_len)))
			return false;
		note_use(index, sizeof(*record) + record->xattrs_len);
	}
	return true;
}

static bool dirs_are_sound(const struct stat_index *index)
{
	const struct index_header *header = index->header;

	if (header->pool_len && index->pool[header->pool_len - 1])
		return false;
	for (uint64_t i = 0; i < header->n_dirs; i++) {
		const struct index_dir *dir = &index->dirs[i];

		if (dir->path >= header->pool_len || dir->first > header->n_records ||
		    dir->n > header->n_records - dir->first)
			return false;
	}
	return true;
}

static bool digest_is_right(struct stat_index *index)
{
	struct index_header header = *index->header;
	struct hasher hasher;
	struct digest digest;

	memset(&header.digest, 0, sizeof(header.digest));
	hasher_init(&hasher);
	for (size_t at = sizeof(header); at < index->size; at += WINDOW) {
		size_t left = index->size - at, len = left < WINDOW ? left : WINDOW;

		hasher_add(&hasher, index->bytes + at, len);
		stat_index_let_go(index);
	}
	hasher_add(&hasher, &header, sizeof(header));
	hasher_finish(&hasher, &digest);
	return digest_equal(&digest, &index->header->digest);
}

/* Set the parts of the mapping and check all of it. */
static bool settle(struct stat_index *index)
{
	index->header = (const void *)index->bytes;
	if (!sizes_fit(index))
		return false;
	index->records = (const void *)(index->header + 1);
	index->dirs = (const void *)(index->records + index->header->n_records);
	index->pool = (const char *)(index->dirs + index->header->n_dirs);
	return digest_is_right(index) && dirs_are_sound(index) && records_are_sound(index);
}

struct stat_index *stat_index_open(struct store *store, const char *path, bool *ret_damaged)
{
	char name[INDEX_NAME_MAX];
	cleanup_fd int fd = openat(store_fd(store), index_file(path, name),
				   O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat_index *index;
	struct stat stat;
	void *bytes;

	*ret_damaged = false;
	if (fd < 0 || fstat(fd, &stat) < 0)
		return NULL;
	*ret_damaged = true;
	if (!S_ISREG(stat.st_mode) || stat.st_size < (off_t)sizeof(struct index_header) ||
	    (uint64_t)stat.st_size > INDEX_SIZE_MAX)
		return NULL;
	bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return NULL;
	index = xcalloc(1, sizeof(*index));
	index->bytes = bytes;
	index->size = (size_t)stat.st_size;
	if (!settle(index)) {
		stat_index_free(index);
		return NULL;
	}
	*ret_damaged = false;
	return index;
}

void stat_index_free(struct stat_index *index)
{
	if (!index)
		return;
	munmap((void *)index->bytes, index->size);
	free(index);
}

const char *stat_index_name(const struct stat_index *index, const struct index_record *record)
{
	return index->pool + record->name;
}

const unsigned char *stat_index_xattrs(const struct stat_index *index,
				       const struct index_record *record)
{
	return (const unsigned char *)index->pool + record->xattrs;
}

const struct index_record *stat_index_find(struct stat_index *index, const char *dir,
					   size_t *ret_n)
{
	size_t low = 0, high = index->header->n_dirs;

	*ret_n = 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct index_dir *at = &index->dirs[middle];
		int order = strcmp(index->pool + at->path, dir);

		if (order == 0) {
			*ret_n = at->n;
			note_use(index, at->n * sizeof(struct index_record));
			return index->records + at->first;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
