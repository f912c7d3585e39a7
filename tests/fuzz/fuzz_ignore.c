/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ignore rules: the first line is a path, what follows are the rules. Asking for a path at once and
 * walking down to it agree.
 */
#include "tests/fuzz/fuzz.h"

#include "dockerfile-parser/dockerfile.h"

#define PATH_LEN_MAX 4096

/* What one who walks finds for the path. */
static bool walk_to(const struct ignore *ignore, const char *path)
{
	cleanup_free bool *matched = xcalloc(ignore_count(ignore) + 1, sizeof(*matched));
	bool excluded = false;
	size_t len = 0;

	while (path[len]) {
		cleanup_free char *part = NULL;

		len += path[len] == '/';
		len += strcspn(path + len, "/");
		part = xstrndup(path, len);
		excluded = ignore_step(ignore, part, matched);
	}
	return excluded;
}

/* Relative, and clean: as a walk has them. */
static bool is_path(const char *path)
{
	return *path && *path != '/' && path[strlen(path) - 1] != '/' && !strstr(path, "//") &&
	       strcmp(path, ".") != 0 && strcmp(path, "..") != 0 && !strstr(path, "/.") &&
	       strncmp(path, "./", 2) != 0 && strncmp(path, "../", 3) != 0 &&
	       strlen(path) < PATH_LEN_MAX;
}

static void look_up(const struct ignore *ignore, const char *path)
{
	unsigned line = 0;
	bool excluded = ignore_excludes(ignore, path, &line);

	if (line && !ignore_rule(ignore, line))
		abort();
	if (is_path(path) && walk_to(ignore, path) != excluded)
		abort();
	ignore_may_include_below(ignore, path);
	ignore_has_exceptions(ignore);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *path = fuzz_text(data, size);
	const char *rules = fuzz_cut(path);
	struct ignore *ignore;
	struct err err;

	pattern_match(rules, path);
	pattern_match(path, rules);
	pattern_is_glob(path);
	if (ignore_parse(".dockerignore", rules, strlen(rules), &ignore, &err) == 0) {
		look_up(ignore, path);
		ignore_free(ignore);
	}
	return 0;
}
