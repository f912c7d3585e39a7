/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.c: what a hostile RUN would do, one attempt per command; linked statically and copied into
 * images by the tests. Each command prints a line per attempt: what, and "yes" or the error.
 *
 *	probe calls | proc | inject | devices MAJOR MINOR DIR... | files DIR | setcap FILE | raw | ids
 *	probe socket PATH | connect NAME | daemon N MARK | hold
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/xattr.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define AF_ALG_	  38
#define AF_VSOCK_ 40
#define HIGH_BITS 0x100000000L

static void tell(const char *what, long result)
{
	printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "yes");
}

#define TRY(what, call)                                                                            \
	do {                                                                                       \
		errno = 0;                                                                         \
		tell(what, (long)(call));                                                          \
	} while (0)

/* --- system calls ----------------------------------------------------------------------------- */

static int calls(void)
{
	TRY("AF_ALG", socket(AF_ALG_, SOCK_SEQPACKET, 0));
	TRY("AF_VSOCK", socket(AF_VSOCK_, SOCK_STREAM, 0));
	TRY("AF_ALG, high bits", syscall(SYS_socket, HIGH_BITS | AF_ALG_, SOCK_SEQPACKET, 0));
	TRY("AF_VSOCK, high bits", syscall(SYS_socket, HIGH_BITS | AF_VSOCK_, SOCK_STREAM, 0));
	TRY("unshare user", unshare(CLONE_NEWUSER));
	TRY("unshare mount", unshare(CLONE_NEWNS));
	TRY("clone user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	TRY("clone3", syscall(SYS_clone3, NULL, 0));
	TRY("keyctl", syscall(SYS_keyctl, 0, -3, 1));
	TRY("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	TRY("bpf", syscall(SYS_bpf, 0, NULL, 0));
	TRY("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
	TRY("perf", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
	TRY("handle", syscall(SYS_open_by_handle_at, 0, NULL, 0));
	TRY("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	TRY("setns", setns(0, 0));
	TRY("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	TRY("module", syscall(SYS_init_module, NULL, 0, ""));
	TRY("call 600", syscall(600));
	return 0;
}

/* --- other processes, /proc -------------------------------------------------------------------- */

static int open_once(const char *path, int flags)
{
	int fd = open(path, flags | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int proc(void)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	TRY("ptrace pid 1", ptrace(PTRACE_SEIZE, 1, NULL, NULL));
	TRY("memory of pid 1", process_vm_readv(1, &iov, 1, &iov, 1, 0));
	TRY("/proc/1/exe", open_once("/proc/1/exe", O_RDONLY));
	TRY("/proc/1/mem", open_once("/proc/1/mem", O_RDWR));
	TRY("/proc/1/environ", open_once("/proc/1/environ", O_RDONLY));
	TRY("/proc/1/fd", open_once("/proc/1/fd/0", O_RDONLY));
	TRY("/proc/1/root", open_once("/proc/1/root/", O_RDONLY));
	TRY("/proc/1/cwd", open_once("/proc/1/cwd/", O_RDONLY));
	TRY("sysrq", open_once("/proc/sysrq-trigger", O_WRONLY));
	TRY("core_pattern", open_once("/proc/sys/kernel/core_pattern", O_WRONLY));
	TRY("modprobe", open_once("/proc/sys/kernel/modprobe", O_WRONLY));
	TRY("uevent_helper", open_once("/sys/kernel/uevent_helper", O_WRONLY));
	TRY("remount /proc/sys", mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, NULL));
	TRY("umount /proc/kcore", umount("/proc/kcore"));
	TRY("umount /proc/sys", umount("/proc/sys"));
	TRY("remount /", mount("", "/", "", MS_REMOUNT | MS_BIND, NULL));
	TRY("/dev/tty", open_once("/dev/tty", O_RDWR));
	TRY("/dev/mem", open_once("/dev/mem", O_RDONLY));
	TRY("/dev/fuse", open_once("/dev/fuse", O_RDWR));
	TRY("/dev/kvm", open_once("/dev/kvm", O_RDWR));
	return 0;
}

/* Put a line into the terminal of whoever waits for us. */
static int inject(void)
{
	int tty = open("/dev/tty", O_RDWR);

	for (const char *c = "touch injected\n"; *c; c++) {
		for (int fd = 0; fd <= 2; fd++)
			ioctl(fd, TIOCSTI, c);
		if (tty >= 0)
			ioctl(tty, TIOCSTI, c);
	}
	TRY("tty of stdout", isatty(1) - 1);
	TRY("TIOCSTI", ioctl(0, TIOCSTI, "x"));
	return 0;
}

/* --- devices, files ---------------------------------------------------------------------------- */

/* The numbers are those of the host's disk and of a loop device. */
static int devices(char **dirs, unsigned disk_major, unsigned disk_minor)
{
	const struct {
		const char *name;
		mode_t type;
		dev_t device;
	} nodes[] = {
		{ "disk", S_IFBLK, makedev(disk_major, disk_minor) },
		{ "loop", S_IFBLK, makedev(7, 0) },
		{ "mem", S_IFCHR, makedev(1, 1) },
		{ "kmsg", S_IFCHR, makedev(1, 11) },
	};

	for (; *dirs; dirs++)
		for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
			char path[4096];

			snprintf(path, sizeof(path), "%s/%s", *dirs, nodes[i].name);
			if (mknod(path, nodes[i].type | 0666, nodes[i].device) < 0 ||
			    open_once(path, O_RDONLY) < 0)
				continue;
			printf("opened %s\n", path);
		}
	puts("devices done");
	return 0;
}

/* What overlayfs would take for its own notes. */
static int files(const char *dir)
{
	static const char *const prefixes[] = { "trusted", "user" };
	static const char *const notes[] = { "opaque", "redirect", "metacopy", "whiteout", "origin" };
	char path[4096], name[64];

	for (size_t i = 0; i < 2; i++)
		for (size_t n = 0; n < sizeof(notes) / sizeof(*notes); n++) {
			snprintf(name, sizeof(name), "%s.overlay.%s", prefixes[i], notes[n]);
			setxattr(dir, name, n ? "/secret" : "y", n ? 7 : 1, 0);
		}
	snprintf(path, sizeof(path), "%s/whiteout", dir);
	TRY("mknod 0:0", mknod(path, S_IFCHR | 0666, 0));
	return 0;
}

/* File capabilities as every tool writes them: version 2, cap_net_raw+ep. */
static int setcap(const char *file)
{
	const struct vfs_cap_data data = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data = { { .permitted = 1 << CAP_NET_RAW } },
	};

	TRY("setcap", setxattr(file, "security.capability", &data, sizeof(data), 0));
	return 0;
}

static int bind_socket(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	TRY("socket", bind(fd, (const struct sockaddr *)&name, sizeof(name)));
	return 0;
}

static int connect_abstract(const char *text)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t len = strlen(text);

	memcpy(name.sun_path + 1, text, len);
	TRY("connect", connect(fd, (const struct sockaddr *)&name,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)));
	return 0;
}

/* --- what stays behind ------------------------------------------------------------------------- */

/* A daemon by the book, and against it: it keeps stdout and ignores all that it can. */
static void be_daemon(const char *mark, int i)
{
	if (fork() != 0)
		return;
	if (i % 2)
		setsid();
	if (fork() != 0)
		_exit(0);
	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	execl("/proc/self/exe", mark, "hold", NULL);
	_exit(1);
}

static int daemons(int n, const char *mark)
{
	for (int i = 0; i < n; i++)
		be_daemon(mark, i);
	while (wait(NULL) > 0)
		;
	puts("daemons are up");
	return 0;
}

static int hold(void)
{
	while (pause() < 0)
		;
	return 0;
}

static int is(const char *word, const char *want)
{
	return word && !strcmp(word, want);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (is(what, "calls"))
		return calls();
	if (is(what, "proc"))
		return proc();
	if (is(what, "inject"))
		return inject();
	if (is(what, "devices") && argc > 4)
		return devices(argv + 4, (unsigned)strtoul(argv[2], NULL, 10),
			       (unsigned)strtoul(argv[3], NULL, 10));
	if (is(what, "files"))
		return files(arg);
	if (is(what, "setcap"))
		return setcap(arg);
	if (is(what, "socket"))
		return bind_socket(arg);
	if (is(what, "connect"))
		return connect_abstract(arg);
	if (is(what, "daemon") && argc > 3)
		return daemons((int)strtol(arg, NULL, 10), argv[3]);
	if (is(what, "hold"))
		return hold();
	if (is(what, "raw")) {
		TRY("raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
		return 0;
	}
	if (is(what, "ids")) {
		printf("%u %u\n", getuid(), geteuid());
		return 0;
	}
	fprintf(stderr, "probe: unknown command\n");
	return 2;
}
