/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output of steps that run at once: what a build's events become on the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/internal.h"

#define SHOWN_MAX (64 * 1024)

/* Event of a step: "2+" begins it, "2." ends it, "2:text" is its output. */
static void say(struct progress *progress, const char *what)
{
	struct build_event event = { .step = (unsigned)(what[0] - '0'), .name = "RUN x" };

	switch (what[1]) {
	case '+':
		event.kind = BUILD_EVENT_BEGIN;
		break;
	case '.':
		event.kind = BUILD_EVENT_DONE;
		break;
	default:
		event.kind = BUILD_EVENT_OUTPUT;
		event.text = what + 2;
		event.len = strlen(what + 2);
	}
	progress_build(progress, &event);
}

/* Times are the clock's: "#2 0.000 x" becomes "#2 T x". */
static void hide_times(char *text)
{
	char *to = text;

	for (const char *p = text; *p;) {
		size_t digits = strspn(p, "0123456789.");

		if (p > text && p[-1] == ' ' && digits > 4 && p[1] == '.') {
			*to++ = 'T';
			p += digits;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
}

/* What stderr gets of these events. The caller frees it. */
static char *shown(const char *const *events)
{
	FILE *file = tmpfile();
	int terminal = dup(STDERR_FILENO);
	char *text = xcalloc(1, SHOWN_MAX);
	struct progress progress;

	assert_non_null(file);
	assert_true(terminal >= 0);
	fflush(stderr);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	progress_init(&progress, PROGRESS_PLAIN);
	for (; *events; events++)
		say(&progress, *events);
	progress_release(&progress);
	fflush(stderr);
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	rewind(file);
	(void)!fread(text, 1, SHOWN_MAX - 1, file);
	fclose(file);
	hide_times(text);
	return text;
}

#define EXPECT(expected, ...)                                                                      \
	do {                                                                                       \
		cleanup_free char *text = shown((const char *const[]){ __VA_ARGS__, NULL });       \
		assert_string_equal(text, expected);                                               \
	} while (0)

static void test_progress__one_alone_is_shown_as_it_comes(void **state)
{
	(void)state;
	EXPECT("#2 RUN x\n#2 T one\n#2 T two", "2+", "2:o", "2:ne\ntwo");
	EXPECT("#2 RUN x\n#2 T \n#2 T end\n#2 DONE 0.0s\n", "2+", "2:\n", "2:end", "2.");
}

static void test_progress__of_several_whole_lines(void **state)
{
	(void)state;
	EXPECT("#2 RUN x\n#3 RUN x\n#3 T other\n#2 T one\n#2 T tw\n#2 DONE 0.0s\n", "2+", "3+",
	       "2:o", "3:other\n", "2:ne\ntw", "2.");
}

/* It had begun to be shown when another step began. */
static void test_progress__a_line_broken_into_is_shown_whole(void **state)
{
	(void)state;
	EXPECT("#2 RUN x\n#2 T on\n#3 RUN x\n#2 T one\n", "2+", "2:on", "3+", "2:e\n");
	EXPECT("#2 RUN x\n#2 T on\n#3 RUN x\n#3 T 3\n#2 T one\n#2 T two\n", "2+", "2:on", "3+",
	       "3:3\n", "2:e\ntwo\n");
	EXPECT("#2 RUN x\n#2 T on\n#3 RUN x\n#3 DONE 0.0s\n#2 T one", "2+", "2:on", "3+", "3.",
	       "2:e");
}

/* Nothing came after the part that stands there: the end of the line alone, or of the step. */
static void test_progress__what_stands_there_is_not_shown_twice(void **state)
{
	(void)state;
	EXPECT("#2 RUN x\n#2 T one\n#3 RUN x\n#2 T two\n", "2+", "2:one", "3+", "2:\n", "2:two\n");
	EXPECT("#2 RUN x\n#2 T one\n#3 RUN x\n#2 DONE 0.0s\n", "2+", "2:one", "3+", "2.");
}

/* Of a line without an end no more than 16 KiB are kept. */
static void test_progress__a_long_line_is_shown_in_pieces(void **state)
{
	cleanup_free char *alone = NULL, *beside = NULL;
	char part[10002];
	size_t n;

	(void)state;
	memset(part, 'a', sizeof(part));
	memcpy(part, "2:", 2);
	part[sizeof(part) - 1] = '\0';
	alone = shown((const char *const[]){ "2+", part, part, part, "2:\n", NULL });
	n = strlen("#2 RUN x\n#2 T ");
	assert_int_equal(strlen(alone), n + (size_t)3 * 9999 + 1);
	assert_int_equal(strspn(alone + n, "a"), 3 * 9999);
	beside = shown((const char *const[]){ "2+", "3+", part, part, part, "2:\n", NULL });
	n = strlen("#2 RUN x\n#3 RUN x\n#2 T ");
	assert_int_equal(strspn(beside + n, "a"), 16 * 1024);
	assert_string_equal(strrchr(beside + n, ' ') + 1 + strspn(strrchr(beside, ' ') + 1, "a"),
			    "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress__one_alone_is_shown_as_it_comes),
		cmocka_unit_test(test_progress__of_several_whole_lines),
		cmocka_unit_test(test_progress__a_line_broken_into_is_shown_whole),
		cmocka_unit_test(test_progress__what_stands_there_is_not_shown_twice),
		cmocka_unit_test(test_progress__a_long_line_is_shown_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
