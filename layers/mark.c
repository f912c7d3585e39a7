/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A point in time of the kernel's file times, for the question whether a file was changed since.
 *
 * 1. The change time of a file cannot be set, only left behind. Its clock ticks slowly (up to 10
 *    ms), so a mark is a time at which the clock had ticked since mark_note(): what was done before
 *    that is older than the mark, and what is done after mark_set() is not.
 * 2. If somebody sets the clock meanwhile, nothing is older than the mark. The kernel tells that by
 *    a timer that is cancelled by it.
 * 3. Writing by mmap() changes the times of a file on a disk, but not on every file system (tmpfs,
 *    when the page was read first). That is tried out, and where it is so, a time says nothing
 *    about the content of a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/err.h"
#include "base/file.h"
#include "layers/internal.h"

#define TICK_WAITS 200
#define CLOCK_FILE "clock"
#define PROBE_FILE "probe"

void mark_init(struct mark *mark)
{
	*mark = (struct mark){ .file_fd = -1, .timer_fd = -1 };
}

void mark_release(struct mark *mark)
{
	file_close_at(&mark->file_fd);
	file_close_at(&mark->timer_fd);
	mark_init(mark);
}

static bool time_is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static int fail(struct err *err)
{
	return err_os(err, "ask for the time of the file system");
}

int mark_open(struct mark *mark, int dir_fd, struct err *err)
{
	mark->dir_fd = dir_fd;
	mark->file_fd = openat(dir_fd, CLOCK_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return mark->file_fd < 0 ? fail(err) : 0;
}

/* The time that a change has now. */
static int take_time(const struct mark *mark, struct timespec *ret_time, struct err *err)
{
	struct stat st;

	if (fchmod(mark->file_fd, 0600) < 0 || fstat(mark->file_fd, &st) < 0)
		return fail(err);
	*ret_time = st.st_ctim;
	return 0;
}

int mark_note(struct mark *mark, struct err *err)
{
	return take_time(mark, &mark->noted, err);
}

/* Without such a timer nobody knows: then nothing is believed. */
static void watch_clock(struct mark *mark)
{
	const struct itimerspec never = { .it_value.tv_sec = INT64_C(9000000000) };

	file_close_at(&mark->timer_fd);
	mark->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	mark->clock_was_set =
		mark->timer_fd < 0 ||
		timerfd_settime(mark->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
				NULL) < 0;
}

static int wait_for_tick(struct mark *mark, struct err *err)
{
	const struct timespec pause = { .tv_nsec = 500000 };

	for (int i = 0; i < TICK_WAITS; i++) {
		if (take_time(mark, &mark->time, err) < 0)
			return -1;
		if (time_is_before(&mark->noted, &mark->time))
			return 0;
		nanosleep(&pause, NULL);
	}
	mark->clock_was_set = true; /* or it stands still */
	return 0;
}

/* After the tick: write to a page that was read first, of a file from before. */
static int try_mapping(struct mark *mark, int fd, struct err *err)
{
	volatile char *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct stat st;

	mark->maps_tell = page == MAP_FAILED && errno == ENODEV; /* nobody else can do it either */
	if (page == MAP_FAILED)
		return 0;
	page[0] = (char)(page[0] + 1);
	munmap((void *)page, 1);
	if (fstat(fd, &st) < 0)
		return fail(err);
	mark->maps_tell = !time_is_before(&st.st_ctim, &mark->time);
	return 0;
}

int mark_set(struct mark *mark, struct err *err)
{
	cleanup_fd int probe = -1;

	if (!mark->probed) {
		probe = openat(mark->dir_fd, PROBE_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			       0600);
		if (probe < 0 || write_all(probe, "", 1) < 0)
			return fail(err);
		if (mark_note(mark, err) < 0)
			return -1;
	}
	watch_clock(mark);
	if (wait_for_tick(mark, err) < 0 || (probe >= 0 && try_mapping(mark, probe, err) < 0))
		return -1;
	mark->probed = true;
	return 0;
}

void mark_close(struct mark *mark)
{
	uint64_t expired;

	mark->clock_was_set |= mark->timer_fd < 0 ||
			       read(mark->timer_fd, &expired, sizeof(expired)) >= 0 ||
			       errno != EAGAIN;
}

bool mark_is_after(const struct mark *mark, const struct stat *st)
{
	return !mark->clock_was_set && time_is_before(&st->st_ctim, &mark->time);
}
