/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stat index of a context: contexts/<sha256 of its path>, replaced whole by rename, so that
 * builds that share a context each see a whole one; the last to write wins and what the other
 * knew is read again. Layout, in the machine's byte order (a store does not travel):
 *
 *	header	magic, counts, the sha256 of the whole file with this field zero
 *	records	struct index_record, those of one directory together, sorted by name
 *	dirs	struct index_dir, sorted by path
 *	pool	texts with their NUL, and attribute lists
 *
 * Whatever does not fit that is damage: the index is not used, and written anew. The mapping is
 * of a file that nobody changes in place.
 */
#include "builder/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/store.h"

#define DIRECTORY      "contexts"
#define INDEX_NAME_MAX (sizeof(DIRECTORY) + DIGEST_HEX_MAX)
#define INDEX_SIZE_MAX ((uint64_t)4 << 30)

struct index_header {
	char magic[16];
	uint64_t n_records, n_dirs, pool_len;
	struct digest digest;
};

struct index_dir {
	uint32_t path;	   /* offset into the pool */
	uint32_t first, n; /* records */
};

struct stat_index {
	const unsigned char *bytes;
	size_t size;
	const struct index_header *header;
	const struct index_record *records;
	const struct index_dir *dirs;
	const char *pool;
};

/* The last bytes tell byte order and widths apart. */
static void make_magic(char magic[16])
{
	const uint32_t order = 0x01020304;

	memset(magic, 0, 16);
	memcpy(magic, "cbuild index", 12);
	memcpy(magic + 12, &order, sizeof(order));
}

static const char *index_file(const char *path, char name[INDEX_NAME_MAX])
{
	struct digest digest;
	char hex[DIGEST_HEX_MAX];

	digest_of(path, strlen(path), &digest);
	snprintf(name, INDEX_NAME_MAX, DIRECTORY "/%s", digest_hex(&digest, hex));
	return name;
}

static void header_digest(struct index_header header, const void *rest, size_t len,
			  struct digest *ret_digest)
{
	struct hasher hasher;

