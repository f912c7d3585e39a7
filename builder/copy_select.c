/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From source patterns to entries, as BuildKit does it:
 *  1. The part of a pattern before its first wildcard is a path, in which links are followed. The
 *     rest is matched with filepath.Match against whole paths below that, links not followed; a
 *     directory that matches is not searched for more.
 *  2. A match that is a link stands for what it points to, under the link's own name.
 *  3. With --parents the part before "/./" (or nothing) is the source, a directory, and the rest
 *     says what of it is included, by the rules of ignore files ("**" is special).
 *  4. --exclude is matched against paths below the match; for a match that is a file, against its
 *     name.
 */
#include "builder/selection.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "dockerfile-parser/dockerfile.h"

#define ITEMS_MAX (8 * 1024 * 1024)

DEFINE_CLEANUP(struct ignore *, ignore_free)

/* What of a match is selected. */
struct filter {
	struct ignore *includes; /* --parents; NULL: all */
	const struct ignore *excludes;
	const char *pattern; /* of includes */
};

char *copy_clean_path(const char *path)
{
	char *clean = xmalloc(strlen(path) + 1);
	size_t len = 0;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (len > 0 && clean[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && *path == '.')) {
			if (len)
				clean[len++] = '/';
			memcpy(clean + len, path, n);
			len += n;
		}
		path += n + (path[n] == '/');
	}
	clean[len] = '\0';
	return clean;
}

/* --- items ------------------------------------------------------------------------------------ */

/* Items live as long as the nodes they point to, and as these may spill (base/arena.h). */
static void add_block(struct copy *copy)
{
	copy->items =
		grow_vector(copy->items, copy->n_blocks, &copy->cap_blocks, sizeof(*copy->items));
	copy->items[copy->n_blocks++] =
		arena_alloc(copy->request.source->arena, ITEMS_BLOCK * sizeof(struct item));
}

