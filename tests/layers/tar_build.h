/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAYERS_TAR_BUILD_H
#define TESTS_LAYERS_TAR_BUILD_H

/*
 * tests/layers/tar_build.h: tar blocks made by hand, so that a test can say what no honest writer
 * says. A header begins as a sound empty file and is changed field by field; tar_put() seals it.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "layers/internal.h"

#define TAR_BUILD_MAX (64 * 1024 * 1024)

static inline struct tar_header tar_member(const char *name, char type)
{
	struct tar_header header = { 0 };

	memcpy(header.name, name, strnlen(name, sizeof(header.name)));
	snprintf(header.mode, sizeof(header.mode), "%07o", 0644);
	snprintf(header.uid, sizeof(header.uid), "%07o", 0);
	snprintf(header.gid, sizeof(header.gid), "%07o", 0);
	snprintf(header.size, sizeof(header.size), "%011o", 0);
	snprintf(header.mtime, sizeof(header.mtime), "%011o", 1);
	snprintf(header.dev_major, sizeof(header.dev_major), "%07o", 0);
	snprintf(header.dev_minor, sizeof(header.dev_minor), "%07o", 0);
	memcpy(header.magic, "ustar", 6);
	memcpy(header.version, "00", 2);
	header.type = type;
	return header;
}

static inline void tar_put(struct buf *tar, struct tar_header header)
{
	unsigned sum = 0;

	memset(header.checksum, ' ', sizeof(header.checksum));
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += ((unsigned char *)&header)[i];
	snprintf(header.checksum, sizeof(header.checksum), "%06o", sum);
	buf_add(tar, &header, TAR_BLOCK);
}

static inline void tar_put_content(struct buf *tar, const void *data, size_t len)
{
	static const char zeros[TAR_BLOCK];

	buf_add(tar, data, len);
	buf_add(tar, zeros, tar_padding(len));
}

/* A header whose size is len, and the content. */
static inline void tar_put_with(struct buf *tar, struct tar_header header, const void *data,
				size_t len)
{
	snprintf(header.size, sizeof(header.size), "%011o", (unsigned)len);
	tar_put(tar, header);
	tar_put_content(tar, data, len);
}

static inline void tar_put_file(struct buf *tar, const char *name, const char *content)
{
	tar_put_with(tar, tar_member(name, '0'), content, strlen(content));
}

static inline void tar_put_link(struct buf *tar, const char *name, char type, const char *target)
{
	struct tar_header header = tar_member(name, type);

	memcpy(header.link, target, strnlen(target, sizeof(header.link)));
	tar_put(tar, header);
}

/* One pax record; value may hold NULs. */
static inline void tar_pax_record(struct buf *body, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + rest != total)
		total = (size_t)snprintf(digits, sizeof(digits), "%zu", total) + rest;
	buf_addf(body, "%s %s=", digits, key);
	buf_add(body, value, len);
	buf_addch(body, '\n');
}

static inline void tar_put_pax(struct buf *tar, const struct buf *body)
{
	tar_put_with(tar, tar_member("pax", 'x'), body->data, body->len);
}

/* A pax header with one record. */
static inline void tar_put_pax1(struct buf *tar, const char *key, const char *value)
{
	cleanup_buf struct buf body;

	buf_init(&body, TAR_BUILD_MAX);
	tar_pax_record(&body, key, value, strlen(value));
	tar_put_pax(tar, &body);
}

static inline void tar_put_end(struct buf *tar)
{
	static const char zeros[2 * TAR_BLOCK];

	buf_add(tar, zeros, sizeof(zeros));
}

/* A file without a name that holds the bytes, at its beginning. */
static inline int tar_as_fd(const void *data, size_t len)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
		abort();
	return fd;
}

static inline struct tar_header tar_member_of(const char *name, char type, unsigned mode,
					      unsigned uid, unsigned mtime)
{
	struct tar_header header = tar_member(name, type);

	snprintf(header.mode, sizeof(header.mode), "%07o", mode);
	snprintf(header.uid, sizeof(header.uid), "%07o", uid);
	snprintf(header.gid, sizeof(header.gid), "%07o", uid);
	snprintf(header.mtime, sizeof(header.mtime), "%011o", mtime);
	return header;
}

/* An archive to be, gone at the end of its block. */
#define TAR_BUF(name)                                                                              \
	cleanup_buf struct buf name;                                                               \
	buf_init(&name, TAR_BUILD_MAX)

#endif
