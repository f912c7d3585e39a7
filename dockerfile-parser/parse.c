/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From logical lines to instructions. Tables say how each keyword's arguments are split and which
 * flags it takes; a comment above each function is its rule of the grammar.
 *
 *	file:		{ directive } { comment | instruction [ heredoc bodies ] }
 *	instruction:	keyword { flag } arguments
 *
 * The order matters: words first, then heredoc bodies (the words say how many), then checks,
 * since a source of COPY may be a heredoc.
 */
#include "dockerfile-parser/internal.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum form {
	FORM_COMMAND,	  /* exec form, or the rest of the line */
	FORM_LIST,	  /* exec form, or words */
	FORM_WORDS,	  /* words */
	FORM_REST,	  /* the rest of the line */
	FORM_PAIRS,	  /* name=value words, or name and the rest of the line */
	FORM_ARG,	  /* name or name=value words */
	FORM_HEALTHCHECK, /* a word, then a command */
	FORM_TRIGGER,	  /* an instruction */
};

static const struct flag_rule add_flags[] = {
	{ "checksum", FLAG_STRING }, { "chmod", FLAG_STRING },	    { "chown", FLAG_STRING },
	{ "exclude", FLAG_STRINGS }, { "keep-git-dir", FLAG_BOOL }, { "link", FLAG_BOOL },
	{ "unpack", FLAG_BOOL },
};

static const struct flag_rule copy_flags[] = {
	{ "chmod", FLAG_STRING }, { "chown", FLAG_STRING }, { "exclude", FLAG_STRINGS },
	{ "from", FLAG_STRING },  { "link", FLAG_BOOL },    { "parents", FLAG_BOOL },
};

static const struct flag_rule from_flags[] = {
	{ "platform", FLAG_STRING },
};

static const struct flag_rule healthcheck_flags[] = {
	{ "interval", FLAG_STRING },	   { "retries", FLAG_STRING },
	{ "start-interval", FLAG_STRING }, { "start-period", FLAG_STRING },
	{ "timeout", FLAG_STRING },
};

static const struct flag_rule run_flags[] = {
	{ "mount", FLAG_STRINGS },
	{ "network", FLAG_STRING },
	{ "security", FLAG_STRING },
};

#define FLAGS(table) table, ARRAY_SIZE(table)

static const struct keyword {
	const char *keyword;
	const char *name;
	enum form form;
	const struct flag_rule *flags;
	size_t n_flags;
} keywords[] = {
	[INSTRUCTION_ADD] = { "ADD", "add", FORM_LIST, FLAGS(add_flags) },
	[INSTRUCTION_ARG] = { "ARG", "arg", FORM_ARG, NULL, 0 },
	[INSTRUCTION_CMD] = { "CMD", "cmd", FORM_COMMAND, NULL, 0 },
	[INSTRUCTION_COPY] = { "COPY", "copy", FORM_LIST, FLAGS(copy_flags) },
	[INSTRUCTION_ENTRYPOINT] = { "ENTRYPOINT", "entrypoint", FORM_COMMAND, NULL, 0 },
	[INSTRUCTION_ENV] = { "ENV", "env", FORM_PAIRS, NULL, 0 },
	[INSTRUCTION_EXPOSE] = { "EXPOSE", "expose", FORM_WORDS, NULL, 0 },
	[INSTRUCTION_FROM] = { "FROM", "from", FORM_WORDS, FLAGS(from_flags) },
	[INSTRUCTION_HEALTHCHECK] = { "HEALTHCHECK", "healthcheck", FORM_HEALTHCHECK,
				      FLAGS(healthcheck_flags) },
	[INSTRUCTION_LABEL] = { "LABEL", "label", FORM_PAIRS, NULL, 0 },
	[INSTRUCTION_MAINTAINER] = { "MAINTAINER", "maintainer", FORM_REST, NULL, 0 },
	[INSTRUCTION_ONBUILD] = { "ONBUILD", "onbuild", FORM_TRIGGER, NULL, 0 },
	[INSTRUCTION_RUN] = { "RUN", "run", FORM_COMMAND, FLAGS(run_flags) },
	[INSTRUCTION_SHELL] = { "SHELL", "shell", FORM_COMMAND, NULL, 0 },
	[INSTRUCTION_STOPSIGNAL] = { "STOPSIGNAL", "stopsignal", FORM_REST, NULL, 0 },
	[INSTRUCTION_USER] = { "USER", "user", FORM_REST, NULL, 0 },
	[INSTRUCTION_VOLUME] = { "VOLUME", "volume", FORM_LIST, NULL, 0 },
	[INSTRUCTION_WORKDIR] = { "WORKDIR", "workdir", FORM_REST, NULL, 0 },
};

const char *instruction_name(enum instruction_kind kind)
{
	return keywords[kind].name;
}

