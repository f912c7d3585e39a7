/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOCKERFILE_PARSER_LINT_INTERNAL_H
#define DOCKERFILE_PARSER_LINT_INTERNAL_H

/*
 * dockerfile-parser/lint_internal.h: what the lint files share.
 *
 *	lint.c			the table of rules, and their warnings
 *	lint_config.c		which rules are silenced, and where
 *	lint_scope.c		one pass: stages and variables
 *	lint_expand.c		words after expansion, names that are not set
 *	lint_shell.c		RUN text -> commands
 *	lint_buildkit.c, lint_from.c, lint_hadolint.c, lint_stage.c, lint_packages.c, lint_cbuild.c
 *				the rules, one function each
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "dockerfile-parser/dockerfile.h"
#include "dockerfile-parser/lint.h"

struct arena;

/* --- lint_config.c ---------------------------------------------------------------------------- */

/* "skip=A,B;error=true;experimental=C" */
struct lint_config {
	bool skip_all, experimental_all, fail;
	struct strv skip, experimental;
};

int lint_config_parse(const char *text, struct lint_config *ret_config, struct err *err);
void lint_config_release(struct lint_config *config);
bool lint_config_silences(const struct lint_config *config, const char *rule, bool experimental);

/* Whether a comment above the instruction silences the rule. */
bool lint_comments_silence(const struct instruction *instruction, const char *rule);

/* Rules named by "# hadolint global ignore=..." anywhere in the file. */
void lint_global_ignores(const struct dockerfile *dockerfile, struct strv *ret_rules);

/* --- lint_shell.c ----------------------------------------------------------------------------- */

struct shell_command {
	const char **words; /* quotes resolved, assignments before the program left out */
	size_t n_words;	    /* at least 1 */
	bool piped;	    /* its output goes to the next one */
};

/* The simple commands of a shell text, in order. */
void shell_parse(struct arena *arena, const char *text, struct shell_command **ret_commands,
		 size_t *ret_n);

bool shell_is(const struct shell_command *command, const char *program); /* by its last part */
const char *shell_verb(
	const struct shell_command *command); /* first word that is no option, or "" */
bool shell_has(const struct shell_command *command, const char *option); /* --option[=value] */
bool shell_has_letter(const struct shell_command *command, char letter); /* -xyz */

/*
 * The words after the verb that are neither options nor values of those in `valued` (a list that
 * ends with NULL). Returns how many; *ret_words is the arena's.
 */
size_t shell_operands(struct arena *arena, const struct shell_command *command,
		      const char *const *valued, const char ***ret_words);

/* --- lint_scope.c ----------------------------------------------------------------------------- */

struct lint_name {
	const char *name;
	const char *near; /* NULL or a name that is set */
};

struct lint_step {
	const struct instruction *instruction;
	const struct instruction *written; /* the same, or the ONBUILD around it */
	struct lint_stage *stage;	   /* NULL for an ARG before FROM */
	const char **words;		   /* args after expansion; as written where none happens */
	struct lint_name *undefined;	   /* variables that were not set, once per word */
	size_t n_undefined;
	size_t cap_undefined;
	struct shell_command *commands; /* of RUN */
	size_t n_commands;
	bool shell_set; /* a SHELL is in effect */
	bool pipefail;	/* ... that has -o pipefail */
};

struct lint_stage {
	size_t index;
	const char *name; /* lower case, NULL without AS */
	struct lint_step *from;
	size_t first, end;	   /* its steps after FROM */
	struct lint_stage *parent; /* when FROM names a stage */
	const char *platform;	   /* after expansion; the target's without --platform */
	bool walked;		   /* checks that follow the build apply */
	bool has_image;		   /* `image` is known */
	struct lint_base image;
	/* the state at the end of the stage */
	struct strv env, declared;
	bool env_known; /* false below an image that nothing is known of */
	bool shell_set, pipefail, workdir_set;
};

