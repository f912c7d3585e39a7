/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "builder/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

const char *scope_lookup(void *arg, const char *name, size_t name_len)
{
	const struct strv *env = arg;

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], name, name_len) && env->v[i][name_len] == '=')
			return env->v[i] + name_len + 1;
	return NULL;
}

int scope_expand(const struct dockerfile *dockerfile, const struct strv *env,
		 const struct word *word, char **ret_text, struct err *err)
{
	struct err why = ERR_INIT;

	if (expand_word(word->text, dockerfile->directives.escape, 0, scope_lookup, (void *)env,
			ret_text, &why) < 0)
		return dockerfile_error(dockerfile, word->range, why.kind, err, "%s", why.message);
	return 0;
}

static void add_platform(struct strv *args, const char *prefix, const struct platform *platform)
{
	char text[PLATFORM_TEXT_MAX];

	strv_addf(args, "%sPLATFORM=%s", prefix, platform_format(platform, text));
	strv_addf(args, "%sOS=%s", prefix, platform->os);
	strv_addf(args, "%sARCH=%s", prefix, platform->architecture);
	strv_addf(args, "%sVARIANT=%s", prefix, platform->variant);
	strv_addf(args, "%sOSVERSION=%s", prefix, platform->os_version);
}

void scope_add_platforms(struct strv *args, const struct platform *target,
			 const struct platform *build, const char *target_stage)
{
	add_platform(args, "BUILD", build);
	add_platform(args, "TARGET", target);
	strv_addf(args, "TARGETSTAGE=%s", target_stage ? target_stage : "default");
}

bool scope_is_silent(const char *name)
{
	return !strcmp(name, "BUILDKIT_SBOM_SCAN_CONTEXT") ||
	       !strcmp(name, "BUILDKIT_SBOM_SCAN_STAGE");
}

bool scope_is_proxy(const char *name)
{
	static const char *const proxies[] = {
		"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY",
		"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy",
	};

	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
		if (!strcmp(name, proxies[i]))
			return true;
	return false;
}
