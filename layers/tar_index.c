/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The members of a tar from its headers alone: content is skipped, not read. Only tars as
 * tar_write.c makes them are taken: ustar and pax headers, clean paths, canonical order. In
 * everything else a name may stand twice or mean something that only unpacking tells.
 */
#include "layers/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/err.h"
#include "base/file.h"

#define WINDOW_SIZE 16384
#define MEMBERS_MAX (4 * 1024 * 1024)

struct scan {
	int fd;
	const char *what;
	uint64_t at, size; /* of the file */
	unsigned char window[WINDOW_SIZE];
	uint64_t window_at;
	size_t window_len;
	struct tar_pax pax;
	char *pax_body;
	bool has_pax;
};

static int refuse(const struct scan *scan, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED, "%s is no tar of our own making", scan->what);
}

/* The block at scan->at. */
static int read_block(struct scan *scan, struct tar_header *ret_header, struct err *err)
{
	if (scan->at < scan->window_at ||
	    scan->at + TAR_BLOCK > scan->window_at + scan->window_len) {
		ssize_t got = pread_all(scan->fd, scan->window, WINDOW_SIZE, (off_t)scan->at);

		if (got < 0)
			return err_os(err, "read %s", scan->what);
		if (got < TAR_BLOCK)
			return refuse(scan, err);
		scan->window_at = scan->at;
		scan->window_len = (size_t)got;
	}
	memcpy(ret_header, scan->window + (scan->at - scan->window_at), TAR_BLOCK);
	scan->at += TAR_BLOCK;
	return 0;
}

static bool number_of(const char *field, size_t size, uint64_t *ret_number)
{
	int64_t number;

	if (!tar_parse_number(field, size, &number) || number < 0)
		return false;
	*ret_number = (uint64_t)number;
	return true;
}

#define NUMBER(header, field, ret) number_of((header)->field, sizeof((header)->field), ret)

static int read_pax(struct scan *scan, const struct tar_header *header, struct err *err)
{
	uint64_t len;

	if (scan->has_pax || !NUMBER(header, size, &len) || len > TAR_SPECIAL_MAX ||
	    len > scan->size - scan->at)
		return refuse(scan, err);
	free(scan->pax_body);
	scan->pax_body = xmalloc((size_t)len + 1);
	if (pread_all(scan->fd, scan->pax_body, (size_t)len, (off_t)scan->at) != (ssize_t)len)
		return refuse(scan, err);
	scan->pax_body[len] = '\0';
	scan->at += len + tar_padding(len);
	scan->has_pax = true;
	return tar_pax_parse(&scan->pax, scan->pax_body, (size_t)len, err);
}

static char *text_of(const char *prefix, size_t prefix_size, const char *field, size_t size)
{
	size_t len = strnlen(prefix, prefix_size);

	return xasprintf("%.*s%s%.*s", (int)len, prefix, len ? "/" : "", (int)strnlen(field, size),
			 field);
}

/* The member's path and type from its name. False when no layer of ours has it. */
static bool take_name(struct tar_member *member, char *name, char type)
{
	size_t len = strlen(name);
	char *leaf;
	struct err ignored = ERR_INIT;

	if (type == '5') {
		if (len < 2 || name[len - 1] != '/')
			return false;
		name[--len] = '\0';
		if (!strcmp(name, "."))
			name[0] = '\0';
	} else if (!len) {
		return false;
	}
	leaf = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	if (!strcmp(leaf, TAR_OPAQUE)) {
		member->type = ENTRY_OPAQUE;
		*(leaf > name ? leaf - 1 : leaf) = '\0';
	} else if (!strncmp(leaf, TAR_WHITEOUT, strlen(TAR_WHITEOUT))) {
		member->type = ENTRY_WHITEOUT;
		memmove(leaf, leaf + strlen(TAR_WHITEOUT), strlen(leaf) - strlen(TAR_WHITEOUT) + 1);
		if (!*leaf)
			return false;
	}
	return entry_check_path(name, &ignored) == 0;
}

/* ENTRY_OPAQUE stands for "no such type". */
static enum entry_type type_of(char flag, mode_t *ret_format)
{
	static const struct {
		char flag;
		enum entry_type type;
		mode_t format;
	} types[] = {
		{ '0', ENTRY_FILE, S_IFREG },	 { '1', ENTRY_HARDLINK, S_IFREG },
		{ '2', ENTRY_SYMLINK, S_IFLNK }, { '3', ENTRY_CHAR, S_IFCHR },
		{ '4', ENTRY_BLOCK, S_IFBLK },	 { '5', ENTRY_DIRECTORY, S_IFDIR },
		{ '6', ENTRY_FIFO, S_IFIFO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].flag == flag) {
			*ret_format = types[i].format;
			return types[i].type;
		}
	return ENTRY_OPAQUE;
}

static bool take_numbers(const struct scan *scan, const struct tar_header *header, struct stat *st)
{
	const struct tar_pax *pax = &scan->pax;
	uint64_t mode, uid, gid, size, mtime, major_number, minor_number;

	if (!NUMBER(header, mode, &mode) || !NUMBER(header, uid, &uid) ||
	    !NUMBER(header, gid, &gid) || !NUMBER(header, size, &size) ||
	    !NUMBER(header, mtime, &mtime) || !NUMBER(header, dev_major, &major_number) ||
	    !NUMBER(header, dev_minor, &minor_number))
		return false;
	st->st_mode |= (mode_t)(mode & 07777);
	st->st_uid = (uid_t)(scan->has_pax && pax->has_uid ? pax->uid : uid);
	st->st_gid = (gid_t)(scan->has_pax && pax->has_gid ? pax->gid : gid);
	st->st_mtim.tv_sec = scan->has_pax && pax->has_mtime ? (time_t)pax->mtime : (time_t)mtime;
	size = scan->has_pax && pax->has_size ? pax->size : size;
	if (size > scan->size - scan->at)
		return false;
	st->st_size = (off_t)size;
	st->st_nlink = 1;
	st->st_rdev = makedev((unsigned)major_number, (unsigned)minor_number);
	return !scan->has_pax || (!pax->sparse.has_map && !pax->sparse.has_major);
}

