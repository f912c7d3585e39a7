/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layers/platform.c: platforms as containerd spells and compares them, with one difference: an
 * image of another architecture is never taken for want of the right one, though the processor
 * could run it (386 on amd64, arm on arm64).
 */
#include <ctype.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/err.h"
#include "layers/image.h"
#include "layers/internal.h"

/* Spellings. An empty variant in a row keeps the one that was given. */
struct spelling {
	const char *from, *to;
	const char *variant;
};

static const struct spelling architectures[] = {
	{ "i386", "386", "" },
	{ "x86_64", "amd64", "" },
	{ "x86-64", "amd64", "" },
	{ "aarch64", "arm64", "" },
	{ "armhf", "arm", "v7" },
	{ "armel", "arm", "v6" },
	{ "riscv", "riscv64", "" },
	{ "powerpc64le", "ppc64le", "" },
	{ "loongarch64", "loong64", "" },
};

static const char *const known_os[] = {
	"linux",   "darwin",  "windows", "freebsd", "openbsd", "netbsd", "dragonfly",
	"solaris", "illumos", "plan9",	 "aix",	    "android", "js",	 "wasip1",
};

static const char *const known_architectures[] = {
	"386",	 "amd64",    "arm",	"arm64",   "loong64", "mips",	 "mipsle", "mips64",
	"ppc64", "mips64le", "ppc64le", "riscv64", "s390x",   "sparc64", "wasm",
};

static bool is_listed(const char *const list[], size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static void set(char *field, size_t size, const char *text)
{
	snprintf(field, size, "%s", text);
}

#define SET(field, text) set(field, sizeof(field), text)

static void normalise_variant(struct platform *platform)
{
	const char *architecture = platform->architecture;
	char *variant = platform->variant;

	if (isdigit((unsigned char)variant[0]) && strlen(variant) + 1 < sizeof(platform->variant) &&
	    (!strcmp(architecture, "arm") || !strcmp(architecture, "arm64") ||
	     !strcmp(architecture, "amd64"))) {
		memmove(variant + 1, variant, strlen(variant) + 1);
		variant[0] = 'v';
	}
	if (!strcmp(architecture, "amd64") && !strcmp(variant, "v1"))
		variant[0] = '\0';
	if (!strcmp(architecture, "arm64") && (!strcmp(variant, "v8") || !strcmp(variant, "v8.0")))
		variant[0] = '\0';
}

void platform_normalise(struct platform *platform)
{
	lower(platform->os);
	lower(platform->architecture);
	lower(platform->variant);
	if (!strcmp(platform->os, "macos"))
		SET(platform->os, "darwin");
	for (size_t i = 0; i < ARRAY_SIZE(architectures); i++) {
		const struct spelling *row = &architectures[i];

		if (strcmp(platform->architecture, row->from))
			continue;
		SET(platform->architecture, row->to);
		if (row->variant[0])
			SET(platform->variant, row->variant);
		break;
	}
	normalise_variant(platform);
}

/* The variant that an arm platform has when none is named. */
static void default_variant(struct platform *platform)
{
	if (!strcmp(platform->architecture, "arm") && !platform->variant[0])
		SET(platform->variant, "v7");
}

/* One component of text into a field; *text moves behind it and its slash. */
static bool take_component(const char **text, char *field, size_t size)
{
	size_t len = strcspn(*text, "/");

	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)(*text)[i]) && !strchr("_.-", (*text)[i]))
			return false;
	memcpy(field, *text, len);
	field[len] = '\0';
	*text += len;
	if (**text != '/')
		return true;
	return *++*text != '\0';
}

/* "windows(10.0.17763)/amd64": copy the version, move *text behind its parenthesis. */
static bool take_os(const char **text, struct platform *platform)
{
	size_t len = strcspn(*text, "(/");
	size_t version_len = strcspn(*text + len, ")");
	char os[sizeof(platform->os) + 1];
	const char *at = os;

	if ((*text)[len] != '(')
		return take_component(text, platform->os, sizeof(platform->os));
	if (len >= sizeof(os) || (*text)[len + version_len] != ')' ||
	    version_len > sizeof(platform->os_version))
		return false;
	memcpy(os, *text, len);
	os[len] = '\0';
	memcpy(platform->os_version, *text + len + 1, version_len - 1);
	platform->os_version[version_len - 1] = '\0';
	*text += len + version_len + 1;
	return take_component(&at, platform->os, sizeof(platform->os)) &&
	       (!**text || (*(*text)++ == '/' && **text));
}

