/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain progress, in the manner of docker's --progress=plain: "#3 [2/4] RUN make", output lines
 * behind "#3 0.512 ", then "#3 DONE 0.8s" or "#3 CACHED". While several steps are under way only
 * whole lines are shown, so that no line holds output of two; one alone is shown as it comes. A
 * line that something else came into is shown again from its beginning: each line that a step wrote
 * stands somewhere whole. Quiet mode keeps the last output of each step and shows that of the one
 * that fails.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/internal.h"

#define KEPT_MAX	  (64 * 1024)	/* bytes of output kept in quiet mode */
#define LINE_MAX_BYTES	  (16 * 1024)	/* of a line that waits for its end */
#define TRANSFER_EVERY_NS 1000000000ULL /* between two lines about one blob */

struct progress_step {
	unsigned number;
	uint64_t began;	 /* monotonic ns */
	struct buf text; /* plain: a line without its end; quiet: the last output */
	size_t shown;	 /* of text, ever */
};

void progress_init(struct progress *progress, enum progress_mode mode)
{
	*progress = (struct progress){ .mode = mode };
}

void progress_release(struct progress *progress)
{
	for (size_t i = 0; i < progress->n_steps; i++)
		buf_release(&progress->steps[i].text);
	free(progress->steps);
}

/* --- steps under way -------------------------------------------------------------------------- */

static struct progress_step *find_step(struct progress *progress, unsigned number)
{
	for (size_t i = 0; i < progress->n_steps; i++)
		if (progress->steps[i].number == number)
			return &progress->steps[i];
	return NULL;
}

static void begin_step(struct progress *progress, unsigned number)
{
	struct progress_step *step;

	progress->steps = grow_vector(progress->steps, progress->n_steps, &progress->cap_steps,
				      sizeof(*progress->steps));
	step = &progress->steps[progress->n_steps++];
	*step = (struct progress_step){ .number = number, .began = clock_monotonic_ns() };
	buf_init(&step->text, progress->mode == PROGRESS_QUIET ? KEPT_MAX : LINE_MAX_BYTES);
}

static void end_step(struct progress *progress, unsigned number)
{
	struct progress_step *step = find_step(progress, number);

	if (!step)
		return;
	buf_release(&step->text);
	*step = progress->steps[--progress->n_steps];
}

/* --- output ----------------------------------------------------------------------------------- */

static void close_line(struct progress *progress)
{
	if (progress->open)
		fputc('\n', stderr);
	progress->open = 0;
}

/* What came since, on the line that is still open, or the whole line on one of its own. */
static void print_text(struct progress *progress, struct progress_step *step)
{
	size_t from = step->shown;

	if (progress->open != step->number && from > 0 && from == step->text.len)
		return; /* it stands above already */
	if (progress->open != step->number) {
		close_line(progress);
		fprintf(stderr, "#%u %.3f ", step->number,
			(double)(clock_monotonic_ns() - step->began) / 1e9);
		progress->open = step->number;
		from = 0;
	}
	text_print_safe(step->text.data + from, step->text.len - from);
	step->shown = step->text.len;
}

/* What is left when the step ends. */
static void flush_output(struct progress *progress, unsigned number)
{
	struct progress_step *step = find_step(progress, number);

	if (step && step->text.len)
		print_text(progress, step);
	close_line(progress);
}

static void output_plain(struct progress *progress, const struct build_event *event)
{
	struct progress_step *step = find_step(progress, event->step);
	const char *text = event->text;
	size_t left = event->len;

	while (step && left > 0) {
		const char *newline = memchr(text, '\n', left);
		size_t len = newline ? (size_t)(newline - text) : left;
		size_t room = LINE_MAX_BYTES - step->text.len;
		bool whole = newline && len <= room;
		bool full = !whole && len >= room;
		bool alone = progress->n_steps == 1;

		len = full ? room : len;
		buf_add(&step->text, text, len);
		text += len + whole;
		left -= len + whole;
		if (whole || full || alone)
			print_text(progress, step);
		if (whole || (full && !alone))
			close_line(progress);
		if (whole || full) {
			buf_clear(&step->text);
			step->shown = 0;
		}
	}
}

static void output_kept(struct progress *progress, const struct build_event *event)
{
	struct progress_step *step = find_step(progress, event->step);
	size_t len = event->len < KEPT_MAX ? event->len : KEPT_MAX;

	if (!step)
		return;
	if (step->text.len + len > KEPT_MAX)
		buf_clear(&step->text);
	buf_add(&step->text, event->text + event->len - len, len);
}

static void show_kept(struct progress *progress, unsigned number)
{
	const struct progress_step *step = find_step(progress, number);

	if (step)
		text_print_safe(step->text.data, step->text.len);
}

/* The first line of a step's text: heredoc bodies are not repeated. */
static void print_name(const char *name)
{
	size_t len = strcspn(name, "\n");

	text_print_safe(name, len);
	if (name[len])
		fputs(" ...", stderr);
}

