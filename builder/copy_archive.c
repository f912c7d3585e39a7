/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ADD of an archive. Its members come in any order and a layer's entries in one: metadata is put
 * into the assembly, content into a scratch file, from which the layer is made. Members are
 * unpacked as tar does it in the root: links in the directories of a name are followed, the last
 * component never, and a member replaces what has its name, unless both are directories.
 */
#include "builder/selection.h"

#include <string.h>

#include "base/arena.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/assembly.h"

DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)

/* Where a member's name leads: its directory is made when it is missing. */
static int place(struct unpacking *unpacking, const char *dir, const char *name,
		 char path[ASSEMBLY_PATH_MAX], struct err *err)
{
	const char *slash = strrchr(name, '/');
	cleanup_free char *above = xstrndup(name, slash ? (size_t)(slash - name) : 0);
	char joined[ASSEMBLY_PATH_MAX], real[ASSEMBLY_PATH_MAX];

	if (assembly_join(dir, above, joined, err) < 0 ||
	    assembly_mkdirs(unpacking->assembly, joined, real, err) < 0)
		return -1;
	return assembly_join(real, slash ? slash + 1 : name, path, err);
}

static int spool(struct unpacking *unpacking, struct tar_reader *reader, struct out *out,
		 struct err *err)
{
	const size_t size = 128 * 1024;
	cleanup_free char *block = xmalloc(size);

	out->offset = unpacking->size;
	for (;;) {
		ssize_t got = tar_reader_read(reader, block, size, err);

		if (got < 0 || cancel_check(unpacking->cancel, err) < 0)
			return -1;
		if (got == 0)
			return 0;
		if (write_all(unpacking->scratch_fd, block, (size_t)got) < 0)
			return err_os(err, "write to the store");
		unpacking->size += (uint64_t)got;
		out->size += (uint64_t)got;
	}
}

/* Another name for a file that the archive, or this step, has put. */
static int link_to(struct unpacking *unpacking, const char *dir, const struct entry *entry,
		   struct out *out, struct err *err)
{
	struct assembly *assembly = unpacking->assembly;
	const char *slash = strrchr(entry->link, '/');
	cleanup_free char *above = xstrndup(entry->link, slash ? (size_t)(slash - entry->link) : 0);
	char joined[ASSEMBLY_PATH_MAX], path[ASSEMBLY_PATH_MAX];
	struct out before, *other;
	enum assembly_kind kind;

	if (assembly_join(dir, above, joined, err) < 0 ||
	    assembly_resolve(assembly, joined, path, &kind, err) < 0 ||
	    assembly_join(path, slash ? slash + 1 : entry->link, joined, err) < 0)
		return -1;
	other = assembly_find(assembly, joined);
	if (!other || other == out || other->type == ENTRY_DIRECTORY)
		return err_set(err, ERR_INVALID,
			       "%s is a hard link to %s, which did not come before it", entry->path,
			       entry->link);
	if (!other->group)
		other->group = unpacking->first_group + ++unpacking->groups;
	before = *out;
	*out = *other;
	out->path = before.path;
	out->fresh = before.fresh;
	out->over_dir = before.over_dir;
	return 0;
}

static const struct xattr_pack *keep_xattrs(struct arena *arena, const struct entry *entry)
{
	cleanup_free struct xattr_pack *list = xattrs_pack(entry->xattrs, entry->n_xattrs);
	struct xattr_pack *kept;

	if (!list)
		return NULL;
	kept = arena_alloc(arena, sizeof(*kept) + list->len);
	memcpy(kept, list, sizeof(*kept) + list->len);
	return kept;
}

static int put_member(struct unpacking *unpacking, struct tar_reader *reader, const char *dir,
		      const struct entry *entry, struct err *err)
{
	struct assembly *assembly = unpacking->assembly;
	char path[ASSEMBLY_PATH_MAX];
	enum entry_type type = entry->type == ENTRY_HARDLINK ? ENTRY_FILE : entry->type;
	struct out *out;

	if (!*entry->path)
		return 0; /* the destination itself stays as it is */
	if (place(unpacking, dir, entry->path, path, err) < 0)
		return -1;
	if (entry->type == ENTRY_HARDLINK) {
		/* A name that is linked to itself changes nothing. */
		out = assembly_find(assembly, path);
		if (out && !strcmp(entry->path, entry->link))
			return 0;
	}
	if (assembly_put(assembly, path, type, false, &out, err) < 0)
		return -1;
	if (entry->type == ENTRY_HARDLINK)
		return link_to(unpacking, dir, entry, out, err);
	out->mode = entry->mode;
	out->uid = unpacking->chown ? unpacking->uid : entry->uid;
	out->gid = unpacking->chown ? unpacking->gid : entry->gid;
	out->mtime = entry->mtime;
	out->link = entry->link ? arena_strdup(assembly->arena, entry->link) : NULL;
	out->dev_major = entry->dev_major;
	out->dev_minor = entry->dev_minor;
	out->xattrs = keep_xattrs(assembly->arena, entry);
	return type == ENTRY_FILE ? spool(unpacking, reader, out, err) : 0;
}

int archive_unpack(struct unpacking *unpacking, int fd, const char *what, const char *dir,
		   struct err *err)
{
	cleanup_with(tar_reader_free) struct tar_reader *reader = NULL;
	const struct entry *entry;
	int more;

	if (tar_reader_open(fd, what, 0, 0, &reader, err) < 0)
		return -1;
	while ((more = tar_reader_next(reader, &entry, err)) > 0)
		if (cancel_check(unpacking->cancel, err) < 0 ||
		    put_member(unpacking, reader, dir, entry, err) < 0)
			return err_wrap(err, "unpack %s", what);
	return more;
}
