/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cbuild [OPTIONS] COMMAND ...; `build` is meant when no command is named. Errors are printed
 * here and nowhere else.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/size.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"

extern char **environ;

static const struct command commands[] = {
	{ "build", cmd_build, "build [OPTIONS] PATH | URL | -", "Build an image from a Dockerfile",
	  1, 1, "needs exactly one context: a directory, a tar, a URL, or -", false },
	{ "cache", cmd_cache, "cache ls | export [--id ID] FILE|- | import FILE|-",
	  "List cache mounts, or carry them between machines", 1, 2,
	  "needs ls, export FILE or import FILE", false },
	{ "explain", cmd_explain, "explain [OPTIONS] [PATH]",
	  "Show why the steps of the last build ran", 0, 1, "takes at most one context", false },
	{ "history", cmd_history, "history [OPTIONS] IMAGE", "Show the history of an image", 1, 1,
	  "needs exactly one image", false },
	{ "images", cmd_images, "images [OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1,
	  "takes at most one name", false },
	{ "import", cmd_import, "import [OPTIONS] FILE|- [REPOSITORY[:TAG]]",
	  "Make an image from the tar of a root file system", 1, 2,
	  "needs a file (or -) and maybe a name", false },
	{ "info", cmd_info, "info", "Show the store and what this machine allows", 0, 0,
	  "takes no arguments", false },
	{ "inspect", cmd_inspect, "inspect [OPTIONS] IMAGE...", "Show images in detail, as JSON", 1,
	  INT_MAX, "needs at least one image", false },
	{ "load", cmd_load, "load [OPTIONS]", "Load images from an archive", 0, 0,
	  "takes no arguments (use -i FILE)", false },
	{ "parse", cmd_parse, "parse --json FILE|-", "Print the syntax tree of a Dockerfile", 1, 1,
	  "needs one file, or -", false },
	{ "plan", cmd_plan, "plan [OPTIONS] PATH | -",
	  "Show what a build would run, and why; run nothing", 1, 1,
	  "needs exactly one context: a directory, a tar, a URL, or -", false },
	{ "pull", cmd_pull, "pull [OPTIONS] NAME[:TAG|@DIGEST]", "Fetch an image from a registry",
	  1, 1, "needs exactly one name", false },
	{ "push", cmd_push, "push [OPTIONS] NAME[:TAG]", "Send an image to a registry", 1, 1,
	  "needs exactly one name", false },
	{ "rmi", cmd_rmi, "rmi [OPTIONS] IMAGE...", "Remove images", 1, INT_MAX,
	  "needs at least one image", false },
	{ "run", cmd_run, "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
	  "Run an image in the foreground, in the sandbox of RUN", 1, INT_MAX, "needs an image",
	  true },
	{ "save", cmd_save, "save [OPTIONS] IMAGE...", "Write images to an archive", 1, INT_MAX,
	  "needs at least one image", false },
	{ "tag", cmd_tag, "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Give an image a name", 2, 2,
	  "needs a source and a target", false },
	{ "version", cmd_version, "version", "Show the version", 0, 0, "takes no arguments",
	  false },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void print_help(void)
{
	printf("Usage: cbuild [--root DIR] [--max-layer-size SIZE] [COMMAND] [OPTIONS]\n\n"
	       "Builds container images from Dockerfiles: no daemon, no root, no network needed.\n"
	       "Without a command, `build` is meant: cbuild -t p1 .\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	printf("\nOptions:\n"
	       "  --root DIR              the store (default: $CBUILD_ROOT, else /var/lib/cbuild\n"
	       "                          for root, $XDG_DATA_HOME/cbuild for users)\n"
	       "  --max-layer-size SIZE   refuse layers that unpack to more (default:\n"
	       "                          $CBUILD_MAX_LAYER_SIZE, else no limit but the disk's)\n"
	       "  --version               show the version\n\n"
	       "`cbuild COMMAND --help` shows the options of a command.\n");
}

/* A word that is no command is build's context when it can be one. */
static int choose_command(struct cli *cli, const char *word, struct err *err)
{
	const char *names[ARRAY_SIZE(commands)];
	struct stat st;
	const char *near;

	cli->command = find_command(word ? word : "build");
	if (cli->command)
		return 0;
	if (*word == '-' || strchr(word, '/') || strstr(word, "://") || stat(word, &st) == 0) {
		cli->command = find_command("build");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = suggest(word, names, ARRAY_SIZE(names));
	return cli_usage(cli, err, "unknown command \"%s\"%s%s%s", word,
			 near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

/* "" when there is no place of the user's own: one in /tmp could be anybody's. */
static char *default_root(void)
{
	const char *root = getenv("CBUILD_ROOT");
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");

	if (root && *root)
		return xstrdup(root);
	if (geteuid() == 0)
		return xstrdup("/var/lib/cbuild");
	if (data && *data == '/')
		return xasprintf("%s/cbuild", data);
	return home && *home == '/' ? xasprintf("%s/.local/share/cbuild", home) : xstrdup("");
}

/* $CBUILD_LIBEXEC_DIR, then beside this executable (a build tree), then where it is installed. */
static char *find_helper(void)
{
	const char *dir = getenv("CBUILD_LIBEXEC_DIR");
	char self[PATH_MAX];
	ssize_t len;

	if (dir && *dir)
		return xasprintf("%s/cbuild-registry", dir);
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len > 0) {
		char *slash;

		self[len] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			cleanup_free char *beside = NULL;

			*slash = '\0';
			beside = xasprintf("%s/cbuild-registry", self);
			if (access(beside, X_OK) == 0)
				return steal_pointer(&beside);
		}
	}
	return xstrdup(CBUILD_LIBEXECDIR "/cbuild-registry");
}

static int open_store(struct cli *cli, bool alone, struct store **ret_store, struct err *err)
{
	if (!*cli->root)
		return cli_usage(cli, err,
				 "no directory for the store: neither --root nor HOME names one");
	if (!cli->store &&
	    (store_open(cli->root, true, &cli->store, err) < 0 ||
	     store_lock(cli->store, "store", alone, false, &cli->store_lock, err) < 0))
		return -1;
	store_limit_layers(cli->store, cli->layer_max);
	*ret_store = cli->store;
	return 0;
}

int cli_store(struct cli *cli, struct store **ret_store, struct err *err)
{
	return open_store(cli, false, ret_store, err);
}

int cli_store_alone(struct cli *cli, struct store **ret_store, struct err *err)
{
	return open_store(cli, true, ret_store, err);
}

struct transport_options cli_transport(struct cli *cli)
{
	if (!cli->helper) {
		cli->helper = find_helper();
		for (char **name = environ; *name; name++)
			strv_add(&cli->environment, *name);
	}
	return (struct transport_options){
		.helper = cli->helper,
		.environment = (const char *const *)strv_argv(&cli->environment),
		.compression = COMPRESSION_GZIP,
	};
}

int cli_flush(struct err *err)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_os(err, "write to standard output");
	return 0;
}

static void print_error(const struct cli *cli, const struct err *err)
{
	fflush(stdout);
	fprintf(stderr, "cbuild: ");
	text_print_safe(err->message, strlen(err->message));
	fputc('\n', stderr);
	if (cli->usage)
		fprintf(stderr, "See 'cbuild %s%s--help'.\n",
			cli->command ? cli->command->name : "", cli->command ? " " : "");
}

/* "--name VALUE" or "--name=VALUE" at the front. 1: it is, and *argc and *argv are at its last
 * word; 0: it is not. */
static int global_value(struct cli *cli, const char *name, int *argc, char ***argv,
			const char **ret_value, struct err *err)
{
	const char *word = (*argv)[1];
	size_t len = strlen(name);

	if (strncmp(word, name, len) || (word[len] && word[len] != '='))
		return 0;
	if (word[len]) {
		*ret_value = word + len + 1;
		return 1;
	}
	if (*argc < 3)
		return cli_usage(cli, err, "%s needs a value", name);
	*ret_value = (*argv)[2];
	++*argv;
	--*argc;
	return 1;
}

static int set_layer_max(struct cli *cli, const char *name, const char *value, struct err *err)
{
	if (size_parse(value, &cli->layer_max) < 0 || cli->layer_max > INT64_MAX)
		return cli_usage(cli, err, "%s: \"%s\" is no size", name, value);
	return 0;
}

/* --root and the like, before the command. *ret_done: nothing more is to be done. */
static int global_options(struct cli *cli, int *argc, char ***argv, bool *ret_done, struct err *err)
{
	const char *value = getenv("CBUILD_MAX_LAYER_SIZE");

	if (value && *value && set_layer_max(cli, "CBUILD_MAX_LAYER_SIZE", value, err) < 0)
		return -1;
	*ret_done = false;
	while (*argc > 1) {
		char *word = (*argv)[1];
		int is_root = global_value(cli, "--root", argc, argv, &value, err);
		int is_max =
			is_root ? 0
				: global_value(cli, "--max-layer-size", argc, argv, &value, err);

		if (is_root < 0 || is_max < 0)
			return -1;
		if (is_root) {
			free(cli->root);
			cli->root = xstrdup(value);
		} else if (is_max) {
			if (set_layer_max(cli, "--max-layer-size", value, err) < 0)
				return -1;
		} else if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
			print_help();
			*ret_done = true;
			return 0;
		} else if (!strcmp(word, "--version")) {
			printf("cbuild %s\n", PACKAGE_VERSION);
			*ret_done = true;
			return 0;
		} else {
			return 0;
		}
		++*argv;
		--*argc;
	}
	return 0;
}

