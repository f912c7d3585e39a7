/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * builder/context.c: where the files of a build come from. What a context is follows from its name,
 * and for bytes from their beginning; nothing is tried as something else after it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/build.h"
#include "builder/internal.h"
#include "builder/remote.h"
#include "dockerfile-parser/dockerfile.h"
#include "layers/entry.h"
#include "layers/layer.h"
#include "layers/store.h"

#define BLOCK (256 * 1024)

void build_context_free(struct build_context *context)
{
	if (!context)
		return;
	file_close_at(&context->dir_fd);
	scratch_free(context->scratch);
	free(context->dockerfile);
	free(context->name);
	free(context);
}

/* --- trees ------------------------------------------------------------------------------------ */

int tree_unpack(struct store *store, int fd, const char *what, struct tree *ret_tree,
		struct err *err)
{
	struct tree tree = TREE_INIT;
	int rc = rights_enter(store, BUILD_ISOLATION_AUTO, err);

	tree.owners = true;
	if (rc == 0)
		rc = scratch_open(store, &tree.scratch, err);
	if (rc == 0)
		rc = tar_unpack(store, fd, what, tree.scratch->dir_fd, err);
	if (rc == 0) {
		tree.dir_fd = openat(tree.scratch->dir_fd, "fs",
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (tree.dir_fd < 0)
			rc = err_os(err, "open %s", what);
	}
	if (rc < 0)
		tree_release(&tree);
	else
		*ret_tree = tree;
	return rc;
}

struct forward {
	build_listener *listener;
	void *arg;
};

static void forward(void *arg, const struct transport_event *transfer)
{
	const struct forward *to = arg;
	struct build_event event = { .kind = BUILD_EVENT_TRANSFER, .transfer = transfer };

	if (to->listener)
		to->listener(to->arg, &event);
}

/* BuildKit's build argument for this. */
static bool wants_git_dir(const struct strv *build_args)
{
	const char *value = env_get(build_args, "BUILDKIT_CONTEXT_KEEP_GIT_DIR");

	return value && (!strcmp(value, "1") || !strcasecmp(value, "true"));
}

static int fetch_git(const struct build_options *options, const char *text, struct tree *ret_tree,
		     struct err *err)
{
	struct git_place place = { 0 };
	const struct git git = {
		.store = options->store,
		.environment = options->transport.environment,
		.place = &place,
		.options = options,
	};
	struct git_commit commit;
	int rc = git_place_parse(text, &place, err);

	if (!place.keep_is_set)
		place.keep_git_dir = wants_git_dir(&options->build_args);
	if (rc == 0)
		rc = git_resolve(&git, &commit, err);
	if (rc == 0)
		rc = git_checkout(&git, &commit, ret_tree, err);
	git_place_release(&place);
	return rc;
}

int tree_fetch(const struct build_options *options, const char *text, build_listener *listener,
	       void *arg, struct tree *ret_tree, struct fetched *ret_file, struct err *err)
{
	struct forward to = { listener, arg };
	struct fetch fetch = { .options = options, .url = text, .listener = forward, .arg = &to };
	struct fetched file = { .size = 0 };
	cleanup_fd int fd = -1;

	if (remote_kind(text) == REMOTE_GIT)
		return fetch_git(options, text, ret_tree, err);
	if (fetch_url(&fetch, &file, err) < 0 ||
	    blob_open(options->store, &file.digest, &fd, NULL, err) < 0)
		return -1;
	if (tar_detect(fd))
		return tree_unpack(options->store, fd, "the context", ret_tree, err);
	if (!ret_file)
		return err_set(err, ERR_INVALID, "it is no tar archive");
	*ret_file = file;
	return 0;
}

/* --- kinds ------------------------------------------------------------------------------------ */

static void take_tree(struct build_context *context, struct tree *tree)
{
	context->dir_fd = steal_fd(&tree->dir_fd);
	context->scratch = steal_pointer(&tree->scratch);
	context->owners = tree->owners;
}

/* Text that is the whole context. */
static int take_dockerfile(const struct build_options *options, struct build_context *context,
			   int fd, struct err *err)
{
	struct buf text;
	char *block = xmalloc(BLOCK);
	ssize_t got;

	buf_init(&text, build_dockerfile_max(options));
	while ((got = read_all(fd, block, BLOCK)) > 0 && !text.overflow)
		buf_add(&text, block, (size_t)got);
	free(block);
	if (got < 0 || text.overflow) {
		err_set(err, ERR_INVALID,
			"%s is neither a tar archive nor a Dockerfile of at most %zu bytes",
			context->name, text.max);
		buf_release(&text);
		return -1;
	}
	context->dockerfile_len = text.len;
	context->dockerfile = buf_steal(&text);
	buf_release(&text);
	return 0;
}

static int take_file(const struct build_options *options, struct build_context *context, int fd,
		     struct err *err)
{
	struct tree tree = TREE_INIT;

