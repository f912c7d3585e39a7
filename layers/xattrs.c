/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The extended attributes of an open file that belong to an image, sorted by name. */
#include "layers/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/err.h"

#define XATTRS_MAX (1024 * 1024) /* bytes of names and values on one file */

void xattr_list_init(struct xattr_list *list)
{
	*list = (struct xattr_list){ 0 };
	buf_init(&list->text, XATTRS_MAX);
}

void xattr_list_release(struct xattr_list *list)
{
	buf_release(&list->text);
	free(list->v);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

/* Name, NUL and value go to the text. 1: one that is not there any more, or not ours. */
static int add(struct xattr_list *list, int fd, const char *name, struct err *err)
{
	ssize_t len = fgetxattr(fd, name, NULL, 0);
	cleanup_free char *value = NULL;

	if (len < 0)
		return errno == ENODATA ? 1 : err_os(err, "read attribute %s", name);
	value = xmalloc((size_t)len + 1);
	len = fgetxattr(fd, name, value, (size_t)len);
	if (len < 0)
		return err_os(err, "read attribute %s", name);
	buf_add(&list->text, name, strlen(name) + 1);
	if (buf_add(&list->text, value, (size_t)len) < 0)
		return err_set(err, ERR_LIMIT, "too many bytes in extended attributes");
	list->v = grow_vector(list->v, list->n, &list->cap, sizeof(*list->v));
	list->v[list->n++].len = (size_t)len;
	return 0;
}

/* Addresses, now that the text grows no more. */
static void settle(struct xattr_list *list)
{
	char *at = list->text.data;

	for (size_t i = 0; i < list->n; i++) {
		list->v[i].name = at;
		list->v[i].value = at + strlen(at) + 1;
		at += strlen(at) + 1 + list->v[i].len;
	}
	if (list->n > 1)
		qsort(list->v, list->n, sizeof(*list->v), compare);
}

int xattr_list_read(struct xattr_list *list, int fd, struct err *err)
{
	ssize_t len = flistxattr(fd, NULL, 0);
	cleanup_free char *names = NULL;

	list->n = 0;
	buf_clear(&list->text);
	if (len == 0 || (len < 0 && errno == EOPNOTSUPP))
		return 0;
	names = xmalloc(len > 0 ? (size_t)len : 1);
	len = len < 0 ? -1 : flistxattr(fd, names, (size_t)len);
	if (len < 0)
		return err_os(err, "list extended attributes");
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		if (xattr_is_portable(name) && add(list, fd, name, err) < 0)
			return -1;
	settle(list);
	return 0;
}

bool xattr_list_equal(const struct xattr_list *a, const struct xattr_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, b->v[i].name) || a->v[i].len != b->v[i].len ||
		    memcmp(a->v[i].value, b->v[i].value, a->v[i].len))
			return false;
	return true;
}
