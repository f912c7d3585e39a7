/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/reference.h"

/*
 * The grammar, as the distribution project has it:
 *
 *	reference   = domain "/" path [":" tag] ["@" digest]
 *	domain      = host [":" 1*digit]
 *	host        = component *("." component) | "[" 1*(hex | ":") "]"
 *	component   = alnum [*(alnum | "-") alnum]
 *	path        = path-part *("/" path-part)
 *	path-part   = lower *((["."] | "_" | "__" | 1*"-") lower)     lower = 1*[a-z0-9]
 *	tag         = word *127(word | "." | "-")                      word  = [A-Za-z0-9_]
 *	digest      = algorithm ":" 32*hex
 *
 * Each scan_ function returns how many bytes its rule takes at the start of the text, 0 for none.
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define REFERENCE_INPUT_MAX  4096
#define DOCKER_DOMAIN	     "docker.io"
#define DOCKER_LEGACY_DOMAIN "index.docker.io"
#define DOCKER_LIBRARY	     "library/"

/* What a text is made of, before its parts are copied. */
struct split {
	const char *domain;
	size_t domain_len;
	const char *prefix; /* "library/" or "" */
	const char *rest;   /* everything after the domain */
};

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_upper(c);
}

static size_t scan_lower(const char *text)
{
	size_t n = 0;

	while (is_lower(text[n]))
		n++;
	return n;
}

static size_t scan_separator(const char *text)
{
	size_t n = 0;

	if (text[0] == '.')
		return 1;
	if (text[0] == '_')
		return text[1] == '_' ? 2 : 1;
	while (text[n] == '-')
		n++;
	return n;
}

static size_t scan_path_part(const char *text)
{
	size_t n = scan_lower(text);

	while (n > 0) {
		size_t separator = scan_separator(text + n);
		size_t more = separator ? scan_lower(text + n + separator) : 0;

		if (!more)
			break;
		n += separator + more;
	}
	return n;
}

static size_t scan_path(const char *text)
{
	size_t n = scan_path_part(text);

	while (n > 0 && text[n] == '/') {
		size_t more = scan_path_part(text + n + 1);

		if (!more)
			break;
		n += 1 + more;
	}
	return n;
}

static bool domain_component_ok(const char *text, size_t len)
{
	if (!len || !is_alnum(text[0]) || !is_alnum(text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(text[i]) && text[i] != '-')
			return false;
	return true;
}

static bool domain_host_ok(const char *text, size_t len)
{
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		for (size_t i = 1; i < len - 1; i++)
			if (!isxdigit((unsigned char)text[i]) && text[i] != ':')
				return false;
		return true;
	}
	for (;;) {
		const char *dot = memchr(text, '.', len);
		size_t part = dot ? (size_t)(dot - text) : len;

		if (!domain_component_ok(text, part))
			return false;
		if (!dot)
			return true;
		text += part + 1;
		len -= part + 1;
	}
}

static bool domain_ok(const char *text, size_t len)
{
	size_t digits = 0;

	while (digits < len && text[len - 1 - digits] >= '0' && text[len - 1 - digits] <= '9')
		digits++;
	if (digits > 0 && digits < len && text[len - 1 - digits] == ':')
		return domain_host_ok(text, len - digits - 1);
	return domain_host_ok(text, len);
}

static size_t scan_tag(const char *text)
{
	size_t n = 0;

	if (!is_alnum(text[0]) && text[0] != '_')
		return 0;
	while (is_alnum(text[n]) || text[n] == '_' || text[n] == '.' || text[n] == '-')
		n++;
	return n <= 128 ? n : 0;
}

/* Whether this has the shape of some digest; whether it is one of ours is digest_parse()'s. */
static bool digest_shape_ok(const char *text)
{
	const char *colon = strchr(text, ':');
	bool begins = true;
	size_t n = 0;

	if (!colon || colon == text)
		return false;
	for (const char *p = text; p < colon; p++) {
		bool letter = is_alnum(*p) && !(*p >= '0' && *p <= '9');

		if (begins ? !letter : !is_alnum(*p) && !strchr("-_+.", *p))
			return false;
		begins = strchr("-_+.", *p) != NULL;
	}
	while (isxdigit((unsigned char)colon[1 + n]))
		n++;
	return !begins && n >= 32 && !colon[1 + n];
}

static int parse_digest(const char *text, struct reference *reference, struct err *err)
{
	const char *hex = text + strlen("sha256:");

	if (!digest_shape_ok(text))
		return err_set(err, ERR_INVALID, "invalid reference format");
	if (strncmp(text, "sha512:", 7) == 0)
		return err_set(err, ERR_UNSUPPORTED, "sha512 digests are not supported");
	if (strncmp(text, "sha256:", 7) != 0)
		return err_set(err, ERR_INVALID, "unsupported digest algorithm");
	if (strlen(hex) != 64)
		return err_set(err, ERR_INVALID, "invalid checksum digest length");
	if (!digest_parse_hex(hex, &reference->digest))
		return err_set(err, ERR_INVALID, "invalid checksum digest format");
	reference->has_digest = true;
	return 0;
}

/* The length of the domain that a name begins with, 0 when it names none: the first component is a
 * registry only when it cannot be a name on Docker Hub. */
