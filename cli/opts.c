/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"

int cli_usage(struct cli *cli, struct err *err, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	cli->usage = true;
	return err_set(err, ERR_INVALID, "%s", text);
}

static void print_help(const struct cli *cli, const struct opt *opts, size_t n)
{
	printf("Usage: cbuild %s\n\n%s\n\nOptions:\n", cli->command->synopsis,
	       cli->command->summary);
	for (size_t i = 0; i < n; i++) {
		char left[64];

		if (!opts[i].help)
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s%s", opts[i].letter ? '-' : ' ',
			 opts[i].letter ? opts[i].letter : ' ', opts[i].letter ? "," : " ",
			 opts[i].name, opts[i].kind == OPT_OPTIONAL ? "[=" : "",
			 !opts[i].value_name		? ""
			 : opts[i].kind == OPT_OPTIONAL ? opts[i].value_name
							: " ",
			 opts[i].kind == OPT_OPTIONAL ? "]"
			 : opts[i].value_name	      ? opts[i].value_name
						      : "");
		printf("  %-32s %s\n", left, opts[i].help);
	}
}

static const struct opt *find_long(const struct opt *opts, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(opts[i].name) == len && !strncmp(opts[i].name, name, len))
			return &opts[i];
	return NULL;
}

static const struct opt *find_letter(const struct opt *opts, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (opts[i].letter == letter)
			return &opts[i];
	return NULL;
}

static int unknown(struct cli *cli, const struct opt *opts, size_t n, const char *name, size_t len,
		   struct err *err)
{
	cleanup_free char *word = xstrndup(name, len);
	cleanup_free const char **names = xcalloc(n + 1, sizeof(*names));
	const char *near;
	size_t shown = 0;

	for (size_t i = 0; i < n; i++)
		if (opts[i].help)
			names[shown++] = opts[i].name;
	near = suggest(word, names, shown);
	return cli_usage(cli, err, "unknown flag: --%s%s%s%s", word,
			 near ? " (did you mean --" : "", near ? near : "", near ? "?)" : "");
}

static int set(struct cli *cli, const struct opt *opt, const char *value, struct err *err)
{
	switch (opt->kind) {
	case OPT_BOOL:
		if (!value || !strcasecmp(value, "true") || !strcmp(value, "1"))
			*(bool *)opt->place = true;
		else if (!strcasecmp(value, "false") || !strcmp(value, "0"))
			*(bool *)opt->place = false;
		else
			return cli_usage(cli, err, "--%s: expected true or false, got \"%s\"",
					 opt->name, value);
		return 0;
	case OPT_OPTIONAL:
		*(const char **)opt->place = value ? value : "";
		return 0;
	case OPT_STRING:
		*(const char **)opt->place = value;
		return 0;
	case OPT_LIST:
		strv_add(opt->place, value);
		return 0;
	}
	return 0;
}

static bool takes_value(const struct opt *opt)
{
	return opt->kind == OPT_STRING || opt->kind == OPT_LIST;
}

/* --name, --name=value or --name value; *i moves past what was used. */
static int parse_long(struct cli *cli, const struct opt *opts, size_t n, int argc, char **argv,
		      int *i, struct err *err)
{
	const char *name = argv[*i] + 2;
	size_t len = strcspn(name, "=");
	const struct opt *opt = find_long(opts, n, name, len);
	const char *value = name[len] ? name + len + 1 : NULL;

	if (!opt)
		return unknown(cli, opts, n, name, len, err);
	if (takes_value(opt) && !value) {
		if (*i + 1 >= argc)
			return cli_usage(cli, err, "flag needs an argument: --%s", opt->name);
		value = argv[++*i];
	}
	return set(cli, opt, value, err);
}

/* -q, -qt name, -tname, -t=name, -t name. */
static int parse_short(struct cli *cli, const struct opt *opts, size_t n, int argc, char **argv,
		       int *i, struct err *err)
{
	for (const char *letter = argv[*i] + 1; *letter; letter++) {
		const struct opt *opt = find_letter(opts, n, *letter);
		const char *value = NULL;

		if (!opt)
			return cli_usage(cli, err, "unknown shorthand flag: '%c' in %s", *letter,
					 argv[*i]);
		if (takes_value(opt)) {
			if (letter[1])
				value = letter[1] == '=' ? letter + 2 : letter + 1;
			else if (*i + 1 < argc)
				value = argv[++*i];
			else
				return cli_usage(cli, err, "flag needs an argument: -%c", *letter);
			return set(cli, opt, value, err);
		}
		if (set(cli, opt, NULL, err) < 0)
			return -1;
	}
	return 0;
}

static int check_operands(struct cli *cli, int n, struct err *err)
{
	const struct command *command = cli->command;

	if (n >= command->operands && n <= command->operands_max)
		return 0;
	return cli_usage(cli, err, "%s %s (got %d)", command->name, command->operands_text, n);
}

int opts_parse(struct cli *cli, const struct opt *opts, size_t n, int *argc, char **argv,
	       struct err *err)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		const char *word = argv[i];
		bool ended = cli->command->operand_ends_options && kept > 1;
		int status = 0;

		if (!strcmp(word, "--") || ended) {
			for (i += !ended; i < *argc; i++)
				argv[kept++] = argv[i];
			break;
		}
		if (!strcmp(word, "--help")) {
			print_help(cli, opts, n);
			cli->helped = true;
			return -1;
		}
		if (word[0] == '-' && word[1] == '-')
			status = parse_long(cli, opts, n, *argc, argv, &i, err);
		else if (word[0] == '-' && word[1])
			status = parse_short(cli, opts, n, *argc, argv, &i, err);
		else
			argv[kept++] = argv[i];
		if (status < 0)
			return -1;
	}
	argv[kept] = NULL;
	*argc = kept;
	return check_operands(cli, kept - 1, err);
}
