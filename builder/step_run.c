/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN: a snapshot over the layers so far, the command in the sandbox, and what it left in the
 * upper directory is the layer. The mount is gone before the directory is read.
 */
#include "builder/internal.h"
#include "builder/probes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/mem.h"
#include "builder/mount.h"
#include "builder/run_end.h"
#include "builder/schedule.h"
#include "sandbox/sandbox.h"

#define SCRIPT_DIR    "/dev/pipes/"
#define WRITE_OUT_MIN (8 << 20) /* bytes that are worth a thread to write them */

struct run_step {
	struct builder *builder;
	struct stage *stage;
	const struct instruction *instruction;
	struct strv argv;
	const struct heredoc *script; /* a heredoc that is a program of its own (#!), or NULL */
	enum sandbox_network network;
	bool insecure;
	const char *hostname; /* --build-arg BUILDKIT_SANDBOX_HOSTNAME, or NULL */
	struct step_mounts mounts;
	int script_fd;
	struct step_record record;
	bool deferred; /* the digest of its layer, see defer.c */
};

static void step_release(struct run_step *step)
{
	strv_release(&step->argv);
	if (step->script_fd >= 0)
		close(step->script_fd);
	step_mounts_release(&step->mounts);
}

/* --- what is run */

/* Whether the shell form consists of one heredoc and nothing else. */
static bool is_bare_heredoc(const struct instruction *instruction)
{
	const char *text = instruction->n_args ? instruction->args[0].text : "";

	return instruction->n_heredocs == 1 && !strncmp(text, "<<", 2) && !strpbrk(text, " \t\n");
}

static void add_shell(struct run_step *step)
{
	if (step->stage->image->has_shell) {
		strv_extend(&step->argv, &step->stage->image->shell);
		return;
	}
	strv_add(&step->argv, "/bin/sh");
	strv_add(&step->argv, "-c");
}

/* The command line as it was written, with the heredocs' bodies after it for the shell to read. */
static void add_with_bodies(struct run_step *step)
{
	const struct instruction *instruction = step->instruction;
	struct buf text;

	buf_init(&text, DOCKERFILE_MOST * 2);
	if (instruction->n_args)
		buf_addstr(&text, instruction->args[0].text);
	for (size_t i = 0; i < instruction->n_heredocs; i++) {
		const struct heredoc *heredoc = &instruction->heredocs[i];

		buf_addch(&text, '\n');
		buf_add(&text, heredoc->raw, heredoc->raw_len);
		buf_addstr(&text, heredoc->name);
	}
	strv_add(&step->argv, text.data);
	buf_release(&text);
}

static void make_argv(struct run_step *step)
{
	const struct instruction *instruction = step->instruction;

	if (instruction->json) {
		for (size_t i = 0; i < instruction->n_args; i++)
			strv_add(&step->argv, instruction->args[i].text);
	} else if (is_bare_heredoc(instruction)) {
		const struct heredoc *heredoc = &instruction->heredocs[0];

		if (!strncmp(heredoc->content, "#!", 2)) {
			step->script = heredoc;
			strv_addf(&step->argv, SCRIPT_DIR "%s", heredoc->name);
		} else {
			add_shell(step);
			strv_addn(&step->argv, heredoc->content, heredoc->content_len);
		}
	} else {
		add_shell(step);
		add_with_bodies(step);
	}
}

/* --- flags */

static const char *const network_names[] = {
	[SANDBOX_NETWORK_HOST] = "host",
	[SANDBOX_NETWORK_NONE] = "none",
	[SANDBOX_NETWORK_PRIVATE] = "private",
};