static size_t domain_length(const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] == '.' || text[i] == ':' || is_upper(text[i]))
			return len;
	return len == 9 && strncmp(text, "localhost", len) == 0 ? len : 0;
}

static void split_domain(const char *text, struct split *ret_split)
{
	size_t len = domain_length(text);
	bool named = len > 0;

	*ret_split = (struct split){
		.domain = named ? text : DOCKER_DOMAIN,
		.domain_len = named ? len : strlen(DOCKER_DOMAIN),
		.prefix = "",
		.rest = named ? text + len + 1 : text,
	};
	if (len == strlen(DOCKER_LEGACY_DOMAIN) && strncmp(text, DOCKER_LEGACY_DOMAIN, len) == 0) {
		ret_split->domain = DOCKER_DOMAIN;
		ret_split->domain_len = strlen(DOCKER_DOMAIN);
	}
	if (ret_split->domain_len == strlen(DOCKER_DOMAIN) &&
	    strncmp(ret_split->domain, DOCKER_DOMAIN, ret_split->domain_len) == 0 &&
	    !strchr(ret_split->rest, '/'))
		ret_split->prefix = DOCKER_LIBRARY;
}

static int check_lower_case(const struct split *split, struct err *err)
{
	size_t len = strcspn(split->rest, ":");

	for (size_t i = 0; i < len; i++)
		if (is_upper(split->rest[i]))
			return err_set(err, ERR_INVALID,
				       "invalid reference format: repository name (%s%.*s) must be "
				       "lowercase",
				       split->prefix, (int)len, split->rest);
	return 0;
}

static int parse_tag_and_digest(const char *text, struct reference *reference, struct err *err)
{
	if (*text == ':') {
		size_t len = scan_tag(text + 1);

		if (!len)
			return err_set(err, ERR_INVALID, "invalid reference format");
		memcpy(reference->tag, text + 1, len);
		text += 1 + len;
	}
	if (*text == '@')
		return parse_digest(text + 1, reference, err);
	if (*text)
		return err_set(err, ERR_INVALID, "invalid reference format");
	if (!reference->tag[0])
		snprintf(reference->tag, sizeof(reference->tag), "latest");
	return 0;
}

int reference_parse(const char *text, struct reference *ret_reference, struct err *err)
{
	struct reference reference = { 0 };
	struct digest unused;
	struct split split;
	size_t len;

	if (strlen(text) > REFERENCE_INPUT_MAX)
		return err_set(err, ERR_INVALID, "invalid reference format");
	if (digest_parse_hex(text, &unused))
		return err_set(err, ERR_INVALID,
			       "invalid repository name (%s), cannot specify 64-byte hexadecimal "
			       "strings",
			       text);
	split_domain(text, &split);
	if (check_lower_case(&split, err) < 0)
		return -1;
	len = scan_path(split.rest);
	if (!len || !domain_ok(split.domain, split.domain_len) ||
	    split.domain_len >= sizeof(reference.domain))
		return err_set(err, ERR_INVALID, "invalid reference format");
	if (parse_tag_and_digest(split.rest + len, &reference, err) < 0)
		return -1;
	if (strlen(split.prefix) + len >= sizeof(reference.path))
		return err_set(err, ERR_INVALID,
			       "repository name must not be more than 255 characters");
	memcpy(reference.domain, split.domain, split.domain_len);
	snprintf(reference.path, sizeof(reference.path), "%s%.*s", split.prefix, (int)len,
		 split.rest);
	*ret_reference = reference;
	return 0;
}

static void append_version(const struct reference *reference, char text[REFERENCE_TEXT_MAX])
{
	size_t len = strlen(text);
	char digest[DIGEST_TEXT_MAX];

	if (reference->tag[0])
		len += (size_t)snprintf(text + len, REFERENCE_TEXT_MAX - len, ":%s",
					reference->tag);
	if (reference->has_digest)
		snprintf(text + len, REFERENCE_TEXT_MAX - len, "@%s",
			 digest_format(&reference->digest, digest));
}

const char *reference_repository(const struct reference *reference, bool familiar,
				 char text[REFERENCE_TEXT_MAX])
{
	const char *path = reference->path;
	struct digest unused;

	if (!familiar || strcmp(reference->domain, DOCKER_DOMAIN) != 0) {
		snprintf(text, REFERENCE_TEXT_MAX, "%s/%s", reference->domain, path);
		return text;
	}
	if (strncmp(path, DOCKER_LIBRARY, strlen(DOCKER_LIBRARY)) == 0 &&
	    !strchr(path + strlen(DOCKER_LIBRARY), '/'))
		path += strlen(DOCKER_LIBRARY);
	/* what would be read as something else keeps its domain */
	if (domain_length(path) || digest_parse_hex(path, &unused))
		return reference_repository(reference, false, text);
	snprintf(text, REFERENCE_TEXT_MAX, "%s", path);
	return text;
}

const char *reference_format(const struct reference *reference, char text[REFERENCE_TEXT_MAX])
{
	reference_repository(reference, false, text);
	append_version(reference, text);
	return text;
}

const char *reference_familiar(const struct reference *reference, char text[REFERENCE_TEXT_MAX])
{
	reference_repository(reference, true, text);
	append_version(reference, text);
	return text;
}
