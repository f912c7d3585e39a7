/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One record, "probes" of the store, with the key of the answers inside.
 *
 * 1. Only a rung with namespaces is remembered. What is refused is tried again each time, so that a
 *    fix shows at once.
 * 2. A record with another key, of a damaged or an impossible content, is none. Whoever tries anew
 *    replaces it whole.
 * 3. The key is taken before trying: what changes meanwhile makes another one.
 * 4. A build that finds something refused removes the record.
 */
#include "builder/probes.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/store.h"

#define KIND	   "probes"
#define RECORD_MAX (64 * 1024)
#define LAST_RUNG  USERNS_SINGLE /* that is remembered */

static void record_name(struct digest *ret_name)
{
	digest_of(KIND, strlen(KIND), ret_name);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int parse_probe(const json_t *item, struct userns_probe *probe, struct err *err)
{
	const char *name, *detail;

	if (js_string(item, "name", "", &name, err) < 0 ||
	    js_string(item, "detail", "", &detail, err) < 0)
		return -1;
	if (!*name || strlen(name) >= sizeof(probe->name) ||
	    strlen(detail) >= sizeof(probe->detail))
		return err_set(err, ERR_CORRUPT, "not the record of a probe");
	snprintf(probe->name, sizeof(probe->name), "%s", name);
	snprintf(probe->detail, sizeof(probe->detail), "%s", detail);
	probe->ok = json_is_true(json_object_get(item, "ok"));
	return 0;
}

static int parse_info(const json_t *root, struct userns_info *info, struct err *err)
{
	uint64_t rung;
	json_t *list;

	if (js_uint(root, "rung", LAST_RUNG + 1, &rung, err) < 0 ||
	    js_array(root, "probes", &list, err) < 0)
		return -1;
	if (rung > LAST_RUNG || json_array_size(list) > USERNS_PROBES_MAX)
		return err_set(err, ERR_CORRUPT, "not the record of probes");
	info->rung = (enum userns_rung)rung;
	for (; info->n_probes < json_array_size(list); info->n_probes++)
		if (parse_probe(json_array_get(list, info->n_probes), &info->probes[info->n_probes],
				err) < 0)
			return -1;
	return 0;
}

static int recall(struct store *store, const struct digest *key, struct userns_info *ret_info,
		  struct err *err)
{
	struct userns_info info = { .rung = USERNS_NONE };
	cleanup_json json_t *root = NULL;
	cleanup_buf struct buf text;
	struct digest name, theirs;

	record_name(&name);
	buf_init(&text, RECORD_MAX);
	if (record_read(store, KIND, &name, &text, err) < 0 ||
	    js_parse("probes", text.data, text.len, &root, err) < 0 ||
	    js_digest(root, "key", &theirs, err) < 0)
		return -1;
	if (!digest_equal(key, &theirs))
		return err_set(err, ERR_NOT_FOUND, "the probes are of another time or place");
	if (parse_info(root, &info, err) < 0)
		return -1;
	*ret_info = info;
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int remember(struct store *store, const struct digest *key, const struct userns_info *info,
		    struct err *err)
{
	cleanup_json json_t *root = NULL, *list = json_array();
	cleanup_free char *text = NULL;
	char key_text[DIGEST_TEXT_MAX];
	struct digest name;

	for (size_t i = 0; i < info->n_probes; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:b, s:s}", "name", info->probes[i].name, "ok",
					(int)info->probes[i].ok, "detail", info->probes[i].detail));
	if (json_array_size(list) != info->n_probes)
		return err_set(err, ERR_INVALID, "an answer is not UTF-8");
	root = json_pack("{s:s, s:i, s:O}", "key", digest_format(key, key_text), "rung",
			 (int)info->rung, "probes", list);
	text = js_dump(root);
	record_name(&name);
	return record_write(store, KIND, &name, text, strlen(text), err);
}

void probes_forget(struct store *store)
{
	struct err ignored = ERR_INIT;
	struct digest name;

	record_name(&name);
	record_remove(store, KIND, &name, &ignored);
}

/* ---------------------------------------------------------------------------------------------- */

void probes_get(struct store *store, const char *search, bool anew, struct probes *ret_probes)
{
	cleanup_with(scratch_free) struct scratch *scratch = NULL;
	struct userns_place place = { .store = store_path(store), .search = search };
	struct err ignored = ERR_INIT;
	struct digest key;
	bool has_key = userns_probe_key(&place, &key, &ignored) == 0;

	*ret_probes = (struct probes){ .remembered = false };
	if (has_key && !anew && recall(store, &key, &ret_probes->info, &ignored) == 0) {
		ret_probes->remembered = true;
		return;
	}
	if (scratch_open(store, &scratch, &ignored) == 0)
		place.scratch = scratch->path;
	userns_probe(&place, &ret_probes->info);
	if (!has_key || ret_probes->info.rung > LAST_RUNG)
		probes_forget(store);
	else
		remember(store, &key, &ret_probes->info, &ignored);
}
