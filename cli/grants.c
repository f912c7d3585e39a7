/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the command line gives to RUN, and nothing else can: secrets, agents, limits, and leave to
 * do what a Dockerfile alone may not.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/size.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"

DEFINE_CLEANUP(struct arena *, arena_free)

/* --- --secret --------------------------------------------------------------------------------- */

struct secret_words {
	const char *id, *source, *env, *type;
};

static int read_secret_words(struct cli *cli, struct arena *arena, const char *text,
			     struct secret_words *words, struct err *err)
{
	struct flag_option *options;
	struct err why = ERR_INIT;
	size_t n;

	if (flag_options_parse(arena, text, &options, &n, &why) < 0)
		return cli_usage(cli, err, "--secret: %s", why.message);
	for (size_t i = 0; i < n; i++) {
		const char *key = options[i].key;
		const char **place = !strcmp(key, "id")	      ? &words->id
				     : !strcmp(key, "src")    ? &words->source
				     : !strcmp(key, "source") ? &words->source
				     : !strcmp(key, "env")    ? &words->env
				     : !strcmp(key, "type")   ? &words->type
							      : NULL;

		if (!place || !options[i].has_value || !*options[i].value)
			return cli_usage(
				cli, err,
				"--secret: expected id=ID[,src=PATH][,env=NAME][,type=file|"
				"env], got \"%s\" in it",
				key);
		*place = options[i].value;
	}
	if (!words->id)
		return cli_usage(cli, err, "--secret: id is missing");
	if (words->type && strcmp(words->type, "file") && strcmp(words->type, "env"))
		return cli_usage(cli, err, "--secret: type is file or env, not \"%s\"",
				 words->type);
	if (words->source && words->env)
		return cli_usage(cli, err, "--secret id=%s: src and env cannot both be given",
				 words->id);
	return 0;
}

/* Where it comes from: *ret_env or *ret_path. By docker's rule: what is only an id is a variable of
 * that name, or else a file. */
static void locate_secret(const struct secret_words *words, const char **ret_env,
			  const char **ret_path)
{
	bool is_env = words->type && !strcmp(words->type, "env");

	*ret_env = words->env;
	*ret_path = words->source;
	if (is_env && !words->env) {
		*ret_env = words->source ? words->source : words->id;
		*ret_path = NULL;
	}
	if (*ret_env || *ret_path)
		return;
	if (!words->type && getenv(words->id))
		*ret_env = words->id;
	else
		*ret_path = words->id;
}

/* Any kind of file: a pipe of the shell is as good. */
static int read_secret(const char *path, struct build_secret *secret, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t len;

	if (fd < 0)
		return err_os(err, "--secret id=%s: open %s", secret->id, path);
	secret->data = xmalloc(SANDBOX_FILE_MAX + 1);
	len = read_all(fd, secret->data, SANDBOX_FILE_MAX + 1);
	if (len < 0)
		return err_os(err, "--secret id=%s: read %s", secret->id, path);
	secret->len = (size_t)len;
	if (len > SANDBOX_FILE_MAX)
		return err_set(err, ERR_LIMIT, "--secret id=%s: %s is larger than %d bytes",
			       secret->id, path, SANDBOX_FILE_MAX);
	return 0;
}

static int add_secret(struct cli *cli, const char *text, struct grants *grants, struct err *err)
{
	cleanup_with(arena_free) struct arena *arena = arena_new();
	struct secret_words words = { 0 };
	struct build_secret *secret;
	const char *env, *path, *value;

	if (read_secret_words(cli, arena, text, &words, err) < 0)
		return -1;
	locate_secret(&words, &env, &path);
	secret = &grants->secrets[grants->n_secrets++];
	secret->id = xstrdup(words.id);
	if (path)
		return read_secret(path, secret, err);
	value = getenv(env);
	if (!value)
		return err_set(err, ERR_NOT_FOUND, "--secret id=%s: the variable %s is not set",
			       words.id, env);
	if (strlen(value) > SANDBOX_FILE_MAX)
		return err_set(err, ERR_LIMIT, "--secret id=%s: %s is larger than %d bytes",
			       words.id, env, SANDBOX_FILE_MAX);
	secret->len = strlen(value);
	secret->data = xstrdup(value);
	return 0;
}

/* --- --ssh ------------------------------------------------------------------------------------ */

static int add_agent(const char *id, const char *path, struct build_ssh *ssh, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_os(err, "--ssh %s: %s", id, path);
	if (S_ISSOCK(st.st_mode)) {
		if (ssh->socket || ssh->keys.n)
			return err_set(err, ERR_INVALID,
				       "--ssh %s: one agent, or keys, but not both", id);
		ssh->socket = realpath(path, NULL);
		return ssh->socket ? 0 : err_os(err, "--ssh %s: %s", id, path);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "--ssh %s: %s is neither a socket nor a key", id,
			       path);
	if (ssh->socket)
		return err_set(err, ERR_INVALID, "--ssh %s: one agent, or keys, but not both", id);

	cleanup_free char *real = realpath(path, NULL);

	if (!real)
		return err_os(err, "--ssh %s: %s", id, path);
	strv_add(&ssh->keys, real);
	return 0;
}

