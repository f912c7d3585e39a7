/* SPDX-License-Identifier: GPL-2.0-or-later */
/* images: one row per name, and one per image without a name. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/internal.h"
#include "registry/reference.h"

struct images_flags {
	bool all, quiet, no_trunc, digests;
	struct strv filters;
	const char *format;
};

struct images_row {
	char repository[REFERENCE_TEXT_MAX];
	char tag[130];
	char digest[DIGEST_TEXT_MAX];
	struct digest id;
	int64_t created;
	uint64_t size;
};

struct images_view {
	struct store *store;
	const struct images_flags *flags;
	const char *only; /* repository[:tag] in familiar form, or NULL */
	struct table table;
};

/* The size of an image: what its layers hold, unpacked. */
static uint64_t image_size(struct store *store, const struct image *image)
{
	uint64_t size = 0;

	for (size_t i = 0; i < image->n_layers; i++)
		size += layer_size(store, &image->diff_ids[i]);
	return size;
}

static void print_row(struct images_view *view, const struct images_row *row)
{
	char id[DIGEST_TEXT_MAX], ago[AGO_TEXT_MAX], size[SIZE_TEXT_MAX];
	struct strv *cells = &view->table.cells;

	text_id(&row->id, view->flags->no_trunc, id);
	strv_add(cells, row->repository);
	strv_add(cells, row->tag);
	if (view->flags->digests)
		strv_add(cells, row->digest);
	strv_add(cells, id);
	strv_add(cells, text_ago(row->created, ago));
	strv_add(cells, text_size(row->size, size));
}

static int format_row(struct images_view *view, const struct images_row *row, struct err *err)
{
	char id[DIGEST_TEXT_MAX], ago[AGO_TEXT_MAX], size[SIZE_TEXT_MAX], created[CLOCK_TEXT_MAX];
	cleanup_json json_t *value = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Repository", row->repository, "Tag",
		row->tag, "ID", text_id(&row->id, view->flags->no_trunc, id), "Digest", row->digest,
		"CreatedSince", text_ago(row->created, ago), "CreatedAt",
		clock_format(row->created, created), "Size", text_size(row->size, size));

	return template_print(view->flags->format, value, err);
}

static int show(struct images_view *view, const struct images_row *row, struct err *err)
{
	char id[DIGEST_TEXT_MAX];

	if (view->flags->quiet) {
		printf("%s\n", text_id(&row->id, view->flags->no_trunc, id));
		return 0;
	}
	if (view->flags->format)
		return format_row(view, row, err);
	print_row(view, row);
	return 0;
}

/* Whether the argument and the filters let the row through. */
static bool wanted(const struct images_view *view, const struct images_row *row)
{
	bool dangling = !strcmp(row->tag, "<none>");
	cleanup_free char *both = xasprintf("%s:%s", row->repository, row->tag);

	if (view->only && strcmp(view->only, row->repository) && strcmp(view->only, both))
		return false;
	for (size_t i = 0; i < view->flags->filters.n; i++) {
		const char *filter = view->flags->filters.v[i];

		if (!strcmp(filter, "dangling=true") && !dangling)
			return false;
		if (!strcmp(filter, "dangling=false") && dangling)
			return false;
		if (!strncmp(filter, "reference=", 10) && strcmp(filter + 10, row->repository) &&
		    strcmp(filter + 10, both))
			return false;
	}
	return true;
}

static int show_name(struct images_view *view, const struct image_name *name,
		     const struct image *image, bool *ret_shown, struct err *err)
{
	cleanup_free struct images_row *row = xcalloc(1, sizeof(*row));
	struct reference reference;

	if (reference_parse(name->name, &reference, err) < 0)
		return -1;
	reference_repository(&reference, true, row->repository);
	snprintf(row->tag, sizeof(row->tag), "%s", *reference.tag ? reference.tag : "<none>");
	snprintf(row->digest, sizeof(row->digest), "<none>");
	if (!digest_is_zero(&name->remote))
		digest_format(&name->remote, row->digest);
	row->id = name->id;
	row->created = image->created;
	row->size = image_size(view->store, image);
	*ret_shown = wanted(view, row);
	return *ret_shown ? show(view, row, err) : 0;
}