struct lint {
	const struct dockerfile *dockerfile;
	const struct lint_inputs *inputs;
	struct lint_result *result;
	struct arena *arena; /* result's */
	struct lint_config config;
	struct strv ignored;	 /* by "global ignore" */
	struct lint_step *steps; /* and behind them the triggers of ONBUILD */
	size_t n_steps, n_triggers;
	struct lint_stage *stages;
	size_t n_stages;
	struct strv globals;	  /* ARGs before FROM and platform ARGs, with their values */
	struct strv defaults;	  /* the same, as if no --build-arg were given */
	struct strv global_names; /* declared before FROM */
	size_t budget;		  /* bytes that expansions may still take */
	size_t names_left;	  /* undefined names that may still be remembered */
	size_t cap_warnings;
};

void lint_scope_fill(struct lint *lint);
void lint_scope_release(struct lint *lint);

/* The stage of that name or number above `before`, or NULL. */
struct lint_stage *lint_find_stage(const struct lint *lint, const char *name, size_t before);

/* --- lint_expand.c ---------------------------------------------------------------------------- */

/*
 * A word or a heredoc of a step, which remembers what is undefined in it. A word that does not
 * expand stays as it is.
 */
const char *lint_expand_word(struct lint *lint, struct lint_step *step, const struct strv *env,
			     const char *word);
void lint_expand_heredoc(struct lint *lint, struct lint_step *step, const struct strv *env,
			 const char *content);

/* A word of which nobody is told what is undefined. NULL when it does not expand. */
const char *lint_expand_quietly(struct lint *lint, const struct strv *env, const char *word);

/* BuildKit's own switches are never in the environment. */
bool lint_never_set(const char *name);

/* Add a name unless it is there. */
void lint_add_name(struct strv *names, const char *name);

/* How FROM and its flags were expanded: which names were found, and which not. */
struct lint_expansion {
	const char *text; /* NULL when it does not expand */
	struct strv found, missing;
};

void lint_expand_global(struct lint *lint, const struct strv *scope, const char *word,
			struct lint_expansion *ret_expansion);
void lint_expansion_release(struct lint_expansion *expansion);

/* --- lint.c ----------------------------------------------------------------------------------- */

struct lint_check;
typedef void lint_check_function(struct lint *lint, const struct lint_check *check);

struct lint_check {
	struct lint_rule rule;
	unsigned set;
	bool experimental;
	lint_check_function *function;
	const void *data; /* for functions that serve several rules */
};

/* Tables end with an empty entry. */
extern const struct lint_check lint_buildkit_checks[], lint_from_checks[], lint_hadolint_checks[],
	lint_stage_checks[], lint_package_checks[], lint_cbuild_checks[];

/* All rules, one after another, for tests: rule i, or NULL past the last. */
const struct lint_rule *lint_rule_at(size_t i, unsigned *ret_set, bool *ret_experimental);

/* Warn of a step, over its lines or over a range of them. */
void lint_warn(struct lint *lint, const struct lint_check *check, const struct lint_step *step,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));
void lint_warn_at(struct lint *lint, const struct lint_check *check, const struct lint_step *step,
		  struct range range, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The next step of that kind after `step` (NULL: from the start) in a stage that counts. */
struct lint_step *lint_next(const struct lint *lint, const struct lint_step *step,
			    enum instruction_kind kind);

/* The same, and then the triggers of ONBUILD: for rules that look at one instruction alone. */
struct lint_step *lint_next_alone(const struct lint *lint, const struct lint_step *step,
				  enum instruction_kind kind);

/* Text as Go's %q has it, the arena's. */
const char *lint_quote(struct lint *lint, const char *text);

/* Whether the source of an ADD is fetched: a URL or a git repository. */
bool lint_is_remote(const char *source);

/* A variable's name looks like that of a secret. */
bool lint_is_secret(const char *name);

#endif
