/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_LAYOUT_H
#define REGISTRY_LAYOUT_H

/* registry/layout.h: what is in an OCI layout and where (image-spec, image-layout.md). */

#include <jansson.h>

#include "base/digest.h"

#define LAYOUT_BLOBS	"blobs/sha256"
#define LAYOUT_PATH_MAX (DIGEST_HEX_MAX + 16)

/* Where a blob lies in the directory. */
const char *layout_blob_path(const struct digest *digest, char path[LAYOUT_PATH_MAX]);

/* The annotation by which an entry of index.json has a name, and that name, or NULL. */
#define LAYOUT_REF_NAME "org.opencontainers.image.ref.name"
const char *layout_ref_name(const json_t *entry);

#endif
