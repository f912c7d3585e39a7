/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * testdata/lint/<rule>/: in Dockerfile the rule says what expected.txt has, "line: message" each;
 * in Dockerfile.good it is silent. dockerignore, where there is one, is the ignore file.
 */
#include "dockerfile-parser/lint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "dockerfile-parser/lint_internal.h"
#include "base/strv.h"

#define ALL (LINT_BUILDKIT | LINT_HADOLINT | LINT_CBUILD)

static char *read_file(const char *rule, const char *file)
{
	const char *root = getenv("srcdir");
	cleanup_free char *path =
		xasprintf("%s/testdata/lint/%s/%s", root ? root : ".", rule, file);
	FILE *stream = fopen(path, "re");
	char *text = NULL;
	size_t cap = 0;

	if (!stream)
		return NULL;
	if (getdelim(&text, &cap, '\0', stream) < 0) {
		free(text);
		text = xstrdup("");
	}
	fclose(stream);
	return text;
}

/* known:1 and shell:1 are of the platform that is built for, foreign:1 is not. */
static bool find_base(void *arg, const char *name, struct lint_base *ret_base)
{
	*ret_base = (struct lint_base){ .env = arg, .platform = "linux/amd64" };
	if (!strcmp(name, "foreign:1"))
		ret_base->platform = "linux/arm64";
	else if (!strcmp(name, "shell:1"))
		ret_base->has_shell = true;
	else if (strcmp(name, "known:1") != 0)
		return false;
	return true;
}

static bool is_image_name(const char *name)
{
	size_t len = strlen(name);

	return len && name[len - 1] != ':';
}

/* What is given to lint beside the text. */
struct setting {
	const char *config, *ignore;
	const bool *stages;
	const char *build_arg;
};

static int try_lint(const char *text, const struct setting *setting,
		    struct lint_result **ret_result, struct err *err)
{
	cleanup_strv struct strv env = STRV_INIT, platforms = STRV_INIT, registries = STRV_INIT,
				 args = STRV_INIT;
	struct lint_inputs inputs = {
		.sets = ALL,
		.config = setting->config,
		.build_args = &args,
		.platform_args = &platforms,
		.registries = &registries,
		.stages = setting->stages,
		.base = find_base,
		.base_arg = &env,
		.is_image_name = is_image_name,
	};
	struct dockerfile *dockerfile;
	struct ignore *ignore = NULL;
	int status;

	strv_add(&env, "PATH=/bin");
	strv_add(&env, "GREETING=hi");
	strv_add(&platforms, "BUILDPLATFORM=linux/amd64");
	strv_add(&platforms, "BUILDARCH=amd64");
	strv_add(&platforms, "TARGETPLATFORM=linux/amd64");
	strv_add(&platforms, "TARGETARCH=amd64");
	strv_add(&registries, "registry.example:5000");
	strv_add(&registries, "docker.io");
	if (setting->build_arg)
		strv_add(&args, setting->build_arg);
	if (setting->ignore && ignore_parse(".dockerignore", setting->ignore,
					    strlen(setting->ignore), &ignore, err) < 0)
		fail_msg("%s", err->message);
	inputs.ignore = ignore;
	if (dockerfile_parse("Dockerfile", text, strlen(text), &dockerfile, err) < 0 ||
	    dockerfile_check_stages(dockerfile, err) < 0)
		fail_msg("%s", err->message);
	status = lint_run(dockerfile, &inputs, ret_result, err);
	ignore_free(ignore);
	dockerfile_free(dockerfile);
	return status;
}

/* "line: message" of one rule, or "rule" lines of all with NULL. */
static char *lint(const char *text, const char *rule, const struct setting *setting)
{
	struct err err = ERR_INIT;
	struct lint_result *result;
	struct buf out;

	if (try_lint(text, setting, &result, &err) < 0)
		fail_msg("%s", err.message);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < result->n_warnings; i++) {
		const struct lint_warning *warning = &result->warnings[i];

		if (!rule)
			buf_addf(&out, "%s\n", warning->rule->name);
		else if (!strcmp(warning->rule->name, rule))
			buf_addf(&out, "%u: %s\n", warning->range.start.line, warning->message);
	}
	lint_free(result);
	return buf_steal(&out);
}

