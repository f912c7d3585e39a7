/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order is the one of a depth-first walk. It is compared component by component, so that the
 * marks of a directory can take their places before its members without spelling their names.
 */
#include "layers/entry.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "layers/internal.h"

enum entry_type entry_type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return ENTRY_DIRECTORY;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFCHR:
		return ENTRY_CHAR;
	case S_IFBLK:
		return ENTRY_BLOCK;
	case S_IFIFO:
		return ENTRY_FIFO;
	default:
		return ENTRY_FILE;
	}
}

int entry_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int compare_names(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (order)
		return order;
	return a_len < b_len ? -1 : a_len > b_len;
}

/* What is left of a path: nothing (the directory), its opaque mark, or more components. */
static int rank_rest(const struct entry *entry, const char *rest)
{
	if (*rest)
		return 2;
	return entry->type == ENTRY_OPAQUE ? 1 : 0;
}

int entry_compare(const struct entry *x, const struct entry *y)
{
	const char *a = x->path, *b = y->path;

	for (;;) {
		int a_rank = rank_rest(x, a), b_rank = rank_rest(y, b);
		size_t a_len, b_len;
		bool a_gone, b_gone;
		int order;

		if (a_rank != b_rank || a_rank != 2)
			return a_rank - b_rank;
		a_len = strcspn(a, "/");
		b_len = strcspn(b, "/");
		a_gone = x->type == ENTRY_WHITEOUT && !a[a_len];
		b_gone = y->type == ENTRY_WHITEOUT && !b[b_len];
		if (a_gone != b_gone)
			return a_gone ? -1 : 1;
		order = compare_names(a, a_len, b, b_len);
		if (order)
			return order;
		a += a_len + (a[a_len] == '/');
		b += b_len + (b[b_len] == '/');
	}
}

static const char *find_fault(const char *name, size_t len)
{
	if (len == 0)
		return "an empty component";
	if (len > ENTRY_NAME_MAX)
		return "a component longer than 255 bytes";
	if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return "a \".\" or \"..\" component";
	if (!strncmp(name, ".wh.", 4))
		return "a component that begins with \".wh.\", the mark of removed files";
	return NULL;
}

int entry_check_path(const char *path, struct err *err)
{
	const char *name = path;

	if (!*path)
		return 0;
	if (strlen(path) >= ENTRY_PATH_MAX)
		return err_set(err, ERR_INVALID,
			       "a layer cannot hold a path of %d bytes or more: %.200s...",
			       ENTRY_PATH_MAX, path);
	for (;;) {
		size_t len = strcspn(name, "/");
		const char *fault = find_fault(name, len);

		if (fault)
			return err_set(err, ERR_INVALID, "a layer cannot hold a path with %s: %s",
				       fault, path);
		if (!name[len])
			return 0;
		name += len + 1;
	}
}

bool entry_normalise(const char *from, char to[ENTRY_PATH_MAX])
{
	size_t used = 0;

	for (;;) {
		size_t len;

		from += strspn(from, "/");
		len = strcspn(from, "/");
		if (len == 0) {
			to[used] = '\0';
			return true;
		}
		if (len == 2 && from[0] == '.' && from[1] == '.') {
			while (used > 0 && to[--used] != '/')
				;
		} else if (len != 1 || from[0] != '.') {
			if (len > ENTRY_NAME_MAX || used + 1 + len >= ENTRY_PATH_MAX)
				return false;
			if (used)
				to[used++] = '/';
			memmove(to + used, from, len);
			used += len;
		}
		from += len;
	}
}
