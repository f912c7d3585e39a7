/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words after expansion, and which of their variables were not set. All expansions together take
 * lint->budget bytes at most; beyond that words stay as written.
 */
#include "dockerfile-parser/lint_internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

#define NEAR_MAX 256 /* names that are compared with one that is not set */

struct lookup {
	struct lint *lint;
	const struct strv *env;
	struct lint_step *step;		  /* remembers what is undefined; NULL: nothing does */
	size_t word_start;		  /* its undefined names from here on are of this word */
	struct lint_expansion *expansion; /* or this remembers it */
};

static bool has_name(const struct strv *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strcmp(names->v[i], name))
			return true;
	return false;
}

void lint_add_name(struct strv *names, const char *name)
{
	if (!has_name(names, name))
		strv_add(names, name);
}

static const char *nearest(const struct strv *env, const char *name)
{
	cleanup_strv struct strv names = STRV_INIT;
	const char *near;

	for (size_t i = 0; i < env->n && i < NEAR_MAX; i++)
		strv_addn(&names, env->v[i], strcspn(env->v[i], "="));
	near = suggest(name, (const char *const *)names.v, names.n);
	for (size_t i = 0; near && i < names.n; i++)
		if (near == names.v[i])
			return env->v[i];
	return NULL;
}

bool lint_never_set(const char *name)
{
	return !strcmp(name, "BUILDKIT_SBOM_SCAN_CONTEXT") ||
	       !strcmp(name, "BUILDKIT_SBOM_SCAN_STAGE");
}

static void remember(struct lookup *lookup, const char *name)
{
	struct lint_step *step = lookup->step;
	struct lint *lint = lookup->lint;
	const char *near;

	if (!step->stage->env_known || has_name(&step->stage->declared, name) ||
	    lint_never_set(name) || !lint->names_left)
		return;
	for (size_t i = lookup->word_start; i < step->n_undefined; i++)
		if (!strcmp(step->undefined[i].name, name))
			return;
	lint->names_left--;
	near = nearest(lookup->env, name);
	step->undefined = arena_grow(lint->arena, step->undefined, step->n_undefined,
				     &step->cap_undefined, sizeof(*step->undefined));
	step->undefined[step->n_undefined++] = (struct lint_name){
		.name = arena_strdup(lint->arena, name),
		.near = near ? arena_strndup(lint->arena, near, strcspn(near, "=")) : NULL,
	};
}

static const char *look_up(void *arg, const char *name, size_t name_len)
{
	struct lookup *lookup = arg;
	cleanup_free char *copy = xstrndup(name, name_len);
	const char *value = env_get(lookup->env, copy);

	if (lookup->expansion)
		lint_add_name(value ? &lookup->expansion->found : &lookup->expansion->missing,
			      copy);
	else if (!value && lookup->step)
		remember(lookup, copy);
	return value;
}

/* The word after expansion, or NULL; the arena's. */
static const char *expand(struct lookup *lookup, const char *word, char escape, unsigned flags)
{
	struct lint *lint = lookup->lint;
	cleanup_free char *text = NULL;
	struct err ignored = ERR_INIT;
	size_t len;

	if (expand_word(word, escape, flags, look_up, lookup, &text, &ignored) < 0)
		return NULL;
	len = strlen(text);
	if (len > lint->budget)
		return NULL;
	lint->budget -= len;
	return arena_strndup(lint->arena, text, len);
}

const char *lint_expand_word(struct lint *lint, struct lint_step *step, const struct strv *env,
			     const char *word)
{
	struct lookup lookup = {
		.lint = lint,
		.env = env,
		.step = step,
		.word_start = step->n_undefined,
	};
	const char *text;

	if (!strpbrk(word, "$\"'\\`"))
		return word;
	text = expand(&lookup, word, lint->dockerfile->directives.escape, 0);
	return text ? text : word;
}

void lint_expand_heredoc(struct lint *lint, struct lint_step *step, const struct strv *env,
			 const char *content)
{
	struct lookup lookup = {
		.lint = lint,
		.env = env,
		.step = step,
		.word_start = step->n_undefined,
	};

	expand(&lookup, content, '\\', EXPAND_RAW_QUOTES);
}

const char *lint_expand_quietly(struct lint *lint, const struct strv *env, const char *word)
{
	struct lookup lookup = { .lint = lint, .env = env };

	return expand(&lookup, word, lint->dockerfile->directives.escape, 0);
}

void lint_expand_global(struct lint *lint, const struct strv *scope, const char *word,
			struct lint_expansion *ret_expansion)
{
	struct lookup lookup = { .lint = lint, .env = scope, .expansion = ret_expansion };

	*ret_expansion = (struct lint_expansion){ .text = NULL };
	ret_expansion->text = expand(&lookup, word, lint->dockerfile->directives.escape, 0);
}

void lint_expansion_release(struct lint_expansion *expansion)
{
	strv_release(&expansion->found);
	strv_release(&expansion->missing);
}
