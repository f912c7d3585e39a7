/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of images, platforms, media, sizes, git places and URLs. */
#include "tests/fuzz/fuzz.h"

#include "base/size.h"
#include "builder/remote.h"
#include "layers/image.h"
#include "layers/media.h"
#include "registry/reference.h"

/* What was read is written so that it reads the same. */
static void check_reference(const char *text)
{
	char formatted[REFERENCE_TEXT_MAX], again_text[REFERENCE_TEXT_MAX];
	struct reference reference, again;
	struct err err;

	if (reference_parse(text, &reference, &err) < 0)
		return;
	reference_format(&reference, formatted);
	if (reference_parse(formatted, &again, &err) < 0 ||
	    strcmp(reference_format(&again, again_text), formatted) != 0)
		abort();
	reference_familiar(&reference, formatted);
	if (reference_parse(formatted, &again, &err) < 0 ||
	    strcmp(reference_format(&reference, formatted),
		   reference_format(&again, again_text)) != 0)
		abort();
}

static void check_platform(const char *text)
{
	char formatted[PLATFORM_TEXT_MAX];
	struct platform platform, again;
	struct err err;

	if (platform_parse(text, &platform, &err) == 0 &&
	    platform_parse(platform_format(&platform, formatted), &again, &err) < 0)
		abort();
}

static void check_remote(const char *text)
{
	cleanup_free char *name = remote_file_name(text);
	cleanup_free char *redacted = remote_redact(text);
	struct git_place place;
	struct err err;

	if (strchr(name, '/') || strlen(redacted) > strlen(text) + 64)
		abort();
	if (remote_kind(text) != REMOTE_GIT || git_place_parse(text, &place, &err) < 0)
		return;
	if (!place.url || place.url[0] == '-' || (place.ref && place.ref[0] == '-'))
		abort();
	git_place_release(&place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_text(data, size);
	uint64_t bytes;

	check_reference(text);
	check_platform(text);
	check_remote(text);
	media_parse(text);
	size_parse(text, &bytes);
	return 0;
}
