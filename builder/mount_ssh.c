/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN --mount=type=ssh: a socket in the sandbox that leads to an agent of --ssh. SSH_AUTH_SOCK
 * names the first of the step, unless the Dockerfile has set it.
 */
#include "builder/mount.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

static const struct build_ssh *find(const struct build_options *options, const char *id)
{
	for (size_t i = options->n_ssh; i-- > 0;)
		if (!strcmp(options->ssh[i].id, id))
			return &options->ssh[i];
	return NULL;
}

static int make_socket(struct step_mounts *mounts, struct step_mount *mount, const char *agent,
		       struct err *err)
{
	const struct mount_request *request = &mount->request;
	cleanup_free char *name = xasprintf("ssh.%zu", (size_t)(mount - mounts->v));
	struct scratch *scratch;

	if (step_mounts_scratch(mounts, &scratch, err) < 0)
		return -1;
	if (!mounts->relay)
		mounts->relay = ssh_relay_new();
	if (ssh_relay_add(mounts->relay, scratch->dir_fd, name, agent, err) < 0)
		return -1;
	if (fchownat(scratch->dir_fd, name, request->uid, request->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(scratch->dir_fd, name, request->mode, 0) < 0)
		return err_os(err, "give the socket to %u:%u", request->uid, request->gid);
	mount->source_fd = openat(scratch->dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return mount->source_fd < 0 ? err_os(err, "open the socket") : 0;
}

int mount_ssh_open(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	const struct mount_request *request = &mount->request;
	const struct build_ssh *ssh = find(mounts->builder->options, request->id);
	struct sandbox_mount *bind;
	const char *agent;

	if (!ssh) {
		if (request->required)
			return err_set(err, ERR_NOT_FOUND,
				       "the ssh agent \"%s\" is required: use --ssh %s",
				       request->id, request->id);
		builder_warn(mounts->builder,
			     "the ssh agent \"%s\" was not given and is not mounted (use --ssh %s)",
			     request->id, request->id);
		return 0;
	}
	if (ssh_agent_socket(mounts->builder, ssh, &agent, err) < 0 ||
	    make_socket(mounts, mount, agent, err) < 0)
		return -1;
	bind = step_mounts_add(mounts, request->target);
	bind->kind = SANDBOX_MOUNT_BIND;
	bind->source_fd = mount->source_fd;
	bind->read_only = true;
	if (step_mounts_are_moved(mounts)) {
		snprintf(mount->home_name, sizeof(mount->home_name), "ssh.%zu",
			 (size_t)(mount - mounts->v));
		bind->home_fd = mounts->scratch->dir_fd;
		bind->home_name = mount->home_name;
	}
	if (!env_get(&mounts->env, "SSH_AUTH_SOCK") &&
	    !env_get(&mounts->stage->env, "SSH_AUTH_SOCK"))
		env_set(&mounts->env, "SSH_AUTH_SOCK", request->target);
	return 0;
}
