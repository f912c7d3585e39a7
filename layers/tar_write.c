/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Canonical tar: the bytes are a function of the entries alone. Each choice that tar leaves open
 * is fixed here:
 *  1. A header is plain ustar. What it cannot say (a name that is long or not ASCII, a number too
 *     big for its octal field) goes to a pax header before it, records sorted by key; the ustar
 *     field then holds the name cut short, or 0.
 *  2. A long ASCII name that fits prefix and name is split at the last possible slash.
 *  3. Owners are numbers; device numbers are zero except on devices; a symlink's mode is 0777.
 *  4. Marks (whiteouts, opaque) are empty files of mode 0 and owner 0:0, with their mtime.
 *  5. The end is two zero blocks, without padding to a record.
 * Output gathers in one block. File content is read straight into it, so each byte is copied once.
 */
#include "layers/entry.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/sink.h"
#include "layers/internal.h"

#define BLOCK_SIZE (1024 * 1024)
#define READ_MIN   (256 * 1024)	 /* do not read less of a large file at once */
#define PAX_MAX	   (1024 * 1024) /* what common readers accept */

struct tar_writer {
	struct sink *sink;
	const struct cancel *cancel;
	unsigned char *block;
	size_t used;   /* bytes of it */
	uint64_t left; /* content still due for the current file */
	size_t pad;    /* zeros after that content */
	struct buf pax;
	struct buf path; /* of the last entry, to assert the order */
	enum entry_type type;
	bool begun, ended;
};

struct tar_writer *tar_writer_new(struct sink *sink)
{
	struct tar_writer *writer = xcalloc(1, sizeof(*writer));

	writer->sink = sink;
	writer->block = xmalloc(BLOCK_SIZE);
	buf_init(&writer->pax, PAX_MAX);
	buf_init(&writer->path, ENTRY_PATH_MAX);
	return writer;
}

void tar_writer_heed(struct tar_writer *writer, const struct cancel *cancel)
{
	writer->cancel = cancel;
}

void tar_writer_free(struct tar_writer *writer)
{
	if (!writer)
		return;
	buf_release(&writer->pax);
	buf_release(&writer->path);
	free(writer->block);
	free(writer);
}

static int flush(struct tar_writer *writer, struct err *err)
{
	size_t used = writer->used;

	writer->used = 0;
	if (cancel_check(writer->cancel, err) < 0)
		return -1;
	return used ? sink_write(writer->sink, writer->block, used, err) : 0;
}

static int put(struct tar_writer *writer, const void *data, size_t len, struct err *err)
{
	if (len > BLOCK_SIZE - writer->used && flush(writer, err) < 0)
		return -1;
	if (len >= BLOCK_SIZE)
		return sink_write(writer->sink, data, len, err);
	memcpy(writer->block + writer->used, data, len);
	writer->used += len;
	return 0;
}

static int put_zeros(struct tar_writer *writer, size_t len, struct err *err)
{
	static const unsigned char zeros[2 * TAR_BLOCK];

	return put(writer, zeros, len, err);
}

/* --- headers ---------------------------------------------------------------------------------- */

/* The largest number that the octal digits of a field hold. */
#define OCTAL_MAX(field) ((UINT64_C(1) << (3 * (sizeof(field) - 1))) - 1)

/* Octal digits, all of them, and a NUL. */
static void put_octal(char *field, size_t size, uint64_t number)
{
	field[--size] = '\0';
	while (size > 0) {
		field[--size] = (char)('0' + (number & 7));
		number >>= 3;
	}
}

#define PUT_OCTAL(field, number) put_octal(field, sizeof(field), number)

/* A field that is NUL-padded, and has no NUL when it is full. */
static void put_text(char *field, size_t size, const char *text, size_t len)
{
	memcpy(field, text, len < size ? len : size);
}

static int seal(struct tar_writer *writer, struct tar_header *header, struct err *err)
{
	unsigned sum = 0;

	memcpy(header->magic, "ustar", sizeof(header->magic));
	memcpy(header->version, "00", sizeof(header->version));
	memset(header->checksum, ' ', sizeof(header->checksum));
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += ((const unsigned char *)header)[i];
	put_octal(header->checksum, 7, sum);
	return put(writer, header, TAR_BLOCK, err);
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void add_record(struct buf *pax, const char *key, const char *more_key, const void *value,
		       size_t len)
{
	size_t rest = 1 + strlen(key) + strlen(more_key) + 1 + len + 1;
	size_t total = rest + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + rest != total)
		total = (size_t)snprintf(digits, sizeof(digits), "%zu", total) + rest;
	buf_addf(pax, "%s %s%s=", digits, key, more_key);
	buf_add(pax, value, len);
	buf_addch(pax, '\n');
}

