/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What registries and their users write: registries.conf and WWW-Authenticate. */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "registry/challenge.h"
#include "registry/toml.h"

static void fuzz_toml(const char *text, size_t size)
{
	struct err err;
	json_t *root;

	if (toml_parse("registries.conf", text, size, &root, &err) < 0)
		return;
	if (!json_is_object(root))
		abort();
	json_decref(root);
}

static void fuzz_challenges(char *text)
{
	struct challenges challenges = { .n = 0 };
	const char *header = text;

	while (*header) {
		char *rest = fuzz_cut((char *)header);

		challenges_parse(header, &challenges);
		header = rest;
	}
	if (challenges.n > CHALLENGES_MAX)
		abort();
	challenges_find(&challenges, "bearer");
	challenges_release(&challenges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_text(data, size);

	fuzz_toml(text, size);
	fuzz_challenges(text);
	return 0;
}
