/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The caller's side of a step: prepare, clone, pass the output on, wait.
 *
 * 1. All signals are blocked around clone, so that no handler of the caller runs in the child.
 * 2. The end of the step is the end of pid 1, seen through its pidfd; with it the kernel has
 *    killed all others in the pid namespace, so what is in the pipes then is all there will be.
 *    Nobody waits for the pipes to be closed, nor to be empty: a daemon may hold them, another
 *    step that was handed one, or a process that another thread has forked.
 * 3. What happened is what pid 1 reported before it ended. No report means it was killed.
 * 4. SIGINT and SIGTERM come through a signalfd, unless the caller takes them himself and says by
 *    spec->cancel what is to be done.
 */
#include "sandbox/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

#define GRACE_NS UINT64_C(10000000000) /* from the first signal to SIGKILL */
#define ARGS_MAX 100000

struct run {
	const struct sandbox_spec *spec;
	struct init_plan plan;
	struct seccomp_filter filter; /* the built-in one */
	struct seccomp_filter offline;
	struct cgroup_step cgroup;
	struct cgroup_events events;
	struct plain plain; /* spec->chroot */
	pid_t pid;
	int pidfd;
	int report_fd;	   /* read end */
	int output_fds[2]; /* read ends, -1 when at their end or inherited */
	sigset_t old_mask;
	sigset_t wait_mask; /* the old one and what comes through signal_fd */
	bool masked;
	int signal_fd;	     /* see 4; or the caller's stop_fd */
	int cancelled_by;    /* the first signal, or 0 */
	uint64_t kill_at_ns; /* monotonic; 0: never */
	bool killed;
	bool stopped; /* by the caller's kill_fd */
	struct init_report report;
	bool reported;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void run_init(struct run *run, const struct sandbox_spec *spec)
{
	run->spec = spec;
	run->cgroup = (struct cgroup_step)CGROUP_STEP_INIT;
	run->pidfd = run->report_fd = run->signal_fd = -1;
	run->plan = (struct init_plan){
		.spec = spec,
		.hostname = spec->hostname ? spec->hostname : SANDBOX_HOSTNAME,
		.report_fd = -1,
		.report_read_fd = -1,
		.output_fds = { -1, -1 },
		.cgroup_fd = -1,
		.net_fd = -1,
		.plain = spec->chroot,
		.null_fd = -1,
		.proc_fd = -1,
	};
	run->output_fds[0] = run->output_fds[1] = -1;
	mounts_init(&run->plan.mounts);
	plain_init(&run->plain);
}

static void run_release(struct run *run)
{
	close_fd(&run->pidfd);
	close_fd(&run->report_fd);
	if (!run->spec->cancel)
		close_fd(&run->signal_fd);
	close_fd(&run->plan.report_fd);
	for (int i = 0; i < 2; i++) {
		close_fd(&run->output_fds[i]);
		close_fd(&run->plan.output_fds[i]);
	}
	mounts_release(&run->plan.mounts);
	cgroup_step_end(&run->cgroup, &run->events);
	plain_release(&run->plain);
	if (run->masked)
		pthread_sigmask(SIG_SETMASK, &run->old_mask, NULL);
}

/* --- preparing ------------------------------------------------------------------------------ */

/* The write end is put above 2, where the child's dup2() cannot hit it. */
static int make_pipe(int *ret_read, int *ret_write, struct err *err)
{
	int ends[2], high;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_os(err, "make a pipe");
	high = ends[1] > 2 ? ends[1] : fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
	if (high != ends[1])
		close(ends[1]);
	*ret_read = ends[0];
	*ret_write = high;
	if (high < 0)
		return err_os(err, "make a pipe");
	return 0;
}

/* Whoever the process runs as may open /dev/stdout anew. */
static int give_to_user(int fd, const struct sandbox_spec *spec, struct err *err)
{
	unsigned uid = spec->uid, gid = spec->gid;

	if (fchown(fd, spec->uid, spec->gid) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(err, ERR_UNSUPPORTED,
			       "user %u:%u is not mapped in the user namespace (fix: a range of "
			       "ids that is large enough in /etc/subuid and /etc/subgid)",
			       uid, gid);
	return err_os(err, "set up the output pipes for user %u:%u", uid, gid);
}

static int make_pipes(struct run *run, struct err *err)
{
	if (make_pipe(&run->report_fd, &run->plan.report_fd, err) < 0)
		return -1;
	run->plan.report_read_fd = run->report_fd;
	if (fcntl(run->report_fd, F_SETFL, O_NONBLOCK) < 0)
		return err_os(err, "set up the report pipe");
	if (!run->spec->output)
		return 0;
	for (int i = 0; i < 2; i++) {
		if (make_pipe(&run->output_fds[i], &run->plan.output_fds[i], err) < 0)
			return -1;
		if (fcntl(run->output_fds[i], F_SETFL, O_NONBLOCK) < 0)
			return err_os(err, "set up the output pipes");
		if (give_to_user(run->plan.output_fds[i], run->spec, err) < 0)
			return -1;
	}
	return 0;
}

/* Fields 48 and 49 of /proc/self/stat; the second field may contain anything up to its ')'. Under
 * valgrind they are not about this program. */
static void find_args(struct init_plan *plan)
{
	cleanup_buf struct buf text;
	struct err ignored = ERR_INIT;
	uint64_t fields[2] = { 0, 0 }, own = (uintptr_t)program_invocation_name;
	const char *at;

	buf_init(&text, 4096);
	if (file_read_at(AT_FDCWD, "/proc/self/stat", &text, &ignored) < 0)
		return;
	at = strrchr(text.data, ')');
	for (int field = 3; at && field <= 49; field++) {
		at = strchr(at, ' ');
		if (at && field >= 48)
			fields[field - 48] = strtoull(at, NULL, 10);
		at = at ? at + 1 : NULL;
	}
	if (fields[0] <= own && own < fields[1] && fields[1] - fields[0] <= ARGS_MAX) {
		plan->args_start = (uintptr_t)fields[0];
		plan->args_end = (uintptr_t)fields[1];
	}
}

/* Denied where a single id was mapped without help; the caller's groups then stay. */
static bool may_setgroups(void)
{
	cleanup_buf struct buf text;
	struct err ignored = ERR_INIT;

	buf_init(&text, 64);
	if (file_read_at(AT_FDCWD, "/proc/self/setgroups", &text, &ignored) < 0)
		return true;
	return strncmp(text.data, "deny", 4) != 0;
}

static int make_cwd(const struct sandbox_spec *spec, struct err *err)
{
	cleanup_fd int fd = -1;

	if (*spec->cwd != '/' || strlen(spec->cwd) >= PATH_MAX)
		return err_set(err, ERR_INVALID, "not an absolute path: %s", spec->cwd);
	if (!spec->create_cwd)
		return 0;
	return inroot_mkdirs(spec->root_fd, spec->cwd, 0755, 0, 0, &fd, err);
}

static void choose_filter(struct run *run)
{
	const struct sandbox_spec *spec = run->spec;

	if (run->plan.plain && spec->network == SANDBOX_NETWORK_NONE) {
		seccomp_build_offline(&run->offline);
		run->plan.offline = &run->offline;
	}
	if (spec->seccomp_unconfined || spec->all_capabilities)
		return;
	run->plan.filter = spec->seccomp ? &spec->seccomp->filter : &run->filter;
	if (!spec->seccomp)
		seccomp_build(&run->filter);
}

static int make_cgroup(struct run *run, struct err *err)
{
	const struct cgroup *cgroup = run->spec->cgroup;

	if (cgroup && cgroup_step_start(cgroup, &run->cgroup, err) < 0)
		return -1;
	run->plan.cgroup_fd = run->cgroup.fd;
	run->plan.limit_processes = userns_is_rootless() && (!cgroup || !cgroup->limits_pids);
	return 0;
}

/* Ignored signals stay ignored: a background job of a shell is not for the terminal's keys. */
static int watch_signals(struct run *run, struct err *err)
{
	static const int wanted[] = { SIGINT, SIGTERM };
	struct sigaction action;
	sigset_t set, all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &run->old_mask);
	run->masked = true;
	run->wait_mask = run->old_mask;
	if (run->spec->cancel) {
		run->signal_fd = run->spec->cancel->stop_fd;
		return 0;
	}
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			continue;
		sigaddset(&set, wanted[i]);
		sigaddset(&run->wait_mask, wanted[i]);
	}
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd < 0)
		return err_os(err, "watch for signals");
	return 0;
}

