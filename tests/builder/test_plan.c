/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dockerfile, build arguments, target and platform in; stages, or where it is wrong, out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "builder/internal.h"

struct plan_case {
	const char *name;
	const char *text;
	const char *build_args[4];
	const char *target;
	/* a line for each stage: "number:name base platform steps", "*" before what is needed, ">"
	 * before the target; then "unused: NAME" lines. NULL: an error that holds `error` */
	const char *expected;
	const char *error;
};

static const struct plan_case cases[] = {
	/* stages */
	{ "one stage", "FROM a\nRUN x\nENV a=b", .expected = ">0: a linux/amd64 2\n" },
	{ "names are lower case", "FROM a AS Base\nFROM base AS x",
	  .expected = "*0:base a linux/amd64 0\n>1:x =0 linux/amd64 0\n" },
	{ "FROM knows them in lower case alone", "FROM a AS Base\nFROM bASE AS x",
	  .expected = " 0:base a linux/amd64 0\n>1:x bASE linux/amd64 0\n" },
	{ "scratch", "FROM scratch\nCOPY a b", .expected = ">0: - linux/amd64 1\n" },
	{ "a number is no stage in FROM", "FROM a\nFROM 0",
	  .expected = " 0: a linux/amd64 0\n>1: 0 linux/amd64 0\n" },
	{ "a later stage is no base", "FROM b AS a\nFROM c AS b",
	  .expected = " 0:a b linux/amd64 0\n>1:b c linux/amd64 0\n" },
	{ "the nearest of equal names", "FROM a AS x\nFROM b AS x\nFROM x",
	  .expected = " 0:x a linux/amd64 0\n*1:x b linux/amd64 0\n>2: =1 linux/amd64 0\n" },
	{ "a bad name", "FROM a AS 1x", .error = "Dockerfile:1:11: invalid name" },
	{ "nothing before FROM but ARG", "RUN x\nFROM a", .error = "Dockerfile:1:1: " },
	{ "no stage", "ARG a", .error = "no FROM" },
	/* what is needed */
	{ "only what the target needs",
	  "FROM a AS a\nFROM b AS b\nFROM c AS c\nFROM a\nCOPY --from=b / /",
	  .expected = "*0:a a linux/amd64 0\n*1:b b linux/amd64 0\n 2:c c linux/amd64 0\n"
		      ">3: =0 linux/amd64 1\n" },
	{ "COPY --from by number", "FROM a\nFROM b\nFROM c\nCOPY --from=1 / /",
	  .expected = " 0: a linux/amd64 0\n*1: b linux/amd64 0\n>2: c linux/amd64 1\n" },
	{ "a mount needs its stage",
	  "FROM a AS a\nFROM b AS b\nFROM c\nRUN --mount=from=a,target=/x y",
	  .expected = "*0:a a linux/amd64 0\n 1:b b linux/amd64 0\n>2: c linux/amd64 1\n" },
	{ "needs of needs",
	  "FROM a AS a\nFROM b AS b\nCOPY --from=a / /\nFROM c\nCOPY --from=b / /",
	  .expected = "*0:a a linux/amd64 0\n*1:b b linux/amd64 1\n>2: c linux/amd64 1\n" },
	/* the target */
	{ "target by name", "FROM a AS a\nFROM b AS b", .target = "A",
	  .expected = ">0:a a linux/amd64 0\n 1:b b linux/amd64 0\n" },
	{ "target by number", "FROM a\nFROM b", .target = "0",
	  .expected = ">0: a linux/amd64 0\n 1: b linux/amd64 0\n" },
	{ "no such target", "FROM a AS test\nFROM b", .target = "tset",
	  .error = "target stage \"tset\" could not be found (did you mean test?)" },
	{ "no such number", "FROM a\nFROM b", .target = "2", .error = "could not be found" },
	/* global ARGs */
	{ "a default", "ARG V=1\nFROM a:$V", .expected = ">0: a:1 linux/amd64 0\n" },
	{ "--build-arg wins", "ARG V=1\nFROM a:$V", .build_args = { "V=2" },
	  .expected = ">0: a:2 linux/amd64 0\n" },
	{ "an ARG sees those before it", "ARG A=1\nARG B=${A}2 C=$B\nFROM a:$C",
	  .expected = ">0: a:12 linux/amd64 0\n" },
	{ "an ARG of a stage is not seen", "FROM a\nARG V=1\nFROM b:${V:-none}",
	  .expected = " 0: a linux/amd64 1\n>1: b:none linux/amd64 0\n" },
	{ "an ARG replaces a platform ARG",
	  "ARG TARGETARCH=x\nARG B=$TARGETARCH\nFROM a:$B-$TARGETARCH",
	  .expected = ">0: a:x-x linux/amd64 0\n" },
	{ "--build-arg replaces a platform ARG", "FROM a:$TARGETARCH",
	  .build_args = { "TARGETARCH=y" }, .expected = ">0: a:y linux/amd64 0\n" },
	{ "a blank base", "ARG V\nFROM $V",
	  .error = "Dockerfile:2:6: base name ($V) should not be blank" },
	{ "a required ARG", "FROM a:${V:?which?}", .error = "Dockerfile:1:6: " },
	{ "a stage by an ARG", "ARG V=b\nFROM a AS b\nFROM $V",
	  .expected = "*0:b a linux/amd64 0\n>1: =0 linux/amd64 0\n" },
	/* platforms */
	{ "--platform", "FROM --platform=linux/arm64 a", .expected = ">0: a linux/arm64 0\n" },
	{ "--platform of an ARG", "ARG P=arm64\nFROM --platform=$P a",
	  .expected = ">0: a linux/arm64 0\n" },
	{ "TARGETPLATFORM", "FROM --platform=$TARGETPLATFORM a",
	  .expected = ">0: a linux/amd64 0\n" },
	{ "scratch has the target's", "FROM --platform=linux/arm64 scratch",
	  .expected = ">0: - linux/amd64 0\n" },
	{ "a stage has its base's", "FROM --platform=arm64 a AS b\nFROM --platform=amd64 b",
	  .expected = "*0:b a linux/arm64 0\n>1: =0 linux/arm64 0\n" },
	{ "an empty --platform", "FROM --platform=$NONE a",
	  .error = "Dockerfile:1:6: empty platform value from expression $NONE" },
	{ "a bad --platform", "FROM --platform=a/b/c/d a", .error = "Dockerfile:1:6: " },
	/* --build-arg that nothing declares */
	{ "unused", "ARG A\nFROM a\nARG B", .build_args = { "A=1", "B=1", "C=1" },
	  .expected = ">0: a linux/amd64 1\nunused: C\n" },
	{ "predefined ones are used", "FROM a",
	  .build_args = { "http_proxy=x", "BUILDKIT_INLINE_CACHE=1", "TARGETOS=linux" },
	  .expected = ">0: a linux/amd64 0\n" },
};

