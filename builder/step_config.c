/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instructions that only change the config. Each but ONBUILD leaves a history entry without a
 * layer; none changes the key of the file system: what a later RUN sees of them (environment, user,
 * shell, working directory) is part of that RUN's own key.
 */
#include "builder/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

/* The instruction as it is written, its keyword in capitals. */
static void note(struct stage *stage, const struct instruction *instruction)
{
	cleanup_free char *text = xstrdup(instruction->text);

	for (char *c = text; isalpha((unsigned char)*c); c++)
		*c = (char)toupper((unsigned char)*c);
	stage_add_history(stage, "%s", text);
}

static int expand(struct builder *builder, struct stage *stage, const struct word *word,
		  char **ret_text, struct err *err)
{
	return scope_expand(builder->dockerfile, &stage->env, word, ret_text, err);
}

/* --- variables --- */

/* The value an ARG gets: --build-arg, else its default, else what the global scope or the
 * platform has. NULL when there is none. */
static int arg_value(struct builder *builder, struct stage *stage, const struct word *triple,
		     char **ret_value, struct err *err)
{
	const char *name = triple[0].text;
	const char *value = env_get(&builder->build_args, name);

	*ret_value = NULL;
	if (!value && *triple[2].text)
		return expand(builder, stage, &triple[1], ret_value, err);
	if (!value)
		value = env_get(&builder->plan->global_args, name);
	if (!value)
		value = env_get(&builder->plan->platform_args, name);
	if (value)
		*ret_value = xstrdup(value);
	return 0;
}

int step_arg(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	     struct err *err)
{
	cleanup_buf struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX);
	for (size_t i = 0; i + 2 < instruction->n_args; i += 3) {
		const char *name = instruction->args[i].text;
		cleanup_free char *value = NULL;

		if (arg_value(builder, stage, &instruction->args[i], &value, err) < 0)
			return -1;
		strv_addf(&stage->args, "%s=%s", name, value ? value : "");
		buf_addf(&text, " %s%s%s", name, value ? "=" : "", value ? value : "");
		if (value && !scope_is_silent(name))
			env_set(&stage->env, name, value);
	}
	stage_add_history(stage, "ARG%s", text.data);
	return 0;
}

/* Expand all pairs in the scope before the instruction: `ENV A=1 B=$A` does not see its own A. */
static int expand_pairs(struct builder *builder, struct stage *stage,
			const struct instruction *instruction, struct strv *ret_names,
			struct strv *ret_values, struct err *err)
{
	for (size_t i = 0; i + 2 < instruction->n_args; i += 3) {
		cleanup_free char *name = NULL, *value = NULL;

		if (expand(builder, stage, &instruction->args[i], &name, err) < 0 ||
		    expand(builder, stage, &instruction->args[i + 1], &value, err) < 0)
			return -1;
		if (!*name)
			return dockerfile_error(builder->dockerfile, instruction->args[i].range,
						ERR_INVALID, err, "%s names can not be blank",
						instruction->kind == INSTRUCTION_ENV ? "ENV"
										     : "LABEL");
		strv_add(ret_names, name);
		strv_add(ret_values, value);
	}
	return 0;
}

int step_env(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	     struct err *err)
{
	cleanup_strv struct strv names = STRV_INIT, values = STRV_INIT;
	cleanup_buf struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX);
	if (expand_pairs(builder, stage, instruction, &names, &values, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		env_set(&stage->env, names.v[i], values.v[i]);
		env_set(&stage->image->env, names.v[i], values.v[i]);
		buf_addf(&text, " %s=%s", names.v[i], values.v[i]);
	}
	stage_add_history(stage, "ENV%s", text.data);
	return 0;
}

int step_label(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	       struct err *err)
{
	cleanup_strv struct strv names = STRV_INIT, values = STRV_INIT;
	cleanup_buf struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX);
	if (expand_pairs(builder, stage, instruction, &names, &values, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		if (json_object_set_new(stage->image->labels, names.v[i],
					json_string(values.v[i])) < 0)
			return dockerfile_error(builder->dockerfile, instruction->range,
						ERR_INVALID, err, "label %s is not UTF-8",
						names.v[i]);
		buf_addf(&text, " %s=%s", names.v[i], values.v[i]);
	}
	stage_add_history(stage, "LABEL%s", text.data);
	return 0;
}

