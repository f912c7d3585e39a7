/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "builder/build.h"

#include <ctype.h>
#include <string.h>

#include "base/err.h"
#include "layers/image.h"
#include "registry/reference.h"

/* Whether text can be the beginning of an image id. */
static bool looks_like_id(const char *text)
{
	if (!strncmp(text, "sha256:", 7))
		text += 7;
	if (!*text)
		return false;
	for (; *text; text++)
		if (!isdigit((unsigned char)*text) && (*text < 'a' || *text > 'f'))
			return false;
	return true;
}

int build_find_image(struct store *store, const char *name, struct digest *ret_id, struct err *err)
{
	char text[REFERENCE_TEXT_MAX];
	struct reference reference;
	struct image_name found = { 0 };
	struct err why = ERR_INIT;

	if (reference_parse(name, &reference, &why) == 0 &&
	    image_name_get(store, reference_format(&reference, text), &found, &why) == 0) {
		*ret_id = found.id;
		image_name_release(&found);
		return 0;
	}
	if (looks_like_id(name)) {
		if (image_find_id(store, name, ret_id, &why) == 0)
			return 0;
		if (why.kind == ERR_INVALID) {
			*err = why;
			return -1;
		}
	}
	if (why.kind != ERR_NOT_FOUND && why.kind != ERR_INVALID) {
		*err = why;
		return -1;
	}
	if (why.kind == ERR_INVALID)
		return err_set(err, ERR_INVALID, "%s: %s", name, why.message);
	return err_set(err, ERR_NOT_FOUND, "No such image: %s", name);
}
