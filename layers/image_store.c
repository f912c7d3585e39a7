/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/image_store.c: images in the store: the record images/ids/<hex> of an image id.
 *
 * 1. The record is written after the config blob and removed before it, so an image that is listed
 *    has its config. Its layers may be missing (somebody removed them by hand, a power cut):
 *    then whoever needs them says so.
 * 2. An image put again keeps what its record knew. The manifest it came with and those made here
 *    are told apart: see image_manifest.c.
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

#define KIND	   "images/ids"
#define RECORD_MAX 8192

/* --- records ---------------------------------------------------------------------------------- */

static int parse_state(const char *text, size_t len, struct image_state *state, struct err *err)
{
	cleanup_json json_t *object = NULL;
	json_t *manifest, *made, *item;
	uint64_t stored;
	size_t i;

	if (js_parse("image record", text, len, &object, err) < 0 ||
	    js_object(object, "manifest", &manifest, err) < 0 ||
	    js_array(object, "made", &made, err) < 0 ||
	    js_uint(object, "stored", 0, &stored, err) < 0)
		return -1;
	if (manifest && descriptor_from_json(manifest, &state->came, NULL, err) < 0)
		return -1;
	json_array_foreach(made, i,
			   item) if (state->n_made < IMAGE_MADE_MAX &&
				     descriptor_from_json(item, &state->made[state->n_made++], NULL,
							  err) < 0) return -1;
	state->stored = (int64_t)stored;
	return 0;
}

int image_state_read(struct store *store, const struct digest *id, struct image_state *ret_state,
		     struct err *err)
{
	struct image_state state = { .stored = 0 };
	char digest[DIGEST_TEXT_MAX];
	cleanup_buf struct buf text;

	buf_init(&text, RECORD_MAX);
	if (record_read(store, KIND, id, &text, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		return err_set(err, ERR_NOT_FOUND, "no image is %s", digest_format(id, digest));
	}
	if (parse_state(text.data, text.len, &state, err) < 0)
		return err_wrap(err, "image %s", digest_format(id, digest));
	*ret_state = state;
	return 0;
}

static int state_write(struct store *store, const struct digest *id,
		       const struct image_state *state, struct err *err)
{
	cleanup_json json_t *object = json_object();
	cleanup_free char *text = NULL;
	json_t *made = json_array();

	json_object_set_new(object, "stored", json_integer(state->stored));
	if (state->came.size)
		json_object_set_new(object, "manifest", descriptor_to_json(&state->came));
	for (size_t i = 0; i < state->n_made; i++)
		json_array_append_new(made, descriptor_to_json(&state->made[i]));
	json_object_set_new(object, "made", made);
	text = js_dump(object);
	return record_write(store, KIND, id, text, strlen(text), err);
}

static bool was_made(const struct image_state *state, const struct digest *manifest)
{
	for (size_t i = 0; i < state->n_made; i++)
		if (digest_equal(&state->made[i].digest, manifest))
			return true;
	return false;
}

int image_state_add_made(struct store *store, const struct digest *id, struct image_state *state,
			 const struct descriptor *made, struct err *err)
{
	if (was_made(state, &made->digest))
		return 0;
	if (state->n_made == IMAGE_MADE_MAX) {
		if (blob_remove(store, &state->made[0].digest, err) < 0)
			return -1;
		memmove(state->made, state->made + 1,
			(IMAGE_MADE_MAX - 1) * sizeof(state->made[0]));
		state->n_made--;
	}
	state->made[state->n_made++] = *made;
	return state_write(store, id, state, err);
}

int image_record_put(struct store *store, const struct image_record *record, struct err *err)
{
	struct image_state state = { .stored = 0 }, before;
	struct err ignored = ERR_INIT;

	if (image_state_read(store, &record->id, &before, &ignored) == 0)
		state = before;
	else
		state.stored = record->stored ? record->stored : clock_wall_ns();
	if (record->manifest.size && !was_made(&state, &record->manifest.digest))
		state.came = record->manifest;
	else if (ignored.kind == ERR_NONE)
		return 0; /* nothing new: an unchanged build writes nothing */
	return state_write(store, &record->id, &state, err);
}

int image_record_get(struct store *store, const struct digest *id, struct image_record *ret_record,
		     struct err *err)
{
	struct image_state state;

	if (image_state_read(store, id, &state, err) < 0)
		return -1;
	*ret_record = (struct image_record){ .id = *id, .stored = state.stored };
	if (state.came.size)
		ret_record->manifest = state.came;
	else if (state.n_made)
		ret_record->manifest = state.made[state.n_made - 1];
	return 0;
}

int image_put(struct store *store, const struct image *image, struct digest *ret_id,
	      struct err *err)
{
	struct image_record record = { .stored = 0 };
	cleanup_free char *text = NULL;
	size_t len;