/* --- commands --- */

/* The exec form as it is; the shell form behind the SHELL. */
static void command(const struct stage *stage, const struct instruction *instruction, size_t from,
		    struct strv *ret_argv)
{
	static const char *const default_shell[] = { "/bin/sh", "-c" };

	if (!instruction->json && stage->image->has_shell)
		strv_extend(ret_argv, &stage->image->shell);
	else if (!instruction->json)
		for (size_t i = 0; i < ARRAY_SIZE(default_shell); i++)
			strv_add(ret_argv, default_shell[i]);
	if (!instruction->json && from >= instruction->n_args)
		strv_add(ret_argv, ""); /* a lone CMD: the shell gets an empty line */
	for (size_t i = from; i < instruction->n_args; i++)
		strv_add(ret_argv, instruction->args[i].text);
}

int step_cmd(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	     struct err *err)
{
	(void)builder;
	(void)err;
	strv_release(&stage->image->cmd);
	command(stage, instruction, 0, &stage->image->cmd);
	stage->image->has_cmd = stage->image->cmd.n > 0; /* CMD [] leaves none, as docker has it */
	stage->image->args_escaped = true;
	stage->cmd_set = true;
	note(stage, instruction);
	return 0;
}

int step_entrypoint(struct builder *builder, struct stage *stage,
		    const struct instruction *instruction, struct err *err)
{
	(void)builder;
	(void)err;
	strv_release(&stage->image->entrypoint);
	command(stage, instruction, 0, &stage->image->entrypoint);
	stage->image->has_entrypoint = stage->image->entrypoint.n > 0;
	if (!stage->cmd_set) { /* a CMD that was inherited was meant for another entrypoint */
		strv_release(&stage->image->cmd);
		stage->image->has_cmd = false;
	}
	note(stage, instruction);
	return 0;
}

int step_shell(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	       struct err *err)
{
	if (!instruction->json || !instruction->n_args)
		return dockerfile_error(builder->dockerfile, instruction->range, ERR_INVALID, err,
					"SHELL requires the arguments to be in JSON form");
	strv_release(&stage->image->shell);
	for (size_t i = 0; i < instruction->n_args; i++)
		strv_add(&stage->image->shell, instruction->args[i].text);
	stage->image->has_shell = true;
	note(stage, instruction);
	return 0;
}

static int health_duration(struct builder *builder, const struct instruction *instruction,
			   const char *flag_name, const char *key, json_t *health, struct err *err)
{
	const struct flag *flag = instruction_flag(instruction, flag_name);
	struct err why = ERR_INIT;
	int64_t ns;

	if (!flag)
		return 0;
	if (duration_parse(flag->value, &ns, &why) < 0)
		return dockerfile_error(builder->dockerfile, flag->range, ERR_INVALID, err, "%s",
					why.message);
	if (ns)
		json_object_set_new(health, key, json_integer(ns));
	return 0;
}

static int health_retries(struct builder *builder, const struct instruction *instruction,
			  json_t *health, struct err *err)
{
	const struct flag *flag = instruction_flag(instruction, "retries");
	unsigned long long count;
	char *end;

	if (!flag)
		return 0;
	count = strtoull(flag->value, &end, 10);
	if (!isdigit((unsigned char)*flag->value) || *end || count > 1000000)
		return dockerfile_error(builder->dockerfile, flag->range, ERR_INVALID, err,
					"--retries: expected a whole number, got \"%s\"",
					flag->value);
	if (count)
		json_object_set_new(health, "Retries", json_integer((json_int_t)count));
	return 0;
}

