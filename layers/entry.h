/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_ENTRY_H
#define LAYERS_ENTRY_H

/*
 * layers/entry.h: one member of a layer, and streams of them. The order of a layer is canonical:
 * by path, byte by byte, with '/' lower than every other byte (a directory, then all below it),
 * and within a directory its opaque mark, then its whiteouts, then its other members.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/digest.h"

struct cancel;
struct err;
struct sink;

enum entry_type {
	ENTRY_FILE,
	ENTRY_DIRECTORY,
	ENTRY_SYMLINK,
	ENTRY_HARDLINK, /* link names an entry of the same layer that came before */
	ENTRY_CHAR,
	ENTRY_BLOCK,
	ENTRY_FIFO,
	ENTRY_WHITEOUT, /* path names what disappears (without .wh.) */
	ENTRY_OPAQUE,	/* path names the directory whose lower content disappears */
};

struct xattr {
	const char *name;
	const void *value;
	size_t len;
};

/* Borrowed memory throughout: valid while its producer says so. */
struct entry {
	const char *path; /* relative, no slash at either end, no "." or ".."; "" is the root */
	enum entry_type type;
	mode_t mode; /* permission bits with setuid, setgid, sticky: 07777 */
	uid_t uid;
	gid_t gid;
	uint64_t size;	  /* ENTRY_FILE: bytes */
	int64_t mtime;	  /* whole seconds since 1970 */
	const char *link; /* target of a symlink; path of a hardlink's other name */
	unsigned dev_major, dev_minor;
	const struct xattr *xattrs; /* sorted by name */
	size_t n_xattrs;
};

/* What a file of this st_mode is; anything without a type of its own counts as a file. */
enum entry_type entry_type_of(mode_t mode);

#define ENTRY_PATH_MAX 32768 /* a path and its NUL; longer than a system call takes */
#define ENTRY_LINK_MAX 4096  /* what a symlink may hold, and its NUL */
#define ENTRY_NAME_MAX 255   /* one component */

/* Compare two paths in canonical order: <0, 0, >0. */
int entry_path_compare(const char *a, const char *b);

/* Compare two entries in canonical order, opaque marks and whiteouts where they belong. */
int entry_compare(const struct entry *a, const struct entry *b);

/*
 * Whether a layer can hold the entry's path: relative, clean, within the limits, and no component
 * that begins with ".wh.". ERR_INVALID says why not.
 */
int entry_check_path(const char *path, struct err *err);

/* --- canonical tar out (layers/tar_write.c) --------------------------------------------------- */

/*
 * ustar headers, a pax header only where ustar cannot say it (long or non-ASCII names, big
 * numbers, xattrs as SCHILY.xattr.*), numeric owners without names, zero device numbers except on
 * devices, two zero blocks at the end. Whiteouts become ".wh.NAME" and ".wh..wh..opq".
 * Entries must come in canonical order (asserted).
 */
struct tar_writer;

struct tar_writer *tar_writer_new(struct sink *sink); /* the sink stays the caller's */

/* From now on it fails with ERR_CANCELLED once that was asked. NULL: for nobody. */
void tar_writer_heed(struct tar_writer *writer, const struct cancel *cancel);
void tar_writer_free(struct tar_writer *writer);

/*
 * Write a header, and for ENTRY_FILE with size > 0 be ready for exactly size bytes through
 * tar_writer_data(). Fails with ERR_INVALID for a name that a layer cannot hold (a member that
 * itself begins with ".wh.", a NUL, over PATH limits 4096 per component 255).
 */
int tar_writer_entry(struct tar_writer *writer, const struct entry *entry, struct err *err);
int tar_writer_data(struct tar_writer *writer, const void *data, size_t len, struct err *err);

/* Copy entry->size bytes from fd. ERR_CORRUPT "changed while it was read" when fd has fewer or
 * more. *ret_digest (may be NULL) is the sha256 of the content. */
int tar_writer_file(struct tar_writer *writer, const struct entry *entry, int fd,
		    struct digest *ret_digest, struct err *err);

/* The end blocks. Does not finish the sink. */
int tar_writer_end(struct tar_writer *writer, struct err *err);

/* --- tar in (layers/tar_read.c) --------------------------------------------------------------- */

/*
 * Reads tar (any compression of gzip, bzip2, xz, zstd, told by content): ustar, pax, GNU and v7.
 * Everything is checked before it is handed out: paths normalised into the root, .wh. names
 * turned into whiteouts, sizes and numbers in range, overlay.* and other host xattrs dropped,
 * sparse files expanded. See reference tables in docs/security.md for each rule. Members come in
 * the archive's order; what they replace or repeat is the caller's business.
 */
struct tar_reader;

enum tar_reader_flags {
	TAR_READER_LAYER = 1 << 0, /* whiteouts mean something (else ".wh." names are plain) */
};

/* fd is read from its position; it stays the caller's. `what` names it in errors. With
 * max_bytes > 0, more uncompressed bytes than that are ERR_LIMIT. */
int tar_reader_open(int fd, const char *what, unsigned flags, uint64_t max_bytes,
		    struct tar_reader **ret_reader, struct err *err);
void tar_reader_free(struct tar_reader *reader);

/* 1: *ret_entry is the next member (valid until the next call); 0: the end; -1: error. */
int tar_reader_next(struct tar_reader *reader, const struct entry **ret_entry, struct err *err);

/* Content of the current ENTRY_FILE: the count, 0 at its end, -1 on error. */
ssize_t tar_reader_read(struct tar_reader *reader, void *data, size_t len, struct err *err);

/* After the end: the sha256 and size of the uncompressed bytes, all of them (also what follows
 * the end blocks). */
int tar_reader_finish(struct tar_reader *reader, struct digest *ret_diff_id, uint64_t *ret_size,
		      struct err *err);

/* Whether fd (read by pread, position kept) begins like a tar archive, maybe compressed: what ADD
 * asks. */
bool tar_detect(int fd);

#endif
