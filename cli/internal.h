/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_INTERNAL_H
#define CLI_INTERNAL_H

/* cli/internal.h: commands, options, rendering: the one room that prints and reads the
 * environment. Results go to stdout, progress and messages to stderr. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/strv.h"
#include "builder/build.h"
#include "builder/explain.h"
#include "layers/image.h"
#include "layers/layer.h"
#include "layers/store.h"

enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* the build or transfer failed */
	EXIT_USAGE = 2,	 /* the command line is wrong */
	EXIT_RUN = 125,	 /* `cbuild run` itself failed, as docker has it */
};

/* What every command gets. */
struct cli {
	const char *program; /* argv[0]'s last part */
	const struct command *command;
	char *root;		 /* the store's path */
	struct store *store;	 /* opened by cli_store() */
	uint64_t layer_max;	 /* see store_limit_layers() */
	int store_lock;		 /* held while the store is used, -1 before */
	char *helper;		 /* path of cbuild-registry */
	struct strv environment; /* for the helper */
	bool usage;		 /* the error is the command line's */
	bool helped;		 /* help was asked for and printed: nothing is left to do */
};

/* --- commands (main.c) ------------------------------------------------------------------------ */

/* Returns an exit status, or -1 with *err: then main prints it and exits 2 for usage errors, 1
 * for others. argv[0] is the command's name. */
typedef int command_function(struct cli *cli, int argc, char **argv, struct err *err);

struct command {
	const char *name;
	command_function *function;
	const char *synopsis; /* "build [OPTIONS] PATH | -" without the program */
	const char *summary;
	int operands, operands_max; /* how many words it takes beside options */
	const char *operands_text;  /* "needs exactly one image" */
	bool operand_ends_options;  /* run IMAGE COMMAND --flag */
};

command_function cmd_build, cmd_cache, cmd_explain, cmd_history, cmd_images, cmd_import, cmd_info,
	cmd_inspect, cmd_load, cmd_parse, cmd_plan, cmd_pull, cmd_push, cmd_rmi, cmd_run, cmd_save,
	cmd_tag, cmd_version;

/*
 * The store, opened (and made) at first use, and locked: many commands share it; one that removes
 * things has it alone and waits for the others.
 */
int cli_store(struct cli *cli, struct store **ret_store, struct err *err);
int cli_store_alone(struct cli *cli, struct store **ret_store, struct err *err);

