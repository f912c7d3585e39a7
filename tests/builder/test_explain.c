/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Differences of keys and of lists of files; which earlier step a step is; plans and reports. */
#include "tests/builder/copy_help.h"

#include <jansson.h>

#include "builder/build.h"
#include "builder/report.h"

/* Changes as lines "KIND PART NAME OLD NEW", "-" for NULL. */
static char *show_changes(const struct changes *changes)
{
	struct buf text;

	buf_init(&text, 65536);
	for (size_t i = 0; i < changes->n; i++) {
		const struct change *change = &changes->v[i];

		buf_addf(&text, "%d %s %s %s %s\n", change->kind, change->part ? change->part : "-",
			 change->name ? change->name : "-", change->old ? change->old : "-",
			 change->new ? change->new : "-");
	}
	return buf_steal(&text);
}

static void assert_changes(struct changes *changes, enum change_kind kind, const char *want)
{
	cleanup_free char *got = show_changes(changes);
	struct buf lines;

	buf_init(&lines, 65536);
	while (*want) {
		size_t len = strcspn(want, "\n");

		buf_addf(&lines, "%d %.*s\n", kind, (int)len, want);
		want += len + (want[len] == '\n');
	}
	assert_string_equal(got, lines.data);
	buf_release(&lines);
	changes_release(changes);
}

/* --- parts --------------------------------------------------------------------------------------
 */

static struct changes diff_parts(const char *old_text, const char *new_text)
{
	json_t *old = json_loads(old_text, 0, NULL), *new = json_loads(new_text, 0, NULL);
	struct changes changes = { 0 };

	assert_non_null(old);
	assert_non_null(new);
	parts_diff(old, new, &changes);
	json_decref(old);
	json_decref(new);
	return changes;
}

static void test_parts__the_same_is_no_change(void **state)
{
	struct changes changes = diff_parts("[[\"kind\",\"run\"],[\"user\",\"\"]]",
					    "[[\"kind\",\"run\"],[\"user\",\"\"]]");

	(void)state;
	assert_changes(&changes, CHANGE_PART, "");
}

static void test_parts__a_shared_cache_is_not_told_the_environment(void **state)
{
	struct changes changes = diff_parts("[[\"argument\",\"a\"]]",
					    "[[\"argument\",\"a\"],[\"environment\",\"A=1\"]]");

	(void)state;
	assert_changes(&changes, CHANGE_PART, "variables - - -");
	changes = diff_parts("[[\"argument\",\"a\"]]",
			     "[[\"argument\",\"b\"],[\"environment\",\"A=1\"]]");
	assert_changes(&changes, CHANGE_PART, "argument - a b");
}

static void test_parts__the_environment_is_compared_by_name(void **state)
{
	struct changes changes = diff_parts("[[\"environment\",\"A=1\"],[\"environment\",\"B=2\"],"
					    "[\"environment\",\"C=\"]]",
					    "[[\"environment\",\"C=\"],[\"environment\",\"A=2=3\"],"
					    "[\"environment\",\"D=4\"]]");

	(void)state;
	assert_changes(&changes, CHANGE_PART,
		       "environment A 1 2=3\nenvironment D - 4\nenvironment B 2 -");
	changes = diff_parts("[[\"environment\",\"A=1\"],[\"environment\",\"B=2\"]]",
			     "[[\"environment\",\"B=2\"],[\"environment\",\"A=1\"]]");
	assert_changes(&changes, CHANGE_PART, "environment - - -");
}

static void test_parts__lists_show_what_differs(void **state)
{
	struct changes changes = diff_parts("[[\"argument\",\"/bin/sh\"],[\"argument\",\"a\"]]",
					    "[[\"argument\",\"/bin/sh\"],[\"argument\",\"b\"]]");

	(void)state;
	assert_changes(&changes, CHANGE_PART, "argument - a b");
	changes =
		diff_parts("[[\"argument\",\"a\"]]", "[[\"argument\",\"a\"],[\"argument\",\"b\"]]");
	assert_changes(&changes, CHANGE_PART, "argument - a a b");
}

static void test_parts__new_and_gone(void **state)
{
	struct changes changes =
		diff_parts("[[\"files\",\"x\"],[\"hosts\",\"h\"]]", "[[\"mount\",\"m\"]]");

	(void)state;
	assert_changes(&changes, CHANGE_PART, "mount - - m\nhosts - h -");
}

static void test_parts__nonsense_is_no_crash(void **state)
{
	struct changes changes = diff_parts("[1,[],[2],[\"a\"],{}]", "[\"x\",[\"a\",3]]");

	(void)state;
	changes_release(&changes);
}

/* --- files --------------------------------------------------------------------------------------
 */

