/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dockerfile-parser/dockerfile.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

static const char *source_root(void)
{
	const char *root = getenv("srcdir");

	return root ? root : ".";
}

/* The file's text, or NULL when there is no such file. */
static char *read_golden(const char *name, const char *file, size_t *ret_len)
{
	cleanup_free char *path =
		xasprintf("%s/testdata/dockerfile/%s/%s", source_root(), name, file);
	FILE *stream = fopen(path, "re");
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;

	if (!stream)
		return NULL;
	len = getdelim(&text, &cap, '\0', stream);
	fclose(stream);
	if (len < 0)
		len = 0;
	*ret_len = (size_t)len;
	return text;
}

static void check_tree(const char *name, const struct dockerfile *file)
{
	json_t *got = dockerfile_to_json(file), *want;
	json_error_t error;
	size_t len;
	cleanup_free char *text = read_golden(name, "ast.json", &len);

	if (!text)
		fail_msg("%s: parses, but there is no ast.json", name);
	want = json_loadb(text, len, 0, &error);
	if (!want)
		fail_msg("%s: ast.json: %s", name, error.text);
	if (!json_equal(got, want)) {
		json_dumpf(got, stderr, JSON_INDENT(1));
		fail_msg("%s: not the tree of ast.json", name);
	}
	json_decref(got);
	json_decref(want);
}

static void check_failure(const char *name, const struct err *err)
{
	cleanup_free char *want = NULL, *got = xasprintf("%s\n", err->message);
	size_t len;

	want = read_golden(name, "error.txt", &len);
	if (!want)
		fail_msg("%s: %s", name, err->message);
	assert_string_equal(got, want);
}

static void check_case(const char *name)
{
	struct dockerfile *file;
	struct err err = ERR_INIT;
	size_t len;
	cleanup_free char *text = read_golden(name, "Dockerfile", &len);

	assert_non_null(text);
	if (dockerfile_parse("Dockerfile", text, len, &file, &err) < 0) {
		check_failure(name, &err);
		return;
	}
	check_tree(name, file);
	dockerfile_free(file);
}

/* Whether it is there to be built (tests/e2e/dockerfiles.sh), not to be parsed here. */
static bool is_built(const char *name)
{
	static const char *const marks[] = { "expect", "expect-error" };
	bool built = false;

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		cleanup_free char *path = xasprintf("%s/testdata/dockerfile/%s/%s", source_root(),
						    name, marks[i]);

		built |= access(path, F_OK) == 0;
	}
	return built;
}

static void test_parse__golden_cases(void **state)
{
	cleanup_free char *path = xasprintf("%s/testdata/dockerfile", source_root());
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || is_built(entry->d_name))
			continue;
		check_case(entry->d_name);
		n++;
	}
	closedir(dir);
	assert_true(n >= 20);
}

static struct dockerfile *parse(const char *text)
{
	struct dockerfile *file = NULL;
	struct err err = ERR_INIT;

	if (dockerfile_parse("Dockerfile", text, strlen(text), &file, &err) < 0)
		fail_msg("%s", err.message);
	return file;
}

/* Parse, and drop from the tree what differs with layout: positions and comments. */
static json_t *shape(const char *text)
{
	struct dockerfile *file = parse(text);
	json_t *tree = dockerfile_to_json(file), *item, *arg;
	size_t i, j;

	json_array_foreach(json_object_get(tree, "instructions"), i, item)
	{
		json_object_del(item, "start");
		json_object_del(item, "end");
		json_object_del(item, "comments");
		json_array_foreach(json_object_get(item, "args"), j, arg)
		{
			json_object_del(arg, "start");
			json_object_del(arg, "end");
		}
	}
	dockerfile_free(file);
	return tree;
}

