/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One input for all of dockerfile-parser: as a Dockerfile, whose tree is dumped, whose text is
 * parsed again and whose words are expanded; as a list of ignore rules; as a pattern. For
 * libFuzzer (clang -fsanitize=fuzzer,address,undefined); seeds are in testdata/fuzz/dockerfile/.
 */
#include "dockerfile-parser/dockerfile.h"

#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *look_up(void *arg, const char *name, size_t name_len)
{
	static const char *const values[] = { NULL, "", "a/b c.tar.gz", "$x" };

	(void)arg;
	return values[(name_len + (unsigned char)name[0]) % ARRAY_SIZE(values)];
}

static void fuzz_words(const char *word, char escape)
{
	struct err err;
	char **words;
	char *text;
	size_t n;

	if (expand_word(word, escape, 0, look_up, NULL, &text, &err) == 0)
		free(text);
	if (expand_word(word, escape, EXPAND_RAW_QUOTES, look_up, NULL, &text, &err) == 0)
		free(text);
	if (expand_words(word, escape, look_up, NULL, &words, &n, &err) == 0) {
		for (size_t i = 0; i < n; i++)
			free(words[i]);
		free(words);
	}
}

static void fuzz_instruction(struct dockerfile *file, const struct instruction *instruction)
{
	const struct flag *mount = instruction_flag(instruction, "mount");
	struct flag_option *options;
	struct err err;
	size_t n;

	if (instruction->trigger) {
		struct instruction *again;

		fuzz_instruction(file, instruction->trigger);
		if (file->directives.escape == '\\' &&
		    dockerfile_parse_trigger(file, instruction->trigger->text, &again, &err) == 0 &&
		    again->kind != instruction->trigger->kind)
			abort();
	}
	for (size_t i = 0; i < instruction->n_args; i++)
		fuzz_words(instruction->args[i].text, file->directives.escape);
	for (size_t i = 0; i < instruction->n_heredocs; i++)
		fuzz_words(instruction->heredocs[i].content, '\\');
	if (mount && flag_options_parse(file->arena, mount->value, &options, &n, &err) < 0)
		abort();
}

static void fuzz_dockerfile(const char *text, size_t len)
{
	struct dockerfile *file;
	struct err err;

	if (dockerfile_parse("Dockerfile", text, len, &file, &err) < 0)
		return;
	dockerfile_check_stages(file, &err);
	for (size_t i = 0; i < file->n_instructions; i++)
		fuzz_instruction(file, &file->instructions[i]);
	json_decref(dockerfile_to_json(file));
	dockerfile_free(file);
}

static void fuzz_ignore(const char *text, size_t len)
{
	static const char *const paths[] = { "a", "a/b/c", "Dockerfile", "src/main.c", "", "a/" };
	struct ignore *ignore;
	struct err err;
	unsigned line;

	if (ignore_parse(".dockerignore", text, len, &ignore, &err) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		ignore_excludes(ignore, paths[i], &line);
		if (line && !ignore_rule(ignore, line))
			abort();
		ignore_may_include_below(ignore, paths[i]);
	}
	ignore_free(ignore);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = xmalloc(size + 1);
	struct err err;
	int64_t ns;

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	fuzz_dockerfile(text, size);
	fuzz_ignore(text, size);
	fuzz_words(text, '\\');
	pattern_match(text, "a/b/c");
	pattern_match("*", text);
	duration_parse(text, &ns, &err);
	return 0;
}
