/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tag and rmi: names come and go; an image without a name goes with its last one. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/internal.h"
#include "registry/reference.h"
#include "sandbox/userns.h"

int cmd_tag(struct cli *cli, int argc, char **argv, struct err *err)
{
	cleanup_strv struct strv names = STRV_INIT;
	struct store *store;
	struct digest id;

	if (opts_parse(cli, NULL, 0, &argc, argv, err) < 0)
		return -1;
	if (cli_name(cli, argv[2], &names, err) < 0 || cli_store(cli, &store, err) < 0 ||
	    build_find_image(store, argv[1], &id, err) < 0 ||
	    image_tag(store, names.v[0], &id, NULL, err) < 0)
		return -1;
	return EXIT_OK;
}

static size_t count_names(const struct image_list *list, const struct digest *id)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n_names; i++)
		n += digest_equal(&list->names[i].id, id);
	return n;
}

static int untag(struct store *store, const char *name, struct err *err)
{
	char text[REFERENCE_TEXT_MAX];
	struct reference reference;

	if (image_untag(store, name, err) < 0 || reference_parse(name, &reference, err) < 0)
		return -1;
	printf("Untagged: %s\n", reference_familiar(&reference, text));
	return 0;
}

static void print_removed(void *arg, const char *what, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];

	(void)arg;
	(void)what;
	printf("Deleted: %s\n", digest_format(digest, text));
}

/* Trees may hold files of mapped ids, which only the user namespace may remove. Where there can be
 * none, there are no such files, unless it was shut since. */
static int remove_image(struct store *store, const struct digest *id, struct err *err)
{
	struct err refused = ERR_INIT;

	userns_enter_files(&refused);
	store_note_namespace(store);
	if (image_remove(store, id, print_removed, NULL, err) < 0)
		return -1;
	return build_costs_forget(store, id, err);
}

/* An image that runs keeps its layers: see run_image(). */
static int check_unused(struct store *store, const struct digest *id, struct err *err)
{
	char name[BUILD_IMAGE_LOCK_MAX], text[DIGEST_TEXT_MAX];
	cleanup_fd int lock = -1;

	if (store_lock(store, build_image_lock(id, name), true, true, &lock, err) < 0)
		return -1;
	if (lock < 0)
		return err_set(err, ERR_DENIED,
			       "conflict: unable to delete %s: the image is being run",
			       text_id(id, false, text));
	return 0;
}

static int remove_by_id(struct store *store, const struct image_list *list, const struct digest *id,
			const char *given, bool force, struct err *err)
{
	if (count_names(list, id) > 1 && !force)
		return err_set(err, ERR_DENIED,
			       "conflict: unable to delete %s (must be forced): the image has "
			       "several names; use -f, or remove the names",
			       given);
	for (size_t i = 0; i < list->n_names; i++)
		if (digest_equal(&list->names[i].id, id) &&
		    untag(store, list->names[i].name, err) < 0)
			return -1;
	return remove_image(store, id, err);
}

static int remove_one(struct store *store, const char *given, bool force, struct err *err)
{
	cleanup_with(image_list_free) struct image_list *list = NULL;
	char name[REFERENCE_TEXT_MAX];
	struct reference reference;
	struct err ignored = ERR_INIT;
	struct image_name found = { 0 };
	struct digest id;

	if (build_find_image(store, given, &id, err) < 0 || image_list(store, &list, err) < 0)
		return -1;
	if (count_names(list, &id) <= 1 && check_unused(store, &id, err) < 0)
		return -1;
	if (reference_parse(given, &reference, &ignored) < 0 ||
	    image_name_get(store, reference_format(&reference, name), &found, &ignored) < 0)
		return remove_by_id(store, list, &id, given, force, err);
	image_name_release(&found);
	if (untag(store, name, err) < 0)
		return -1;
	return count_names(list, &id) > 1 ? 0 : remove_image(store, &id, err);
}

int cmd_rmi(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool force = false, failed = false;
	const struct opt opts[] = {
		{ "force", 'f', OPT_BOOL, &force, NULL,
		  "remove all names of an id; absent images are no error" },
	};
	struct store *store;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	if (cli_store_alone(cli, &store, err) < 0)
		return -1;
	for (int i = 1; i < argc; i++) {
		if (remove_one(store, argv[i], force, err) == 0)
			continue;
		if (force && err->kind == ERR_NOT_FOUND)
			continue;
		fflush(stdout);
		fprintf(stderr, "cbuild: ");
		text_print_safe(err->message, strlen(err->message));
		fputc('\n', stderr);
		failed = true;
	}
	return failed ? EXIT_FAILED : EXIT_OK;
}
