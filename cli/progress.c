/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain progress, in the manner of docker's --progress=plain: "#3 [2/4] RUN make", output lines
 * behind "#3 0.512 ", then "#3 DONE 0.8s" or "#3 CACHED". Quiet mode keeps the last output of the
 * step under way and shows it when the step fails.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/internal.h"

#define KEPT_MAX	  (64 * 1024)	/* bytes of output kept in quiet mode */
#define TRANSFER_EVERY_NS 1000000000ULL /* between two lines about one blob */

void progress_init(struct progress *progress, enum progress_mode mode)
{
	*progress = (struct progress){ .mode = mode, .began = clock_monotonic_ns() };
	progress->lines = xmalloc(sizeof(*progress->lines));
	buf_init(progress->lines, KEPT_MAX);
}

void progress_release(struct progress *progress)
{
	buf_release(progress->lines);
	free(progress->lines);
}

static void close_line(struct progress *progress)
{
	if (progress->line_open)
		fputc('\n', stderr);
	progress->line_open = false;
}

static void output_plain(struct progress *progress, const struct build_event *event)
{
	const char *text = event->text;
	size_t left = event->len;

	while (left > 0) {
		const char *newline = memchr(text, '\n', left);
		size_t len = newline ? (size_t)(newline - text) : left;

		if (!progress->line_open)
			fprintf(stderr, "#%u %.3f ", event->step,
				(double)(clock_monotonic_ns() - progress->began) / 1e9);
		text_print_safe(text, len);
		progress->line_open = true;
		if (!newline)
			return;
		close_line(progress);
		text += len + 1;
		left -= len + 1;
	}
}

static void output_kept(struct progress *progress, const struct build_event *event)
{
	size_t len = event->len < KEPT_MAX ? event->len : KEPT_MAX;

	if (progress->lines->len + len > KEPT_MAX)
		buf_clear(progress->lines);
	buf_add(progress->lines, event->text + event->len - len, len);
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

void progress_build(void *arg, const struct build_event *event)
{
	struct progress *progress = arg;
	bool quiet = progress->mode == PROGRESS_QUIET;

	if (event->kind == BUILD_EVENT_OUTPUT && quiet) {
		output_kept(progress, event);
		return;
	}
	if (event->kind == BUILD_EVENT_FAILED && quiet)
		text_print_safe(progress->lines->data, progress->lines->len);
	if (event->kind == BUILD_EVENT_BEGIN)
		buf_clear(progress->lines);
	if (event->kind == BUILD_EVENT_EXPLAIN)
		print_reason(progress, event);
	if (quiet)
		return;
	if (event->kind != BUILD_EVENT_OUTPUT)
		close_line(progress);
	switch (event->kind) {
	case BUILD_EVENT_BEGIN:
		progress->began = clock_monotonic_ns();
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