const char *instruction_keyword(enum instruction_kind kind)
{
	return keywords[kind].keyword;
}

static int unknown_instruction(const struct dockerfile *file, struct range range,
			       const char *keyword, struct err *err)
{
	const char *names[ARRAY_SIZE(keywords)];
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		names[i] = keywords[i].keyword;
	near = suggest(keyword, names, ARRAY_SIZE(keywords));
	if (near)
		return dockerfile_error(file, range, ERR_INVALID, err,
					"unknown instruction \"%.64s\" (did you mean %s?)", keyword,
					near);
	return dockerfile_error(file, range, ERR_INVALID, err, "unknown instruction \"%.64s\"",
				keyword);
}

/* keyword: a name of the table in any case, then a blank or the end */
static int parse_keyword(const struct dockerfile *file, const struct logical_line *line,
			 struct span *rest, struct instruction *instruction, struct err *err)
{
	struct span span = { rest->start, rest->start };

	while (span.end < rest->end && !strchr(" \t\v\f\r", line->text[span.end]))
		span.end++;
	instruction->keyword = line_text(file, line, span);
	rest->start = blanks_skip(line->text, span.end, rest->end);
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if ((*instruction->keyword | 0x20) == *keywords[i].name &&
		    strcasecmp(instruction->keyword, keywords[i].name) == 0) {
			instruction->kind = (enum instruction_kind)i;
			return 0;
		}
	return unknown_instruction(file, line_range(line, span), instruction->keyword, err);
}

/* command: exec form | the rest of the line */
static int parse_command(const struct dockerfile *file, const struct logical_line *line,
			 struct span rest, struct instruction *instruction, struct err *err)
{
	size_t cap = instruction->n_args;
	int exec = exec_form_parse(file, line, rest, instruction, err);

	if (exec == 0 && rest.start < rest.end)
		word_add(file, line, rest, instruction, &cap);
	return exec < 0 ? -1 : 0;
}

/* list: exec form | words */
static int parse_list(const struct dockerfile *file, const struct logical_line *line,
		      struct span rest, struct instruction *instruction, struct err *err)
{
	int exec = exec_form_parse(file, line, rest, instruction, err);

	if (exec == 0)
		words_split(file, line, rest, instruction);
	return exec < 0 ? -1 : 0;
}

/* healthcheck: [ word [ blanks command ] ] */
static int parse_healthcheck(const struct dockerfile *file, const struct logical_line *line,
			     struct span rest, struct instruction *instruction, struct err *err)
{
	struct span type = { rest.start, rest.start };
	size_t cap = 0;

	while (type.end < rest.end && !strchr(" \t\n\v\f\r", line->text[type.end]))
		type.end++;
	if (type.start == type.end)
		return 0;
	word_add(file, line, type, instruction, &cap);
	rest.start = blanks_skip(line->text, type.end, rest.end);
	return parse_command(file, line, rest, instruction, err);
}

static int parse_instruction(const struct dockerfile *file, const struct logical_line *line,
			     struct span rest, struct instruction *instruction, struct err *err);

/* trigger: instruction, but not ONBUILD, FROM or MAINTAINER */
static int parse_trigger(const struct dockerfile *file, const struct logical_line *line,
			 struct span rest, struct instruction *instruction, struct err *err)
{
	struct instruction *trigger;

	if (rest.start == rest.end)
		return 0;
	trigger = arena_alloc(file->arena, sizeof(*trigger));
	if (strncasecmp(line->text + rest.start, "ONBUILD", 7) == 0 &&
	    (rest.start + 7 == rest.end || strchr(" \t\v\f\r", line->text[rest.start + 7])))
		return dockerfile_error(file, line_range(line, rest), ERR_INVALID, err,
					"chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	if (parse_instruction(file, line, rest, trigger, err) < 0)
		return -1;
	if (trigger->kind == INSTRUCTION_FROM || trigger->kind == INSTRUCTION_MAINTAINER)
		return dockerfile_error(file, line_range(line, rest), ERR_INVALID, err,
					"%s isn't allowed as an ONBUILD trigger",
					instruction_keyword(trigger->kind));
	instruction->trigger = trigger;
	return 0;
}

static int parse_arguments(const struct dockerfile *file, const struct logical_line *line,
			   struct span rest, struct instruction *instruction, struct err *err)
{
	size_t cap = 0;

