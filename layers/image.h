/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_IMAGE_H
#define LAYERS_IMAGE_H

/*
 * layers/image.h: images: their documents (OCI image-spec config.md, manifest.md,
 * image-index.md; docker's extra config fields kept) and their names in the store. The image id
 * is the digest of the config. Documents only; bytes of layers are layers/layer.h's.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/strv.h"
#include "layers/media.h"

struct err;
struct store;

#define IMAGE_DOCUMENT_MAX (4 * 1024 * 1024) /* bytes of a config, manifest or index */
#define IMAGE_LAYERS_MAX 500

/* --- platforms -------------------------------------------------------------------------------- */

struct platform {
	char os[32];
	char architecture[32];
	char variant[32];    /* "" when there is none */
	char os_version[64]; /* "" when there is none */
};

/* "linux/arm64/v8", "arm64", "linux" in any accepted spelling, normalised as containerd does. */
int platform_parse(const char *text, struct platform *ret_platform, struct err *err);
void platform_host(struct platform *ret_platform);
#define PLATFORM_TEXT_MAX 100
const char *platform_format(const struct platform *platform, char text[PLATFORM_TEXT_MAX]);

/*
 * How well `have` serves `want`: 0 not at all, higher is better (exact variant, then lower ones,
 * then none). No other architecture ever serves.
 */
unsigned platform_match(const struct platform *want, const struct platform *have);

/* --- config ----------------------------------------------------------------------------------- */

struct image_history {
	int64_t created;   /* ns since 1970 */
	bool has_created;
	char *created_by;
	char *author;	   /* NULL when absent, as is comment */
	char *comment;
	bool empty_layer;
};

/* The field of a config in which a build leaves the keys of its steps (builder/shared.h). */
#define IMAGE_CACHE_FIELD "vnd.cbuild.cache.v1"

struct image {
	struct platform platform;
	char *author;	 /* NULL when absent */
	int64_t created; /* ns since 1970 */
	bool has_created;
	/* the runtime part ("config") */
	char *user;	 /* never NULL, "" by default, as are working_dir and stop_signal */
	char *working_dir;
	char *stop_signal;
	struct strv env;
	struct strv cmd, entrypoint, shell, on_build;
	bool has_cmd, has_entrypoint, has_shell; /* null and absent differ from [] */
	bool args_escaped;
	json_t *labels;	       /* object of strings, in order; never NULL */
	struct strv exposed;   /* "80/tcp", sorted */
	struct strv volumes;   /* sorted */
	json_t *healthcheck;   /* docker's object, or NULL */
	json_t *cache;	       /* IMAGE_CACHE_FIELD, an array, or NULL; copies lack it */
	/* the file system */
	struct digest *diff_ids;
	size_t n_layers;
	struct image_history *history;
	size_t n_history;
};

struct image *image_new(void); /* of `FROM scratch` on the host's platform */
struct image *image_copy(const struct image *image);
void image_free(struct image *image);

/* From a config's JSON. Bounds and types are checked; unknown fields are dropped. Environment
 * entries without "=" are dropped, and so are times of year 1, which
 * is how Go writes none. */
int image_parse(const char *text, size_t len, struct image **ret_image, struct err *err);

/* The canonical config document: field order and escapes fixed, same image, same bytes. Bytes that
 * are no UTF-8 become U+FFFD. */
char *image_format(const struct image *image, size_t *ret_len);

void image_add_layer(struct image *image, const struct digest *diff_id);
void image_add_history(struct image *image, const struct image_history *history); /* copied */

/* --- manifests and indexes -------------------------------------------------------------------- */

struct manifest {
	enum media media; /* MEDIA_OCI_MANIFEST or MEDIA_DOCKER_MANIFEST */
	struct descriptor config;
	struct descriptor *layers;
	size_t n_layers;
	char *artifact_type; /* NULL when absent */
};

/* Validated as in the notes on image-spec: one shape only, digests and sizes in range, body media
 * type equal to content_type (may be NULL). Foreign layers, schema 1, and configs that are no
 * image configs are ERR_UNSUPPORTED with the reason. */
int manifest_parse(const char *text, size_t len, const char *content_type,
		   struct manifest **ret_manifest, struct err *err);
