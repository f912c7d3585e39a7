/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sandbox/internal.h"

static void expect_resolv(const char *text, bool drop_loopback, const char *expected)
{
	cleanup_buf struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(etc_resolv_conf(text, drop_loopback, &out), 0);
	assert_string_equal(out.data, expected);
}

static void test_etc__resolv_conf_is_copied_for_the_hosts_network(void **state)
{
	(void)state;
	expect_resolv("nameserver 127.0.0.53\noptions edns0", false,
		      "nameserver 127.0.0.53\noptions edns0\n");
	expect_resolv("", false, "");
}

static void test_etc__resolv_conf_loses_loopback_servers(void **state)
{
	(void)state;
	expect_resolv("# nameserver 127.0.0.1\nnameserver\t127.0.0.53 \nnameserver ::1\n"
		      "nameserver 10.0.0.1\nnameserver 1270.0.0.1\nnameserver ::10\nsearch a.b\n"
		      "nameserverx 127.0.0.1\nnameserver",
		      true,
		      "# nameserver 127.0.0.1\nnameserver 10.0.0.1\nnameserver 1270.0.0.1\n"
		      "nameserver ::10\nsearch a.b\nnameserverx 127.0.0.1\nnameserver\n");
}

static void test_etc__resolv_conf_has_a_limit(void **state)
{
	cleanup_buf struct buf out;

	(void)state;
	buf_init(&out, 10);
	assert_int_equal(etc_resolv_conf("nameserver 10.0.0.1\n", true, &out), -1);
}

static void test_etc__hosts_ends_its_last_line(void **state)
{
	cleanup_buf struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(etc_hosts("h", "1.2.3.4\tx", &out), 0);
	assert_string_equal(out.data, "127.0.0.1\tlocalhost h\n"
				      "::1\tlocalhost ip6-localhost ip6-loopback\n1.2.3.4\tx\n");
}

static void test_etc__hostname_is_checked(void **state)
{
	static const char too_long[] = "0123456789012345678901234567890123456789"
				       "0123456789012345678901234";
	static const char *const bad[] = { "",
					   "-a",
					   ".",
					   "a b",
					   "a\nb",
					   "a\t10.0.0.1",
					   "a/b",
					   too_long };

	(void)state;
	assert_true(etc_hostname_valid("buildkitsandbox"));
	assert_true(etc_hostname_valid("a-b.example"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(etc_hostname_valid(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_etc__resolv_conf_is_copied_for_the_hosts_network),
		cmocka_unit_test(test_etc__resolv_conf_loses_loopback_servers),
		cmocka_unit_test(test_etc__resolv_conf_has_a_limit),
		cmocka_unit_test(test_etc__hosts_ends_its_last_line),
		cmocka_unit_test(test_etc__hostname_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
