/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes that are the file's own: user.* and file capabilities. What belongs to the
 * host's policy or steers its overlayfs (security.selinux, trusted.*, user.overlay.*, ACLs) is
 * not the image's.
 */
#include "builder/node.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/err.h"
#include "base/mem.h"

static bool is_kept(const char *name)
{
	if (!strncmp(name, "user.", 5))
		return strncmp(name, "user.overlay.", 13) != 0 &&
		       strncmp(name, "user.cbuild.", 12) != 0;
	return !strcmp(name, "security.capability");
}

static void add_u32(struct buf *buf, uint32_t number)
{
	unsigned char bytes[4];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
	buf_add(buf, bytes, sizeof(bytes));
}

static uint32_t get_u32(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

struct xattr_pack *xattrs_pack(const struct xattr *xattrs, size_t n)
{
	cleanup_buf struct buf buf;
	struct xattr_pack *list;

	buf_init(&buf, UINT32_MAX / 2);
	if (!n)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		buf_add(&buf, xattrs[i].name, strlen(xattrs[i].name) + 1);
		add_u32(&buf, (uint32_t)xattrs[i].len);
		buf_add(&buf, xattrs[i].value, xattrs[i].len);
	}
	list = xmalloc(sizeof(*list) + buf.len);
	list->len = (uint32_t)buf.len;
	memcpy(list->bytes, buf.data, buf.len);
	return list;
}

bool xattrs_are_sound(const unsigned char *bytes, size_t len)
{
	const char *before = NULL;

	for (size_t at = 0; at < len;) {
		const char *name = (const char *)bytes + at;
		const unsigned char *end = memchr(bytes + at, '\0', len - at);

		if (!end || (before && strcmp(before, name) >= 0) || !is_kept(name))
			return false;
		at = (size_t)(end - bytes) + 1;
		if (len - at < 4 || get_u32(bytes + at) > len - at - 4)
			return false;
		at += 4 + (size_t)get_u32(bytes + at);
		before = name;
	}
	return true;
}

void xattrs_unpack(const struct xattr_pack *list, struct xattr **ret_xattrs, size_t *ret_n)
{
	size_t cap = 0;

	*ret_xattrs = NULL;
	*ret_n = 0;
	for (size_t at = 0; list && at < list->len;) {
		struct xattr *xattr;

		*ret_xattrs = grow_vector(*ret_xattrs, *ret_n, &cap, sizeof(**ret_xattrs));
		xattr = &(*ret_xattrs)[(*ret_n)++];
		xattr->name = (const char *)list->bytes + at;
		at += strlen(xattr->name) + 1;
		xattr->len = get_u32(list->bytes + at);
		xattr->value = list->bytes + at + 4;
		at += 4 + xattr->len;
	}
}

/* The names of fd that are kept, their values behind one another in `values`. */
static int read_values(int fd, const char *path, char *names, size_t len, struct buf *values,
		       struct xattr **xattrs, size_t *n, struct err *err)
{
	cleanup_free char *value = xmalloc(XATTR_SIZE_MAX);
	size_t cap = 0;

	for (char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t got;

		if (!is_kept(name))
			continue;
		got = fgetxattr(fd, name, value, XATTR_SIZE_MAX);
		if (got < 0 && errno == ENODATA)
			continue;
		if (got < 0)
			return err_os(err, "read the attribute %s of %s", name, path);
		*xattrs = grow_vector(*xattrs, *n, &cap, sizeof(**xattrs));
		(*xattrs)[*n].name = name;
		(*xattrs)[*n].value = NULL; /* an offset while the buffer moves */
		(*xattrs)[(*n)++].len = (size_t)got;
		if (buf_add(values, value, (size_t)got) < 0)
			return err_set(err, ERR_LIMIT, "%s: too many extended attributes", path);
	}
	for (size_t i = 0, at = 0; i < *n; i++) {
		(*xattrs)[i].value = values->data + at;
		at += (*xattrs)[i].len;
	}
	return 0;
}

int xattrs_read(int fd, const char *path, struct xattr_pack **ret_list, struct err *err)
{
	cleanup_buf struct buf values;
	cleanup_free struct xattr *xattrs = NULL;
	cleanup_free char *names = NULL;
	char few[1024];
	ssize_t len = flistxattr(fd, few, sizeof(few));
	size_t n = 0;

	buf_init(&values, NODE_XATTRS_MAX);
	*ret_list = NULL;
	if (len == 0 || (len < 0 && errno == ENOTSUP))
		return 0;
	if (len < 0 && errno == ERANGE) {
		names = xmalloc(XATTR_LIST_MAX);
		len = flistxattr(fd, names, XATTR_LIST_MAX);
	}
	if (len < 0)
		return err_os(err, "list the extended attributes of %s", path);
	if (read_values(fd, path, names ? names : few, (size_t)len, &values, &xattrs, &n, err) < 0)
		return -1;
	if (n)
		qsort(xattrs, n, sizeof(*xattrs), compare_names);
	*ret_list = xattrs_pack(xattrs, n);
	return 0;
}
