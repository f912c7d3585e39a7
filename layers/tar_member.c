/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a member's headers to an entry: names into the root, marks, numbers in range, the map of a
 * sparse file. Every field is checked here or was refused before.
 */
#include "layers/tar_reader.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define ID_MAX	  UINT64_C(0xfffffffe) /* 2^32-1 means "no change" to chown() */
#define MAJOR_MAX 0xfff
#define MINOR_MAX 0xfffff

/* --- names ------------------------------------------------------------------------------------ */

static void add_field(struct buf *buf, const char *field, size_t size)
{
	buf_add(buf, field, strnlen(field, size));
}

/* The member's name as it is spelled: by pax, GNU, or prefix and name. */
static void spell_name(struct tar_reader *reader, const struct tar_header *header)
{
	static const char star[] = "tar"; /* its NUL counts */
	size_t prefix = sizeof(header->prefix);

	buf_clear(&reader->raw);
	if (reader->pax.sparse.name) {
		buf_addstr(&reader->raw, reader->pax.sparse.name);
	} else if (reader->pax.path && *reader->pax.path) {
		buf_addstr(&reader->raw, reader->pax.path);
	} else if (reader->long_name.len) {
		buf_addstr(&reader->raw, reader->long_name.data);
	} else {
		if (!memcmp(header->rest + sizeof(header->rest) - sizeof(star), star, sizeof(star)))
			prefix = 131; /* star has times after it */
		if (!memcmp(header->magic, "ustar", sizeof(header->magic)) && header->prefix[0]) {
			add_field(&reader->raw, header->prefix, prefix);
			buf_addch(&reader->raw, '/');
		}
		add_field(&reader->raw, header->name, sizeof(header->name));
	}
}

static int set_link(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	char field[sizeof(header->link) + 1] = "";
	const char *link = field;

	memcpy(field, header->link, sizeof(header->link));
	if (reader->pax.link && *reader->pax.link)
		link = reader->pax.link;
	else if (reader->long_link.len)
		link = reader->long_link.data;
	if (reader->entry.type == ENTRY_SYMLINK && strlen(link) >= ENTRY_LINK_MAX)
		return tar_corrupt(reader, err, "the target of %.200s is too long", reader->path);
	if (reader->entry.type == ENTRY_SYMLINK)
		memcpy(reader->link, link, strlen(link) + 1);
	else if (!entry_normalise(link, reader->link))
		return tar_corrupt(reader, err, "the target of %.200s is too long", reader->path);
	if (!*reader->link)
		return tar_corrupt(reader, err, "the link %.200s has no target", reader->path);
	reader->entry.link = reader->link;
	return 0;
}

/*
 * In a layer, names that begin with ".wh." are marks. 1: the member counts; 0: it is bookkeeping
 * of AUFS, which is dropped.
 */
static int apply_marks(struct tar_reader *reader, struct err *err)
{
	char *name = reader->path;

	for (;; name += strcspn(name, "/") + 1) {
		size_t len = strcspn(name, "/");
		bool leaf = !name[len];

		if (leaf && !strcmp(name, TAR_OPAQUE)) {
			name[name > reader->path ? -1 : 0] = '\0';
			reader->entry.type = ENTRY_OPAQUE;
			return 1;
		}
		if (!strncmp(name, TAR_WHITEOUT TAR_WHITEOUT, 2 * strlen(TAR_WHITEOUT)))
			return 0;
		if (!strncmp(name, TAR_WHITEOUT, strlen(TAR_WHITEOUT))) {
			const char *gone = name + strlen(TAR_WHITEOUT);

			if (!leaf || !*gone || !strcmp(gone, ".") || !strcmp(gone, ".."))
				return err_set(err, ERR_CORRUPT, "%s: invalid whiteout %s",
					       reader->what, reader->path);
			memmove(name, gone, strlen(gone) + 1);
			reader->entry.type = ENTRY_WHITEOUT;
			return 1;
		}
		if (leaf)
			return 1;
	}
}

/* --- members ---------------------------------------------------------------------------------- */