/* --- cloning -------------------------------------------------------------------------------- */

static int start(struct run *run, struct err *err)
{
	uint64_t flags = CLONE_PIDFD;

	if (!run->plan.plain)
		flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	if (!run->plan.plain && run->spec->network == SANDBOX_NETWORK_NONE)
		flags |= CLONE_NEWNET;
	if (!run->plan.plain && run->plan.cgroup_fd < 0) /* else pid 1 makes it, in its group */
		flags |= CLONE_NEWCGROUP;
	run->pid = clone_into(flags, &run->pidfd, run->plan.cgroup_fd, &run->plan.cgroup_joined);
	if (run->pid == 0)
		init_main(&run->plan);
	if (run->pid < 0)
		return err_os(err, "make the namespaces of the sandbox");
	pthread_sigmask(SIG_SETMASK, &run->wait_mask, NULL);
	close_fd(&run->plan.report_fd);
	for (int i = 0; i < 2; i++)
		close_fd(&run->plan.output_fds[i]);
	return 0;
}

/* --- while it runs -------------------------------------------------------------------------- */

/* How many bytes there were. */
static int pass_output(struct run *run, int i)
{
	char data[16384];
	ssize_t n;

	do
		n = read(run->output_fds[i], data, sizeof(data));
	while (n < 0 && errno == EINTR);
	if (n > 0)
		run->spec->output(run->spec->output_arg, i + 1, data, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		close_fd(&run->output_fds[i]);
	return n > 0 ? (int)n : 0;
}

/* What is there now, and not what somebody goes on writing. */
static void pass_rest(struct run *run, int i)
{
	int left = 0, got = 1;

	if (run->output_fds[i] < 0 || ioctl(run->output_fds[i], FIONREAD, &left) < 0)
		return;
	for (; left > 0 && got > 0; left -= got)
		got = pass_output(run, i);
}

static void read_report(struct run *run)
{
	ssize_t n = read(run->report_fd, &run->report, sizeof(run->report));

	if (n < 0 && errno == EINTR)
		return;
	run->reported = n == (ssize_t)sizeof(run->report);
	close_fd(&run->report_fd);
}

/* Pid 1 of a namespace takes all along; a reaper is told to. */
static void kill_init(struct run *run)
{
	pidfd_send_signal(run->pidfd, run->plan.plain ? SIGQUIT : SIGKILL, NULL, 0);
	run->killed = true;
}

static void take_signal(struct run *run)
{
	struct signalfd_siginfo info = { .ssi_signo = SIGTERM };

	if (run->spec->cancel)
		run->signal_fd = -1; /* it stays readable */
	else if (read(run->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (run->cancelled_by) { /* a second one: the user means it */
		kill_init(run);
		return;
	}
	run->cancelled_by = (int)info.ssi_signo;
	run->kill_at_ns = clock_monotonic_ns() + GRACE_NS;
	pidfd_send_signal(run->pidfd, run->cancelled_by, NULL, 0);
}

static int time_left_ms(const struct run *run)
{
	uint64_t now;

	if (!run->kill_at_ns || run->killed)
		return -1;
	now = clock_monotonic_ns();
	return now >= run->kill_at_ns ? 0 : (int)((run->kill_at_ns - now) / 1000000 + 1);
}

/* Until pid 1 has ended. */
static int supervise(struct run *run, struct err *err)
{
	const struct sandbox_cancel *cancel = run->spec->cancel;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = run->output_fds[0], .events = POLLIN },
			{ .fd = run->output_fds[1], .events = POLLIN },
			{ .fd = run->report_fd, .events = POLLIN },
			{ .fd = run->signal_fd, .events = POLLIN },
			{ .fd = run->pidfd, .events = POLLIN },
			{ .fd = run->killed || !cancel ? -1 : cancel->kill_fd, .events = POLLIN },
		};
		int n = poll(fds, ARRAY_SIZE(fds), time_left_ms(run));

		if (n < 0 && errno != EINTR)
			return err_os(err, "wait for the step");
		if (time_left_ms(run) == 0) /* whatever there is to read still */
			kill_init(run);
		if (n < 0)
			continue;
		if (fds[5].revents) {
			run->stopped = true;
			kill_init(run);
		}
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				pass_output(run, i);
		if (fds[2].revents)
			read_report(run);
		if (fds[3].revents)
			take_signal(run);
		if (fds[4].revents)
			return 0;
	}
}

