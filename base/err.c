/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(struct err *err, const char *format, va_list ap)
{
	if (vsnprintf(err->message, sizeof(err->message), format, ap) < 0)
		err->message[0] = '\0';
}

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
	va_list ap;

	err->kind = kind;
	err->os_errno = 0;
	err->exit_status = 0;
	va_start(ap, format);
	put(err, format, ap);
	va_end(ap);
	return -1;
}

int err_os(struct err *err, const char *format, ...)
{
	int saved = errno;
	size_t used;
	va_list ap;

	err->kind = ERR_OS;
	err->os_errno = saved;
	err->exit_status = 0;
	va_start(ap, format);
	put(err, format, ap);
	va_end(ap);
	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(saved));
	return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
	char inner[ERR_MESSAGE_MAX];
	size_t used;
	va_list ap;

	memcpy(inner, err->message, sizeof(inner));
	va_start(ap, format);
	put(err, format, ap);
	va_end(ap);
	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner);
	return -1;
}

void err_clear(struct err *err)
{
	err->kind = ERR_NONE;
	err->os_errno = 0;
	err->exit_status = 0;
	err->message[0] = '\0';
}
