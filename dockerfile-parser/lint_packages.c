/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hadolint's rules of package managers: versions are pinned, questions are not asked, and caches
 * do not stay in the layer. One table says how each manager is called.
 */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

#define WIKI "https://github.com/hadolint/hadolint/wiki/"

typedef bool pinned_function(const char *package);

struct installer {
	const char *programs[3];
	const char *verbs[3];
	const char *const *valued; /* options that take the next word */
	pinned_function *is_pinned;
	const char *form; /* how a version is named */
};

static bool is_install(const struct installer *installer, const struct shell_command *command)
{
	const char *verb = shell_verb(command);
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(installer->programs) && installer->programs[i]; i++)
		found |= shell_is(command, installer->programs[i]);
	for (size_t i = 0; found && i < ARRAY_SIZE(installer->verbs) && installer->verbs[i]; i++)
		if (!strcmp(verb, installer->verbs[i]))
			return true;
	return false;
}

/* What is no name of a package: a variable, a path, a URL, a file. */
static bool is_place(const char *word)
{
	static const char *const ends[] = { ".deb", ".rpm", ".apk", ".whl", ".tgz", ".gz", ".gem" };
	size_t len = strlen(word);

	if (!len || strchr("./~$`", *word) || strstr(word, "://") || !strncmp(word, "git+", 4))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (len > strlen(ends[i]) && !strcmp(word + len - strlen(ends[i]), ends[i]))
			return true;
	return strchr(word, '$') != NULL;
}

static bool pinned_by_equals(const char *package)
{
	return strpbrk(package, "=/") != NULL;
}

static bool pinned_apk(const char *package)
{
	return strpbrk(package, "=<>~") != NULL;
}

static bool pinned_pip(const char *package)
{
	return strstr(package, "==") || strpbrk(package, "<>~!@") != NULL;
}

/* name@version, and @scope/name@version */
static bool pinned_by_at(const char *package)
{
	const char *at = strchr(package + 1, '@');

	return at && at[1] && strcmp(at, "@latest") != 0;
}

static bool pinned_by_colon(const char *package)
{
	return strchr(package, ':') != NULL;
}

/* name-1.2 */
static bool pinned_by_dash(const char *package)
{
	for (const char *dash = package; (dash = strchr(dash, '-')); dash++)
		if (isdigit((unsigned char)dash[1]))
			return true;
	return *package == '@'; /* a group */
}

static const char *const apt_valued[] = { "-t", "--target-release", "-o", "-c", "--option", NULL };
static const char *const apk_valued[] = { "-t", "--virtual", "-X", "--repository",
					  "-p", "--root",    NULL };
static const char *const pip_valued[] = {
	"-r",	    "--requirement",
	"-c",	    "--constraint",
	"-i",	    "--index-url",
	"-t",	    "-e",
	"--target", "--editable",
	"--prefix", "--extra-index-url",
	"-f",	    NULL,
};
static const char *const npm_valued[] = { "--prefix", "--registry", "-C", NULL };
static const char *const gem_valued[] = { "--source", "-i", "--install-dir", NULL };
static const char *const yum_valued[] = { "--setopt", "-c", NULL };

static const struct installer apt = {
	{ "apt-get", "apt" }, { "install" }, apt_valued, pinned_by_equals, "=<version>"
};
static const struct installer pip = {
	{ "pip", "pip3" }, { "install" }, pip_valued, pinned_pip, "==<version>"
};
static const struct installer npm = {
	{ "npm" }, { "install", "i", "add" }, npm_valued, pinned_by_at, "@<version>"
};
static const struct installer apk = { { "apk" }, { "add" }, apk_valued, pinned_apk, "=<version>" };
static const struct installer gem = {
	{ "gem" }, { "install", "i" }, gem_valued, pinned_by_colon, ":<version>"
};
static const struct installer yum = {
	{ "yum" }, { "install" }, yum_valued, pinned_by_dash, "-<version>"
};
static const struct installer go = { { "go" }, { "install" }, NULL, pinned_by_at, "@<version>" };

/* gem install x -v 1.2; pip install -c versions.txt; the packages of a file are its own matter */
static bool pinned_by_option(const struct installer *installer, const struct shell_command *command)
{
	if (installer == &gem)
		return shell_has(command, "-v") || shell_has(command, "--version");
	return installer == &pip &&
	       (shell_has(command, "-c") || shell_has(command, "--constraint"));
}

