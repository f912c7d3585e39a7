/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * base/err.h: the error value. Set where something fails, wrapped once per room crossed, printed
 * by cli/ alone. It owns no memory, so it may live on any stack and cross a pipe as it is.
 */

enum err_kind {
	ERR_NONE,
	ERR_OS,		 /* a system call failed; os_errno says how */
	ERR_INVALID,	 /* input that breaks its own rules: Dockerfile, reference, JSON, flag */
	ERR_NOT_FOUND,	 /* a thing that was named does not exist */
	ERR_CORRUPT,	 /* bytes are not what their digest or format promises */
	ERR_LIMIT,	 /* a named limit would be passed */
	ERR_DENIED,	 /* somebody refused: registry, kernel, policy */
	ERR_UNSUPPORTED, /* understood, and not possible here */
	ERR_FAILED,	 /* a step, command or transfer ran and failed */
	ERR_CANCELLED,	 /* the user or another failure stopped it */
};

#define ERR_MESSAGE_MAX 4080

struct err {
	enum err_kind kind;
	int os_errno;	 /* for ERR_OS, else 0 */
	int exit_status; /* for ERR_FAILED of a process: its exit status (128+n by signal), else 0
			  */
	char message[ERR_MESSAGE_MAX]; /* NUL-terminated, without a final newline */
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		ERR_NONE, 0, 0, ""                                                                 \
	}

/* Fill *err. Text past ERR_MESSAGE_MAX is cut. Always returns -1, so that it can be returned. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set() with ERR_OS and errno; the text of errno is appended after ": ". Returns -1. */
int err_os(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put "text: " before the message and keep the kind. Returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forget the error, for a caller that deals with it. */
void err_clear(struct err *err);

#endif