/* Silenced by the directive itself, with "all" and by name, and an error when asked. */
static void check_directives(const char *rule, bool experimental, const char *bad,
			     const struct setting *plain)
{
	cleanup_free char *all = xasprintf("# check=skip=all\n%s", bad);
	cleanup_free char *named = xasprintf("# check=skip=%s;experimental=all\n%s", rule, bad);
	cleanup_free char *strict = xasprintf("# check=error=true;experimental=all\n%s", bad);
	cleanup_free char *by_all = lint(all, rule, plain), *by_name = lint(named, rule, plain);
	struct err err = ERR_INIT;
	struct lint_result *result;

	if (!experimental && *by_all)
		fail_msg("%s: skip=all, and it says\n%s", rule, by_all);
	if (*by_name)
		fail_msg("%s: skip=%s, and it says\n%s", rule, rule, by_name);
	assert_int_equal(try_lint(strict, plain, &result, &err), 0);
	assert_true(result->fail);
	assert_int_equal(lint_error(result, &err), -1);
	if (!strstr(err.message, rule))
		fail_msg("%s is not one of: %s", rule, err.message);
	lint_free(result);
}

static void check_rule(const char *rule, bool experimental)
{
	cleanup_free char *bad = read_file(rule, "Dockerfile");
	cleanup_free char *good = read_file(rule, "Dockerfile.good");
	cleanup_free char *want = read_file(rule, "expected.txt");
	cleanup_free char *ignore = read_file(rule, "dockerignore");
	cleanup_free char *skip = xasprintf("skip=%s;experimental=all", rule);
	const struct setting plain = { .ignore = ignore };
	const struct setting silenced = { .ignore = ignore, .config = skip };
	cleanup_free char *got = NULL, *none = NULL, *skipped = NULL;

	if (!bad || !good || !want || !*want)
		fail_msg("testdata/lint/%s is not complete", rule);
	got = lint(bad, rule, &plain);
	none = lint(good, rule, &plain);
	skipped = lint(bad, rule, &silenced);
	if (strcmp(got, want))
		fail_msg("%s says\n%sinstead of\n%s", rule, got, want);
	if (*none)
		fail_msg("%s says of Dockerfile.good\n%s", rule, none);
	if (*skipped)
		fail_msg("%s is skipped and says\n%s", rule, skipped);
	if (strncmp(bad, "# check=", 8) != 0)
		check_directives(rule, experimental, bad, &plain);
}

static bool find_rule(const char *name, unsigned wanted, bool *ret_experimental)
{
	const struct lint_rule *rule;
	unsigned set;

	for (size_t i = 0; (rule = lint_rule_at(i, &set, ret_experimental)); i++)
		if (set == wanted && !strcmp(rule->name, name))
			return true;
	return false;
}

/* The set has these rules, and no others. */
static void check_set(unsigned wanted, const char *const *names, size_t n)
{
	bool experimental;
	unsigned set;
	size_t seen = 0;

	for (size_t i = 0; lint_rule_at(i, &set, &experimental); i++)
		seen += set == wanted;
	assert_int_equal(seen, n);
	for (size_t i = 0; i < n; i++) {
		if (!find_rule(names[i], wanted, &experimental))
			fail_msg("there is no rule %s", names[i]);
		check_rule(names[i], experimental);
	}
}

static void test_lint__buildkit_checks(void **state)
{
	static const char *const names[] = {
		"ConsistentInstructionCasing",
		"CopyIgnoredFile",
		"DuplicateStageName",
		"ExposeInvalidFormat",
		"ExposeProtoCasing",
		"FromAsCasing",
		"FromPlatformFlagConstDisallowed",
		"InvalidBaseImagePlatform",
		"InvalidDefaultArgInFrom",
		"InvalidDefinitionDescription",
		"JSONArgsRecommended",
		"LegacyKeyValueFormat",
		"MaintainerDeprecated",
		"MultipleInstructionsDisallowed",
		"NoEmptyContinuation",
		"RedundantTargetPlatform",
		"ReservedStageName",
		"SecretsUsedInArgOrEnv",
		"StageNameCasing",
		"UndefinedArgInFrom",
		"UndefinedVar",
		"WorkdirRelativePath",
	};

	(void)state;
	check_set(LINT_BUILDKIT, names, ARRAY_SIZE(names));
}

static void test_lint__hadolint_rules(void **state)
{
	static const char *const names[] = {
		"DL3002", "DL3003", "DL3004", "DL3006", "DL3007", "DL3008", "DL3009",
		"DL3013", "DL3014", "DL3015", "DL3016", "DL3018", "DL3019", "DL3020",
		"DL3021", "DL3022", "DL3023", "DL3025", "DL3026", "DL3027", "DL3028",
		"DL3033", "DL3042", "DL3044", "DL3045", "DL3046", "DL3059", "DL3060",
		"DL3062", "DL3064", "DL3066", "DL3067", "DL4001", "DL4006",
	};

	(void)state;
	check_set(LINT_HADOLINT, names, ARRAY_SIZE(names));
}