static void check_pins(struct lint *lint, const struct lint_check *check,
		       const struct lint_step *step, const struct shell_command *command)
{
	const struct installer *installer = check->data;
	const char **packages;
	size_t n;

	if (!is_install(installer, command) || pinned_by_option(installer, command))
		return;
	n = shell_operands(lint->arena, command, installer->valued, &packages);
	for (size_t i = 0; i < n; i++) {
		if (installer != &go ? is_place(packages[i]) : strchr("./$", *packages[i]) != NULL)
			continue;
		if (!installer->is_pinned(packages[i])) {
			const char *latest = strstr(packages[i], "@latest");
			int len = (int)(latest ? (size_t)(latest - packages[i])
					       : strlen(packages[i]));

			lint_warn(lint, check, step, "Pin the version of %.*s: %.*s%s", len,
				  packages[i], len, packages[i], installer->form);
			return; /* one line is one warning */
		}
	}
}

typedef void command_function(struct lint *lint, const struct lint_check *check,
			      const struct lint_step *step, const struct shell_command *command);

static void each_command(struct lint *lint, const struct lint_check *check,
			 command_function *function)
{
	for (struct lint_step *step = NULL; (step = lint_next_alone(lint, step, INSTRUCTION_RUN));)
		for (size_t i = 0; i < step->n_commands; i++)
			function(lint, check, step, &step->commands[i]);
}

static void unpinned(struct lint *lint, const struct lint_check *check)
{
	each_command(lint, check, check_pins);
}

/* --- options --------------------------------------------------------------------------------- */

static void check_yes(struct lint *lint, const struct lint_check *check,
		      const struct lint_step *step, const struct shell_command *command)
{
	if (is_install(&apt, command) && shell_is(command, "apt-get") &&
	    !shell_has_letter(command, 'y') && !shell_has(command, "--yes") &&
	    !shell_has(command, "--assume-yes") && !shell_has(command, "-qq") &&
	    !shell_has(command, "-q=2"))
		lint_warn(lint, check, step, "Use apt-get install -y: nobody is there to answer");
}

static void apt_yes(struct lint *lint, const struct lint_check *check)
{
	each_command(lint, check, check_yes);
}

static void check_recommends(struct lint *lint, const struct lint_check *check,
			     const struct lint_step *step, const struct shell_command *command)
{
	if (!is_install(&apt, command) || shell_has(command, "--no-install-recommends"))
		return;
	for (size_t i = 0; i < command->n_words; i++)
		if (strstr(command->words[i], "Install-Recommends"))
			return;
	lint_warn(lint, check, step,
		  "Use --no-install-recommends: what is only recommended stays "
		  "out of the image");
}

static void apt_recommends(struct lint *lint, const struct lint_check *check)
{
	each_command(lint, check, check_recommends);
}

static void check_apt(struct lint *lint, const struct lint_check *check,
		      const struct lint_step *step, const struct shell_command *command)
{
	if (shell_is(command, "apt"))
		lint_warn(lint, check, step,
			  "Use apt-get or apt-cache: apt is for people, its interface changes");
}

static void apt_itself(struct lint *lint, const struct lint_check *check)
{
	each_command(lint, check, check_apt);
}

/* --- caches ---------------------------------------------------------------------------------- */

/* Whether the step mounts a cache or a tmpfs over the place, so that nothing of it stays. */
static bool is_mounted(const struct lint_step *step, const char *place)
{
	for (size_t i = 0; i < step->instruction->n_flags; i++) {
		const struct flag *flag = &step->instruction->flags[i];

		if (!strcmp(flag->name, "mount") && strstr(flag->value, place) &&
		    (strstr(flag->value, "type=cache") || strstr(flag->value, "type=tmpfs")))
			return true;
	}
	return false;
}

static bool removes(const struct lint_step *step, const char *place)
{
	for (size_t i = 0; i < step->n_commands; i++) {
		const struct shell_command *command = &step->commands[i];

		if (!shell_is(command, "rm") && !shell_is(command, "find"))
			continue;
		for (size_t k = 1; k < command->n_words; k++)
			if (strstr(command->words[k], place))
				return true;
	}
	return false;
}