static void test_parse__layout_does_not_matter(void **state)
{
	json_t *a = shape("FROM a AS b\nENV x=1 y=2\nCOPY --from=b c d\nONBUILD WORKDIR /x\n");
	json_t *b = shape("\xef\xbb\xbf# hello\n\n  from a   AS \\\n  b\r\nEnv \\\n # in between\n"
			  "\n  x=1 \\\n\ty=2\n\nCOPY   --from=b\tc\td   \n# z\nONBUILD \\\n"
			  "WORKDIR /x");

	(void)state;
	if (!json_equal(a, b)) {
		json_dumpf(a, stderr, 0);
		json_dumpf(b, stderr, 0);
		fail_msg("the trees differ");
	}
	json_decref(a);
	json_decref(b);
}

/* text of an instruction, put through the parser again, gives the same. */
static void test_parse__text_parses_again(void **state)
{
	struct dockerfile *file = parse("FROM a\nONBUILD  RUN a \\\n  b <<-EOF c\n\tx\nEOF\n"
					"COPY <<'a' /b\n$c\na\n");
	const struct instruction *run = file->instructions[1].trigger;
	const struct instruction *copy = &file->instructions[2];
	struct instruction *again;
	struct err err = ERR_INIT;

	(void)state;
	assert_string_equal(run->text, "RUN a   b <<-EOF c\n\tx\nEOF");
	assert_int_equal(dockerfile_parse_trigger(file, run->text, &again, &err), 0);
	assert_string_equal(again->text, run->text);
	assert_string_equal(again->heredocs[0].content, "x\n");
	assert_string_equal(again->heredocs[0].raw, "\tx\n");
	assert_string_equal(copy->text, "COPY <<'a' /b\n$c\na");
	assert_ptr_equal(copy->args[0].heredoc, &copy->heredocs[0]);
	assert_null(copy->args[1].heredoc);
	assert_false(copy->heredocs[0].expand);
	dockerfile_free(file);
}

