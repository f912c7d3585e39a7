/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layers/image.c: an image in memory. See image_parse.c and image_format.c for its document. */
#include "layers/image.h"

#include <string.h>

struct image *image_new(void)
{
	struct image *image = xcalloc(1, sizeof(*image));

	platform_host(&image->platform);
	image->user = xstrdup("");
	image->working_dir = xstrdup("");
	image->stop_signal = xstrdup("");
	image->labels = json_object();
	return image;
}

static void free_history(struct image_history *history)
{
	free(history->created_by);
	free(history->author);
	free(history->comment);
}

void image_free(struct image *image)
{
	if (!image)
		return;
	for (size_t i = 0; i < image->n_history; i++)
		free_history(&image->history[i]);
	free(image->history);
	free(image->diff_ids);
	free(image->author);
	free(image->user);
	free(image->working_dir);
	free(image->stop_signal);
	strv_release(&image->env);
	strv_release(&image->cmd);
	strv_release(&image->entrypoint);
	strv_release(&image->shell);
	strv_release(&image->on_build);
	strv_release(&image->exposed);
	strv_release(&image->volumes);
	json_decref(image->labels);
	json_decref(image->healthcheck);
	json_decref(image->cache);
	free(image);
}

static char *copy_text(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static struct strv copy_strv(const struct strv *strv)
{
	struct strv copy = STRV_INIT;

	strv_extend(&copy, strv);
	return copy;
}

struct image *image_copy(const struct image *image)
{
	struct image *copy = xmalloc(sizeof(*copy));

	*copy = *image;
	copy->author = copy_text(image->author);
	copy->user = xstrdup(image->user);
	copy->working_dir = xstrdup(image->working_dir);
	copy->stop_signal = xstrdup(image->stop_signal);
	copy->env = copy_strv(&image->env);
	copy->cmd = copy_strv(&image->cmd);
	copy->entrypoint = copy_strv(&image->entrypoint);
	copy->shell = copy_strv(&image->shell);
	copy->on_build = copy_strv(&image->on_build);
	copy->exposed = copy_strv(&image->exposed);
	copy->volumes = copy_strv(&image->volumes);
	copy->labels = json_deep_copy(image->labels);
	copy->healthcheck = json_deep_copy(image->healthcheck);
	copy->cache = NULL;
	copy->diff_ids = NULL;
	copy->history = NULL;
	copy->n_layers = copy->n_history = 0;
	for (size_t i = 0; i < image->n_layers; i++)
		image_add_layer(copy, &image->diff_ids[i]);
	for (size_t i = 0; i < image->n_history; i++)
		image_add_history(copy, &image->history[i]);
	return copy;
}

/* Both vectors have room for the next power of two, so no capacity is kept. */
static void *grow_by_power(void *items, size_t n, size_t size)
{
	if (n & (n - 1))
		return items;
	return xreallocarray(items, n ? 2 * n : 1, size);
}

void image_add_layer(struct image *image, const struct digest *diff_id)
{
	image->diff_ids = grow_by_power(image->diff_ids, image->n_layers, sizeof(*diff_id));
	image->diff_ids[image->n_layers++] = *diff_id;
}

void image_add_history(struct image *image, const struct image_history *history)
{
	struct image_history *copy;

	image->history = grow_by_power(image->history, image->n_history, sizeof(*history));
	copy = &image->history[image->n_history++];
	*copy = *history;
	copy->created_by = copy_text(history->created_by);
	copy->author = copy_text(history->author);
	copy->comment = copy_text(history->comment);
}
