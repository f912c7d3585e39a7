/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base/cancel.c: a flag for those who look, and an eventfd for those who wait. */
#include "base/cancel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/err.h"
#include "base/file.h"

struct cancel {
	atomic_bool asked;
	int fd;
};

int cancel_new(struct cancel **ret_cancel, struct err *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return err_os(err, "make an eventfd");
	*ret_cancel = xcalloc(1, sizeof(**ret_cancel));
	(*ret_cancel)->fd = fd;
	return 0;
}

void cancel_free(struct cancel *cancel)
{
	if (!cancel)
		return;
	file_close_at(&cancel->fd);
	free(cancel);
}

void cancel_ask(struct cancel *cancel)
{
	if (atomic_exchange(&cancel->asked, true))
		return;
	if (eventfd_write(cancel->fd, 1) < 0)
		assert(!"an eventfd takes its first number");
}

int cancel_check(const struct cancel *cancel, struct err *err)
{
	if (!cancel || !atomic_load_explicit(&cancel->asked, memory_order_relaxed))
		return 0;
	return err_set(err, ERR_CANCELLED, "cancelled");
}

int cancel_fd(const struct cancel *cancel)
{
	return cancel ? cancel->fd : -1;
}

int cancel_await(const struct cancel *cancel, int fd, struct err *err)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = cancel_fd(cancel), .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		if (errno != EINTR)
			return err_os(err, "wait");
	return cancel_check(cancel, err);
}

int cancel_pause(const struct cancel *cancel, unsigned ms, struct err *err)
{
	struct pollfd fd = { .fd = cancel_fd(cancel), .events = POLLIN };

	if (poll(&fd, 1, (int)ms) < 0 && errno != EINTR)
		return err_os(err, "wait");
	return cancel_check(cancel, err);
}
