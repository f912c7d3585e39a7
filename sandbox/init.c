/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pid 1 of the sandbox. It is this program, cloned and not executed again (loading one takes
 * longer than all that is done here): it builds the root, starts the process, passes signals on,
 * reaps, and takes all others along when it ends.
 *
 * 1. Between clone and exec nothing allocates, locks, prints or asks a library for anything that
 *    could: other threads of the caller may have held any lock when they were left behind. Only
 *    system calls, memory functions, and what is said to be for the child in internal.h. Calls
 *    that glibc spreads over all threads (setuid and its kin) are made raw.
 * 2. Errors travel as struct init_report, whose texts were there before clone.
 * 3. If the caller dies, so does pid 1: PR_SET_PDEATHSIG is the first call, and that the caller
 *    was still there then is seen from the pipe. Nothing after it changes credentials of pid 1.
 * 4. Of the caller's descriptors, none but the report pipe is open when the process is started
 *    (and that is closed by exec), so none can be reached through /proc.
 * 5. The seccomp filter is installed while CAP_SYS_ADMIN is still held: otherwise the kernel
 *    demands no_new_privs, and su and sudo would not work.
 * 6. Pid 1 keeps all capabilities, so the kernel refuses the process every look into it.
 * 7. Without namespaces ("plain") this is not pid 1 but a reaper (reaper.c), and what namespaces
 *    would keep apart Landlock does, as far as the kernel has it.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/sandbox.h"

#define REPORT_FD    3 /* where the report pipe ends up */
#define PROC_FD	     4 /* plain: the host's /proc */
#define CAPS_PLAIN   (CAPS_DEFAULT & ~(UINT64_C(1) << CAP_SYS_CHROOT | UINT64_C(1) << CAP_MKNOD))
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

int init_fail_os(struct init_report *report, const char *what, const char *name)
{
	*report = (struct init_report){
		.kind = INIT_FAILED,
		.err_kind = ERR_OS,
		.os_errno = errno,
		.what = what,
		.name = name,
	};
	return -1;
}

int init_fail(struct init_report *report, enum err_kind kind, const char *what, const char *name)
{
	*report = (struct init_report){
		.kind = INIT_FAILED,
		.err_kind = kind,
		.what = what,
		.name = name,
	};
	return -1;
}

static void send_report(int fd, const struct init_report *report)
{
	while (write(fd, report, sizeof(*report)) < 0 && errno == EINTR)
		;
}

static _Noreturn void give_up(int fd, const struct init_report *report)
{
	send_report(fd, report);
	_exit(125);
}

/* --- the process ---------------------------------------------------------------------------- */

static int exec_in_dir(const char *dir, size_t len, const struct sandbox_spec *spec)
{
	size_t name_len = strlen(spec->argv[0]);
	char path[PATH_MAX];

	if (len == 0) { /* an empty element is the working directory */
		dir = ".";
		len = 1;
	}
	if (len + 1 + name_len >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(path, dir, len);
	path[len] = '/';
	memcpy(path + len + 1, spec->argv[0], name_len + 1);
	return execve(path, (char *const *)spec->argv, (char *const *)spec->env);
}

static const char *find_path(const char *const *env)
{
	for (; *env; env++)
		if (!strncmp(*env, "PATH=", 5))
			return *env + 5;
	return DEFAULT_PATH;
}

/* Returns only if it fails; errno is the most telling of all attempts. */
static void exec_argv(const struct sandbox_spec *spec)
{
	bool denied = false;

	if (strchr(spec->argv[0], '/') || !*spec->argv[0]) {
		execve(spec->argv[0], (char *const *)spec->argv, (char *const *)spec->env);
		return;
	}
	for (const char *dir = find_path(spec->env);; dir++) {
		size_t len = strcspn(dir, ":");

		exec_in_dir(dir, len, spec);
		if (errno == EACCES)
			denied = true;
		else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
			return;
		dir += len;
		if (!*dir)
			break;
	}
	errno = denied ? EACCES : ENOENT;
}

/* A path that left the root (by a magic link) has no name that starts with a slash. */
static int enter_cwd(const char *cwd, struct init_report *report)
{
	char path[PATH_MAX];

	if (chdir(cwd) < 0)
		return init_fail_os(report, "enter the working directory", cwd);
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0 || *path != '/')
		return init_fail(report, ERR_INVALID,
				 "the working directory is outside the root:", cwd);
	return 0;
}