static int parse_network(struct run_step *step, struct err *err)
{
	const struct flag *flag = instruction_flag(step->instruction, "network");

	step->network = step->builder->options->network;
	if (!flag || !strcmp(flag->value, "default"))
		return 0;
	if (!strcmp(flag->value, "none")) {
		step->network = SANDBOX_NETWORK_NONE;
		return 0;
	}
	if (!strcmp(flag->value, "host")) {
		if (step->network != SANDBOX_NETWORK_HOST &&
		    !step->builder->options->allow_host_network)
			return dockerfile_error(
				step->builder->dockerfile, flag->range, ERR_DENIED, err,
				"--network=host is more than this build's --network gives; a "
				"Dockerfile cannot widen it (allow it with --allow network.host)");
		step->network = SANDBOX_NETWORK_HOST;
		return 0;
	}
	return dockerfile_error(step->builder->dockerfile, flag->range, ERR_INVALID, err,
				"invalid network mode \"%s\": expected default, none or host",
				flag->value);
}

static int parse_security(struct run_step *step, struct err *err)
{
	const struct flag *flag = instruction_flag(step->instruction, "security");

	if (!flag || !strcmp(flag->value, "sandbox"))
		return 0;
	if (!strcmp(flag->value, "insecure")) {
		step->insecure = true;
		if (step->builder->options->allow_insecure)
			return 0;
		return dockerfile_error(step->builder->dockerfile, flag->range, ERR_DENIED, err,
					"--security=insecure is not allowed (allow it with --allow "
					"security.insecure)");
	}
	return dockerfile_error(step->builder->dockerfile, flag->range, ERR_INVALID, err,
				"invalid security mode \"%s\": expected sandbox or insecure",
				flag->value);
}

/* --- the key */

/* What the command line says about all RUNs, where it says something. */
static void add_options(const struct run_step *step, struct key *key)
{
	const struct build_options *options = step->builder->options;

	if (options->extra_hosts)
		key_add(key, "hosts", options->extra_hosts);
	if (step->hostname)
		key_add(key, "hostname", step->hostname);
	if (options->isolation == BUILD_ISOLATION_CHROOT)
		key_add(key, "isolation", "chroot");
	if (step->insecure)
		key_add(key, "security", "insecure");
	if (options->seccomp_unconfined)
		key_add(key, "seccomp", "unconfined");
	if (options->seccomp) {
		struct digest digest;

		sandbox_profile_digest(options->seccomp, &digest);
		key_add_digest(key, "seccomp", &digest);
	}
	for (size_t i = 0; i < options->n_limits; i++) {
		const struct sandbox_limit *limit = &options->limits[i];
		cleanup_free char *text =
			xasprintf("%s=%" PRIu64 ":%" PRIu64, limit->name, limit->soft, limit->hard);

		key_add(key, "ulimit", text);
	}
	if (options->shm_size) {
		cleanup_free char *text = xasprintf("%" PRIu64, options->shm_size);

		key_add(key, "shm-size", text);
	}
}

static int make_key(struct run_step *step, struct key *key, struct digest *ret_key, struct err *err)
{
	const struct stage *stage = step->stage;

	key_add_digest(key, "parent", &stage->key);
	key_add_strv(key, "argument", &step->argv);
	key_add_strv(key, "environment", &stage->env);
	key_add(key, "directory", stage->image->working_dir);
	key_add(key, "user", stage->image->user);
	key_add(key, "network", network_names[step->network]);
	if (step_mounts_add_key(&step->mounts, key, err) < 0)
		return -1;
	if (step->script)
		key_add(key, "script", step->script->content);
	add_options(step, key);
	key_finish(key, ret_key);
	return 0;
}

/* --- running */

static void forward_output(void *arg, int stream, const char *data, size_t len)
{
	struct build_event event = {
		.kind = BUILD_EVENT_OUTPUT,
		.stream = stream,
		.text = data,
		.len = len,
	};

	stage_event(arg, &event);
}