static void test_lint__own_rules(void **state)
{
	static const char *const names[] = {
		"ArgBeforeUnrelatedRun", "ChmodOfParents",	"CopyBeforeDependencies",
		"CopySourceExcluded",	 "DeletedInLaterLayer", "LinkWithChmod",
		"MeansSomethingElse",
	};

	(void)state;
	check_set(LINT_CBUILD, names, ARRAY_SIZE(names));
}

static void assert_rules(const char *text, const struct setting *setting, const char *want)
{
	cleanup_free char *got = lint(text, NULL, setting);

	assert_string_equal(got, want);
}

#define BODY "FROM known:1\nMAINTAINER x\nENV a b\n"

static void test_lint__directive_skips(void **state)
{
	const struct setting none = { 0 };

	(void)state;
	assert_rules(BODY, &none, "MaintainerDeprecated\nLegacyKeyValueFormat\n");
	assert_rules("# check=skip=MaintainerDeprecated\n" BODY, &none, "LegacyKeyValueFormat\n");
	assert_rules("# check=skip=MaintainerDeprecated, LegacyKeyValueFormat;error=true\n" BODY,
		     &none, "");
	assert_rules("# check=skip=all\n" BODY, &none, "");
	assert_rules("# check=skip=Unknown\n" BODY, &none,
		     "MaintainerDeprecated\nLegacyKeyValueFormat\n");
}

static void test_lint__config_replaces_directive(void **state)
{
	const struct setting given = { .config = "skip=LegacyKeyValueFormat" };

	(void)state;
	assert_rules("# check=skip=all\n" BODY, &given, "MaintainerDeprecated\n");
}

static void test_lint__comments_skip_one_instruction(void **state)
{
	const struct setting none = { 0 };

	(void)state;
	assert_rules("FROM known:1\n# check=skip=LegacyKeyValueFormat\nENV a b\nENV c d\n", &none,
		     "LegacyKeyValueFormat\n");
	assert_rules("FROM known:1\n# why\n# check=skip=all\nENV a b\n", &none, "");
	assert_rules("FROM known:1\n# check=skip=all\n\nENV a b\n", &none,
		     "LegacyKeyValueFormat\n");
	assert_rules("FROM known:1\n# check=nonsense\nENV a b\n", &none, "LegacyKeyValueFormat\n");
	assert_rules("FROM known:1\nCMD [\"a\"]\n# check=skip=MultipleInstructionsDisallowed\n"
		     "CMD [\"b\"]\n",
		     &none, "");
}

static void test_lint__hadolint_comments(void **state)
{
	const struct setting none = { 0 };

	(void)state;
	assert_rules("FROM known:1\nRUN sudo x\n", &none, "DL3004\n");
	assert_rules("FROM known:1\n# hadolint ignore=DL3003,DL3004\nRUN sudo x\n", &none, "");
	assert_rules("FROM known:1\n#hadolint ignore = DL3003\nRUN sudo x\n", &none, "DL3004\n");
	assert_rules("# hadolint global ignore=DL3004\nFROM known:1\nRUN sudo x\n", &none, "");
}

static void test_lint__experimental_rules_are_asked_for(void **state)
{
	const struct setting none = { 0 };
	const char *body = "# other words\nFROM known:1 AS x\n";
	cleanup_free char *all = xasprintf("# check=experimental=all\n%s", body);
	cleanup_free char *named =
		xasprintf("# check=experimental=InvalidDefinitionDescription;skip=all\n%s", body);

	(void)state;
	assert_rules(body, &none, "");
	assert_rules(all, &none, "InvalidDefinitionDescription\n");
	assert_rules(named, &none, "InvalidDefinitionDescription\n");
}

