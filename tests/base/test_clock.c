/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

static void test_clock__formats_as_go(void **state)
{
	char text[CLOCK_TEXT_MAX];

	(void)state;
	assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00Z");
	assert_string_equal(clock_format(1500000000, text), "1970-01-01T00:00:01.5Z");
	assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59.999999999Z");
	assert_string_equal(clock_format(1767323045678901234, text),
			    "2026-01-02T03:04:05.678901234Z");
}

static void test_clock__knows_the_calendar(void **state)
{
	char text[CLOCK_TEXT_MAX], want[CLOCK_TEXT_MAX];

	(void)state;
	for (int64_t day = -100000; day <= 100000; day++) {
		time_t seconds = day * 86400 + 3661;
		struct tm tm;

		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
		assert_string_equal(clock_format(seconds * INT64_C(1000000000), text), want);
	}
}

static void test_clock__parses_rfc3339(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T01:00:00.25+01:00", 250000000 },
		{ "2026-01-02T03:04:05.678901234Z", 1767323045678901234 },
		{ "1969-12-31T19:00:00-05:00", 0 },
	};
	static const char *const bad[] = { "",
					   "1970",
					   "1970-01-01",
					   "1970-13-01T00:00:00Z",
					   "1970-01-01T00:00:00",
					   "1970-01-01T00:00:00Zx",
					   "1970-01-01T25:00:00Z" };
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(clock_parse(good[i].text, &ns));
		assert_true(ns == good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(clock_parse(bad[i], &ns));
	assert_true(clock_parse("0001-01-01T00:00:00Z", &ns)); /* Go's zero time: clamped */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock__formats_as_go),
		cmocka_unit_test(test_clock__knows_the_calendar),
		cmocka_unit_test(test_clock__parses_rfc3339),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
