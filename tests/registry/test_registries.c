/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/buf.h"
#include "registry/reference.h"
#include "registry/registries.h"

static const char conf[] = "unqualified-search-registries = ['docker.io']\n"
			   "[[registry]]\n"
			   "prefix = 'docker.io'\n"
			   "location = 'docker.io'\n"
			   "[[registry.mirror]]\n"
			   "location = 'localhost:5000'\n"
			   "insecure = true\n"
			   "[[registry.mirror]]\n"
			   "location = 'mirror.example/hub'\n"
			   "pull-from-mirror = 'digest-only'\n"
			   "[[registry]]\n"
			   "prefix = 'docker.io/library/ubuntu'\n"
			   "location = 'ubuntu.example/u'\n"
			   "[[registry]]\n"
			   "location = 'bad.example'\n"
			   "blocked = true\n"
			   "[[registry]]\n"
			   "prefix = '*.wild.example'\n"
			   "insecure = true\n";

static const struct {
	const char *name;
	bool push;
	const char *places; /* host repository [insecure] [mirror]; ... */
} cases[] = {
	{ "alpine", false,
	  "localhost:5000 library/alpine insecure mirror;registry-1.docker.io library/alpine;" },
	{ "alpine@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false,
	  "localhost:5000 library/alpine insecure mirror;mirror.example hub/library/alpine mirror;"
	  "registry-1.docker.io library/alpine;" },
	{ "alpine", true, "registry-1.docker.io library/alpine;" },
	{ "ubuntu:20.04", false, "ubuntu.example u;" },
	{ "ubuntux", false,
	  "localhost:5000 library/ubuntux insecure mirror;registry-1.docker.io library/ubuntux;" },
	{ "a.b.wild.example/x", false, "a.b.wild.example x insecure;" },
	{ "wild.example/x", false, "wild.example x;" },
	{ "other.example:444/x/y", false, "other.example:444 x/y;" },
	{ "bad.example.org/x", false, "bad.example.org x;" },
};

static struct registries *load(const char *text, struct err *err)
{
	struct registries *registries = registries_new();

	if (registries_add(registries, "f", text, strlen(text), err) == 0)
		return registries;
	registries_free(registries);
	return NULL;
}

static char *describe(const struct places *places)
{
	struct buf buf;

	buf_init(&buf, 4096);
	for (size_t i = 0; i < places->n; i++)
		buf_addf(&buf, "%s %s%s%s;", places->items[i].host, places->items[i].repository,
			 places->items[i].insecure ? " insecure" : "",
			 places->items[i].mirror ? " mirror" : "");
	return buf_steal(&buf);
}

static void test_registries__places(void **state)
{
	struct err err = ERR_INIT;
	struct registries *registries = load(conf, &err);

	(void)state;
	assert_non_null(registries);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_places struct places places = { 0 };
		cleanup_free char *text = NULL;
		struct reference reference;

		assert_int_equal(reference_parse(cases[i].name, &reference, &err), 0);
		assert_int_equal(
			registries_places(registries, &reference, cases[i].push, &places, &err), 0);
		text = describe(&places);
		assert_string_equal(text, cases[i].places);
	}
	registries_free(registries);
}

static void test_registries__blocked(void **state)
{
	struct err err = ERR_INIT;
	struct registries *registries = load(conf, &err);
	struct places places = { 0 };
	struct reference reference;

	(void)state;
	assert_int_equal(reference_parse("bad.example/x", &reference, &err), 0);
	assert_int_equal(registries_places(registries, &reference, false, &places, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_string_equal(err.message, "registry bad.example is blocked in f");
	registries_free(registries);
}

static void test_registries__later_files_replace_by_prefix(void **state)
{
	static const char more[] = "[[registry]]\nprefix='docker.io'\nlocation='local.example'\n";
	struct err err = ERR_INIT;
	struct registries *registries = load(conf, &err);
	cleanup_places struct places places = { 0 };
	struct reference reference;

	(void)state;
	assert_int_equal(registries_add(registries, "g", more, strlen(more), &err), 0);
	assert_int_equal(reference_parse("alpine", &reference, &err), 0);
	assert_int_equal(registries_places(registries, &reference, false, &places, &err), 0);
	assert_int_equal(places.n, 1);
	assert_string_equal(places.items[0].host, "local.example");
	registries_free(registries);
}

static void test_registries__refuses(void **state)
{
	static const char *const texts[] = {
		"[registries.search]\nregistries = ['x']",
		"[[registry]]\ninsecure = true",
		"[[registry]]\nlocation = 'https://x'",
		"[[registry]]\nlocation = 1",
		"[[registry]]\nlocation = 'x'\nblocked = 'no'",
		"registry = 1",
		"[[registry]]\nlocation='x'\n[[registry.mirror]]\npull-from-mirror='some'",
		"[[registry]]\nlocation='x'\n[[registry.mirror]]\ninsecure=true",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct err err = ERR_INIT;

		if (load(texts[i], &err))
			fail_msg("accepted: %s", texts[i]);
		assert_non_null(strstr(err.message, "f"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registries__places),
		cmocka_unit_test(test_registries__blocked),
		cmocka_unit_test(test_registries__later_files_replace_by_prefix),
		cmocka_unit_test(test_registries__refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
