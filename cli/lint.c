/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Warnings of lint for people, in docker's layout: the rule, the message, and some lines around. */
#include "dockerfile-parser/lint.h"

#include <string.h>

#include "cli/internal.h"

#define RULER "--------------------\n"

static void print(FILE *out, const char *text)
{
	text_print_to(out, text, strlen(text));
}

/* Lines start to end with at least two around them, more where only one is marked. docker counts
 * the empty line after the last newline. */
static void print_source(FILE *out, const struct lint_result *result, struct range range)
{
	unsigned start = range.start.line, end = range.end.line,
		 last = (unsigned)result->n_lines + 1;
	unsigned pad = start == end ? 4 : 2, marked_end = end;

	for (unsigned added = 0; added < pad; added++) {
		if (start > 1) {
			start--;
			added++;
		}
		if (end < last) {
			end++;
			added++;
		}
	}
	print(out, result->name);
	fprintf(out, ":%u\n" RULER, range.start.line);
	for (unsigned line = start; line <= end; line++) {
		bool marked = line >= range.start.line && line <= marked_end;

		fprintf(out, " %3u | %s ", line, marked ? ">>>" : "   ");
		print(out, line < last ? result->lines[line - 1] : "");
		fputc('\n', out);
	}
	fputs(RULER, out);
}

void lint_print_summary(FILE *out, const struct lint_result *result)
{
	size_t n = result->n_warnings;

	fprintf(out, "\n %zu warning%s found:\n", n, n == 1 ? "" : "s");
	for (size_t i = 0; i < n; i++) {
		const struct lint_warning *warning = &result->warnings[i];

		fprintf(out, " - %s: ", warning->rule->name);
		print(out, warning->message);
		fprintf(out, " (line %u)\n", warning->range.start.line);
		if (*warning->rule->url)
			fprintf(out, "More info: %s\n", warning->rule->url);
		print_source(out, result, warning->range);
		fputc('\n', out);
	}
}

void lint_print_text(FILE *out, const struct lint_result *result)
{
	size_t n = result->n_warnings;

	if (!n) {
		fputs("Check complete, no warnings found.\n", out);
		return;
	}
	if (n == 1)
		fputs("Check complete, 1 warning has been found!\n", out);
	else
		fprintf(out, "Check complete, %zu warnings have been found!\n", n);
	for (size_t i = 0; i < n; i++) {
		const struct lint_warning *warning = &result->warnings[i];

		fprintf(out, "\nWARNING: %s", warning->rule->name);
		if (*warning->rule->url)
			fprintf(out, " - %s", warning->rule->url);
		fputc('\n', out);
		print(out, warning->message);
		fputc('\n', out);
		print_source(out, result, warning->range);
	}
}
