/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * COPY and ADD. The key holds the content that is copied, not where it comes from, so a stage
 * that was rebuilt to the same files changes nothing here. Reading a stage's files needs its
 * trees, which a build with nothing to do must not touch: --from therefore has two keys. The
 * quick one names the source's own key and the patterns; its record is a copy of the record of
 * the content key, which is looked up when the quick one is unknown. What follows has the
 * content key as its parent in both cases: the record says it.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

/* What the instruction says, expanded. */
struct copy_words {
	struct strv patterns;
	struct strv excludes;
	char *dest;
	char *chown, *chmod;
	struct copy_inline *inlines;
	char **contents; /* of inlines */
	size_t n_inlines;
};

static void words_release(struct copy_words *words)
{
	strv_release(&words->patterns);
	strv_release(&words->excludes);
	free(words->dest);
	free(words->chown);
	free(words->chmod);
	for (size_t i = 0; i < words->n_inlines; i++)
		free(words->contents[i]);
	free(words->contents);
	free(words->inlines);
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

static int add_inline(struct builder *builder, struct stage *stage, const struct heredoc *heredoc,
		      struct copy_words *words, struct err *err)
{
	size_t n = words->n_inlines;
	struct err why = ERR_INIT;
	char *content = NULL;

	if (heredoc->expand) {
		if (expand_word(heredoc->content, builder->dockerfile->directives.escape,
				EXPAND_RAW_QUOTES, scope_lookup, &stage->env, &content, &why) < 0)
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
	return 0;
}

static bool is_remote(const char *source)
{
	return !strncmp(source, "http://", 7) || !strncmp(source, "https://", 8) ||
	       !strncmp(source, "git@", 4) || !strncmp(source, "git://", 6) ||
	       !strncmp(source, "ssh://", 6);
}

static int read_words(struct builder *builder, struct stage *stage,
		      const struct instruction *instruction, struct copy_words *words,
		      struct err *err)
{
	const struct dockerfile *dockerfile = builder->dockerfile;
	cleanup_free char *dest = NULL;
	size_t last = instruction->n_args - 1;

	for (size_t i = 0; i < last; i++) {
		const struct word *word = &instruction->args[i];
		cleanup_free char *text = NULL;

		if (word->heredoc) {
			if (add_inline(builder, stage, word->heredoc, words, err) < 0)
				return -1;
			continue;
		}
		if (scope_expand(dockerfile, &stage->env, word, &text, err) < 0)
			return -1;
		if (instruction->kind == INSTRUCTION_ADD && is_remote(text))
			return dockerfile_error(dockerfile, word->range, ERR_UNSUPPORTED, err,
						"ADD of a URL or git repository is not supported "
						"yet; fetch it before the build and COPY it");
		strv_add(&words->patterns, text);
	}
	if (scope_expand(dockerfile, &stage->env, &instruction->args[last], &dest, err) < 0)
		return -1;
	if (!*dest)
		return dockerfile_error(dockerfile, instruction->args[last].range, ERR_INVALID, err,
					"the destination is empty");
	words->dest = stage_path(stage, dest, true);
	for (size_t i = 0; i < instruction->n_flags; i++)
		if (!strcmp(instruction->flags[i].name, "exclude"))
			strv_add(&words->excludes, instruction->flags[i].value);
	if (expand_flag(builder, stage, instruction, "chown", &words->chown, err) < 0)
		return -1;
	return expand_flag(builder, stage, instruction, "chmod", &words->chmod, err);
}

/* Flags that are understood and cannot be done yet are errors, never ignored. */
static int refuse_flags(struct builder *builder, const struct instruction *instruction,
			struct err *err)
{
	static const char *const later[] = { "checksum", "keep-git-dir", "unpack" };

	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		const struct flag *flag = instruction_flag(instruction, later[i]);

		if (flag)
			return dockerfile_error(builder->dockerfile, flag->range, ERR_UNSUPPORTED,
						err, "--%s is not supported yet", later[i]);
	}
	return 0;
}

/* --- keys */

static void key_common(struct key *key, const struct stage *stage, const struct copy_words *words,
		       const struct copy_request *request)
{
	key_add_digest(key, "parent", &stage->key);
	key_add(key, "instruction", request->add ? "ADD" : "COPY");
	key_add(key, "destination", words->dest);
	key_add(key, "chown", words->chown ? words->chown : "");
	key_add(key, "chmod", words->chmod ? words->chmod : "");
	key_add(key, "link", request->link ? "true" : "false");
	key_add(key, "parents", request->parents ? "true" : "false");
}

static void quick_key(const struct stage *stage, const struct origin *origin,
		      const struct copy_words *words, const struct copy_request *request,
		      struct digest *ret_key)
{
	cleanup_key struct key key;

	key_init(&key, "copy-from");
	key_common(&key, stage, words, request);
	key_add_digest(&key, "from", &origin->key);
	key_add_strv(&key, "source", &words->patterns);
	key_add_strv(&key, "exclude", &words->excludes);
	for (size_t i = 0; i < words->n_inlines; i++) {
		key_add(&key, "inline", words->inlines[i].name);
		key_add(&key, "inline-content", words->inlines[i].content);
	}
	key_finish(&key, ret_key);
}

/* --- the step */

struct copy_step {
	struct builder *builder;
	struct stage *stage;
	const struct instruction *instruction;
	struct copy_words words;
	struct copy_request request;
	struct step_record record;
	struct digest key;
	bool known;
};

/* Errors of the selection point at the source that is at fault. */
static int point_at(struct copy_step *step, size_t bad, const struct err *why, struct err *err)
{
	struct range range = step->instruction->range;
	size_t pattern = 0;

	for (size_t i = 0; i + 1 < step->instruction->n_args; i++)
		if (!step->instruction->args[i].heredoc && pattern++ == bad)
			range = step->instruction->args[i].range;
	return dockerfile_error(step->builder->dockerfile, range, why->kind, err, "%s",
				why->message);
}

static int make_layer(struct copy_step *step, struct copy *copy, struct err *err)
{
	struct store *store = step->builder->options->store;
	const struct image *image = step->stage->image;
	struct root *root = NULL;

	if (!step->request.link) {
		if (!root_is_ready(store, image->diff_ids, image->n_layers) &&
		    builder_require_trees(step->builder, image, err) < 0)
			return -1;
		if (stage_root(step->builder, step->stage, &root, err) < 0)
			return -1;
	}
	return copy_make_layer(copy, store, root, &step->record.layer, err);
}

/* Select, look the content up, make the layer when it is new. */
static int run_copy(struct copy_step *step, struct err *err)
{
	struct store *store = step->builder->options->store;
	cleanup_with(copy_free) struct copy *copy = NULL;
	struct digest content;
	struct hasher hasher;
	cleanup_key struct key key;
	struct err why = ERR_INIT;
	size_t bad = SIZE_MAX;

	key_init(&key, "copy");
	if (copy_open(&step->request, &copy, &bad, &why) < 0)
		return point_at(step, bad, &why, err);
	hasher_init(&hasher);
	if (copy_add_to_key(copy, &hasher, &why) < 0)
		return point_at(step, SIZE_MAX, &why, err);
	hasher_finish(&hasher, &content);
	key_common(&key, step->stage, &step->words, &step->request);
	key_add_digest(&key, "content", &content);
	key_finish(&key, &step->key);
	step->known = builder_look_up(step->builder, &step->key, &step->record);
	if (step->known)
		return 0;
	step->record.created = clock_wall_ns();
	if (make_layer(step, copy, &why) < 0)
		return point_at(step, SIZE_MAX, &why, err);
	step->record.wall_ns = clock_monotonic_ns() - step->builder->began;
	step->record.key = step->key;
	return cache_put(store, &step->key, &step->record, key.parts, err);
}

static int run_copy_from(struct copy_step *step, struct origin *origin, struct err *err)
{
	struct store *store = step->builder->options->store;
	struct err why = ERR_INIT;
	cleanup_json json_t *parts = json_array();
	struct digest quick;

	quick_key(step->stage, origin, &step->words, &step->request, &quick);
	step->known = builder_look_up(step->builder, &quick, &step->record);
	if (step->known) {
		step->key = step->record.key;
		return 0;
	}
	if (origin_open(step->builder, origin, &why) < 0)
		return point_at(step, SIZE_MAX, &why, err);
	step->request.source = origin->source;
	if (run_copy(step, err) < 0)
		return -1;
	step->record.key = step->key;
	return cache_put(store, &quick, &step->record, parts, err);
}

static int run_step(struct copy_step *step, const struct flag *from, struct err *err)
{
	struct origin origin = ORIGIN_INIT;
	struct err why = ERR_INIT;
	int status = -1;

	if (!from) {
		builder_begin(step->builder, step->stage, step->instruction->text);
		if (step->words.patterns.n &&
		    builder_context(step->builder, &step->request.source, &why) < 0)
			return point_at(step, 0, &why, err);
		return run_copy(step, err);
	}
	if (origin_find(step->builder, step->stage, from->value, from->range, &origin, err) == 0) {
		builder_begin(step->builder, step->stage, step->instruction->text);
		status = run_copy_from(step, &origin, err);
	}
	origin_release(&origin);
	return status;
}

/* The flags as they are written, sources and destination as they were resolved; of heredocs the
 * name alone. */
static char *history_text(const struct copy_step *step)
{
	const struct instruction *instruction = step->instruction;
	struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX * 2);
	buf_addstr(&text, step->request.add ? "ADD" : "COPY");
	for (size_t i = 0; i < instruction->n_flags; i++)
		buf_addf(&text, " --%s%s%s", instruction->flags[i].name,
			 instruction->flags[i].has_value ? "=" : "", instruction->flags[i].value);
	for (size_t i = 0; i < step->words.patterns.n; i++)
		buf_addf(&text, " %s", step->words.patterns.v[i]);
	for (size_t i = 0; i < step->words.n_inlines; i++)
		buf_addf(&text, " <<%s", step->words.inlines[i].name);
	buf_addf(&text, " %s", step->words.dest);
	return buf_steal(&text);
}