/* A proxy of --build-arg, under the name that is given or that name in the other case. */
static void add_proxy(const char *build_arg, bool other_case, struct strv *env)
{
	size_t len = strcspn(build_arg, "=");
	cleanup_free char *name = xstrndup(build_arg, len);

	if (!scope_is_proxy(name))
		return;
	for (char *c = name; other_case && *c; c++)
		*c = (char)(isupper((unsigned char)*c) ? tolower(*c) : toupper(*c));
	if (!env_get(env, name))
		strv_addf(env, "%s%s", name, build_arg + len);
}

/*
 * Proxies given by --build-arg without an ARG reach the process, and neither key nor history. As
 * with BuildKit one name is enough for both: some programs read HTTP_PROXY, others http_proxy.
 */
static void make_environment(struct run_step *step, const char *home, struct strv *ret_env)
{
	const struct strv *build_args = &step->builder->build_args;

	strv_extend(ret_env, &step->stage->env);
	for (size_t i = 0; i < build_args->n; i++)
		add_proxy(build_args->v[i], false, ret_env);
	for (size_t i = 0; i < build_args->n; i++)
		add_proxy(build_args->v[i], true, ret_env);
	if (!env_get(ret_env, "HOME"))
		strv_addf(ret_env, "HOME=%s", home);
	for (size_t i = 0; i < step->mounts.env.n; i++) {
		const char *text = step->mounts.env.v[i];
		cleanup_free char *name = xstrndup(text, strcspn(text, "="));

		env_set(ret_env, name, text + strlen(name) + 1);
	}
}

/* The script of a "#!" heredoc, as a file to mount. */
static int write_script(struct run_step *step, struct err *err)
{
	cleanup_free char *target = xasprintf(SCRIPT_DIR "%s", step->script->name);
	struct sandbox_mount *mount;
	struct scratch *scratch;
	cleanup_fd int fd = -1;

	if (step_mounts_scratch(&step->mounts, &scratch, err) < 0)
		return -1;
	fd = openat(scratch->dir_fd, "script", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0 || write_all(fd, step->script->content, step->script->content_len) < 0 ||
	    fchmod(fd, 0755) < 0)
		return err_os(err, "write the script");
	step->script_fd = openat(scratch->dir_fd, "script", O_PATH | O_CLOEXEC);
	if (step->script_fd < 0)
		return err_os(err, "open the script");
	mount = step_mounts_add(&step->mounts, target);
	mount->kind = SANDBOX_MOUNT_BIND;
	mount->read_only = true;
	mount->source_fd = step->script_fd;
	return 0;
}

static int run_in(struct run_step *step, const struct snapshot *snapshot, int root_fd,
		  struct sandbox_result *result, struct err *err)
{
	const struct image *image = step->stage->image;
	const struct build_options *options = step->builder->options;
	struct root *root;
	cleanup_strv struct strv env = STRV_INIT;
	cleanup_free char *home = NULL;
	cleanup_free unsigned *groups = NULL;
	unsigned uid = 0, gid = 0;
	size_t n_groups = 0;
	struct sandbox_spec spec;
	int status;

	if (stage_root(step->builder, step->stage, &root, err) < 0 ||
	    owner_resolve(root, *image->user ? image->user : "0", true, &uid, &gid, err) < 0 ||
	    owner_groups(root, *image->user ? image->user : "0", &groups, &n_groups, &home, err) <
		    0)
		return -1;
	make_environment(step, home, &env);
	spec = (struct sandbox_spec){
		.root_fd = root_fd,
		.argv = (const char *const *)strv_argv(&step->argv),
		.env = (const char *const *)strv_argv(&env),
		.cwd = *image->working_dir ? image->working_dir : "/",
		.create_cwd = true,
		.uid = uid,
		.gid = gid,
		.groups = groups,
		.n_groups = n_groups,
		.chroot = options->isolation == BUILD_ISOLATION_CHROOT,
		.aside_fd = snapshot->scratch->dir_fd,
		.network = step->network,
		.net = step->builder->net,
		.mounts = step->mounts.sandbox,
		.n_mounts = step->mounts.n_sandbox,
		.limits = options->limits,
		.n_limits = options->n_limits,
		.shm_size = options->shm_size,
		.timeout_ns = options->run_timeout_ns,
		.cgroup = step->builder->cgroup,
		.all_capabilities = step->insecure,
		.hostname = step->hostname,
		.seccomp = options->seccomp,
		.seccomp_unconfined = options->seccomp_unconfined,
		.resolv_conf = options->resolv_conf,
		.extra_hosts = options->extra_hosts,
		.stdin_fd = -1,
		.cancel = schedule_begin_sandbox(step->builder->schedule),
		.output = forward_output,
		.output_arg = step->stage,
	};
	status = sandbox_run(&spec, result, err);
	if (status < 0 && !err->exit_status)
		probes_forget(options->store);
	schedule_end_sandbox(step->builder->schedule);
	return status;
}

