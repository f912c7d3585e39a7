/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/build_input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"

void build_input_init(struct build_input *input)
{
	*input = (struct build_input){ 0 };
	buf_init(&input->dockerfile, DOCKERFILE_MAX);
	buf_init(&input->ignore, IGNORE_MAX);
}

void build_input_release(struct build_input *input)
{
	build_context_free(input->context);
	free(input->dockerfile_name);
	free(input->dockerfile_path);
	free(input->ignore_name);
	buf_release(&input->dockerfile);
	buf_release(&input->ignore);
}

static int read_stdin(struct buf *buf, struct err *err)
{
	char block[16384];
	ssize_t got;

	while ((got = read_all(STDIN_FILENO, block, sizeof(block))) > 0)
		if (buf_add(buf, block, (size_t)got) < 0)
			return err_set(err, ERR_LIMIT,
				       "the Dockerfile on standard input is larger than %zu bytes",
				       buf->max);
	return got < 0 ? err_os(err, "read standard input") : 0;
}

/* A file of the context: of a local one as the host has it, else inside it whatever links say. */
static int read_file(const struct build_context *context, const char *path, struct buf *buf,
		     struct err *err)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (context->local)
		return file_read_at(context->dir_fd, path, buf, err);
	if (inroot_read(context->dir_fd, path, buf->max, &text, &len, err) < 0)
		return -1;
	buf_clear(buf);
	return buf_add(buf, text, len);
}

static int read_default(struct build_input *input, struct err *err)
{
	static const char *const names[] = { "Dockerfile", "dockerfile" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (read_file(input->context, names[i], &input->dockerfile, err) == 0) {
			input->dockerfile_name = xstrdup(names[i]);
			input->dockerfile_path =
				input->context->local
					? xasprintf("%s/%s", input->context->name, names[i])
					: xstrdup(names[i]);
			err_clear(err);
			return 0;
		}
		if (err->kind != ERR_NOT_FOUND)
			return -1;
	}
	return err_set(
		err, ERR_NOT_FOUND,
		"failed to read the Dockerfile: %s%sDockerfile: no such file (use -f to name "
		"another)",
		input->context->name, input->context->local ? "/" : ": ");
}

/* -f as given (relative to the working directory, as docker has it), else Dockerfile, else
 * dockerfile, in the context. */
static int read_dockerfile(struct build_input *input, const char *file, struct err *err)
{
	if (file && !strcmp(file, "-")) {
		input->dockerfile_name = xstrdup("Dockerfile (standard input)");
		return read_stdin(&input->dockerfile, err);
	}
	if (!file)
		return read_default(input, err);
	input->dockerfile_name = xstrdup(file);
	input->dockerfile_path = input->context->local ? realpath(file, NULL) : xstrdup(file);
	if (input->context->local)
		return file_read_at(AT_FDCWD, file, &input->dockerfile, err);
	if (read_file(input->context, file, &input->dockerfile, err) < 0)
		return err_wrap(err, "%s", input->context->name);
	return 0;
}

/* <Dockerfile>.dockerignore beside the Dockerfile replaces .dockerignore. As in BuildKit, there
 * are ignore rules for local directories only. */
static int read_ignore(struct build_input *input, const char *file, struct err *err)
{
	bool own = file && strcmp(file, "-");
	int dir_fd = own ? AT_FDCWD : input->context->dir_fd;

	if (!input->context->local)
		return 0;
	input->ignore_name = xasprintf("%s.dockerignore", own ? file : input->dockerfile_name);
	if (file_read_at(dir_fd, input->ignore_name, &input->ignore, err) == 0)
		return 0;
	free(steal_pointer(&input->ignore_name));
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	if (file_read_at(input->context->dir_fd, ".dockerignore", &input->ignore, err) == 0) {
		input->ignore_name = xstrdup(".dockerignore");
		return 0;
	}
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

static int not_read(const struct build_input *input, struct err *err)
{
	struct err why = *err;

	if (!input->dockerfile.overflow)
		return -1;
	return err_set(err, why.kind, "%s (fix: --max-dockerfile-size)", why.message);
}

static int read_all_of_it(struct cli *cli, struct build_input *input, const char *context,
			  const char *file, struct err *err)
{
	if (input->context->dir_fd >= 0) {
		if (read_dockerfile(input, file, err) < 0)
			return not_read(input, err);
		return read_ignore(input, file, err);
	}
	if (file)
		return cli_usage(cli, err, "-f cannot be used when the context is a Dockerfile: %s",
				 input->context->name);
	if (strcmp(context, "-"))
		input->dockerfile_name = xstrdup(input->context->name);
	else
		input->dockerfile_name = xstrdup("Dockerfile (standard input)");
	return buf_add(&input->dockerfile, input->context->dockerfile,
		       input->context->dockerfile_len);
}

int build_input_read(struct cli *cli, struct build_options *options, const char *context,
		     const char *file, build_listener *listener, void *arg,
		     struct build_input *input, struct err *err)
{
	if (!strcmp(context, "-") && file && !strcmp(file, "-"))
		return cli_usage(cli, err, "the context and -f cannot both be standard input");
	input->dockerfile.max = build_dockerfile_max(options);
	if (build_context_open(options, context, STDIN_FILENO, listener, arg, &input->context,
			       err) < 0 ||
	    read_all_of_it(cli, input, context, file, err) < 0)
		return -1;
	options->context_fd = input->context->dir_fd;
	options->context_path = input->context->name;
	options->context_remote = !input->context->local;
	options->context_owners = input->context->owners;
	options->dockerfile_name = input->dockerfile_name;
	options->dockerfile_path = input->dockerfile_path;
	options->dockerfile_text = input->dockerfile.data;
	options->dockerfile_len = input->dockerfile.len;
	options->ignore_name = input->ignore_name;
	options->ignore_text = input->ignore_name ? input->ignore.data : NULL;
	options->ignore_len = input->ignore.len;
	return 0;
}
