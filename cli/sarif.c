/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/sarif.h"

#include <stdbool.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "dockerfile-parser/lint.h"

/* Messages quote the file, which may be anything; JSON is UTF-8. */
static json_t *text_of(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("(the message is not UTF-8)");
}

json_t *json_base64(const char *text, size_t len)
{
	cleanup_free char *encoded = base64_encode(text, len);

	return json_string(encoded);
}

/* A range per line, without columns, as BuildKit has it. */
static json_t *location(struct range range)
{
	json_t *ranges = json_array();

	for (unsigned line = range.start.line; line <= range.end.line; line++)
		json_array_append_new(ranges, json_pack("{s:{s:i},s:{s:i}}", "start", "line",
							(int)line, "end", "line", (int)line));
	return json_pack("{s:o}", "ranges", ranges);
}

static const char *severity_name(const struct lint_rule *rule)
{
	static const char *const names[] = {
		[LINT_WARNING] = "warning",
		[LINT_ERROR] = "error",
		[LINT_INFO] = "info",
	};

	return names[rule->severity];
}

/* SARIF's word for it. */
static const char *level_name(const struct lint_rule *rule)
{
	return rule->severity == LINT_INFO ? "note" : severity_name(rule);
}

json_t *lint_to_json(const struct lint_result *result, const char *name, const char *text,
		     size_t len)
{
	json_t *warnings = json_array();

	for (size_t i = 0; i < result->n_warnings; i++) {
		const struct lint_warning *warning = &result->warnings[i];
		json_t *object = json_pack("{s:s,s:s}", "ruleName", warning->rule->name,
					   "description", warning->rule->description);

		if (*warning->rule->url)
			json_object_set_new(object, "url", json_string(warning->rule->url));
		json_object_set_new(object, "detail", text_of(warning->message));
		json_object_set_new(object, "severity", json_string(severity_name(warning->rule)));
		json_object_set_new(object, "location", location(warning->range));
		json_array_append_new(warnings, object);
	}
	return json_pack("{s:o,s:[{s:o,s:s,s:o}]}", "warnings", warnings, "sources", "filename",
			 text_of(name), "language", "Dockerfile", "data", json_base64(text, len));
}

/* Where the warning's rule stands among those that spoke; each is there once. */
static size_t rule_index(json_t *rules, const struct lint_warning *warning)
{
	const struct lint_rule *rule = warning->rule;
	json_t *object;
	size_t i;

	for (i = 0; i < json_array_size(rules); i++)
		if (!strcmp(json_string_value(json_object_get(json_array_get(rules, i), "id")),
			    rule->name))
			return i;
	object = json_pack("{s:s,s:{s:s},s:{s:s}}", "id", rule->name, "shortDescription", "text",
			   rule->description, "defaultConfiguration", "level", level_name(rule));
	if (*rule->url)
		json_object_set_new(object, "helpUri", json_string(rule->url));
	json_array_append_new(rules, object);
	return i;
}

static json_t *sarif_result(const struct lint_warning *warning, const char *name, size_t rule)
{
	json_t *region = json_pack("{s:i,s:i,s:i,s:i}", "startLine", (int)warning->range.start.line,
				   "startColumn", (int)warning->range.start.column, "endLine",
				   (int)warning->range.end.line, "endColumn",
				   (int)warning->range.end.column);

	return json_pack("{s:s,s:i,s:s,s:{s:o},s:[{s:{s:{s:o},s:o}}]}", "ruleId",
			 warning->rule->name, "ruleIndex", (int)rule, "level",
			 level_name(warning->rule), "message", "text", text_of(warning->message),
			 "locations", "physicalLocation", "artifactLocation", "uri", text_of(name),
			 "region", region);
}

json_t *lint_to_sarif(const struct lint_result *result, const char *name)
{
	json_t *rules = json_array(), *results = json_array();

	for (size_t i = 0; i < result->n_warnings; i++)
		json_array_append_new(results,
				      sarif_result(&result->warnings[i], name,
						   rule_index(rules, &result->warnings[i])));
	return json_pack("{s:s,s:s,s:[{s:{s:{s:s,s:s,s:o}},s:o}]}", "$schema",
			 "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0",
			 "runs", "tool", "driver", "name", "cbuild", "version", PACKAGE_VERSION,
			 "rules", rules, "results", results);
}