static void check_bad_config(const char *config, const char *want)
{
	const struct setting setting = { .config = config };
	struct err err = ERR_INIT;
	struct lint_result *result;

	assert_int_equal(try_lint("FROM scratch\n", &setting, &result, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	if (!strstr(err.message, want))
		fail_msg("%s", err.message);
}

static void test_lint__wrong_options_are_refused(void **state)
{
	(void)state;
	check_bad_config("nonsense", "invalid check option \"nonsense\"");
	check_bad_config("skp=all", "invalid check option \"skp\"");
	check_bad_config("error=perhaps", "\"error=perhaps\"");
	check_bad_config("skip=a;skip=b;error=true;skip=c", "\"error=true;skip=c\"");
}

static void test_lint__error_is_told(void **state)
{
	const struct setting setting = { .config = "error=true" };
	struct err err = ERR_INIT;
	struct lint_result *result;

	(void)state;
	assert_int_equal(try_lint(BODY "ENV c d\n", &setting, &result, &err), 0);
	assert_true(result->fail);
	assert_int_equal(lint_error(result, &err), -1);
	assert_string_equal(err.message, "lint violation found for rules: MaintainerDeprecated, "
					 "LegacyKeyValueFormat");
	assert_string_equal(result->lines[1], "MAINTAINER x");
	lint_free(result);
}

/* BuildKit does not look into triggers; rules of single commands do. */
static void test_lint__triggers_of_onbuild(void **state)
{
	const struct setting none = { 0 };

	(void)state;
	assert_rules("FROM known:1\nONBUILD RUN sudo x\nONBUILD ADD a /\nONBUILD ENV a b\n", &none,
		     "DL3004\nDL3020\n");
	assert_rules("FROM known:1\n# hadolint ignore=DL3004\nONBUILD RUN sudo x\n", &none, "");
	assert_rules("FROM known:1\nONBUILD COPY --link --chmod=755 a /\n", &none,
		     "LinkWithChmod\n");
	assert_rules("FROM known:1\nONBUILD RUN a\nONBUILD RUN b\nONBUILD USER root\n"
		     "ONBUILD USER 5\n",
		     &none, "DL3066\n");
}

static void test_lint__severities(void **state)
{
	static const struct {
		const char *rule;
		enum lint_severity severity;
	} rows[] = {
		{ "UndefinedVar", LINT_WARNING }, { "DL3008", LINT_WARNING },
		{ "DL3004", LINT_ERROR },	  { "DL3015", LINT_INFO },
		{ "DL3059", LINT_INFO },	  { "LinkWithChmod", LINT_WARNING },
	};
	const struct lint_rule *rule;
	bool experimental;
	unsigned set;
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; (rule = lint_rule_at(i, &set, &experimental)); i++)
		for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
			if (!strcmp(rule->name, rows[k].rule)) {
				assert_int_equal(rule->severity, rows[k].severity);
				seen++;
			}
	assert_int_equal(seen, ARRAY_SIZE(rows));
}

/* What the build does not need, it does not follow; the text is looked at all the same. */
static void test_lint__only_stages_that_count(void **state)
{
	const bool stages[] = { false, true };
	const struct setting setting = { .stages = stages };

	(void)state;
	assert_rules("FROM known:1 AS A\nENV a b\nMAINTAINER x\nFROM known:1\nENV a b\n", &setting,
		     "StageNameCasing\nMaintainerDeprecated\nLegacyKeyValueFormat\n");
}

static void test_lint__build_args_count(void **state)
{
	const struct setting setting = { .build_arg = "dir=/abs" };

	(void)state;
	assert_rules("FROM known:1\nARG dir=rel\nWORKDIR $dir\n", &setting, "");
}

/* Values that grow without end are not followed for ever. */
static void test_lint__expansions_are_bounded(void **state)
{
	const struct setting none = { 0 };
	cleanup_free char *got = NULL;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_addstr(&text, "FROM known:1\nENV a=0123456789abcdef\n");
	for (unsigned i = 0; i < 2000; i++)
		buf_addstr(&text, "ENV a=$a$a b=$a\n");
	got = lint(text.data, "UndefinedVar", &none);
	assert_string_equal(got, "");
	buf_release(&text);
}

static void test_lint__warnings_are_bounded(void **state)
{
	const struct setting none = { 0 };
	struct err err = ERR_INIT;
	struct lint_result *result;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_addstr(&text, "FROM known:1\n");
	for (unsigned i = 0; i < 12000; i++)
		buf_addf(&text, "ENV a b$n%u\n", i);
	assert_int_equal(try_lint(text.data, &none, &result, &err), 0);
	assert_int_equal(result->n_warnings, LINT_WARNINGS_MAX);
	lint_free(result);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lint__buildkit_checks),
		cmocka_unit_test(test_lint__hadolint_rules),
		cmocka_unit_test(test_lint__own_rules),
		cmocka_unit_test(test_lint__directive_skips),
		cmocka_unit_test(test_lint__config_replaces_directive),
		cmocka_unit_test(test_lint__comments_skip_one_instruction),
		cmocka_unit_test(test_lint__hadolint_comments),
		cmocka_unit_test(test_lint__experimental_rules_are_asked_for),
		cmocka_unit_test(test_lint__wrong_options_are_refused),
		cmocka_unit_test(test_lint__error_is_told),
		cmocka_unit_test(test_lint__triggers_of_onbuild),
		cmocka_unit_test(test_lint__severities),
		cmocka_unit_test(test_lint__only_stages_that_count),
		cmocka_unit_test(test_lint__build_args_count),
		cmocka_unit_test(test_lint__expansions_are_bounded),
		cmocka_unit_test(test_lint__warnings_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
