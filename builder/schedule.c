/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stages are taken in the order of the file, each by one thread that builds it to its end. A stage
 * that needs another waits for it, and while it waits it is none of the `jobs` that may be at
 * work.
 *
 * 1. A stage needs only stages above it, and the lowest that is not done waits for nobody: so
 *    nobody waits for ever.
 * 2. The user namespace is entered before the first thread is made: the kernel wants it so.
 * 3. FROM is done in the order of the file. Then it is known which triggers a base brings, and
 *    the steps of the next stage can be numbered: numbers do not depend on who is faster. Who has
 *    to wait for his turn fetches the base meanwhile (base.c), so all are fetched at once.
 * 4. The first failure is the build's. It stops the others: who waits gives up, what runs in a
 *    sandbox is killed, and so are helper programs; who reads, copies or unpacks sees it between
 *    two blocks (base/cancel.h). The errors that come of that are nobody's cause. What a step has
 *    finished is not thrown away: the digest of its layer is computed to the end.
 * 5. With threads, SIGINT and SIGTERM are blocked in all of them and read by one whose only task
 *    that is: the first ends steps gently, the second by force. When no sandbox runs, nothing needs
 *    to be ended gently: the signal does what it does to a program with one thread.
 * 6. A thread stays until all stages are done: what it has started (an ssh-agent) dies with it.
 *
 * Locks: `lock` guards the state of this file, of stages (stage.state, numbered) and of the plan.
 * `opening` guards what stages share and open when it is first needed; it is taken before `lock`.
 */
#include "builder/schedule.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "builder/internal.h"
#include "sandbox/sandbox.h"

#define THREADS_MAX 64	/* stages that are begun, most of them waiting for another */
#define SETTLE_MS   100 /* for threads to see that the build was interrupted */

struct schedule {
	struct builder *builder;
	pthread_mutex_t lock, opening;
	pthread_cond_t changed; /* anything of the following */
	unsigned active;	/* stages at work: begun, and not waiting */
	unsigned sandboxes;	/* that run */
	bool in_turn;		/* somebody numbers the steps of a stage */
	bool stopped, finished;
	struct stage *failed;
	struct err err; /* when stopped */

	/* set before there are threads, and not changed while there are */
	bool spread;
	struct pool *workers, *watch;
	struct cancel *cancel;
	struct sandbox_cancel ends; /* of steps that run; the first is that of `cancel` */
	int finish_fd, signal_fd;
	sigset_t old_mask;
	mode_t old_umask;
};

struct schedule *schedule_new(struct builder *builder)
{
	struct schedule *schedule = xcalloc(1, sizeof(*schedule));
	pthread_condattr_t attributes;

	schedule->builder = builder;
	schedule->ends = (struct sandbox_cancel){ -1, -1 };
	schedule->finish_fd = schedule->signal_fd = -1;
	pthread_mutex_init(&schedule->lock, NULL);
	pthread_mutex_init(&schedule->opening, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&schedule->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return schedule;
}

void schedule_free(struct schedule *schedule)
{
	if (!schedule)
		return;
	cancel_free(schedule->cancel);
	file_close_at(&schedule->ends.kill_fd);
	file_close_at(&schedule->finish_fd);
	file_close_at(&schedule->signal_fd);
	pthread_cond_destroy(&schedule->changed);
	pthread_mutex_destroy(&schedule->opening);
	pthread_mutex_destroy(&schedule->lock);
	free(schedule);
}

void schedule_lock(struct schedule *schedule)
{
	pthread_mutex_lock(&schedule->opening);
}

void schedule_unlock(struct schedule *schedule)
{
	pthread_mutex_unlock(&schedule->opening);
}

void schedule_lock_plan(struct schedule *schedule)
{
	pthread_mutex_lock(&schedule->lock);
}

void schedule_unlock_plan(struct schedule *schedule)
{
	pthread_mutex_unlock(&schedule->lock);
}

/* --- stopping --------------------------------------------------------------------------------- */

static void set_event(int fd)
{
	if (fd >= 0 && eventfd_write(fd, 1) < 0)
		assert(errno == EAGAIN); /* it is set already */
}

/* Lock held. The first error counts. An interruption ends what runs gently. */
static void stop(struct schedule *schedule, struct stage *stage, const struct err *err)
{
	if (schedule->stopped)
		return;
	schedule->stopped = true;
	schedule->failed = stage;
	schedule->err = *err;
	cancel_ask(schedule->cancel);
	if (err->kind != ERR_CANCELLED)
		set_event(schedule->ends.kill_fd);
	pthread_cond_broadcast(&schedule->changed);
}

static int fail_stopped(struct err *err)
{
	return err_set(err, ERR_CANCELLED, "the build was stopped");
}

static void stop_by_signal(struct schedule *schedule, int number)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_CANCELLED, "interrupted by %s", number == SIGINT ? "SIGINT" : "SIGTERM");
	err.exit_status = 128 + number;
	pthread_mutex_lock(&schedule->lock);
	stop(schedule, NULL, &err);
	pthread_mutex_unlock(&schedule->lock);
}

