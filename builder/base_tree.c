/* SPDX-License-Identifier: GPL-2.0-or-later */
/* builder/base_tree.c: FROM a named context that is no image: its files are the base's one layer.
 */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/origin.h"
#include "builder/remote.h"
#include "builder/schedule.h"

static int make_layer(struct stage *stage, const struct origin *origin, struct step_record *record,
		      struct err *err)
{
	static const char *const everything[] = { "." };
	const struct copy_request request = {
		.source = origin->source,
		.patterns = everything,
		.n_patterns = 1,
		.dest = "/",
		.from_root = origin->owners,
		.link = true,
		.now = clock_wall_ns() / 1000000000,
	};
	struct store *store = stage->builder->options->store;
	cleanup_with(copy_free) struct copy *copy = NULL;
	struct digest content;
	struct hasher hasher;
	cleanup_key struct key key;
	bool known;

	key_init(&key, "context-base");
	hasher_init(&hasher);
	if (copy_open(&request, &copy, NULL, err) < 0 || copy_add_to_key(copy, &hasher, err) < 0)
		return -1;
	hasher_finish(&hasher, &content);
	key_add_digest(&key, "content", &content);
	key_finish(&key, &record->key);
	if (stage_claim(stage, &record->key, &known, record, err) < 0)
		return -1;
	if (known || stage->builder->planning)
		return 0;
	record->created = clock_wall_ns();
	if (schedule_work(stage->builder->schedule, err) < 0 ||
	    copy_make_layer(copy, store, NULL, &record->layer, err) < 0)
		return -1;
	return cache_put(store, &record->key, record, key.parts, err);
}

int base_tree(struct stage *stage, struct named *named, struct err *err)
{
	struct origin origin = ORIGIN_INIT;
	struct step_record record = { .created = 0 };
	cleanup_free char *text = xasprintf("COPY . / # context %s", named_value(named));
	cleanup_free char *shown = remote_redact(text);

	if (named_tree(stage, named, &origin, err) < 0 ||
	    make_layer(stage, &origin, &record, err) < 0)
		return -1;
	stage_add_result(stage, &record, &record.key, shown);
	origin_release(&origin);
	return 0;
}