static void add_text(struct buf *pax, const char *key, const char *text)
{
	add_record(pax, key, "", text, strlen(text));
}

static void add_number(struct buf *pax, const char *key, int64_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, number);
	add_text(pax, key, digits);
}

static int add_xattrs(struct buf *pax, const struct entry *entry, struct err *err)
{
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		const struct xattr *xattr = &entry->xattrs[i];

		assert(i == 0 || strcmp(xattr[-1].name, xattr->name) < 0);
		if (!*xattr->name || strchr(xattr->name, '='))
			return err_set(err, ERR_INVALID,
				       "a layer cannot hold an extended attribute named \"%s\"",
				       xattr->name);
		add_record(pax, TAR_XATTR_KEY, xattr->name, xattr->value, xattr->len);
	}
	return 0;
}

/* Split name at the last slash that leaves at most a prefix and a name. */
static bool split_name(struct tar_header *header, const char *name, size_t len)
{
	size_t at = sizeof(header->prefix);

	if (len > sizeof(header->prefix) + 1 + sizeof(header->name))
		return false;
	if (at > len - 2) /* the name after the slash is not empty: "dir/" ends with one */
		at = len - 2;
	while (at > 0 && name[at] != '/')
		at--;
	if (at == 0 || len - at - 1 > sizeof(header->name))
		return false;
	put_text(header->prefix, sizeof(header->prefix), name, at);
	put_text(header->name, sizeof(header->name), name + at + 1, len - at - 1);
	return true;
}

/* What is left of a name in the field of a header whose pax header has the whole. */
static void put_rest(char *field, size_t size, const char *text)
{
	for (size_t i = 0; i < size && text[i]; i++)
		field[i] = (unsigned char)text[i] < 0x80 ? text[i] : '_';
}

/* The member's name: directories end with a slash, marks have their prefix. */
static void spell_name(const struct entry *entry, struct buf *name)
{
	const char *slash = strrchr(entry->path, '/');
	const char *leaf = slash ? slash + 1 : entry->path;

	switch (entry->type) {
	case ENTRY_WHITEOUT:
		buf_add(name, entry->path, (size_t)(leaf - entry->path));
		buf_addf(name, "%s%s", TAR_WHITEOUT, leaf);
		break;
	case ENTRY_OPAQUE:
		buf_addf(name, "%s%s%s", entry->path, *entry->path ? "/" : "", TAR_OPAQUE);
		break;
	case ENTRY_DIRECTORY:
		buf_addf(name, "%s/", *entry->path ? entry->path : ".");
		break;
	default:
		buf_addstr(name, entry->path);
	}
}

static char typeflag(enum entry_type type)
{
	switch (type) {
	case ENTRY_DIRECTORY:
		return '5';
	case ENTRY_SYMLINK:
		return '2';
	case ENTRY_HARDLINK:
		return '1';
	case ENTRY_CHAR:
		return '3';
	case ENTRY_BLOCK:
		return '4';
	case ENTRY_FIFO:
		return '6';
	default:
		return '0';
	}
}

static bool is_mark(const struct entry *entry)
{
	return entry->type == ENTRY_WHITEOUT || entry->type == ENTRY_OPAQUE;
}

/* A number goes to its field when it fits, else to a pax record. */
#define PLACE(header, field, pax, key, number)                                                     \
	do {                                                                                       \
		if ((uint64_t)(number) <= OCTAL_MAX((header)->field)) {                            \
			PUT_OCTAL((header)->field, (uint64_t)(number));                            \
		} else {                                                                           \
			PUT_OCTAL((header)->field, 0);                                             \
			add_number(pax, key, (int64_t)(number));                                   \
		}                                                                                  \
	} while (0)