/* More steps follow, which need not wait for the digest of this one's layer. */
static bool can_defer(const struct run_step *step)
{
	const struct build_options *options = step->builder->options;
	const struct stage *stage = step->stage;

	return options->jobs > 1 && stage->position < stage->count &&
	       options->isolation != BUILD_ISOLATION_CHROOT &&
	       !store_has_flat_trees(options->store);
}

/* What the upper directory holds is the layer. */
static int make_layer(struct run_step *step, struct snapshot **snapshot, struct err *err)
{
	unsigned skipped = 0;
	bool empty;
	int status;

	if (!can_defer(step)) {
		status = snapshot_commit(*snapshot, &step->record.layer, &skipped, err);
	} else {
		status = snapshot_settle(*snapshot, &empty, &skipped, err);
		step->deferred = status == 0 && !empty;
		if (status == 0 && empty &&
		    (snapshot_digest(*snapshot, &step->record.layer, err) < 0 ||
		     snapshot_name(*snapshot, &step->record.layer, err) < 0))
			status = -1;
		step->record.layer.empty = status == 0 && empty;
	}
	if (skipped)
		builder_warn(step->builder, "%u sockets were left out of the layer", skipped);
	return status;
}

/* Beside namespaces Landlock is a second wall; a chroot has no other. */
static void warn_without_landlock(struct builder *builder)
{
	if (builder->options->isolation != BUILD_ISOLATION_CHROOT || landlock_abi() > 0 ||
	    atomic_exchange(&builder->told_of_landlock, true))
		return;
	builder_warn(builder,
		     "Landlock is not in this kernel, or switched off: with --isolation=chroot "
		     "nothing but the capabilities it lacks keeps RUN in its directory, and it can "
		     "signal and trace other processes (fix: Linux 5.13 or newer with landlock in "
		     "the lsm= boot option)");
}

static int execute(struct run_step *step, struct snapshot **ret_snapshot, struct err *err)
{
	const struct build_options *options = step->builder->options;
	struct stage *stage = step->stage;
	cleanup_with(snapshot_free) struct snapshot *snapshot = steal_pointer(&stage->tree);
	struct sandbox_result result;
	struct root *root;
	int root_fd, status;

	if (rights_require_run(options->store, options->isolation, err) < 0 ||
	    stage_require_trees(stage, stage->image, err) < 0 ||
	    stage_root(step->builder, stage, &root, err) < 0 ||
	    (step->script && write_script(step, err) < 0))
		return -1;
	warn_without_landlock(step->builder);
	stage_begin_mount(stage);
	status = run_root_open(root, options->isolation, &step->mounts, &snapshot, &root_fd, err);
	stage_end_mount(stage);
	if (status < 0)
		return -1;
	status = step_mounts_lend(&step->mounts, snapshot, err);
	if (status == 0)
		status = run_in(step, snapshot, root_fd, &result, err);
	overlay_unmount(root_fd);
	if (status < 0 || run_end_check(&step->argv, options, &result, err) < 0)
		return -1;
	/* the disk works while the layer is hashed */
	if (result.written_bytes >= WRITE_OUT_MIN && !options->no_sync)
		store_begin_sync(options->store);
	if (make_layer(step, &snapshot, err) < 0)
		return -1;
	step->record.cpu_ns = result.cpu_ns;
	step->record.peak_bytes = result.peak_bytes;
	step->record.read_bytes = result.read_bytes;
	step->record.written_bytes = result.written_bytes;
	if (snapshot->reusable)
		stage->tree = steal_pointer(&snapshot);
	*ret_snapshot = steal_pointer(&snapshot);
	return 0;
}