/* default | ID[=SOCKET|KEY[,KEY...]] */
static int add_ssh(struct cli *cli, const char *text, struct grants *grants, struct err *err)
{
	struct build_ssh *ssh = &grants->ssh[grants->n_ssh];
	size_t len = strcspn(text, "=");
	const char *paths = text[len] ? text + len + 1 : getenv("SSH_AUTH_SOCK");

	if (!len || (text[len] && !*paths))
		return cli_usage(cli, err, "--ssh: expected ID[=SOCKET|KEY[,KEY]], got \"%s\"",
				 text);
	if (!paths || !*paths)
		return err_set(
			err, ERR_NOT_FOUND,
			"--ssh %s: no agent is running (SSH_AUTH_SOCK is not set); start one, "
			"or give a key: --ssh %s=KEY",
			text, text);
	*ssh = (struct build_ssh){ .id = xstrndup(text, len) };
	grants->n_ssh++;
	if (!text[len])
		return add_agent(ssh->id, paths, ssh, err);
	while (*paths) {
		cleanup_free char *path = xstrndup(paths, strcspn(paths, ","));

		paths += strlen(path);
		paths += *paths == ',';
		if (add_agent(ssh->id, path, ssh, err) < 0)
			return -1;
	}
	return 0;
}

/* --- --allow, --ulimit, --shm-size ------------------------------------------------------------ */

static int add_allowed(struct cli *cli, const char *text, struct grants *grants, struct err *err)
{
	while (*text) {
		cleanup_free char *name = xstrndup(text, strcspn(text, ","));

		text += strlen(name);
		text += *text == ',';
		if (!strcmp(name, "network.host"))
			grants->host_network = true;
		else if (!strcmp(name, "security.insecure"))
			grants->insecure = true;
		else
			return cli_usage(cli, err,
					 "--allow: expected network.host or security.insecure, got "
					 "\"%s\"",
					 name);
	}
	return 0;
}

static int add_limit(struct cli *cli, const char *text, struct grants *grants, struct err *err)
{
	struct err why = ERR_INIT;

	if (sandbox_limit_parse(text, &grants->limits[grants->n_limits], &why) < 0)
		return cli_usage(cli, err, "--ulimit: %s", why.message);
	grants->n_limits++;
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

int grants_parse(struct cli *cli, const struct grant_flags *flags, struct grants *grants,
		 struct err *err)
{
	grants->secrets = xcalloc(flags->secrets.n + 1, sizeof(*grants->secrets));
	grants->ssh = xcalloc(flags->ssh.n + 1, sizeof(*grants->ssh));
	grants->limits = xcalloc(flags->ulimits.n + 1, sizeof(*grants->limits));
	for (size_t i = 0; i < flags->allow.n; i++)
		if (add_allowed(cli, flags->allow.v[i], grants, err) < 0)
			return -1;
	for (size_t i = 0; i < flags->ulimits.n; i++)
		if (add_limit(cli, flags->ulimits.v[i], grants, err) < 0)
			return -1;
	if (flags->shm_size && (size_parse(flags->shm_size, &grants->shm_size) < 0 ||
				!grants->shm_size || grants->shm_size > INT64_MAX))
		return cli_usage(cli, err, "--shm-size: not a size: \"%s\"", flags->shm_size);
	for (size_t i = 0; i < flags->secrets.n; i++)
		if (add_secret(cli, flags->secrets.v[i], grants, err) < 0)
			return -1;
	for (size_t i = 0; i < flags->ssh.n; i++)
		if (add_ssh(cli, flags->ssh.v[i], grants, err) < 0)
			return -1;
	return 0;
}

void grants_fill(const struct grants *grants, struct build_options *options)
{
	options->secrets = grants->secrets;
	options->n_secrets = grants->n_secrets;
	options->ssh = grants->ssh;
	options->n_ssh = grants->n_ssh;
	options->limits = grants->limits;
	options->n_limits = grants->n_limits;
	options->shm_size = grants->shm_size;
	options->allow_host_network = grants->host_network;
	options->allow_insecure = grants->insecure;
}

void grants_release(struct grants *grants, struct grant_flags *flags)
{
	for (size_t i = 0; i < grants->n_secrets; i++) {
		if (grants->secrets[i].data)
			explicit_bzero(grants->secrets[i].data, grants->secrets[i].len);
		free(grants->secrets[i].data);
		free(grants->secrets[i].id);
	}
	for (size_t i = 0; i < grants->n_ssh; i++) {
		free(grants->ssh[i].id);
		free(grants->ssh[i].socket);
		strv_release(&grants->ssh[i].keys);
	}
	free(grants->secrets);
	free(grants->ssh);
	free(grants->limits);
	strv_release(&flags->secrets);
	strv_release(&flags->ssh);
	strv_release(&flags->allow);
	strv_release(&flags->ulimits);
}
