/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mounts of one RUN, all types together.
 *
 * 1. They are sorted by target, as BuildKit's are: what is mounted on a mount comes after it.
 * 2. Until the key is known not to be in the cache nothing is made, locked, mounted or started.
 * 3. What they need goes in the opposite order: descriptors, mounts, directories, locks.
 */
#include "builder/mount.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/copy.h"

/* --- reading ---------------------------------------------------------------------------------- */

static int compare_targets(const void *a, const void *b)
{
	const struct step_mount *x = a, *y = b;
	const char *left = x->request.target ? x->request.target : "";
	const char *right = y->request.target ? y->request.target : "";
	int order = strcmp(left, right);

	return order ? order
		     : (x->request.flag > y->request.flag) - (x->request.flag < y->request.flag);
}

/* --build-arg BUILDKIT_CACHE_MOUNT_NS keeps the caches of one project from those of another. */
static void add_namespace(const struct builder *builder, struct mount_request *request)
{
	const char *namespace = env_get(&builder->build_args, "BUILDKIT_CACHE_MOUNT_NS");
	char *id = request->id;

	if (!namespace || !*namespace)
		return;
	request->id = xasprintf("%s/%s", namespace, id);
	free(id);
}

static int read_one(struct step_mounts *mounts, const struct flag *flag, unsigned *n_ssh,
		    struct err *err)
{
	const struct dockerfile *dockerfile = mounts->builder->dockerfile;
	struct step_mount *mount = &mounts->v[mounts->n];

	if (mounts->n == MOUNTS_MAX)
		return dockerfile_error(dockerfile, flag->range, ERR_LIMIT, err,
					"--mount: more than %d of them", MOUNTS_MAX);
	*mount = (struct step_mount){
		.origin = ORIGIN_INIT,
		.mount_fd = -1,
		.source_fd = -1,
		.lock_fd = -1,
		.home_fd = -1,
	};
	if (mount_parse(dockerfile, mounts->stage, flag, &mount->request, err) < 0)
		return -1;
	mounts->n++;
	if (mount->request.type == MOUNT_CACHE)
		add_namespace(mounts->builder, &mount->request);
	if (mount->request.type == MOUNT_SSH && !mount->request.target)
		mount->request.target = xasprintf("/run/buildkit/ssh_agent.%u", *n_ssh);
	*n_ssh += mount->request.type == MOUNT_SSH;
	if (!mount->request.from)
		return 0;
	return origin_find(mounts->stage, mount->request.from, flag->range, &mount->origin, err);
}

int step_mounts_read(struct builder *builder, struct stage *stage,
		     const struct instruction *instruction, struct step_mounts *mounts,
		     struct err *err)
{
	unsigned n_ssh = 0;

	*mounts = (struct step_mounts){ .builder = builder, .stage = stage };
	for (size_t i = 0; i < instruction->n_flags; i++) {
		const struct flag *flag = &instruction->flags[i];

		if (strcmp(flag->name, "mount"))
			continue;
		if (!mounts->v)
			mounts->v = xcalloc(MOUNTS_MAX, sizeof(*mounts->v));
		if (read_one(mounts, flag, &n_ssh, err) < 0)
			return -1;
	}
	if (mounts->n)
		qsort(mounts->v, mounts->n, sizeof(*mounts->v), compare_targets);
	return 0;
}

/* --- the key ---------------------------------------------------------------------------------- */

static void add_text(struct strv *parts, const char *name, const char *value)
{
	if (value)
		strv_addf(parts, "%s=%s", name, value);
}

static void add_content(const struct step_mount *mount, struct strv *parts)
{
	char text[DIGEST_TEXT_MAX];

	if (!mount_reads_tree(mount))
		add_text(parts, "from", digest_format(&mount->origin.key, text));
	if (mount->copy)
		add_text(parts, "content", digest_format(&mount->content, text));
	add_text(parts, "source", mount->request.source);
}

