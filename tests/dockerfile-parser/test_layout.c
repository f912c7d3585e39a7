/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layout does not matter: every Dockerfile of testdata/ that parses gives the same tree, positions
 * and comments aside, with other blanks, comments, line ends and continuations. Bodies of heredocs
 * are content, not layout, and stay as they are.
 */
#include "dockerfile-parser/dockerfile.h"

#include <ctype.h>
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strv.h"

#define BOM	  "\xef\xbb\xbf"
#define TEXT_MAX  (2 * DOCKERFILE_MAX)
#define FILES_MIN 140

enum line_kind {
	LINE_OTHER,	/* directive, comment, empty, or inside an instruction but no part of it */
	LINE_FIRST,	/* of an instruction */
	LINE_CONTINUED, /* another one of it */
	LINE_BODY,	/* of a heredoc, with its terminator */
};

/* A file, and what its lines are. */
struct sample {
	const char *path;
	char *text;
	size_t len;
	struct dockerfile *file;
	json_t *shape;
	enum line_kind *kinds; /* by line, from 1 */
	size_t *starts;	       /* offsets, from 1; one more for the end */
	size_t n_lines;
};

/* --- the tree without its layout */

static void drop_layout(json_t *item)
{
	json_t *arg;
	size_t i;

	json_object_del(item, "start");
	json_object_del(item, "end");
	json_object_del(item, "comments");
	json_array_foreach(json_object_get(item, "args"), i, arg) if (json_is_object(arg))
		drop_layout(arg);
}

static json_t *shape_of(const struct dockerfile *file)
{
	json_t *tree = dockerfile_to_json(file), *item;
	size_t i;

	json_array_foreach(json_object_get(tree, "instructions"), i, item) drop_layout(item);
	return tree;
}

static void check_same(const struct sample *sample, const char *what, const struct buf *text)
{
	struct dockerfile *file;
	struct err err = ERR_INIT;
	json_t *shape;

	assert_false(text->overflow);
	if (dockerfile_parse("D", text->data, text->len, &file, &err) < 0)
		fail_msg("%s, %s: %s\n%s", sample->path, what, err.message, text->data);
	shape = shape_of(file);
	if (!json_equal(shape, sample->shape)) {
		json_dumpf(shape, stderr, JSON_INDENT(1));
		fail_msg("%s, %s: another tree of\n%s", sample->path, what, text->data);
	}
	json_decref(shape);
	dockerfile_free(file);
}

/* --- lines */

static void mark_instruction(struct sample *sample, const struct instruction *instruction)
{
	unsigned first = instruction->range.start.line;

	for (unsigned line = first; line <= instruction->range.end.line; line++) {
		const char *text = sample->file->lines[line - 1];

		text += strspn(text, " \t\v\f\r");
		if (line > instruction->line_range.end.line)
			sample->kinds[line] = instruction->n_heredocs ? LINE_BODY : LINE_OTHER;
		else if (line == first)
			sample->kinds[line] = LINE_FIRST;
		else if (*text && *text != '#')
			sample->kinds[line] = LINE_CONTINUED;
	}
}

static void find_lines(struct sample *sample)
{
	size_t n = 0;

	sample->kinds = xcalloc(sample->len + 2, sizeof(*sample->kinds));
	sample->starts = xcalloc(sample->len + 2, sizeof(*sample->starts));
	for (size_t i = 0; i < sample->len; i++)
		if (i == 0 || sample->text[i - 1] == '\n')
			sample->starts[++n] = i;
	sample->starts[n + 1] = sample->len;
	sample->n_lines = n;
	for (size_t i = 0; i < sample->file->n_instructions; i++)
		mark_instruction(sample, &sample->file->instructions[i]);
}

/* The line without its end. */
static size_t line_length(const struct sample *sample, size_t line)
{
	size_t end = sample->starts[line + 1];

	while (end > sample->starts[line] &&
	       (sample->text[end - 1] == '\n' || sample->text[end - 1] == '\r'))
		end--;
	return end - sample->starts[line];
}

/* --- mutations: each adds the line, which is not one of a heredoc's, in its own way */

typedef void mutate_line(struct buf *out, enum line_kind kind, const char *line, size_t len);

static void with_crlf(struct buf *out, enum line_kind kind, const char *line, size_t len)
{
	(void)kind;
	buf_add(out, line, len);
	buf_addstr(out, "\r\n");
}

static void with_blanks_behind(struct buf *out, enum line_kind kind, const char *line, size_t len)
{
	(void)kind;
	buf_add(out, line, len);
	buf_addstr(out, " \t \n");
}

static void with_blanks_before(struct buf *out, enum line_kind kind, const char *line, size_t len)
{
	if (kind == LINE_FIRST)
		buf_addstr(out, "\t  ");
	buf_add(out, line, len);
	buf_addch(out, '\n');
}

static void with_comments(struct buf *out, enum line_kind kind, const char *line, size_t len)
{
	if (kind == LINE_FIRST || kind == LINE_CONTINUED)
		buf_addstr(out, "# comment \\\n\n\t # another\n");
	buf_add(out, line, len);
	buf_addch(out, '\n');
}

static void with_other_case(struct buf *out, enum line_kind kind, const char *line, size_t len)
{
	size_t i = 0;

	while (i < len && isspace((unsigned char)line[i]))
		buf_addch(out, line[i++]);
	for (; kind == LINE_FIRST && i < len && isalpha((unsigned char)line[i]); i++)
		buf_addch(out, (char)(line[i] ^ 0x20));
	buf_add(out, line + i, len - i);
	buf_addch(out, '\n');
}

