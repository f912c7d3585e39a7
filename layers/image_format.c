/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/image_format.c: an image's config as JSON, byte by byte as BuildKit would write it: top
 * members in alphabetical order, those of "config" in the order of docker's structure, maps by
 * key, what is empty left out. The image id is the digest of these bytes.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "layers/image.h"
#include "layers/internal.h"

static void put_text(json_t *object, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(object, key, text_to_json(text));
}

static void put_strings(json_t *object, const char *key, const struct strv *strv, bool present)
{
	json_t *array;

	if (!present && strv->n == 0)
		return;
	array = json_array();
	for (size_t i = 0; i < strv->n; i++)
		json_array_append_new(array, text_to_json(strv->v[i]));
	json_object_set_new(object, key, array);
}

static void put_set(json_t *object, const char *key, const struct strv *strv)
{
	cleanup_strv struct strv sorted = STRV_INIT;
	json_t *set;

	if (strv->n == 0)
		return;
	strv_extend(&sorted, strv);
	strv_sort_in_place(&sorted);
	set = json_object();
	for (size_t i = 0; i < sorted.n; i++) {
		cleanup_free char *name = text_to_utf8(sorted.v[i]);

		json_object_set_new(set, name, json_object());
	}
	json_object_set_new(object, key, set);
}

static void put_labels(json_t *object, const json_t *labels)
{
	cleanup_strv struct strv sorted = STRV_INIT;
	const char *name;
	json_t *map, *value;

	if (json_object_size(labels) == 0)
		return;
	json_object_foreach((json_t *)labels, name, value) strv_add(&sorted, name);
	strv_sort_in_place(&sorted);
	map = json_object();
	for (size_t i = 0; i < sorted.n; i++)
		json_object_set(map, sorted.v[i], json_object_get(labels, sorted.v[i]));
	json_object_set_new(object, "Labels", map);
}

static json_t *format_runtime(const struct image *image)
{
	json_t *config = json_object();

	put_text(config, "User", image->user);
	put_set(config, "ExposedPorts", &image->exposed);
	put_strings(config, "Env", &image->env, false);
	put_strings(config, "Entrypoint", &image->entrypoint, image->has_entrypoint);
	put_strings(config, "Cmd", &image->cmd, image->has_cmd);
	if (image->healthcheck)
		json_object_set_new(config, "Healthcheck",
				    healthcheck_canonical(image->healthcheck));
	if (image->args_escaped)
		json_object_set_new(config, "ArgsEscaped", json_true());
	put_set(config, "Volumes", &image->volumes);
	put_text(config, "WorkingDir", image->working_dir);
	put_labels(config, image->labels);
	put_text(config, "StopSignal", image->stop_signal);
	put_strings(config, "OnBuild", &image->on_build, false);
	put_strings(config, "Shell", &image->shell, image->has_shell);
	return config;
}

static void put_time(json_t *object, const char *key, bool has, int64_t time)
{
	char text[CLOCK_TEXT_MAX];

	if (has)
		json_object_set_new(object, key, json_string(clock_format(time, text)));
}

static json_t *format_history(const struct image *image)
{
	json_t *array = json_array();

	for (size_t i = 0; i < image->n_history; i++) {
		const struct image_history *history = &image->history[i];
		json_t *entry = json_object();

		put_time(entry, "created", history->has_created, history->created);
		put_text(entry, "created_by", history->created_by);
		put_text(entry, "author", history->author);
		put_text(entry, "comment", history->comment);
		if (history->empty_layer)
			json_object_set_new(entry, "empty_layer", json_true());
		json_array_append_new(array, entry);
	}
	return array;
}

static json_t *format_rootfs(const struct image *image)
{
	json_t *rootfs = json_object(), *diff_ids = json_array();
	char text[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < image->n_layers; i++)
		json_array_append_new(diff_ids,
				      json_string(digest_format(&image->diff_ids[i], text)));
	json_object_set_new(rootfs, "type", json_string("layers"));
	json_object_set_new(rootfs, "diff_ids", diff_ids);
	return rootfs;
}

char *image_format(const struct image *image, size_t *ret_len)
{
	cleanup_json json_t *document = json_object();
	char *text;

	json_object_set_new(document, "architecture", text_to_json(image->platform.architecture));
	put_text(document, "author", image->author);
	json_object_set_new(document, "config", format_runtime(image));
	put_time(document, "created", image->has_created, image->created);
	if (image->n_history)
		json_object_set_new(document, "history", format_history(image));
	json_object_set_new(document, "os", text_to_json(image->platform.os));
	put_text(document, "os.version", image->platform.os_version);
	json_object_set_new(document, "rootfs", format_rootfs(image));
	put_text(document, "variant", image->platform.variant);
	if (image->cache)
		json_object_set(document, IMAGE_CACHE_FIELD, image->cache);
	text = js_dump(document);
	*ret_len = strlen(text);
	return text;
}