static bool has_sandboxes(struct schedule *schedule)
{
	bool some;

	pthread_mutex_lock(&schedule->lock);
	some = schedule->sandboxes > 0;
	pthread_mutex_unlock(&schedule->lock);
	return some;
}

/* See 5. Returns when the signal is one that does not end the program. */
static void die_of(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	kill(getpid(), number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void watch(void *arg)
{
	struct schedule *schedule = arg;
	struct signalfd_siginfo info;
	int got = 0;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = schedule->finish_fd, .events = POLLIN },
			{ .fd = schedule->signal_fd, .events = POLLIN },
		};
		int n = poll(fds, ARRAY_SIZE(fds), got ? SETTLE_MS : -1);

		if (fds[0].revents && n > 0)
			return;
		if (n == 0 && !has_sandboxes(schedule))
			die_of(got);
		if (n <= 0 || !fds[1].revents ||
		    read(schedule->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
			continue;
		if (got)
			set_event(schedule->ends.kill_fd);
		got = (int)info.ssi_signo;
		stop_by_signal(schedule, got);
	}
}

/* --- waiting ---------------------------------------------------------------------------------- */

static unsigned slots(const struct schedule *schedule)
{
	unsigned jobs = schedule->builder->options->jobs;

	return jobs ? jobs : 1;
}

/* Lock held, in both. */
static void rest(struct schedule *schedule)
{
	schedule->active--;
	pthread_cond_broadcast(&schedule->changed);
}

static int resume(struct schedule *schedule, struct err *err)
{
	while (schedule->active >= slots(schedule) && !schedule->stopped)
		pthread_cond_wait(&schedule->changed, &schedule->lock);
	schedule->active++;
	return schedule->stopped ? fail_stopped(err) : 0;
}

/* Lock held. Wait until something is so of a stage. */
static int wait_until(struct schedule *schedule,
		      bool (*is_so)(const struct schedule *, const struct stage *),
		      const struct stage *stage, struct err *err)
{
	if (is_so(schedule, stage))
		return 0;
	rest(schedule);
	while (!is_so(schedule, stage) && !schedule->stopped)
		pthread_cond_wait(&schedule->changed, &schedule->lock);
	return resume(schedule, err);
}

int schedule_pause(struct schedule *schedule, unsigned ms, struct err *err)
{
	struct timespec end;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += ms % 1000 * 1000000L;
	end.tv_sec += ms / 1000 + end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	pthread_mutex_lock(&schedule->lock);
	rest(schedule);
	while (!schedule->stopped &&
	       pthread_cond_timedwait(&schedule->changed, &schedule->lock, &end) != ETIMEDOUT)
		;
	status = resume(schedule, err);
	pthread_mutex_unlock(&schedule->lock);
	return status;
}

/* --- stages ----------------------------------------------------------------------------------- */

static bool is_done(const struct schedule *schedule, const struct stage *stage)
{
	(void)schedule;
	return stage->state == STAGE_DONE;
}

/* The stage is this thread's: build it. */
static int build(struct schedule *schedule, struct stage *stage, struct err *err)
{
	int status = stage_build(stage, err);

	pthread_mutex_lock(&schedule->lock);
	if (status == 0)
		stage->state = STAGE_DONE;
	else
		stop(schedule, stage, err);
	pthread_cond_broadcast(&schedule->changed);
	pthread_mutex_unlock(&schedule->lock);
	return status;
}

int schedule_require(struct schedule *schedule, size_t index, struct err *err)
{
	struct stage *stage = &schedule->builder->stages[index];
	int status = 0;

	pthread_mutex_lock(&schedule->lock);
	if (stage->state == STAGE_IDLE && !schedule->stopped) {
		stage->state = STAGE_TAKEN;
		pthread_mutex_unlock(&schedule->lock);
		return build(schedule, stage, err);
	}
	status = wait_until(schedule, is_done, stage, err);
	pthread_mutex_unlock(&schedule->lock);
	return status;
}

bool schedule_is_done(struct schedule *schedule, size_t index)
{
	bool done;

	pthread_mutex_lock(&schedule->lock);
	done = schedule->builder->stages[index].state == STAGE_DONE;
	pthread_mutex_unlock(&schedule->lock);
	return done;
}

static bool is_turn(const struct schedule *schedule, const struct stage *stage)
{
	const struct builder *builder = schedule->builder;

	if (stage->numbered)
		return true;
	if (schedule->in_turn)
		return false;
	for (size_t i = 0; i < stage->plan->index; i++)
		if (builder->plan->stages[i].needed && !builder->stages[i].numbered)
			return false;
	return true;
}

bool schedule_must_wait(struct schedule *schedule, struct stage *stage)
{
	bool turn;

	pthread_mutex_lock(&schedule->lock);
	turn = is_turn(schedule, stage);
	pthread_mutex_unlock(&schedule->lock);
	return !turn;
}

int schedule_begin_turn(struct schedule *schedule, struct stage *stage, bool *ret_mine,
			struct err *err)
{
	int status;

	pthread_mutex_lock(&schedule->lock);
	do /* while it waited for a place among the jobs, another one may have begun */
		status = wait_until(schedule, is_turn, stage, err);
	while (status == 0 && !is_turn(schedule, stage));
	*ret_mine = !stage->numbered;
	if (status == 0 && *ret_mine)
		schedule->in_turn = true;
	pthread_mutex_unlock(&schedule->lock);
	return status;
}

void schedule_end_turn(struct schedule *schedule)
{
	pthread_mutex_lock(&schedule->lock);
	schedule->in_turn = false;
	pthread_cond_broadcast(&schedule->changed);
	pthread_mutex_unlock(&schedule->lock);
}

void schedule_set_numbered(struct schedule *schedule, struct stage *stage)
{
	pthread_mutex_lock(&schedule->lock);
	stage->numbered = true;
	pthread_cond_broadcast(&schedule->changed);
	pthread_mutex_unlock(&schedule->lock);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Lock held. The first stage that is needed and nobody's, or NULL. */
static struct stage *first_idle(const struct schedule *schedule)
{
	const struct builder *builder = schedule->builder;

	for (size_t i = 0; i <= builder->plan->target; i++)
		if (builder->plan->stages[i].needed && builder->stages[i].state == STAGE_IDLE)
			return &builder->stages[i];
	return NULL;
}

static void work(void *arg)
{
	struct schedule *schedule = arg;

	pthread_mutex_lock(&schedule->lock);
	while (!schedule->finished) {
		struct stage *stage = first_idle(schedule);
		struct err err = ERR_INIT;

		if (!stage || schedule->stopped || schedule->active >= slots(schedule)) {
			pthread_cond_wait(&schedule->changed, &schedule->lock);
			continue;
		}
		stage->state = STAGE_TAKEN;
		schedule->active++;
		pthread_mutex_unlock(&schedule->lock);
		build(schedule, stage, &err);
		pthread_mutex_lock(&schedule->lock);
		rest(schedule);
	}
	pthread_mutex_unlock(&schedule->lock);
}

static unsigned count_idle(const struct schedule *schedule)
{
	const struct builder *builder = schedule->builder;
	unsigned n = 0;

	for (size_t i = 0; i <= builder->plan->target && n < THREADS_MAX; i++)
		n += builder->plan->stages[i].needed && builder->stages[i].state == STAGE_IDLE;
	return n;
}

/* Ignored signals stay ignored: a background job of a shell is not for the terminal's keys. */
static int open_descriptors(struct schedule *schedule, struct err *err)
{
	static const int wanted[] = { SIGINT, SIGTERM };
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	schedule->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	schedule->finish_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	schedule->ends.stop_fd = cancel_fd(schedule->cancel);
	schedule->ends.kill_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (schedule->signal_fd < 0 || schedule->finish_fd < 0 || schedule->ends.kill_fd < 0)
		return err_os(err, "watch for signals");
	return 0;
}

static int spread(struct schedule *schedule, struct err *err)
{
	sigset_t all;

	if (builder_enter(schedule->builder, err) < 0 || open_descriptors(schedule, err) < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &schedule->old_mask);
	schedule->old_umask = umask(022); /* it is the process's, and git has it like this */
	schedule->spread = true;
	schedule->watch = pool_open(1, watch, schedule);
	if (!pool_size(schedule->watch))
		return err_set(err, ERR_LIMIT, "the system has no more threads (fix: --jobs 1)");
	schedule->workers = pool_open(count_idle(schedule), work, schedule);
	return 0;
}

static void gather(struct schedule *schedule)
{
	pthread_mutex_lock(&schedule->lock);
	schedule->finished = true;
	pthread_cond_broadcast(&schedule->changed);
	pthread_mutex_unlock(&schedule->lock);
	if (!schedule->spread)
		return;
	pool_close(schedule->workers);
	set_event(schedule->finish_fd);
	pool_close(schedule->watch);
	schedule->spread = false;
	umask(schedule->old_umask);
	pthread_sigmask(SIG_SETMASK, &schedule->old_mask, NULL);
}

int schedule_work(struct schedule *schedule, struct err *err)
{
	bool stopped;

	pthread_mutex_lock(&schedule->lock);
	stopped = schedule->stopped;
	pthread_mutex_unlock(&schedule->lock);
	if (stopped)
		return fail_stopped(err);
	if (schedule->spread || slots(schedule) == 1 || !count_idle(schedule))
		return 0;
	return spread(schedule, err);
}

const struct sandbox_cancel *schedule_begin_sandbox(struct schedule *schedule)
{
	pthread_mutex_lock(&schedule->lock);
	schedule->sandboxes++;
	pthread_mutex_unlock(&schedule->lock);
	return schedule->spread ? &schedule->ends : NULL;
}

void schedule_end_sandbox(struct schedule *schedule)
{
	pthread_mutex_lock(&schedule->lock);
	schedule->sandboxes--;
	pthread_mutex_unlock(&schedule->lock);
}

int schedule_run(struct schedule *schedule, struct stage **ret_failed, struct err *err)
{
	const struct plan *plan = schedule->builder->plan;
	struct store *store = schedule->builder->options->store;

	*ret_failed = NULL;
	if (cancel_new(&schedule->cancel, err) < 0)
		return -1;
	store_heed(store, schedule->cancel);
	schedule->active = 1;
	for (size_t i = 0; i <= plan->target; i++) {
		bool needed;

		schedule_lock_plan(schedule);
		needed = plan->stages[i].needed;
		schedule_unlock_plan(schedule);
		if (needed && schedule_require(schedule, i, err) < 0)
			break;
	}
	gather(schedule);
	store_heed(store, NULL);
	*ret_failed = schedule->failed;
	if (!schedule->stopped)
		return 0;
	*err = schedule->err;
	return -1;
}
