/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and groups by the root's own files, read without trust: at most 10 MiB each, fields by
 * their position, lines that do not parse skipped. A word of digits is always an id: a user whose
 * name is "1000" cannot be meant by it.
 */
#include "builder/copy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "layers/layer.h"

#define ACCOUNTS_MAX (10 * 1024 * 1024)
#define GROUPS_MAX   65536 /* the kernel's NGROUPS_MAX */
#define FIELDS_MAX   7
#define PASSWD	     "/etc/passwd"
#define GROUP	     "/etc/group"

/* One line of an account file, split at its colons; texts are cut out of the buffer. */
struct account {
	char *fields[FIELDS_MAX];
	size_t n;
};

/* Digits that make an id. (uid_t)-1 means "unchanged" to the kernel and is no id. */
static bool parse_id(const char *text, unsigned *ret_id)
{
	unsigned long long id = 0;

	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9')
			return false;
		id = id * 10 + (unsigned)(*at - '0');
		if (id >= UINT_MAX)
			return false;
	}
	*ret_id = (unsigned)id;
	return *text != '\0';
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* Read an account file; *ret_there is false when the root has none. */
static int read_accounts(struct root *root, const char *path, struct buf *buf, bool *ret_there,
			 struct err *err)
{
	*ret_there = false;
	if (!root)
		return 0;
	if (root_read(root, path, ACCOUNTS_MAX, buf, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	*ret_there = true;
	return 0;
}

/* The next line of *at, moved on. False at the end. */
static bool next_account(char **at, struct account *account)
{
	char *line = *at;

	account->n = 0;
	if (!*line)
		return false;
	*at += strcspn(line, "\n");
	if (**at)
		*(*at)++ = '\0';
	while (account->n < FIELDS_MAX) {
		account->fields[account->n++] = line;
		line += strcspn(line, ":");
		if (!*line)
			break;
		*line++ = '\0';
	}
	return true;
}

/* The first account of that name, or of that id (field 2) when the name is a number. */
static bool find_account(struct buf *buf, const char *name, size_t n_fields,
			 struct account *ret_account)
{
	bool number = is_number(name);
	unsigned want = 0, id;
	char *at = buf->data;

	if (number && !parse_id(name, &want))
		return false;
	while (next_account(&at, ret_account)) {
		if (ret_account->n < n_fields || !parse_id(ret_account->fields[2], &id))
			continue;
		if (number ? id == want : !strcmp(ret_account->fields[0], name))
			return true;
	}
	return false;
}

static int no_such(const char *what, const char *name, bool there, const char *path,
		   struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "no %s \"%s\" in %s%s", what, name, path,
		       there ? "" : ", which does not exist");
}

static int resolve_user(struct root *root, const char *user, bool primary_group, unsigned *uid,
			unsigned *gid, struct err *err)
{
	bool number = is_number(user), there, found;
	cleanup_buf struct buf buf;
	struct account account;

	buf_init(&buf, ACCOUNTS_MAX);
	if (number && !parse_id(user, uid))
		return err_set(err, ERR_INVALID, "user id %s is out of range", user);
	if (number && !primary_group) {
		*gid = *uid;
		return 0;
	}
	if (read_accounts(root, PASSWD, &buf, &there, err) < 0)
		return -1;
	found = there && find_account(&buf, user, 4, &account);
	if (!found && !number)
		return no_such("user", user, there, PASSWD, err);
	*gid = 0;
	if (found && (!parse_id(account.fields[2], uid) || !parse_id(account.fields[3], gid)))
		return err_set(err, ERR_INVALID, "%s: user \"%s\" has no valid ids", PASSWD, user);
	return 0;
}

static int resolve_group(struct root *root, const char *group, unsigned *gid, struct err *err)
{
	cleanup_buf struct buf buf;
	struct account account;
	bool there;

	buf_init(&buf, ACCOUNTS_MAX);
	if (is_number(group)) {
		if (!parse_id(group, gid))
			return err_set(err, ERR_INVALID, "group id %s is out of range", group);
		return 0;
	}
	if (read_accounts(root, GROUP, &buf, &there, err) < 0)
		return -1;
	if (!there || !find_account(&buf, group, 3, &account))
		return no_such("group", group, there, GROUP, err);
	parse_id(account.fields[2], gid);
	return 0;
}

int owner_resolve(struct root *root, const char *text, bool primary_group, unsigned *ret_uid,
		  unsigned *ret_gid, struct err *err)
{
	cleanup_free char *user = xstrdup(text);
	char *group = strchr(user, ':');
	unsigned uid = 0, gid = 0;

	if (group)
		*group++ = '\0';
	if ((!*user && !group) || (group && (!*group || strchr(group, ':'))))
		return err_set(err, ERR_INVALID, "invalid owner \"%s\": expected user[:group]",
			       text);
	if (*user && resolve_user(root, user, primary_group && !group, &uid, &gid, err) < 0)
		return -1;
	if (group && resolve_group(root, group, &gid, err) < 0)
		return -1;
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

/* Whether a comma-separated list has the name. */
static bool has_member(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (;;) {
		size_t n = strcspn(list, ",");

		if (n == len && !memcmp(list, name, len))
			return true;
		if (!list[n])
			return false;
		list += n + 1;
	}
}

static int collect_groups(struct buf *buf, const char *name, unsigned **gids, size_t *n,
			  struct err *err)
{
	struct account account;
	char *at = buf->data;
	size_t cap = 0;

	while (next_account(&at, &account)) {
		unsigned gid;

		if (account.n < 4 || !parse_id(account.fields[2], &gid) ||
		    !has_member(account.fields[3], name))
			continue;
		if (*n == GROUPS_MAX)
			return err_set(err, ERR_LIMIT, "%s: user \"%s\" is in more than %d groups",
				       GROUP, name, GROUPS_MAX);
		*gids = grow_vector(*gids, *n, &cap, sizeof(**gids));
		(*gids)[(*n)++] = gid;
	}
	return 0;
}

int owner_groups(struct root *root, const char *user, unsigned **ret_gids, size_t *ret_n,
		 char **ret_home, struct err *err)
{
	cleanup_free char *name = xstrndup(user, strcspn(user, ":"));
	cleanup_buf struct buf passwd, group;
	cleanup_free unsigned *gids = NULL;
	cleanup_free char *home = NULL;
	struct account account;
	size_t n = 0;
	bool there;

	buf_init(&passwd, ACCOUNTS_MAX);
	buf_init(&group, ACCOUNTS_MAX);
	if (read_accounts(root, PASSWD, &passwd, &there, err) < 0)
		return -1;
	if (there && find_account(&passwd, *name ? name : "0", 6, &account)) {
		if (account.fields[5][0])
			home = xstrdup(account.fields[5]);
		free(name);
		name = xstrdup(account.fields[0]);
	}
	/* A number that no account has is in no group, whatever the group file says. */
	if (!strchr(user, ':') && !is_number(name)) {
		if (read_accounts(root, GROUP, &group, &there, err) < 0)
			return -1;
		if (there && collect_groups(&group, name, &gids, &n, err) < 0)
			return -1;
	}
	*ret_gids = steal_pointer(&gids);
	*ret_n = n;
	*ret_home = home ? steal_pointer(&home) : xstrdup("/");
	return 0;
}
