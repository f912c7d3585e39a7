/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "builder/copy_words.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void copy_words_release(struct copy_words *words)
{
	strv_release(&words->sources);
	strv_release(&words->patterns);
	strv_release(&words->excludes);
	strv_release(&words->urls);
	free(words->ranges);
	free(words->dest);
	free(words->chown);
	free(words->chmod);
	for (size_t i = 0; i < words->n_inlines; i++)
		free(words->contents[i]);
	for (size_t i = 0; i < words->n_remotes; i++)
		free(words->names[i]);
	free(words->contents);
	free(words->inlines);
	free(words->remotes);
	free(words->names);
	git_place_release(&words->git);
}

static int expand_flag(struct builder *builder, struct stage *stage,
		       const struct instruction *instruction, const char *name, char **ret_text,
		       struct err *err)
{
	const struct flag *flag = instruction_flag(instruction, name);
	struct word word;

	if (!flag)
		return 0;
	word = (struct word){ .text = flag->value, .range = flag->range };
	return scope_expand(builder->dockerfile, &stage->env, &word, ret_text, err);
}

/* --- sources ---------------------------------------------------------------------------------- */

static int add_inline(struct builder *builder, struct stage *stage, const struct heredoc *heredoc,
		      struct copy_words *words, struct err *err)
{
	size_t n = words->n_inlines;
	struct err why = ERR_INIT;
	char *content = NULL;

	if (heredoc->expand) {
		/* a backslash, whatever the directive says */
		if (expand_word(heredoc->content, '\\', EXPAND_RAW_QUOTES, scope_lookup,
				&stage->env, &content, &why) < 0)
			return dockerfile_error(builder->dockerfile, heredoc->range, why.kind, err,
						"%s", why.message);
	} else {
		content = xstrndup(heredoc->content, heredoc->content_len);
	}
	words->inlines = xreallocarray(words->inlines, n + 1, sizeof(*words->inlines));
	words->contents = xreallocarray(words->contents, n + 1, sizeof(*words->contents));
	words->contents[n] = content;
	words->inlines[n] = (struct copy_inline){ heredoc->name, content, strlen(content) };
	words->n_inlines++;
	strv_addf(&words->sources, "<<%s", heredoc->name);
	return 0;
}

static void add_pattern(struct copy_words *words, const char *text, struct range range)
{
	size_t n = words->patterns.n;

	words->ranges = xreallocarray(words->ranges, n + 1, sizeof(*words->ranges));
	words->ranges[n] = range;
	strv_add(&words->patterns, text);
}

static void add_url(struct copy_words *words, const char *text)
{
	size_t n = words->n_remotes;

	words->remotes = xreallocarray(words->remotes, n + 1, sizeof(*words->remotes));
	words->names = xreallocarray(words->names, n + 1, sizeof(*words->names));
	words->names[n] = remote_file_name(text);
	words->remotes[n] =
		(struct copy_remote){ .name = words->names[n], .before = words->patterns.n };
	words->n_remotes++;
	strv_add(&words->urls, text);
}

static int add_git(struct builder *builder, struct copy_words *words, const char *text,
		   struct range range, struct err *err)
{
	struct err why = ERR_INIT;

	if (words->has_git)
		return dockerfile_error(builder->dockerfile, range, ERR_UNSUPPORTED, err,
					"one ADD takes one git repository; write another ADD");
	if (git_place_parse(text, &words->git, &why) < 0)
		return dockerfile_error(builder->dockerfile, range, why.kind, err, "%s",
					why.message);
	words->has_git = true;
	add_pattern(words, ".", range);
	return 0;
}

static int add_source(struct builder *builder, const struct instruction *instruction,
		      struct copy_words *words, const char *text, struct range range,
		      struct err *err)
{
	enum remote_kind kind =
		instruction->kind == INSTRUCTION_ADD ? remote_kind(text) : REMOTE_NONE;
	cleanup_free char *shown = kind == REMOTE_NONE ? xstrdup(text) : remote_redact(text);

	strv_add(&words->sources, shown);
	if (kind != REMOTE_NONE)
		words->remote_range = range;
	if (kind == REMOTE_HTTP)
		add_url(words, text);
	else if (kind == REMOTE_GIT)
		return add_git(builder, words, text, range, err);
	else
		add_pattern(words, text, range);
	return 0;
}

