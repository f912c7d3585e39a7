/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/image_parse.c: an image's config from JSON: what OCI's config.md names, and docker's
 * Healthcheck, OnBuild, Shell and ArgsEscaped.
 */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "layers/image.h"
#include "layers/internal.h"

#define IMAGE_HISTORY_MAX 4096

static const char *const config_keys[] = { "architecture", "author", "config", "created",
					   "history",	   "os",     "rootfs", "variant",
					   "os.version",   NULL };
static const char *const runtime_keys[] = {
	"User",	   "ExposedPorts", "Env",    "Entrypoint", "Cmd",     "Healthcheck", "ArgsEscaped",
	"Volumes", "WorkingDir",   "Labels", "StopSignal", "OnBuild", "Shell",	     NULL
};
static const char *const rootfs_keys[] = { "type", "diff_ids", NULL };

/* Replace *place by the member, "" when it is absent. */
static int take_text(const json_t *object, const char *key, char **place, struct err *err)
{
	const char *text;

	if (js_string(object, key, "", &text, err) < 0)
		return -1;
	free(*place);
	*place = xstrdup(text);
	return 0;
}

/* As take_text(), but NULL when it is absent or empty. */
static int take_optional(const json_t *object, const char *key, char **place, struct err *err)
{
	if (take_text(object, key, place, err) < 0)
		return -1;
	if (!**place) {
		free(*place);
		*place = NULL;
	}
	return 0;
}

static int take_bool(const json_t *object, const char *key, bool *ret_value, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (value && !json_is_null(value) && !json_is_boolean(value))
		return err_set(err, ERR_INVALID, "\"%s\" is not true or false", key);
	*ret_value = json_is_true(value);
	return 0;
}

/* Go's year 1 says that there is no time, as absence does. */
static int take_time(const json_t *object, const char *key, int64_t *ret_time, bool *ret_has,
		     struct err *err)
{
	const char *text;

	if (js_string(object, key, "", &text, err) < 0)
		return -1;
	*ret_has = strncmp(text, "0001-", 5) != 0 && clock_parse(text, ret_time);
	if (!*ret_has)
		*ret_time = 0;
	return 0;
}

static int take_strings(const json_t *object, const char *key, struct strv *strv, bool *ret_has,
			struct err *err)
{
	json_t *array, *item;
	size_t i;

	if (js_array(object, key, &array, err) < 0)
		return -1;
	if (ret_has)
		*ret_has = array != NULL;
	json_array_foreach(array, i, item)
	{
		const char *text = json_string_value(item);

		if (!text || strlen(text) != json_string_length(item))
			return err_set(err, ERR_INVALID, "\"%s\" holds what is not a string", key);
		strv_add(strv, text);
	}
	return 0;
}

/* {"80/tcp": {}, ...}: the keys, sorted. */
static int take_set(const json_t *object, const char *key, struct strv *strv, struct err *err)
{
	const char *name;
	json_t *set, *value;

	if (js_object(object, key, &set, err) < 0)
		return -1;
	json_object_foreach(set, name, value) strv_add(strv, name);
	strv_sort_in_place(strv);
	return 0;
}

static void drop_without_equals(struct strv *env)
{
	for (size_t i = env->n; i-- > 0;)
		if (!strchr(env->v[i], '='))
			strv_remove(env, i);
}

static int take_labels(const json_t *object, json_t *labels, struct err *err)
{
	const char *name;
	json_t *all, *value;

	if (js_object(object, "Labels", &all, err) < 0)
		return -1;
	json_object_foreach(all, name, value)
	{
		if (!json_is_string(value))
			return err_set(err, ERR_INVALID, "label \"%s\" is not a string", name);
		json_object_set(labels, name, value);
	}
	return 0;
}

json_t *healthcheck_canonical(const json_t *check)
{
	static const char *const numbers[] = { "Interval", "Timeout", "StartPeriod",
					       "StartInterval", "Retries" };
	json_t *copy = json_object(), *test = json_object_get(check, "Test");

	if (json_array_size(test) > 0)
		json_object_set(copy, "Test", test);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		json_t *value = json_object_get(check, numbers[i]);

		if (json_integer_value(value) != 0)
			json_object_set(copy, numbers[i], value);
	}
	return copy;
}

static int take_healthcheck(const json_t *object, json_t **ret_check, struct err *err)
{
	cleanup_strv struct strv test = STRV_INIT;
	const char *name;
	json_t *check, *value;

	if (js_object(object, "Healthcheck", &check, err) < 0)
		return -1;
	if (!check)
		return 0;
	if (take_strings(check, "Test", &test, NULL, err) < 0)
		return -1;
	json_object_foreach(
		check, name,
		value) if (strcmp(name, "Test") &&
			   !json_is_integer(value)) return err_set(err, ERR_INVALID,
								   "\"%s\" is not a number", name);
	*ret_check = healthcheck_canonical(check);
	return 0;
}

