/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/internal.h"

struct run_flags {
	struct strv env, volumes;
	const char *working_dir, *user, *entrypoint, *network, *hostname, *isolation;
	bool rm, interactive;
};

/* HOST:CONTAINER[:ro|rw] */
static int parse_volume(struct cli *cli, const char *text, struct strv *parts,
			struct run_mount *ret_mount, struct err *err)
{
	const char *colon = strchr(text, ':');
	const char *second = colon ? strchr(colon + 1, ':') : NULL;

	if (!colon || *text != '/' || colon[1] != '/')
		return cli_usage(cli, err,
				 "--volume: expected /HOST/PATH:/PATH[:ro], got \"%s\" (named "
				 "volumes do not exist here)",
				 text);
	if (second && strcmp(second, ":ro") && strcmp(second, ":rw"))
		return cli_usage(cli, err, "--volume: unknown option \"%s\" (expected ro or rw)",
				 second + 1);
	strv_addn(parts, text, (size_t)(colon - text));
	if (second)
		strv_addn(parts, colon + 1, (size_t)(second - colon - 1));
	else
		strv_add(parts, colon + 1);
	*ret_mount = (struct run_mount){
		.source = parts->v[parts->n - 2],
		.target = parts->v[parts->n - 1],
		.read_only = second && !strcmp(second, ":ro"),
	};
	return 0;
}

/* -e NAME takes the value of the environment; without one there it is not set. */
static void add_env(const struct strv *given, struct strv *ret_env)
{
	for (size_t i = 0; i < given->n; i++) {
		const char *value = strchr(given->v[i], '=') ? NULL : getenv(given->v[i]);

		if (strchr(given->v[i], '='))
			strv_add(ret_env, given->v[i]);
		else if (value)
			strv_addf(ret_env, "%s=%s", given->v[i], value);
	}
}

static int run(struct cli *cli, const struct run_flags *flags, int argc, char **argv,
	       struct err *err)
{
	cleanup_strv struct strv parts = STRV_INIT;
	cleanup_free struct run_mount *mounts = xcalloc(flags->volumes.n, sizeof(*mounts));
	const struct transport_options transport = cli_transport(cli);
	struct run_options options = {
		.working_dir = flags->working_dir,
		.user = flags->user,
		.hostname = flags->hostname,
		.mounts = mounts,
		.n_mounts = flags->volumes.n,
		.stdin_fd = flags->interactive ? 0 : -1,
		.transport = &transport,
		.store_lock = &cli->store_lock,
	};
	int status = 0, ran;

	if (cli_network(cli, flags->network, &options.network, err) < 0 ||
	    cli_isolation(cli, flags->isolation, &options.isolation, err) < 0)
		return -1;
	for (size_t i = 0; i < flags->volumes.n; i++)
		if (parse_volume(cli, flags->volumes.v[i], &parts, &mounts[i], err) < 0)
			return -1;
	if (cli_store(cli, &options.store, err) < 0 ||
	    build_find_image(options.store, argv[1], &options.image, err) < 0)
		return -1;
	add_env(&flags->env, &options.env);
	for (int i = 2; i < argc; i++)
		strv_add(&options.args, argv[i]);
	options.has_entrypoint = flags->entrypoint != NULL;
	if (flags->entrypoint && *flags->entrypoint)
		strv_add(&options.entrypoint, flags->entrypoint);
	fflush(stdout);
	ran = run_image(&options, &status, err);
	strv_release(&options.env);
	strv_release(&options.args);
	strv_release(&options.entrypoint);
	if (ran < 0)
		return -1;
	if (err->kind != ERR_NONE) {
		fprintf(stderr, "cbuild: ");
		text_print_safe(err->message, strlen(err->message));
		fputc('\n', stderr);
	}
	return status;
}

int cmd_run(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct run_flags flags = { 0 };
	const struct opt opts[] = {
		{ "env", 'e', OPT_LIST, &flags.env, "NAME[=VALUE]",
		  "environment variable (repeatable)" },
		{ "workdir", 'w', OPT_STRING, &flags.working_dir, "DIR", "working directory" },
		{ "user", 'u', OPT_STRING, &flags.user, "USER[:GROUP]", "user to run as" },
		{ "entrypoint", 0, OPT_STRING, &flags.entrypoint, "COMMAND",
		  "replace the image's ENTRYPOINT and CMD" },
		{ "network", 0, OPT_STRING, &flags.network, "MODE",
		  "default, host, private or none" },
		{ "isolation", 0, OPT_STRING, &flags.isolation, "MODE",
		  "auto, namespace, or chroot, which is weaker" },
		{ "volume", 'v', OPT_LIST, &flags.volumes, "SOURCE:TARGET[:ro]",
		  "directory or file of this machine (repeatable)" },
		{ "hostname", 'h', OPT_STRING, &flags.hostname, "NAME", "host name" },
		{ "interactive", 'i', OPT_BOOL, &flags.interactive, NULL,
		  "pass standard input on" },
		{ "rm", 0, OPT_BOOL, &flags.rm, NULL, NULL }, /* always so: nothing is kept */
	};
	int status = -1;

	if (opts_parse(cli, opts, ARRAY_SIZE(opts), &argc, argv, err) == 0)
		status = run(cli, &flags, argc, argv, err);
	strv_release(&flags.env);
	strv_release(&flags.volumes);
	return status;
}
