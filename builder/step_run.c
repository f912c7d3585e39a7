/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN: a snapshot over the layers so far, the command in the sandbox, and what it left in the
 * upper directory is the layer. The mount is gone before the directory is read.
 */
#include "builder/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"

#define SCRIPT_DIR "/dev/pipes/"
#define MOUNTS_MAX 64

struct run_step {
	struct builder *builder;
	struct stage *stage;
	const struct instruction *instruction;
	struct strv argv;
	const struct heredoc *script; /* a heredoc that is a program of its own (#!), or NULL */
	enum sandbox_network network;
	struct strv mounts_text;		     /* for the key */
	struct sandbox_mount mounts[MOUNTS_MAX + 1]; /* and the script */
	size_t n_mounts;
	struct step_record record;
};

static void step_release(struct run_step *step)
{
	strv_release(&step->argv);
	strv_release(&step->mounts_text);
	for (size_t i = 0; i < step->n_mounts; i++) {
		free((char *)step->mounts[i].target);
		if (step->mounts[i].source_fd >= 0)
			close(step->mounts[i].source_fd);
	}
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

	buf_init(&text, DOCKERFILE_MAX * 2);
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
		if (step->network == SANDBOX_NETWORK_HOST)
			return 0;
		return dockerfile_error(step->builder->dockerfile, flag->range, ERR_DENIED, err,
					"--network=host is more than this build's --network gives; "
					"a Dockerfile cannot widen it");
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
	if (!strcmp(flag->value, "insecure"))
		return dockerfile_error(step->builder->dockerfile, flag->range, ERR_DENIED, err,
					"--security=insecure is not allowed");
	return dockerfile_error(step->builder->dockerfile, flag->range, ERR_INVALID, err,
				"invalid security mode \"%s\": expected sandbox or insecure",
				flag->value);
}

static int mount_error(struct run_step *step, const struct flag *flag, enum err_kind kind,
		       struct err *err, const char *text, const char *about)
{
	return dockerfile_error(step->builder->dockerfile, flag->range, kind, err, "--mount: %s%s",
				text, about);
}

static int parse_size(const char *text, uint64_t *ret_bytes)
{
	unsigned long long number;
	unsigned shift = 0;
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	number = strtoull(text, &end, 10);
	switch (*end | 0x20) {
	case 'k':
		shift = 10;
		end++;
		break;
	case 'm':
		shift = 20;
		end++;
		break;
	case 'g':
		shift = 30;
		end++;
		break;
	default:
		break;
	}
	if ((*end | 0x20) == 'b')
		end++;
	if (*end || number > UINT64_MAX >> shift)
		return -1;
	*ret_bytes = number << shift;
	return 0;
}

/* The options of one --mount, expanded where the language expands them. */
struct mount_words {
	char *type, *target, *id, *size, *mode;
	char *sharing;
	bool read_only;
};

static void mount_words_release(struct mount_words *words)
{
	free(words->type);
	free(words->target);
	free(words->id);
	free(words->size);
	free(words->mode);
	free(words->sharing);
}

static int read_mount(struct run_step *step, const struct flag *flag, struct mount_words *words,
		      struct err *err)
{
	static const struct {
		const char *key;
		size_t place;
	} known[] = {
		{ "type", offsetof(struct mount_words, type) },
		{ "target", offsetof(struct mount_words, target) },
		{ "dst", offsetof(struct mount_words, target) },
		{ "destination", offsetof(struct mount_words, target) },
		{ "id", offsetof(struct mount_words, id) },
		{ "size", offsetof(struct mount_words, size) },
		{ "tmpfs-size", offsetof(struct mount_words, size) },
		{ "mode", offsetof(struct mount_words, mode) },
		{ "sharing", offsetof(struct mount_words, sharing) },
	};
	struct flag_option *options;
	struct err why = ERR_INIT;
	size_t n;

