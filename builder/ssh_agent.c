/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private agents for --ssh ID=KEY: ssh-agent, started when a step first needs it, with its socket
 * in a scratch directory, and the keys put into it by ssh-add. They end with the build.
 *
 * Both are run without new privileges: in Debian ssh-agent is setgid, and the kernel would drop
 * the order to die with its parent. ssh-add has no terminal, so a key with a passphrase is an error
 * and no question.
 */
#include "builder/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/schedule.h"

#define START_NS UINT64_C(5000000000)

struct ssh_agent {
	struct ssh_agent *next;
	const struct build_ssh *ssh;
	struct scratch *scratch;
	struct child child;
	bool started;
	char *path; /* of its socket */
};

static const char *const agent_env[] = { "SSH_AUTH_SOCK=agent", "SSH_ASKPASS_REQUIRE=never", NULL };

/* In a child: become another program whose output is `fd`. Returns only when it fails. */
static void become(int dir_fd, int fd, const char *const *argv)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || fchdir(dir_fd) < 0 || dup2(null_fd, 0) < 0 ||
	    dup2(fd < 0 ? null_fd : fd, 1) < 0 || dup2(fd < 0 ? null_fd : fd, 2) < 0)
		return;
	setsid();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	execvpe(argv[0], (char *const *)argv, (char *const *)agent_env);
}

/* --- the agent -------------------------------------------------------------------------------- */

static int run_agent(void *arg, void *result, struct err *err)
{
	const struct ssh_agent *agent = arg;
	const char *const argv[] = { "ssh-agent", "-D", "-a", "agent", NULL };

	(void)result;
	become(agent->scratch->dir_fd, -1, argv);
	if (errno == ENOENT)
		return err_set(
			err, ERR_UNSUPPORTED,
			"--ssh with a key needs the program ssh-agent (fix: install OpenSSH's "
			"client, or give the socket of a running agent)");
	return err_os(err, "run ssh-agent");
}

/* The socket has its name before anybody listens to it. */
static bool answers(const struct ssh_agent *agent)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/agent",
		 agent->scratch->dir_fd);
	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* The pipe of the child closes when it has become ssh-agent; before that it can hold an error. */
static int wait_for_socket(struct ssh_agent *agent, struct err *err)
{
	uint64_t end = clock_monotonic_ns() + START_NS;
	struct pollfd pipe = { .fd = agent->child.pipe_fd, .events = POLLIN };
	const struct timespec pause = { .tv_nsec = 2000000 };

	if (poll(&pipe, 1, (int)(START_NS / 1000000)) > 0 && pipe.revents & POLLIN) {
		agent->started = false;
		return child_wait(&agent->child, NULL, 0, err);
	}
	while (!answers(agent)) {
		if (clock_monotonic_ns() > end)
			return err_set(err, ERR_FAILED, "ssh-agent did not start");
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* What ssh-add said, on one line. */
static int fail_add(const char *key, int fd, struct err *err)
{
	char text[512];
	ssize_t len = read_all(fd, text, sizeof(text) - 1);

	text[len > 0 ? len : 0] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return err_set(err, ERR_FAILED, "ssh-add cannot use %s%s%s%s", key, *text ? ": " : "", text,
		       *text ? "" : " (keys with a passphrase need a running agent)");
}

static int add_key(const struct ssh_agent *agent, const char *key, struct err *err)
{
	const char *const argv[] = { "ssh-add", "-q", key, NULL };
	int ends[2], status = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	pid = fork();
	if (pid == 0) {
		become(agent->scratch->dir_fd, ends[1], argv);
		_exit(127);
	}
	close(ends[1]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		err_os(err, "fork");
	else if (status)
		fail_add(key, ends[0], err);
	close(ends[0]);
	return pid < 0 || status ? -1 : 0;
}

static int add_keys(void *arg, void *result, struct err *err)
{
	const struct ssh_agent *agent = arg;

	(void)result;
	for (size_t i = 0; i < agent->ssh->keys.n; i++)
		if (add_key(agent, agent->ssh->keys.v[i], err) < 0)
			return -1;
	return 0;
}

/* -------------------------------------------------------------------------------------------- */

static int start(struct builder *builder, struct ssh_agent *agent, struct err *err)
{
	if (scratch_open(builder->options->store, &agent->scratch, err) < 0 ||
	    child_start(&agent->child, run_agent, agent, 0, err) < 0)
		return -1;
	agent->started = true;
	agent->path = xasprintf("/proc/self/fd/%d/agent", agent->scratch->dir_fd);
	if (wait_for_socket(agent, err) < 0)
		return -1;
	return child_call(add_keys, agent, NULL, 0, err);
}

static int find_or_start(struct builder *builder, const struct build_ssh *ssh,
			 const char **ret_path, struct err *err)
{
	struct ssh_agent *agent = builder->agents;

	while (agent && agent->ssh != ssh)
		agent = agent->next;
	if (!agent) {
		agent = xcalloc(1, sizeof(*agent));
		agent->ssh = ssh;
		agent->next = builder->agents;
		builder->agents = agent;
		if (start(builder, agent, err) < 0)
			return -1;
	}
	*ret_path = agent->path;
	return 0;
}

int ssh_agent_socket(struct builder *builder, const struct build_ssh *ssh, const char **ret_path,
		     struct err *err)
{
	int status;

	if (ssh->socket) {
		*ret_path = ssh->socket;
		return 0;
	}
	schedule_lock(builder->schedule);
	status = find_or_start(builder, ssh, ret_path, err);
	schedule_unlock(builder->schedule);
	return status;
}

void ssh_agents_free(struct builder *builder)
{
	while (builder->agents) {
		struct ssh_agent *agent = builder->agents;

		builder->agents = agent->next;
		if (agent->started)
			child_kill(&agent->child);
		scratch_free(agent->scratch);
		free(agent->path);
		free(agent);
	}
}