static int add_item(struct copy *copy, struct node *node, bool passage, struct err *err)
{
	if (copy->n_items == ITEMS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d files are selected", ITEMS_MAX);
	if (copy->n_items == copy->n_blocks * ITEMS_BLOCK)
		add_block(copy);
	*copy_item(copy, copy->n_items++) = (struct item){
		.node = node,
		.match = (uint32_t)(copy->n_matches - 1),
		.passage = passage,
	};
	return 0;
}

/* All below dir. */
static int add_all(struct copy *copy, struct node *dir, struct err *err)
{
	if (node_load(copy->request.source, dir, err) < 0)
		return -1;
	for (size_t i = 0; i < dir->n_children; i++) {
		struct node *node = &dir->children[i];

		if (node->hidden)
			continue;
		if (add_item(copy, node, false, err) < 0)
			return -1;
		if (S_ISDIR(node->mode) && add_all(copy, node, err) < 0)
			return -1;
	}
	return 0;
}

static int add_tree(struct copy *copy, struct node *top, struct err *err)
{
	source_read_ahead(copy->request.source, top);
	return add_all(copy, top, err);
}

/* Whether something below the directory `path` could match the include pattern: its components
 * must match those of the pattern, as far as both go and up to a "**". */
static bool may_match_below(const char *pattern, const char *path)
{
	while (*pattern && *path) {
		size_t n_pattern = strcspn(pattern, "/"), n_path = strcspn(path, "/");
		cleanup_free char *want = xstrndup(pattern, n_pattern);
		cleanup_free char *have = xstrndup(path, n_path);

		if (strstr(want, "**"))
			return true;
		if (pattern_match(want, have) != 1)
			return false;
		pattern += n_pattern + (pattern[n_pattern] == '/');
		path += n_path + (path[n_path] == '/');
	}
	return true;
}

static int add_filtered(struct copy *copy, const struct filter *filter, struct node *dir,
			struct err *err);

/* A member whose path below the match is copy->path. */
static int add_member(struct copy *copy, const struct filter *filter, struct node *node,
		      struct err *err)
{
	const char *path = copy->path.data;
	bool included = !filter->includes || ignore_excludes(filter->includes, path, NULL);
	bool excluded = filter->excludes && ignore_excludes(filter->excludes, path, NULL);
	bool taken = included && !excluded;
	size_t before = copy->n_items;

	if (!S_ISDIR(node->mode))
		return taken ? add_item(copy, node, false, err) : 0;
	if (!taken && ((excluded && !ignore_may_include_below(filter->excludes, path)) ||
		       (!included && !may_match_below(filter->pattern, path))))
		return 0;
	if (add_item(copy, node, !taken, err) < 0 || add_filtered(copy, filter, node, err) < 0)
		return -1;
	if (!taken && copy->n_items == before + 1)
		copy->n_items = before; /* a passage to nowhere */
	return 0;
}

static int add_filtered(struct copy *copy, const struct filter *filter, struct node *dir,
			struct err *err)
{
	size_t len = copy->path.len;

	if (node_load(copy->request.source, dir, err) < 0)
		return -1;
	for (size_t i = 0; i < dir->n_children; i++) {
		struct node *node = &dir->children[i];

		if (node->hidden)
			continue;
		if (len)
			buf_addch(&copy->path, '/');
		buf_addstr(&copy->path, node->name);
		if (add_member(copy, filter, node, err) < 0)
			return -1;
		copy->path.data[copy->path.len = len] = '\0';
	}
	return 0;
}

/* One match and its items. */
static int add_match(struct copy *copy, struct node *top, const char *name,
		     const struct filter *filter, struct err *err)
{
	struct match *match;
	int status;

	if (!S_ISDIR(top->mode) && filter->excludes &&
	    ignore_excludes(filter->excludes, name, NULL))
		return 0;
	copy->matches = grow_vector(copy->matches, copy->n_matches, &copy->cap_matches,
				    sizeof(*copy->matches));
	match = &copy->matches[copy->n_matches++];
	*match = (struct match){
		.top = top,
		.name = arena_strdup(copy->arena, name),
		.first = copy->n_items,
	};
	buf_clear(&copy->path);
	if (!S_ISDIR(top->mode))
		status = add_item(copy, top, false, err);
	else if (filter->includes || filter->excludes)
		status = add_filtered(copy, filter, top, err);
	else
		status = add_tree(copy, top, err);
	copy->matches[copy->n_matches - 1].n =
		copy->n_items - copy->matches[copy->n_matches - 1].first;
	return status;
}

/* --- errors ----------------------------------------------------------------------------------- */

static const char *where(const struct copy *copy, char text[256])
{
	if (copy->request.source->store)
		return "the build context";
	snprintf(text, 256, "%s", copy->request.source->path);
	return text;
}

/* A name in the directory that is like this one, or NULL. */
static const char *near_name(struct copy *copy, struct node *dir, const char *name)
{
	cleanup_free const char **names = NULL;
	struct err ignored = ERR_INIT;
	size_t n = 0;

	if (!S_ISDIR(dir->mode) || node_load(copy->request.source, dir, &ignored) < 0)
		return NULL;
	names = xmalloc((dir->n_children + 1) * sizeof(*names));
	for (size_t i = 0; i < dir->n_children; i++)
		if (!dir->children[i].hidden)
			names[n++] = dir->children[i].name;
	return suggest(name, names, n);
}

static struct node *look_up(struct copy *copy, const char *path, bool follow)
{
	struct source *source = copy->request.source;
	struct err ignored = ERR_INIT;
	struct node *node;

	return source_lookup(source, &source->root, path, follow, &node, &ignored) < 0 ? NULL
										       : node;
}

/* The path with its first component that is missing replaced by one like it, NULL when there is
 * none, or when the rest is not there either. */
static const char *near_match(struct copy *copy, const char *path)
{
	struct node *dir = look_up(copy, "", true);
	const char *at = path;

	while (dir) {
		size_t len = strcspn(at, "/"), before = (size_t)(at - path);
		cleanup_free char *prefix = xstrndup(path, before + len);
		cleanup_free char *name = xstrndup(at, len);
		struct node *next = look_up(copy, prefix, true);
		const char *near;

		if (next && at[len]) {
			dir = next;
			at += len + 1;
			continue;
		}
		near = near_name(copy, dir, name);
		if (near)
			near = arena_printf(copy->arena, "%.*s%s%s", (int)before, path, near,
					    at + len);
		return near && look_up(copy, near, true) ? near : NULL;
	}
	return NULL;
}

static int not_found(struct copy *copy, const char *pattern, const char *path, struct err *err)
{
	const struct ignore *ignore = copy->request.source->ignore;
	const char *keyword = copy->request.add ? "ADD" : "COPY";
	const char *near;
	char text[256];
	unsigned line;

	err_set(err, ERR_NOT_FOUND, "%s %s: \"%s\" not found in %s", keyword, pattern, pattern,
		where(copy, text));
	if (ignore && ignore_excludes(ignore, path, &line) && line)
		return err_set(err, ERR_NOT_FOUND,
			       "%s %s: \"%s\" not found in %s; %s:%u `%s` excludes it", keyword,
			       pattern, pattern, where(copy, text), ignore_name(ignore), line,
			       ignore_rule(ignore, line));
	if (look_up(copy, path, false))
		return err_set(err, ERR_NOT_FOUND,
			       "%s %s: \"%s\" is a link to something that is not in %s", keyword,
			       pattern, pattern, where(copy, text));
	near = near_match(copy, path);
	if (near)
		return err_set(err, ERR_NOT_FOUND,
			       "%s %s: \"%s\" not found in %s; did you mean \"%s\"?", keyword,
			       pattern, pattern, where(copy, text), near);
	return -1;
}

/* --- patterns --------------------------------------------------------------------------------- */

/* BuildKit's idea of a wildcard: an escape alone is none, and then means nothing but itself. */
static bool has_wildcard(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			i++;
		else if (strchr("*?[", text[i]))
			return true;
	}
	return false;
}