	if (flag_options_parse(step->builder->dockerfile->arena, flag->value, &options, &n, &why) <
	    0)
		return mount_error(step, flag, ERR_INVALID, err, why.message, "");
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(known) && strcmp(known[k].key, options[i].key))
			k++;
		if (k < ARRAY_SIZE(known)) {
			char **place = (char **)((char *)words + known[k].place);
			struct word word = { .text = options[i].value, .range = flag->range };

			free(steal_pointer(place));
			if (scope_expand(step->builder->dockerfile, &step->stage->env, &word, place,
					 err) < 0)
				return -1;
		} else if (!strcmp(options[i].key, "ro") || !strcmp(options[i].key, "readonly")) {
			words->read_only =
				!options[i].has_value || strcasecmp(options[i].value, "false");
		} else if (!strcmp(options[i].key, "rw") || !strcmp(options[i].key, "readwrite")) {
			words->read_only =
				options[i].has_value && !strcasecmp(options[i].value, "false");
		} else {
			return mount_error(step, flag, ERR_UNSUPPORTED, err,
					   "this option is not supported yet: ", options[i].key);
		}
	}
	return 0;
}

/* The directory of a cache: mounts/<hash of its id>/, so that no id is a path. */
static int open_cache(struct run_step *step, const char *id, mode_t mode, int *ret_fd,
		      struct err *err)
{
	int store_dir = store_fd(step->builder->options->store);
	char hex[DIGEST_HEX_MAX], path[DIGEST_HEX_MAX + 16];
	struct digest name;

	digest_of(id, strlen(id), &name);
	snprintf(path, sizeof(path), "mounts/%s", digest_hex(&name, hex));
	if (mkdirat(store_dir, "mounts", 0700) < 0 && errno != EEXIST)
		return err_os(err, "make directory mounts");
	if (mkdirat(store_dir, path, 0700) == 0) {
		if (fchmodat(store_dir, path, mode, 0) < 0)
			return err_os(err, "set the mode of the cache directory");
	} else if (errno != EEXIST) {
		return err_os(err, "make the cache directory");
	}
	*ret_fd = openat(store_dir, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_os(err, "open the cache directory") : 0;
}

static int add_mount(struct run_step *step, const struct flag *flag, struct mount_words *words,
		     struct err *err)
{
	struct sandbox_mount *mount = &step->mounts[step->n_mounts];
	unsigned long mode = 0;
	uint64_t size = 0;
	char *end;