static const struct failure {
	const char *line;
	const char *message; /* its first line, after the position */
} failures[] = {
	{ "FROM", "1:1: FROM requires either one or three arguments" },
	{ "FROM a b", "1:6: FROM requires either one or three arguments" },
	{ "FROM a b c", "1:6: FROM requires either one or three arguments" },
	{ "FROM a AS 1x", "1:11: invalid name for build stage: \"1x\", name can't start with a "
			  "number or contain symbols" },
	{ "FROM a AS x/y", "1:11: invalid name for build stage: \"x/y\"" },
	{ "FROM --platfrom=x a", "1:6: unknown flag: --platfrom (did you mean --platform?)" },
	{ "FROM --platform a", "1:6: missing a value on flag: --platform" },
	{ "FROM --platform=a --platform=b a", "1:19: duplicate flag specified: --platform" },
	{ "COPY a", "1:1: COPY requires at least two arguments, but only one was provided. "
		    "Destination could not be determined" },
	{ "ADD", "1:1: ADD requires at least two arguments" },
	{ "COPY --link= a b", "1:6: missing a value on flag: --link" },
	{ "COPY --link=yes a b", "1:6: expecting boolean value for flag --link, not: yes" },
	{ "COPY --checksum=x a b", "1:6: unknown flag: --checksum" },
	{ "ADD --from=x a b", "1:5: unknown flag: --from" },
	{ "ADD --parents a b", "1:5: unknown flag: --parents" },
	{ "COPY --from=$x a b", "1:6: variable expansion is not supported for --from" },
	{ "COPY a <<b\nb", "1:8: COPY cannot accept a heredoc as a destination" },
	{ "COPY <<a it's\na", "1:6: this heredoc has no body" },
	{ "RUN --mount=type=cache,x\\\"y a", "1:5: failed to parse csv mounts: bare \"" },
	{ "RUN --mount= a", "1:5: failed to parse csv mounts: empty list" },
	{ "RUN --mount=from=$x,target=/y a", "1:5: 'from' doesn't support variable expansion" },
	{ "RUN --network=hots a", "1:5: network mode \"hots\" is not valid (did you mean host?)" },
	{ "RUN --security=x a", "1:5: security \"x\" is not valid" },
	{ "RUN --device=x a", "1:5: unknown flag: --device" },
	{ "RUN --", NULL },
	{ "CMD --x", "1:5: unknown flag: --x" },
	{ "STOPSIGNAL --x SIGTERM", "1:12: unknown flag: --x" },
	{ "ENV", "1:1: ENV requires at least one argument" },
	{ "ENV a", "1:5: ENV must have two arguments" },
	{ "ENV a=b c",
	  "1:9: syntax error - can't find = in \"c\". Must be of the form: name=value" },
	{ "ENV =b", "1:5: ENV names can not be blank" },
	{ "LABEL", "1:1: LABEL requires at least one argument" },
	{ "LABEL a=b =c", "1:11: LABEL names can not be blank" },
	{ "ARG", "1:1: ARG requires at least one argument" },
	{ "ARG =b", "1:5: ARG names can not be blank" },
	{ "EXPOSE", "1:1: EXPOSE requires at least one argument" },
	{ "VOLUME", "1:1: VOLUME requires at least one argument" },
	{ "VOLUME []", "1:1: VOLUME requires at least one argument" },
	{ "VOLUME [\" \"]", "1:9: VOLUME specified can not be an empty string" },
	{ "WORKDIR", "1:1: WORKDIR requires exactly one argument" },
	{ "USER", "1:1: USER requires exactly one argument" },
	{ "STOPSIGNAL", "1:1: STOPSIGNAL requires exactly one argument" },
	{ "MAINTAINER", "1:1: MAINTAINER requires exactly one argument" },
	{ "SHELL", "1:1: SHELL requires at least one argument" },
	{ "SHELL []", "1:1: SHELL requires at least one argument" },
	{ "SHELL bash", "1:7: SHELL requires the arguments to be in JSON form" },
	{ "HEALTHCHECK", "1:1: HEALTHCHECK requires at least one argument" },
	{ "HEALTHCHECK NONE x", "1:18: HEALTHCHECK NONE takes no arguments" },
	{ "HEALTHCHECK --retries=1 NONE", "1:13: HEALTHCHECK NONE takes no flags" },
	{ "HEALTHCHECK curl x", "1:13: Unknown type \"curl\" in HEALTHCHECK (try CMD)" },
	{ "HEALTHCHECK CMD", "1:13: Missing command after HEALTHCHECK CMD" },
	{ "HEALTHCHECK CMD []", "1:13: Missing command after HEALTHCHECK CMD" },
	{ "HEALTHCHECK --interval=5 CMD x",
	  "1:13: invalid duration \"5\": expected numbers with units, such as 30s or 1m30s" },
	{ "HEALTHCHECK --interval=1us CMD x",
	  "1:13: Interval \"interval\" cannot be less than 1ms" },
	{ "HEALTHCHECK --timeout=-1s CMD x", "1:13: Interval \"timeout\" cannot be less than 1ms" },
	{ "HEALTHCHECK --retries=-1 CMD x", "1:13: --retries cannot be negative (-1)" },
	{ "HEALTHCHECK --retries=x CMD x", "1:13: --retries is not a number: x" },
	{ "HEALTHCHECK --retries=2147483648 CMD x", "1:13: --retries is out of range" },
	{ "HEALTHCHECK --retries=0 --interval=0 CMD x", NULL },
	{ "ONBUILD", "1:1: ONBUILD requires at least one argument" },
	{ "ONBUILD ONBUILD RUN x", "1:9: chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed" },
	{ "ONBUILD from a", "1:9: FROM isn't allowed as an ONBUILD trigger" },
	{ "ONBUILD MAINTAINER a", "1:9: MAINTAINER isn't allowed as an ONBUILD trigger" },
	{ "ONBUILD COPY a", "1:9: COPY requires at least two arguments" },
	{ "ONBUILD CPOY a b", "1:9: unknown instruction \"CPOY\" (did you mean COPY?)" },
	{ "RUN [\"a\", [\"b\"]]", "1:11: when using JSON array syntax, arrays must be comprised" },
	{ "RUN [\"a\", null]", "1:11: when using JSON array syntax" },
	{ "RUN [\"a\\u0000\"]", "1:6: a NUL character in an argument" },
	{ "RUN [1, ]", NULL },
	{ "RUN [01]", NULL },
	{ "RUN [\"a\",]", NULL },
	{ "RUN [\"a\\x\"]", NULL },
	{ "RUN [\"a\"", NULL },
	{ "\\", "1:1: unknown instruction \"\"" },
	{ "// syntax=x", "1:1: unknown instruction \"//\"" },
};

