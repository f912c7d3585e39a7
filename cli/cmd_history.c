/* SPDX-License-Identifier: GPL-2.0-or-later */
/* history: how an image came to be, and what its steps cost. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/internal.h"

struct history_flags {
	bool quiet, no_trunc, human, costs;
	const char *format;
};

static void history_row(const struct history_flags *flags, const struct image_history *entry,
			const char *id, uint64_t size, struct table *table)
{
	char ago[AGO_TEXT_MAX], created[CLOCK_TEXT_MAX], size_text[SIZE_TEXT_MAX];
	cleanup_free char *by = text_cell(entry->created_by, flags->no_trunc ? SIZE_MAX : 45);
	cleanup_free char *comment = text_cell(entry->comment, SIZE_MAX);

	strv_add(&table->cells, id);
	if (!entry->has_created)
		strv_add(&table->cells, "N/A");
	else
		strv_add(&table->cells, flags->human ? text_ago(entry->created, ago)
						     : clock_format(entry->created, created));
	strv_add(&table->cells, by);
	if (flags->human)
		strv_add(&table->cells, text_size(size, size_text));
	else
		strv_addf(&table->cells, "%llu", (unsigned long long)size);
	strv_add(&table->cells, comment);
}

/* What a step took, as text; "-" where it is not known. */
struct cost_texts {
	char wall[SIZE_TEXT_MAX], cpu[SIZE_TEXT_MAX], peak[SIZE_TEXT_MAX];
	char read[SIZE_TEXT_MAX], written[SIZE_TEXT_MAX];
};

static void cost_format(const struct step_cost *cost, struct cost_texts *texts)
{
	*texts = (struct cost_texts){ "-", "-", "-", "-", "-" };
	if (cost->wall_ns)
		text_duration(cost->wall_ns, texts->wall);
	if (cost->cpu_ns)
		text_duration(cost->cpu_ns, texts->cpu);
	if (cost->peak_bytes) {
		text_size(cost->peak_bytes, texts->peak);
		text_size(cost->read_bytes, texts->read);
		text_size(cost->written_bytes, texts->written);
	}
}

static void cost_row(const struct history_flags *flags, const struct image_history *entry,
		     const struct step_cost *cost, struct table *table)
{
	cleanup_free char *by = text_cell(entry->created_by, flags->no_trunc ? SIZE_MAX : 45);
	struct cost_texts texts;

	cost_format(cost, &texts);
	strv_add(&table->cells, by);
	strv_add(&table->cells, texts.wall);
	strv_add(&table->cells, texts.cpu);
	strv_add(&table->cells, texts.peak);
	strv_add(&table->cells, texts.read);
	strv_add(&table->cells, texts.written);
}

static int history_format(const struct history_flags *flags, const struct image_history *entry,
			  const char *id, uint64_t size, const struct step_cost *cost,
			  struct err *err)
{
	char ago[AGO_TEXT_MAX], created[CLOCK_TEXT_MAX], size_text[SIZE_TEXT_MAX];
	cleanup_json json_t *value = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "CreatedBy",
		entry->created_by ? entry->created_by : "", "CreatedSince",
		entry->has_created ? text_ago(entry->created, ago) : "N/A", "CreatedAt",
		entry->has_created ? clock_format(entry->created, created) : "", "Size",
		text_size(size, size_text), "Comment", entry->comment ? entry->comment : "");

	if (flags->costs) {
		struct cost_texts texts;

		cost_format(cost, &texts);
		json_object_set_new(value, "Time", json_string(texts.wall));
		json_object_set_new(value, "CPU", json_string(texts.cpu));
		json_object_set_new(value, "Memory", json_string(texts.peak));
		json_object_set_new(value, "Read", json_string(texts.read));
		json_object_set_new(value, "Written", json_string(texts.written));
	}
	return template_print(flags->format, value, err);
}

static void history_head(const struct history_flags *flags, struct table *table)
{
	static const char *const costs[] = { "CREATED BY", "TIME", "CPU",
					     "MEMORY",	   "READ", "WRITTEN" };
	const char *const plain[] = { "IMAGE", flags->human ? "CREATED" : "CREATED AT",
				      "CREATED BY", "SIZE", "COMMENT" };
	const char *const *names = flags->costs ? costs : plain;

	table->columns = flags->costs ? ARRAY_SIZE(costs) : ARRAY_SIZE(plain);
	for (size_t i = 0; i < table->columns; i++)
		strv_add(&table->cells, names[i]);
}

static int history(struct cli *cli, const struct history_flags *flags, const char *name,
		   struct err *err)
{
	cleanup_with(image_free) struct image *image = NULL;
	cleanup_free struct step_cost *costs = NULL;
	struct table table = { 0 };
	char id_text[DIGEST_TEXT_MAX];
	struct store *store;
	struct digest id;
	size_t layer;
	int status = 0;

	if (cli_store(cli, &store, err) < 0 || build_find_image(store, name, &id, err) < 0 ||
	    image_load(store, &id, &image, err) < 0 ||
	    build_costs(store, &id, image->n_history, &costs, err) < 0)
		return -1;
	history_head(flags, &table);
	layer = image->n_layers;
	for (size_t i = image->n_history; i-- > 0 && status == 0;) {
		const struct image_history *entry = &image->history[i];
		const char *shown = i + 1 == image->n_history
					    ? text_id(&id, flags->no_trunc, id_text)
					    : "<missing>";
		uint64_t size = 0;

		if (!entry->empty_layer && layer > 0)
			size = layer_size(store, &image->diff_ids[--layer]);
		if (flags->quiet)
			printf("%s\n", shown);
		else if (flags->format)
			status = history_format(flags, entry, shown, size, &costs[i], err);
		else if (flags->costs)
			cost_row(flags, entry, &costs[i], &table);
		else
			history_row(flags, entry, shown, size, &table);
	}
	if (status == 0 && !flags->quiet && !flags->format)
		table_print(&table);
	strv_release(&table.cells);
	return status;
}

int cmd_history(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct history_flags flags = { .human = true };
	const struct opt opts[] = {
		{ "quiet", 'q', OPT_BOOL, &flags.quiet, NULL, "print ids only" },
		{ "no-trunc", 0, OPT_BOOL, &flags.no_trunc, NULL, "print everything whole" },
		{ "human", 'H', OPT_BOOL, &flags.human, NULL,
		  "sizes and dates for people (default)" },
		{ "costs", 0, OPT_BOOL, &flags.costs, NULL,
		  "show what the steps took: time, cpu, memory, bytes read and written" },
		{ "format", 0, OPT_STRING, &flags.format, "TEMPLATE", "print each by a template" },
	};

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	return history(cli, &flags, argv[1], err);
}
