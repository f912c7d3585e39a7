/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Docker's default seccomp profile for its default capabilities, as a list of names: what may be
 * called whatever the arguments. clone, clone3, personality and socket have rules of their own in
 * seccomp.c; what is not named anywhere is refused. From moby/profiles, default.json, 2026-06-30;
 * names that exist on 32-bit processors only are left out.
 */
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/seccomp_numbers.h"

#define CALL(name)                                                                                 \
	{                                                                                          \
#name, __NR_##name                                                                 \
	}

/* clang-format off */
const struct seccomp_call seccomp_calls[] = {
	CALL(accept), CALL(accept4), CALL(adjtimex), CALL(bind), CALL(brk), CALL(capget),
	CALL(capset), CALL(chdir), CALL(chroot), CALL(clock_adjtime), CALL(clock_getres),
	CALL(clock_gettime), CALL(clock_nanosleep), CALL(close), CALL(close_range), CALL(connect),
	CALL(copy_file_range), CALL(dup), CALL(dup3), CALL(epoll_create1), CALL(epoll_ctl),
	CALL(epoll_pwait), CALL(eventfd2), CALL(execve), CALL(execveat), CALL(exit),
	CALL(exit_group), CALL(faccessat), CALL(faccessat2), CALL(fadvise64), CALL(fallocate),
	CALL(fanotify_mark), CALL(fchdir), CALL(fchmod), CALL(fchmodat), CALL(fchown),
	CALL(fchownat), CALL(fcntl), CALL(fdatasync), CALL(fgetxattr), CALL(flistxattr),
	CALL(flock), CALL(fremovexattr), CALL(fsetxattr), CALL(fstat), CALL(fstatfs), CALL(fsync),
	CALL(ftruncate), CALL(futex), CALL(get_robust_list), CALL(getcpu), CALL(getcwd),
	CALL(getdents64), CALL(getegid), CALL(geteuid), CALL(getgid), CALL(getgroups),
	CALL(getitimer), CALL(getpeername), CALL(getpgid), CALL(getpid), CALL(getppid),
	CALL(getpriority), CALL(getrandom), CALL(getresgid), CALL(getresuid), CALL(getrusage),
	CALL(getsid), CALL(getsockname), CALL(getsockopt), CALL(gettid), CALL(gettimeofday),
	CALL(getuid), CALL(getxattr), CALL(inotify_add_watch), CALL(inotify_init1),
	CALL(inotify_rm_watch), CALL(io_cancel), CALL(io_destroy), CALL(io_getevents),
	CALL(io_pgetevents), CALL(io_setup), CALL(io_submit), CALL(ioctl), CALL(ioprio_get),
	CALL(ioprio_set), CALL(kill), CALL(lgetxattr), CALL(linkat), CALL(listen), CALL(listxattr),
	CALL(llistxattr), CALL(lremovexattr), CALL(lseek), CALL(lsetxattr), CALL(madvise),
	CALL(membarrier), CALL(memfd_create), CALL(mincore), CALL(mkdirat), CALL(mknodat),
	CALL(mlock), CALL(mlock2), CALL(mlockall), CALL(mmap), CALL(mprotect), CALL(mq_getsetattr),
	CALL(mq_notify), CALL(mq_open), CALL(mq_timedreceive), CALL(mq_timedsend), CALL(mq_unlink),
	CALL(mremap), CALL(msgctl), CALL(msgget), CALL(msgrcv), CALL(msgsnd), CALL(msync),
	CALL(munlock), CALL(munlockall), CALL(munmap), CALL(name_to_handle_at), CALL(nanosleep),
	CALL(newfstatat), CALL(openat), CALL(openat2), CALL(pidfd_open), CALL(pidfd_send_signal),
	CALL(pipe2), CALL(pkey_alloc), CALL(pkey_free), CALL(pkey_mprotect), CALL(ppoll),
	CALL(prctl), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(prlimit64),
	CALL(process_vm_readv), CALL(process_vm_writev), CALL(pselect6), CALL(ptrace),
	CALL(pwrite64), CALL(pwritev), CALL(pwritev2), CALL(read), CALL(readahead),
	CALL(readlinkat), CALL(readv), CALL(recvfrom), CALL(recvmmsg), CALL(recvmsg),
	CALL(remap_file_pages), CALL(removexattr), CALL(renameat2), CALL(restart_syscall),
	CALL(rseq), CALL(rt_sigaction), CALL(rt_sigpending), CALL(rt_sigprocmask),
	CALL(rt_sigqueueinfo), CALL(rt_sigreturn), CALL(rt_sigsuspend), CALL(rt_sigtimedwait),
	CALL(rt_tgsigqueueinfo), CALL(sched_get_priority_max), CALL(sched_get_priority_min),
	CALL(sched_getaffinity), CALL(sched_getattr), CALL(sched_getparam),
	CALL(sched_getscheduler), CALL(sched_rr_get_interval), CALL(sched_setaffinity),
	CALL(sched_setattr), CALL(sched_setparam), CALL(sched_setscheduler), CALL(sched_yield),
	CALL(seccomp), CALL(semctl), CALL(semget), CALL(semop), CALL(semtimedop), CALL(sendfile),
	CALL(sendmmsg), CALL(sendmsg), CALL(sendto), CALL(set_robust_list), CALL(set_tid_address),
	CALL(setfsgid), CALL(setfsuid), CALL(setgid), CALL(setgroups), CALL(setitimer),
	CALL(setpgid), CALL(setpriority), CALL(setregid), CALL(setresgid), CALL(setresuid),
	CALL(setreuid), CALL(setsid), CALL(setsockopt), CALL(setuid), CALL(setxattr), CALL(shmat),
	CALL(shmctl), CALL(shmdt), CALL(shmget), CALL(shutdown), CALL(sigaltstack),
	CALL(signalfd4), CALL(socketpair), CALL(splice), CALL(statfs), CALL(statx),
	CALL(symlinkat), CALL(sync), CALL(syncfs), CALL(sysinfo), CALL(tee), CALL(tgkill),
	CALL(timer_create), CALL(timer_delete), CALL(timer_getoverrun), CALL(timer_gettime),
	CALL(timer_settime), CALL(timerfd_create), CALL(timerfd_gettime), CALL(timerfd_settime),
	CALL(times), CALL(tkill), CALL(truncate), CALL(umask), CALL(uname), CALL(unlinkat),
	CALL(utimensat), CALL(vmsplice), CALL(wait4), CALL(waitid), CALL(write), CALL(writev),

	/* newer than some headers */
	CALL(cachestat), CALL(epoll_pwait2), CALL(fchmodat2), CALL(futex_requeue),
	CALL(futex_wait), CALL(futex_waitv), CALL(futex_wake), CALL(getxattrat),
	CALL(landlock_add_rule), CALL(landlock_create_ruleset), CALL(landlock_restrict_self),
	CALL(listmount), CALL(listxattrat), CALL(map_shadow_stack), CALL(memfd_secret),
	CALL(mseal), CALL(process_mrelease), CALL(removexattrat), CALL(setxattrat),
	CALL(statmount),

#ifdef __NR_getrlimit /* absent where the C library uses prlimit64() alone */
	CALL(getrlimit), CALL(setrlimit),
#endif
#ifdef __NR_renameat
	CALL(renameat),
#endif
#ifdef __NR_sync_file_range
	CALL(sync_file_range),
#endif
#ifdef __NR_riscv_flush_icache
	CALL(riscv_flush_icache),
#endif

#ifdef SECCOMP_HAS_X32 /* older forms that later processors never had */
	CALL(access), CALL(alarm), CALL(arch_prctl), CALL(chmod), CALL(chown), CALL(creat),
	CALL(dup2), CALL(epoll_create), CALL(epoll_ctl_old), CALL(epoll_wait),
	CALL(epoll_wait_old), CALL(eventfd), CALL(fork), CALL(futimesat), CALL(get_thread_area),
	CALL(getdents), CALL(getpgrp), CALL(inotify_init), CALL(lchown), CALL(link), CALL(lstat),
	CALL(mkdir), CALL(mknod), CALL(modify_ldt), CALL(open), CALL(pause), CALL(pipe),
	CALL(poll), CALL(readlink), CALL(rename), CALL(rmdir), CALL(select), CALL(set_thread_area),
	CALL(signalfd), CALL(stat), CALL(symlink), CALL(time), CALL(unlink), CALL(utime),
	CALL(utimes), CALL(vfork),
	{ "uretprobe", 335 },
#endif
};
/* clang-format on */

const size_t seccomp_n_calls = ARRAY_SIZE(seccomp_calls);