static bool split(const char *text, struct platform *platform)
{
	return take_os(&text, platform) &&
	       (!*text ||
		take_component(&text, platform->architecture, sizeof(platform->architecture))) &&
	       (!*text || take_component(&text, platform->variant, sizeof(platform->variant))) &&
	       !*text;
}

/* A single word is an operating system or an architecture; the host has the rest. */
static int complete_from_host(struct platform *platform, struct err *err)
{
	struct platform host;

	platform_host(&host);
	if (is_listed(known_os, ARRAY_SIZE(known_os), platform->os)) {
		SET(platform->architecture, host.architecture);
		SET(platform->variant, host.variant);
		return 0;
	}
	SET(platform->architecture, platform->os);
	SET(platform->os, host.os);
	platform_normalise(platform);
	if (!is_listed(known_architectures, ARRAY_SIZE(known_architectures),
		       platform->architecture))
		return err_set(err, ERR_INVALID, "\"%s\": unknown operating system or architecture",
			       platform->architecture);
	return 0;
}

int platform_parse(const char *text, struct platform *ret_platform, struct err *err)
{
	struct platform platform = { .os = "" };

	if (!split(text, &platform))
		return err_set(err, ERR_INVALID,
			       "\"%.100s\" is not a platform (os/architecture[/variant])", text);
	platform_normalise(&platform);
	if (!platform.architecture[0] && complete_from_host(&platform, err) < 0)
		return -1;
	default_variant(&platform);
	*ret_platform = platform;
	return 0;
}

static const char *host_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__i386__)
	return "386";
#elif defined(__aarch64__)
	return "arm64";
#elif defined(__arm__)
	return "arm";
#elif defined(__riscv) && __riscv_xlen == 64
	return "riscv64";
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return "ppc64le";
#elif defined(__powerpc64__)
	return "ppc64";
#elif defined(__s390x__)
	return "s390x";
#elif defined(__loongarch_lp64)
	return "loong64";
#elif defined(__mips64) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return "mips64le";
#else
	return "unknown";
#endif
}

void platform_host(struct platform *ret_platform)
{
	struct platform platform = { .os = "linux" };
	struct utsname uts;

	SET(platform.architecture, host_architecture());
	if (!strcmp(platform.architecture, "arm")) {
		/* a kernel of 64 bits runs v7; armv6l also says so on processors that report 7 */
		bool v6 = uname(&uts) == 0 && !strncmp(uts.machine, "armv6", 5);

		SET(platform.variant, v6 ? "v6" : "v7");
	}
	*ret_platform = platform;
}

const char *platform_format(const struct platform *platform, char text[PLATFORM_TEXT_MAX])
{
	snprintf(text, PLATFORM_TEXT_MAX, "%s/%s%s%s", platform->os, platform->architecture,
		 platform->variant[0] ? "/" : "", platform->variant);
	return text;
}

/* "v8.1" is 801. False for what is not such a number. */
static bool variant_number(const char *variant, unsigned *ret_number)
{
	unsigned major = 0, minor = 0;
	const char *c = variant;

	if (*c++ != 'v' || !isdigit((unsigned char)*c))
		return false;
	while (isdigit((unsigned char)*c) && major < 1000)
		major = major * 10 + (unsigned)(*c++ - '0');
	if (*c == '.' && isdigit((unsigned char)*++c))
		while (isdigit((unsigned char)*c) && minor < 100)
			minor = minor * 10 + (unsigned)(*c++ - '0');
	if (*c || minor >= 100)
		return false;
	*ret_number = major * 100 + minor;
	return true;
}

#define MATCH_EXACT	 1000000u
#define MATCH_NO_VARIANT 1u

unsigned platform_match(const struct platform *want, const struct platform *have)
{
	struct platform a = *want, b = *have;
	unsigned want_number, have_number;

	platform_normalise(&a);
	platform_normalise(&b);
	default_variant(&a);
	if (strcmp(a.os, b.os) || strcmp(a.architecture, b.architecture))
		return 0;
	if (!strcmp(a.variant, b.variant))
		return MATCH_EXACT;
	if (!b.variant[0])
		return MATCH_NO_VARIANT;
	if (!variant_number(b.variant, &have_number) || !variant_number(a.variant, &want_number))
		return 0;
	/* armv9.x runs armv8.(x+5) */
	if (!strcmp(a.architecture, "arm64") && want_number >= 900 && have_number < 900)
		want_number = 800 + want_number - 900 + 5;
	return have_number <= want_number ? MATCH_NO_VARIANT + have_number : 0;
}