int step_healthcheck(struct builder *builder, struct stage *stage,
		     const struct instruction *instruction, struct err *err)
{
	cleanup_json json_t *health = json_object();
	json_t *test = json_array();

	json_object_set_new(health, "Test", test);
	if (!strcasecmp(instruction->args[0].text, "NONE")) {
		json_array_append_new(test, json_string("NONE"));
	} else {
		json_array_append_new(test, json_string(instruction->json ? "CMD" : "CMD-SHELL"));
		for (size_t i = 1; i < instruction->n_args; i++)
			json_array_append_new(test, json_string(instruction->args[i].text));
		if (health_duration(builder, instruction, "interval", "Interval", health, err) <
			    0 ||
		    health_duration(builder, instruction, "timeout", "Timeout", health, err) < 0 ||
		    health_duration(builder, instruction, "start-period", "StartPeriod", health,
				    err) < 0 ||
		    health_duration(builder, instruction, "start-interval", "StartInterval", health,
				    err) < 0 ||
		    health_retries(builder, instruction, health, err) < 0)
			return -1;
	}
	json_decref(stage->image->healthcheck);
	stage->image->healthcheck = json_incref(health);
	note(stage, instruction);
	return 0;
}

/* --- the rest --- */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sort, and drop what is there twice. Once per instruction: EXPOSE 1-65535 is legal. */
static void make_set(struct strv *set)
{
	size_t kept = 0;

	if (set->n < 2)
		return;
	qsort(set->v, set->n, sizeof(char *), compare_text);
	for (size_t i = 1; i < set->n; i++) {
		if (strcmp(set->v[kept], set->v[i]))
			set->v[++kept] = set->v[i];
		else
			free(set->v[i]);
	}
	set->n = kept + 1;
	set->v[set->n] = NULL;
}

/* [ip:][host:]port[-port][/proto]; only the container's side is kept. */
static int expose_one(struct strv *exposed, const char *text, struct err *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	cleanup_free char *ports = xstrndup(text, len);
	char *colon = strrchr(ports, ':');
	const char *range = colon ? colon + 1 : ports;
	cleanup_free char *proto = xstrdup(slash && slash[1] ? slash + 1 : "tcp");
	unsigned long first, last;
	char *end;

	for (char *c = proto; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (strcmp(proto, "tcp") && strcmp(proto, "udp") && strcmp(proto, "sctp"))
		return err_set(err, ERR_INVALID, "invalid proto: %s (expected tcp, udp or sctp)",
			       proto);
	first = last = strtoul(range, &end, 10);
	if (!isdigit((unsigned char)*range))
		return err_set(err, ERR_INVALID, "invalid containerPort: %s", text);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		last = strtoul(end + 1, &end, 10);
	if (*end || first > 65535 || last > 65535 || last < first)
		return err_set(err, ERR_INVALID, "invalid containerPort: %s", text);
	for (; first <= last; first++)
		strv_addf(exposed, "%lu/%s", first, proto);
	return 0;
}

static int expose_word(struct builder *builder, struct stage *stage, const struct word *word,
		       struct buf *text, struct err *err)
{
	struct err why = ERR_INIT;
	char **ports = NULL;
	size_t n = 0;
	int status = expand_words(word->text, builder->dockerfile->directives.escape, scope_lookup,
				  &stage->env, &ports, &n, &why);

	for (size_t i = 0; status == 0 && i < n; i++) {
		status = expose_one(&stage->image->exposed, ports[i], &why);
		buf_addf(text, " %s", ports[i]);
	}
	for (size_t i = 0; i < n; i++)
		free(ports[i]);
	free(ports);
	if (status < 0)
		return dockerfile_error(builder->dockerfile, word->range, why.kind, err, "%s",
					why.message);
	return 0;
}

int step_expose(struct builder *builder, struct stage *stage, const struct instruction *instruction,
		struct err *err)
{
	cleanup_buf struct buf text;
	int status = 0;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX);
	for (size_t i = 0; i < instruction->n_args && status == 0; i++)
		status = expose_word(builder, stage, &instruction->args[i], &text, err);
	make_set(&stage->image->exposed);
	if (status == 0)
		stage_add_history(stage, "EXPOSE%s", text.data);
	return status;
}