/* Keys in their order: xattrs, gid, linkpath, mtime, path, size, uid. */
static int fill_header(struct tar_header *header, struct buf *pax, const struct entry *entry,
		       const struct buf *name, struct err *err)
{
	bool mark = is_mark(entry);
	const char *link = entry->link;

	if (!mark && add_xattrs(pax, entry, err) < 0)
		return -1;
	PLACE(header, gid, pax, "gid", mark ? 0 : entry->gid);
	if (entry->type == ENTRY_SYMLINK || entry->type == ENTRY_HARDLINK) {
		if (is_ascii(link) && strlen(link) <= sizeof(header->link)) {
			put_text(header->link, sizeof(header->link), link, strlen(link));
		} else {
			put_rest(header->link, sizeof(header->link), link);
			add_text(pax, "linkpath", link);
		}
	}
	PLACE(header, mtime, pax, "mtime", entry->mtime);
	if (is_ascii(name->data) && name->len <= sizeof(header->name)) {
		put_text(header->name, sizeof(header->name), name->data, name->len);
	} else if (!is_ascii(name->data) || !split_name(header, name->data, name->len)) {
		put_rest(header->name, sizeof(header->name), name->data);
		add_text(pax, "path", name->data);
	}
	PLACE(header, size, pax, "size", entry->type == ENTRY_FILE ? entry->size : 0);
	PLACE(header, uid, pax, "uid", mark ? 0 : entry->uid);
	header->type = typeflag(entry->type);
	PUT_OCTAL(header->mode, mark			       ? 0
				: entry->type == ENTRY_SYMLINK ? 0777
							       : entry->mode & 07777);
	return 0;
}

static int fill_device(struct tar_header *header, const struct entry *entry, struct err *err)
{
	bool device = entry->type == ENTRY_CHAR || entry->type == ENTRY_BLOCK;

	if (device && (entry->dev_major > OCTAL_MAX(header->dev_major) ||
		       entry->dev_minor > OCTAL_MAX(header->dev_minor)))
		return err_set(err, ERR_INVALID, "a layer cannot hold the device numbers %u:%u",
			       entry->dev_major, entry->dev_minor);
	PUT_OCTAL(header->dev_major, device ? entry->dev_major : 0);
	PUT_OCTAL(header->dev_minor, device ? entry->dev_minor : 0);
	return 0;
}

static int put_pax(struct tar_writer *writer, struct err *err)
{
	struct tar_header header = { 0 };
	const struct buf *pax = &writer->pax;

	if (pax->overflow)
		return err_set(err, ERR_LIMIT, "more than %d bytes of names and attributes",
			       PAX_MAX);
	if (!pax->len)
		return 0;
	put_text(header.name, sizeof(header.name), "././@PaxHeader", 14);
	PUT_OCTAL(header.mode, 0644);
	PUT_OCTAL(header.uid, 0);
	PUT_OCTAL(header.gid, 0);
	PUT_OCTAL(header.size, pax->len);
	PUT_OCTAL(header.mtime, 0);
	PUT_OCTAL(header.dev_major, 0);
	PUT_OCTAL(header.dev_minor, 0);
	header.type = 'x';
	if (seal(writer, &header, err) < 0 || put(writer, pax->data, pax->len, err) < 0)
		return -1;
	return put_zeros(writer, tar_padding(pax->len), err);
}

/* --- entries ---------------------------------------------------------------------------------- */

static int check_link(const struct entry *entry, struct err *err)
{
	size_t max = entry->type == ENTRY_SYMLINK ? ENTRY_LINK_MAX : ENTRY_PATH_MAX;

	if (!entry->link || !*entry->link || strlen(entry->link) >= max)
		return err_set(err, ERR_INVALID,
			       "a layer cannot hold the link %s: its target is %s", entry->path,
			       entry->link && *entry->link ? "too long" : "empty");
	return entry->type == ENTRY_HARDLINK ? entry_check_path(entry->link, err) : 0;
}

static int check_entry(const struct entry *entry, const struct buf *name, struct err *err)
{
	if (entry_check_path(entry->path, err) < 0)
		return -1;
	if (name->overflow || (entry->type == ENTRY_WHITEOUT &&
			       strlen(strrchr(name->data, '/') ? strrchr(name->data, '/') + 1
							       : name->data) > ENTRY_NAME_MAX))
		return err_set(err, ERR_INVALID, "a layer cannot hold so long a name: %s",
			       entry->path);
	if (entry->type == ENTRY_FILE && entry->size > INT64_MAX)
		return err_set(err, ERR_INVALID, "a layer cannot hold so large a file: %s",
			       entry->path);
	if (!*entry->path && entry->type != ENTRY_DIRECTORY && entry->type != ENTRY_OPAQUE)
		return err_set(err, ERR_INVALID, "the root of a layer must be a directory");
	if (entry->type == ENTRY_CHAR && !entry->dev_major && !entry->dev_minor)
		return err_set(err, ERR_INVALID,
			       "a layer cannot hold the character device 0:0, a mark of removed "
			       "files: %s",
			       entry->path);
	if (entry->type == ENTRY_SYMLINK || entry->type == ENTRY_HARDLINK)
		return check_link(entry, err);
	return 0;
}