	if (!tar_detect(fd))
		return take_dockerfile(options, context, fd, err);
	if (tree_unpack(options->store, fd, context->name, &tree, err) < 0)
		return -1;
	take_tree(context, &tree);
	return 0;
}

int spool(struct store *store, int from, int *ret_fd, struct err *err)
{
	cleanup_free char *block = xmalloc(BLOCK);
	cleanup_with(scratch_free) struct scratch *scratch = NULL;
	cleanup_fd int fd = -1;
	uint64_t size = 0;
	ssize_t got;

	if (scratch_open(store, &scratch, err) < 0)
		return -1;
	fd = openat(scratch->dir_fd, "context", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_os(err, "make a temporary file in the store");
	while ((got = read_all(from, block, BLOCK)) > 0) {
		size += (uint64_t)got;
		if (size > FETCH_MAX)
			return err_set(err, ERR_LIMIT, "standard input is larger than %llu bytes",
				       (unsigned long long)FETCH_MAX);
		if (write_all(fd, block, (size_t)got) < 0)
			return err_os(err, "write to the store");
	}
	if (got < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_os(err, "read standard input");
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int open_stdin(const struct build_options *options, struct build_context *context,
		      int stdin_fd, struct err *err)
{
	cleanup_fd int fd = -1;

	if (spool(options->store, stdin_fd, &fd, err) < 0)
		return -1;
	return take_file(options, context, fd, err);
}

static int open_remote(const struct build_options *options, struct build_context *context,
		       const char *text, build_listener *listener, void *arg, struct err *err)
{
	struct tree tree = TREE_INIT;
	struct fetched file = { .size = 0 };
	cleanup_fd int fd = -1;

	if (tree_fetch(options, text, listener, arg, &tree, &file, err) < 0)
		return -1;
	take_tree(context, &tree);
	if (context->dir_fd >= 0)
		return 0;
	if (blob_open(options->store, &file.digest, &fd, NULL, err) < 0)
		return -1;
	return take_dockerfile(options, context, fd, err);
}

static int open_local(const struct build_options *options, struct build_context *context,
		      const char *text, struct err *err)
{
	/* a FIFO must not make it wait */
	cleanup_fd int fd = open(text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char path[PATH_MAX];
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "the build context \"%s\" does not exist", text);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_os(err, "open the build context \"%s\"", text);
	if (!realpath(text, path))
		return err_os(err, "resolve \"%s\"", text);
	free(context->name);
	context->name = xstrdup(path);
	if (S_ISDIR(st.st_mode)) {
		context->local = true;
		context->dir_fd = steal_fd(&fd);
		return 0;
	}
	if (!S_ISREG(st.st_mode) || !tar_detect(fd))
		return err_set(err, ERR_INVALID,
			       "the build context \"%s\" is neither a directory nor a tar archive",
			       text);
	return take_file(options, context, fd, err);
}

/* docker's old short form; a directory of that name comes first. */
static char *spell_out(const char *text)
{
	struct stat st;

	if (strncmp(text, "github.com/", 11) || stat(text, &st) == 0)
		return xstrdup(text);
	return xasprintf("https://%s", text);
}

/* open_local() finds out the path of what is here. */
char *build_context_name(const char *text)
{
	cleanup_free char *whole = spell_out(text);

	return strcmp(text, "-") ? remote_redact(whole) : xstrdup("standard input");
}

static int open_any(const struct build_options *options, struct build_context *context,
		    const char *text, int stdin_fd, build_listener *listener, void *arg,
		    struct err *err)
{
	if (!strcmp(text, "-"))
		return open_stdin(options, context, stdin_fd, err);
	if (remote_kind(text) == REMOTE_NONE && !strstr(text, "://"))
		return open_local(options, context, text, err);
	if (remote_kind(text) == REMOTE_NONE)
		return err_set(err, ERR_UNSUPPORTED,
			       "the build context \"%s\": only http, https, git and ssh URLs work",
			       context->name);
	if (open_remote(options, context, text, listener, arg, err) < 0)
		return err_wrap(err, "the build context %s", context->name);
	return 0;
}

int build_context_open(const struct build_options *options, const char *text, int stdin_fd,
		       build_listener *listener, void *arg, struct build_context **ret_context,
		       struct err *err)
{
	cleanup_with(build_context_free) struct build_context *context =
		xcalloc(1, sizeof(*context));
	cleanup_free char *whole = spell_out(text);

	context->dir_fd = -1;
	context->name = build_context_name(text);
	if (open_any(options, context, whole, stdin_fd, listener, arg, err) < 0)
		return -1;
	*ret_context = steal_pointer(&context);
	return 0;
}
