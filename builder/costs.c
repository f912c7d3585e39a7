/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the steps of an image cost: costs/<image id>, one entry for each of its history. An image
 * FROM another one has the costs of that at their front.
 */
#include "builder/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#define RECORD_MAX (1024 * 1024)
#define N_VALUES   5

void stage_add_cost(struct stage *stage, const struct step_record *record)
{
	size_t n = stage->image->n_history;

	while (stage->n_costs < n) {
		stage->costs = grow_vector(stage->costs, stage->n_costs, &stage->cap_costs,
					   sizeof(*stage->costs));
		stage->costs[stage->n_costs++] = (struct step_cost){ 0 };
	}
	stage->costs[n - 1] = (struct step_cost){
		.wall_ns = record->wall_ns,
		.cpu_ns = record->cpu_ns,
		.peak_bytes = record->peak_bytes,
		.read_bytes = record->read_bytes,
		.written_bytes = record->written_bytes,
	};
}

void stage_copy_costs(struct stage *stage, const struct stage *base)
{
	stage->base_id = base->base_id;
	stage->costs = xcalloc(base->n_costs + 1, sizeof(*stage->costs));
	if (base->n_costs)
		memcpy(stage->costs, base->costs, base->n_costs * sizeof(*base->costs));
	stage->n_costs = base->n_costs;
	stage->cap_costs = base->n_costs + 1;
}

static json_t *cost_json(const struct step_cost *cost)
{
	return json_pack("[I, I, I, I, I]", (json_int_t)cost->wall_ns, (json_int_t)cost->cpu_ns,
			 (json_int_t)cost->peak_bytes, (json_int_t)cost->read_bytes,
			 (json_int_t)cost->written_bytes);
}

static void cost_parse(const json_t *array, struct step_cost *cost)
{
	uint64_t *const places[N_VALUES] = { &cost->wall_ns, &cost->cpu_ns, &cost->peak_bytes,
					     &cost->read_bytes, &cost->written_bytes };

	for (size_t i = 0; i < N_VALUES; i++) {
		json_int_t value = json_integer_value(json_array_get(array, i));

		*places[i] = value > 0 ? (uint64_t)value : 0;
	}
}

int build_costs(struct store *store, const struct digest *id, size_t n_history,
		struct step_cost **ret_costs, struct err *err)
{
	struct step_cost *costs = xcalloc(n_history + 1, sizeof(*costs));
	cleanup_json json_t *root = NULL;
	json_t *array = NULL;
	cleanup_buf struct buf text;

	buf_init(&text, RECORD_MAX);
	if (record_read(store, "costs", id, &text, err) == 0) {
		if (js_parse("record of costs", text.data, text.len, &root, err) < 0 ||
		    js_array(root, "costs", &array, err) < 0) {
			free(costs);
			return -1;
		}
		for (size_t i = 0; i < n_history && i < json_array_size(array); i++)
			cost_parse(json_array_get(array, i), &costs[i]);
	} else if (err->kind != ERR_NOT_FOUND) {
		free(costs);
		return -1;
	}
	err_clear(err);
	*ret_costs = costs;
	return 0;
}

int build_costs_forget(struct store *store, const struct digest *id, struct err *err)
{
	return record_remove(store, "costs", id, err);
}

int stage_save_costs(struct store *store, const struct stage *stage, const struct digest *id,
		     struct err *err)
{
	cleanup_free struct step_cost *base = NULL;
	size_t n = stage->image->n_history;
	cleanup_json json_t *array = json_array();
	cleanup_json json_t *root = json_pack("{s:O}", "costs", array);
	cleanup_free char *text = NULL;

	if (build_costs(store, &stage->base_id, n, &base, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		bool own = i < stage->n_costs && stage->costs[i].wall_ns;

		json_array_append_new(array, cost_json(own ? &stage->costs[i] : &base[i]));
	}
	text = js_dump(root);
	return record_write(store, "costs", id, text, strlen(text), err);
}