static void test_files__each_difference_has_its_name(void **state)
{
	struct changes changes = { 0 };

	(void)state;
	files_diff("d 0755 - - - dir\nf 0644 - sha256:1 - a\nf 0644 - sha256:2 - b\n"
		   "l - - x - l\nf 0644 1:1 sha256:4 aa o\n",
		   "f 0600 - sha256:1 - a\nf 0644 - sha256:3 - b\nf 0644 - sha256:9 - dir\n"
		   "l - - y - l\nf 0644 1:2 sha256:4 bb o\n",
		   &changes);
	assert_changes(&changes, CHANGE_FILE,
		       "mode a 0644 0600\ncontent b sha256:2 sha256:3\ntype dir d f\n"
		       "target l x y\nowner o 1:1 1:2\nattributes o aa bb");
}

static void test_files__added_and_removed(void **state)
{
	struct changes changes = { 0 };

	(void)state;
	files_diff("f 0644 - sha256:1 - a\nf 0644 - sha256:2 - c\n",
		   "f 0644 - sha256:3 - b\nf 0644 - sha256:2 - c\n", &changes);
	assert_changes(&changes, CHANGE_FILE, "content a sha256:1 -\ncontent b - sha256:3");
	files_diff("", "", &changes);
	assert_changes(&changes, CHANGE_FILE, "");
}

static void test_files__order_and_broken_lines_do_not_matter(void **state)
{
	struct changes changes = { 0 };

	(void)state;
	files_diff("f 0644 - 1 - a\nf 0644 - 2 - b\n", "f 0644 - 2 - b\nbroken\n\nf 0644 - 1 - a",
		   &changes);
	assert_changes(&changes, CHANGE_FILE, "");
}

static void test_files__chmod_is_no_change_of_files(void **state)
{
	struct changes changes = { 0 };

	(void)state;
	files_diff("f 0644 1:1 1 - a\n", "f - - 1 - a\n", &changes);
	assert_changes(&changes, CHANGE_FILE, "");
}

#define LONG_LINES 200000 /* 20 MB: more than is compared in memory */

/* A list of many files as a blob: those from `changed` on to `until` have another content. */
static void put_list(struct store *store, unsigned changed, unsigned until,
		     char name[DIGEST_TEXT_MAX])
{
	struct digest digest;
	struct buf text;

	buf_init(&text, 64 << 20);
	for (unsigned i = 0; i < LONG_LINES; i++)
		buf_addf(&text, "f 0644 - sha256:%064u - dir/file%06u\n",
			 i >= changed && i < until ? i + 1 : i, i);
	must(blob_put(store, text.data, text.len, &digest, &oops));
	digest_format(&digest, name);
	buf_release(&text);
}

