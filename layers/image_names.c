/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/image_names.c: names of images. "localhost:5000/a/b:1" is the file
 * images/names/localhost:5000/a/b/:1, so names that begin alike share directories. What follows
 * the repository (":1", "@sha256:...") begins with a character that no repository begins with, so a
 * tag of a/b never collides with the repository a/b/c.
 *
 * 1. A name is written after the record of its image and removed before it, so a name always
 *    leads somewhere.
 * 2. Directories are made when a name needs them and removed when they are empty. Both may race:
 *    the maker tries again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "layers/image.h"
#include "layers/internal.h"
#include "layers/store.h"

#define NAMES		   "images/names"
#define NAME_MAX_BYTES	   1024
#define NAME_RECORD_MAX	   4096
#define NAME_COMPONENT_MAX 240 /* the mark of damage must fit behind it */

/* Where the tag or digest begins; NULL when the name has none. */
static const char *name_suffix(const char *name)
{
	const char *digest = strchr(name, '@');
	const char *end = digest ? digest : name + strlen(name);
	const char *slash = memrchr(name, '/', (size_t)(end - name));
	const char *tag = slash ? memchr(slash, ':', (size_t)(end - slash)) : NULL;

	return tag ? tag : digest;
}

static bool is_component(const char *text, size_t len)
{
	return len > 0 && len <= NAME_COMPONENT_MAX && text[0] != '.' && text[0] != ':' &&
	       text[0] != '@';
}

/* NULL when it is no name: what a caller should have checked must still not leave the store. */
static char *name_path(const char *name, struct err *err)
{
	const char *suffix = strlen(name) <= NAME_MAX_BYTES ? name_suffix(name) : NULL;
	bool good = suffix && suffix[1] && strlen(suffix) <= NAME_COMPONENT_MAX &&
		    !strchr(suffix, '/') && memchr(name, '/', (size_t)(suffix - name)) &&
		    suffix[-1] != '/';

	for (const char *c = name; good && c < suffix;) {
		size_t len = strcspn(c, "/");

		if (c + len > suffix)
			len = (size_t)(suffix - c);
		good = is_component(c, len);
		c += len + (c[len] == '/');
	}
	if (!good) {
		err_set(err, ERR_INVALID, "\"%.200s\" is not an image name in normal form", name);
		return NULL;
	}
	return xasprintf(NAMES "/%.*s/%s", (int)(suffix - name), name, suffix);
}

/* --- one name --------------------------------------------------------------------------------- */

int image_tag(struct store *store, const char *name, const struct digest *id,
	      const struct digest *remote, struct err *err)
{
	cleanup_free char *path = name_path(name, err), *text = NULL;
	cleanup_json json_t *object = json_object();
	char digest[DIGEST_TEXT_MAX];
	struct image_record record;

	if (!path)
		return -1;
	if (image_record_get(store, id, &record, err) < 0)
		return err_wrap(err, "tag %s", name);
	json_object_set_new(object, "id", json_string(digest_format(id, digest)));
	if (remote && !digest_is_zero(remote))
		json_object_set_new(object, "remote", json_string(digest_format(remote, digest)));
	json_object_set_new(object, "tagged", json_integer(clock_wall_ns()));
	text = js_dump(object);
	if (record_put_at(store, path, text, strlen(text), err) < 0)
		return err_wrap(err, "tag %s", name);
	return 0;
}

int image_untag(struct store *store, const char *name, struct err *err)
{
	cleanup_free char *path = name_path(name, err);

	if (!path)
		return -1;
	if (unlinkat(store_fd(store), path, 0) < 0)
		return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "no image is named %s", name)
				       : err_os(err, "remove the name %s", name);
	for (;;) {
		*strrchr(path, '/') = '\0';
		if (!strcmp(path, NAMES) || unlinkat(store_fd(store), path, AT_REMOVEDIR) < 0)
			return 0;
	}
}

