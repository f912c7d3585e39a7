/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry/layout_tags.c: manifests by tag in an OCI layout (image-spec, image-layout.md). Nothing
 * in it is believed: a manifest has the digest that index.json calls it by, or is not there.
 * Writing, blobs come before the index that names them, and the directory is locked while that is
 * replaced: of two writers none loses the other's.
 */
#include "registry/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/transport.h"

#define INDEX_MAX (64 * 1024 * 1024)

/* ERR_NOT_FOUND when there is none. */
static int read_index(int dir_fd, json_t **ret_index, struct err *err)
{
	cleanup_free char *text = NULL;
	json_t *manifests;
	size_t len;

	if (inroot_read(dir_fd, "index.json", INDEX_MAX, &text, &len, err) < 0 ||
	    js_parse("index.json", text, len, ret_index, err) < 0 ||
	    js_array(*ret_index, "manifests", &manifests, err) < 0)
		return -1;
	if (!manifests)
		json_object_set_new(*ret_index, "manifests", json_array());
	return 0;
}

/* --- get -------------------------------------------------------------------------------------- */

/* What its entry in the index leads to; "" for what is not as that says. */
static char *read_manifest(int dir_fd, const json_t *entry)
{
	struct err ignored = ERR_INIT;
	struct digest digest, got;
	char path[LAYOUT_PATH_MAX];
	char *text;
	size_t len;

	if (js_digest(entry, "digest", &digest, &ignored) < 0 ||
	    inroot_read(dir_fd, layout_blob_path(&digest, path), TAG_TEXT_MAX, &text, &len,
			&ignored) < 0)
		return xstrdup("");
	digest_of(text, len, &got);
	if (digest_equal(&got, &digest))
		return text;
	free(text);
	return xstrdup("");
}

int layout_get_tags(int dir_fd, struct tagged *tags, size_t n, struct err *err)
{
	cleanup_json json_t *index = NULL;
	const json_t *manifests;

	if (read_index(dir_fd, &index, err) < 0)
		return -1;
	manifests = json_object_get(index, "manifests");
	for (size_t i = 0; i < json_array_size(manifests); i++) {
		const json_t *entry = json_array_get(manifests, i);
		const char *name = layout_ref_name(entry);

		for (size_t k = 0; name && k < n; k++)
			if (!tags[k].text && !strcmp(name, tags[k].tag))
				tags[k].text = read_manifest(dir_fd, entry);
	}
	return 0;
}

int layout_take_layer(struct store *store, int dir_fd, const struct descriptor *blob,
		      const struct digest *diff_id, struct err *err)
{
	char path[LAYOUT_PATH_MAX];
	cleanup_fd int fd = -1;
	struct layer layer;

	if (layer_present(store, diff_id))
		return 0;
	fd = inroot_open(dir_fd, layout_blob_path(&blob->digest, path), O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return err_os(err, "open %s", path);
	return layer_take(store, fd, diff_id, &layer, err) < 0 ? err_wrap(err, "%s", path) : 0;
}

/* --- put -------------------------------------------------------------------------------------- */

/* A layout that is written to. */
struct layout {
	struct store *store;
	int dir_fd, blobs_fd;
	json_t *index;
};

/* A file of that name and size is believed to be the blob, unless it was found out to be something
 * else; a link never is. */
static bool has_blob(const struct layout *layout, const char *hex, uint64_t size, bool replace)
{
	struct stat st;

	return !replace && inroot_lstat(layout->blobs_fd, hex, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == size;
}

static int put_text(const struct layout *layout, const char *text, bool replace,
		    struct digest *ret_digest, struct err *err)
{
	char hex[DIGEST_HEX_MAX];
	size_t len = strlen(text);

	digest_of(text, len, ret_digest);
	if (has_blob(layout, digest_hex(ret_digest, hex), len, replace))
		return 0;
	return file_replace_at(layout->blobs_fd, hex, text, len, 0644, false, err);
}

static int put_layer(const struct layout *layout, const struct descriptor *blob, bool replace,
		     struct err *err)
{
	char hex[DIGEST_HEX_MAX];
	struct file_draft draft;
	cleanup_fd int in = -1;
	uint64_t size;

	if (has_blob(layout, digest_hex(&blob->digest, hex), blob->size, replace))
		return 0;
	if (blob_open(layout->store, &blob->digest, &in, &size, err) < 0 ||
	    file_draft_open(layout->blobs_fd, hex, 0644, &draft, err) < 0)
		return -1;
	if (file_copy(in, draft.fd, size, store_cancel(layout->store), err) < 0) {
		file_draft_release(&draft);
		return -1;
	}
	return file_draft_commit(&draft, false, err);
}

static int put_one(const struct layout *layout, const struct tagged *tag, struct err *err)
{
	json_t *manifests = json_object_get(layout->index, "manifests");
	char text[DIGEST_TEXT_MAX];
	struct digest digest;
	json_t *entry;

	for (size_t i = json_array_size(manifests); i-- > 0;) {
		const char *name = layout_ref_name(json_array_get(manifests, i));

		if (!name || strcmp(name, tag->tag))
			continue;
		if (!tag->replace)
			return 0;
		json_array_remove(manifests, i);
	}
	if ((!digest_is_zero(&tag->diff_id) &&
	     put_layer(layout, &tag->blob, tag->replace, err) < 0) ||
	    put_text(layout, tag->text, tag->replace, &digest, err) < 0)
		return -1;
	entry = json_pack("{s:s, s:s, s:I, s:{s:s}}", "mediaType", media_name(MEDIA_OCI_MANIFEST),
			  "digest", digest_format(&digest, text), "size",
			  (json_int_t)strlen(tag->text), "annotations", LAYOUT_REF_NAME, tag->tag);
	json_array_append_new(manifests, entry);
	return 0;
}

/* The files that make a directory a layout. */
static int prepare(struct layout *layout, struct err *err)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	struct digest empty;

	if (inroot_mkdirs(layout->dir_fd, LAYOUT_BLOBS, 0755, geteuid(), getegid(),
			  &layout->blobs_fd, err) < 0 ||
	    put_text(layout, "{}", false, &empty, err) < 0)
		return -1;
	if (read_index(layout->dir_fd, &layout->index, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	layout->index = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
				  media_name(MEDIA_OCI_INDEX), "manifests");
	return file_replace_at(layout->dir_fd, "oci-layout", version, sizeof(version) - 1, 0644,
			       false, err);
}

static int put_all(struct layout *layout, const struct tagged *tags, size_t n, struct err *err)
{
	cleanup_free char *text = NULL;

	if (prepare(layout, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (put_one(layout, &tags[i], err) < 0)
			return -1;
	text = js_dump(layout->index);
	return file_replace_at(layout->dir_fd, "index.json", text, strlen(text), 0644, false, err);
}

int layout_put_tags(struct store *store, int dir_fd, const struct tagged *tags, size_t n,
		    struct err *err)
{
	struct layout layout = { .store = store, .dir_fd = dir_fd, .blobs_fd = -1 };
	cleanup_fd int lock = inroot_open(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	int status;

	if (lock < 0)
		return err_os(err, "open the directory");
	while (flock(lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_os(err, "lock the directory");
	status = put_all(&layout, tags, n, err);
	file_close_at(&layout.blobs_fd);
	json_decref(layout.index);
	return status;
}