static int set_type(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	const struct buf *raw = &reader->raw;

	switch (header->type) {
	case '\0':
	case '0':
	case '7':
	case 'S':
		reader->entry.type = ENTRY_FILE;
		/* before ustar, a slash at the end was all that told a directory */
		if (raw->len && raw->data[raw->len - 1] == '/' && header->type != 'S')
			reader->entry.type = ENTRY_DIRECTORY;
		return 0;
	case '1':
		reader->entry.type = ENTRY_HARDLINK;
		return 0;
	case '2':
		reader->entry.type = ENTRY_SYMLINK;
		return 0;
	case '3':
		reader->entry.type = ENTRY_CHAR;
		return 0;
	case '4':
		reader->entry.type = ENTRY_BLOCK;
		return 0;
	case '5':
		reader->entry.type = ENTRY_DIRECTORY;
		return 0;
	case '6':
		reader->entry.type = ENTRY_FIFO;
		return 0;
	default:
		return tar_corrupt(reader, err, "%.200s is of unknown type 0x%02x", reader->path,
				   (unsigned char)header->type);
	}
}

#define NUMBER(field, ret_number) tar_parse_number(field, sizeof(field), ret_number)

static int set_owner(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	int64_t uid = 0, gid = 0;

	if (!reader->pax.has_uid && !NUMBER(header->uid, &uid))
		uid = -1;
	if (!reader->pax.has_gid && !NUMBER(header->gid, &gid))
		gid = -1;
	if (reader->pax.has_uid)
		uid = (int64_t)reader->pax.uid;
	if (reader->pax.has_gid)
		gid = (int64_t)reader->pax.gid;
	if (uid < 0 || gid < 0 || (uint64_t)uid > ID_MAX || (uint64_t)gid > ID_MAX)
		return tar_corrupt(reader, err, "the owner of %.200s is out of range",
				   reader->path);
	reader->entry.uid = (uid_t)uid;
	reader->entry.gid = (gid_t)gid;
	return 0;
}

static int set_device(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	int64_t dev_major, dev_minor;

	if (!NUMBER(header->dev_major, &dev_major) || !NUMBER(header->dev_minor, &dev_minor) ||
	    dev_major < 0 || dev_major > MAJOR_MAX || dev_minor < 0 || dev_minor > MINOR_MAX)
		return tar_corrupt(reader, err, "bad device numbers of %.200s", reader->path);
	/* overlayfs takes this one for a whiteout */
	if (reader->entry.type == ENTRY_CHAR && !dev_major && !dev_minor &&
	    reader->flags & TAR_READER_LAYER)
		return tar_corrupt(reader, err, "%.200s is a character device 0:0", reader->path);
	reader->entry.dev_major = (unsigned)dev_major;
	reader->entry.dev_minor = (unsigned)dev_minor;
	return 0;
}

static int set_numbers(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	enum entry_type type = reader->entry.type;
	int64_t mode, mtime;

	if (!NUMBER(header->mode, &mode))
		return tar_corrupt(reader, err, "bad mode of %.200s", reader->path);
	if (reader->pax.has_mtime)
		mtime = reader->pax.mtime;
	else if (!NUMBER(header->mtime, &mtime))
		return tar_corrupt(reader, err, "bad time of %.200s", reader->path);
	reader->entry.mode = (mode_t)mode & 07777;
	reader->entry.mtime = mtime;
	if (set_owner(reader, header, err) < 0)
		return -1;
	if (type == ENTRY_CHAR || type == ENTRY_BLOCK)
		return set_device(reader, header, err);
	return 0;
}

/* The bytes that follow the header: reader->left, and the size of a plain file. */
static int set_size(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	enum entry_type type = reader->entry.type;
	int64_t size;

	if (reader->pax.has_size)
		size = (int64_t)reader->pax.size;
	else if (!NUMBER(header->size, &size) || size < 0)
		return tar_corrupt(reader, err, "bad size of %.200s", reader->path);
	if (type == ENTRY_HARDLINK && size)
		return tar_corrupt(reader, err, "the hard link %.200s has content", reader->path);
	if (type == ENTRY_DIRECTORY && header->type != '5' && size)
		return tar_corrupt(reader, err, "the directory %.200s has content", reader->path);
	if (type != ENTRY_FILE)
		return 0;
	reader->left = reader->entry.size = (uint64_t)size;
	reader->pad = tar_padding((uint64_t)size);
	return 0;
}

