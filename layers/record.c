/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/record.c: small JSON objects, each a file of its own.
 *
 * A record is the writer's object with one member put before the others: "crc", the CRC-32 of all
 * bytes after the writer's opening brace, in a fixed form, so that it can be checked without
 * parsing:
 *
 *	{"crc":"7c735c61","size":12}
 *
 * 1. A record is written to a locked file under tmp/ and renamed over the old one: readers see the
 *    old one or the new one. A crash leaves a file that store_sweep() removes.
 * 2. It is not synced: a power cut may leave it empty or cut. The crc tells, the record is set
 *    aside, and what it remembered is found out again.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/internal.h"
#include "layers/store.h"

#define CRC_BEGIN	"{\"crc\":\""
#define CRC_DIGITS	8
#define CRC_LEN		(sizeof(CRC_BEGIN) - 1 + CRC_DIGITS + 1) /* with the closing quote */
#define RECORD_PATH_MAX 256

static uint32_t crc_of(const char *text, size_t len)
{
	return (uint32_t)crc32_z(0, (const unsigned char *)text, len);
}

/* The writer's bytes after its opening brace begin here; NULL when it is no whole record. */
static const char *record_body(const char *text, size_t len)
{
	char expected[CRC_LEN + 1];
	const char *body = text + CRC_LEN;

	if (len <= CRC_LEN)
		return NULL;
	if (*body == ',')
		body++;
	snprintf(expected, sizeof(expected), CRC_BEGIN "%08x\"",
		 crc_of(body, len - (size_t)(body - text)));
	return memcmp(text, expected, CRC_LEN) == 0 ? body : NULL;
}

void store_set_aside(struct store *store, const char *path)
{
	cleanup_free char *aside = xasprintf("%s~damaged", path);

	renameat(store_fd(store), path, store_fd(store), aside);
}

int record_get_at(struct store *store, const char *path, struct buf *buf, struct err *err)
{
	cleanup_buf struct buf text;
	const char *body;

	buf_init(&text, buf->max + CRC_LEN + 1);
	if (file_read_at(store_fd(store), path, &text, err) < 0)
		return -1;
	body = record_body(text.data, text.len);
	if (!body) {
		store_set_aside(store, path);
		return err_set(err, ERR_CORRUPT,
			       "record %s is damaged; it was set aside as %s~damaged", path, path);
	}
	if (buf_addch(buf, '{') < 0 ||
	    buf_add(buf, body, text.len - (size_t)(body - text.data)) < 0)
		return err_set(err, ERR_LIMIT, "record %s: larger than %zu bytes", path, buf->max);
	return 0;
}

/* Rename tmp to path, making the directories above path when they are missing. */
static int rename_into(struct store *store, const char *tmp, const char *path, struct err *err)
{
	int dir_fd = store_fd(store);

	/* more than once: somebody else may remove a directory as soon as it is empty */
	for (int tries = 0; tries < 10; tries++) {
		cleanup_free char *parent = NULL;

		if (renameat(dir_fd, tmp, dir_fd, path) == 0)
			return 0;
		if (errno != ENOENT)
			break;
		parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
		if (file_mkdirs_at(dir_fd, parent, 0700, err) < 0)
			return -1;
	}
	return err_os(err, "rename %s to %s", tmp, path);
}

int record_put_at(struct store *store, const char *path, const void *data, size_t len,
		  struct err *err)
{
	const char *body = (const char *)data + 1;
	char tmp[TMP_PATH_MAX], head[CRC_LEN + 2];
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	size_t head_len;

	assert(len >= 2 && *(const char *)data == '{');
	head_len = (size_t)snprintf(head, sizeof(head), CRC_BEGIN "%08x\"%s", crc_of(body, len - 1),
				    *body == '}' ? "" : ",");
	text = xmalloc(head_len + len);
	memcpy(text, head, head_len);
	memcpy(text + head_len, body, len - 1);
	if (tmp_file_open(store, tmp, &fd, err) < 0)
		return -1;
	if (write_all(fd, text, head_len + len - 1) < 0)
		err_os(err, "write %s", path);
	else if (rename_into(store, tmp, path, err) == 0)
		return 0;
	unlinkat(store_fd(store), tmp, 0);
	return -1;
}

static const char *record_path(const char *kind, const struct digest *name,
			       char path[RECORD_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	digest_hex(name, hex);
	if (!strcmp(kind, "steps"))
		snprintf(path, RECORD_PATH_MAX, "%s/%.2s/%s", kind, hex, hex);
	else
		snprintf(path, RECORD_PATH_MAX, "%s/%s", kind, hex);
	return path;
}

int record_read(struct store *store, const char *kind, const struct digest *name, struct buf *buf,
		struct err *err)
{
	char path[RECORD_PATH_MAX];

	return record_get_at(store, record_path(kind, name, path), buf, err);
}

int record_write(struct store *store, const char *kind, const struct digest *name, const void *data,
		 size_t len, struct err *err)
{
	char path[RECORD_PATH_MAX];

	return record_put_at(store, record_path(kind, name, path), data, len, err);
}

int record_remove(struct store *store, const char *kind, const struct digest *name, struct err *err)
{
	char path[RECORD_PATH_MAX];

	if (unlinkat(store_fd(store), record_path(kind, name, path), 0) < 0 && errno != ENOENT)
		return err_os(err, "remove %s", path);
	return 0;
}