static void check_order(struct tar_writer *writer, const struct entry *entry)
{
	struct entry last = { .path = writer->path.data, .type = writer->type };

	assert(!writer->begun || entry_compare(&last, entry) < 0);
	writer->begun = true;
	writer->type = entry->type;
	buf_clear(&writer->path);
	buf_addstr(&writer->path, entry->path);
}

int tar_writer_entry(struct tar_writer *writer, const struct entry *entry, struct err *err)
{
	struct tar_header header = { 0 };
	cleanup_buf struct buf name;

	assert(!writer->left && !writer->ended);
	buf_init(&name, ENTRY_PATH_MAX + sizeof(TAR_OPAQUE));
	spell_name(entry, &name);
	if (check_entry(entry, &name, err) < 0)
		return -1;
	check_order(writer, entry);
	buf_clear(&writer->pax);
	if (fill_header(&header, &writer->pax, entry, &name, err) < 0 ||
	    fill_device(&header, entry, err) < 0 || put_pax(writer, err) < 0)
		return err_wrap(err, "%s", *entry->path ? entry->path : "/");
	if (entry->type == ENTRY_FILE) {
		writer->left = entry->size;
		writer->pad = tar_padding(entry->size);
	}
	return seal(writer, &header, err);
}

/* Account for content that went out; after the last byte comes the padding. */
static int took(struct tar_writer *writer, size_t len, struct err *err)
{
	writer->left -= len;
	return writer->left ? 0 : put_zeros(writer, writer->pad, err);
}

int tar_writer_data(struct tar_writer *writer, const void *data, size_t len, struct err *err)
{
	assert(len <= writer->left);
	if (!len)
		return 0;
	if (put(writer, data, len, err) < 0)
		return -1;
	return took(writer, len, err);
}

/*
 * Read into the block, at most `want` bytes and one more, which tells a file that has grown: a
 * small file costs one read().
 */
static ssize_t read_into_block(struct tar_writer *writer, int fd, uint64_t want, struct err *err)
{
	size_t room = BLOCK_SIZE - writer->used;
	ssize_t got;

	if (room <= want && room < READ_MIN) {
		if (flush(writer, err) < 0)
			return -1;
		room = BLOCK_SIZE;
	}
	do {
		got = read(fd, writer->block + writer->used, want < room ? want + 1 : room);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? err_os(err, "read") : got;
}

int tar_writer_file(struct tar_writer *writer, const struct entry *entry, int fd,
		    struct digest *ret_digest, struct err *err)
{
	struct hasher hasher;
	bool at_end = false;

	assert(entry->type == ENTRY_FILE);
	if (tar_writer_entry(writer, entry, err) < 0)
		return -1;
	if (ret_digest)
		hasher_init(&hasher);
	while (!at_end) {
		bool asked_more = writer->left < BLOCK_SIZE - writer->used;
		uint64_t left = writer->left;
		ssize_t got = read_into_block(writer, fd, left, err);

		if (got < 0)
			return err_wrap(err, "%s", entry->path);
		if ((uint64_t)got > left || (got == 0 && left))
			return err_set(err, ERR_CORRUPT, "%s changed while it was read",
				       entry->path);
		if (ret_digest)
			hasher_add(&hasher, writer->block + writer->used, (size_t)got);
		writer->used += (size_t)got;
		/* One byte more than was left was asked for and did not come. */
		at_end = got == 0 || ((uint64_t)got == left && asked_more);
		if (got && took(writer, (size_t)got, err) < 0)
			return -1;
	}
	if (ret_digest)
		hasher_finish(&hasher, ret_digest);
	return 0;
}

int tar_writer_end(struct tar_writer *writer, struct err *err)
{
	assert(!writer->left && !writer->ended);
	writer->ended = true;
	if (put_zeros(writer, 2 * TAR_BLOCK, err) < 0)
		return -1;
	return flush(writer, err);
}
