/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build --call and --check: what is asked of a Dockerfile instead of an image. Part of `build`,
 * whose options say which file, context, arguments and target are meant. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "builder/check.h"
#include "cli/internal.h"
#include "cli/sarif.h"
#include "dockerfile-parser/lint.h"

static int parse_method(struct cli *cli, const char *text, size_t len, enum check_call *ret_call,
			struct err *err)
{
	static const struct {
		const char *name;
		enum check_call call;
	} methods[] = {
		{ "build", CALL_BUILD },     { "check", CALL_CHECK },	  { "lint", CALL_CHECK },
		{ "outline", CALL_OUTLINE }, { "targets", CALL_TARGETS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strlen(methods[i].name) != len || strncmp(methods[i].name, text, len))
			continue;
		*ret_call = methods[i].call;
		return 0;
	}
	return cli_usage(cli, err,
			 "--call: expected build, check, outline or targets, got \"%.*s\"",
			 (int)len, text);
}

static int parse_format(struct cli *cli, const char *text, enum check_format *ret_format,
			struct err *err)
{
	if (!strcmp(text, "text"))
		*ret_format = CHECK_TEXT;
	else if (!strcmp(text, "json"))
		*ret_format = CHECK_JSON;
	else if (!strcmp(text, "sarif"))
		*ret_format = CHECK_SARIF;
	else
		return cli_usage(cli, err, "--format: expected text, json or sarif, got \"%s\"",
				 text);
	return 0;
}

int check_call_parse(struct cli *cli, const char *call, bool check, const char *format,
		     struct check_call_options *ret_options, struct err *err)
{
	struct check_call_options options = { .call = CALL_BUILD };
	size_t len = call ? strcspn(call, ",") : 0;

	if (call && check)
		return cli_usage(cli, err, "--check is --call=check: give one of them");
	if (call && parse_method(cli, call, len, &options.call, err) < 0)
		return -1;
	if (check)
		options.call = CALL_CHECK;
	if (call && call[len]) {
		if (strncmp(call + len, ",format=", 8) != 0)
			return cli_usage(cli, err,
					 "--call: expected METHOD,format=FORMAT, got \"%s\"", call);
		format = call + len + 8;
	}
	if (format && options.call == CALL_BUILD)
		return cli_usage(cli, err, "--format goes with --call or --check");
	if (format && parse_format(cli, format, &options.format, err) < 0)
		return -1;
	if (options.format == CHECK_SARIF && options.call != CALL_CHECK)
		return cli_usage(cli, err, "--format=sarif goes with --check");
	*ret_options = options;
	return 0;
}

static void print_json(json_t *value)
{
	cleanup_free char *text = js_dump_indented(value, 2);

	printf("%s\n", text);
	json_decref(value);
}

static void print_result(const struct lint_result *result, enum check_format format,
			 const struct build_options *build)
{
	switch (format) {
	case CHECK_TEXT:
		lint_print_text(stdout, result);
		break;
	case CHECK_JSON:
		print_json(lint_to_json(result, build->dockerfile_name, build->dockerfile_text,
					build->dockerfile_len));
		break;
	case CHECK_SARIF:
		print_json(lint_to_sarif(result, build->dockerfile_name));
		break;
	}
}

static int call_check(const struct check_call_options *options, const struct build_options *build,
		      struct err *err)
{
	struct lint_result *result;
	int status = build_check(build, options->registries, &result, err);

	if (result) {
		print_result(result, options->format, build);
		if (status == 0 && result->n_warnings && result->fail)
			status = lint_error(result, err);
		else if (status == 0)
			status = result->n_warnings ? EXIT_FAILED : EXIT_OK;
	}
	lint_free(result);
	return status;
}

/* --- outline and targets ---------------------------------------------------------------------- */

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_line(const char *label, const char *text)
{
	cleanup_free char *cell = text_cell(text, 1000);

	printf("%-13s%s\n", label, cell);
}

/* One row per item of the list, its members in columns; nothing when it is empty. */
static void print_list(const json_t *outline, const char *list_key, const char *const *titles,
		       const char *const *keys, size_t columns)
{
	const json_t *list = json_object_get(outline, list_key);
	struct table table = { .columns = columns };

	if (!json_array_size(list))
		return;
	for (size_t c = 0; c < columns; c++)
		strv_add(&table.cells, titles[c]);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);

		for (size_t c = 0; c < columns; c++) {
			const json_t *value = json_object_get(item, keys[c]);
			cleanup_free char *cell = text_cell(
				json_is_true(value) ? "true" : string_of(item, keys[c]), 1000);

			strv_add(&table.cells, cell);
		}
	}
	table_print(&table);
	putchar('\n');
	strv_release(&table.cells);
}

static void print_outline(const json_t *outline)
{
	static const char *const arg_titles[] = { "BUILD ARG", "VALUE", "DESCRIPTION" };
	static const char *const arg_keys[] = { "name", "value", "description" };
	static const char *const secret_titles[] = { "SECRET", "REQUIRED" };
	static const char *const ssh_titles[] = { "SSH", "REQUIRED" };
	static const char *const mount_keys[] = { "name", "required" };

	if (*string_of(outline, "name")) {
		print_line("TARGET:", string_of(outline, "name"));
		if (*string_of(outline, "description"))
			print_line("DESCRIPTION:", string_of(outline, "description"));
		putchar('\n');
	}
	print_list(outline, "args", arg_titles, arg_keys, ARRAY_SIZE(arg_keys));
	print_list(outline, "secrets", secret_titles, mount_keys, ARRAY_SIZE(mount_keys));
	print_list(outline, "ssh", ssh_titles, mount_keys, ARRAY_SIZE(mount_keys));
}

static void print_targets(const json_t *object)
{
	const json_t *targets = json_object_get(object, "targets");
	struct table table = { .columns = 2 };

	strv_add(&table.cells, "TARGET");
	strv_add(&table.cells, "DESCRIPTION");
	for (size_t i = 0; i < json_array_size(targets); i++) {
		const json_t *target = json_array_get(targets, i);
		const char *name = string_of(target, "name");
		bool is_default = json_is_true(json_object_get(target, "default"));
		cleanup_free char *cell = text_cell(string_of(target, "description"), 1000);

		strv_addf(&table.cells, "%s%s%s", name, is_default && *name ? " " : "",
			  is_default ? "(default)" : "");
		strv_add(&table.cells, cell);
	}
	table_print(&table);
	strv_release(&table.cells);
}

static void print_object(json_t *object, enum check_format format, void (*print)(const json_t *),
			 const struct build_options *build)
{
	if (format == CHECK_TEXT) {
		print(object);
		json_decref(object);
		return;
	}
	json_object_set_new(
		object, "sources",
		json_pack("[o]", json_base64(build->dockerfile_text, build->dockerfile_len)));
	print_json(object);
}

int check_call_run(const struct check_call_options *options, const struct build_options *build,
		   struct err *err)
{
	json_t *object;

	switch (options->call) {
	case CALL_CHECK:
		return call_check(options, build, err);
	case CALL_OUTLINE:
		if (build_outline(build, &object, err) < 0)
			return -1;
		print_object(object, options->format, print_outline, build);
		return EXIT_OK;
	case CALL_TARGETS:
		if (build_targets(build, &object, err) < 0)
			return -1;
		print_object(object, options->format, print_targets, build);
		return EXIT_OK;
	case CALL_BUILD:
		break;
	}
	return EXIT_OK;
}