static int show_image(struct images_view *view, const struct image_list *list,
		      const struct image_record *record, struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	struct image_name none = { .name = (char *)"<none>", .id = record->id };
	bool named = false, shown = false;

	if (image_load(view->store, &record->id, &image, err) < 0)
		return -1;
	for (size_t i = 0; i < list->n_names; i++) {
		if (!digest_equal(&list->names[i].id, &record->id))
			continue;
		named = true;
		if (view->flags->quiet && shown) /* an id is printed once */
			continue;
		if (show_name(view, &list->names[i], image, &shown, err) < 0)
			return -1;
	}
	if (!named) {
		cleanup_free struct images_row *row = xcalloc(1, sizeof(*row));

		snprintf(row->repository, sizeof(row->repository), "%s", none.name);
		snprintf(row->tag, sizeof(row->tag), "<none>");
		snprintf(row->digest, sizeof(row->digest), "<none>");
		row->id = record->id;
		row->created = image->created;
		row->size = image_size(view->store, image);
		if (wanted(view, row))
			return show(view, row, err);
	}
	return 0;
}

static int check_filters(struct cli *cli, const struct images_flags *flags, struct err *err)
{
	for (size_t i = 0; i < flags->filters.n; i++) {
		const char *filter = flags->filters.v[i];

		if (strcmp(filter, "dangling=true") && strcmp(filter, "dangling=false") &&
		    strncmp(filter, "reference=", 10))
			return cli_usage(cli, err,
					 "invalid filter \"%s\" (expected dangling=true|false or "
					 "reference=NAME)",
					 filter);
	}
	return 0;
}

static int list_images(struct cli *cli, const struct images_flags *flags, const char *only,
		       struct err *err)
{
	cleanup_with(image_list_free) struct image_list *list = NULL;
	struct images_view view = {
		.flags = flags,
		.only = only,
		.table.columns = flags->digests ? 6 : 5,
	};
	int status = 0;

	if (check_filters(cli, flags, err) < 0 || cli_store(cli, &view.store, err) < 0 ||
	    image_list(view.store, &list, err) < 0)
		return -1;
	strv_add(&view.table.cells, "REPOSITORY");
	strv_add(&view.table.cells, "TAG");
	if (flags->digests)
		strv_add(&view.table.cells, "DIGEST");
	strv_add(&view.table.cells, "IMAGE ID");
	strv_add(&view.table.cells, "CREATED");
	strv_add(&view.table.cells, "SIZE");
	for (size_t i = 0; i < list->n_images && status == 0; i++)
		status = show_image(&view, list, &list->images[i], err);
	if (status == 0 && !flags->quiet && !flags->format)
		table_print(&view.table);
	strv_release(&view.table.cells);
	return status;
}

int cmd_images(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct images_flags flags = { 0 };
	const struct opt opts[] = {
		{ "all", 'a', OPT_BOOL, &flags.all, NULL,
		  "show all images (always so: there are no intermediate ones)" },
		{ "quiet", 'q', OPT_BOOL, &flags.quiet, NULL, "print ids only" },
		{ "no-trunc", 0, OPT_BOOL, &flags.no_trunc, NULL, "print whole ids" },
		{ "digests", 0, OPT_BOOL, &flags.digests, NULL, "show digests in registries" },
		{ "filter", 'f', OPT_LIST, &flags.filters, "FILTER",
		  "dangling=true|false, reference=NAME" },
		{ "format", 0, OPT_STRING, &flags.format, "TEMPLATE", "print each by a template" },
	};
	int status = -1;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) == 0)
		status = list_images(cli, &flags, argc == 2 ? argv[1] : NULL, err);
	strv_release(&flags.filters);
	return status;
}