	if (!words->type || (strcmp(words->type, "tmpfs") && strcmp(words->type, "cache")))
		return mount_error(
			step, flag, ERR_UNSUPPORTED, err,
			"this type is not supported yet: ", words->type ? words->type : "bind");
	if (!words->target || !*words->target)
		return mount_error(step, flag, ERR_INVALID, err, "target is missing", "");
	if (words->mode) {
		mode = strtoul(words->mode, &end, 8);
		if (!*words->mode || *end || mode > 07777)
			return mount_error(step, flag, ERR_INVALID, err, "invalid mode ",
					   words->mode);
	}
	if (words->size && parse_size(words->size, &size) < 0)
		return mount_error(step, flag, ERR_INVALID, err, "invalid size ", words->size);
	*mount = (struct sandbox_mount){ .source_fd = -1, .read_only = words->read_only };
	mount->target = stage_path(step->stage, words->target, false);
	step->n_mounts++;
	if (!strcmp(mount->target, "/"))
		return mount_error(step, flag, ERR_INVALID, err, "the target cannot be /", "");
	strv_addf(&step->mounts_text, "%s %s %s id=%s size=%llu mode=%lo", words->type,
		  mount->target, words->read_only ? "ro" : "rw", words->id ? words->id : "",
		  (unsigned long long)size, mode);
	if (!strcmp(words->type, "tmpfs")) {
		mount->kind = SANDBOX_MOUNT_TMPFS;
		mount->size = size;
		mount->mode = (unsigned)mode;
		return 0;
	}
	if (words->sharing && strcmp(words->sharing, "shared"))
		return mount_error(step, flag, ERR_UNSUPPORTED, err,
				   "this sharing mode is not supported yet: ", words->sharing);
	mount->kind = SANDBOX_MOUNT_BIND;
	return open_cache(step, words->id && *words->id ? words->id : mount->target,
			  mode ? (mode_t)mode : 0755, &mount->source_fd, err);
}

static int parse_mounts(struct run_step *step, struct err *err)
{
	for (size_t i = 0; i < step->instruction->n_flags; i++) {
		const struct flag *flag = &step->instruction->flags[i];
		struct mount_words words = { 0 };
		int status;

		if (strcmp(flag->name, "mount"))
			continue;
		if (step->n_mounts == MOUNTS_MAX)
			return mount_error(step, flag, ERR_LIMIT, err, "too many mounts", "");
		status = read_mount(step, flag, &words, err);
		if (status == 0)
			status = add_mount(step, flag, &words, err);
		mount_words_release(&words);
		if (status < 0)
			return -1;
	}
	return 0;
}

/* --- the key */

static void make_key(struct run_step *step, struct key *key, struct digest *ret_key)
{
	const struct stage *stage = step->stage;

	key_init(key, "run");
	key_add_digest(key, "parent", &stage->key);
	key_add_strv(key, "argument", &step->argv);
	key_add_strv(key, "environment", &stage->env);
	key_add(key, "directory", stage->image->working_dir);
	key_add(key, "user", stage->image->user);
	key_add(key, "network", step->network == SANDBOX_NETWORK_NONE ? "none" : "host");
	key_add_strv(key, "mount", &step->mounts_text);
	if (step->script)
		key_add(key, "script", step->script->content);
	if (step->builder->options->extra_hosts)
		key_add(key, "hosts", step->builder->options->extra_hosts);
	key_finish(key, ret_key);
}

/* --- running */

static void forward_output(void *arg, int stream, const char *data, size_t len)
{
	struct builder *builder = arg;
	struct build_event event = {
		.kind = BUILD_EVENT_OUTPUT,
		.step = builder->step,
		.name = builder->name,
		.stream = stream,
		.text = data,
		.len = len,
	};

	builder_event(builder, &event);
}

/* Proxies given by --build-arg without an ARG reach the process, and neither key nor history. */
static void make_environment(struct run_step *step, const char *home, struct strv *ret_env)
{
	const struct strv *build_args = &step->builder->build_args;

	strv_extend(ret_env, &step->stage->env);
	for (size_t i = 0; i < build_args->n; i++) {
		cleanup_free char *name =
			xstrndup(build_args->v[i], strcspn(build_args->v[i], "="));

		if (scope_is_proxy(name) && !env_get(ret_env, name))
			strv_add(ret_env, build_args->v[i]);
	}
	if (!env_get(ret_env, "HOME"))
		strv_addf(ret_env, "HOME=%s", home);
}

/* The script of a "#!" heredoc, as a file to mount. */
static int write_script(struct run_step *step, struct scratch *scratch, struct err *err)
{
	struct sandbox_mount *mount = &step->mounts[step->n_mounts];
	cleanup_fd int fd =
		openat(scratch->dir_fd, "script", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	if (fd < 0 || write_all(fd, step->script->content, step->script->content_len) < 0 ||
	    fchmod(fd, 0755) < 0)
		return err_os(err, "write the script");
	*mount = (struct sandbox_mount){ .kind = SANDBOX_MOUNT_BIND, .read_only = true };
	mount->target = xasprintf(SCRIPT_DIR "%s", step->script->name);
	mount->source_fd = openat(scratch->dir_fd, "script", O_PATH | O_CLOEXEC);
	step->n_mounts++;
	return mount->source_fd < 0 ? err_os(err, "open the script") : 0;
}

static int run_in(struct run_step *step, int root_fd, struct sandbox_result *result,
		  struct err *err)
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
		.network = step->network,
		.mounts = step->mounts,
		.n_mounts = step->n_mounts,
		.resolv_conf = options->resolv_conf,
		.extra_hosts = options->extra_hosts,
		.stdin_fd = -1,
		.output = forward_output,
		.output_arg = step->builder,
	};
	return sandbox_run(&spec, result, err);
}