static int parse_name(const char *text, size_t len, struct image_name *name, struct err *err)
{
	cleanup_json json_t *object = NULL;
	uint64_t tagged;

	if (js_parse("name record", text, len, &object, err) < 0 ||
	    js_digest(object, "id", &name->id, err) < 0 ||
	    js_uint(object, "tagged", 0, &tagged, err) < 0)
		return -1;
	name->tagged = (int64_t)tagged;
	if (json_object_get(object, "remote"))
		return js_digest(object, "remote", &name->remote, err);
	return 0;
}

int image_name_get(struct store *store, const char *name, struct image_name *ret_name,
		   struct err *err)
{
	cleanup_free char *path = name_path(name, err);
	struct image_name got = { .name = NULL };
	cleanup_buf struct buf text;

	buf_init(&text, NAME_RECORD_MAX);
	if (!path)
		return -1;
	if (record_get_at(store, path, &text, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return err_wrap(err, "image %s", name);
		return err_set(err, ERR_NOT_FOUND, "no image is named %s", name);
	}
	if (parse_name(text.data, text.len, &got, err) < 0)
		return err_wrap(err, "image %s", name);
	got.name = xstrdup(name);
	*ret_name = got;
	return 0;
}

void image_name_release(struct image_name *name)
{
	free(name->name);
	name->name = NULL;
}

/* --- all of them ------------------------------------------------------------------------------ */

struct name_walk {
	struct store *store;
	struct strv pending; /* directories still to be read, "" or "docker.io/library" */
	struct image_name *names;
	size_t n, cap;
};

static int add_name(struct name_walk *walk, const char *dir, const char *leaf, struct err *err)
{
	cleanup_free char *name = xasprintf("%s%s", dir, leaf);
	struct image_name got;

	if (strchr(leaf, '~')) /* set aside */
		return 0;
	if (image_name_get(walk->store, name, &got, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		err_clear(err); /* removed in between */
		return 0;
	}
	walk->names = grow_vector(walk->names, walk->n, &walk->cap, sizeof(*walk->names));
	walk->names[walk->n++] = got;
	return 0;
}

static int read_directory(struct name_walk *walk, const char *dir, struct err *err)
{
	cleanup_free char *path = xasprintf(NAMES "/%s", dir);
	int fd = openat(store_fd(walk->store), path,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;
	int bad = 0;

	if (!stream && errno == ENOENT)
		return 0;
	if (!stream) {
		err_os(err, "open %s", path);
		file_close_at(&fd);
		return -1;
	}
	while (!bad && (item = readdir(stream))) {
		if (item->d_name[0] == ':' || item->d_name[0] == '@')
			bad = add_name(walk, dir, item->d_name, err);
		else if (item->d_name[0] != '.')
			strv_addf(&walk->pending, "%s%s%s", dir, *dir ? "/" : "", item->d_name);
	}
	closedir(stream);
	return bad;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct image_name *)a)->name, ((const struct image_name *)b)->name);
}

int image_names_read(struct store *store, struct image_name **ret_names, size_t *ret_n,
		     struct err *err)
{
	struct name_walk walk = { .store = store };
	int bad = 0;

	strv_add(&walk.pending, "");
	while (!bad && walk.pending.n > 0) {
		cleanup_free char *dir = xstrdup(walk.pending.v[walk.pending.n - 1]);

		strv_remove(&walk.pending, walk.pending.n - 1);
		bad = read_directory(&walk, dir, err);
	}
	strv_release(&walk.pending);
	if (bad) {
		image_names_free(walk.names, walk.n);
		return -1;
	}
	if (walk.n > 1)
		qsort(walk.names, walk.n, sizeof(*walk.names), compare_names);
	*ret_names = walk.names;
	*ret_n = walk.n;
	return 0;
}

void image_names_free(struct image_name *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_name_release(&names[i]);
	free(names);
}
