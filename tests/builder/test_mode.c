/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --chmod, octal and symbolic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/mode.h"

static void test_mode__changes(void **state)
{
	static const struct {
		const char *text;
		mode_t before, after;
		bool directory;
	} modes[] = {
		{ "755", 0600, 0755, false },	      { "4711", 0600, 04711, false },
		{ "u+x", 0644, 0744, false },	      { "+x", 0644, 0755, false },
		{ "a-w", 0666, 0444, false },	      { "go=", 0777, 0700, false },
		{ "u=rwX,go=rX", 0600, 0644, false }, { "u=rwX,go=rX", 0100, 0755, false },
		{ "u=rwX,go=rX", 0600, 0755, true },  { "g=u", 0740, 0770, false },
		{ "u+s,g+s,+t", 0755, 07755, false }, { "u=rw+x-r", 0, 0300, false },
	};
	static const char *const bad[] = {
		"", "8", "77777", "u", "u+q", "x", "u=rw,", ",", "u=rw x"
	};
	struct mode_change change;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(mode_parse(modes[i].text, &change, &err), 0);
		assert_int_equal(mode_apply(&change, modes[i].before, modes[i].directory),
				 modes[i].after);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mode_parse(bad[i], &change, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode__changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
