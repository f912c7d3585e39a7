/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries by path, over a root that is only looked into where nothing hides it. Invariants:
 *  1. The parent of every entry is an entry, up to "": a layer's tree stands for itself.
 *  2. A directory that the root below does not have is `fresh`, so nothing under it is ever
 *     looked up there: copying a tree to a new place costs no lookups.
 */
#include "builder/assembly.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "layers/layer.h"

#define LINKS_MAX 255

static uint32_t hash_path(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3;
	return (uint32_t)(hash ^ hash >> 32);
}

/* Where path is, or belongs. An entry of another hash is not touched: it may have been let go. */
static struct assembly_slot *slot_of(const struct assembly *assembly, const char *path,
				     uint32_t hash)
{
	for (size_t i = hash;; i++) {
		struct assembly_slot *slot = &assembly->slots[i & (assembly->n_slots - 1)];

		if (!slot->nth ||
		    (slot->hash == hash && !strcmp(assembly->outs[slot->nth - 1]->path, path)))
			return slot;
	}
}

struct out *assembly_find(const struct assembly *assembly, const char *path)
{
	const struct assembly_slot *slot = slot_of(assembly, path, hash_path(path));
	struct out *out = slot->nth ? assembly->outs[slot->nth - 1] : NULL;

	return out && !out->dead ? out : NULL;
}

static void grow_slots(struct assembly *assembly)
{
	cleanup_free struct assembly_slot *old = assembly->slots;
	size_t n_old = assembly->n_slots;

	assembly->n_slots *= 2;
	assembly->slots = xcalloc(assembly->n_slots, sizeof(*old));
	for (size_t i = 0; i < n_old; i++) {
		size_t to = old[i].hash;

		if (!old[i].nth)
			continue;
		while (assembly->slots[to & (assembly->n_slots - 1)].nth)
			to++;
		assembly->slots[to & (assembly->n_slots - 1)] = old[i];
	}
}

static struct out *add_out(struct assembly *assembly, const char *path)
{
	uint32_t hash = hash_path(path);
	struct assembly_slot *slot;
	struct out *out;

	if (assembly->n * 4 >= assembly->n_slots * 3)
		grow_slots(assembly);
	slot = slot_of(assembly, path, hash);
	if (slot->nth) {
		out = assembly->outs[slot->nth - 1];
		out->dead = false;
		return out;
	}
	out = arena_alloc(assembly->arena, sizeof(*out));
	out->path = arena_strdup(assembly->arena, path);
	assembly->outs =
		grow_vector(assembly->outs, assembly->n, &assembly->cap, sizeof(*assembly->outs));
	assembly->outs[assembly->n++] = out;
	*slot = (struct assembly_slot){ .hash = hash, .nth = (uint32_t)assembly->n };
	return out;
}

void assembly_init(struct assembly *assembly, struct arena *arena, struct root *root)
{
	*assembly = (struct assembly){ .arena = arena, .root = root, .new_mode = 0755 };
	assembly->n_slots = 64;
	assembly->slots = xcalloc(assembly->n_slots, sizeof(*assembly->slots));
}

void assembly_release(struct assembly *assembly)
{
	free(assembly->outs);
	free(assembly->slots);
}

int assembly_join(const char *dir, const char *name, char path[ASSEMBLY_PATH_MAX], struct err *err)
{
	int len = snprintf(path, ASSEMBLY_PATH_MAX, "%s%s%s", dir, *dir && *name ? "/" : "", name);

	if (len >= ASSEMBLY_PATH_MAX)
		return err_set(err, ERR_LIMIT, "%.100s...: path too long", dir);
	return 0;
}

