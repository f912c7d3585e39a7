/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * builder/git_run.c: the git program, told as little as possible by the machine and nothing by
 * the repository:
 *  1. Its environment is made here: no configuration of user or system, no credential helper, no
 *     prompt, no hook, no template. Of the user's environment only what reaches a remote is kept.
 *  2. The remote's URL is configuration, not an argument: it is no option whatever it begins with,
 *     and nobody sees it in a list of processes.
 *  3. A secret for the repository is configuration, too, for its origin alone; with one, no
 *     redirect is followed, which could carry it away.
 *  4. Between us and git stands a process, the guard, with a session of its own: git leaves its
 *     helpers behind when it alone is killed. When we end, or SIGTERM is sent to it, it takes the
 *     whole session along.
 *  5. Only the protocols that a Dockerfile may name work, in submodules and redirects too; never
 *     a path, never a command (ext::).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "builder/internal.h"
#include "builder/remote.h"
#include "layers/store.h"

#define WORDS_MAX 16384 /* bytes kept of what git complains */

/* Ends of the guard that git itself has none of. */
enum {
	CANNOT_RUN = 126,
	NOT_INSTALLED = 127,
	KILLED = 0xc0, /* and the signal, which has six bits */
};

static const char *const kept_names[] = {
	"PATH",	      "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy",
	"HTTP_PROXY", "HTTPS_PROXY",   "all_proxy",	"ALL_PROXY",	"no_proxy",   "NO_PROXY",
};

static const char *const fixed[] = {
	"LC_ALL=C",
	"HOME=/nonexistent",
	"XDG_CONFIG_HOME=/nonexistent",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_GLOBAL=/dev/null",
	"GIT_CONFIG_SYSTEM=/dev/null",
	"GIT_ATTR_NOSYSTEM=1",
	"GIT_TEMPLATE_DIR=/dev/null",
	"GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=/bin/false",
	"GIT_NO_REPLACE_OBJECTS=1",
	"GIT_SSH_COMMAND=ssh -o BatchMode=yes",
	"GIT_SSH_VARIANT=ssh",
};

static const char *const settings[][2] = {
	{ "protocol.file.allow", "never" }, { "protocol.ext.allow", "never" },
	{ "core.hooksPath", "/dev/null" },  { "core.fsmonitor", "false" },
	{ "core.autocrlf", "false" },	    { "core.attributesFile", "/dev/null" },
	{ "credential.helper", "" },	    { "http.lowSpeedLimit", "1" },
	{ "http.lowSpeedTime", "60" },	    { "gc.auto", "0" },
	{ "maintenance.auto", "false" },    { "fetch.recurseSubmodules", "false" },
	{ "submodule.recurse", "false" },   { "advice.detachedHead", "false" },
	{ "init.defaultBranch", "main" },
};

static void add_setting(struct strv *env, size_t i, const char *key, const char *value)
{
	strv_addf(env, "GIT_CONFIG_KEY_%zu=%s", i, key);
	strv_addf(env, "GIT_CONFIG_VALUE_%zu=%s", i, value);
}

/* Scheme and host of the URL, as the key of a setting for what is below them. */
static char *header_key(const char *url)
{
	size_t scheme = strcspn(url, ":") + 3;
	size_t host = strcspn(url + scheme, "/?#");

	return xasprintf("http.%.*s/.extraHeader", (int)(scheme + host), url);
}

static void make_environment(const struct git *git, const char *authorization, struct strv *ret_env)
{
	bool http = !strncasecmp(git->place->url, "http://", 7);
	size_t n = 0;

	for (size_t i = 0; git->environment && git->environment[i]; i++) {
		size_t len = strcspn(git->environment[i], "=");

		for (size_t k = 0; k < ARRAY_SIZE(kept_names); k++)
			if (strlen(kept_names[k]) == len &&
			    !strncmp(git->environment[i], kept_names[k], len))
				strv_add(ret_env, git->environment[i]);
	}
	if (!env_get(ret_env, "PATH"))
		strv_add(ret_env, "PATH=" DEFAULT_PATH);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		strv_add(ret_env, fixed[i]);
	strv_addf(ret_env, "GIT_CEILING_DIRECTORIES=%s/tmp", store_path(git->store));
	strv_addf(ret_env, "GIT_ALLOW_PROTOCOL=https:ssh:git%s", http ? ":http" : "");
	for (; n < ARRAY_SIZE(settings); n++)
		add_setting(ret_env, n, settings[n][0], settings[n][1]);
	add_setting(ret_env, n++, "remote.origin.url", git->place->url);
	if (authorization) {
		cleanup_free char *key = header_key(git->place->url);
		cleanup_free char *header = xasprintf("Authorization: %s", authorization);

		add_setting(ret_env, n++, key, header);
		add_setting(ret_env, n++, "http.followRedirects", "false");
		explicit_bzero(header, strlen(header));
	}
	strv_addf(ret_env, "GIT_CONFIG_COUNT=%zu", n);
}

/* --- the guard -------------------------------------------------------------------------------- */

struct job {
	struct strv argv, env;
	int dir_fd, out_fd, words_fd;
};

static void end_session(int number)
{
	(void)number;
	kill(0, SIGKILL);
}

static pid_t start_program(const struct job *job)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	pid_t pid;

	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	errno = posix_spawnp(&pid, "git", &actions, &attributes, strv_argv(&job->argv),
			     strv_argv(&job->env));
	return errno ? -1 : pid;
}

