/* SPDX-License-Identifier: GPL-2.0-or-later */
/* registry/bundle.c: spooling an archive. */
#include "registry/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/sink.h"
#include "layers/entry.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"

DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)

#define BUNDLE_MEMBERS_MAX 50000
#define BUNDLE_SIZE_MAX	   ((uint64_t)1 << 42)
#define LINKS_MAX	   8
#define BLOCK		   (256 * 1024)

void bundle_free(struct bundle *bundle)
{
	if (!bundle)
		return;
	for (size_t i = 0; i < bundle->n; i++) {
		free(bundle->members[i].path);
		free(bundle->members[i].link);
	}
	free(bundle->members);
	scratch_free(bundle->scratch);
	free(bundle);
}

/* --- spooling --------------------------------------------------------------------------------- */

static int spool_file(struct bundle *bundle, struct tar_reader *reader, struct member *member,
		      struct err *err)
{
	cleanup_free char *block = xmalloc(BLOCK);
	cleanup_fd int fd = -1;
	struct sink_digest hash;
	struct sink_fd file;
	ssize_t got;

	snprintf(member->file, sizeof(member->file), "%zu", member->position);
	fd = openat(bundle->scratch->dir_fd, member->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return err_os(err, "make a temporary file in the store");
	sink_fd_init(&file, fd);
	sink_digest_init(&hash, &file.sink);
	while ((got = tar_reader_read(reader, block, BLOCK, err)) > 0)
		if (sink_write(&hash.sink, block, (size_t)got, err) < 0)
			return -1;
	if (got < 0 || sink_finish(&hash.sink, err) < 0)
		return -1;
	member->digest = hash.digest;
	member->size = hash.size;
	return 0;
}

/* The path a symlink at `path` leads to, inside the archive; NULL when it leads out. */
static char *resolve_link(const char *path, const char *target)
{
	const char *slash = strrchr(path, '/');
	struct buf out;

	buf_init(&out, 2 * ENTRY_PATH_MAX);
	if (target[0] != '/' && slash)
		buf_add(&out, path, (size_t)(slash - path));
	while (*target) {
		size_t len = strcspn(target, "/");
		char *cut;

		if (len == 2 && !strncmp(target, "..", 2)) {
			cut = out.len ? strrchr(out.data, '/') : NULL;
			if (out.len == 0)
				out.overflow = true;
			out.len = cut ? (size_t)(cut - out.data) : 0;
			out.data[out.len] = '\0';
		} else if (len > 0 && !(len == 1 && *target == '.')) {
			if (out.len)
				buf_addch(&out, '/');
			buf_add(&out, target, len);
		}
		target += len + (target[len] == '/');
	}
	if (!out.overflow)
		return buf_steal(&out);
	buf_release(&out);
	return NULL;
}

static int take_member(struct bundle *bundle, struct tar_reader *reader, const struct entry *entry,
		       struct err *err)
{
	struct member *member;