/* Length of the components before the first with a wildcard, with their slash. */
static size_t literal_length(const char *path)
{
	size_t at = 0;

	for (;;) {
		size_t n = strcspn(path + at, "/");

		if (has_wildcard(path + at, n))
			return at;
		at += n;
		if (!path[at])
			return at;
		at++;
	}
}

/* A node that matched by its path `name`: what it points to when it is a link. */
static int add_found(struct copy *copy, const char *pattern, struct node *node,
		     const struct filter *filter, struct err *err)
{
	struct source *source = copy->request.source;
	char path[NODE_PATH_MAX];
	struct node *top = node;

	if (S_ISLNK(node->mode)) {
		node_path(NULL, node, path);
		if (source_lookup(source, &source->root, path, true, &top, err) < 0)
			return -1;
		if (!top)
			return err_set(err, ERR_NOT_FOUND,
				       "%s %s: \"%s\" is a symbolic link to \"%s\", which is not "
				       "in %s",
				       copy->request.add ? "ADD" : "COPY", pattern, path,
				       node->link, where(copy, (char[256]){ "" }));
	}
	return add_match(copy, top, node->name, filter, err);
}

struct search {
	struct copy *copy;
	const char *pattern; /* whole, for messages */
	const char *rest;    /* matched against paths below the directory where it began */
	bool prune;	     /* components can be matched one by one */
	struct buf path;
	const struct filter *filter;
};

static int search_dir(struct search *search, struct node *dir, struct err *err)
{
	struct copy *copy = search->copy;
	size_t len = search->path.len;

	if (node_load(copy->request.source, dir, err) < 0)
		return -1;
	for (size_t i = 0; i < dir->n_children; i++) {
		struct node *node = &dir->children[i];
		int matches, bad = 0;

		if (node->hidden)
			continue;
		if (len)
			buf_addch(&search->path, '/');
		buf_addstr(&search->path, node->name);
		matches = pattern_match(search->rest, search->path.data);
		if (matches < 0)
			bad = err_set(err, ERR_INVALID, "syntax error in pattern \"%s\"",
				      search->pattern);
		else if (matches > 0)
			bad = add_found(copy, search->pattern, node, search->filter, err);
		else if (S_ISDIR(node->mode) &&
			 (!search->prune || may_match_below(search->rest, search->path.data)))
			bad = search_dir(search, node, err);
		if (bad)
			return -1;
		search->path.data[search->path.len = len] = '\0';
	}
	return 0;
}