static int take_runtime(const json_t *document, struct image *image, struct err *err)
{
	json_t *config;

	if (js_object(document, "config", &config, err) < 0)
		return -1;
	if (!config)
		return 0;
	if (document_check_keys(config, runtime_keys, err) < 0 ||
	    take_text(config, "User", &image->user, err) < 0 ||
	    take_set(config, "ExposedPorts", &image->exposed, err) < 0 ||
	    take_strings(config, "Env", &image->env, NULL, err) < 0 ||
	    take_strings(config, "Entrypoint", &image->entrypoint, &image->has_entrypoint, err) <
		    0 ||
	    take_strings(config, "Cmd", &image->cmd, &image->has_cmd, err) < 0 ||
	    take_healthcheck(config, &image->healthcheck, err) < 0 ||
	    take_bool(config, "ArgsEscaped", &image->args_escaped, err) < 0 ||
	    take_set(config, "Volumes", &image->volumes, err) < 0 ||
	    take_text(config, "WorkingDir", &image->working_dir, err) < 0 ||
	    take_labels(config, image->labels, err) < 0 ||
	    take_text(config, "StopSignal", &image->stop_signal, err) < 0 ||
	    take_strings(config, "OnBuild", &image->on_build, NULL, err) < 0 ||
	    take_strings(config, "Shell", &image->shell, &image->has_shell, err) < 0)
		return -1;
	drop_without_equals(&image->env);
	return 0;
}

static int take_layers(const json_t *document, struct image *image, struct err *err)
{
	json_t *rootfs, *array, *item;
	const char *type;
	size_t i;

	if (js_object(document, "rootfs", &rootfs, err) < 0)
		return -1;
	if (!rootfs)
		return err_set(err, ERR_INVALID, "\"rootfs\" is missing");
	if (document_check_keys(rootfs, rootfs_keys, err) < 0 ||
	    js_string(rootfs, "type", "", &type, err) < 0 ||
	    js_array(rootfs, "diff_ids", &array, err) < 0)
		return err_wrap(err, "\"rootfs\"");
	if (strcmp(type, "layers"))
		return err_set(err, ERR_UNSUPPORTED, "\"rootfs\" has type \"%.40s\"", type);
	if (json_array_size(array) > IMAGE_LAYERS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d layers", IMAGE_LAYERS_MAX);
	json_array_foreach(array, i, item)
	{
		const char *text = json_string_value(item);
		struct digest diff_id;

		if (digest_parse(text ? text : "", &diff_id, err) < 0)
			return err_wrap(err, "\"diff_ids\"");
		image_add_layer(image, &diff_id);
	}
	return 0;
}

static int take_history(const json_t *document, struct image *image, struct err *err)
{
	json_t *array, *item;
	size_t i;

	if (js_array(document, "history", &array, err) < 0)
		return -1;
	if (json_array_size(array) > IMAGE_HISTORY_MAX)
		return err_set(err, ERR_LIMIT, "more than %d entries of history",
			       IMAGE_HISTORY_MAX);
	json_array_foreach(array, i, item)
	{
		cleanup_free char *created_by = NULL, *author = NULL, *comment = NULL;
		struct image_history history = { .created = 0 };

		if (!json_is_object(item))
			return err_set(err, ERR_INVALID, "\"history\" holds what is not an object");
		if (take_time(item, "created", &history.created, &history.has_created, err) < 0 ||
		    take_optional(item, "created_by", &created_by, err) < 0 ||
		    take_optional(item, "author", &author, err) < 0 ||
		    take_optional(item, "comment", &comment, err) < 0 ||
		    take_bool(item, "empty_layer", &history.empty_layer, err) < 0)
			return err_wrap(err, "\"history\"");
		history.created_by = created_by;
		history.author = author;
		history.comment = comment;
		image_add_history(image, &history);
	}
	return 0;
}

int image_parse(const char *text, size_t len, struct image **ret_image, struct err *err)
{
	cleanup_with(image_free) struct image *image = image_new();
	cleanup_json json_t *document = NULL;
	json_t *cache;

	if (document_parse("image config", text, len, config_keys, &document, err) < 0)
		return -1;
	if (platform_from_json(document, &image->platform, err) < 0 ||
	    take_optional(document, "author", &image->author, err) < 0 ||
	    take_time(document, "created", &image->created, &image->has_created, err) < 0 ||
	    take_runtime(document, image, err) < 0 || take_layers(document, image, err) < 0 ||
	    take_history(document, image, err) < 0 ||
	    js_array(document, IMAGE_CACHE_FIELD, &cache, err) < 0)
		return err_wrap(err, "image config");
	image->cache = json_incref(cache);
	*ret_image = steal_pointer(&image);
	return 0;
}