/* Pid 1 is dead: collect it and what is left in the pipes. */
static void finish(struct run *run, int *ret_status, struct rusage *ret_usage)
{
	*ret_status = 0;
	memset(ret_usage, 0, sizeof(*ret_usage));
	while (wait4(run->pid, ret_status, 0, ret_usage) < 0 && errno == EINTR)
		;
	for (int i = 0; i < 2; i++)
		pass_rest(run, i);
	if (run->report_fd >= 0)
		read_report(run);
	cgroup_step_end(&run->cgroup, &run->events);
}

/* --- what came of it ------------------------------------------------------------------------ */

static int fail_reported(const struct init_report *report, struct err *err)
{
	const char *name = report->name ? report->name : "";
	const char *gap = report->name ? " " : "";

	if (report->os_errno) {
		errno = report->os_errno;
		err_os(err, "%s%s%s", report->what, gap, name);
	} else {
		err_set(err, report->err_kind, "%s%s%s", report->what, gap, name);
	}
	if (report->exit_status) {
		err->kind = report->err_kind;
		err->os_errno = 0;
		err->exit_status = report->exit_status;
	}
	return -1;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

/* What ended a step of which pid 1 did not tell the end. */
static enum sandbox_killer find_killer(const struct run *run)
{
	if (run->reported)
		return SANDBOX_KILLED_BY_NONE;
	if (run->events.out_of_memory)
		return SANDBOX_KILLED_BY_MEMORY;
	return run->killed ? SANDBOX_KILLED_BY_TIME : SANDBOX_KILLED_BY_NONE;
}

static int conclude(struct run *run, int status, struct err *err)
{
	if (run->spec->cancel && (run->cancelled_by || run->stopped))
		return err_set(err, ERR_CANCELLED, "the step was stopped");
	if (run->cancelled_by) {
		err_set(err, ERR_CANCELLED, "interrupted by %s",
			run->cancelled_by == SIGINT ? "SIGINT" : "SIGTERM");
		err->exit_status = 128 + run->cancelled_by;
		return -1;
	}
	if (find_killer(run))
		return 0;
	if (!run->reported)
		return err_set(err, ERR_FAILED, "the sandbox was killed from outside (%s %d)",
			       WIFSIGNALED(status) ? "signal" : "status",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (run->report.kind == INIT_FAILED)
		return fail_reported(&run->report, err);
	return 0;
}

static void fill_result(const struct run *run, const struct rusage *usage, uint64_t wall_ns,
			struct sandbox_result *ret_result)
{
	enum sandbox_killer killer = find_killer(run);
	int status = killer ? SIGKILL : run->report.wait_status;
	int term_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	*ret_result = (struct sandbox_result){
		.exit_status = term_signal ? 128 + term_signal : WEXITSTATUS(status),
		.term_signal = term_signal,
		.killed_by = killer,
		.pids_refused = run->events.pids_refused,
		.wall_ns = wall_ns,
		.cpu_ns = timeval_ns(usage->ru_utime) + timeval_ns(usage->ru_stime),
		.peak_bytes = (uint64_t)usage->ru_maxrss * 1024,
		.read_bytes = (uint64_t)usage->ru_inblock * 512,
		.written_bytes = (uint64_t)usage->ru_oublock * 512,
	};
}

static int prepare_root(struct run *run, struct err *err)
{
	if (run->spec->network == SANDBOX_NETWORK_PRIVATE && !run->plan.plain &&
	    net_require(run->spec->net, &run->plan.net_fd, err) < 0)
		return -1;
	run->plan.landlock_abi = landlock_abi();
	if (!run->plan.plain)
		return mounts_prepare(run->spec, &run->plan.mounts, err);
	if (plain_prepare(run->spec, &run->plain, err) < 0)
		return -1;
	run->plan.null_fd = run->plain.null_fd;
	run->plan.proc_fd = run->plain.proc_fd;
	run->plan.kept_fds = run->plain.kept_fds;
	run->plan.n_kept = run->plain.n_kept;
	return 0;
}

static int run_step(struct run *run, struct sandbox_result *ret_result, struct err *err)
{
	uint64_t start_ns = clock_monotonic_ns();
	struct rusage usage;
	int status, supervised;

	if (make_cwd(run->spec, err) < 0 || prepare_root(run, err) < 0 ||
	    make_pipes(run, err) < 0 || make_cgroup(run, err) < 0 || watch_signals(run, err) < 0)
		return -1;
	choose_filter(run);
	find_args(&run->plan);
	if (run->spec->timeout_ns)
		run->kill_at_ns = start_ns + run->spec->timeout_ns;
	run->plan.may_setgroups = may_setgroups();
	if (start(run, err) < 0)
		return -1;
	supervised = supervise(run, err);
	if (supervised < 0)
		kill_init(run);
	finish(run, &status, &usage);
	if (supervised < 0 || conclude(run, status, err) < 0)
		return -1;
	fill_result(run, &usage, clock_monotonic_ns() - start_ns, ret_result);
	return 0;
}

int sandbox_run(const struct sandbox_spec *spec, struct sandbox_result *ret_result, struct err *err)
{
	cleanup_free struct run *run = xcalloc(1, sizeof(*run));
	struct err later = ERR_INIT;
	int status;

	assert(spec->chroot || userns_entered());
	run_init(run, spec);
	status = run_step(run, ret_result, err);
	if (spec->chroot && plain_restore(spec, &run->plain, status < 0 ? &later : err) < 0)
		status = -1;
	run_release(run);
	return status;
}
