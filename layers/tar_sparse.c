/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sparse files in the four ways that GNU tar has written them: old headers of type 'S', and pax
 * 0.0 (a record per number), 0.1 (one record with a list) and 1.0 (a list before the content).
 * A map is bounded, and must describe the stored bytes exactly.
 */
#include "layers/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define EXTENTS_MAX (1024 * 1024)

static int corrupt(struct err *err)
{
	return err_set(err, ERR_CORRUPT, "corrupt tar: bad map of a sparse file");
}

void tar_sparse_reset(struct tar_sparse *sparse)
{
	*sparse = (struct tar_sparse){ .extents = sparse->extents, .cap = sparse->cap };
}

void tar_sparse_release(struct tar_sparse *sparse)
{
	free(sparse->extents);
	*sparse = (struct tar_sparse){ 0 };
}

int tar_sparse_add(struct tar_sparse *sparse, int64_t offset, int64_t len, struct err *err)
{
	if (offset < 0 || len < 0)
		return corrupt(err);
	if (sparse->n == EXTENTS_MAX)
		return err_set(err, ERR_LIMIT, "a sparse file has more than %d extents",
			       EXTENTS_MAX);
	sparse->extents =
		grow_vector(sparse->extents, sparse->n, &sparse->cap, sizeof(*sparse->extents));
	sparse->extents[sparse->n++] = (struct tar_extent){ (uint64_t)offset, (uint64_t)len };
	return 0;
}

int tar_sparse_check(const struct tar_sparse *sparse, uint64_t stored, struct err *err)
{
	uint64_t end = 0, sum = 0;

	for (size_t i = 0; i < sparse->n; i++) {
		const struct tar_extent *extent = &sparse->extents[i];

		/* offset and len are below 2^63: no sum of the two overflows */
		if (extent->offset < end || extent->offset + extent->len > sparse->size)
			return corrupt(err);
		end = extent->offset + extent->len;
		sum += extent->len;
	}
	return sum == stored ? 0 : corrupt(err);
}

/* Numbers come in turns: an offset, its length. */
static int add_number(struct tar_sparse *sparse, uint64_t number, struct err *err)
{
	if (number > INT64_MAX)
		return corrupt(err);
	if (sparse->n_numbers++ % 2 == 0)
		return tar_sparse_add(sparse, (int64_t)number, 0, err);
	sparse->extents[sparse->n - 1].len = number;
	return 0;
}

/* Format 0.1: "offset,length,offset,length". */
static int parse_list(struct tar_sparse *sparse, char *list, struct err *err)
{
	char *text;

	while ((text = strsep(&list, ","))) {
		uint64_t number;

		if (!tar_parse_decimal(text, &number))
			return corrupt(err);
		if (add_number(sparse, number, err) < 0)
			return -1;
	}
	return sparse->n_numbers % 2 ? corrupt(err) : 0;
}

static int take_version(unsigned *place, const char *value, struct err *err)
{
	uint64_t number;

	if (!tar_parse_decimal(value, &number) || number > 1)
		return err_set(err, ERR_UNSUPPORTED, "unknown sparse format \"%.20s\" in tar",
			       value);
	*place = (unsigned)number;
	return 0;
}

static int take_size(struct tar_sparse *sparse, const char *value, struct err *err)
{
	if (sparse->has_size || !tar_parse_decimal(value, &sparse->size) ||
	    sparse->size > INT64_MAX)
		return corrupt(err);
	sparse->has_size = true;
	return 0;
}

int tar_sparse_record(struct tar_sparse *sparse, const char *key, char *value, struct err *err)
{
	bool offset = !strcmp(key, "offset");
	uint64_t number;

	if (!strcmp(key, "major")) {
		sparse->has_major = true;
		return take_version(&sparse->major, value, err);
	}
	if (!strcmp(key, "minor"))
		return take_version(&sparse->minor, value, err);
	if (!strcmp(key, "size") || !strcmp(key, "realsize"))
		return take_size(sparse, value, err);
	if (!strcmp(key, "name")) {
		if (sparse->name)
			return corrupt(err);
		sparse->name = value;
		return 0;
	}
	if (!strcmp(key, "map")) {
		if (sparse->has_list || sparse->n_numbers)
			return corrupt(err);
		sparse->has_map = sparse->has_list = true;
		return *value ? parse_list(sparse, value, err) : 0;
	}
	if (offset || !strcmp(key, "numbytes")) {
		sparse->has_map = true;
		if (sparse->has_list || (sparse->n_numbers % 2 == 0) != offset ||
		    !tar_parse_decimal(value, &number))
			return corrupt(err);
		return add_number(sparse, number, err);
	}
	if (!strcmp(key, "numblocks"))
		sparse->has_map = true;
	return 0;
}

/* --- old GNU headers -------------------------------------------------------------------------- */

struct old_extent {
	char offset[12];
	char len[12];
};

struct old_header {
	char before[386];
	struct old_extent extents[4];
	char more;
	char size[12];
	char rest[17];
};
_Static_assert(sizeof(struct old_header) == TAR_BLOCK, "a header is one block");

struct old_extension {
	struct old_extent extents[21];
	char more;
	char rest[7];
};
_Static_assert(sizeof(struct old_extension) == TAR_BLOCK, "an extension is one block");

static int add_old(struct tar_sparse *sparse, const struct old_extent *extents, size_t n,
		   struct err *err)
{
	for (size_t i = 0; i < n && extents[i].offset[0]; i++) {
		int64_t offset, len;

		if (!tar_parse_number(extents[i].offset, sizeof(extents[i].offset), &offset) ||
		    !tar_parse_number(extents[i].len, sizeof(extents[i].len), &len))
			return corrupt(err);
		if (tar_sparse_add(sparse, offset, len, err) < 0)
			return -1;
	}
	return 0;
}

int tar_sparse_old(struct tar_sparse *sparse, const void *block, bool extension, bool *ret_more,
		   struct err *err)
{
	const struct old_extension *more = block;
	const struct old_header *header = block;
	int64_t size;

	if (extension) {
		*ret_more = more->more != 0;
		return add_old(sparse, more->extents, ARRAY_SIZE(more->extents), err);
	}
	if (!tar_parse_number(header->size, sizeof(header->size), &size) || size < 0)
		return corrupt(err);
	sparse->size = (uint64_t)size;
	*ret_more = header->more != 0;
	return add_old(sparse, header->extents, ARRAY_SIZE(header->extents), err);
}
