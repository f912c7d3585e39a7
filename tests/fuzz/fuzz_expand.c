/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words: the first line is the value of $v, the second the word. Variables of other names have
 * other values by their length.
 */
#include "tests/fuzz/fuzz.h"

#include "dockerfile-parser/dockerfile.h"

static const char *look_up(void *value, const char *name, size_t name_len)
{
	static const char *const values[] = { NULL, "", "a/b c.tar.gz", "$x", "h\xc3\xa9" };

	if (name_len == 1 && *name == 'v')
		return value;
	return values[name_len % ARRAY_SIZE(values)];
}

static void expand(const char *word, char escape, unsigned flags, char *value)
{
	struct err err;
	char *text;

	if (expand_word(word, escape, flags, look_up, value, &text, &err) < 0)
		return;
	if (strlen(text) > DOCKERFILE_EXPANSION_MAX)
		abort();
	free(text);
}

static void split(const char *word, char *value)
{
	struct err err;
	char **words;
	size_t n;

	if (expand_words(word, '\\', look_up, value, &words, &n, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		free(words[i]);
	if (words[n])
		abort();
	free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *value = fuzz_text(data, size);
	const char *word = fuzz_cut(value);
	struct err err;
	int64_t ns;

	expand(word, '\\', 0, value);
	expand(word, '`', 0, value);
	expand(word, '\\', EXPAND_RAW_QUOTES, value);
	split(word, value);
	duration_parse(word, &ns, &err);
	return 0;
}