static void test_parse__refuses_what_buildkit_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		const struct failure *row = &failures[i];
		struct dockerfile *file;
		struct err err = ERR_INIT;
		int got = dockerfile_parse("D", row->line, strlen(row->line), &file, &err);

		if (got == 0)
			dockerfile_free(file);
		if ((got == 0) != !row->message)
			fail_msg("%s: %s", row->line, got ? err.message : "accepted");
		if (row->message &&
		    strncmp(err.message + 2, row->message, strlen(row->message)) != 0)
			fail_msg("%s: %s", row->line, err.message);
	}
}

static void test_parse__stages(void **state)
{
	static const struct row {
		const char *text;
		const char *message;
	} rows[] = {
		{ "ARG a\nFROM a\nRUN b", NULL },
		{ "ARG a\nRUN b\nFROM a", "Dockerfile:2:1: no build stage in current context" },
		{ "ARG a", "Dockerfile: contains no stages to build (no FROM)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dockerfile *file = parse(rows[i].text);
		struct err err = ERR_INIT;
		int got = dockerfile_check_stages(file, &err);

		assert_int_equal(got, rows[i].message ? -1 : 0);
		if (rows[i].message)
			assert_memory_equal(err.message, rows[i].message, strlen(rows[i].message));
		dockerfile_free(file);
	}
}

static void check_trigger(const char *text, const char *message)
{
	struct dockerfile *file = parse("FROM a");
	struct instruction *instruction;
	struct err err = ERR_INIT;

	assert_int_equal(dockerfile_parse_trigger(file, text, &instruction, &err), -1);
	assert_memory_equal(err.message, message, strlen(message));
	dockerfile_free(file);
}

static void test_parse__triggers(void **state)
{
	(void)state;
	check_trigger("FROM a", "ONBUILD trigger:1:1: FROM isn't allowed as an ONBUILD trigger");
	check_trigger("ONBUILD RUN a", "ONBUILD trigger:1:1: ONBUILD isn't allowed");
	check_trigger("RUN a\nRUN b", "ONBUILD trigger:2:1: onbuild trigger should be a single");
	check_trigger("", "ONBUILD trigger:1:1: file with no instructions");
}

static void test_parse__limits_stages(void **state)
{
	size_t len = 7 * (DOCKERFILE_STAGES_MAX + 1);
	cleanup_free char *text = xmalloc(len);
	struct dockerfile *file;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < len; i += 7)
		memcpy(text + i, "FROM a\n", 7);
	assert_int_equal(dockerfile_parse("D", text, len, &file, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(dockerfile_parse("D", text, len - 7, &file, &err), 0);
	assert_int_equal(file->n_instructions, DOCKERFILE_STAGES_MAX);
	dockerfile_free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__golden_cases),
		cmocka_unit_test(test_parse__layout_does_not_matter),
		cmocka_unit_test(test_parse__text_parses_again),
		cmocka_unit_test(test_parse__refuses_what_buildkit_refuses),
		cmocka_unit_test(test_parse__stages),
		cmocka_unit_test(test_parse__triggers),
		cmocka_unit_test(test_parse__limits_stages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
