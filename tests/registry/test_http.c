/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/strv.h"
#include "registry/answer.h"
#include "registry/guard.h"
#include "registry/http.h"
#include "registry/proxy.h"
#include "registry/retry.h"
#include "registry/url.h"

static void test_http__urls_resolve(void **state)
{
	static const struct {
		const char *base, *reference, *text;
	} cases[] = {
		{ "https://r.example/v2/a/uploads/", "/u/1?x=%2F&y=1",
		  "https://r.example/u/1?x=%2F&y=1" },
		{ "https://r.example/v2/a", "https://s3.example/b?sig=a%3D%3D",
		  "https://s3.example/b?sig=a%3D%3D" },
		{ "https://r.example/v2/a", "//evil.example/x", "https://evil.example/x" },
		{ "http://[::1]:5000/v2/", "x", "http://[::1]:5000/v2/x" },
		{ "https://r.example/a", "b#frag", "https://r.example/b" },
	};
	static const char *const bad[] = {
		"file:///etc/passwd", "gopher://x/",	    "https://user@x/",	"https://u:p@x/",
		"https://x/ y",	      "https://x/\r\nA: b", "https://x:99999/", "ftp://x/",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_url struct url url = { 0 };
		struct err err = ERR_INIT;

		if (url_resolve(cases[i].base, cases[i].reference, &url, &err) < 0)
			fail_msg("%s: %s", cases[i].reference, err.message);
		assert_string_equal(url.text, cases[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_url struct url url = { 0 };
		struct err err = ERR_INIT;

		if (url_resolve("https://r.example/", bad[i], &url, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void test_http__origins(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "https://x/a", "https://x:443/b", true },
		{ "https://X/a", "https://x/b", true },
		{ "https://x/", "http://x/", false },
		{ "https://x/", "https://x:444/", false },
		{ "https://x/", "https://x.y/", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_url struct url a = { 0 }, b = { 0 };
		struct err err = ERR_INIT;

		assert_int_equal(url_parse(cases[i].a, &a, &err), 0);
		assert_int_equal(url_parse(cases[i].b, &b, &err), 0);
		assert_int_equal(url_same_origin(&a, &b), cases[i].same);
	}
}

static void test_http__queries_are_not_shown(void **state)
{
	cleanup_url struct url url = { 0 };
	struct err err = ERR_INIT;
	cleanup_free char *shown = NULL;

	(void)state;
	assert_int_equal(url_parse("https://x:444/a/b?secret=1", &url, &err), 0);
	shown = url_shown(&url);
	assert_string_equal(shown, "x:444/a/b");
}

static void test_http__loopback_by_spelling(void **state)
{
	static const char *const yes[] = { "localhost",	   "localhost:5000", "127.0.0.1",
					   "127.1.2.3:80", "[::1]",	     "[::1]:5000",
					   "::1" };
	static const char *const no[] = { "localhost.x", "128.0.0.1", "127.0.0.1.x",  "[::2]",
					  "x",		 "127.1",     "localhostx:1", "[::1].x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (!url_host_is_loopback(yes[i]))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (url_host_is_loopback(no[i]))
			fail_msg("%s", no[i]);
}

static void test_http__guard_knows_addresses(void **state)
{
	static const struct {
		const char *ip;
		enum reach reach;
	} cases[] = {
		{ "8.8.8.8", REACH_PUBLIC },
		{ "10.1.2.3", REACH_PRIVATE },
		{ "172.16.0.1", REACH_PRIVATE },
		{ "172.32.0.1", REACH_PUBLIC },
		{ "192.168.1.1", REACH_PRIVATE },
		{ "100.64.0.1", REACH_PRIVATE },
		{ "127.0.0.1", REACH_LOOPBACK },
		{ "169.254.169.254", REACH_NEVER },
		{ "0.0.0.0", REACH_NEVER },
		{ "224.0.0.1", REACH_NEVER },
		{ "255.255.255.255", REACH_NEVER },
		{ "::1", REACH_LOOPBACK },
		{ "::", REACH_NEVER },
		{ "fe80::1", REACH_NEVER },
		{ "fd00::1", REACH_PRIVATE },
		{ "ff02::1", REACH_NEVER },
		{ "::ffff:127.0.0.1", REACH_LOOPBACK },
		{ "::ffff:169.254.169.254", REACH_NEVER },
		{ "64:ff9b::7f00:1", REACH_LOOPBACK },
		{ "2002:0a00:0001::", REACH_PRIVATE },
		{ "2001:4860:4860::8888", REACH_PUBLIC },
		{ "nonsense", REACH_NEVER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (guard_reach_text(cases[i].ip) != cases[i].reach)
			fail_msg("%s is %d", cases[i].ip, (int)guard_reach_text(cases[i].ip));
	assert_true(guard_allows(REACH_PUBLIC, REACH_PUBLIC));
	assert_false(guard_allows(REACH_PUBLIC, REACH_PRIVATE));
	assert_false(guard_allows(REACH_PRIVATE, REACH_LOOPBACK));
	assert_true(guard_allows(REACH_LOOPBACK, REACH_PRIVATE));
	assert_false(guard_allows(REACH_LOOPBACK, REACH_NEVER));
}

static void test_http__proxies_as_go_has_them(void **state)
{
	static const struct {
		const char *no_proxy, *url;
		bool proxied;
	} cases[] = {
		{ "", "https://x.example/", true },
		{ "", "https://localhost/", false },
		{ "", "https://127.0.0.1:5000/", false },
		{ "*", "https://x.example/", false },
		{ "x.example", "https://x.example/", false },
		{ "x.example", "https://sub.x.example/", false },
		{ "x.example", "https://notx.example/", true },
		{ ".x.example", "https://x.example/", true },
		{ ".x.example", "https://a.x.example/", false },
		{ "a, x.example:5000", "https://x.example:5000/", false },
		{ "x.example:5000", "https://x.example/", true },
		{ "10.0.0.0/8", "https://10.1.2.3/", false },
		{ "10.0.0.0/8", "https://11.1.2.3/", true },
		{ "10.0.0.0/33", "https://10.1.2.3/", true },
		{ "fd00::/8", "https://[fd00::1]/", false },
		{ "192.0.2.1", "https://192.0.2.1/", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_strv struct strv environment = STRV_INIT;
		cleanup_url struct url url = { 0 };
		struct err err = ERR_INIT;

		env_set(&environment, "HTTPS_PROXY", "http://proxy:3128");
		env_set(&environment, "NO_PROXY", cases[i].no_proxy);
		assert_int_equal(url_parse(cases[i].url, &url, &err), 0);
		if ((proxy_for(&environment, &url) != NULL) != cases[i].proxied)
			fail_msg("%s with %s", cases[i].url, cases[i].no_proxy);
	}
}

static void test_http__retry_after(void **state)
{
	static const struct {
		const char *header;
		bool ok;
		uint64_t ms;
	} cases[] = {
		{ NULL, false, 0 },
		{ "", false, 0 },
		{ "5", true, 5000 },
		{ "0", true, 0 },
		{ "soon", false, 0 },
		{ "5x", false, 0 },
		{ "-1", false, 0 },
		{ "1000000000000000000000", true, UINT64_C(1) << 40 },
		{ "Thu, 01 Jan 1970 00:16:50 GMT", true, 10000 },
		{ "Thu, 01 Jan 1970 00:00:01 GMT", true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t ms = 0;

		assert_int_equal(retry_after_ms(cases[i].header, 1000, &ms), cases[i].ok);
		assert_int_equal(ms, cases[i].ms);
	}
	for (unsigned n = 0; n < 40; n++)
		assert_in_range(retry_backoff_ms(n), 800, 36000);
	assert_true(retry_status(503));
	assert_false(retry_status(404));
}

static void refuse(int status, const char *body, struct err *err)
{
	cleanup_response struct http_response response;

	http_response_init(&response);
	response.status = status;
	assert_int_equal(url_parse("https://r.example/v2/a/manifests/x?ns=y", &response.url, err),
			 0);
	buf_addstr(&response.body, body);
	assert_int_equal(answer_refuse("GET", &response, err), -1);
}

static void test_http__refusals_in_the_registrys_words(void **state)
{
	static const struct {
		int status;
		const char *body, *message;
		enum err_kind kind;
	} cases[] = {
		{ 404,
		  "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"unknown\","
		  "\"detail\":{\"Tag\":\"x\"}}]}",
		  "MANIFEST_UNKNOWN: unknown; {\"Tag\":\"x\"}", ERR_NOT_FOUND },
		{ 401,
		  "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"no\",\"detail\":null}]}",
		  "UNAUTHORIZED: no", ERR_DENIED },
		{ 401, "{\"details\":\"incorrect username or password\"}",
		  "incorrect username or password", ERR_DENIED },
		{ 500, "<html>oops</html>\n", "status 500: <html>oops</html>", ERR_FAILED },
		{ 404, "", "status 404", ERR_NOT_FOUND },
		{ 400, "{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[31mred\\u0007\\n\"}]}",
		  "X: ?[31mred? ", ERR_FAILED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *want =
			xasprintf("GET r.example/v2/a/manifests/x: %s", cases[i].message);
		struct err err = ERR_INIT;

		refuse(cases[i].status, cases[i].body, &err);
		assert_string_equal(err.message, want);
		assert_int_equal(err.kind, cases[i].kind);
	}
}

static void test_http__text_for_terminals(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *safe;
	} cases[] = {
		{ "plain", 10, "plain" },
		{ "plain", 3, "pla" },
		{ "a\x1b[0mb", 10, "a?[0mb" },
		{ "\xc3\xa9t\xc3\xa9", 10, "\xc3\xa9t\xc3\xa9" },
		{ "\xc3\xa9", 1, "" },
		{ "a\xff\xfe", 10, "a??" },
		{ "\xc2\x9b"
		  "31m",
		  10, "??31m" },
		{ "a\nb\tc\x7f", 10, "a b c?" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *text = xstrdup(cases[i].text);

		assert_string_equal(answer_sanitise(text, cases[i].max), cases[i].safe);
	}
}

static void test_http__headers_are_found(void **state)
{
	cleanup_response struct http_response response;

	(void)state;
	http_response_init(&response);
	strv_add(&response.headers, "Content-Type:  text/html");
	strv_add(&response.headers, "Content-Type-Options: x");
	assert_string_equal(http_header(&response, "content-type"), "text/html");
	assert_null(http_header(&response, "content"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http__urls_resolve),
		cmocka_unit_test(test_http__origins),
		cmocka_unit_test(test_http__queries_are_not_shown),
		cmocka_unit_test(test_http__loopback_by_spelling),
		cmocka_unit_test(test_http__guard_knows_addresses),
		cmocka_unit_test(test_http__proxies_as_go_has_them),
		cmocka_unit_test(test_http__retry_after),
		cmocka_unit_test(test_http__refusals_in_the_registrys_words),
		cmocka_unit_test(test_http__text_for_terminals),
		cmocka_unit_test(test_http__headers_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