	if (entry->type != ENTRY_FILE && entry->type != ENTRY_SYMLINK &&
	    entry->type != ENTRY_HARDLINK)
		return 0;
	if (bundle->n == BUNDLE_MEMBERS_MAX)
		return err_set(err, ERR_LIMIT, "it has more than %d members", BUNDLE_MEMBERS_MAX);
	bundle->members =
		grow_vector(bundle->members, bundle->n, &bundle->cap, sizeof(*bundle->members));
	member = &bundle->members[bundle->n];
	*member = (struct member){ .path = xstrdup(entry->path), .position = bundle->n };
	bundle->n++;
	if (entry->type == ENTRY_SYMLINK)
		member->link = resolve_link(entry->path, entry->link);
	else if (entry->type == ENTRY_HARDLINK)
		member->link = xstrdup(entry->link);
	if (entry->type != ENTRY_FILE) {
		if (!member->link)
			member->link = xstrdup(""); /* leads nowhere */
		return 0;
	}
	if (spool_file(bundle, reader, member, err) < 0)
		return err_wrap(err, "%s", member->path);
	return 0;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : (x->position > y->position) - (x->position < y->position);
}

static int read_members(struct bundle *bundle, int fd, struct err *err)
{
	cleanup_with(tar_reader_free) struct tar_reader *reader = NULL;
	const struct entry *entry;
	int more;

	if (tar_reader_open(fd, "archive", 0, BUNDLE_SIZE_MAX, &reader, err) < 0)
		return -1;
	while ((more = tar_reader_next(reader, &entry, err)) > 0)
		if (take_member(bundle, reader, entry, err) < 0)
			return -1;
	return more;
}

int bundle_open(struct store *store, int fd, struct bundle **ret_bundle, struct err *err)
{
	cleanup_with(bundle_free) struct bundle *bundle = xcalloc(1, sizeof(*bundle));

	bundle->store = store;
	if (scratch_open(store, &bundle->scratch, err) < 0 || read_members(bundle, fd, err) < 0)
		return -1;
	if (bundle->n > 1)
		qsort(bundle->members, bundle->n, sizeof(*bundle->members), compare_members);
	*ret_bundle = steal_pointer(&bundle);
	return 0;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The last member of that path. */
static const struct member *find_one(const struct bundle *bundle, const char *path)
{
	size_t low = 0, high = bundle->n;

	while (low < high) { /* the first one behind all of that path */
		size_t middle = low + (high - low) / 2;

		if (strcmp(bundle->members[middle].path, path) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || strcmp(bundle->members[low - 1].path, path))
		return NULL;
	return &bundle->members[low - 1];
}

const struct member *bundle_find(const struct bundle *bundle, const char *path)
{
	const struct member *member;

	while (path[0] == '.' && path[1] == '/')
		path += 2;
	member = find_one(bundle, path);
	for (int links = 0; member && member->link; links++)
		member = links < LINKS_MAX ? find_one(bundle, member->link) : NULL;
	return member;
}

int bundle_need(const struct bundle *bundle, const char *path, const char *by,
		const struct member **ret_member, struct err *err)
{
	const struct member *member = bundle_find(bundle, path);

	if (!member)
		return err_set(err, ERR_INVALID, "%s names %.200s, which the archive does not have",
			       by, path);
	*ret_member = member;
	return 0;
}

int bundle_need_blob(const struct bundle *bundle, const struct digest *digest,
		     const struct member **ret_member, struct err *err)
{
	char hex[DIGEST_HEX_MAX], path[DIGEST_HEX_MAX + 20], text[DIGEST_TEXT_MAX];

	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest, hex));
	if (bundle_need(bundle, path, "a descriptor", ret_member, err) < 0)
		return -1;
	if (!digest_equal(&(*ret_member)->digest, digest))
		return err_set(err, ERR_CORRUPT, "%s is %s", path,
			       digest_format(&(*ret_member)->digest, text));
	return 0;
}

/* --- using ------------------------------------------------------------------------------------ */

int bundle_read(const struct bundle *bundle, const struct member *member, struct buf *buf,
		struct err *err)
{
	if (member->size > IMAGE_DOCUMENT_MAX)
		return err_set(err, ERR_LIMIT, "%s: larger than %d bytes", member->path,
			       IMAGE_DOCUMENT_MAX);
	if (faccessat(bundle->scratch->dir_fd, member->file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return blob_read(bundle->store, &member->digest, buf, err);
	if (file_read_at(bundle->scratch->dir_fd, member->file, buf, err) < 0)
		return err_wrap(err, "%s", member->path);
	return 0;
}

int bundle_keep(const struct bundle *bundle, const struct member *member, struct err *err)
{
	uint64_t size;

	if (blob_exists(bundle->store, &member->digest, &size) && size == member->size)
		return 0;
	return blob_adopt(bundle->scratch, member->file, &member->digest, member->size, err);
}

int bundle_keep_layer(const struct bundle *bundle, const struct member *member,
		      const struct digest *diff_id, struct err *err)
{
	struct descriptor blob = { MEDIA_UNKNOWN, member->digest, member->size };
	struct layer layer;

	if (layer_adopt(bundle->scratch, member->file, &blob, diff_id, &layer, err) < 0)
		return err_wrap(err, "%s", member->path);
	return 0;
}