/* The components of a pattern are never fewer than those of what it matches, unless a class can
 * match a slash. */
static int search_wildcard(struct copy *copy, const char *pattern, const char *path,
			   const struct filter *filter, struct err *err)
{
	struct source *source = copy->request.source;
	size_t literal = literal_length(path);
	cleanup_free char *begin = xstrndup(path, literal);
	struct search search = {
		.copy = copy,
		.pattern = pattern,
		.rest = path + literal,
		.prune = !strchr(path + literal, '['),
		.filter = filter,
	};
	struct node *dir;
	int status;

	if (pattern_match(search.rest, "") < 0)
		return err_set(err, ERR_INVALID, "syntax error in pattern \"%s\"", pattern);
	if (source_lookup(source, &source->root, begin, true, &dir, err) < 0)
		return -1;
	if (!dir || !S_ISDIR(dir->mode))
		return 0;
	buf_init(&search.path, NODE_PATH_MAX);
	status = search_dir(&search, dir, err);
	buf_release(&search.path);
	return status;
}

/* A path without wildcards, which must be there. */
static int find_literal(struct copy *copy, const char *pattern, const char *path,
			const struct filter *filter, struct err *err)
{
	struct source *source = copy->request.source;
	const char *slash = strrchr(path, '/');
	struct node *top;

	if (source_lookup(source, &source->root, path, true, &top, err) < 0)
		return -1;
	if (!top)
		return not_found(copy, pattern, path, err);
	return add_match(copy, top, slash ? slash + 1 : path, filter, err);
}

static int select_path(struct copy *copy, const char *pattern, const char *path,
		       const struct filter *filter, struct err *err)
{
	if (has_wildcard(path, strlen(path)))
		return search_wildcard(copy, pattern, path, filter, err);
	return find_literal(copy, pattern, path, filter, err);
}

/* --parents: a literal path must exist in each directory that it is looked for in. */
static int check_required(struct copy *copy, const char *pattern, const char *path, size_t first,
			  struct err *err)
{
	if (has_wildcard(path, strlen(path)))
		return 0;
	for (size_t i = first; i < copy->n_matches; i++) {
		struct node *node;

		if (source_lookup(copy->request.source, copy->matches[i].top, path, false, &node,
				  err) < 0)
			return -1;
		if (!node)
			return not_found(copy, pattern, path, err);
	}
	return 0;
}

static int select_parents(struct copy *copy, const char *pattern, struct err *err)
{
	const char *pivot = strstr(pattern, "/./");
	cleanup_free char *before = xstrndup(pattern, pivot ? (size_t)(pivot - pattern) : 0);
	cleanup_free char *top = copy_clean_path(before);
	cleanup_free char *rest = copy_clean_path(pivot ? pivot + 3 : pattern);
	cleanup_with(ignore_free) struct ignore *includes = NULL;
	struct filter filter = { .excludes = copy->excludes, .pattern = rest };
	size_t first = copy->n_matches;

	if (*rest) {
		/* "./" keeps "!" and "#" from meaning something. */
		cleanup_free char *rule = xasprintf("./%s", rest);

		if (ignore_parse(pattern, rule, strlen(rule), &includes, err) < 0)
			return -1;
		filter.includes = includes;
	}
	if (select_path(copy, pattern, top, &filter, err) < 0)
		return -1;
	return check_required(copy, pattern, rest, first, err);
}

int copy_select(struct copy *copy, const char *pattern, struct err *err)
{
	struct filter filter = { .excludes = copy->excludes };
	cleanup_free char *path = NULL;

	if (strlen(pattern) >= NODE_PATH_MAX)
		return err_set(err, ERR_LIMIT, "%.100s...: path too long", pattern);
	if (copy->request.parents)
		return select_parents(copy, pattern, err);
	path = copy_clean_path(pattern);
	return select_path(copy, pattern, path, &filter, err);
}