	text = image_format(image, &len);
	if (len > IMAGE_DOCUMENT_MAX)
		return err_set(err, ERR_LIMIT, "the image's config is larger than %d bytes",
			       IMAGE_DOCUMENT_MAX);
	if (image->n_layers > IMAGE_LAYERS_MAX)
		return err_set(err, ERR_LIMIT, "the image has more than %d layers",
			       IMAGE_LAYERS_MAX);
	if (blob_put(store, text, len, &record.id, err) < 0 ||
	    image_record_put(store, &record, err) < 0)
		return err_wrap(err, "store an image");
	*ret_id = record.id;
	return 0;
}

int image_load(struct store *store, const struct digest *id, struct image **ret_image,
	       struct err *err)
{
	char digest[DIGEST_TEXT_MAX];
	cleanup_buf struct buf text;

	buf_init(&text, IMAGE_DOCUMENT_MAX);
	if (blob_read(store, id, &text, err) < 0 ||
	    image_parse(text.data, text.len, ret_image, err) < 0)
		return err_wrap(err, "image %s", digest_format(id, digest));
	return 0;
}

/* --- all of them ------------------------------------------------------------------------------ */

int image_ids_read(struct store *store, struct digest **ret_ids, size_t *ret_n, struct err *err)
{
	int fd = openat(store_fd(store), KIND, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct digest *ids = NULL;
	size_t n = 0, cap = 0;
	struct dirent *item;

	if (!dir) {
		err_os(err, "open %s in the store", KIND);
		file_close_at(&fd);
		return -1;
	}
	while ((item = readdir(dir))) {
		struct digest id;

		if (!digest_parse_hex(item->d_name, &id))
			continue;
		ids = grow_vector(ids, n, &cap, sizeof(*ids));
		ids[n++] = id;
	}
	closedir(dir);
	*ret_ids = ids;
	*ret_n = n;
	return 0;
}

int image_find_id(struct store *store, const char *prefix, struct digest *ret_id, struct err *err)
{
	const char *digits = !strncmp(prefix, "sha256:", 7) ? prefix + 7 : prefix;
	size_t len = strlen(digits), n = 0, found = 0;
	cleanup_free struct digest *ids = NULL;
	struct digest id;

	if (len == 0 || len >= DIGEST_HEX_MAX || strspn(digits, "0123456789abcdef") != len)
		return err_set(err, ERR_NOT_FOUND, "\"%.100s\" is no image id", prefix);
	if (image_ids_read(store, &ids, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		char hex[DIGEST_HEX_MAX];

		if (strncmp(digest_hex(&ids[i], hex), digits, len))
			continue;
		id = ids[i];
		found++;
	}
	if (found == 0)
		return err_set(err, ERR_NOT_FOUND, "no image id begins with %s", digits);
	if (found > 1)
		return err_set(err, ERR_INVALID, "%zu image ids begin with %s", found, digits);
	*ret_id = id;
	return 0;
}

/* An image of a list with what it is sorted by. */
struct dated {
	struct image_record record;
	int64_t created;
};

static int compare_dated(const void *a, const void *b)
{
	const struct dated *x = a, *y = b;

	if (x->created != y->created)
		return x->created > y->created ? -1 : 1;
	return memcmp(&x->record.id, &y->record.id, sizeof(x->record.id));
}

static int date_image(struct store *store, const struct digest *id, struct dated *dated,
		      struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	struct err ignored = ERR_INIT;

	if (image_record_get(store, id, &dated->record, err) < 0)
		return -1;
	/* one whose config cannot be read is still listed, so that it can be removed */
	dated->created = dated->record.stored;
	if (image_load(store, id, &image, &ignored) == 0 && image->has_created)
		dated->created = image->created;
	return 0;
}

static int list_images(struct store *store, struct image_list *list, struct err *err)
{
	cleanup_free struct digest *ids = NULL;
	cleanup_free struct dated *dated = NULL;
	size_t n = 0, kept = 0;

	if (image_ids_read(store, &ids, &n, err) < 0)
		return -1;
	dated = xcalloc(n + 1, sizeof(*dated));
	for (size_t i = 0; i < n; i++) {
		if (date_image(store, &ids[i], &dated[kept], err) == 0)
			kept++;
		else if (err->kind != ERR_NOT_FOUND)
			return -1;
		else
			err_clear(err); /* removed in between */
	}
	qsort(dated, kept, sizeof(*dated), compare_dated);
	list->images = xcalloc(kept + 1, sizeof(*list->images));
	for (size_t i = 0; i < kept; i++)
		list->images[i] = dated[i].record;
	list->n_images = kept;
	return 0;
}

int image_list(struct store *store, struct image_list **ret_list, struct err *err)
{
	cleanup_with(image_list_free) struct image_list *list = xcalloc(1, sizeof(*list));

	if (image_names_read(store, &list->names, &list->n_names, err) < 0 ||
	    list_images(store, list, err) < 0)
		return err_wrap(err, "list images");
	*ret_list = steal_pointer(&list);
	return 0;
}

void image_list_free(struct image_list *list)
{
	if (!list)
		return;
	image_names_free(list->names, list->n_names);
	free(list->images);
	free(list);
}
