/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pull and push. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/internal.h"
#include "registry/reference.h"

struct transfer_flags {
	bool quiet, all_tags, tls_verify;
	const char *platform, *authfile, *compression, *format;
};

static void apply(const struct transfer_flags *flags, struct transport_options *options)
{
	options->authfile = flags->authfile;
	options->insecure = !flags->tls_verify;
}

/* A colon before the last slash is a port's. */
static bool has_tag(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strpbrk(slash ? slash : name, ":@") != NULL;
}

static int parse_name(struct cli *cli, const char *text, struct reference *ret_reference,
		      struct err *err)
{
	struct err why = ERR_INIT;

	if (reference_parse(text, ret_reference, &why) < 0)
		return cli_usage(cli, err, "invalid name \"%s\": %s", text, why.message);
	return 0;
}

static int pull(struct cli *cli, const struct transfer_flags *flags, const char *given,
		struct err *err)
{
	struct transport_options options = cli_transport(cli);
	char text[REFERENCE_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	struct reference reference;
	struct transport_image image;
	struct image_name old = { 0 };
	struct err why = ERR_INIT;
	struct platform platform;
	struct progress progress;
	struct store *store;
	bool same = false;
	int status;

	apply(flags, &options);
	if (parse_name(cli, given, &reference, err) < 0)
		return -1;
	if (flags->platform) {
		if (platform_parse(flags->platform, &platform, &why) < 0)
			return cli_usage(cli, err, "--platform: %s", why.message);
		options.platform = &platform;
	}
	if (cli_store(cli, &store, err) < 0)
		return -1;
	if (image_name_get(store, reference_format(&reference, text), &old, &why) < 0)
		err_clear(&why);
	if (!flags->quiet && !has_tag(given))
		printf("Using default tag: latest\n");
	progress_init(&progress, flags->quiet ? PROGRESS_QUIET : PROGRESS_PLAIN);
	status = transport_pull(&options, store, &reference, progress_transfer, &progress, &image,
				err);
	progress_release(&progress);
	same = old.name && status == 0 && digest_equal(&old.id, &image.id);
	image_name_release(&old);
	if (status < 0 || store_sync(store, err) < 0)
		return -1;
	reference_familiar(&reference, text);
	if (!flags->quiet)
		printf("Digest: %s\nStatus: %s for %s\n", digest_format(&image.remote, digest),
		       same ? "Image is up to date" : "Downloaded newer image", text);
	printf("%s\n", reference_format(&reference, text));
	return EXIT_OK;
}

int cmd_pull(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct transfer_flags flags = { .tls_verify = true };
	const struct opt opts[] = {
		{ "quiet", 'q', OPT_BOOL, &flags.quiet, NULL, "print the name and nothing else" },
		{ "platform", 0, OPT_STRING, &flags.platform, "OS/ARCH", "platform to fetch" },
		{ "tls-verify", 0, OPT_BOOL, &flags.tls_verify, NULL,
		  "=false: the registry may be plain HTTP or have an unknown certificate" },
		{ "authfile", 0, OPT_STRING, &flags.authfile, "FILE", "credentials of registries" },
	};

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	return pull(cli, &flags, argv[1], err);
}

static int parse_format(struct cli *cli, const struct transfer_flags *flags,
			struct transport_options *options, struct err *err)
{
	if (flags->compression) {
		if (!strcmp(flags->compression, "zstd"))
			options->compression = COMPRESSION_ZSTD;
		else if (strcmp(flags->compression, "gzip"))
			return cli_usage(cli, err,
					 "--compression-format: expected gzip or zstd, got \"%s\"",
					 flags->compression);
	}
	if (flags->format) {
		if (!strcmp(flags->format, "docker") || !strcmp(flags->format, "v2s2"))
			options->docker_format = true;
		else if (strcmp(flags->format, "oci"))
			return cli_usage(cli, err, "--format: expected oci or docker, got \"%s\"",
					 flags->format);
	}
	return 0;
}

static int push_one(struct cli *cli, const struct transport_options *options,
		    const struct transfer_flags *flags, struct store *store,
		    const struct reference *reference, struct err *err)
{
	char text[REFERENCE_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	struct descriptor manifest;
	struct image_name found = { 0 };
	struct progress progress;
	int status;

	(void)cli;
	if (image_name_get(store, reference_format(reference, text), &found, err) < 0) {
		if (err->kind == ERR_NOT_FOUND)
			return err_set(err, ERR_NOT_FOUND,
				       "An image does not exist locally with the tag: %s",
				       reference_repository(reference, true, text));
		return -1;
	}
	if (!flags->quiet)
		printf("The push refers to repository [%s]\n",
		       reference_repository(reference, false, text));
	fflush(stdout);
	progress_init(&progress, flags->quiet ? PROGRESS_QUIET : PROGRESS_PLAIN);
	status = transport_push(options, store, &found.id, reference, progress_transfer, &progress,
				&manifest, err);
	progress_release(&progress);
	if (status == 0)
		status = image_tag(store, reference_format(reference, text), &found.id,
				   &manifest.digest, err);
	image_name_release(&found);
	if (status < 0)
		return -1;
	if (flags->quiet)
		printf("%s\n", reference_format(reference, text));
	else
		printf("%s: digest: %s size: %llu\n", reference->tag,
		       digest_format(&manifest.digest, digest), (unsigned long long)manifest.size);
	return 0;
}

/* Every tag of the repository. */
static int push_all(struct cli *cli, const struct transport_options *options,
		    const struct transfer_flags *flags, struct store *store,
		    const struct reference *reference, struct err *err)
{
	cleanup_with(image_list_free) struct image_list *list = NULL;
	size_t pushed = 0;

	if (image_list(store, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list->n_names; i++) {
		struct reference one;

		if (reference_parse(list->names[i].name, &one, err) < 0)
			return -1;
		if (one.has_digest || strcmp(one.domain, reference->domain) ||
		    strcmp(one.path, reference->path))
			continue;
		if (push_one(cli, options, flags, store, &one, err) < 0)
			return -1;
		pushed++;
	}
	if (!pushed)
		return err_set(err, ERR_NOT_FOUND,
			       "An image does not exist locally with the tag: %s", reference->path);
	return 0;
}

int cmd_push(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct transfer_flags flags = { .tls_verify = true };
	const struct opt opts[] = {
		{ "quiet", 'q', OPT_BOOL, &flags.quiet, NULL, "print the name and nothing else" },
		{ "all-tags", 'a', OPT_BOOL, &flags.all_tags, NULL,
		  "push every tag of the repository" },
		{ "compression-format", 0, OPT_STRING, &flags.compression, "FORMAT",
		  "gzip (default) or zstd, for layers that have no blob yet" },
		{ "format", 0, OPT_STRING, &flags.format, "FORMAT", "oci (default) or docker" },
		{ "tls-verify", 0, OPT_BOOL, &flags.tls_verify, NULL,
		  "=false: the registry may be plain HTTP or have an unknown certificate" },
		{ "authfile", 0, OPT_STRING, &flags.authfile, "FILE", "credentials of registries" },
	};
	struct transport_options options;
	struct reference reference;
	struct store *store;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) < 0)
		return -1;
	options = cli_transport(cli);
	apply(&flags, &options);
	if (parse_name(cli, argv[1], &reference, err) < 0 ||
	    parse_format(cli, &flags, &options, err) < 0)
		return -1;
	if (reference.has_digest)
		return cli_usage(cli, err, "cannot push a digest reference");
	if (cli_store(cli, &store, err) < 0)
		return -1;
	if (flags.all_tags)
		return push_all(cli, &options, &flags, store, &reference, err);
	if (!flags.quiet && !has_tag(argv[1]))
		printf("Using default tag: latest\n");
	return push_one(cli, &options, &flags, store, &reference, err);
}