static void apt_lists(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_RUN));) {
		bool updates = false;

		for (size_t i = 0; i < step->n_commands; i++)
			updates |= (shell_is(&step->commands[i], "apt-get") ||
				    shell_is(&step->commands[i], "apt")) &&
				   !strcmp(shell_verb(&step->commands[i]), "update");
		if (updates && !removes(step, "/var/lib/apt/lists") &&
		    !is_mounted(step, "/var/lib/apt"))
			lint_warn(lint, check, step,
				  "Delete the apt lists in the same RUN: rm -rf "
				  "/var/lib/apt/lists/*");
	}
}

static void check_apk_cache(struct lint *lint, const struct lint_check *check,
			    const struct lint_step *step, const struct shell_command *command)
{
	if (is_install(&apk, command) && !shell_has(command, "--no-cache") &&
	    !removes(step, "/var/cache/apk") && !is_mounted(step, "/var/cache/apk"))
		lint_warn(lint, check, step, "Use apk add --no-cache");
}

static void apk_cache(struct lint *lint, const struct lint_check *check)
{
	each_command(lint, check, check_apk_cache);
}

static void check_pip_cache(struct lint *lint, const struct lint_check *check,
			    const struct lint_step *step, const struct shell_command *command)
{
	const char *off = env_get(&step->stage->env, "PIP_NO_CACHE_DIR");

	if (is_install(&pip, command) && !shell_has(command, "--no-cache-dir") && !off &&
	    !removes(step, ".cache") && !is_mounted(step, ".cache"))
		lint_warn(lint, check, step, "Use pip install --no-cache-dir");
}

static void pip_cache(struct lint *lint, const struct lint_check *check)
{
	each_command(lint, check, check_pip_cache);
}

static void yarn_cache(struct lint *lint, const struct lint_check *check)
{
	for (struct lint_step *step = NULL;
	     (step = lint_next_alone(lint, step, INSTRUCTION_RUN));) {
		bool installs = false, cleans = false;

		for (size_t i = 0; i < step->n_commands; i++) {
			const struct shell_command *command = &step->commands[i];
			const char *verb = shell_verb(command);

			if (!shell_is(command, "yarn"))
				continue;
			installs |= !strcmp(verb, "install") || !strcmp(verb, "add");
			cleans |= !strcmp(verb, "cache") && command->n_words > 2 &&
				  !strcmp(command->words[2], "clean");
		}
		if (installs && !cleans && !is_mounted(step, "yarn") && !is_mounted(step, ".cache"))
			lint_warn(lint, check, step, "Run yarn cache clean in the same RUN");
	}
}

#define RULE(name, severity, function, data, text)                                                 \
	{                                                                                          \
		{ name, text, WIKI name, LINT_##severity }, LINT_HADOLINT, false, function, data   \
	}

const struct lint_check lint_package_checks[] = {
	RULE("DL3008", WARNING, unpinned, &apt, "Versions of apt packages should be pinned"),
	RULE("DL3009", INFO, apt_lists, NULL, "apt lists should not stay in the layer"),
	RULE("DL3013", WARNING, unpinned, &pip, "Versions of pip packages should be pinned"),
	RULE("DL3014", WARNING, apt_yes, NULL, "apt-get install should not ask"),
	RULE("DL3015", INFO, apt_recommends, NULL, "Recommended packages should be left out"),
	RULE("DL3016", WARNING, unpinned, &npm, "Versions of npm packages should be pinned"),
	RULE("DL3018", WARNING, unpinned, &apk, "Versions of apk packages should be pinned"),
	RULE("DL3019", INFO, apk_cache, NULL, "apk should not leave its cache in the layer"),
	RULE("DL3027", WARNING, apt_itself, NULL, "apt should not be used in scripts"),
	RULE("DL3028", WARNING, unpinned, &gem, "Versions of gems should be pinned"),
	RULE("DL3033", WARNING, unpinned, &yum, "Versions of yum packages should be pinned"),
	RULE("DL3042", WARNING, pip_cache, NULL, "pip should not leave its cache in the layer"),
	RULE("DL3060", INFO, yarn_cache, NULL, "yarn should not leave its cache in the layer"),
	RULE("DL3062", WARNING, unpinned, &go, "Versions of Go programs should be pinned"),
	{ .function = NULL },
};
