/* SPDX-License-Identifier: GPL-2.0-or-later */
/* builder/named.c: the contexts that --build-context gives names. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/mem.h"
#include "builder/origin.h"
#include "builder/remote.h"
#include "builder/schedule.h"
#include "registry/reference.h"

#define NAMED_MAX 1000

struct named {
	char *name; /* familiar, without ":latest"; with "::platform" as given */
	char *value;
	enum named_kind kind;
	const char *place; /* value without its scheme */
	char *path;	   /* of a directory, absolute */
	int dir_fd;	   /* of a directory or layout; else -1 */
	struct ignore *ignore;
	struct tree tree;
	struct source *source;
};

struct named_list {
	struct named *items;
	size_t n, cap;
};

static void release(struct named *named)
{
	source_free(named->source);
	ignore_free(named->ignore);
	tree_release(&named->tree);
	file_close_at(&named->dir_fd);
	free(named->path);
	free(named->name);
	free(named->value);
}

void named_free(struct named_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n; i++)
		release(&list->items[i]);
	free(list->items);
	free(list);
}

DEFINE_CLEANUP(struct named_list *, named_free)

/* --- names ------------------------------------------------------------------------------------ */

/* As BuildKit compares them; NULL for what is no name. */
static char *normalise(const char *name)
{
	char text[REFERENCE_TEXT_MAX];
	struct err ignored = ERR_INIT;
	struct reference reference;
	size_t len;

	if (reference_parse(name, &reference, &ignored) < 0)
		return NULL;
	reference_familiar(&reference, text);
	len = strlen(text);
	if (len > 7 && !strcmp(text + len - 7, ":latest"))
		text[len - 7] = '\0';
	return xstrdup(text);
}

static char *normalise_key(const char *name)
{
	const char *platform = strstr(name, "::");
	cleanup_free char *bare =
		xstrndup(name, platform ? (size_t)(platform - name) : strlen(name));
	cleanup_free char *normal = normalise(bare);
	char text[PLATFORM_TEXT_MAX];
	struct err ignored = ERR_INIT;
	struct platform parsed;

	if (!normal || !platform)
		return steal_pointer(&normal);
	if (platform_parse(platform + 2, &parsed, &ignored) < 0)
		return NULL;
	return xasprintf("%s::%s", normal, platform_format(&parsed, text));
}

static struct named *find_exact(const struct named_list *list, const char *name)
{
	for (size_t i = list->n; i-- > 0;)
		if (!strcmp(list->items[i].name, name))
			return &list->items[i];
	return NULL;
}

struct named *named_find(const struct named_list *list, const char *name,
			 const struct platform *platform)
{
	cleanup_free char *normal = list && list->n ? normalise(name) : NULL;
	cleanup_free char *whole = NULL;
	char text[PLATFORM_TEXT_MAX];
	struct named *found;

	if (!normal)
		return NULL;
	whole = xasprintf("%s::%s", normal, platform_format(platform, text));
	found = find_exact(list, whole);
	return found ? found : find_exact(list, normal);
}

enum named_kind named_kind(const struct named *named)
{
	return named->kind;
}

const char *named_value(const struct named *named)
{
	return named->value;
}

/* --- reading the option ----------------------------------------------------------------------- */

static int open_directory(struct named *named, const char *path, struct err *err)
{
	char real[PATH_MAX];

	named->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (named->dir_fd < 0 || !realpath(path, real))
		return err_os(err, "open \"%s\"", path);
	named->path = xstrdup(real);
	return 0;
}