static int read_sources(struct builder *builder, struct stage *stage,
			const struct instruction *instruction, struct copy_words *words,
			struct err *err)
{
	for (size_t i = 0; i + 1 < instruction->n_args; i++) {
		const struct word *word = &instruction->args[i];
		cleanup_free char *text = NULL;

		if (word->heredoc) {
			if (add_inline(builder, stage, word->heredoc, words, err) < 0)
				return -1;
			continue;
		}
		if (scope_expand(builder->dockerfile, &stage->env, word, &text, err) < 0 ||
		    add_source(builder, instruction, words, text, word->range, err) < 0)
			return -1;
	}
	if (words->has_git && words->patterns.n > 1)
		return dockerfile_error(builder->dockerfile, words->remote_range, ERR_UNSUPPORTED,
					err,
					"one ADD takes either a git repository or paths of the "
					"context; write another ADD");
	return 0;
}

/* --- flags of ADD ----------------------------------------------------------------------------- */

static int read_checksum(struct builder *builder, const struct flag *flag, char *text,
			 struct copy_words *words, struct err *err)
{
	const struct dockerfile *dockerfile = builder->dockerfile;
	struct err why = ERR_INIT;

	if (words->sources.n != 1)
		return dockerfile_error(dockerfile, flag->range, ERR_INVALID, err,
					"checksum can't be specified for multiple sources");
	if (words->has_git) {
		if (!git_is_commit(text))
			return dockerfile_error(dockerfile, flag->range, ERR_INVALID, err,
						"--checksum of a git repository is a commit, or "
						"the first 7 digits of one or more");
		if (words->git.checksum && strncmp(words->git.checksum, text, strlen(text)) &&
		    strncmp(text, words->git.checksum, strlen(words->git.checksum)))
			return dockerfile_error(dockerfile, flag->range, ERR_INVALID, err,
						"--checksum and the URL's own checksum differ");
		free(words->git.checksum);
		words->git.checksum = xstrdup(text);
		return 0;
	}
	if (!words->n_remotes)
		return dockerfile_error(dockerfile, flag->range, ERR_INVALID, err,
					"checksum requires HTTP(S) or Git sources");
	if (digest_parse(text, &words->checksum, &why) < 0)
		return dockerfile_error(dockerfile, flag->range, why.kind, err, "--checksum: %s",
					why.message);
	words->has_checksum = true;
	words->remotes[0].digest = words->checksum;
	return 0;
}

static int read_keep_git_dir(struct builder *builder, const struct instruction *instruction,
			     struct copy_words *words, struct err *err)
{
	const struct flag *flag = instruction_flag(instruction, "keep-git-dir");
	bool keep = instruction_flag_bool(instruction, "keep-git-dir");

	if (!flag)
		return 0;
	if (!words->has_git) {
		builder_warn(builder, "--keep-git-dir means nothing without a git repository");
		return 0;
	}
	if (words->git.keep_is_set && words->git.keep_git_dir != keep)
		return dockerfile_error(builder->dockerfile, flag->range, ERR_INVALID, err,
					"--keep-git-dir and the URL's own keep-git-dir differ");
	words->git.keep_git_dir = keep;
	return 0;
}

static int read_add_flags(struct builder *builder, struct stage *stage,
			  const struct instruction *instruction, struct copy_words *words,
			  struct err *err)
{
	const struct flag *checksum = instruction_flag(instruction, "checksum");
	bool has_unpack = instruction_flag(instruction, "unpack") != NULL;
	bool unpack = instruction_flag_bool(instruction, "unpack");
	cleanup_free char *text = NULL;

	words->unpack = instruction->kind == INSTRUCTION_ADD && (!has_unpack || unpack);
	for (size_t i = 0; i < words->n_remotes; i++)
		words->remotes[i].unpack = has_unpack && unpack;
	if (read_keep_git_dir(builder, instruction, words, err) < 0)
		return -1;
	if (!checksum)
		return 0;
	if (expand_flag(builder, stage, instruction, "checksum", &text, err) < 0)
		return -1;
	return read_checksum(builder, checksum, text, words, err);
}

int copy_words_read(struct builder *builder, struct stage *stage,
		    const struct instruction *instruction, struct copy_words *words,
		    struct err *err)
{
	const struct word *last = &instruction->args[instruction->n_args - 1];
	cleanup_free char *dest = NULL;

	if (read_sources(builder, stage, instruction, words, err) < 0 ||
	    scope_expand(builder->dockerfile, &stage->env, last, &dest, err) < 0)
		return -1;
	words->dest = stage_path(stage, *dest ? dest : ".", true); /* as BuildKit has it */
	for (size_t i = 0; i < instruction->n_flags; i++)
		if (!strcmp(instruction->flags[i].name, "exclude"))
			strv_add(&words->excludes, instruction->flags[i].value);
	if (expand_flag(builder, stage, instruction, "chown", &words->chown, err) < 0 ||
	    expand_flag(builder, stage, instruction, "chmod", &words->chmod, err) < 0)
		return -1;
	return read_add_flags(builder, stage, instruction, words, err);
}