/* One mount. How a cache is shared, what it holds, and what a secret is change nothing. */
static void add_mount(const struct step_mount *mount, struct strv *parts)
{
	const struct mount_request *request = &mount->request;

	add_text(parts, "type", mount_type_name(request->type));
	add_text(parts, "target", request->target);
	add_text(parts, "id", request->id);
	add_text(parts, "env", request->env);
	add_content(mount, parts);
	if (request->size)
		strv_addf(parts, "size=%llu", (unsigned long long)request->size);
	if (request->type != MOUNT_BIND)
		strv_addf(parts, "mode=%o uid=%u gid=%u", request->mode, request->uid,
			  request->gid);
	strv_add(parts, request->read_only ? "ro" : "rw");
}

int step_mounts_add_key(struct step_mounts *mounts, struct key *key, struct err *err)
{
	cleanup_strv struct strv parts = STRV_INIT;

	for (size_t i = 0; i < mounts->n; i++) {
		struct step_mount *mount = &mounts->v[i];
		struct err why = ERR_INIT;

		if (mount->request.type == MOUNT_BIND && mount_reads_tree(mount) &&
		    mount_bind_select(mounts, mount, &why) < 0)
			return mount_error(mounts->builder->dockerfile, &mount->request, &why, err);
		add_mount(mount, &parts);
	}
	key_add_strv(key, "mount", &parts);
	return 0;
}

size_t step_mounts_copies(const struct step_mounts *mounts, const struct copy **ret_copies)
{
	size_t n = 0;

	for (size_t i = 0; i < mounts->n; i++)
		if (mounts->v[i].copy)
			ret_copies[n++] = mounts->v[i].copy;
	return n;
}

const char *step_mounts_no_cache(const struct step_mounts *mounts)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (mounts->v[i].request.from && mounts->v[i].origin.no_cache)
			return mounts->v[i].origin.no_cache;
	return NULL;
}

/* --- opening ---------------------------------------------------------------------------------- */

int step_mounts_scratch(struct step_mounts *mounts, struct scratch **ret_scratch, struct err *err)
{
	if (!mounts->scratch &&
	    scratch_open(mounts->builder->options->store, &mounts->scratch, err) < 0)
		return -1;
	*ret_scratch = mounts->scratch;
	return 0;
}

struct sandbox_mount *step_mounts_add(struct step_mounts *mounts, const char *target)
{
	struct sandbox_mount *mount;

	mounts->sandbox = grow_vector(mounts->sandbox, mounts->n_sandbox, &mounts->cap_sandbox,
				      sizeof(*mounts->sandbox));
	mount = &mounts->sandbox[mounts->n_sandbox++];
	*mount = (struct sandbox_mount){ .source_fd = -1, .target = xstrdup(target) };
	return mount;
}

static void add_bind(struct step_mounts *mounts, const struct step_mount *mount)
{
	struct sandbox_mount *bind = step_mounts_add(mounts, mount->request.target);

	bind->kind = SANDBOX_MOUNT_BIND;
	bind->source_fd = mount->source_fd;
	bind->read_only = mount->request.read_only;
	bind->same_as = mount->same_as;
	if (mount->home_fd >= 0) {
		bind->home_fd = mount->home_fd;
		bind->home_name = mount->home_name;
	}
}

static void add_tmpfs(struct step_mounts *mounts, const struct mount_request *request)
{
	struct sandbox_mount *tmpfs = step_mounts_add(mounts, request->target);

	tmpfs->kind = SANDBOX_MOUNT_TMPFS;
	tmpfs->read_only = request->read_only;
	tmpfs->size = request->size;
	tmpfs->mode = request->mode;
}

static int open_one(struct step_mounts *mounts, struct step_mount *mount, struct err *err)
{
	switch (mount->request.type) {
	case MOUNT_BIND:
		if (mount_bind_open(mounts, mount, err) < 0)
			return -1;
		add_bind(mounts, mount);
		return 0;
	case MOUNT_CACHE:
		add_bind(mounts, mount);
		return 0;
	case MOUNT_TMPFS:
		add_tmpfs(mounts, &mount->request);
		return 0;
	case MOUNT_SECRET:
		return mount_secret_open(mounts, mount, err);
	case MOUNT_SSH:
		return mount_ssh_open(mounts, mount, err);
	}
	return 0;
}