static int become_user(const struct init_plan *plan, struct init_report *report)
{
	const struct sandbox_spec *spec = plan->spec;

	if (plan->may_setgroups && syscall(SYS_setgroups, spec->n_groups, spec->groups) < 0)
		return init_fail_os(report, "set the groups", NULL);
	if (syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) < 0)
		return init_fail_os(report, "set the group id, is it mapped in /etc/subgid", NULL);
	if (syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0)
		return init_fail_os(report, "set the user id, is it mapped in /etc/subuid", NULL);
	return 0;
}

/* A plain root is left by who may chroot() again, and its devices are not shut by a mount. */
static uint64_t caps_to_keep(const struct init_plan *plan)
{
	if (plan->spec->all_capabilities)
		return UINT64_MAX;
	return plan->plain ? CAPS_PLAIN : CAPS_DEFAULT;
}

/* Abstract sockets belong to the network, which may be the host's. */
static int apply_landlock(const struct init_plan *plan)
{
	if (plan->plain)
		return landlock_confine(plan->landlock_abi);
	return plan->filter ? landlock_scope(plan->landlock_abi) : 0;
}

static int become_process(const struct init_plan *plan, struct init_report *report)
{
	sigset_t none;

	setsid();
	if (limits_set(plan->spec, plan->limit_processes, report) < 0 ||
	    enter_cwd(plan->spec->cwd, report) < 0)
		return -1;
	if (apply_landlock(plan) < 0)
		return init_fail_os(report, "set up Landlock", NULL);
	/* a profile may refuse that there is another one after it */
	if ((plan->offline && seccomp_install(plan->offline) < 0) ||
	    (plan->filter && seccomp_install(plan->filter) < 0))
		return init_fail_os(report, "install the seccomp filter", NULL);
	if (caps_limit(caps_to_keep(plan)) < 0)
		return init_fail_os(report, "drop capabilities", NULL);
	if (become_user(plan, report) < 0)
		return -1;
	fds_close_on_exec(REPORT_FD);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

static _Noreturn void run_process(const struct init_plan *plan)
{
	struct init_report report;

	if (become_process(plan, &report) == 0) {
		exec_argv(plan->spec);
		init_fail_os(&report, "exec", plan->spec->argv[0]);
		report.exit_status = errno == ENOENT || errno == ENOTDIR ? 127 : 126;
		report.err_kind = report.exit_status == 127 ? ERR_NOT_FOUND : ERR_DENIED;
	}
	give_up(REPORT_FD, &report);
}

/* --- pid 1 ---------------------------------------------------------------------------------- */

/* /proc/1/cmdline is for everybody to read and would show the caller's command line. This memory
 * is already a copy. */
static void hide_command_line(const struct init_plan *plan)
{
	static const char name[] = "init";
	size_t len = plan->args_end - plan->args_start;

	prctl(PR_SET_NAME, name);
	if (plan->args_end <= plan->args_start || len < sizeof(name))
		return;
	memset((void *)plan->args_start, 0, len);
	memcpy((void *)plan->args_start, name, sizeof(name));
}

void init_reset_signals(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &standard, NULL);
}

/*
 * A new session keyring, so that the user's keys are not possessed in here. Some kernels have no
 * keys, and some containers do not let us ask for any: then the built-in filter keeps them away,
 * and in a place without namespaces the policy of the container.
 */
static int leave_keys(const struct init_plan *plan)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS)
		return 0;
	return plan->plain || (plan->filter && !plan->spec->seccomp) ? 0 : -1;
}

/* The namespace is made inside of the group, which is its root then. */
static int enter_cgroup(const struct init_plan *plan, struct init_report *report)
{
	if (plan->cgroup_fd < 0)
		return 0;
	if (!plan->cgroup_joined && cgroup_step_join(plan->cgroup_fd) < 0)
		return init_fail_os(report, "join the cgroup of the step", NULL);
	if (!plan->plain && unshare(CLONE_NEWCGROUP) < 0)
		return init_fail_os(report, "make a cgroup namespace", NULL);
	return 0;
}

static int be_init(const struct init_plan *plan, struct init_report *report)
{
	struct pollfd reader = { .fd = plan->report_fd };

	if (prctl(PR_SET_PDEATHSIG, plan->plain ? SIGQUIT : SIGKILL) < 0)
		return init_fail_os(report, "ask to die with the caller", NULL);
	close(plan->report_read_fd);
	if (poll(&reader, 1, 0) > 0 && reader.revents & POLLERR)
		_exit(125);
	if (enter_cgroup(plan, report) < 0)
		return -1;
	hide_command_line(plan);
	prctl(PR_SET_DUMPABLE, 0);
	init_reset_signals();
	umask(022);
	if (leave_keys(plan) < 0)
		return init_fail_os(report, "leave the caller's session keyring", NULL);
	if (plan->plain)
		return reaper_become(plan->landlock_abi, report);
	/* podman's policy refuses that to whom it gave no CAP_SYS_ADMIN, and nothing else of this: the
	 * name stays the container's then */
	if (sethostname(plan->hostname, strlen(plan->hostname)) < 0 && errno != EPERM)
		return init_fail_os(report, "set the host name", plan->hostname);
	if (plan->spec->network == SANDBOX_NETWORK_NONE && net_loopback_up() < 0)
		return init_fail_os(report, "bring up the loopback interface", NULL);
	if (plan->net_fd >= 0 && setns(plan->net_fd, CLONE_NEWNET) < 0)
		return init_fail_os(report, "join the network of the build", NULL);
	return 0;
}

