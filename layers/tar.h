/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_TAR_H
#define LAYERS_TAR_H

/* layers/tar.h: tar on the wire (tar_header.c, tar_sparse.c, tar_write.c, tar_read.c, entry.c);
 * private to layers/. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "layers/entry.h"

struct err;
struct sink;

#define TAR_BLOCK	512
#define TAR_WHITEOUT	".wh."
#define TAR_OPAQUE	".wh..wh..opq"
#define TAR_XATTR_KEY	"SCHILY.xattr."
#define TAR_SPECIAL_MAX (1024 * 1024) /* bytes of one pax header or GNU long name */

/* A ustar header block. Text fields that are full have no NUL. */
struct tar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char uname[32];
	char gname[32];
	char dev_major[8];
	char dev_minor[8];
	char prefix[155];
	char rest[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header is one block");

/* Zeros that follow size bytes of content. */
static inline size_t tar_padding(uint64_t size)
{
	return (size_t)(-size & (TAR_BLOCK - 1));
}

bool tar_block_is_zero(const void *block);

/* Whether the checksum is right (summed as unsigned or, as some old writers did, signed bytes). */
bool tar_header_is_sound(const struct tar_header *header);

/* A field in octal or GNU's base 256. False when it is neither, or does not fit. */
bool tar_parse_number(const char *field, size_t size, int64_t *ret_number);

/* Decimal digits and nothing else. */
bool tar_parse_decimal(const char *text, uint64_t *ret_number);

struct tar_extent {
	uint64_t offset, len;
};

/* Where the data of a sparse file lies. */
struct tar_sparse {
	struct tar_extent *extents;
	size_t n, cap;
	size_t n_numbers;	 /* of a pax 0.0 header: offsets and lengths seen */
	unsigned major, minor;	 /* of the pax format */
	bool has_map, has_major; /* in the pax header; the map in any of its forms */
	bool has_list;		 /* as one record */
	bool has_size;
	uint64_t size; /* apparent bytes */
	char *name;    /* the real name; borrowed */
};

/* One more record "GNU.sparse.<key>" of a pax header. Text is borrowed. */
int tar_sparse_record(struct tar_sparse *sparse, const char *key, char *value, struct err *err);

/* Add an extent; ERR_LIMIT when there are too many. */
int tar_sparse_add(struct tar_sparse *sparse, int64_t offset, int64_t len, struct err *err);

/* Extents in order, disjoint, within the size, and together `stored` bytes; else ERR_CORRUPT. */
int tar_sparse_check(const struct tar_sparse *sparse, uint64_t stored, struct err *err);

/* The extents of an old GNU header (type 'S') or of one of its extension blocks. *ret_more says
 * whether another extension block follows. */
int tar_sparse_old(struct tar_sparse *sparse, const void *block, bool extension, bool *ret_more,
		   struct err *err);

void tar_sparse_reset(struct tar_sparse *sparse); /* keeps its memory */
void tar_sparse_release(struct tar_sparse *sparse);

/* What a pax header says; text is borrowed from the body that was parsed. */
struct tar_pax {
	char *path, *link; /* NULL when absent */
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size, uid, gid;
	int64_t mtime;
	struct xattr *xattrs; /* those that an image may have, sorted */
	size_t n_xattrs, cap_xattrs;
	struct tar_sparse sparse;
};

/* Parse a body, in place. ERR_CORRUPT: a bad record, a NUL in a name, a key twice. */
int tar_pax_parse(struct tar_pax *pax, char *body, size_t len, struct err *err);
void tar_pax_reset(struct tar_pax *pax);
void tar_pax_release(struct tar_pax *pax);

/* Whether an image may have this extended attribute: those that are the host's policy or steer
 * its overlayfs are not the image's. */
bool xattr_is_portable(const char *name);

/*
 * Normalise a name from outside into the root: "//a/./b/../c/" is "a/c", "../x" is "x". False
 * when it or one of its components is too long. `from` and `to` may be the same.
 */
bool entry_normalise(const char *from, char to[ENTRY_PATH_MAX]);

#endif