bool step_mounts_are_moved(const struct step_mounts *mounts)
{
	return mounts->builder->options->isolation == BUILD_ISOLATION_CHROOT;
}

int step_mounts_open(struct step_mounts *mounts, struct err *err)
{
	const struct build_options *options = mounts->builder->options;

	if (!mounts->n)
		return 0;
	if (rights_require_run(options->store, options->isolation, err) < 0 ||
	    mount_caches_open(mounts, err) < 0)
		return -1;
	for (size_t i = 0; i < mounts->n; i++) {
		struct err why = ERR_INIT;

		if (open_one(mounts, &mounts->v[i], &why) < 0)
			return mount_error(mounts->builder->dockerfile, &mounts->v[i].request, &why,
					   err);
	}
	return mounts->relay ? ssh_relay_start(mounts->relay, err) : 0;
}

int step_mounts_lend(const struct step_mounts *mounts, struct snapshot *snapshot, struct err *err)
{
	struct {
		char home[DIGEST_HEX_MAX + 32];
		char lock[CACHE_LOCK_MAX];
	} *names = xcalloc(mounts->n + 1, sizeof(*names));
	cleanup_free struct loan *loans = xcalloc(mounts->n + 1, sizeof(*loans));
	size_t n = 0;
	int status;

	for (size_t i = 0; i < mounts->n; i++) {
		const struct step_mount *mount = &mounts->v[i];

		if (mount->request.type != MOUNT_CACHE || mount->home_fd < 0)
			continue;
		snprintf(names[n].home, sizeof(names[n].home), "mounts/%s/%u", mount->hex,
			 mount->copy_number);
		cache_mount_lock(mount->hex, mount->copy_number, names[n].lock);
		loans[n] = (struct loan){ names[n].home, names[n].lock, mount->request.target };
		n++;
	}
	status = n ? snapshot_lend(snapshot, loans, n, err) : 0;
	free(names);
	return status;
}

int step_mounts_add_points(const struct step_mounts *mounts, struct snapshot *snapshot,
			   struct root *root, struct err *err)
{
	cleanup_free struct snapshot_point *points =
		xcalloc(mounts->n_sandbox + 1, sizeof(*points));

	for (size_t i = 0; i < mounts->n_sandbox; i++) {
		const struct sandbox_mount *mount = &mounts->sandbox[i];
		struct stat st;

		points[i].path = mount->target;
		points[i].is_dir = mount->kind == SANDBOX_MOUNT_TMPFS;
		if (mount->kind != SANDBOX_MOUNT_BIND)
			continue;
		if (fstat(mount->source_fd, &st) < 0)
			return err_os(err, "look at what is mounted on %s", mount->target);
		points[i].is_dir = S_ISDIR(st.st_mode);
	}
	if (!mounts->n_sandbox)
		return 0;
	return snapshot_add_points(snapshot, root, points, mounts->n_sandbox, err);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void release_one(struct step_mount *mount)
{
	if (mount->source_fd >= 0)
		close(mount->source_fd);
	if (mount->attached)
		overlay_detach(mount_reads_tree(mount) ? mount->mount_fd : mount->origin.mount_fd);
	overlay_unmount(mount->mount_fd);
	file_close_at(&mount->home_fd);
	copy_free(mount->copy);
	free(mount->pattern);
	origin_release(&mount->origin);
	store_unlock(&mount->lock_fd);
	mount_request_release(&mount->request);
}

void step_mounts_release(struct step_mounts *mounts)
{
	ssh_relay_free(mounts->relay);
	for (size_t i = 0; i < mounts->n; i++)
		release_one(&mounts->v[i]);
	for (size_t i = 0; i < mounts->n_sandbox; i++)
		free((char *)mounts->sandbox[i].target);
	strv_wipe(&mounts->env);
	scratch_free(mounts->scratch);
	free(mounts->sandbox);
	free(mounts->v);
	*mounts = (struct step_mounts){ 0 };
}
