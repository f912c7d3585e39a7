/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For valgrind, preloaded: Debian 12's knows no openat2() and answers ENOSYS. This one opens the same
 * files, and confines nothing: it is for trees that the tests made.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
	register long r10 __asm__("r10"), r8 __asm__("r8"), r9 __asm__("r9");
	long a[6], result;
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_openat2) {
		const char *path = (const char *)a[1];
		const struct open_how *how = (const struct open_how *)a[2];

		while (*path == '/')
			path++;
		return openat((int)a[0], *path ? path : ".", (int)how->flags, (mode_t)how->mode);
	}
	r10 = a[3];
	r8 = a[4];
	r9 = a[5];
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	if (result < 0 && result >= -4095) {
		errno = (int)-result;
		return -1;
	}
	return result;
}
