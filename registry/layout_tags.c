/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry/layout_tags.c: manifests by tag in an OCI layout (image-spec, image-layout.md). Nothing
 * in it is believed: a manifest has the digest that index.json calls it by, or is not there.
 * Writing, blobs come before the index that names them, and the directory is locked while that is
 * replaced: of two writers none loses the other's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/transport.h"

#define INDEX_MAX      (64 * 1024 * 1024)
#define ANNOTATION_REF "org.opencontainers.image.ref.name"
#define BLOB_PATH_MAX  (DIGEST_HEX_MAX + 16)

static const char *blob_name(const struct digest *digest, char path[BLOB_PATH_MAX])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(path, BLOB_PATH_MAX, "blobs/sha256/%s", digest_hex(digest, hex));
	return path;
}

/* ERR_NOT_FOUND when there is none. */
static int read_index(int dir_fd, json_t **ret_index, struct err *err)
{
	cleanup_free char *text = NULL;
	json_t *manifests;
	size_t len;

	if (inroot_read(dir_fd, "index.json", INDEX_MAX, &text, &len, err) < 0 ||
	    js_parse("index.json", text, len, ret_index, err) < 0)
		return -1;
	return js_array(*ret_index, "manifests", &manifests, err);
}

static const char *ref_name(const json_t *entry)
{
	return json_string_value(
		json_object_get(json_object_get(entry, "annotations"), ANNOTATION_REF));
}

/* --- get -------------------------------------------------------------------------------------- */

/* What its entry in the index leads to; "" for what is not as that says. */
static char *read_manifest(int dir_fd, const json_t *entry)
{
	struct err ignored = ERR_INIT;
	struct digest digest, got;
	char path[BLOB_PATH_MAX];
	char *text;
	size_t len;

	if (js_digest(entry, "digest", &digest, &ignored) < 0 ||
	    inroot_read(dir_fd, blob_name(&digest, path), TAG_TEXT_MAX, &text, &len, &ignored) < 0)
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
		const char *name = ref_name(entry);

		for (size_t k = 0; name && k < n; k++)
			if (!tags[k].text && !strcmp(name, tags[k].tag))
				tags[k].text = read_manifest(dir_fd, entry);
	}
	return 0;
}

int layout_take_layer(struct store *store, int dir_fd, const struct descriptor *blob,
		      const struct digest *diff_id, struct err *err)
{
	char path[BLOB_PATH_MAX];
	cleanup_fd int fd = -1;
	struct layer layer;

	if (layer_present(store, diff_id))
		return 0;
	fd = inroot_open(dir_fd, blob_name(&blob->digest, path), O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return err_os(err, "open %s", path);
	return layer_take(store, fd, diff_id, &layer, err) < 0 ? err_wrap(err, "%s", path) : 0;
}

/* --- put -------------------------------------------------------------------------------------- */

static int put_text(int dir_fd, const char *text, size_t len, struct digest *ret_digest,
		    struct err *err)
{
	char path[BLOB_PATH_MAX];

	digest_of(text, len, ret_digest);
	blob_name(ret_digest, path);
	if (faccessat(dir_fd, path, F_OK, 0) == 0)
		return 0;
	return file_replace_at(dir_fd, path, text, len, 0644, false, err);
}

static int put_layer(struct store *store, int dir_fd, const struct descriptor *blob,
		     struct err *err)
{
	char path[BLOB_PATH_MAX], random[FILE_RANDOM_MAX];
	cleanup_free char *tmp = NULL;
	cleanup_fd int in = -1;
	cleanup_fd int out = -1;
	uint64_t size;

	if (faccessat(dir_fd, blob_name(&blob->digest, path), F_OK, 0) == 0)
		return 0;
	tmp = xasprintf("%s.%s", path, file_random_name(random));
	if (blob_open(store, &blob->digest, &in, &size, err) < 0)
		return -1;
	out = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (out < 0)
		return err_os(err, "create %s", tmp);
	if (file_copy(in, out, size, err) < 0 ||
	    (renameat(dir_fd, tmp, dir_fd, path) < 0 && err_os(err, "rename %s", tmp))) {
		unlinkat(dir_fd, tmp, 0);
		return -1;
	}
	return 0;
}

static int put_one(struct store *store, int dir_fd, json_t *manifests, const struct tagged *tag,
		   struct err *err)
{
	size_t len = strlen(tag->text);
	char text[DIGEST_TEXT_MAX];
	struct digest digest;
	json_t *entry;

	for (size_t i = json_array_size(manifests); i-- > 0;) {
		const char *name = ref_name(json_array_get(manifests, i));

		if (!name || strcmp(name, tag->tag))
			continue;
		if (!tag->replace)
			return 0;
		json_array_remove(manifests, i);
	}
	if ((!digest_is_zero(&tag->diff_id) && put_layer(store, dir_fd, &tag->blob, err) < 0) ||
	    put_text(dir_fd, tag->text, len, &digest, err) < 0)
		return -1;
	entry = json_pack("{s:s, s:s, s:I, s:{s:s}}", "mediaType", media_name(MEDIA_OCI_MANIFEST),
			  "digest", digest_format(&digest, text), "size", (json_int_t)len,
			  "annotations", ANNOTATION_REF, tag->tag);
	json_array_append_new(manifests, entry);
	return 0;
}

/* The files that make a directory a layout. */
static int prepare(int dir_fd, json_t **ret_index, struct err *err)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	struct digest empty;

	if (file_mkdirs_at(dir_fd, "blobs/sha256", 0755, err) < 0 ||
	    put_text(dir_fd, "{}", 2, &empty, err) < 0)
		return -1;
	if (read_index(dir_fd, ret_index, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	*ret_index = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
			       media_name(MEDIA_OCI_INDEX), "manifests");
	return file_replace_at(dir_fd, "oci-layout", version, sizeof(version) - 1, 0644, false,
			       err);
}

static int put_all(struct store *store, int dir_fd, const struct tagged *tags, size_t n,
		   struct err *err)
{
	cleanup_json json_t *index = NULL;
	cleanup_free char *text = NULL;

	if (prepare(dir_fd, &index, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (put_one(store, dir_fd, json_object_get(index, "manifests"), &tags[i], err) < 0)
			return -1;
	text = js_dump(index);
	return file_replace_at(dir_fd, "index.json", text, strlen(text), 0644, false, err);
}

int layout_put_tags(struct store *store, int dir_fd, const struct tagged *tags, size_t n,
		    struct err *err)
{
	cleanup_fd int lock = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (lock >= 0 && flock(lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_os(err, "lock the directory");
	return lock < 0 ? err_os(err, "open the directory") : put_all(store, lock, tags, n, err);
}