	memset(&header.digest, 0, sizeof(header.digest));
	hasher_init(&hasher);
	hasher_add(&hasher, &header, sizeof(header));
	hasher_add(&hasher, rest, len);
	hasher_finish(&hasher, ret_digest);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool sizes_fit(const struct stat_index *index)
{
	const struct index_header *header = index->header;
	char magic[16];

	make_magic(magic);
	return index->size >= sizeof(*header) && !memcmp(header->magic, magic, sizeof(magic)) &&
	       header->n_records < INDEX_SIZE_MAX && header->n_dirs < INDEX_SIZE_MAX &&
	       header->pool_len < INDEX_SIZE_MAX &&
	       index->size == sizeof(*header) + header->n_records * sizeof(struct index_record) +
				      header->n_dirs * sizeof(struct index_dir) + header->pool_len;
}

static bool records_are_sound(const struct stat_index *index)
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

/* Set the parts of the mapping and check all of it. */
static bool settle(struct stat_index *index)
{
	struct digest digest;

	index->header = (const void *)index->bytes;
	if (!sizes_fit(index))
		return false;
	index->records = (const void *)(index->header + 1);
	index->dirs = (const void *)(index->records + index->header->n_records);
	index->pool = (const char *)(index->dirs + index->header->n_dirs);
	header_digest(*index->header, index->records, index->size - sizeof(*index->header),
		      &digest);
	return digest_equal(&digest, &index->header->digest) && dirs_are_sound(index) &&
	       records_are_sound(index);
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
	bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
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

const struct index_record *stat_index_find(const struct stat_index *index, const char *dir,
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
			return index->records + at->first;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct index_draft {
	struct index_record *records;
	size_t n_records, cap_records;
	struct index_dir *dirs;
	size_t n_dirs, cap_dirs;
	struct buf pool;
	char path[NODE_PATH_MAX]; /* of the directory that is added */
};

static uint32_t draft_pool(struct index_draft *draft, const void *bytes, size_t len)
{
	size_t at = draft->pool.len;

	buf_add(&draft->pool, bytes, len);
	return (uint32_t)at; /* fits, or the pool has overflowed and nothing is written */
}

static uint32_t draft_text(struct index_draft *draft, const char *text)
{
	return draft_pool(draft, text, strlen(text) + 1);
}

static struct index_record *draft_record(struct index_draft *draft)
{
	draft->records = grow_vector(draft->records, draft->n_records, &draft->cap_records,
				     sizeof(*draft->records));
	return memset(&draft->records[draft->n_records++], 0, sizeof(*draft->records));
}

/* Make a directory of the records from `first` on, when there are any. */
static void draft_dir(struct index_draft *draft, const char *path, size_t first)
{
	if (draft->n_records == first)
		return;
	draft->dirs =
		grow_vector(draft->dirs, draft->n_dirs, &draft->cap_dirs, sizeof(*draft->dirs));
	draft->dirs[draft->n_dirs++] = (struct index_dir){
		.path = draft_text(draft, path),
		.first = (uint32_t)first,
		.n = (uint32_t)(draft->n_records - first),
	};
}

static void draft_node(struct index_draft *draft, const struct node *node)
{
	struct index_record *record = draft_record(draft);

	record->dev = node->dev;
	record->ino = node->ino;
	record->size = node->size;
	record->mtime = node->mtime;
	record->ctime = node->ctime;
	record->digest = node->digest;
	record->name = draft_text(draft, node->name);
	if (node->xattrs) {
		record->xattrs_len = node->xattrs->len;
		record->xattrs = draft_pool(draft, node->xattrs->bytes, node->xattrs->len);
	}
}

/* What is loaded of dir and below. */
static void draft_loaded(struct index_draft *draft, const struct node *dir)
{
	size_t first = draft->n_records;

	for (size_t i = 0; i < dir->n_children; i++)
		if (S_ISREG(dir->children[i].mode) && dir->children[i].sound)
			draft_node(draft, &dir->children[i]);
	draft_dir(draft, node_path(NULL, dir, draft->path), first);
	for (size_t i = 0; i < dir->n_children; i++)
		if (S_ISDIR(dir->children[i].mode) && dir->children[i].loaded)
			draft_loaded(draft, &dir->children[i]);
}

/* Whether a directory of the old index was left alone by this build and may still exist. */
static bool was_not_read(const struct source *source, const char *path)
{
	const struct node *at = &source->root;

	while (at->loaded && *path) {
		size_t len = strcspn(path, "/");

		at = node_child(at, path, len);
		if (!at || !S_ISDIR(at->mode))
			return false;
		path += len + (path[len] == '/');
	}
	return !at->loaded;
}

static void draft_old(struct index_draft *draft, const struct source *source)
{
	const struct stat_index *old = source->index;

	for (uint64_t i = 0; old && i < old->header->n_dirs; i++) {
		const struct index_dir *dir = &old->dirs[i];
		size_t first = draft->n_records;

		if (!was_not_read(source, old->pool + dir->path))
			continue;
		for (uint32_t k = 0; k < dir->n; k++) {
			const struct index_record *from = &old->records[dir->first + k];
			struct index_record *record = draft_record(draft);

			*record = *from;
			record->name = draft_text(draft, stat_index_name(old, from));
			record->xattrs =
				draft_pool(draft, stat_index_xattrs(old, from), from->xattrs_len);
		}
		draft_dir(draft, old->pool + dir->path, first);
	}
}

static int compare_dirs(const void *a, const void *b, void *pool)
{
	return strcmp((const char *)pool + ((const struct index_dir *)a)->path,
		      (const char *)pool + ((const struct index_dir *)b)->path);
}

static int draft_write(struct index_draft *draft, const struct source *source, struct err *err)
{
	struct index_header header = {
		.n_records = draft->n_records,
		.n_dirs = draft->n_dirs,
	};
	char name[INDEX_NAME_MAX];
	cleanup_buf struct buf out;

	buf_init(&out, INDEX_SIZE_MAX);
	draft_text(draft, ""); /* so that the pool ends with a NUL */
	header.pool_len = draft->pool.len;
	make_magic(header.magic);
	if (draft->n_dirs)
		qsort_r(draft->dirs, draft->n_dirs, sizeof(*draft->dirs), compare_dirs,
			draft->pool.data);
	buf_add(&out, &header, sizeof(header));
	buf_add(&out, draft->records, draft->n_records * sizeof(*draft->records));
	buf_add(&out, draft->dirs, draft->n_dirs * sizeof(*draft->dirs));
	buf_add(&out, draft->pool.data, draft->pool.len);
	if (draft->pool.overflow || out.overflow || draft->n_records > UINT32_MAX)
		return err_set(err, ERR_LIMIT, "too many files for an index");
	header_digest(header, out.data + sizeof(header), out.len - sizeof(header), &header.digest);
	memcpy(out.data, &header, sizeof(header));
	if (file_mkdirs_at(store_fd(source->store), DIRECTORY, 0700, err) < 0)
		return -1;
	return file_replace_at(store_fd(source->store), index_file(source->path, name), out.data,
			       out.len, 0600, false, err);
}

int stat_index_save(const struct source *source, struct err *err)
{
	struct index_draft draft = { 0 };
	int status;

	buf_init(&draft.pool, UINT32_MAX);
	if (source->root.loaded)
		draft_loaded(&draft, &source->root);
	draft_old(&draft, source);
	status = draft_write(&draft, source, err);
	free(draft.records);
	free(draft.dirs);
	buf_release(&draft.pool);
	return status;
}
