/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect: what an image is, in docker's shape. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/internal.h"
#include "registry/reference.h"

static json_t *strv_json(const struct strv *strv, bool present)
{
	json_t *array;

	if (!present)
		return json_null();
	array = json_array();
	for (size_t i = 0; i < strv->n; i++)
		json_array_append_new(array, json_string(strv->v[i]));
	return array;
}

/* Go's map[string]struct{}. */
static json_t *set_json(const struct strv *strv)
{
	json_t *object;

	if (!strv->n)
		return NULL;
	object = json_object();
	for (size_t i = 0; i < strv->n; i++)
		json_object_set_new(object, strv->v[i], json_object());
	return object;
}

static void set_optional(json_t *object, const char *key, json_t *value)
{
	if (value)
		json_object_set_new(object, key, value);
}

static json_t *config_json(const struct image *image)
{
	json_t *config = json_object();

	json_object_set_new(config, "User", json_string(image->user));
	set_optional(config, "ExposedPorts", set_json(&image->exposed));
	json_object_set_new(config, "Env", strv_json(&image->env, image->env.n > 0));
	json_object_set_new(config, "Cmd", strv_json(&image->cmd, image->has_cmd));
	if (image->args_escaped)
		json_object_set_new(config, "ArgsEscaped", json_true());
	if (image->healthcheck)
		json_object_set(config, "Healthcheck", image->healthcheck);
	set_optional(config, "Volumes", set_json(&image->volumes));
	json_object_set_new(config, "WorkingDir", json_string(image->working_dir));
	json_object_set_new(config, "Entrypoint",
			    strv_json(&image->entrypoint, image->has_entrypoint));
	json_object_set_new(config, "OnBuild", strv_json(&image->on_build, image->on_build.n > 0));
	if (json_object_size(image->labels))
		json_object_set(config, "Labels", image->labels);
	else
		json_object_set_new(config, "Labels", json_null());
	if (*image->stop_signal)
		json_object_set_new(config, "StopSignal", json_string(image->stop_signal));
	if (image->has_shell)
		json_object_set_new(config, "Shell", strv_json(&image->shell, true));
	return config;
}

static int add_names(struct store *store, const struct digest *id, json_t *object, struct err *err)
{
	cleanup_with(image_list_free) struct image_list *list = NULL;
	json_t *tags = json_array(), *digests = json_array();

	json_object_set_new(object, "RepoTags", tags);
	json_object_set_new(object, "RepoDigests", digests);
	if (image_list(store, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list->n_names; i++) {
		char text[REFERENCE_TEXT_MAX], digest[DIGEST_TEXT_MAX];
		struct reference reference;

		if (!digest_equal(&list->names[i].id, id))
			continue;
		if (reference_parse(list->names[i].name, &reference, err) < 0)
			return -1;
		if (!reference.has_digest)
			json_array_append_new(tags,
					      json_string(reference_familiar(&reference, text)));
		if (!digest_is_zero(&list->names[i].remote))
			json_array_append_new(
				digests,
				json_sprintf("%s@%s", reference_repository(&reference, true, text),
					     digest_format(&list->names[i].remote, digest)));
	}
	return 0;
}

static int image_json(struct store *store, const struct digest *id, json_t **ret_value,
		      struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	cleanup_json json_t *object = json_object();
	char text[DIGEST_TEXT_MAX], created[CLOCK_TEXT_MAX];
	json_t *layers = json_array(), *rootfs;
	uint64_t size = 0;

	rootfs = json_pack("{s:s, s:o}", "Type", "layers", "Layers", layers);
	if (image_load(store, id, &image, err) < 0) {
		json_decref(rootfs);
		return -1;
	}
	for (size_t i = 0; i < image->n_layers; i++) {
		json_array_append_new(layers,
				      json_string(digest_format(&image->diff_ids[i], text)));
		size += layer_size(store, &image->diff_ids[i]);
	}
	json_object_set_new(object, "Id", json_string(digest_format(id, text)));
	if (add_names(store, id, object, err) < 0) {
		json_decref(rootfs);
		return -1;
	}
	json_object_set_new(object, "Parent", json_string(""));
	json_object_set_new(
		object, "Comment",
		json_string(image->n_history && image->history[image->n_history - 1].comment
				    ? image->history[image->n_history - 1].comment
				    : ""));
	json_object_set_new(object, "Created", json_string(clock_format(image->created, created)));
	json_object_set_new(object, "Author", json_string(image->author ? image->author : ""));
	json_object_set_new(object, "Config", config_json(image));
	json_object_set_new(object, "Architecture", json_string(image->platform.architecture));
	if (*image->platform.variant)
		json_object_set_new(object, "Variant", json_string(image->platform.variant));
	json_object_set_new(object, "Os", json_string(image->platform.os));
	json_object_set_new(object, "Size", json_integer((json_int_t)size));
	json_object_set_new(object, "RootFS", rootfs);
	*ret_value = json_incref(object);
	return 0;
}

static int inspect(struct cli *cli, const char *format, int argc, char **argv, struct err *err)
{
	cleanup_json json_t *all = json_array();
	struct store *store;
	bool missing = false;

	if (cli_store(cli, &store, err) < 0)
		return -1;
	for (int i = 1; i < argc; i++) {
		struct digest id;
		json_t *value;

		if (build_find_image(store, argv[i], &id, err) < 0) {
			if (err->kind != ERR_NOT_FOUND)
				return -1;
			fprintf(stderr, "cbuild: No such image: %s\n", argv[i]);
			missing = true;
			continue;
		}
		if (image_json(store, &id, &value, err) < 0)
			return -1;
		json_array_append_new(all, value);
		if (format && template_print(format, value, err) < 0)
			return -1;
	}
	if (!format) {
		cleanup_free char *text = js_dump_indented(all, 4);

		printf("%s\n", text);
	}
	return missing ? EXIT_FAILED : EXIT_OK;
}

int cmd_inspect(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *format = NULL, *type = NULL;
	const struct opt opts[] = {
		{ "format", 'f', OPT_STRING, &format, "TEMPLATE", "print each by a template" },
		{ "type", 0, OPT_STRING, &type, "TYPE", "image: nothing else can be inspected" },
	};

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	if (type && strcmp(type, "image"))
		return cli_usage(cli, err, "--type: expected image, got \"%s\"", type);
	return inspect(cli, format, argc, argv, err);
}