/* Fill *err for a mistake on the command line. Returns -1. */
int cli_usage(struct cli *cli, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* transport_options for a command: helper, environment, insecure, authfile. */
struct transport_options cli_transport(struct cli *cli);

/* Flush stdout; a full disk or closed pipe is an error. */
int cli_flush(struct err *err);

/* --- options (opts.c) ------------------------------------------------------------------------- */

enum opt_kind {
	OPT_BOOL,     /* bool *; --name, --name=true, --name=false */
	OPT_STRING,   /* const char **; the last one wins */
	OPT_LIST,     /* struct strv *; each occurrence is added */
	OPT_OPTIONAL, /* const char **; --name gives "", --name=value the value */
};

struct opt {
	const char *name; /* without dashes */
	char letter;	  /* 0 for none */
	enum opt_kind kind;
	void *place;
	const char *value_name; /* "NAME[:TAG]", NULL for OPT_BOOL */
	const char *help;	/* NULL: accepted for scripts, not shown */
};

/*
 * Parse argv[1..]. Operands are left in argv[1..*argc-1], as many as the command takes. Unknown
 * options, with a suggestion, and a wrong number of operands are usage errors. --help prints the
 * help, sets cli->helped and is -1 as well: the command returns, and main makes it a success.
 */
int opts_parse(struct cli *cli, const struct opt *opts, size_t n, int *argc, char **argv,
	       struct err *err);

/* --- text (text.c, table.c, template.c) */

/* "1.23MB" as docker writes sizes: powers of 1000, four digits. */
#define SIZE_TEXT_MAX 32
const char *text_size(uint64_t bytes, char text[SIZE_TEXT_MAX]);

/* "3 minutes ago", as docker. */
#define AGO_TEXT_MAX 64
const char *text_ago(int64_t then_ns, char text[AGO_TEXT_MAX]);

/* The first 12 digits of an id, or with `whole` "sha256:" and all. */
const char *text_id(const struct digest *id, bool whole, char text[DIGEST_TEXT_MAX]);

/*
 * Text of an image as a cell of a table: control characters become blanks, and what is longer
 * than max characters is cut with an ellipsis. NULL is "". free() it.
 */
char *text_cell(const char *text, size_t max);

/* Print bytes of a process or of the outside with control characters made harmless; to stderr. */
void text_print_to(FILE *out, const char *text, size_t len);
void text_print_safe(const char *text, size_t len);

/* Rows of cells, columns as wide as needed, three blanks between, no trailing blanks. */
struct table {
	size_t columns;
	struct strv cells;
};
void table_print(const struct table *table);

/*
 * Go templates, the part that scripts use: {{.Field.Field}}, {{json .Field}},
 * {{index .Field 0 "key"}}, {{"text"}} and literal text with \n and \t, over a JSON value. "json"
 * alone prints the whole value. What it does not know is ERR_INVALID.
 */
int template_print(const char *template, const json_t *value, struct err *err);

/* --- progress of builds and transfers (progress.c) */

enum progress_mode {
	PROGRESS_PLAIN,
	PROGRESS_QUIET,
};

struct progress_step;

struct progress {
	enum progress_mode mode;
	struct progress_step *steps; /* under way */
	size_t n_steps, cap_steps;
	unsigned step;	    /* that the transfer being shown belongs to, or 0 */
	unsigned open;	    /* whose output without a newline is on the terminal, or 0 */
	uint64_t noted;	    /* when a transfer was last shown */
	struct digest last; /* blob that was shown last */
};

void progress_init(struct progress *progress, enum progress_mode mode);
void progress_release(struct progress *progress);
void progress_build(void *arg, const struct build_event *event);	/* a build_listener */
void progress_transfer(void *arg, const struct transport_event *event); /* a transport_listener */

/* --- what the command line gives to RUN (grants.c) */

/* As they were given. */
struct grant_flags {
	struct strv secrets, ssh, allow, ulimits;
	const char *shm_size;
};

struct grants {
	struct build_secret *secrets;
	size_t n_secrets;
	struct build_ssh *ssh;
	size_t n_ssh;
	struct sandbox_limit *limits;
	size_t n_limits;
	uint64_t shm_size;
	bool host_network, insecure;
};

/* Parse them, and read the secrets. */
int grants_parse(struct cli *cli, const struct grant_flags *flags, struct grants *grants,
		 struct err *err);

/* The options point into the grants then. */
void grants_fill(const struct grants *grants, struct build_options *options);
void grants_release(struct grants *grants, struct grant_flags *flags); /* secrets are wiped */

/* --- what RUN may use (limits.c) */

/* As they were given; NULL for what was not. */
struct limit_flags {
	const char *memory, *memory_swap, *cpus, *cpu_period, *cpu_quota, *cpu_shares;
	const char *cpuset_cpus, *cpuset_mems, *pids, *cgroup_parent, *timeout;
	struct strv security;
};

struct limits {
	struct sandbox_profile *profile;
	bool unconfined;
};

/* Parse them into the options, which point into flags and limits then. */
int limits_parse(struct cli *cli, const struct limit_flags *flags, struct limits *limits,
		 struct build_options *options, struct err *err);
void limits_release(struct limits *limits, struct limit_flags *flags);

/* --- checks (lint.c, cmd_check.c) */

struct lint_result;

/* Warnings as docker shows them after a build, and as its --check does. */
void lint_print_summary(FILE *out, const struct lint_result *result);
void lint_print_text(FILE *out, const struct lint_result *result);

/* What `cbuild build` does instead of building. */
enum check_call {
	CALL_BUILD,
	CALL_CHECK,
	CALL_OUTLINE,
	CALL_TARGETS,
};

enum check_format {
	CHECK_TEXT,
	CHECK_JSON,
	CHECK_SARIF,
};

struct check_call_options {
	enum check_call call;
	enum check_format format;
	const struct strv *registries; /* that DL3026 allows */
};

/*
 * --call=METHOD[,format=FORMAT], --check and --format (each may be NULL or false) into one.
 * SARIF is for checks only.
 */
int check_call_parse(struct cli *cli, const char *call, bool check, const char *format,
		     struct check_call_options *ret_options, struct err *err);

/* Do it and print to stdout. An exit status (1 when there are warnings), or -1. */
int check_call_run(const struct check_call_options *options, const struct build_options *build,
		   struct err *err);
/* --- reports of builds (explain.c) */

/* Why a step ran, in one line: "" for none. free() it. */
char *explain_text(const struct step_report *step);

/* A whole report to stdout, as text or JSON; with `plan`, of what would be done. */
int explain_print(struct cli *cli, const struct build_report *report, const char *format, bool plan,
		  struct err *err);

/* The steps that took longest, to stderr; nothing when none ran. */
void explain_costs(const struct build_report *report);

/* "12.3ms", "4.5s". */
const char *text_duration(uint64_t ns, char text[SIZE_TEXT_MAX]);

/* --- shared by commands (common.c) */

/* A name for -t, tag, push: normal form, tag required or latest, no digest. */
int cli_name(struct cli *cli, const char *text, struct strv *ret_names, struct err *err);

/*
 * Write a file that appears whole or not at all; NULL and "-" are stdout, which must not be a
 * terminal (`instead` says what to do then). Devices and FIFOs are written to as they are.
 */
typedef int cli_writer(void *arg, int fd, struct err *err);
int cli_write_file(struct cli *cli, const char *output, const char *instead, cli_writer *writer,
		   void *arg, struct err *err);

/* --max-dockerfile-size; NULL is DOCKERFILE_MAX. */
int cli_dockerfile_max(struct cli *cli, const char *text, size_t *ret_max, struct err *err);

/* host, none, private or default. */
int cli_network(struct cli *cli, const char *text, enum sandbox_network *ret_network,
		struct err *err);

/* --isolation, or $CBUILD_ISOLATION where it was not given. */
int cli_isolation(struct cli *cli, const char *text, enum build_isolation *ret_isolation,
		  struct err *err);

/* --add-host lines as /etc/hosts has them. free() the text. */
int cli_hosts(struct cli *cli, const struct strv *hosts, char **ret_text, struct err *err);

#endif
