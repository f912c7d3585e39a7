/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_SCHEDULE_H
#define BUILDER_SCHEDULE_H

/*
 * builder/schedule.h: which stage is built when, and by which thread. A build in which every key
 * is known is one thread from its beginning to its end; the others come with the first step that
 * has work to do. What is built does not depend on them.
 */

#include <stdbool.h>
#include <stddef.h>

struct builder;
struct err;
struct schedule;
struct stage;

struct schedule *schedule_new(struct builder *builder);
void schedule_free(struct schedule *schedule);

/*
 * Build all stages that are needed, at most options->jobs at once. After a failure nothing more is
 * begun and what runs is ended by force; *err is the first error, *ret_failed the stage whose step
 * it is of (NULL: of none). No thread is left.
 */
int schedule_run(struct schedule *schedule, struct stage **ret_failed, struct err *err);

/* Build a stage to its end, or wait until another thread has. */
int schedule_require(struct schedule *schedule, size_t index, struct err *err);

/* Whether a stage is done: then what it holds may be read, and does not change. */
bool schedule_is_done(struct schedule *schedule, size_t index);

/*
 * Wait until the stages before it have numbers for their steps (their FROM is loaded, which tells
 * how many there are). From then on nobody else numbers steps or changes the plan, up to
 * schedule_end_turn(). *ret_mine is false when somebody has numbered its steps meanwhile: then
 * there is no turn.
 */
int schedule_begin_turn(struct schedule *schedule, struct stage *stage, bool *ret_mine,
			struct err *err);
void schedule_end_turn(struct schedule *schedule);

/* Whether that would have to wait. */
bool schedule_must_wait(struct schedule *schedule, struct stage *stage);

/* In turn: this stage has its numbers, and knows what it stands on. */
void schedule_set_numbered(struct schedule *schedule, struct stage *stage);

/*
 * To be called by a step before it does more than look up. The first such call enters the user
 * namespace and starts threads, if other stages are left for them. ERR_CANCELLED when the build
 * has been stopped.
 */
int schedule_work(struct schedule *schedule, struct err *err);

/* Let other stages go on for some time. ERR_CANCELLED as above. */
int schedule_pause(struct schedule *schedule, unsigned ms, struct err *err);

/* For sandbox_spec.cancel: NULL while there is one thread. A step in a sandbox is between the two
 * calls. */
const struct sandbox_cancel *schedule_begin_sandbox(struct schedule *schedule);
void schedule_end_sandbox(struct schedule *schedule);

/* What stages share and open when it is first needed (the context, named trees, agents, the last
 * report) is looked at and opened between these. It may take long. */
void schedule_lock(struct schedule *schedule);
void schedule_unlock(struct schedule *schedule);

/* The same for what plan and builder count: total, plan_stage.needed. */
void schedule_lock_plan(struct schedule *schedule);
void schedule_unlock_plan(struct schedule *schedule);

#endif
