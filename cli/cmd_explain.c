/* SPDX-License-Identifier: GPL-2.0-or-later */
/* explain: what the last build of a context did, and why. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/internal.h"

/* What the context is called: of what is here its absolute path. NULL: there is no such thing. */
static char *context_name(const char *path, bool *ret_local)
{
	struct stat st;

	cleanup_free char *name = build_context_name(path);

	*ret_local = false;
	if (!strcmp(path, "-") || strcmp(name, path) || strstr(path, "://"))
		return steal_pointer(&name);
	if (stat(path, &st) < 0)
		return strchr(path, '@') ? steal_pointer(&name) : NULL;
	*ret_local = S_ISDIR(st.st_mode);
	return realpath(path, NULL);
}

/* The Dockerfile that `build` would take of a directory; it may be gone since. */
static char *local_dockerfile(const char *context, const char *file)
{
	char *path;

	if (file) {
		path = realpath(file, NULL);
		return path ? path : xstrdup(file);
	}
	path = xasprintf("%s/Dockerfile", context);
	if (access(path, F_OK) < 0) {
		cleanup_free char *lower = xasprintf("%s/dockerfile", context);

		if (access(lower, F_OK) == 0) {
			free(path);
			return steal_pointer(&lower);
		}
	}
	return path;
}

/*
 * The last build of the context. What lies elsewhere has a Dockerfile inside it, of either name, or
 * is one by itself: only the record knows.
 */
static int find(struct store *store, const char *context, const char *file, bool local,
		struct build_report **ret_report, struct err *err)
{
	const char *const names[] = { file ? file : "Dockerfile", "dockerfile", NULL };
	cleanup_free char *path = NULL;

	if (file && !strcmp(file, "-"))
		return build_explain(store, context, NULL, ret_report, err);
	if (local) {
		path = local_dockerfile(context, file);
		return build_explain(store, context, path, ret_report, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (build_explain(store, context, names[i], ret_report, err) == 0)
			return 0;
		else if (file || err->kind != ERR_NOT_FOUND)
			return -1;
	return -1;
}

static int explain(struct cli *cli, const char *path, const char *file, const char *format,
		   struct err *err)
{
	cleanup_with(build_report_free) struct build_report *report = NULL;
	cleanup_free char *context = NULL;
	struct store *store;
	bool local;

	context = context_name(path, &local);
	if (!context)
		return err_os(err, "open the build context \"%s\"", path);
	if (cli_store(cli, &store, err) < 0)
		return -1;
	if (find(store, context, file, local, &report, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		return err_set(err, ERR_NOT_FOUND,
			       "no build of %s is known with %s: -f names another Dockerfile",
			       context, file ? file : "its Dockerfile");
	}
	return explain_print(cli, report, format, false, err);
}

int cmd_explain(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *file = NULL, *format = NULL;
	const struct opt opts[] = {
		{ "file", 'f', OPT_STRING, &file, "FILE",
		  "the Dockerfile (default: PATH/Dockerfile; - for standard input)" },
		{ "format", 0, OPT_STRING, &format, "FORMAT", "text (default) or json" },
	};

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	return explain(cli, argc == 2 ? argv[1] : ".", file, format, err);
}
