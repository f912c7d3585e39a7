/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of the kernel and of the command line. */
#include <string.h>

#include "sandbox/cgroup.h"
#include "sandbox/internal.h"

/* The n-th word of a line, from 0. */
static const char *word_at(const char *line, size_t n, size_t *ret_len)
{
	for (; n > 0; n--) {
		line += strcspn(line, " \n");
		line += *line == ' ';
	}
	*ret_len = strcspn(line, " \n");
	return line;
}

bool cgroup_find_mount(const char *mountinfo, char **ret_point, char **ret_root)
{
	for (const char *line = mountinfo; *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		const char *end = strchrnul(line, '\n');
		const char *dash = memmem(line, (size_t)(end - line), " - cgroup2 ", 11);
		size_t root_len, point_len;
		const char *root = word_at(line, 3, &root_len);
		const char *point = word_at(line, 4, &point_len);

		/* a blank in a path is an escape, and no place for a cgroup file system */
		if (!dash || memchr(point, '\\', point_len))
			continue;
		*ret_point = xstrndup(point, point_len);
		*ret_root = xstrndup(root, root_len);
		return true;
	}
	return false;
}

char *cgroup_find_own(const char *text, const char *root)
{
	const char *line = !strncmp(text, "0::", 3) ? text : strstr(text, "\n0::");
	size_t len = strcmp(root, "/") ? strlen(root) : 0;

	if (!line)
		return NULL;
	line += *line == '\n' ? 4 : 3;
	/* what is above the mount's root cannot be named */
	if (strncmp(line, root, len) || (len && line[len] != '/' && line[len] != '\n'))
		return xstrdup("/");
	line += len;
	return xstrndup(line, strcspn(line, "\n"));
}

bool cgroup_list_valid(const char *text)
{
	size_t digits = 0;
	bool range = false;

	for (;; text++) {
		if (*text >= '0' && *text <= '9') {
			if (++digits > 5)
				return false;
			continue;
		}
		if (!digits || (*text == '-' && range))
			return false;
		if (!*text)
			return true;
		if (*text != ',' && *text != '-')
			return false;
		range = *text == '-';
		digits = 0;
	}
}