	switch (keywords[instruction->kind].form) {
	case FORM_COMMAND:
		return parse_command(file, line, rest, instruction, err);
	case FORM_LIST:
		return parse_list(file, line, rest, instruction, err);
	case FORM_WORDS:
		words_split(file, line, rest, instruction);
		return 0;
	case FORM_REST:
		if (rest.start < rest.end)
			word_add(file, line, rest, instruction, &cap);
		return 0;
	case FORM_PAIRS:
		return words_pairs(file, line, rest, instruction, err);
	case FORM_ARG:
		return words_arg(file, line, rest, instruction, err);
	case FORM_HEALTHCHECK:
		return parse_healthcheck(file, line, rest, instruction, err);
	case FORM_TRIGGER:
		return parse_trigger(file, line, rest, instruction, err);
	}
	return 0;
}

/* instruction: keyword { flag } arguments */
static int parse_instruction(const struct dockerfile *file, const struct logical_line *line,
			     struct span rest, struct instruction *instruction, struct err *err)
{
	const struct keyword *rule;

	rest.start = blanks_skip(line->text, rest.start, rest.end);
	rest.end = blanks_trim(line->text, rest.start, rest.end);
	instruction->text = line_text(file, line, rest);
	instruction->range = instruction->line_range = line_range(line, rest);
	if (parse_keyword(file, line, &rest, instruction, err) < 0)
		return -1;
	rule = &keywords[instruction->kind];
	if (flags_parse(file, line, &rest, rule->flags, rule->n_flags, instruction, err) < 0)
		return -1;
	instruction->args_range = line_range(line, rest);
	return parse_arguments(file, line, rest, instruction, err);
}

static bool takes_heredocs(const struct instruction *instruction)
{
	if (instruction->trigger)
		instruction = instruction->trigger;
	return !instruction->json &&
	       (instruction->kind == INSTRUCTION_ADD || instruction->kind == INSTRUCTION_COPY ||
		instruction->kind == INSTRUCTION_RUN);
}

/* The text of an instruction and what follows it, such that it parses again. */
static void append_bodies(const struct dockerfile *file, struct instruction *instruction)
{
	cleanup_buf struct buf text;

	buf_init(&text, 2 * DOCKERFILE_MOST); /* no more than the file holds, and terminators */
	buf_addstr(&text, instruction->text);
	for (size_t i = 0; i < instruction->n_heredocs; i++) {
		buf_addch(&text, '\n');
		buf_add(&text, instruction->heredocs[i].raw, instruction->heredocs[i].raw_len);
		buf_addstr(&text, instruction->heredocs[i].name);
	}
	instruction->text = arena_strndup(file->arena, text.data, text.len);
}

/* The body of the source word of ADD or COPY, by name; the last of a name wins. */
static int attach_heredoc(const struct dockerfile *file, const struct instruction *instruction,
			  struct word *word, struct err *err)
{
	struct err ignored;
	struct heredoc got;

	if (heredoc_parse(file->arena, word->text, &got, &ignored) != 1)
		return 0;
	for (size_t i = 0; i < instruction->n_heredocs; i++)
		if (strcmp(instruction->heredocs[i].name, got.name) == 0)
			word->heredoc = &instruction->heredocs[i];
	if (!word->heredoc)
		return dockerfile_error(
			file, word->range, ERR_INVALID, err,
			"this heredoc has no body: are quotes on the line unbalanced?");
	return 0;
}

static int attach_heredocs(const struct dockerfile *file, struct instruction *instruction,
			   struct err *err)
{
	if (instruction->json ||
	    (instruction->kind != INSTRUCTION_ADD && instruction->kind != INSTRUCTION_COPY))
		return 0;
	for (size_t i = 0; i + 1 < instruction->n_args; i++)
		if (attach_heredoc(file, instruction, &instruction->args[i], err) < 0)
			return -1;
	return 0;
}

/* heredoc bodies: { line } terminator, for each <<word of the line in order */
static int read_heredocs(struct lexer *lexer, const struct logical_line *line,
			 struct instruction *instruction, struct err *err)
{
	struct instruction *trigger = instruction->trigger;

