/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layers/media.c: one table says all there is to know about each media type. */
#include "layers/media.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

struct media_row {
	const char *name;
	enum media as_docker, as_oci;
	enum compression compression;
};

/* By enum media. */
static const struct media_row media_rows[] = {
	[MEDIA_UNKNOWN] = { "", MEDIA_UNKNOWN, MEDIA_UNKNOWN, COMPRESSION_NONE },
	[MEDIA_OCI_INDEX] = { OCI "index.v1+json", MEDIA_DOCKER_LIST, MEDIA_OCI_INDEX,
			      COMPRESSION_NONE },
	[MEDIA_OCI_MANIFEST] = { OCI "manifest.v1+json", MEDIA_DOCKER_MANIFEST, MEDIA_OCI_MANIFEST,
				 COMPRESSION_NONE },
	[MEDIA_OCI_CONFIG] = { OCI "config.v1+json", MEDIA_DOCKER_CONFIG, MEDIA_OCI_CONFIG,
			       COMPRESSION_NONE },
	[MEDIA_OCI_LAYER] = { OCI "layer.v1.tar", MEDIA_DOCKER_LAYER, MEDIA_OCI_LAYER,
			      COMPRESSION_NONE },
	[MEDIA_OCI_LAYER_GZIP] = { OCI "layer.v1.tar+gzip", MEDIA_DOCKER_LAYER_GZIP,
				   MEDIA_OCI_LAYER_GZIP, COMPRESSION_GZIP },
	[MEDIA_OCI_LAYER_ZSTD] = { OCI "layer.v1.tar+zstd", MEDIA_DOCKER_LAYER_ZSTD,
				   MEDIA_OCI_LAYER_ZSTD, COMPRESSION_ZSTD },
	[MEDIA_DOCKER_LIST] = { DOCKER "distribution.manifest.list.v2+json", MEDIA_DOCKER_LIST,
				MEDIA_OCI_INDEX, COMPRESSION_NONE },
	[MEDIA_DOCKER_MANIFEST] = { DOCKER "distribution.manifest.v2+json", MEDIA_DOCKER_MANIFEST,
				    MEDIA_OCI_MANIFEST, COMPRESSION_NONE },
	[MEDIA_DOCKER_CONFIG] = { DOCKER "container.image.v1+json", MEDIA_DOCKER_CONFIG,
				  MEDIA_OCI_CONFIG, COMPRESSION_NONE },
	[MEDIA_DOCKER_LAYER] = { DOCKER "image.rootfs.diff.tar", MEDIA_DOCKER_LAYER,
				 MEDIA_OCI_LAYER, COMPRESSION_NONE },
	[MEDIA_DOCKER_LAYER_GZIP] = { DOCKER "image.rootfs.diff.tar.gzip", MEDIA_DOCKER_LAYER_GZIP,
				      MEDIA_OCI_LAYER_GZIP, COMPRESSION_GZIP },
	[MEDIA_DOCKER_LAYER_ZSTD] = { DOCKER "image.rootfs.diff.tar.zstd", MEDIA_DOCKER_LAYER_ZSTD,
				      MEDIA_OCI_LAYER_ZSTD, COMPRESSION_ZSTD },
	[MEDIA_FOREIGN_LAYER] = { OCI "layer.nondistributable.v1.tar+gzip", MEDIA_FOREIGN_LAYER,
				  MEDIA_FOREIGN_LAYER, COMPRESSION_NONE },
};

/* The other spellings of MEDIA_FOREIGN_LAYER. */
static const char *const foreign_names[] = {
	OCI "layer.nondistributable.v1.tar",
	OCI "layer.nondistributable.v1.tar+zstd",
	DOCKER "image.rootfs.foreign.diff.tar",
	DOCKER "image.rootfs.foreign.diff.tar.gzip",
};

static bool same_name(const char *name, size_t len, const char *known)
{
	return strlen(known) == len && !strncasecmp(name, known, len);
}

enum media media_parse(const char *name)
{
	size_t len;

	if (!name)
		return MEDIA_UNKNOWN;
	len = strcspn(name, "; \t");
	for (size_t i = MEDIA_UNKNOWN + 1; i < ARRAY_SIZE(media_rows); i++)
		if (same_name(name, len, media_rows[i].name))
			return (enum media)i;
	for (size_t i = 0; i < ARRAY_SIZE(foreign_names); i++)
		if (same_name(name, len, foreign_names[i]))
			return MEDIA_FOREIGN_LAYER;
	return MEDIA_UNKNOWN;
}

const char *media_name(enum media media)
{
	return media_rows[media].name;
}

enum media media_of_layer(enum compression compression)
{
	switch (compression) {
	case COMPRESSION_GZIP:
		return MEDIA_OCI_LAYER_GZIP;
	case COMPRESSION_ZSTD:
		return MEDIA_OCI_LAYER_ZSTD;
	case COMPRESSION_NONE:
		break;
	}
	return MEDIA_OCI_LAYER;
}

enum compression media_compression(enum media media)
{
	return media_rows[media].compression;
}

enum media media_as_docker(enum media media)
{
	return media_rows[media].as_docker;
}

enum media media_as_oci(enum media media)
{
	return media_rows[media].as_oci;
}