int step_copy(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	      struct err *err)
{
	struct copy_step step = {
		.builder = builder,
		.stage = stage,
		.instruction = instruction,
	};
	const struct flag *from = instruction_flag(instruction, "from");
	int status = -1;

	if (refuse_flags(builder, instruction, err) < 0)
		return -1;
	if (read_words(builder, stage, instruction, &step.words, err) == 0) {
		step.request = (struct copy_request){
			.add = instruction->kind == INSTRUCTION_ADD,
			.patterns = (const char *const *)step.words.patterns.v,
			.n_patterns = step.words.patterns.n,
			.inlines = step.words.inlines,
			.n_inlines = step.words.n_inlines,
			.dest = step.words.dest,
			.chown = step.words.chown,
			.chmod = step.words.chmod,
			.from_root = from != NULL,
			.link = instruction_flag_bool(instruction, "link"),
			.parents = instruction_flag_bool(instruction, "parents"),
			.excludes = (const char *const *)step.words.excludes.v,
			.n_excludes = step.words.excludes.n,
			.now = clock_wall_ns() / 1000000000,
		};
		status = run_step(&step, from, err);
	}
	if (status == 0) {
		cleanup_free char *text = history_text(&step);

		stage_add_result(stage, &step.record, &step.key, text);
		builder_finish(builder, step.known);
	}
	words_release(&step.words);
	return status;
}
