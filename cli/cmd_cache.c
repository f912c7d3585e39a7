/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache ls, cache export and cache import: the directories of RUN --mount=type=cache. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/cache_mount.h"
#include "cli/internal.h"

#define SHOWN_ID 60 /* characters */

struct cache_flags {
	struct strv ids;
	const char *format;
	const char *file;
};

/* --- ls --------------------------------------------------------------------------------------- */

static void print_table(const struct cache_mounts *mounts)
{
	struct table table = { .columns = 5 };

	strv_add(&table.cells, "ID");
	strv_add(&table.cells, "SCOPE");
	strv_add(&table.cells, "COPIES");
	strv_add(&table.cells, "SIZE");
	strv_add(&table.cells, "LAST USED");
	for (size_t i = 0; i < mounts->n; i++) {
		const struct cache_mount *mount = &mounts->v[i];
		cleanup_free char *id = text_cell(mount->id, SHOWN_ID);
		char size[SIZE_TEXT_MAX], ago[AGO_TEXT_MAX];

		strv_add(&table.cells, id);
		strv_addn(&table.cells, mount->scope, 12);
		strv_addf(&table.cells, "%u", mount->copies);
		strv_add(&table.cells, text_size(mount->size, size));
		strv_add(&table.cells, mount->used ? text_ago(mount->used, ago) : "N/A");
	}
	table_print(&table);
	strv_release(&table.cells);
}

static void print_json(const struct cache_mounts *mounts)
{
	cleanup_json json_t *array = json_array();
	cleanup_free char *text = NULL;

	for (size_t i = 0; i < mounts->n; i++) {
		const struct cache_mount *mount = &mounts->v[i];
		cleanup_free char *id = text_cell(mount->id, SIZE_MAX); /* UTF-8 */
		char used[CLOCK_TEXT_MAX];
		json_t *object =
			json_pack("{s:s, s:s, s:i, s:I}", "id", id, "scope", mount->scope, "copies",
				  (int)mount->copies, "size", (json_int_t)mount->size);

		if (mount->used)
			json_object_set_new(object, "used",
					    json_string(clock_format(mount->used, used)));
		json_array_append_new(array, object);
	}
	text = js_dump_indented(array, 4);
	printf("%s\n", text);
}

static int list(struct cli *cli, const struct cache_flags *flags, struct err *err)
{
	cleanup_with(cache_mounts_free) struct cache_mounts *mounts = NULL;
	bool json = flags->format && !strcmp(flags->format, "json");
	struct store *store;

	if (flags->file || flags->ids.n)
		return cli_usage(cli, err, "cache ls takes neither a file nor --id");
	if (flags->format && !json && strcmp(flags->format, "text"))
		return cli_usage(cli, err, "--format: expected text or json, got \"%s\"",
				 flags->format);
	if (cli_store(cli, &store, err) < 0 || cache_mounts_list(store, &mounts, err) < 0)
		return -1;
	if (json)
		print_json(mounts);
	else
		print_table(mounts);
	return EXIT_OK;
}

/* --- export and import ------------------------------------------------------------------------ */

struct exporting {
	struct store *store;
	const struct strv *ids;
	size_t n;
};

static int write_export(void *arg, int fd, struct err *err)
{
	struct exporting *exporting = arg;

	return cache_mounts_export(exporting->store, exporting->ids, fd, &exporting->n, err);
}

static int export(struct cli *cli, const struct cache_flags *flags, struct err *err)
{
	struct exporting exporting = { .ids = &flags->ids };

	if (!flags->file || flags->format)
		return cli_usage(cli, err,
				 "cache export needs a file, or -, and takes no --format");
	if (cli_store(cli, &exporting.store, err) < 0 ||
	    cli_write_file(cli, flags->file, "name a file or redirect", write_export, &exporting,
			   err) < 0)
		return -1;
	fprintf(stderr, "Exported %zu cache mounts\n", exporting.n);
	return EXIT_OK;
}

static int import(struct cli *cli, const struct cache_flags *flags, struct err *err)
{
	cleanup_fd int file = -1;
	struct store *store;
	size_t n = 0;

	if (!flags->file || flags->format || flags->ids.n)
		return cli_usage(cli, err, "cache import needs a file, or -, and takes no options");
	if (strcmp(flags->file, "-")) {
		file = open(flags->file, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			return err_os(err, "open %s", flags->file);
	}
	if (cli_store(cli, &store, err) < 0 ||
	    cache_mounts_import(store, file < 0 ? STDIN_FILENO : file, &n, err) < 0)
		return -1;
	fprintf(stderr, "Imported %zu cache mounts\n", n);
	return EXIT_OK;
}

int cmd_cache(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct cache_flags flags = { .ids = STRV_INIT };
	const struct opt opts[] = {
		{ "id", 0, OPT_LIST, &flags.ids, "ID",
		  "of export: those with this id (repeatable)" },
		{ "format", 0, OPT_STRING, &flags.format, "FORMAT",
		  "of ls: text (default) or json" },
	};
	int status = -1;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) == 0) {
		flags.file = argc == 3 ? argv[2] : NULL;
		if (!strcmp(argv[1], "ls"))
			status = list(cli, &flags, err);
		else if (!strcmp(argv[1], "export"))
			status = export(cli, &flags, err);
		else if (!strcmp(argv[1], "import"))
			status = import(cli, &flags, err);
		else
			cli_usage(cli, err, "cache: expected ls, export or import, got \"%s\"",
				  argv[1]);
	}
	strv_release(&flags.ids);
	return status;
}