/* --- sparse files ----------------------------------------------------------------------------- */

/* A line with a number of a 1.0 map, which is part of the stored content. */
static int take_line(struct tar_reader *reader, int64_t *ret_number, struct err *err)
{
	char line[24];
	uint64_t number;

	for (size_t i = 0; i < sizeof(line) && reader->left; i++) {
		if (tar_take(reader, &line[i], 1, err) < 0)
			return -1;
		reader->left--;
		if (line[i] != '\n')
			continue;
		line[i] = '\0';
		if (!tar_parse_decimal(line, &number) || number > INT64_MAX)
			break;
		*ret_number = (int64_t)number;
		return 0;
	}
	return tar_corrupt(reader, err, "bad map of the sparse file %.200s", reader->path);
}

static int take_map(struct tar_reader *reader, struct err *err)
{
	uint64_t begin = reader->left, rest;
	int64_t n, offset, len;

	if (take_line(reader, &n, err) < 0)
		return -1;
	for (; n > 0; n--)
		if (take_line(reader, &offset, err) < 0 || take_line(reader, &len, err) < 0 ||
		    tar_sparse_add(&reader->pax.sparse, offset, len, err) < 0)
			return -1;
	rest = tar_padding(begin - reader->left);
	if (rest > reader->left)
		return tar_corrupt(reader, err, "bad map of the sparse file %.200s", reader->path);
	reader->left -= rest;
	return tar_take(reader, NULL, rest, err);
}

/* Read the map, wherever it is; afterwards reader->left is data only. */
static int set_sparse(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	struct tar_sparse *sparse = &reader->pax.sparse;
	unsigned char block[TAR_BLOCK];
	bool more = false;

	if (header->type == 'S') {
		if (sparse->has_map || sparse->has_major)
			return tar_corrupt(reader, err, "two maps of the sparse file %.200s",
					   reader->path);
		if (tar_sparse_old(sparse, header, false, &more, err) < 0)
			return err_wrap(err, "%s", reader->what);
		while (more)
			if (tar_take(reader, block, sizeof(block), err) < 0 ||
			    tar_sparse_old(sparse, block, true, &more, err) < 0)
				return -1;
	} else if (!sparse->has_map && !sparse->has_major) {
		return 0;
	} else if (!sparse->has_size) {
		return tar_corrupt(reader, err, "the sparse file %.200s has no size", reader->path);
	} else if (sparse->major == 1 && take_map(reader, err) < 0) {
		return -1;
	}
	if (tar_sparse_check(sparse, reader->left, err) < 0)
		return err_wrap(err, "%s: %s", reader->what, reader->path);
	reader->sparse = true;
	reader->entry.size = sparse->size;
	return decompressor_charge(reader->from, sparse->size - reader->left, err);
}

int tar_set_entry(struct tar_reader *reader, const struct tar_header *header, struct err *err)
{
	struct entry *entry = &reader->entry;
	int status = 1;

	spell_name(reader, header);
	if (!entry_normalise(reader->raw.data, reader->path))
		return tar_corrupt(reader, err, "the name %.200s... is too long", reader->raw.data);
	*entry = (struct entry){
		.path = reader->path,
		.xattrs = reader->pax.xattrs,
		.n_xattrs = reader->pax.n_xattrs,
	};
	if (set_type(reader, header, err) < 0 || set_numbers(reader, header, err) < 0 ||
	    set_size(reader, header, err) < 0)
		return -1;
	if (!*reader->path && entry->type != ENTRY_DIRECTORY)
		return tar_corrupt(reader, err, "the root entry is not a directory");
	if (entry->type == ENTRY_FILE && set_sparse(reader, header, err) < 0)
		return -1;
	if (reader->flags & TAR_READER_LAYER)
		status = apply_marks(reader, err);
	if (status == 1 && (entry->type == ENTRY_SYMLINK || entry->type == ENTRY_HARDLINK))
		status = set_link(reader, header, err) < 0 ? -1 : 1;
	if (entry->type == ENTRY_WHITEOUT || entry->type == ENTRY_OPAQUE) {
		entry->size = 0;
		entry->n_xattrs = 0;
	}
	return status;
}