static void transfer_plain(struct progress *progress, const struct build_event *event)
{
	progress->step = event->step;
	progress_transfer(progress, event->transfer);
	progress->step = 0;
}

/* Asked for by --explain: shown in quiet mode as well, with the step's text, which is not there. */
static void print_reason(struct progress *progress, const struct build_event *event)
{
	cleanup_free char *why = explain_text(event->explained);

	close_line(progress);
	fprintf(stderr, "#%u EXPLAIN ", event->step);
	if (progress->mode == PROGRESS_QUIET) {
		print_name(event->explained->text);
		fputs(": ", stderr);
	}
	text_print_safe(why, strlen(why));
	fputc('\n', stderr);
}

static void show_plain(struct progress *progress, const struct build_event *event)
{
	switch (event->kind) {
	case BUILD_EVENT_BEGIN:
		fprintf(stderr, "#%u ", event->step);
		print_name(event->name);
		fputc('\n', stderr);
		break;
	case BUILD_EVENT_CACHED:
		fprintf(stderr, "#%u CACHED", event->step);
		if (event->text) {
			fputs(" (from ", stderr);
			text_print_safe(event->text, strlen(event->text));
			fputc(')', stderr);
		}
		fputc('\n', stderr);
		break;
	case BUILD_EVENT_DONE:
		fprintf(stderr, "#%u DONE %.1fs\n", event->step, (double)event->duration_ns / 1e9);
		break;
	case BUILD_EVENT_CANCELLED:
		fprintf(stderr, "#%u CANCELED\n", event->step);
		break;
	case BUILD_EVENT_FAILED:
		fprintf(stderr, "#%u ERROR\n", event->step);
		break;
	case BUILD_EVENT_OUTPUT:
		output_plain(progress, event);
		break;
	case BUILD_EVENT_TRANSFER:
		transfer_plain(progress, event);
		break;
	case BUILD_EVENT_WARNING:
		fputs("warning: ", stderr);
		text_print_safe(event->text, event->len);
		fputc('\n', stderr);
		break;
	case BUILD_EVENT_LINT:
		lint_print_summary(stderr, event->lint);
		break;
	case BUILD_EVENT_REPORT:
		explain_costs(event->report);
		break;
	case BUILD_EVENT_EXPLAIN:
	case BUILD_EVENT_PLAN:
		break;
	}
}

static bool is_end(enum build_event_kind kind)
{
	return kind == BUILD_EVENT_CACHED || kind == BUILD_EVENT_DONE ||
	       kind == BUILD_EVENT_CANCELLED || kind == BUILD_EVENT_FAILED;
}

void progress_build(void *arg, const struct build_event *event)
{
	struct progress *progress = arg;
	bool quiet = progress->mode == PROGRESS_QUIET;

	if (event->kind == BUILD_EVENT_BEGIN)
		begin_step(progress, event->step);
	if (quiet && event->kind == BUILD_EVENT_OUTPUT)
		output_kept(progress, event);
	if (quiet && event->kind == BUILD_EVENT_FAILED)
		show_kept(progress, event->step);
	if (event->kind == BUILD_EVENT_EXPLAIN)
		print_reason(progress, event);
	if (!quiet && is_end(event->kind))
		flush_output(progress, event->step);
	if (!quiet && event->kind != BUILD_EVENT_OUTPUT)
		close_line(progress);
	if (!quiet)
		show_plain(progress, event);
	if (is_end(event->kind))
		end_step(progress, event->step);
}

/* The line of a transfer that a build asked for. */
static void begin_line(const struct progress *progress)
{
	if (progress->step)
		fprintf(stderr, "#%u ", progress->step);
}

void progress_transfer(void *arg, const struct transport_event *event)
{
	struct progress *progress = arg;
	char id[DIGEST_TEXT_MAX], current[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX];
	uint64_t now = clock_monotonic_ns();
	const char *name;

	if (event->state == TRANSPORT_NOTE) {
		begin_line(progress);
		text_print_safe(event->text, strlen(event->text));
		fputc('\n', stderr);
		return;
	}
	if (progress->mode == PROGRESS_QUIET)
		return;
	if (digest_is_zero(&event->digest))
		name = event->text;
	else
		name = text_id(&event->digest, false, id);
	switch (event->state) {
	case TRANSPORT_MOVING:
		if (now - progress->noted < TRANSFER_EVERY_NS)
			return;
		progress->noted = now;
		begin_line(progress);
		fprintf(stderr, "%s: %s", name, text_size(event->current, current));
		if (event->total)
			fprintf(stderr, " of %s", text_size(event->total, total));
		fputc('\n', stderr);
		break;
	case TRANSPORT_EXISTS:
		begin_line(progress);
		fprintf(stderr, "%s: Already exists\n", name);
		break;
	case TRANSPORT_DONE:
		begin_line(progress);
		fprintf(stderr, "%s: Done\n", name);
		break;
	case TRANSPORT_WAITING:
	case TRANSPORT_NOTE:
		break;
	}
}