static int run(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool done;
	int status;

	if (global_options(cli, &argc, &argv, &done, err) < 0)
		return -1;
	if (done)
		return cli_flush(err);
	if (argc < 2) {
		print_help();
		return cli_flush(err);
	}
	if (choose_command(cli, argv[1], err) < 0)
		return -1;
	if (find_command(argv[1])) { /* else argv[0] stands for the word that was left out */
		argv++;
		argc--;
	}
	status = cli->command->function(cli, argc, argv, err);
	return cli->helped ? EXIT_OK : status;
}

/* Descriptors 0 to 2 exist, so that no file of ours becomes one of them. */
static void open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	struct cli cli = { .root = default_root(), .store_lock = -1 };
	struct err err = ERR_INIT;
	struct strv words = STRV_INIT; /* owns what `copy`, which options reorder, points to */
	char **copy;
	int status;

	/* Secrets are in this memory: no other process of the user looks into it, nor a core file.
	 * What is exec()ed from here starts as usual. */
	prctl(PR_SET_DUMPABLE, 0);
	open_standard_streams();
	signal(SIGPIPE, SIG_IGN);
	/* copies: pid 1 of a sandbox wipes the memory of its command line */
	copy = xcalloc((size_t)argc + 1, sizeof(*copy));
	for (int i = 0; i < argc; i++) {
		strv_add(&words, argv[i]);
		copy[i] = words.v[i];
	}
	status = run(&cli, argc, copy, &err);
	if (status >= 0 && cli_flush(&err) < 0)
		status = -1;
	if (status < 0) {
		print_error(&cli, &err);
		status = cli.command && cli.command->function == cmd_run ? EXIT_RUN
			 : cli.usage					 ? EXIT_USAGE
			 : err.kind == ERR_CANCELLED && err.exit_status	 ? err.exit_status
									 : EXIT_FAILED;
	}
	store_free(cli.store);
	if (cli.store_lock >= 0)
		close(cli.store_lock);
	strv_release(&cli.environment);
	strv_release(&words);
	free(copy);
	free(cli.helper);
	free(cli.root);
	return status;
}
