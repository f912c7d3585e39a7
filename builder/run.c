/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cbuild run: the image's process in the sandbox of RUN, over a snapshot that is thrown away. */
#include "builder/build.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "builder/copy.h"
#include "builder/internal.h"
#include "builder/probes.h"
#include "layers/layer.h"
#include "sandbox/net.h"

static int make_argv(const struct run_options *options, const struct image *image,
		     struct strv *ret_argv, struct err *err)
{
	strv_extend(ret_argv, options->has_entrypoint ? &options->entrypoint : &image->entrypoint);
	if (options->args.n)
		strv_extend(ret_argv, &options->args);
	else if (!options->has_entrypoint)
		strv_extend(ret_argv, &image->cmd);
	if (!ret_argv->n)
		return err_set(err, ERR_INVALID,
			       "no command: the image has neither ENTRYPOINT nor CMD, and none was "
			       "given");
	return 0;
}

static void make_environment(const struct run_options *options, const struct image *image,
			     const char *home, const char *hostname, struct strv *ret_env)
{
	strv_extend(ret_env, &image->env);
	if (!env_get(ret_env, "PATH"))
		strv_add(ret_env, "PATH=" DEFAULT_PATH);
	env_set(ret_env, "HOSTNAME", hostname);
	if (!env_get(ret_env, "HOME"))
		strv_addf(ret_env, "HOME=%s", home);
	for (size_t i = 0; i < options->env.n; i++) {
		cleanup_free char *name =
			xstrndup(options->env.v[i], strcspn(options->env.v[i], "="));

		env_set(ret_env, name, options->env.v[i] + strlen(name) + 1);
	}
}

static void mounts_close(struct sandbox_mount *mounts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(mounts[i].source_fd);
	free(mounts);
}

static int open_mounts(const struct run_options *options, struct sandbox_mount **ret_mounts,
		       struct err *err)
{
	struct sandbox_mount *mounts = xcalloc(options->n_mounts, sizeof(*mounts));

	for (size_t i = 0; i < options->n_mounts; i++) {
		const struct run_mount *from = &options->mounts[i];

		mounts[i] = (struct sandbox_mount){
			.kind = SANDBOX_MOUNT_BIND,
			.source_fd = open(from->source, O_PATH | O_CLOEXEC),
			.target = from->target,
			.read_only = from->read_only,
		};
		if (mounts[i].source_fd < 0) {
			err_os(err, "--volume %s", from->source);
			mounts_close(mounts, i);
			return -1;
		}
	}
	*ret_mounts = mounts;
	return 0;
}

struct prepared {
	const struct run_options *options;
	struct image *image;
	struct root *root;
	int root_fd, aside_fd;
	unsigned uid, gid;
	unsigned *groups;
	size_t n_groups;
	char *home;
};

static int find_user(struct prepared *run, struct err *err)
{
	const char *user = run->options->user ? run->options->user : run->image->user;

	if (!*user)
		user = "0";
	if (owner_resolve(run->root, user, true, &run->uid, &run->gid, err) < 0)
		return -1;
	return owner_groups(run->root, user, &run->groups, &run->n_groups, &run->home, err);
}

static int run_prepared(struct prepared *run, int *ret_status, struct err *err)
{
	const struct run_options *options = run->options;
	cleanup_strv struct strv argv = STRV_INIT, env = STRV_INIT;
	const char *wanted = options->working_dir ? options->working_dir : run->image->working_dir;
	/* a copy: the command line's memory is cleared in the sandbox */
	cleanup_free char *cwd = xstrdup(*wanted ? wanted : "/");
	char random[FILE_RANDOM_MAX];
	const char *hostname = options->hostname;
	struct sandbox_mount *mounts = NULL;
	cleanup_with(net_free) struct net *net = net_new();
	struct sandbox_result result;
	struct sandbox_spec spec;
	int status;

	if (!hostname) {
		file_random_name(random);
		random[12] = '\0';
		hostname = random;
	}
	if (make_argv(options, run->image, &argv, err) < 0 || find_user(run, err) < 0 ||
	    open_mounts(options, &mounts, err) < 0)
		return -1;
	make_environment(options, run->image, run->home, hostname, &env);
	spec = (struct sandbox_spec){
		.root_fd = run->root_fd,
		.argv = (const char *const *)strv_argv(&argv),
		.env = (const char *const *)strv_argv(&env),
		.cwd = cwd,
		.create_cwd = true,
		.uid = run->uid,
		.gid = run->gid,
		.groups = run->groups,
		.n_groups = run->n_groups,
		.chroot = options->isolation == BUILD_ISOLATION_CHROOT,
		.aside_fd = run->aside_fd,
		.network = options->network,
		.net = net,
		.mounts = mounts,
		.n_mounts = options->n_mounts,
		.hostname = hostname,
		.stdin_fd = options->stdin_fd,
	};
	status = sandbox_run(&spec, &result, err);
	mounts_close(mounts, options->n_mounts);
	if (status == 0) {
		err_clear(err); /* a look-up that was answered on the way */
		*ret_status = result.exit_status;
	} else if (err->exit_status) { /* not found, not executable, cancelled */
		*ret_status = err->exit_status;
	} else {
		probes_forget(options->store);
		return -1;
	}
	return 0;
}

const char *build_image_lock(const struct digest *id, char name[BUILD_IMAGE_LOCK_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(name, BUILD_IMAGE_LOCK_MAX, "image.%s", digest_hex(id, hex));
	return name;
}

int run_image(const struct run_options *options, int *ret_status, struct err *err)
{
	struct store *store = options->store;
	cleanup_with(image_free) struct image *image = NULL;
	cleanup_with(root_free) struct root *root = NULL;
	cleanup_with(snapshot_free) struct snapshot *snapshot = NULL;
	struct prepared run = { .options = options };
	char lock_name[BUILD_IMAGE_LOCK_MAX];
	cleanup_fd int lock = -1;
	int status;

	if (store_lock(store, build_image_lock(&options->image, lock_name), false, false, &lock,
		       err) < 0 ||
	    image_load(store, &options->image, &image, err) < 0 ||
	    rights_require_run(store, options->isolation, err) < 0 ||
	    transport_fetch_layers(options->transport, store, image->diff_ids, image->n_layers,
				   NULL, NULL, err) < 0 ||
	    layer_require_trees(store, image->diff_ids, image->n_layers, pool_processors(), NULL,
				NULL, err) < 0 ||
	    root_open(store, image->diff_ids, image->n_layers, &root, err) < 0 ||
	    run_root_open(root, options->isolation, NULL, &snapshot, &run.root_fd, err) < 0)
		return -1;
	run.aside_fd = snapshot->scratch->dir_fd;
	if (options->store_lock && *options->store_lock >= 0)
		close(steal_fd(options->store_lock));
	run.image = image;
	run.root = root;
	status = run_prepared(&run, ret_status, err);
	overlay_unmount(run.root_fd);
	free(run.groups);
	free(run.home);
	return status;
}
