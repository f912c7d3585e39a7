/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole builds of what needs no namespace: COPY, WORKDIR and the config on scratch. */
#include "tests/builder/copy_help.h"

#include "builder/build.h"
#include "layers/image.h"

#define TAG "docker.io/library/p1:latest"

struct outcome {
	struct build_result result;
	struct err err;
	int status;
	char events[8192]; /* "B text", "C", "D", "F", "W text" lines */
};

static void listen_to(void *arg, const struct build_event *event)
{
	struct outcome *outcome = arg;
	size_t len = strlen(outcome->events);
	char *end = outcome->events + len;
	size_t left = sizeof(outcome->events) - len;

	switch (event->kind) {
	case BUILD_EVENT_BEGIN:
		snprintf(end, left, "%u/%u %s\n", event->step, event->total, event->name);
		break;
	case BUILD_EVENT_CACHED:
		snprintf(end, left, "cached\n");
		break;
	case BUILD_EVENT_DONE:
		snprintf(end, left, "done\n");
		break;
	case BUILD_EVENT_FAILED:
		snprintf(end, left, "failed\n");
		break;
	case BUILD_EVENT_WARNING:
		snprintf(end, left, "warning %s\n", event->text);
		break;
	default:
		break;
	}
}

static void fill(struct place *place, const char *text, struct build_options *options)
{
	*options = (struct build_options){
		.store = place->store,
		.context_path = place->path,
		.context_fd = place->context,
		.dockerfile_name = "Dockerfile",
		.dockerfile_text = text,
		.dockerfile_len = strlen(text),
		.pull = BUILD_PULL_NEVER,
		.jobs = 2,
	};
	strv_add(&options->tags, TAG);
}

static struct outcome build_with(struct build_options *options)
{
	struct outcome outcome = { .err = ERR_INIT };

	outcome.status = build_run(options, listen_to, &outcome, &outcome.result, &outcome.err);
	strv_release(&options->tags);
	strv_release(&options->labels);
	strv_release(&options->build_args);
	return outcome;
}

static struct outcome build(struct place *place, const char *text)
{
	struct build_options options;

	fill(place, text, &options);
	return build_with(&options);
}

#define assert_built(outcome, n_executed, n_cached)                                                \
	do {                                                                                       \
		if ((outcome).status < 0)                                                          \
			fail_msg("%s", (outcome).err.message);                                     \
		if ((outcome).result.executed != (n_executed) ||                                   \
		    (outcome).result.cached != (n_cached))                                         \
			fail_msg("%u run, %u cached:\n%s", (outcome).result.executed,              \
				 (outcome).result.cached, (outcome).events);                       \
	} while (0)

static bool same_image(const struct outcome *a, const struct outcome *b)
{
	return digest_equal(&a->result.id, &b->result.id);
}

#define FILES "f a 644 A\nf b 644 B\nd c 755\nf c/d 600 D\n"
#define STEPS "FROM scratch\nCOPY a /x/\nWORKDIR /x/y\nCOPY b c ./\nENV V=1\n"

static void test_build__the_same_again_runs_nothing(void **state)
{
	struct outcome first, again;
	struct image_name name;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	first = build(&place, STEPS);
	assert_built(first, 3, 0);
	again = build(&place, STEPS);
	assert_built(again, 0, 3);
	assert_true(same_image(&first, &again));
	must(image_name_get(place.store, TAG, &name, &oops));
	assert_true(digest_equal(&name.id, &first.result.id));
	image_name_release(&name);
	place_close(&place);
}

static void test_build__a_changed_file_runs_its_step_and_what_follows(void **state)
{
	struct outcome first, second;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	first = build(&place, STEPS);
	put_file(place.context, "c/d", 0600, "new");
	second = build(&place, STEPS);
	assert_built(second, 1, 2);
	assert_false(same_image(&first, &second));
	put_file(place.context, "c/d", 0600, "D"); /* as it was: what was known is known */
	second = build(&place, STEPS);
	assert_built(second, 0, 3);
	assert_true(same_image(&first, &second));
	put_file(place.context, "a", 0644, "new");
	second = build(&place, STEPS);
	assert_built(second, 3, 0);
	place_close(&place);
}

static void test_build__no_content_of_the_config_runs_a_step(void **state)
{
	struct outcome first, second;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	first = build(&place, STEPS "LABEL a=1\n");
	second = build(&place,
		       "# a comment\nFROM scratch AS x\nLABEL a=2\nEXPOSE 1\nCOPY  a \\\n /x/\n"
		       "WORKDIR /x/y\nCMD x\nCOPY b c ./\nUSER me\n");
	assert_built(first, 3, 0);
	assert_built(second, 0, 3);
	assert_false(same_image(&first, &second));
	place_close(&place);
}

