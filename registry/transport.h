/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_TRANSPORT_H
#define REGISTRY_TRANSPORT_H

/*
 * registry/transport.h: images between the store and the outside. Registries are spoken to by a
 * second program, libexec/cbuild-registry, which alone links libcurl and holds credentials; it
 * opens the same store and talks with this process in JSON lines over its stdin and stdout.
 * Archives (docker save, OCI archive) and OCI layouts are read and written in this process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "layers/image.h"

struct err;
struct reference;
struct store;

struct transport_options {
	const char *helper;	 /* path of cbuild-registry */
	const char *authfile;	 /* docker's config.json; NULL: the usual places */
	const char *registries_conf; /* containers-registries.conf(5) v2; NULL: the usual places */
	bool insecure;		 /* plain HTTP and unverified TLS are allowed */
	const char *const *environment; /* for the helper: HOME, DOCKER_CONFIG, proxies, ... */
	const struct platform *platform; /* pull: NULL for the host's */
	enum compression compression;	 /* push: for layers that have no blob yet */
	bool docker_format;		 /* push: docker media types instead of OCI's */
	bool lazy; /* pull: layers stay where they are until transport_fetch_layers() */
};

enum transport_state {
	TRANSPORT_WAITING,
	TRANSPORT_MOVING,  /* current of total bytes */
	TRANSPORT_EXISTS,  /* already there */
	TRANSPORT_DONE,
	TRANSPORT_NOTE,	   /* text is for the user: a warning, a retry */
};

struct transport_event {
	enum transport_state state;
	struct digest digest;	 /* of the blob; zero for notes */
	uint64_t current, total; /* bytes */
	const char *text;	 /* of a note; else of what is named and has no digest yet, or "" */
};

typedef void transport_listener(void *arg, const struct transport_event *event);

struct transport_image {
	struct digest id;	/* config */
	struct digest manifest; /* the image manifest */
	struct digest remote;	/* what the name resolved to: index or manifest */
};

/* What the name means now, without fetching: one HEAD request. *ret_digest is of the index or
 * manifest. */
int transport_resolve(const struct transport_options *options, struct store *store,
		      const struct reference *reference, struct digest *ret_digest,
		      struct err *err);

/*
 * Fetch the image into the store (config, manifest, layer blobs, several at once, each verified
 * while it streams), make its record and its name. What is here already is not fetched. Errors:
 * ERR_NOT_FOUND, ERR_DENIED, ERR_CORRUPT (digest), ERR_FAILED (network), each naming the
 * reference and the registry's own words.
 */
int transport_pull(const struct transport_options *options, struct store *store,
		   const struct reference *reference, transport_listener *listener, void *arg,
		   struct transport_image *ret_image, struct err *err);

/*
 * The same, lazily, for somebody who wants to read the image's config, a blob of the store
 * afterwards: the image gets neither record nor name. What fails is not tried again.
 */
int transport_peek(const struct transport_options *options, struct store *store,
		   const struct reference *reference, struct transport_image *ret_image,
		   struct err *err);

/*
 * Fetch the layers that are not in the store from where they can be had; nothing is started when
 * all are here. Errors as transport_pull(). Their blobs have the right digest then; whether that is
 * right for the diff_id shows when they are read.
 */
int transport_fetch_layers(const struct transport_options *options, struct store *store,
			   const struct digest *diff_ids, size_t n, transport_listener *listener,
			   void *arg, struct err *err);

/* Push an image of the store under the reference (which has a tag). Layers are compressed first
 * where they have no blob yet. *ret_manifest names what the registry now has. */
int transport_push(const struct transport_options *options, struct store *store,
		   const struct digest *id, const struct reference *reference,
		   transport_listener *listener, void *arg, struct descriptor *ret_manifest,
		   struct err *err);

/* --- files by URL ----------------------------------------------------------------------------- */

struct transport_url {
	const char *url; /* http or https, without a user name */

	/* Of the body that is here already, as an earlier answer said; NULL: there is none. */
	const char *etag, *modified;

	const char *authorization; /* header of that name, for the URL's origin alone; or NULL */
	uint64_t max; /* bytes; a larger body is ERR_LIMIT */
};

