/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_MEDIA_H
#define LAYERS_MEDIA_H

/* layers/media.h: media types and descriptors (OCI image-spec, media-types.md, descriptor.md). */

#include <stdint.h>

#include "base/digest.h"

struct err;

enum compression {
	COMPRESSION_NONE,
	COMPRESSION_GZIP,
	COMPRESSION_ZSTD,
};

enum media {
	MEDIA_UNKNOWN,
	MEDIA_OCI_INDEX,
	MEDIA_OCI_MANIFEST,
	MEDIA_OCI_CONFIG,
	MEDIA_OCI_LAYER,      /* .tar */
	MEDIA_OCI_LAYER_GZIP, /* .tar+gzip */
	MEDIA_OCI_LAYER_ZSTD, /* .tar+zstd */
	MEDIA_DOCKER_LIST,
	MEDIA_DOCKER_MANIFEST,
	MEDIA_DOCKER_CONFIG,
	MEDIA_DOCKER_LAYER,
	MEDIA_DOCKER_LAYER_GZIP,
	MEDIA_DOCKER_LAYER_ZSTD,
	MEDIA_FOREIGN_LAYER, /* non-distributable, of either family */
};

struct descriptor {
	enum media media;
	struct digest digest;
	uint64_t size; /* bytes */
};

/* The name, without parameters; MEDIA_UNKNOWN for others (NULL included). */
enum media media_parse(const char *name);
const char *media_name(enum media media);

/* OCI layer type of a compression, and back (COMPRESSION_NONE for what is no layer). */
enum media media_of_layer(enum compression compression);
enum compression media_compression(enum media media);
/* The same kind of object in docker's family or OCI's. */
enum media media_as_docker(enum media media);
enum media media_as_oci(enum media media);

#endif
