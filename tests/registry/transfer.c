/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * tests/registry/transfer.c: transport_* from a command line, for test_registry.sh.
 *
 *	transfer HELPER ROOT resolve REF
 *	transfer HELPER ROOT pull REF [PLATFORM]
 *	transfer HELPER ROOT import NAME TAR...		an image of these layers
 *	transfer HELPER ROOT push REF NAME [gzip|zstd] [docker]	NAME: of an image in the store
 *
 * TRANSFER_INSECURE in the environment allows plain HTTP. Events go to stderr, results to stdout.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"
#include "registry/reference.h"
#include "registry/transport.h"

static const char *const states[] = { "waiting", "moving", "exists", "done", "note" };

static void on_event(void *arg, const struct transport_event *event)
{
	char text[DIGEST_TEXT_MAX];

	(void)arg;
	if (event->state == TRANSPORT_NOTE)
		fprintf(stderr, "note %s\n", event->text);
	else
		fprintf(stderr, "%s %s %" PRIu64 "/%" PRIu64 "\n", states[event->state],
			digest_format(&event->digest, text), event->current, event->total);
}

static void show(const char *what, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];

	printf("%s %s\n", what, digest_format(digest, text));
}

static int do_pull(struct transport_options *options, struct store *store,
		   const struct reference *reference, struct err *err)
{
	struct transport_image image;

	if (transport_pull(options, store, reference, on_event, NULL, &image, err) < 0)
		return -1;
	show("id", &image.id);
	show("manifest", &image.manifest);
	show("remote", &image.remote);
	return 0;
}

static int do_push(struct transport_options *options, struct store *store,
		   const struct reference *reference, const char *name, struct err *err)
{
	char text[REFERENCE_TEXT_MAX];
	struct image_name found = { 0 };
	struct descriptor manifest;
	struct reference from;
	int rc;

	if (reference_parse(name, &from, err) < 0 ||
	    image_name_get(store, reference_format(&from, text), &found, err) < 0)
		return -1;
	rc = transport_push(options, store, &found.id, reference, on_event, NULL, &manifest, err);
	image_name_release(&found);
	if (rc == 0)
		show(media_name(manifest.media), &manifest.digest);
	return rc;
}

static int do_import(struct store *store, const struct reference *reference, char **files,
		     struct err *err)
{
	struct image *image = image_new();
	struct image_history history = { .created_by = (char *)"import" };
	char name[REFERENCE_TEXT_MAX];
	struct digest id;
	int rc = 0;

	for (; rc == 0 && *files; files++) {
		cleanup_fd int fd = open(*files, O_RDONLY | O_CLOEXEC);
		struct layer layer;

		rc = layer_take(store, fd, NULL, &layer, err);
		if (rc == 0) {
			image_add_layer(image, &layer.diff_id);
			image_add_history(image, &history);
		}
	}
	if (rc == 0)
		rc = image_put(store, image, &id, err);
	image_free(image);
	return rc < 0 ? -1 : image_tag(store, reference_format(reference, name), &id, NULL, err);
}

static int run(int argc, char **argv, struct transport_options *options, struct store *store,
	       struct err *err)
{
	struct reference reference;
	struct platform platform;
	struct digest digest;

	if (reference_parse(argv[4], &reference, err) < 0)
		return -1;
	if (strcmp(argv[3], "resolve") == 0) {
		if (transport_resolve(options, store, &reference, &digest, err) < 0)
			return -1;
		show("digest", &digest);
		return 0;
	}
	if (strcmp(argv[3], "import") == 0)
		return do_import(store, &reference, argv + 5, err);
	if (strcmp(argv[3], "pull") == 0) {
		if (argc > 5 && platform_parse(argv[5], &platform, err) < 0)
			return -1;
		options->platform = argc > 5 ? &platform : NULL;
		return do_pull(options, store, &reference, err);
	}
	options->compression =
		argc > 6 && strcmp(argv[6], "zstd") == 0 ? COMPRESSION_ZSTD : COMPRESSION_GZIP;
	options->docker_format = argc > 7;
	return do_push(options, store, &reference, argv[5], err);
}

int main(int argc, char **argv)
{
	struct transport_options options = { .environment = (const char *const *)environ };
	struct err err = ERR_INIT;
	struct store *store;
	int rc;

	if (argc < 5 || (strcmp(argv[3], "push") == 0 && argc < 6))
		return 2;
	for (char **entry = environ; *entry; entry++)
		options.insecure |= strncmp(*entry, "TRANSFER_INSECURE=", 18) == 0;
	options.helper = argv[1];
	rc = store_open(argv[2], true, &store, &err);
	if (rc == 0) {
		rc = run(argc, argv, &options, store, &err);
		store_free(store);
	}
	if (rc < 0)
		fprintf(stderr, "error %d %s\n", err.kind, err.message);
	return rc < 0;
}