/* Run it, and see to its record. */
static int run_step(struct run_step *step, const struct digest *digest, struct key *key,
		    struct err *err)
{
	struct builder *builder = step->builder;
	cleanup_with(snapshot_free) struct snapshot *snapshot = NULL;
	struct err why = ERR_INIT;

	if (schedule_work(builder->schedule, err) < 0 || step_mounts_open(&step->mounts, err) < 0)
		return -1;
	if (execute(step, &snapshot, &why) < 0) {
		dockerfile_error(builder->dockerfile, step->instruction->range, why.kind, err, "%s",
				 why.message);
		err->exit_status = why.exit_status;
		return -1;
	}
	step->record.key = *digest;
	step->record.created = clock_wall_ns();
	step->record.wall_ns = clock_monotonic_ns() - step->stage->began;
	if (step->deferred)
		return stage_defer(step->stage, &snapshot, digest, key, step->instruction->range,
				   &step->record, err);
	return cache_put(builder->options->store, digest, &step->record, key->parts, err);
}

static int look_up_or_run(struct run_step *step, struct err *err)
{
	struct builder *builder = step->builder;
	struct stage *stage = step->stage;
	cleanup_key struct key key;
	struct digest digest;
	const struct copy *copies[MOUNTS_MAX];
	struct buf created_by;
	bool known;

	key_init(&key, "run");
	if (make_key(step, &key, &digest, err) < 0)
		return -1;
	if (!stage->no_cache) /* and then for what follows in the stage as well */
		stage->no_cache = step_mounts_no_cache(&step->mounts);
	if (stage_claim(stage, &digest, &known, &step->record, err) < 0)
		return -1;
	if (!known)
		explain_miss(stage, &key, &digest, copies,
			     step_mounts_copies(&step->mounts, copies));
	if (!known && !builder->planning && run_step(step, &digest, &key, err) < 0)
		return -1;
	buf_init(&created_by, DOCKERFILE_MOST * 2);
	buf_addstr(&created_by, "RUN ");
	stage_args_prefix(stage, &created_by);
	for (size_t i = 0; i < step->argv.n; i++)
		buf_addf(&created_by, "%s%s", i ? " " : "", step->argv.v[i]);
	stage_add_result(stage, &step->record, &digest, created_by.data);
	buf_release(&created_by);
	stage_finish(stage, known, &step->record);
	return 0;
}

int step_run(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	     struct err *err)
{
	struct run_step step = {
		.builder = builder,
		.stage = stage,
		.instruction = instruction,
		.hostname = env_get(&builder->build_args, "BUILDKIT_SANDBOX_HOSTNAME"),
		.script_fd = -1,
	};
	int status = -1;

	if (step.hostname && !*step.hostname)
		step.hostname = NULL;
	/* what it mounts may be a stage that is built now: the step begins afterwards */
	if (step_mounts_read(builder, stage, instruction, &step.mounts, err) < 0) {
		step_release(&step);
		return -1;
	}
	stage_begin(stage, instruction->text);
	make_argv(&step);
	if (!step.argv.n)
		dockerfile_error(builder->dockerfile, instruction->range, ERR_INVALID, err,
				 "RUN without a command");
	else if (parse_network(&step, err) == 0 && parse_security(&step, err) == 0)
		status = look_up_or_run(&step, err);
	step_release(&step);
	return status;
}
