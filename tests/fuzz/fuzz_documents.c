/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON of strangers: configs, manifests, indexes. What is read is written so that it reads again. */
#include "tests/fuzz/fuzz.h"

#include "layers/image.h"

static void fuzz_image(const char *text, size_t size)
{
	struct image *image, *again;
	struct err err;
	char *formatted;
	size_t len;

	if (image_parse(text, size, &image, &err) < 0)
		return;
	formatted = image_format(image, &len);
	if (image_parse(formatted, len, &again, &err) < 0)
		abort();
	image_free(again);
	free(formatted);
	image_free(image);
}

static void fuzz_manifest(const char *text, size_t size)
{
	struct manifest *manifest, *again;
	struct err err;
	char *formatted;
	size_t len;

	if (manifest_parse(text, size, NULL, &manifest, &err) < 0)
		return;
	formatted = manifest_format(manifest, &len);
	if (manifest_parse(formatted, len, NULL, &again, &err) < 0)
		abort();
	manifest_free(again);
	free(formatted);
	manifest_free(manifest);
}

static void fuzz_index(const char *text, size_t size)
{
	const struct index_entry *entry;
	struct image_index *index;
	struct platform platform;
	struct err err;

	if (index_parse(text, size, NULL, &index, &err) < 0)
		return;
	platform_host(&platform);
	index_choose(index, &platform, &entry, &err);
	index_free(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_text(data, size);

	fuzz_image(text, size);
	fuzz_manifest(text, size);
	fuzz_index(text, size);
	return 0;
}
