/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program that connects a private network to the machine's.
 *
 * 1. It is the child of a guard, which is pid 1 of a pid namespace of their own: when the guard
 *    ends, the kernel kills the program and all that it may have started.
 * 2. The guard ends when the program does, when it is killed, and when the lifeline closes: a pipe
 *    of which only this process has the other end, so also when this process is killed.
 *    PR_SET_PDEATHSIG would not do: it follows the thread that started the program, and the build
 *    goes on after that.
 * 3. The program is ready when it writes to the ready pipe: pasta its pid, slirp4netns a "1". If
 *    it closes it without, it has failed.
 * 4. What it says goes to a pipe that does not block and that nobody empties: when it is full, the
 *    rest is lost.
 * 5. It runs with no environment. Beside its own ways of confining itself, it has only the rights
 *    that this process has.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define TUN	   "/dev/net/tun"
#define START_MS   10000
#define NOT_FOUND  '-' /* on the ready pipe: neither program is there */
#define FD_PATH	   "/proc/self/fd/"
#define FD_DIGITS  sizeof("2147483647")
#define SAID_SHOWN 500

int net_helper_check(struct err *err)
{
	cleanup_fd int fd = open(TUN, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return err_os(err, "open " TUN
				   " (fix: sudo chmod 0666 " TUN ", which is its usual mode; in a "
				   "container allow it with --device " TUN ")");
	return err_os(err, "open " TUN
			   " (fix: sudo modprobe tun; in a container --device " TUN ")");
}

/* --- the program ---------------------------------------------------------------------------- */

struct plan {
	int ns_fd;
	int ready_fd, said_fd, lifeline_fd; /* the ends that the guard needs */
	char ns_path[sizeof(FD_PATH) + FD_DIGITS];
	char ready_path[sizeof(FD_PATH) + FD_DIGITS];
	char ready_digits[FD_DIGITS];
};

/* Both get the same addresses. No port is forwarded in either direction. */
static void exec_program(const struct plan *plan)
{
	const char *const pasta[] = {
		/* as 0 of our user namespace: it could not enter the network as another */
		"pasta", "--foreground", "--quiet", "--runas", "0", "--netns", plan->ns_path,
		"--pid", plan->ready_path, "--ipv4-only", "--config-net", "--ns-ifname", "tap0",
		"--address", "10.0.2.100", "--netmask", "24", "--gateway", "10.0.2.2",
		"--dns-forward", NET_NAMESERVER, "--no-map-gw", "--tcp-ports", "none",
		"--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none", NULL,
	};
	const char *const slirp4netns[] = {
		"slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
		"--enable-sandbox", "--enable-seccomp", "--ready-fd", plan->ready_digits,
		"--netns-type=path", plan->ns_path, "tap0", NULL,
	};
	static char *const no_env[] = { NULL };

	execvpe(pasta[0], (char *const *)pasta, no_env);
	if (errno == ENOENT)
		execvpe(slirp4netns[0], (char *const *)slirp4netns, no_env);
}

static _Noreturn void be_program(const struct plan *plan)
{
	static const char not_found = NOT_FOUND;
	sigset_t none;

	init_reset_signals();
	sigemptyset(&none);
	fds_close_on_exec(3);
	if (mount_leave() == 0 && fcntl(plan->ns_fd, F_SETFD, 0) == 0 &&
	    fcntl(plan->ready_fd, F_SETFD, 0) == 0 && dup2(plan->said_fd, 1) >= 0 &&
	    dup2(plan->said_fd, 2) >= 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		exec_program(plan);
	if (errno == ENOENT)
		(void)!write(plan->ready_fd, &not_found, 1);
	else
		dprintf(plan->said_fd, "%s", strerrordesc_np(errno));
	_exit(127);
}

/* --- the guard ------------------------------------------------------------------------------ */

static _Noreturn void be_guard(const struct plan *plan, int lifeline_end)
{
	struct pollfd ends[] = { { .fd = 0 }, { .fd = 1, .events = POLLIN } };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), pidfd;
	bool joined;
	pid_t pid;

	close(lifeline_end);
	setsid(); /* no signal of the terminal comes here */
	if (null < 0 || dup2(null, 0) < 0)
		_exit(1);
	pid = clone_into(CLONE_PIDFD, &pidfd, -1, &joined);
	if (pid == 0)
		be_program(plan);
	/* nothing else of this process's is kept open: locks, and pipes whose end somebody awaits */
	if (pid < 0 || dup2(plan->lifeline_fd, 0) < 0 || dup2(pidfd, 1) < 0)
		_exit(1);
	fds_close(2);
	prctl(PR_SET_NAME, "cbuild-net");
	prctl(PR_SET_DUMPABLE, 0);
	while (poll(ends, ARRAY_SIZE(ends), -1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Signals are blocked around clone, so that no handler of ours runs in the guard. */
static int start_guard(struct net_helper *helper, const struct plan *plan, struct err *err)
{
	sigset_t all, old;
	bool joined;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	helper->pid = clone_into(CLONE_NEWPID | CLONE_PIDFD, &helper->pidfd, -1, &joined);
	if (helper->pid == 0)
		be_guard(plan, helper->lifeline_fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (helper->pid < 0)
		return err_os(err, "start the guard of a network");
	return 0;
}

/* --- this process --------------------------------------------------------------------------- */

/* What the program said, or nothing. The pipe does not block. */
static int fail_with_said(const struct net_helper *helper, const char *what, struct err *err)
{
	char text[SAID_SHOWN + 1];
	ssize_t len = read(helper->said_fd, text, SAID_SHOWN);

	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len < 0 ? 0 : len] = '\0';
	return err_set(err, ERR_FAILED, "%s%s%s", what, *text ? ": " : "", text);
}

static int await_ready(const struct net_helper *helper, int ready_fd, struct err *err)
{
	struct pollfd ready = { .fd = ready_fd, .events = POLLIN };
	char c;
	int n;

	while ((n = poll(&ready, 1, START_MS)) < 0 && errno == EINTR)
		;
	if (n == 0)
		return fail_with_said(helper, "pasta or slirp4netns did not get ready", err);
	if (n < 0 || read(ready_fd, &c, 1) != 1)
		return fail_with_said(helper, "pasta or slirp4netns failed", err);
	if (c == NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND, "%s", NET_HELPER_MISSING);
	return 0;
}

static int start_with(struct net_helper *helper, struct plan *plan, struct err *err)
{
	cleanup_fd int guard_ready_fd = -1, ready_fd = -1, lifeline_fd = -1, said_fd = -1;
	int ready[2], said[2], lifeline[2];

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	ready_fd = ready[0];
	plan->ready_fd = guard_ready_fd = ready[1];
	if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_os(err, "make a pipe");
	helper->said_fd = said[0];
	plan->said_fd = said_fd = said[1];
	if (pipe2(lifeline, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	plan->lifeline_fd = lifeline_fd = lifeline[0];
	helper->lifeline_fd = lifeline[1];
	snprintf(plan->ns_path, sizeof(plan->ns_path), FD_PATH "%d", plan->ns_fd);
	snprintf(plan->ready_path, sizeof(plan->ready_path), FD_PATH "%d", plan->ready_fd);
	snprintf(plan->ready_digits, sizeof(plan->ready_digits), "%d", plan->ready_fd);
	if (start_guard(helper, plan, err) < 0)
		return -1;
	close(steal_fd(&guard_ready_fd));
	return await_ready(helper, ready_fd, err);
}

int net_helper_start(struct net_helper *helper, int ns_fd, struct err *err)
{
	struct plan plan = { .ns_fd = ns_fd };

	*helper = (struct net_helper){ .pid = -1, .pidfd = -1, .said_fd = -1, .lifeline_fd = -1 };
	if (start_with(helper, &plan, err) == 0)
		return 0;
	net_helper_end(helper);
	return -1;
}

void net_helper_end(struct net_helper *helper)
{
	if (helper->pid >= 0) {
		pidfd_send_signal(helper->pidfd, SIGKILL, NULL, 0);
		while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	file_close_at(&helper->pidfd);
	file_close_at(&helper->said_fd);
	file_close_at(&helper->lifeline_fd);
	*helper = (struct net_helper){ .pid = -1, .pidfd = -1, .said_fd = -1, .lifeline_fd = -1 };
}