int step_volume(struct builder *builder, struct stage *stage, const struct instruction *instruction,
		struct err *err)
{
	cleanup_buf struct buf text;

	buf_init(&text, DOCKERFILE_EXPANSION_MAX);
	for (size_t i = 0; i < instruction->n_args; i++) {
		cleanup_free char *path = NULL;

		if (expand(builder, stage, &instruction->args[i], &path, err) < 0)
			return -1;
		if (!*path)
			return dockerfile_error(builder->dockerfile, instruction->args[i].range,
						ERR_INVALID, err,
						"VOLUME specified can not be an empty string");
		strv_add(&stage->image->volumes, path);
		buf_addf(&text, " %s", path);
	}
	make_set(&stage->image->volumes);
	stage_add_history(stage, "VOLUME%s", text.data);
	return 0;
}

int step_user(struct builder *builder, struct stage *stage, const struct instruction *instruction,
	      struct err *err)
{
	cleanup_free char *user = NULL;

	if (expand(builder, stage, &instruction->args[0], &user, err) < 0)
		return -1;
	free(stage->image->user);
	stage->image->user = steal_pointer(&user);
	stage_add_history(stage, "USER %s", stage->image->user);
	return 0;
}

static const char *const signal_names[] = {
	"ABRT", "ALRM",	  "BUS",   "CHLD", "CONT", "FPE",  "HUP",  "ILL",   "INT",
	"IO",	"KILL",	  "PIPE",  "POLL", "PROF", "PWR",  "QUIT", "SEGV",  "STKFLT",
	"STOP", "SYS",	  "TERM",  "TRAP", "TSTP", "TTIN", "TTOU", "URG",   "USR1",
	"USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "CLD",  "IOT",  "RTMIN", "RTMAX",
};

static bool valid_signal(const char *text)
{
	char *end;

	if (isdigit((unsigned char)*text)) {
		unsigned long number = strtoul(text, &end, 10);

		return !*end && number > 0 && number < 65;
	}
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++)
		if (!strcasecmp(text, signal_names[i]))
			return true;
	if (!strncasecmp(text, "RTMIN+", 6) || !strncasecmp(text, "RTMAX-", 6)) {
		unsigned long number = strtoul(text + 6, &end, 10);

		return isdigit((unsigned char)text[6]) && !*end && number < 32;
	}
	return false;
}

static int bad_signal(const struct builder *builder, const struct word *word, const char *text,
		      struct err *err)
{
	bool prefixed = !strncasecmp(text, "SIG", 3);
	const char *near =
		suggest(text + (prefixed ? 3 : 0), signal_names, ARRAY_SIZE(signal_names));

	if (!near)
		return dockerfile_error(builder->dockerfile, word->range, ERR_INVALID, err,
					"invalid signal: %s", text);
	return dockerfile_error(builder->dockerfile, word->range, ERR_INVALID, err,
				"invalid signal: %s (did you mean SIG%s?)", text, near);
}

int step_stopsignal(struct builder *builder, struct stage *stage,
		    const struct instruction *instruction, struct err *err)
{
	cleanup_free char *text = NULL;

	if (expand(builder, stage, &instruction->args[0], &text, err) < 0)
		return -1;
	if (!valid_signal(text))
		return bad_signal(builder, &instruction->args[0], text, err);
	free(stage->image->stop_signal);
	stage->image->stop_signal = steal_pointer(&text);
	stage_add_history(stage, "STOPSIGNAL %s", stage->image->stop_signal);
	return 0;
}

int step_maintainer(struct builder *builder, struct stage *stage,
		    const struct instruction *instruction, struct err *err)
{
	(void)builder;
	(void)err;
	free(stage->image->author);
	stage->image->author = xstrdup(instruction->args[0].text);
	note(stage, instruction);
	return 0;
}

int step_onbuild(struct builder *builder, struct stage *stage,
		 const struct instruction *instruction, struct err *err)
{
	(void)builder;
	(void)err;
	strv_add(&stage->image->on_build, instruction->trigger->text);
	return 0;
}