/* The handler is there before the signal can come, and git comes after both. */
static int prepare_guard(const struct job *job, pid_t parent)
{
	struct sigaction action = { .sa_handler = end_session };
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	setsid();
	umask(022); /* files of a checkout are 0644 and 0755 */
	if (sigaction(SIGTERM, &action, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 ||
	    sigprocmask(SIG_UNBLOCK, &term, NULL) < 0 || getppid() != parent)
		return -1;
	/* locks and pipes of other threads are not kept */
	if (dup2(job->out_fd, STDOUT_FILENO) < 0 || dup2(job->words_fd, STDERR_FILENO) < 0 ||
	    fchdir(job->dir_fd) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		return -1;
	return 0;
}

static _Noreturn void be_guard(struct job *job, pid_t parent)
{
	int status, bad;
	pid_t pid = prepare_guard(job, parent) < 0 ? -1 : start_program(job);

	bad = errno;
	strv_wipe(&job->env);
	if (pid < 0)
		_exit(bad == ENOENT ? NOT_INSTALLED : CANNOT_RUN);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : KILLED | (WTERMSIG(status) & ~KILLED));
}

static int start_guard(struct job *job, pid_t *ret_pid, struct err *err)
{
	pid_t parent = getpid(), pid;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		be_guard(job, parent);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return err_os(err, "fork");
	*ret_pid = pid;
	return 0;
}

static int start(const struct git *git, const char *const *args, struct job *job, pid_t *ret_pid,
		 struct err *err)
{
	cleanup_with(remote_forget) char *authorization = NULL;

	if (remote_authorization(git->options, git->place->url, true, &authorization, err) < 0)
		return -1;
	strv_add(&job->argv, "git");
	for (size_t i = 0; args[i]; i++)
		strv_add(&job->argv, args[i]);
	make_environment(git, authorization, &job->env);
	return start_guard(job, ret_pid, err);
}

/* --- what it says ----------------------------------------------------------------------------- */

/* Read both pipes to their ends. What passes a limit is dropped; *out remembers it. */
static int collect(const struct cancel *cancel, int out_fd, struct buf *out, int words_fd,
		   struct buf *words, struct err *err)
{
	struct pollfd polls[] = { { .fd = out_fd, .events = POLLIN },
				  { .fd = words_fd, .events = POLLIN },
				  { .fd = cancel_fd(cancel), .events = POLLIN } };
	struct buf *bufs[2] = { out, words };
	char block[4096];

	while (polls[0].fd >= 0 || polls[1].fd >= 0) {
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0 && errno != EINTR)
			return err_os(err, "wait for git");
		if (cancel_check(cancel, err) < 0)
			return -1;
		for (int i = 0; i < 2; i++) {
			ssize_t got;

			if (polls[i].fd < 0 || !polls[i].revents)
				continue;
			got = read(polls[i].fd, block, sizeof(block));
			if (got > 0 && bufs[i])
				buf_add(bufs[i], block, (size_t)got);
			else if (got == 0 || (got < 0 && errno != EINTR))
				polls[i].fd = -1;
		}
	}
	return 0;
}

/* Its last lines, without what a terminal would act on and without passwords of URLs: those of
 * submodules beside the remote's begin like it. */
static int complain(const struct git *git, int status, struct buf *words, struct err *err)
{
	cleanup_free char *safe_url = remote_redact(git->place->url);
	cleanup_free char *safe_words = NULL;
	size_t len;

	while (words->len > 0 && words->data[words->len - 1] == '\n')
		words->data[--words->len] = '\0';
	for (size_t i = 0; i < words->len; i++)
		if ((unsigned char)words->data[i] < ' ' || words->data[i] == 0x7f)
			words->data[i] = words->data[i] == '\n' ? ';' : '?';
	if (status == NOT_INSTALLED)
		return err_set(err, ERR_UNSUPPORTED,
			       "git repositories need the git program, which is not installed");
	if (status == CANNOT_RUN)
		return err_set(err, ERR_FAILED, "%s: cannot run git", safe_url);
	if ((status & KILLED) == KILLED)
		return err_set(err, ERR_FAILED, "%s: git was killed by signal %d", safe_url,
			       status & ~KILLED);
	safe_words = remote_redact(words->data);
	len = strlen(safe_words);
	return err_set(err, ERR_FAILED, "%s: git: %s%s", safe_url, len > 1000 ? "..." : "",
		       len ? safe_words + (len > 1000 ? len - 1000 : 0) : "failed");
}

/* The exit status of git, or one of those above. -1 with *err when it was not waited for. */
static int run(const struct git *git, int dir_fd, const char *const *args, struct buf *out,
	       struct buf *words, struct err *err)
{
	cleanup_fd int out_in = -1, out_out = -1, words_in = -1, words_out = -1;
	struct job job = { .argv = STRV_INIT, .env = STRV_INIT, .dir_fd = dir_fd };
	int ends[2], status = 0, rc;
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	out_out = ends[0];
	job.out_fd = out_in = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	words_out = ends[0];
	job.words_fd = words_in = ends[1];
	rc = start(git, args, &job, &pid, err);
	strv_wipe(&job.env);
	strv_release(&job.argv);
	if (rc < 0)
		return -1;
	close(steal_fd(&out_in));
	close(steal_fd(&words_in));
	rc = collect(store_cancel(git->store), out_out, out, words_out, words, err);
	if (rc < 0)
		kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED | WTERMSIG(status);
}

int git_run(const struct git *git, int dir_fd, const char *const *args, struct buf *out,
	    struct err *err)
{
	cleanup_buf struct buf words;
	int status;

	buf_init(&words, WORDS_MAX);
	status = run(git, dir_fd, args, out, &words, err);
	if (status < 0)
		return -1;
	if (status > 0)
		return complain(git, status, &words, err);
	if (out && out->overflow)
		return err_set(err, ERR_LIMIT, "git answers with more than %zu bytes", out->max);
	return 0;
}
