/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info, version and parse. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/probes.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"

#define DEFAULT_SEARCH "/bin:/usr/bin" /* execvp()'s */

static json_t *probes_json(const struct userns_info *info)
{
	json_t *array = json_array();

	for (size_t i = 0; i < info->n_probes; i++)
		json_array_append_new(array,
				      json_pack("{s:s, s:b, s:s}", "Name", info->probes[i].name,
						"Works", (int)info->probes[i].ok, "Detail",
						info->probes[i].detail));
	return array;
}

static int info_json(struct store *store, bool anew, json_t **ret_value, struct err *err)
{
	cleanup_with(image_list_free) struct image_list *list = NULL;
	const char *search = getenv("PATH");
	char platform_text[PLATFORM_TEXT_MAX];
	struct platform platform;
	struct utsname kernel;
	struct probes probes;

	if (image_list(store, &list, err) < 0)
		return -1;
	probes_get(store, search ? search : DEFAULT_SEARCH, anew, &probes);
	uname(&kernel);
	platform_host(&platform);
	*ret_value = json_pack(
		"{s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:o}", "Version", PACKAGE_VERSION, "Root",
		store_path(store), "Images", (int)list->n_images, "Platform",
		platform_format(&platform, platform_text), "KernelVersion", kernel.release,
		"Isolation", userns_rung_name(probes.info.rung), "ProbesRemembered",
		(int)probes.remembered, "Probes", probes_json(&probes.info));
	return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void print_info(const json_t *info)
{
	const json_t *probe;
	size_t i;

	printf("Version: %s\nStore: %s\nImages: %lld\nPlatform: %s\nKernel: %s\nIsolation: %s\n",
	       text_of(info, "Version"), text_of(info, "Root"),
	       json_integer_value(json_object_get(info, "Images")), text_of(info, "Platform"),
	       text_of(info, "KernelVersion"), text_of(info, "Isolation"));
	printf("Probes: %s\n", json_is_true(json_object_get(info, "ProbesRemembered"))
				       ? "remembered (--no-cache tries again)"
				       : "tried now");
	json_array_foreach(json_object_get(info, "Probes"), i, probe)
		printf("  %-28s %s%s%s\n", text_of(probe, "Name"),
		       json_is_true(json_object_get(probe, "Works")) ? "yes" : "no",
		       *text_of(probe, "Detail") ? ": " : "", text_of(probe, "Detail"));
}

int cmd_info(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *format = NULL;
	bool anew = false;
	const struct opt opts[] = {
		{ "format", 'f', OPT_STRING, &format, "TEMPLATE", "print by a template, or json" },
		{ "no-cache", 0, OPT_BOOL, &anew, NULL, "try again what is remembered to work" },
	};
	cleanup_json json_t *info = NULL;
	struct store *store;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	if (cli_store(cli, &store, err) < 0 || info_json(store, anew, &info, err) < 0)
		return -1;
	if (format)
		return template_print(format, info, err);
	print_info(info);
	return EXIT_OK;
}

int cmd_version(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *format = NULL;
	const struct opt opts[] = {
		{ "format", 'f', OPT_STRING, &format, "TEMPLATE", "print by a template, or json" },
	};
	char platform_text[PLATFORM_TEXT_MAX];
	cleanup_json json_t *version = NULL;
	struct platform platform;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	platform_host(&platform);
	platform_format(&platform, platform_text);
	version = json_pack("{s:{s:s, s:s}}", "Client", "Version", PACKAGE_VERSION, "Platform",
			    platform_text);
	if (format)
		return template_print(format, version, err);
	printf("cbuild version %s\nPlatform: %s\n", PACKAGE_VERSION, platform_text);
	return EXIT_OK;
}

static int read_text(const char *path, struct buf *text, struct err *err)
{
	char block[16384];
	ssize_t got;

	if (strcmp(path, "-"))
		return file_read_at(AT_FDCWD, path, text, err);
	while ((got = read_all(STDIN_FILENO, block, sizeof(block))) > 0)
		if (buf_add(text, block, (size_t)got) < 0)
			return err_set(err, ERR_LIMIT, "larger than %zu bytes", text->max);
	return got < 0 ? err_os(err, "read standard input") : 0;
}

int cmd_parse(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *max = NULL;
	bool as_json = false;
	const struct opt opts[] = {
		{ "json", 0, OPT_BOOL, &as_json, NULL, "as JSON (the one form there is)" },
		{ "max-dockerfile-size", 0, OPT_STRING, &max, "BYTES",
		  "how large the file may be (default: 1m)" },
	};
	struct dockerfile *dockerfile;
	cleanup_free char *out = NULL;
	cleanup_json json_t *tree = NULL;
	cleanup_buf struct buf text;

	buf_init(&text, DOCKERFILE_MAX);
	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	if (!as_json)
		return cli_usage(cli, err, "parse needs --json");
	if (cli_dockerfile_max(cli, max, &text.max, err) < 0)
		return -1;
	if (read_text(argv[1], &text, err) < 0 ||
	    dockerfile_parse_large(strcmp(argv[1], "-") ? argv[1] : "Dockerfile", text.data,
				   text.len, text.max, &dockerfile, err) < 0)
		return -1;
	tree = dockerfile_to_json(dockerfile);
	dockerfile_free(dockerfile);
	out = js_dump_indented(tree, 2);
	printf("%s\n", out);
	return EXIT_OK;
}