static int check_status(struct run_step *step, const struct sandbox_result *result, struct err *err)
{
	struct buf text;

	if (result->exit_status == 0)
		return 0;
	buf_init(&text, 1024);
	for (size_t i = 0; i < step->argv.n; i++)
		buf_addf(&text, "%s%s", i ? " " : "", step->argv.v[i]);
	err_set(err, ERR_FAILED, "process \"%s%s\" did not complete successfully: exit code: %d",
		text.data, text.overflow ? "..." : "", result->exit_status);
	buf_release(&text);
	err->exit_status = result->exit_status;
	return -1;
}

static int execute(struct run_step *step, struct err *err)
{
	struct store *store = step->builder->options->store;
	const struct image *image = step->stage->image;
	cleanup_with(snapshot_free) struct snapshot *snapshot = NULL;
	cleanup_with(scratch_free) struct scratch *scratch = NULL;
	struct sandbox_result result;
	struct overlay overlay;
	struct root *root;
	unsigned skipped = 0;
	int root_fd, status;

	if (builder_require_trees(step->builder, image, err) < 0 ||
	    stage_root(step->builder, step->stage, &root, err) < 0 ||
	    snapshot_prepare(root, true, &snapshot, err) < 0)
		return -1;
	if (step->script &&
	    (scratch_open(store, &scratch, err) < 0 || write_script(step, scratch, err) < 0))
		return -1;
	overlay = (struct overlay){
		.dir_fd = store_fd(store),
		.lowers = (const char *const *)snapshot->lowers,
		.n_lowers = snapshot->n_lowers,
		.upper = snapshot->upper,
		.work = snapshot->work,
	};
	if (overlay_mount(&overlay, true, &root_fd, err) < 0)
		return -1;
	status = run_in(step, root_fd, &result, err);
	close(root_fd);
	if (status < 0 || check_status(step, &result, err) < 0)
		return -1;
	if (snapshot_commit(snapshot, &step->record.layer, &skipped, err) < 0)
		return -1;
	if (skipped)
		builder_warn(step->builder, "%u sockets were left out of the layer", skipped);
	step->record.cpu_ns = result.cpu_ns;
	step->record.peak_bytes = result.peak_bytes;
	return 0;
}

static int look_up_or_run(struct run_step *step, struct err *err)
{
	struct builder *builder = step->builder;
	struct stage *stage = step->stage;
	struct err why = ERR_INIT;
	cleanup_key struct key key;
	struct digest digest;
	struct buf created_by;
	bool known;

	make_key(step, &key, &digest);
	known = builder_look_up(builder, &digest, &step->record);
	if (!known) {
		if (execute(step, &why) < 0) {
			dockerfile_error(builder->dockerfile, step->instruction->range, why.kind,
					 err, "%s", why.message);
			err->exit_status = why.exit_status;
			return -1;
		}
		step->record.key = digest;
		step->record.created = clock_wall_ns();
		step->record.wall_ns = clock_monotonic_ns() - builder->began;
		if (cache_put(builder->options->store, &digest, &step->record, key.parts, err) < 0)
			return -1;
	}
	buf_init(&created_by, DOCKERFILE_MAX * 2);
	buf_addstr(&created_by, "RUN ");
	stage_args_prefix(stage, &created_by);
	for (size_t i = 0; i < step->argv.n; i++)
		buf_addf(&created_by, "%s%s", i ? " " : "", step->argv.v[i]);
	stage_add_result(stage, &step->record, &digest, created_by.data);
	buf_release(&created_by);
	builder_finish(builder, known);
	return 0;
}

int step_run(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	     struct err *err)
{
	struct run_step step = {
		.builder = builder,
		.stage = stage,
		.instruction = instruction,
	};
	int status = -1;

	builder_begin(builder, stage, instruction->text);
	make_argv(&step);
	if (!step.argv.n)
		dockerfile_error(builder->dockerfile, instruction->range, ERR_INVALID, err,
				 "RUN without a command");
	else if (parse_network(&step, err) == 0 && parse_security(&step, err) == 0 &&
		 parse_mounts(&step, err) == 0)
		status = look_up_or_run(&step, err);
	step_release(&step);
	return status;
}
