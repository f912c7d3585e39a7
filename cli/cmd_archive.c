/* SPDX-License-Identifier: GPL-2.0-or-later */
/* save, load and import. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/internal.h"
#include "registry/reference.h"
#include "sandbox/userns.h"

/* --- save --- */

static int choose_images(struct store *store, int argc, char **argv, struct archive_image *images,
			 struct strv *names, struct err *err)
{
	for (int i = 1; i < argc; i++) {
		char text[REFERENCE_TEXT_MAX];
		struct reference reference;
		struct image_name found = { 0 };
		struct err ignored = ERR_INIT;
		bool named = reference_parse(argv[i], &reference, &ignored) == 0 &&
			     image_name_get(store, reference_format(&reference, text), &found,
					    &ignored) == 0;

		image_name_release(&found);
		if (build_find_image(store, argv[i], &images[i - 1].id, err) < 0)
			return -1;
		strv_add(names, named && !reference.has_digest ? text : "");
	}
	for (int i = 1; i < argc; i++)
		images[i - 1].name = *names->v[i - 1] ? names->v[i - 1] : NULL;
	return 0;
}

/* Layers that are elsewhere. */
static int fetch_layers(struct cli *cli, struct store *store, const struct archive_image *images,
			size_t n, struct err *err)
{
	const struct transport_options transport = cli_transport(cli);

	for (size_t i = 0; i < n; i++) {
		cleanup_with(image_free) struct image *image = NULL;

		if (image_load(store, &images[i].id, &image, err) < 0 ||
		    transport_fetch_layers(&transport, store, image->diff_ids, image->n_layers,
					   NULL, NULL, err) < 0)
			return -1;
	}
	return 0;
}

struct saving {
	struct store *store;
	const struct archive_image *images;
	size_t n;
	enum archive_format format;
};

static int save_to(void *arg, int fd, struct err *err)
{
	const struct saving *saving = arg;

	return archive_save(saving->store, saving->images, saving->n, saving->format, fd, err);
}

int cmd_save(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *output = NULL, *format_name = NULL;
	const struct opt opts[] = {
		{ "output", 'o', OPT_STRING, &output, "FILE", "write here instead of to stdout" },
		{ "format", 0, OPT_STRING, &format_name, "FORMAT",
		  "docker (default: docker load takes it) or oci" },
	};
	enum archive_format format = ARCHIVE_DOCKER;
	cleanup_free struct archive_image *images = NULL;
	cleanup_strv struct strv names = STRV_INIT;
	struct err refused = ERR_INIT;
	struct saving saving;
	struct store *store;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	if (format_name && (!strcmp(format_name, "oci") || !strcmp(format_name, "oci-archive")))
		format = ARCHIVE_OCI;
	else if (format_name && strcmp(format_name, "docker") &&
		 strcmp(format_name, "docker-archive"))
		return cli_usage(cli, err, "--format: expected docker or oci, got \"%s\"",
				 format_name);
	images = xcalloc((size_t)argc, sizeof(*images));
	if (cli_store(cli, &store, err) < 0 ||
	    choose_images(store, argc, argv, images, &names, err) < 0 ||
	    fetch_layers(cli, store, images, (size_t)argc - 1, err) < 0)
		return -1;
	/* where that cannot be, layers are kept as tars, and nothing needs it */
	userns_enter_files(&refused);
	store_note_namespace(store);
	saving = (struct saving){ store, images, (size_t)argc - 1, format };
	return cli_write_file(cli, output, "use -o FILE or redirect", save_to, &saving, err);
}

/* --- load --- */

struct loading {
	bool quiet;
};

static void print_loaded(void *arg, const char *name, const struct digest *id)
{
	char text[REFERENCE_TEXT_MAX], id_text[DIGEST_TEXT_MAX];
	struct loading *loading = arg;
	struct reference reference;
	struct err ignored = ERR_INIT;

	(void)loading;
	if (name && reference_parse(name, &reference, &ignored) == 0)
		printf("Loaded image: %s\n", reference_familiar(&reference, text));
	else
		printf("Loaded image ID: %s\n", digest_format(id, id_text));
}