static void member_release(struct tar_member *member)
{
	free(member->path);
	free(member->link);
}

static int take_member(struct scan *scan, const struct tar_header *header,
		       struct tar_member *ret_member, struct err *err)
{
	struct tar_member member = { 0 };
	const struct tar_pax *pax = &scan->pax;

	member.type = type_of(header->type, &member.stat.st_mode);
	member.path = scan->has_pax && pax->path ? xstrdup(pax->path)
						 : text_of(header->prefix, sizeof(header->prefix),
							   header->name, sizeof(header->name));
	member.link = scan->has_pax && pax->link
			      ? xstrdup(pax->link)
			      : text_of("", 0, header->link, sizeof(header->link));
	if (member.type == ENTRY_OPAQUE || !take_name(&member, member.path, header->type) ||
	    !take_numbers(scan, header, &member.stat) ||
	    (member.type != ENTRY_FILE && member.stat.st_size)) {
		member_release(&member);
		return refuse(scan, err);
	}
	member.offset = scan->at;
	scan->at += (uint64_t)member.stat.st_size + tar_padding((uint64_t)member.stat.st_size);
	if (member.type == ENTRY_SYMLINK)
		member.stat.st_size = (off_t)strlen(member.link);
	*ret_member = member;
	return 0;
}

static bool is_after(const struct tar_member *last, const struct tar_member *member)
{
	struct entry a = { .path = last->path, .type = last->type };
	struct entry b = { .path = member->path, .type = member->type };

	return entry_compare(&a, &b) < 0;
}

static int scan_all(struct scan *scan, struct tar_index *index, struct err *err)
{
	struct tar_header header;

	for (;;) {
		struct tar_member *member;

		if (read_block(scan, &header, err) < 0)
			return -1;
		if (tar_block_is_zero(&header))
			return scan->has_pax ? refuse(scan, err) : 0;
		if (!tar_header_is_sound(&header) || memcmp(header.magic, "ustar", 6))
			return refuse(scan, err);
		if (header.type == 'x') {
			if (read_pax(scan, &header, err) < 0)
				return -1;
			continue;
		}
		if (index->n == MEMBERS_MAX)
			return refuse(scan, err);
		index->members =
			grow_vector(index->members, index->n, &index->cap, sizeof(*index->members));
		member = &index->members[index->n];
		if (take_member(scan, &header, member, err) < 0)
			return -1;
		if (index->n++ && !is_after(member - 1, member))
			return refuse(scan, err);
		tar_pax_reset(&scan->pax);
		scan->has_pax = false;
	}
}

static bool is_mark(const struct tar_member *member)
{
	return member->type == ENTRY_OPAQUE || member->type == ENTRY_WHITEOUT;
}

static int compare_members(const void *a, const void *b)
{
	const struct tar_member *x = a, *y = b;
	int order = entry_path_compare(x->path, y->path);

	return order ? order : is_mark(y) - is_mark(x);
}

size_t tar_index_find(const struct tar_index *index, const char *path)
{
	size_t low = 0, high = index->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entry_path_compare(index->members[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A hardlink is what its other name is; a first name is never a hardlink itself. */
static int settle_links(struct tar_index *index, const struct scan *scan, struct err *err)
{
	for (size_t i = 0; i < index->n; i++) {
		struct tar_member *member = &index->members[i];
		size_t at;

		if (member->type != ENTRY_HARDLINK)
			continue;
		at = tar_index_find(index, member->link);
		if (at == index->n || strcmp(index->members[at].path, member->link) ||
		    is_mark(&index->members[at]) || index->members[at].type == ENTRY_DIRECTORY ||
		    (index->members[at].type == ENTRY_HARDLINK && at > i))
			return refuse(scan, err);
		member->stat = index->members[at].stat;
		member->offset = index->members[at].offset;
		if (!S_ISREG(member->stat.st_mode)) {
			free(member->link);
			member->link = xstrdup(index->members[at].link);
		}
	}
	return 0;
}

int tar_index_read(int fd, const char *what, struct tar_index **ret_index, struct err *err)
{
	cleanup_free struct scan *scan = xcalloc(1, sizeof(*scan));
	struct tar_index *index = xcalloc(1, sizeof(*index));
	struct stat st;
	int bad;

	scan->fd = fd;
	scan->what = what;
	if (fstat(fd, &st) < 0) {
		free(index);
		return err_os(err, "stat %s", what);
	}
	scan->size = (uint64_t)st.st_size;
	bad = scan_all(scan, index, err);
	tar_pax_release(&scan->pax);
	free(scan->pax_body);
	if (!bad && index->n)
		qsort(index->members, index->n, sizeof(*index->members), compare_members);
	if (bad || settle_links(index, scan, err) < 0) {
		tar_index_free(index);
		return -1;
	}
	*ret_index = index;
	return 0;
}

void tar_index_free(struct tar_index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->n; i++)
		member_release(&index->members[i]);
	free(index->members);
	free(index);
}