static void describe(const struct plan *plan, struct buf *out)
{
	char platform[PLATFORM_TEXT_MAX];

	for (size_t i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];

		buf_addf(out, "%c%zu:%s ",
			 i == plan->target ? '>'
			 : stage->needed   ? '*'
					   : ' ',
			 stage->index, stage->name ? stage->name : "");
		if (stage->base == STAGE_BASE_STAGE)
			buf_addf(out, "=%zu", stage->base_stage);
		else
			buf_addstr(out,
				   stage->base == STAGE_BASE_SCRATCH ? "-" : stage->base_image);
		buf_addf(out, " %s %zu\n", platform_format(&stage->platform, platform),
			 stage->n_steps);
	}
	for (size_t i = 0; i < plan->unused_args.n; i++)
		buf_addf(out, "unused: %s\n", plan->unused_args.v[i]);
}

static void check(const struct plan_case *row)
{
	const struct platform platform = { .os = "linux", .architecture = "amd64" };
	cleanup_strv struct strv build_args = STRV_INIT;
	struct dockerfile *dockerfile = NULL;
	cleanup_buf struct buf got;
	struct err err = ERR_INIT;
	struct plan *plan = NULL;
	int status;

	buf_init(&got, 65536);
	for (size_t i = 0; i < 4 && row->build_args[i]; i++)
		strv_add(&build_args, row->build_args[i]);
	status = dockerfile_parse("Dockerfile", row->text, strlen(row->text), &dockerfile, &err);
	if (status == 0)
		status = plan_make(dockerfile, &build_args, row->target, &platform, &plan, &err);
	if (status == 0)
		describe(plan, &got);
	else
		buf_addstr(&got, err.message);
	if (status == 0 ? !row->expected || strcmp(got.data, row->expected)
			: !row->error || !strstr(got.data, row->error))
		fail_msg("%s: got\n%s", row->name, got.data);
	plan_free(plan);
	dockerfile_free(dockerfile);
}

static void test_plan__table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i]);
}

static void test_plan__find_stage_sees_only_what_is_above(void **state)
{
	static const char text[] = "FROM a AS x\nFROM b AS y\nFROM c AS x";
	const struct platform platform = { .os = "linux", .architecture = "amd64" };
	struct strv none = STRV_INIT;
	struct dockerfile *dockerfile;
	struct err err = ERR_INIT;
	struct plan *plan;
	size_t index;

	(void)state;
	assert_int_equal(dockerfile_parse("Dockerfile", text, sizeof(text) - 1, &dockerfile, &err),
			 0);
	assert_int_equal(plan_make(dockerfile, &none, NULL, &platform, &plan, &err), 0);
	assert_true(plan_find_stage(plan, "X", 3, &index) && index == 2);
	assert_true(plan_find_stage(plan, "x", 2, &index) && index == 0);
	assert_false(plan_find_stage(plan, "x", 0, &index));
	assert_false(plan_find_stage(plan, "y", 1, &index));
	assert_true(plan_find_stage(plan, "1", 2, &index) && index == 1);
	assert_false(plan_find_stage(plan, "2", 2, &index));
	assert_false(plan_find_stage(plan, "1x", 2, &index));
	assert_false(plan_find_stage(plan, "18446744073709551616", 2, &index));
	assert_false(plan_find_stage(plan, "", 2, &index));
	plan_free(plan);
	dockerfile_free(dockerfile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan__table),
		cmocka_unit_test(test_plan__find_stage_sees_only_what_is_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