char *manifest_format(const struct manifest *manifest, size_t *ret_len);
void manifest_free(struct manifest *manifest);

struct index_entry {
	struct descriptor descriptor;
	struct platform platform;
	bool has_platform;
	bool attestation; /* unknown/unknown, a reference to another manifest, or an artifact */
};

struct image_index {
	enum media media;
	struct index_entry *entries;
	size_t n_entries;
};

int index_parse(const char *text, size_t len, const char *content_type,
		struct image_index **ret_index, struct err *err);
void index_free(struct image_index *index);

/* The entry that serves the platform best, first of equals; ERR_NOT_FOUND lists what there is.
 * When none says a platform that serves, the first one that says none is taken: the caller
 * compares the platform of its config. The entry may be an index again: bound the depth. */
int index_choose(const struct image_index *index, const struct platform *platform,
		 const struct index_entry **ret_entry, struct err *err);

/* --- images in the store ---------------------------------------------------------------------- */

/* What the store remembers of an image id. */
struct image_record {
	struct digest id;	 /* of the config */
	struct descriptor manifest; /* size 0: it has none yet */
	int64_t stored;		 /* ns since 1970 when this store got it */
};

/* Put the config into the store, make its record. Does not name it. *ret_id is the image id. */
int image_put(struct store *store, const struct image *image, struct digest *ret_id,
	      struct err *err);

/* Remember a pulled or loaded image: config blob present; manifest may be NULL. */
int image_record_put(struct store *store, const struct image_record *record, struct err *err);
int image_record_get(struct store *store, const struct digest *id,
		     struct image_record *ret_record, struct err *err);

int image_load(struct store *store, const struct digest *id, struct image **ret_image,
	       struct err *err);

/*
 * The manifest of an image, in OCI or docker form: made with the layers' blobs (compressed with
 * `compression` where they have none) and remembered, unless the image has one of that form
 * already: a pulled image keeps its manifest, byte by byte.
 */
int image_manifest(struct store *store, const struct digest *id, enum compression compression,
		   bool docker, struct descriptor *ret_manifest, struct err *err);

/*
 * Names are references in normal form ("docker.io/library/p1:latest"), checked by the caller.
 * A name says which image it means, and, for pulled ones, by which manifest or index digest it
 * was pulled (for RepoDigests and change checks).
 */
struct image_name {
	char *name;
	struct digest id;
	struct digest remote; /* zero when never pulled or pushed under this name */
	int64_t tagged;	      /* ns since 1970 */
};

int image_tag(struct store *store, const char *name, const struct digest *id,
	      const struct digest *remote, struct err *err);
int image_untag(struct store *store, const char *name, struct err *err); /* ERR_NOT_FOUND */
int image_name_get(struct store *store, const char *name, struct image_name *ret_name,
		   struct err *err);
void image_name_release(struct image_name *name);

struct image_list {
	struct image_name *names; /* sorted by name */
	size_t n_names;
	struct image_record *images; /* newest first by the image's creation time */
	size_t n_images;
};
int image_list(struct store *store, struct image_list **ret_list, struct err *err);
void image_list_free(struct image_list *list);

/* The image whose id begins with these hexadecimal digits ("sha256:" may precede). ERR_NOT_FOUND,
 * or ERR_INVALID when several do. */
int image_find_id(struct store *store, const char *prefix, struct digest *ret_id,
		  struct err *err);

/*
 * Forget an image: its record, and everything only it held: config, manifest, layers' trees and
 * blobs that no other image or step record needs. Names must be gone. Removed digests are given
 * to on_removed (may be NULL) with "layer" or "image". Needs userns_enter() when trees go.
 */
typedef void image_removed(void *arg, const char *what, const struct digest *digest);
int image_remove(struct store *store, const struct digest *id, image_removed *on_removed,
		 void *arg, struct err *err);

DEFINE_CLEANUP(struct image *, image_free)
DEFINE_CLEANUP(struct manifest *, manifest_free)
DEFINE_CLEANUP(struct image_index *, index_free)
DEFINE_CLEANUP(struct image_list *, image_list_free)

#endif