static const struct mutation {
	const char *name;
	mutate_line *line;
	const char *before, *behind; /* the file */
} mutations[] = {
	{ "byte order mark", with_blanks_before, BOM, "" },
	{ "CRLF", with_crlf, "", "" },
	{ "blanks behind", with_blanks_behind, "", "" },
	{ "blanks before", with_blanks_before, "", "" },
	{ "comments and empty lines", with_comments, "", "\n\n# end\n" },
	{ "case of keywords", with_other_case, "", "" },
};

static void check_mutation(const struct sample *sample, const struct mutation *mutation)
{
	cleanup_buf struct buf out;

	buf_init(&out, TEXT_MAX);
	buf_addstr(&out, mutation->before);
	for (size_t line = 1; line <= sample->n_lines; line++) {
		const char *text = sample->text + sample->starts[line];

		if (sample->kinds[line] == LINE_BODY)
			buf_add(&out, text, sample->starts[line + 1] - sample->starts[line]);
		else
			mutation->line(&out, sample->kinds[line], text, line_length(sample, line));
	}
	buf_addstr(&out, mutation->behind);
	check_same(sample, mutation->name, &out);
}

/* --- a continuation at every byte of every instruction */

/* Not behind an escape character, nor where what follows would be a comment or an empty line. */
static bool can_split(const char *line, size_t len, size_t at, char escape)
{
	size_t next = at;

	if (at && line[at - 1] == escape)
		return false;
	while (next < len && isspace((unsigned char)line[next]))
		next++;
	return next < len && line[next] != '#';
}

static void check_splits(const struct sample *sample, size_t line)
{
	static const char *const behind[] = { "\n", " \t\n", "\r\n", "\n# comment\n", "\n\n \n" };
	const char *text = sample->text + sample->starts[line];
	char escape = sample->file->directives.escape;
	size_t len = line_length(sample, line);
	cleanup_buf struct buf out;

	buf_init(&out, TEXT_MAX);
	for (size_t at = 0; at < len; at++) {
		if (!can_split(text, len, at, escape))
			continue;
		buf_clear(&out);
		buf_add(&out, sample->text, sample->starts[line] + at);
		buf_addch(&out, escape);
		buf_addstr(&out, behind[at % ARRAY_SIZE(behind)]);
		buf_add(&out, text + at, sample->len - sample->starts[line] - at);
		check_same(sample, "continued", &out);
	}
}

/* --- all files */

static bool sample_read(const char *path, struct sample *sample)
{
	FILE *stream = fopen(path, "re");
	struct err err = ERR_INIT;
	size_t cap = 0;
	ssize_t len;

	*sample = (struct sample){ .path = path };
	assert_non_null(stream);
	len = getdelim(&sample->text, &cap, '\0', stream);
	fclose(stream);
	sample->len = len < 0 ? 0 : (size_t)len;
	if (len < 0 || dockerfile_parse("D", sample->text, sample->len, &sample->file, &err) < 0)
		return false;
	sample->shape = shape_of(sample->file);
	if (!strncmp(sample->text, BOM, strlen(BOM))) {
		sample->len -= strlen(BOM);
		memmove(sample->text, sample->text + strlen(BOM), sample->len + 1);
	}
	find_lines(sample);
	return true;
}

static void sample_release(struct sample *sample)
{
	json_decref(sample->shape);
	dockerfile_free(sample->file);
	free(sample->kinds);
	free(sample->starts);
	free(sample->text);
}

/* The paths of all Dockerfiles become the state of the tests. */
static int find_samples(void **state)
{
	const char *root = getenv("srcdir");
	cleanup_free char *path = xasprintf("%s/testdata", root ? root : ".");
	char *const tops[] = { path, NULL };
	struct strv *paths = xcalloc(1, sizeof(*paths));
	FTS *fts = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	assert_non_null(fts);
	while ((entry = fts_read(fts))) {
		const char *name = entry->fts_path + entry->fts_pathlen - entry->fts_namelen;

		if (entry->fts_info == FTS_F && !strncmp(name, "Dockerfile", 10) &&
		    !strstr(name, "ignore"))
			strv_add(paths, entry->fts_path);
	}
	fts_close(fts);
	*state = paths;
	return 0;
}

static int forget_samples(void **state)
{
	strv_release(*state);
	free(*state);
	return 0;
}

static void test_layout__blanks_comments_and_line_ends(void **state)
{
	const struct strv *paths = *state;
	size_t n = 0;

	for (size_t i = 0; i < paths->n; i++) {
		struct sample sample;
		bool parses = sample_read(paths->v[i], &sample);

		for (size_t k = 0; parses && k < ARRAY_SIZE(mutations); k++)
			check_mutation(&sample, &mutations[k]);
		sample_release(&sample);
		n += parses;
	}
	assert_true(n >= FILES_MIN);
}

static void test_layout__continuations_anywhere(void **state)
{
	const struct strv *paths = *state;

	for (size_t i = 0; i < paths->n; i++) {
		struct sample sample;
		bool parses = sample_read(paths->v[i], &sample);

		for (size_t line = 1; parses && line <= sample.n_lines; line++)
			if (sample.kinds[line] == LINE_FIRST ||
			    sample.kinds[line] == LINE_CONTINUED)
				check_splits(&sample, line);
		sample_release(&sample);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout__blanks_comments_and_line_ends),
		cmocka_unit_test(test_layout__continuations_anywhere),
	};

	return cmocka_run_group_tests(tests, find_samples, forget_samples);
}