static void parent_of(const char *path, char parent[ASSEMBLY_PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	memcpy(parent, path, len);
	parent[len] = '\0';
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Whether an entry above path hides the root below. */
static bool is_hidden_below(const struct assembly *assembly, const char *path)
{
	char above[ASSEMBLY_PATH_MAX];

	if (!assembly->root)
		return true;
	for (snprintf(above, sizeof(above), "%s", path); *above;) {
		struct out *out;

		parent_of(above, above);
		out = assembly_find(assembly, above);
		if (out)
			return out->fresh;
	}
	return false;
}

/* What the root below has at path. ret_entry->path is set when it is there. */
static int lookup_below(struct assembly *assembly, const char *path, struct root_entry *ret_entry,
			enum assembly_kind *ret_kind, struct err *err)
{
	*ret_kind = ASSEMBLY_NONE;
	if (is_hidden_below(assembly, path))
		return 0;
	if (root_lookup(assembly->root, *path ? path : "/", false, ret_entry, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	*ret_kind = S_ISDIR(ret_entry->stat.st_mode)   ? ASSEMBLY_DIRECTORY
		    : S_ISLNK(ret_entry->stat.st_mode) ? ASSEMBLY_LINK
						       : ASSEMBLY_OTHER;
	return 0;
}

int assembly_lookup(struct assembly *assembly, const char *path, enum assembly_kind *ret_kind,
		    const char **ret_link, struct err *err)
{
	const struct out *out = assembly_find(assembly, path);
	struct root_entry below;

	if (!*path) {
		*ret_kind = ASSEMBLY_DIRECTORY;
		return 0;
	}
	if (out) {
		*ret_kind = out->type == ENTRY_DIRECTORY ? ASSEMBLY_DIRECTORY
			    : out->type == ENTRY_SYMLINK ? ASSEMBLY_LINK
							 : ASSEMBLY_OTHER;
		if (ret_link)
			*ret_link = out->link;
		return 0;
	}
	if (lookup_below(assembly, path, &below, ret_kind, err) < 0)
		return -1;
	if (*ret_kind == ASSEMBLY_LINK && ret_link)
		*ret_link = arena_strdup(assembly->arena, below.link);
	return 0;
}

/* Step from real into name, which is no link. */
static int step(struct assembly *assembly, char real[ASSEMBLY_PATH_MAX], const char *name,
		enum assembly_kind *kind, const char **link, struct err *err)
{
	char next[ASSEMBLY_PATH_MAX];

	if (*kind != ASSEMBLY_DIRECTORY && *kind != ASSEMBLY_NONE)
		return err_set(err, ERR_INVALID, "/%s: not a directory", real);
	if (assembly_join(real, name, next, err) < 0)
		return -1;
	if (*kind == ASSEMBLY_DIRECTORY && assembly_lookup(assembly, next, kind, link, err) < 0)
		return -1;
	if (*kind != ASSEMBLY_LINK)
		memcpy(real, next, strlen(next) + 1);
	return 0;
}

int assembly_resolve(struct assembly *assembly, const char *path, char real[ASSEMBLY_PATH_MAX],
		     enum assembly_kind *ret_kind, struct err *err)
{
	cleanup_free char *rest = xstrdup(path);
	enum assembly_kind kind = ASSEMBLY_DIRECTORY;
	unsigned links = 0;
	char *next = rest;

	*real = '\0';
	while (*next) {
		char *name = next;
		const char *link = NULL;
		char *longer;

		next += strcspn(next, "/");
		if (*next)
			*next++ = '\0';
		if (!*name || !strcmp(name, "."))
			continue;
		if (!strcmp(name, "..")) {
			parent_of(real, real);
			if (assembly_lookup(assembly, real, &kind, NULL, err) < 0)
				return -1;
			continue;
		}
		if (step(assembly, real, name, &kind, &link, err) < 0)
			return -1;
		if (kind != ASSEMBLY_LINK)
			continue;
		if (++links > LINKS_MAX || strlen(link) + strlen(next) > 2 * ASSEMBLY_PATH_MAX)
			return err_set(err, ERR_INVALID, "/%s: too many symbolic links", path);
		if (*link == '/')
			*real = '\0';
		kind = ASSEMBLY_DIRECTORY; /* what holds the link is one, and so is the root */
		longer = xasprintf("%s/%s", link, next);
		free(rest);
		next = rest = longer;
	}
	*ret_kind = kind;
	return 0;
}

/* --- putting ---------------------------------------------------------------------------------- */

static struct out shown(const char *path, const struct stat *stat)
{
	return (struct out){
		.path = path,
		.type = ENTRY_DIRECTORY,
		.mode = stat->st_mode & 07777,
		.uid = stat->st_uid,
		.gid = stat->st_gid,
		.mtime = stat->st_mtim.tv_sec,
	};
}

/* Make the entry of a directory that is there, as it is in the root below. */
static struct out *adopt(struct assembly *assembly, const char *path, const struct stat *stat)
{
	struct out *out = add_out(assembly, path);

	*out = shown(out->path, stat);
	return out;
}

int assembly_show(struct assembly *assembly, const char *path, struct out *out, struct err *err)
{
	struct root_entry below;
	enum assembly_kind kind;

	if (lookup_below(assembly, path, &below, &kind, err) < 0)
		return -1;
	if (kind != ASSEMBLY_DIRECTORY)
		return err_set(err, ERR_INVALID, "/%s: not a directory", path);
	*out = shown(out->path, &below.stat);
	return 0;
}

/* The entry of an existing directory whose parent has one. */
static int require_entry(struct assembly *assembly, const char *path, struct err *err)
{
	/* What no layer says anything of: the root directory. */
	struct stat plain = { .st_mode = S_IFDIR | 0755, .st_mtim.tv_sec = assembly->now };
	struct root_entry below;
	enum assembly_kind kind;

	if (assembly_find(assembly, path))
		return 0;
	if (lookup_below(assembly, path, &below, &kind, err) < 0)
		return -1;
	if (kind == ASSEMBLY_DIRECTORY) {
		adopt(assembly, path, &below.stat);
		return 0;
	}
	if (*path)
		return err_set(err, ERR_INVALID, "/%s: not a directory", path);
	adopt(assembly, path, &plain)->fresh = !assembly->root;
	return 0;
}

/* Entries for path, an existing directory, and all above it (invariant 1). */
static int require_entries(struct assembly *assembly, const char *path, struct err *err)
{
	char part[ASSEMBLY_PATH_MAX];

	if (assembly_find(assembly, path))
		return 0;
	if (require_entry(assembly, "", err) < 0)
		return -1;
	for (size_t len = 1; *path; len++) {
		if (path[len] && path[len] != '/')
			continue;
		memcpy(part, path, len);
		part[len] = '\0';
		if (require_entry(assembly, part, err) < 0)
			return -1;
		if (!path[len])
			break;
	}
	return 0;
}

static void drop_below(struct assembly *assembly, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < assembly->n; i++) {
		struct out *out = assembly->outs[i];

		if (!strncmp(out->path, path, len) && out->path[len] == '/')
			out->dead = true;
	}
}

int assembly_put(struct assembly *assembly, const char *path, enum entry_type type, bool keep,
		 struct out **ret_out, struct err *err)
{
	struct out *old = assembly_find(assembly, path), *out;
	char parent[ASSEMBLY_PATH_MAX];
	struct root_entry below;
	enum assembly_kind kind;
	bool fresh, over_dir;

	if (old && old->type == ENTRY_DIRECTORY && type == ENTRY_DIRECTORY && keep) {
		*ret_out = old;
		return 0;
	}
	if (assembly->n >= ASSEMBLY_ENTRIES_MAX)
		return err_set(err, ERR_LIMIT, "more than %d files", ASSEMBLY_ENTRIES_MAX);
	if (*path) {
		parent_of(path, parent);
		if (require_entries(assembly, parent, err) < 0)
			return -1;
	}
	if (lookup_below(assembly, path, &below, &kind, err) < 0)
		return -1;
	over_dir = kind == ASSEMBLY_DIRECTORY;
	if (old) { /* a directory stays what it was; anything else hid all below */
		fresh = old->type != ENTRY_DIRECTORY || type != ENTRY_DIRECTORY || old->fresh;
		over_dir |= old->over_dir;
	} else {
		fresh = kind != ASSEMBLY_DIRECTORY || type != ENTRY_DIRECTORY;
	}
	if (old && old->type == ENTRY_DIRECTORY && type != ENTRY_DIRECTORY)
		drop_below(assembly, path);
	if (!old && keep && kind == ASSEMBLY_DIRECTORY && type == ENTRY_DIRECTORY) {
		*ret_out = adopt(assembly, path, &below.stat);
		return 0;
	}
	out = add_out(assembly, path);
	*out = (struct out){
		.path = out->path, .type = type, .fresh = fresh, .over_dir = over_dir
	};
	*ret_out = out;
	return 0;
}

static int make_dir(struct assembly *assembly, const char *path, struct err *err)
{
	struct out *out;

	if (assembly_put(assembly, path, ENTRY_DIRECTORY, false, &out, err) < 0)
		return -1;
	out->mode = assembly->new_mode;
	out->uid = assembly->new_uid;
	out->gid = assembly->new_gid;
	out->mtime = assembly->now;
	return 0;
}

int assembly_mkdirs(struct assembly *assembly, const char *path, char real[ASSEMBLY_PATH_MAX],
		    struct err *err)
{
	char part[ASSEMBLY_PATH_MAX];
	enum assembly_kind kind;

	if (assembly_resolve(assembly, path, real, &kind, err) < 0)
		return -1;
	if (kind != ASSEMBLY_DIRECTORY && kind != ASSEMBLY_NONE)
		return err_set(err, ERR_INVALID, "/%s: not a directory", real);
	if (kind == ASSEMBLY_DIRECTORY)
		return require_entries(assembly, real, err);
	for (size_t len = 0;; len++) {
		if (real[len] && real[len] != '/')
			continue;
		memcpy(part, real, len);
		part[len] = '\0';
		if (assembly_lookup(assembly, part, &kind, NULL, err) < 0)
			return -1;
		if (kind == ASSEMBLY_NONE && make_dir(assembly, part, err) < 0)
			return -1;
		if (!real[len])
			return 0;
	}
}