static void test_build__a_name_moves_only_when_all_is_well(void **state)
{
	struct outcome first, second;
	struct image_name name;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	first = build(&place, STEPS);
	second = build(&place, STEPS "COPY none /\n");
	assert_int_equal(second.status, -1);
	assert_int_equal(second.err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(second.err.message, "Dockerfile:6:6: "));
	assert_non_null(strstr(second.events, "failed\n"));
	must(image_name_get(place.store, TAG, &name, &oops));
	assert_true(digest_equal(&name.id, &first.result.id));
	image_name_release(&name);
	second = build(&place, STEPS "LABEL a=b\n");
	assert_built(second, 0, 3);
	must(image_name_get(place.store, TAG, &name, &oops));
	assert_true(digest_equal(&name.id, &second.result.id));
	image_name_release(&name);
	place_close(&place);
}

static void test_build__no_cache_runs_every_step(void **state)
{
	struct build_options options;
	struct outcome outcome;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	build(&place, STEPS);
	fill(&place, STEPS, &options);
	options.no_cache = true;
	outcome = build_with(&options);
	assert_built(outcome, 3, 0);
	place_close(&place);
}

static void test_build__stages_run_when_they_are_needed(void **state)
{
	struct build_options options;
	struct outcome outcome;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	fill(&place,
	     "FROM scratch AS one\nCOPY a /\nFROM scratch AS two\nCOPY none /\nFROM one\nCOPY b "
	     "/\n",
	     &options);
	outcome = build_with(&options);
	assert_built(outcome, 2, 0);
	assert_string_equal(outcome.events,
			    "1/4 [one 1/2] FROM scratch\ndone\n2/4 [one 2/2] COPY a /\n"
			    "done\n3/4 [stage-2 1/2] FROM one\ndone\n"
			    "4/4 [stage-2 2/2] COPY b /\ndone\n");
	fill(&place, "FROM scratch AS one\nCOPY a /\nFROM one\nCOPY none /\n", &options);
	options.target = "one";
	outcome = build_with(&options);
	assert_built(outcome, 0, 1);
	place_close(&place);
}

static void test_build__triggers_run_after_from(void **state)
{
	static const char text[] = "FROM scratch AS base\nONBUILD COPY a /t/\nONBUILD ENV T=1\n"
				   "FROM base\nENV U=$T\n";
	struct image *image;
	struct outcome outcome;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	outcome = build(&place, text);
	assert_built(outcome, 1, 0);
	must(image_load(place.store, &outcome.result.id, &image, &oops));
	assert_int_equal(image->n_layers, 1);
	assert_int_equal(image->on_build.n, 0);
	assert_string_equal(env_get(&image->env, "U"), "1");
	image_free(image);
	outcome = build(&place, "FROM scratch AS base\nONBUILD COPY none /t/\nFROM base\n");
	assert_int_equal(outcome.status, -1);
	assert_non_null(strstr(outcome.err.message, "ONBUILD trigger \"COPY none /t/\""));
	assert_non_null(strstr(outcome.err.message, "Dockerfile:3:6: ")); /* where FROM is */
	place_close(&place);
}

static void test_build__labels_and_arguments_of_the_command_line(void **state)
{
	struct build_options options;
	struct outcome outcome;
	struct image *image;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	fill(&place, "FROM scratch\nARG A\nARG B=2\nLABEL a=$A b=$B c=3\n", &options);
	strv_add(&options.labels, "c=4");
	strv_add(&options.build_args, "A=0");
	strv_add(&options.build_args, "A=1");
	strv_add(&options.build_args, "Z=1");
	outcome = build_with(&options);
	assert_built(outcome, 0, 0);
	assert_non_null(strstr(outcome.events, "warning build argument Z was given"));
	must(image_load(place.store, &outcome.result.id, &image, &oops));
	assert_string_equal(json_string_value(json_object_get(image->labels, "a")), "1");
	assert_string_equal(json_string_value(json_object_get(image->labels, "b")), "2");
	assert_string_equal(json_string_value(json_object_get(image->labels, "c")), "4");
	image_free(image);
	place_close(&place);
}

static void test_build__inline_files(void **state)
{
	struct outcome outcome, other;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	outcome = build(&place, "FROM scratch\nARG V=1\nCOPY <<EOF /f\n$V\nEOF\n");
	assert_built(outcome, 1, 0);
	other = build(&place, "FROM scratch\nARG V=2\nCOPY <<EOF /f\n$V\nEOF\n");
	assert_built(other, 1, 0);
	other = build(&place, "FROM scratch\nCOPY <<\"EOF\" /f\n1\nEOF\n");
	assert_built(other, 0, 1);
	place_close(&place);
}