static void close_others(const struct init_plan *plan)
{
	int from = REPORT_FD + 1 + (plan->proc_fd >= 0);

	for (size_t i = 0; i < plan->n_kept; i++) {
		fds_close_range(from, plan->kept_fds[i] - 1);
		from = plan->kept_fds[i] + 1;
	}
	fds_close(from);
}

/* After pivot_root(), so that the default for stdin is the sandbox's own /dev/null. */
static int take_stdio(const struct init_plan *plan, struct init_report *report)
{
	int in = plan->spec->stdin_fd;

	if (in < 0)
		in = plan->null_fd;
	if (in < 0)
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return init_fail_os(report, "open", "/dev/null");
	if (in == 0 ? fcntl(0, F_SETFD, 0) < 0 : dup2(in, 0) < 0)
		return init_fail_os(report, "set up", "stdin");
	for (int i = 0; i < 2; i++)
		if (plan->output_fds[i] >= 0 && dup2(plan->output_fds[i], i + 1) < 0)
			return init_fail_os(report, "set up", i ? "stderr" : "stdout");
	if (plan->report_fd != REPORT_FD && dup3(plan->report_fd, REPORT_FD, O_CLOEXEC) < 0)
		return init_fail_os(report, "set up", "the report pipe");
	if (plan->proc_fd > PROC_FD && dup3(plan->proc_fd, PROC_FD, O_CLOEXEC) < 0)
		return init_fail_os(report, "set up", "/proc");
	close_others(plan);
	return 0;
}

/* Pass on what comes from outside (whose sender has no pid in here), and wait for the process. */
static int wait_for(const struct init_plan *plan, pid_t process)
{
	sigset_t wanted;
	siginfo_t info;
	int status;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	if (plan->plain)
		sigaddset(&wanted, SIGQUIT);
	for (;;) {
		int signal = sigwaitinfo(&wanted, &info);
		pid_t pid;

		if (signal == SIGINT || signal == SIGTERM) {
			if (info.si_pid == 0 || plan->plain)
				kill(-process, signal);
			continue;
		}
		if (signal == SIGQUIT)
			return SIGKILL;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == process)
				return status;
		if (pid < 0 && errno == ECHILD)
			return 0; /* exec failed and told so itself */
	}
}

static int enter_root(const struct init_plan *plan, struct init_report *report)
{
	int root_fd = plan->spec->root_fd;

	if (!plan->plain)
		return rootfs_assemble(plan->spec, &plan->mounts, report) < 0
			       ? -1
			       : rootfs_enter(root_fd, report);
	if (fchdir(root_fd) < 0 || chroot(".") < 0)
		return init_fail_os(report, "enter the root", NULL);
	return 0;
}

/* The caller may be dead: what is not to stay on the disk is emptied here. */
static void end_plain(const struct init_plan *plan)
{
	reaper_end_all(plan->landlock_abi, plan->proc_fd < 0 ? -1 : PROC_FD);
	for (size_t i = 0; i < plan->n_kept; i++)
		if (ftruncate(plan->kept_fds[i], 0) < 0)
			continue; /* the caller will say it */
}

_Noreturn void init_main(const struct init_plan *plan)
{
	struct init_report report;
	pid_t process;

	if (be_init(plan, &report) < 0 || enter_root(plan, &report) < 0)
		give_up(plan->report_fd, &report);
	if (take_stdio(plan, &report) < 0)
		give_up(plan->report_fd, &report);
	/* vfork: no second copy of the caller's memory is made; nothing hostile runs until exec */
	process = vfork();
	if (process == 0)
		run_process(plan);
	if (process < 0) {
		init_fail_os(&report, "fork", NULL);
		give_up(REPORT_FD, &report);
	}
	report = (struct init_report){
		.kind = INIT_EXITED,
		.wait_status = wait_for(plan, process),
	};
	if (plan->plain)
		end_plain(plan);
	send_report(REPORT_FD, &report);
	_exit(0);
}