	if (heredocs_find(lexer->file, line, instruction, err) < 0)
		return -1;
	for (size_t i = 0; i < instruction->n_heredocs; i++)
		if (lexer_heredoc(lexer, &instruction->heredocs[i], &instruction->range.end, err) <
		    0)
			return -1;
	if (instruction->n_heredocs)
		append_bodies(lexer->file, instruction);
	if (trigger && instruction->n_heredocs) {
		trigger->heredocs = instruction->heredocs;
		trigger->n_heredocs = instruction->n_heredocs;
		trigger->range.end = instruction->range.end;
		append_bodies(lexer->file, trigger);
	}
	return attach_heredocs(lexer->file, trigger ? trigger : instruction, err);
}

/* The next instruction. 1, 0 at the end of the file, -1. */
static int next_instruction(struct lexer *lexer, struct instruction *instruction, struct err *err)
{
	struct logical_line line;
	int got = lexer_next(lexer, &line, err);

	if (got <= 0)
		return got;
	*instruction = (struct instruction){
		.comments = line.comments,
		.n_comments = line.n_comments,
	};
	if (parse_instruction(lexer->file, &line, (struct span){ 0, line.len }, instruction, err) <
	    0)
		return -1;
	if (takes_heredocs(instruction) && read_heredocs(lexer, &line, instruction, err) < 0)
		return -1;
	if (instruction_check(lexer->file, instruction, err) < 0)
		return -1;
	return 1;
}

static int no_instructions(const struct dockerfile *file, struct err *err)
{
	struct range top = { { 1, 1 }, { 1, 1 } };

	return dockerfile_error(file, top, ERR_INVALID, err, "file with no instructions");
}

/* file: { directive } { comment | instruction [ heredoc bodies ] }, one instruction at least */
static int parse_file(struct lexer *lexer, struct err *err)
{
	struct dockerfile *file = lexer->file;
	cleanup_free struct instruction *found = NULL;
	size_t n = 0, cap = 0, stages = 0;
	int got;

	for (;;) {
		found = grow_vector(found, n, &cap, sizeof(*found));
		got = next_instruction(lexer, &found[n], err);
		if (got <= 0)
			break;
		if (found[n].kind == INSTRUCTION_FROM && ++stages > DOCKERFILE_STAGES_MAX)
			return dockerfile_error(file, found[n].line_range, ERR_LIMIT, err,
						"more than %d stages", DOCKERFILE_STAGES_MAX);
		n++;
	}
	if (got < 0)
		return -1;
	if (n == 0)
		return no_instructions(file, err);
	file->instructions = steal_pointer(&found);
	file->n_instructions = n;
	return 0;
}

static void init_file(struct dockerfile *file, struct arena *arena, const char *name)
{
	*file = (struct dockerfile){ .arena = arena, .directives.escape = '\\' };
	file->name = arena_strdup(arena, name);
}

DEFINE_CLEANUP(struct dockerfile *, dockerfile_free)

int dockerfile_parse_large(const char *name, const char *text, size_t len, size_t max,
			   struct dockerfile **ret_dockerfile, struct err *err)
{
	struct arena *arena = arena_new();
	cleanup_with(dockerfile_free) struct dockerfile *file = arena_alloc(arena, sizeof(*file));
	struct lexer lexer;

	init_file(file, arena, name);
	if (lexer_init(&lexer, file, text, len, max, err) < 0)
		return -1;
	if (parse_file(&lexer, err) < 0)
		return -1;
	*ret_dockerfile = steal_pointer(&file);
	return 0;
}

int dockerfile_parse(const char *name, const char *text, size_t len,
		     struct dockerfile **ret_dockerfile, struct err *err)
{
	return dockerfile_parse_large(name, text, len, DOCKERFILE_MAX, ret_dockerfile, err);
}

void dockerfile_free(struct dockerfile *dockerfile)
{
	if (!dockerfile)
		return;
	free(dockerfile->instructions);
	arena_free(dockerfile->arena);
}

int dockerfile_parse_trigger(struct dockerfile *dockerfile, const char *text,
			     struct instruction **ret_instruction, struct err *err)
{
	cleanup_free struct instruction *found = NULL;
	struct instruction *instruction;
	struct dockerfile file;
	struct lexer lexer;

	init_file(&file, dockerfile->arena, "ONBUILD trigger");
	if (lexer_init(&lexer, &file, text, strlen(text), DOCKERFILE_MAX, err) < 0 || parse_file(&lexer, err) < 0)
		return -1;
	found = file.instructions;
	instruction = arena_alloc(dockerfile->arena, sizeof(*instruction));
	*instruction = found[0];
	if (file.n_instructions != 1)
		return dockerfile_error(&file, file.instructions[1].line_range, ERR_INVALID, err,
					"onbuild trigger should be a single expression");
	if (instruction->kind == INSTRUCTION_ONBUILD || instruction->kind == INSTRUCTION_FROM ||
	    instruction->kind == INSTRUCTION_MAINTAINER)
		return dockerfile_error(&file, instruction->line_range, ERR_INVALID, err,
					"%s isn't allowed as an ONBUILD trigger",
					instruction_keyword(instruction->kind));
	*ret_instruction = instruction;
	return 0;
}

int dockerfile_check_stages(const struct dockerfile *dockerfile, struct err *err)
{
	for (size_t i = 0; i < dockerfile->n_instructions; i++) {
		const struct instruction *instruction = &dockerfile->instructions[i];

		if (instruction->kind == INSTRUCTION_FROM)
			return 0;
		if (instruction->kind != INSTRUCTION_ARG)
			return dockerfile_error(dockerfile, instruction->line_range, ERR_INVALID,
						err,
						"no build stage in current context: only ARG "
						"may stand before the first FROM");
	}
	return err_set(err, ERR_INVALID, "%s: contains no stages to build (no FROM)",
		       dockerfile->name);
}