static void test_build__mistakes_are_errors_with_a_place(void **state)
{
	static const char *const rows[][2] = {
		{ "FROM scratch\nWORKDIR ${a:\n", "Dockerfile:2:9: " },
		{ "FROM scratch\nCOPY --from=0 a b\n",
		  "Dockerfile:2:6: --from=0: there is no stage" },
		{ "FROM scratch\nCOPY --from=$x a b\n", "Dockerfile:2:6: " },
		{ "FROM scratch\nRUN []\n", "Dockerfile:2:1: RUN without a command" },
		{ "FROM scratch\nRUN --mount=type=secret,id=x,required y\n", "Dockerfile:2:5: " },
		{ "FROM scratch\nRUN --mount=from=0,target=/x y\n",
		  "Dockerfile:2:5: --from=0: there is no stage" },
		{ "FROM scratch\nRUN --mount=source=none,target=/x y\n", "Dockerfile:2:5: --mount: " },
		{ "FROM scratch\nRUN --security=insecure y\n", "--allow security.insecure" },
		{ "FROM scratch\nRUN --network=lan y\n",
		  "Dockerfile:2:5: network mode \"lan\" is not valid" },
		{ "FROM scratch\nADD https://a/b.git#-x /\n",
		  "Dockerfile:2:5: \"-x\" is no name of a branch" },
		{ "FROM scratch\nADD https://a/b.git a /\n",
		  "Dockerfile:2:5: one ADD takes either" },
		{ "FROM scratch\nADD https://a/b.git https://a/c.git /\n",
		  "Dockerfile:2:21: one ADD takes one git repository" },
		{ "FROM scratch\nADD --checksum=x a /\n",
		  "Dockerfile:2:5: checksum requires HTTP" },
		{ "FROM scratch\nADD --checksum=x https://a/b https://a/c /\n",
		  "Dockerfile:2:5: checksum can't be specified for multiple" },
		{ "FROM scratch\nADD --checksum=main https://a/b.git /\n",
		  "Dockerfile:2:5: --checksum of a git repository is a commit" },
		{ "FROM none\n", "Dockerfile:1:6: " },
	};
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct outcome outcome = build(&place, rows[i][0]);

		if (outcome.status == 0 || !strstr(outcome.err.message, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], outcome.err.message);
	}
	place_close(&place);
}

static struct outcome build_named(struct place *place, const char *text, const char *where)
{
	struct build_options options;
	struct outcome outcome;

	fill(place, text, &options);
	strv_addf(&options.contexts, "a=%s", where);
	strv_addf(&options.contexts, "other:latest=%s", where);
	outcome = build_with(&options);
	strv_release(&options.contexts);
	return outcome;
}

static void test_build__named_contexts_replace_stages_and_bases(void **state)
{
	static const char text[] = "FROM nosuch:1 AS a\nRUN false\n"
				   "FROM other\nCOPY --from=a a /x\n";
	struct outcome outcome;
	char path[80];
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	snprintf(path, sizeof(path), "%s/context", place.path);
	outcome = build_named(&place, text, path);
	assert_built(outcome, 1, 0);
	assert_non_null(strstr(outcome.events, "[stage-1 2/2] COPY --from=a a /x"));
	outcome = build_named(&place, text, path);
	assert_built(outcome, 0, 1);
	outcome = build_named(&place, text, "/nonexistent/directory");
	assert_int_equal(outcome.status, -1);
	assert_non_null(strstr(outcome.err.message, "--build-context a: open"));
	outcome = build_named(&place, text, "ext::sh");
	assert_int_equal(outcome.status, -1);
	place_close(&place);
}

/* The last one: it enters the namespaces that looking into a stage needs, where it may. */
static void test_build__a_stage_that_gives_the_same_changes_nothing(void **state)
{
	static const char text[] = "FROM scratch AS one\nCOPY a /o/\nCOPY b /u/\nFROM scratch\n"
				   "COPY --from=one /o /p/\nWORKDIR /w\n";
	struct outcome first, second;
	struct place place;

	(void)state;
	place_open(&place, FILES, NULL);
	first = build(&place, text);
	if (first.status < 0 &&
	    (first.err.kind == ERR_DENIED || first.err.kind == ERR_UNSUPPORTED)) {
		place_close(&place);
		skip();
	}
	assert_built(first, 4, 0);
	put_file(place.context, "b", 0644, "other");
	second = build(&place, text);
	assert_built(second, 1, 3);
	assert_true(same_image(&first, &second));
	second = build(&place, text);
	assert_built(second, 0, 4);
	put_file(place.context, "a", 0644, "other");
	second = build(&place, text);
	assert_built(second, 4, 0);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build__the_same_again_runs_nothing),
		cmocka_unit_test(test_build__a_changed_file_runs_its_step_and_what_follows),
		cmocka_unit_test(test_build__no_content_of_the_config_runs_a_step),
		cmocka_unit_test(test_build__a_name_moves_only_when_all_is_well),
		cmocka_unit_test(test_build__no_cache_runs_every_step),
		cmocka_unit_test(test_build__stages_run_when_they_are_needed),
		cmocka_unit_test(test_build__triggers_run_after_from),
		cmocka_unit_test(test_build__labels_and_arguments_of_the_command_line),
		cmocka_unit_test(test_build__inline_files),
		cmocka_unit_test(test_build__mistakes_are_errors_with_a_place),
		cmocka_unit_test(test_build__named_contexts_replace_stages_and_bases),
		cmocka_unit_test(test_build__a_stage_that_gives_the_same_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
