/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN --mount=type=secret: a value of --secret as a file on a tmpfs of the sandbox, or a variable
 * of the process. It is in this process's memory and in the sandbox's, and nowhere else: no file
 * of the store, no key, no record, no history.
 */
#include "builder/mount.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

const struct build_secret *secret_find(const struct build_options *options, const char *id)
{
	for (size_t i = options->n_secrets; i-- > 0;)
		if (!strcmp(options->secrets[i].id, id))
			return &options->secrets[i];
	return NULL;
}

/* "given are a, b", for messages. The caller's. */
static char *list_ids(const struct build_options *options)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_addstr(&text, options->n_secrets ? "given are " : "none is given");
	for (size_t i = 0; i < options->n_secrets; i++)
		buf_addf(&text, "%s\"%s\"", i ? ", " : "", options->secrets[i].id);
	return buf_steal(&text);
}

static int set_variable(struct step_mounts *mounts, const struct step_mount *mount,
			const struct build_secret *secret, struct err *err)
{
	cleanup_free char *value = xmalloc(secret->len + 1);

	if (memchr(secret->data, '\0', secret->len))
		return err_set(err, ERR_INVALID,
			       "the secret \"%s\" holds a NUL and cannot be a variable",
			       secret->id);
	memcpy(value, secret->data, secret->len);
	value[secret->len] = '\0';
	env_set(&mounts->env, mount->request.env, value);
	explicit_bzero(value, secret->len);
	return 0;
}

int mount_secret_open(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	const struct build_options *options = mounts->builder->options;
	const struct mount_request *request = &mount->request;
	const struct build_secret *secret = secret_find(options, request->id);
	struct sandbox_mount *file;

	if (!secret) {
		cleanup_free char *ids = list_ids(options);

		if (request->required)
			return err_set(err, ERR_NOT_FOUND,
				       "the secret \"%s\" is required: use --secret id=%s,src=FILE "
				       "(%s)",
				       request->id, request->id, ids);
		builder_warn(mounts->builder,
			     "the secret \"%s\" was not given and is not mounted (%s)", request->id,
			     ids);
		return 0;
	}
	if (request->env && set_variable(mounts, mount, secret, err) < 0)
		return -1;
	if (!request->target)
		return 0;
	file = step_mounts_add(mounts, request->target);
	file->kind = SANDBOX_MOUNT_FILE;
	file->read_only = true;
	file->data = secret->data;
	file->len = secret->len;
	file->mode = request->mode;
	file->uid = request->uid;
	file->gid = request->gid;
	return 0;
}