/* A local context has ignore rules of its own. */
static int read_ignore(struct named *named, struct err *err)
{
	static const char name[] = ".dockerignore";
	cleanup_free char *text = NULL;
	size_t len;

	if (inroot_read(named->dir_fd, name, IGNORE_MAX, &text, &len, err) == 0)
		return ignore_parse(name, text, len, &named->ignore, err);
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

/* "path", "path:tag" or "path@digest": the last colon is the tag's unless a slash follows. */
static char *layout_path(const char *place, const char **ret_tag, const char **ret_digest)
{
	const char *at = strrchr(place, '@'), *colon;

	*ret_tag = *ret_digest = NULL;
	if (at) {
		*ret_digest = at + 1;
		return xstrndup(place, (size_t)(at - place));
	}
	colon = strrchr(place, ':');
	if (!colon || strchr(colon, '/'))
		return xstrdup(place);
	*ret_tag = colon + 1;
	return xstrndup(place, (size_t)(colon - place));
}

static int classify(struct named *named, struct err *err)
{
	const char *value = named->value;
	const char *tag, *digest;

	named->place = value;
	if (!strncmp(value, "docker-image://", 15)) {
		named->kind = NAMED_IMAGE;
		named->place = value + 15;
		return 0;
	}
	if (!strncmp(value, "oci-layout://", 13)) {
		cleanup_free char *path = layout_path(value + 13, &tag, &digest);

		named->kind = NAMED_LAYOUT;
		named->place = value + 13;
		return open_directory(named, path, err);
	}
	if (remote_kind(value) != REMOTE_NONE) {
		named->kind = NAMED_REMOTE;
		return 0;
	}
	if (strstr(value, "://"))
		return err_set(err, ERR_UNSUPPORTED,
			       "only paths, docker-image://, oci-layout://, http(s):// and git "
			       "repositories can be contexts");
	named->kind = NAMED_DIRECTORY;
	return open_directory(named, value, err) < 0 ? -1 : read_ignore(named, err);
}

static int add(struct named_list *list, const char *given, struct err *err)
{
	size_t len = strcspn(given, "=");
	cleanup_free char *name = xstrndup(given, len);
	struct named *named;
	char *key;

	if (!len || !given[len] || !given[len + 1])
		return err_set(err, ERR_INVALID, "--build-context: expected NAME=VALUE, got \"%s\"",
			       given);
	key = normalise_key(name);
	if (!key)
		return err_set(err, ERR_INVALID, "--build-context: invalid name \"%s\"", name);
	list->items = grow_vector(list->items, list->n, &list->cap, sizeof(*list->items));
	named = &list->items[list->n++];
	*named = (struct named){
		.name = key,
		.value = xstrdup(given + len + 1),
		.dir_fd = -1,
		.tree = TREE_INIT,
	};
	return classify(named, err) < 0 ? err_wrap(err, "--build-context %s", name) : 0;
}

int named_parse(const struct strv *given, struct named_list **ret_list, struct err *err)
{
	cleanup_with(named_free) struct named_list *list = xcalloc(1, sizeof(*list));

	if (given->n > NAMED_MAX)
		return err_set(err, ERR_LIMIT, "more than %d contexts", NAMED_MAX);
	for (size_t i = 0; i < given->n; i++)
		if (add(list, given->v[i], err) < 0)
			return -1;
	*ret_list = steal_pointer(&list);
	return 0;
}

/* --- what they hold --------------------------------------------------------------------------- */

static int load_layout(struct builder *builder, const struct named *named,
		       const struct platform *platform, struct digest *ret_id,
		       struct image **ret_image, struct err *err)
{
	struct store *store = builder->options->store;
	const char *tag, *text;
	cleanup_free char *path = layout_path(named->place, &tag, &text);
	struct digest digest;

	if (text && digest_parse(text, &digest, err) < 0)
		return -1;
	if (builder->planning)
		return layout_read(named->dir_fd, tag, text ? &digest : NULL, platform, ret_id,
				   ret_image, err);
	if (layout_load(store, named->dir_fd, tag, text ? &digest : NULL, platform, ret_id, err) <
	    0)
		return err_wrap(err, "the layout %s", path);
	return image_load(store, ret_id, ret_image, err);
}

int named_image(struct stage *stage, struct named *named, struct range where, struct digest *ret_id,
		struct image **ret_image, struct err *err)
{
	struct builder *builder = stage->builder;
	struct err why = ERR_INIT;

	if (named->kind == NAMED_IMAGE)
		return base_load(stage, where, named->place, ret_id, ret_image, err);
	if (load_layout(builder, named, &stage->plan->platform, ret_id, ret_image, &why) < 0)
		return dockerfile_error(builder->dockerfile, where, why.kind, err, "%s",
					why.message);
	return 0;
}

static void listen(void *arg, const struct build_event *event)
{
	struct build_event copy = *event;

	stage_event(arg, &copy);
}

static int open_source(struct stage *stage, struct named *named, struct err *err)
{
	const struct build_options *options = stage->builder->options;

	if (named->kind == NAMED_DIRECTORY)
		return source_open_context(options->store, named->path, named->dir_fd,
					   named->ignore, options->jobs, &named->source, err);
	if (tree_fetch(options, named->place, listen, stage, &named->tree, NULL, err) < 0)
		return -1;
	return source_open_root(options->store, named->tree.dir_fd, named->name, options->jobs,
				&named->source, err);
}

int named_tree(struct stage *stage, struct named *named, struct origin *origin, struct err *err)
{
	struct builder *builder = stage->builder;
	int status = 0;

	if (named->kind == NAMED_REMOTE && schedule_work(builder->schedule, err) < 0)
		return -1;
	schedule_lock(builder->schedule);
	if (!named->source)
		status = open_source(stage, named, err);
	schedule_unlock(builder->schedule);
	if (status < 0)
		return err_wrap(err, "the context %s", named->name);
	digest_of(named->value, strlen(named->value), &origin->key);
	origin->what = named->name;
	origin->source = named->source;
	origin->mount_fd = named->kind == NAMED_DIRECTORY ? named->dir_fd : named->tree.dir_fd;
	origin->owners = named->tree.owners;
	origin->borrowed = true;
	return 0;
}

void named_save(struct builder *builder)
{
	struct named_list *list = builder->named;

	for (size_t i = 0; i < list->n; i++) {
		struct err late = ERR_INIT;

		if (list->items[i].source && source_save(list->items[i].source, &late) < 0)
			builder_warn(builder, "the index of context %s was not saved: %s",
				     list->items[i].name, late.message);
	}
}