struct transport_file {
	bool unchanged;	      /* what is here is still right; nothing else is told */
	struct digest digest; /* the body is this blob of the store */
	uint64_t size;
	char *etag, *modified; /* headers ETag and Last-Modified; NULL when absent */
	int64_t mtime;	       /* Last-Modified in seconds since 1970, or 0 */
};

/*
 * GET a file into a blob. Redirects are followed as http.h says: not from https to http, not
 * further inside the network than the URL itself leads. Nobody's stored credentials are sent.
 * Errors: ERR_NOT_FOUND, ERR_DENIED, ERR_LIMIT, ERR_FAILED, each naming the URL without its query.
 */
int transport_fetch(const struct transport_options *options, struct store *store,
		    const struct transport_url *url, transport_listener *listener, void *arg,
		    struct transport_file *ret_file, struct err *err);
void transport_file_release(struct transport_file *file);

/* --- manifests by tag (tagged.c, layout_tags.c) ------------------------------------------------
 *
 * Small artifacts for shared caches: OCI manifests of a config that is "{}" and one layer, each
 * under a tag. What they say is the caller's business. They are in a repository of a registry or in
 * an OCI layout, a directory.
 */

#define TAG_TEXT_MAX (32 * 1024) /* bytes of a manifest */

struct tagged {
	const char *tag;
	char *text; /* the manifest; of get: the caller's to free, NULL when there is none, "" when
		     * it is too long */

	/* put: its layer, which is in the store or can be had; a zero diff_id: none, then the layer
	 * is "{}" as well */
	struct digest diff_id;
	struct descriptor blob;
	bool replace; /* put: also when the tag is there */
};

/*
 * Ask for all of them at once. Failures are those of the registry: what fails is not tried again.
 */
int transport_get_tags(const struct transport_options *options, struct store *store,
		       const struct reference *reference, struct tagged *tags, size_t n,
		       struct err *err);

/* Send those that are not there, and of their layers what the registry lacks. */
int transport_put_tags(const struct transport_options *options, struct store *store,
		       const struct reference *reference, const struct tagged *tags, size_t n,
		       transport_listener *listener, void *arg, struct err *err);

/* The same for a layout, whose index.json is replaced once. */
int layout_get_tags(int dir_fd, struct tagged *tags, size_t n, struct err *err);
int layout_put_tags(struct store *store, int dir_fd, const struct tagged *tags, size_t n,
		    struct err *err);

/* Take a layer of it into the store. ERR_CORRUPT when it is not what the names say. */
int layout_take_layer(struct store *store, int dir_fd, const struct descriptor *blob,
		      const struct digest *diff_id, struct err *err);

/* --- OCI layouts (registry/layout.c) ---------------------------------------------------------- */

/*
 * Take an image out of an OCI layout, a directory: the one that index.json has under this tag
 * (NULL: "latest", or the only one) or digest (then tag is not looked at; NULL: none), for this
 * platform. It gets into the store without a name.
 */
int layout_load(struct store *store, int dir_fd, const char *tag, const struct digest *digest,
		const struct platform *platform, struct digest *ret_id, struct err *err);

/* The same image's id and config, with nothing brought into any store. */
struct image;
int layout_read(int dir_fd, const char *tag, const struct digest *digest,
		const struct platform *platform, struct digest *ret_id, struct image **ret_image,
		struct err *err);

/* --- archives (registry/archive_*.c) ---------------------------------------------------------- */

enum archive_format {
	ARCHIVE_DOCKER, /* docker save: manifest.json and an OCI layout in one, as docker 25 does */
	ARCHIVE_OCI,	/* OCI image layout in a tar */
};

struct archive_image {
	struct digest id;
	const char *name; /* normal form, or NULL */
};

/* Write images to fd as one tar. */
int archive_save(struct store *store, const struct archive_image *images, size_t n,
		 enum archive_format format, int fd, struct err *err);

/*
 * Load a tar that docker save, podman save, buildah or skopeo made (docker or OCI form, maybe
 * compressed) from fd, which may be a pipe. Each image and its names get into the store.
 * on_image is called for each: name may be NULL.
 */
typedef void archive_loaded(void *arg, const char *name, const struct digest *id);
int archive_load(struct store *store, int fd, archive_loaded *on_image, void *arg,
		 struct err *err);

#endif