int cmd_load(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *input = NULL;
	struct loading loading = { 0 };
	const struct opt opts[] = {
		{ "input", 'i', OPT_STRING, &input, "FILE", "read from here instead of stdin" },
		{ "quiet", 'q', OPT_BOOL, &loading.quiet, NULL,
		  "no progress (always so: there is none)" },
	};
	cleanup_fd int opened = -1;
	struct store *store;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	if (!input && isatty(STDIN_FILENO))
		return cli_usage(cli, err,
				 "requested load from standard input, which is a terminal");
	if (input) {
		opened = open(input, O_RDONLY | O_CLOEXEC);
		if (opened < 0)
			return err_os(err, "open %s", input);
	}
	if (cli_store(cli, &store, err) < 0 ||
	    archive_load(store, input ? opened : STDIN_FILENO, print_loaded, &loading, err) < 0)
		return -1;
	return store_sync(store, err);
}

/* --- import --- */

struct import_flags {
	struct strv changes;
	const char *message, *platform;
};

static int import_layer(struct store *store, const char *file, struct layer *ret_layer,
			struct err *err)
{
	bool from_stdin = !strcmp(file, "-");
	cleanup_fd int opened = -1;

	if (!from_stdin) {
		opened = open(file, O_RDONLY | O_CLOEXEC);
		if (opened < 0)
			return err_os(err, "open %s", file);
	}
	if (layer_take(store, from_stdin ? STDIN_FILENO : opened, NULL, ret_layer, err) < 0 ||
	    layer_check(store, &ret_layer->diff_id, from_stdin ? "standard input" : file, err) < 0)
		return -1;
	return 0;
}

static int import(struct cli *cli, const struct import_flags *flags, const char *file,
		  const char *name, struct err *err)
{
	cleanup_with(image_free) struct image *image = image_new();
	cleanup_strv struct strv names = STRV_INIT;
	struct image_history history = { .has_created = true };
	char text[DIGEST_TEXT_MAX];
	cleanup_free char *comment = NULL;
	struct err why = ERR_INIT;
	struct layer layer;
	struct store *store;
	struct digest id;

	if (name && cli_name(cli, name, &names, err) < 0)
		return -1;
	if (flags->platform && platform_parse(flags->platform, &image->platform, &why) < 0)
		return cli_usage(cli, err, "--platform: %s", why.message);
	if (build_apply_changes(image, &flags->changes, &why) < 0)
		return cli_usage(cli, err, "--change: %s", why.message);
	if (cli_store(cli, &store, err) < 0 || import_layer(store, file, &layer, err) < 0)
		return -1;
	image_add_layer(image, &layer.diff_id);
	image->created = history.created = clock_wall_ns();
	image->has_created = true;
	comment = flags->message ? xstrdup(flags->message) : xasprintf("Imported from %s", file);
	history.comment = comment;
	image_add_history(image, &history);
	if (image_put(store, image, &id, err) < 0 || store_sync(store, err) < 0)
		return -1;
	if (names.n && image_tag(store, names.v[0], &id, NULL, err) < 0)
		return -1;
	printf("%s\n", digest_format(&id, text));
	return EXIT_OK;
}

int cmd_import(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct import_flags flags = { 0 };
	const struct opt opts[] = {
		{ "change", 'c', OPT_LIST, &flags.changes, "INSTRUCTION",
		  "apply a Dockerfile instruction to the config (repeatable)" },
		{ "message", 'm', OPT_STRING, &flags.message, "TEXT", "comment in the history" },
		{ "platform", 0, OPT_STRING, &flags.platform, "OS/ARCH", "platform of the image" },
	};
	int status = -1;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) == 0)
		status = import(cli, &flags, argv[1], argc == 3 ? argv[2] : NULL, err);
	strv_release(&flags.changes);
	return status;
}