static void test_files__long_lists_are_compared_where_they_differ(void **state)
{
	char old[DIGEST_TEXT_MAX], new[DIGEST_TEXT_MAX], other[DIGEST_TEXT_MAX];
	struct changes changes = { 0 };
	struct err err = ERR_INIT;
	struct place place;

	(void)state;
	place_open(&place, "", NULL);
	put_list(place.store, 0, 0, old);
	put_list(place.store, 100000, 100002, new);
	put_list(place.store, 0, LONG_LINES, other);
	assert_int_equal(files_diff_blobs(place.store, old, new, &changes, &err), 0);
	assert_int_equal(changes.n, 2);
	assert_string_equal(changes.v[0].name, "dir/file100000");
	assert_string_equal(changes.v[1].name, "dir/file100001");
	assert_int_equal(files_diff_blobs(place.store, old, old, &changes, &err), 0);
	assert_int_equal(changes.n, 2);
	assert_int_equal(files_diff_blobs(place.store, old, other, &changes, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	changes_release(&changes);
	place_close(&place);
}

/* One list is the beginning, or the end, of the other; lines that only end alike are not the same. */
static void test_files__lists_within_lists(void **state)
{
	static const char *const lists[] = { "", "f 0644 - 1 - a\n", "f 0644 - 1 - ba\n",
					     "f 0644 - 1 - a\nf 0644 - 1 - ba\n" };
	static const size_t want[4][4] = { { 0, 1, 1, 2 },
					   { 1, 0, 2, 1 },
					   { 1, 2, 0, 1 },
					   { 2, 1, 1, 0 } };
	char names[4][DIGEST_TEXT_MAX];
	struct place place;

	(void)state;
	place_open(&place, "", NULL);
	for (size_t i = 0; i < 4; i++) {
		struct digest digest;

		must(blob_put(place.store, lists[i], strlen(lists[i]), &digest, &oops));
		digest_format(&digest, names[i]);
	}
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			struct changes changes = { 0 };

			must(files_diff_blobs(place.store, names[i], names[k], &changes, &oops));
			assert_int_equal(changes.n, want[i][k]);
			changes_release(&changes);
		}
	place_close(&place);
}

/* --- the same step ------------------------------------------------------------------------------
 */

static struct step_report *add(struct build_report *report, unsigned position, const char *text,
			       unsigned char key)
{
	struct step_report *step = report_add(report, "s", position, text);

	step->state = STEP_RUN;
	memset(&step->key, key, sizeof(step->key));
	report_whole(step);
	return step;
}

/* The text of the earlier step that `text` at `position` is, "" for none. */
static const char *find(const struct build_report *earlier, unsigned position, const char *text,
			const char *const *others, size_t n)
{
	cleanup_with(build_report_free) struct build_report *now = build_report_new("c", "d");
	struct digest digests[8];
	const struct step_report *found;

	assert_true(n <= 8);
	for (size_t i = 0; i < n; i++)
		digest_of(others[i], strlen(others[i]), &digests[i]);
	found = report_find(earlier, add(now, position, text, 99), digests, n);
	return found ? found->text : "";
}

static void test_report__the_same_text_is_the_same_step(void **state)
{
	cleanup_with(build_report_free) struct build_report *earlier = build_report_new("c", "d");
	const char *const texts[] = { "RUN new", "RUN a", "RUN c" };

	(void)state;
	add(earlier, 2, "RUN a", 1);
	add(earlier, 3, "RUN b", 2);
	add(earlier, 4, "COPY x /", 3);
	assert_string_equal(find(earlier, 3, "RUN a", texts, 3), "RUN a");
	assert_string_equal(find(earlier, 2, "RUN new", texts, 3), "RUN b"); /* a is still there */
	assert_string_equal(find(earlier, 9, "ADD y /", texts, 3), "COPY x /");
	assert_string_equal(find(earlier, 2, "WORKDIR /", texts, 3), "");
}

static void test_report__of_equal_texts_the_nearest(void **state)
{
	cleanup_with(build_report_free) struct build_report *earlier = build_report_new("c", "d");

	(void)state;
	add(earlier, 2, "RUN a", 1);
	add(earlier, 8, "RUN a", 2);
	assert_ptr_not_equal(find(earlier, 3, "RUN a", NULL, 0),
			     find(earlier, 7, "RUN a", NULL, 0));
}

static void test_report__a_failed_step_stands_for_its_own_key_only(void **state)
{
	cleanup_with(build_report_free) struct build_report *earlier = build_report_new("c", "d");
	cleanup_with(build_report_free) struct build_report *now = build_report_new("c", "d");

	(void)state;
	add(earlier, 2, "RUN a", 1)->state = STEP_UNFINISHED;
	assert_null(report_find(earlier, add(now, 2, "RUN a", 2), NULL, 0));
	assert_non_null(report_find(earlier, add(now, 2, "RUN a", 1), NULL, 0));
}

static void test_report__what_was_not_reached_is_carried_over(void **state)
{
	struct build_report *report = build_report_new("c", "d");
	cleanup_strv struct strv complete = STRV_INIT;
	struct place place;

	(void)state;
	place_open(&place, "f a 644 A\n", NULL);
	add(report, 2, "RUN a", 1);
	add(report, 3, "RUN b", 2);
	must(report_write(place.store, report, &complete, &oops));
	build_report_free(report);
	report = build_report_new("c", "d");
	add(report, 2, "RUN other", 3);
	must(report_write(place.store, report, &complete, &oops));
	build_report_free(report);
	must(report_read(place.store, "c", "d", &report, &oops));
	assert_int_equal(report->n_steps, 1);
	assert_int_equal(report->n_older, 1);
	assert_string_equal(report->older[0].text, "RUN b");
	build_report_free(report);
	/* a stage that is whole has no older steps */
	strv_add(&complete, "s");
	report = build_report_new("c", "d");
	add(report, 2, "RUN other", 3);
	must(report_write(place.store, report, &complete, &oops));
	build_report_free(report);
	must(report_read(place.store, "c", "d", &report, &oops));
	assert_int_equal(report->n_older, 0);
	build_report_free(report);
	place_close(&place);
}

/* --- builds -------------------------------------------------------------------------------------
 */

static void fill(struct place *place, const char *text, struct build_options *options)
{
	*options = (struct build_options){
		.store = place->store,
		.context_path = place->path,
		.context_fd = place->context,
		.dockerfile_name = "Dockerfile",
		.dockerfile_path = "/Dockerfile",
		.dockerfile_text = text,
		.dockerfile_len = strlen(text),
		.pull = BUILD_PULL_NEVER,
		.jobs = 2,
	};
}

static void build(struct place *place, const char *text)
{
	struct build_options options;
	struct build_result result;

	fill(place, text, &options);
	must(build_run(&options, NULL, NULL, &result, &oops));
}

/* The steps as lines "STATE: CHANGES". */
static char *show_report(struct build_report *report)
{
	struct buf text;

	buf_init(&text, 65536);
	for (size_t i = 0; i < report->n_steps; i++) {
		const struct step_report *step = &report->steps[i];

		buf_addf(&text, "%d", step->state);
		for (size_t k = 0; k < step->changes.n; k++)
			buf_addf(&text, " %d,%s,%s", step->changes.v[k].kind,
				 step->changes.v[k].part ? step->changes.v[k].part : "",
				 step->changes.v[k].name ? step->changes.v[k].name : "");
		buf_addch(&text, '\n');
	}
	build_report_free(report);
	return buf_steal(&text);
}

static void assert_plan(struct place *place, const char *text, const char *want)
{
	cleanup_free char *got = NULL;
	struct build_options options;
	struct build_report *report;

	fill(place, text, &options);
	must(build_plan(&options, &report, &oops));
	got = show_report(report);
	assert_string_equal(got, want);
}

static void assert_explained(struct place *place, const char *want)
{
	struct build_report *report;
	cleanup_free char *got = NULL;

	must(build_explain(place->store, place->path, "/Dockerfile", &report, &oops));
	got = show_report(report);
	assert_string_equal(got, want);
}

#define STEPS "FROM scratch\nCOPY a c /x/\nWORKDIR /x/y\n"

/* A plan before a build and the explanation after it say the same. */
static void test_explain__plan_and_explain_agree(void **state)
{
	static const char first[] = "1\n3 0,,\n3 0,,\n", known[] = "1\n2\n2\n",
			  changed[] = "1\n3 8,content,c/d 8,content,c/e\n3 5,,2\n";
	struct place place;

	(void)state;
	place_open(&place, "f a 644 A\nd c 755\nf c/d 600 D\n", NULL);
	assert_plan(&place, STEPS, first);
	build(&place, STEPS);
	assert_explained(&place, first);
	assert_plan(&place, STEPS, known);
	build(&place, STEPS);
	assert_explained(&place, known);
	put_file(place.context, "c/d", 0600, "other");
	put_file(place.context, "c/e", 0600, "new");
	assert_plan(&place, STEPS, changed);
	build(&place, STEPS);
	assert_explained(&place, changed);
	place_close(&place);
}

static void test_explain__an_unchanged_build_writes_no_record(void **state)
{
	struct stat before, after;
	char path[256] = "";
	struct place place;

	(void)state;
	place_open(&place, "f a 644 A\nd c 755\nf c/d 600 D\n", NULL);
	build(&place, STEPS);
	build(&place, STEPS);
	snprintf(path, sizeof(path), "%s/builds", store_path(place.store));
	assert_int_equal(stat(path, &before), 0);
	build(&place, STEPS);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	place_close(&place);
}

static void test_explain__no_build_is_not_found(void **state)
{
	struct build_report *report;
	struct err err = ERR_INIT;
	struct place place;

	(void)state;
	place_open(&place, "f a 644 A\n", NULL);
	assert_int_equal(build_explain(place.store, place.path, "/x", &report, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts__the_same_is_no_change),
		cmocka_unit_test(test_parts__a_shared_cache_is_not_told_the_environment),
		cmocka_unit_test(test_parts__the_environment_is_compared_by_name),
		cmocka_unit_test(test_parts__lists_show_what_differs),
		cmocka_unit_test(test_parts__new_and_gone),
		cmocka_unit_test(test_parts__nonsense_is_no_crash),
		cmocka_unit_test(test_files__each_difference_has_its_name),
		cmocka_unit_test(test_files__added_and_removed),
		cmocka_unit_test(test_files__order_and_broken_lines_do_not_matter),
		cmocka_unit_test(test_files__chmod_is_no_change_of_files),
		cmocka_unit_test(test_files__long_lists_are_compared_where_they_differ),
		cmocka_unit_test(test_files__lists_within_lists),
		cmocka_unit_test(test_report__the_same_text_is_the_same_step),
		cmocka_unit_test(test_report__of_equal_texts_the_nearest),
		cmocka_unit_test(test_report__a_failed_step_stands_for_its_own_key_only),
		cmocka_unit_test(test_report__what_was_not_reached_is_carried_over),
		cmocka_unit_test(test_explain__plan_and_explain_agree),
		cmocka_unit_test(test_explain__an_unchanged_build_writes_no_record),
		cmocka_unit_test(test_explain__no_build_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
