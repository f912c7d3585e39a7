/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The value of a RUN --mount. */
#include "tests/fuzz/fuzz.h"

#include "builder/mount.h"
#include "dockerfile-parser/dockerfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "FROM scratch\nRUN --mount=";
	cleanup_free char *option = fuzz_text(data, size);
	cleanup_free char *text = xasprintf("%s%s true\n", head, option);
	struct stage stage = { .image = image_new() };
	struct mount_request request;
	struct dockerfile *file;
	struct err err;

	strv_add(&stage.env, "v=value");
	if (dockerfile_parse("Dockerfile", text, strlen(text), &file, &err) == 0) {
		const struct flag *flag = file->n_instructions > 1
						  ? instruction_flag(&file->instructions[1], "mount")
						  : NULL;

		if (flag && mount_parse(file, &stage, flag, &request, &err) == 0) {
			if (request.target && request.target[0] != '/')
				abort();
			mount_request_release(&request);
		}
		dockerfile_free(file);
	}
	strv_release(&stage.env);
	image_free(stage.image);
	return 0;
}
