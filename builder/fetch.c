/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * builder/fetch.c: files by URL. fetches/<sha256 of the URL> in the store remembers what the URL
 * gave: the body's digest, and the validators to ask with whether it still does. The record is a
 * hint: it counts only while the body is in the store. The URL itself is not kept: it may hold a
 * secret.
 */
#include "builder/remote.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/store.h"

#define RECORD_MAX 16384

static void name_of(const char *url, struct digest *ret_name)
{
	digest_of(url, strcspn(url, "#"), ret_name);
}

/* What the record says; a zero digest when there is none that is of use. */
static void recall(struct store *store, const char *url, struct transport_file *ret_file)
{
	struct err ignored = ERR_INIT;
	cleanup_json json_t *root = NULL;
	const char *etag, *modified;
	cleanup_buf struct buf text;
	struct digest name;
	uint64_t mtime, size;

	*ret_file = (struct transport_file){ 0 };
	buf_init(&text, RECORD_MAX);
	name_of(url, &name);
	if (record_read(store, "fetches", &name, &text, &ignored) < 0 ||
	    js_parse("record", text.data, text.len, &root, &ignored) < 0 ||
	    js_string(root, "etag", NULL, &etag, &ignored) < 0 ||
	    js_string(root, "modified", NULL, &modified, &ignored) < 0 ||
	    js_uint(root, "mtime", 0, &mtime, &ignored) < 0 ||
	    js_uint(root, "size", 0, &ret_file->size, &ignored) < 0 ||
	    js_digest(root, "digest", &ret_file->digest, &ignored) < 0)
		return;
	if (!blob_exists(store, &ret_file->digest, &size) || size != ret_file->size) {
		*ret_file = (struct transport_file){ 0 };
		return;
	}
	ret_file->mtime = (int64_t)mtime;
	ret_file->etag = etag ? xstrdup(etag) : NULL;
	ret_file->modified = modified ? xstrdup(modified) : NULL;
}

static int remember(struct store *store, const char *url, const struct transport_file *file,
		    struct err *err)
{
	char digest[DIGEST_TEXT_MAX];
	cleanup_json json_t *root = json_pack(
		"{s:s, s:I, s:I, s:s*, s:s*}", "digest", digest_format(&file->digest, digest),
		"size", (json_int_t)file->size, "mtime", (json_int_t)file->mtime, "etag",
		file->etag, "modified", file->modified);
	cleanup_free char *text = js_dump(root);
	struct digest name;

	name_of(url, &name);
	return record_write(store, "fetches", &name, text, strlen(text), err);
}

static int check(const struct fetch *fetch, const struct digest *got, struct err *err)
{
	char got_text[DIGEST_TEXT_MAX], want_text[DIGEST_TEXT_MAX];

	if (!fetch->want || digest_equal(got, fetch->want))
		return 0;
	return err_set(err, ERR_CORRUPT, "digest mismatch %s: %s", digest_format(got, got_text),
		       digest_format(fetch->want, want_text));
}

static int ask(const struct fetch *fetch, struct transport_file *known, struct err *err)
{
	const struct build_options *options = fetch->options;
	bool again = digest_is_zero(&known->digest) || options->no_cache;
	cleanup_with(remote_forget) char *authorization = NULL;
	struct transport_url url = {
		.url = fetch->url,
		.etag = again ? NULL : known->etag,
		.modified = again ? NULL : known->modified,
		.max = FETCH_MAX,
	};
	cleanup_free char *shown = remote_redact(fetch->url);
	struct transport_file file;

	if (remote_allowed(options, shown, err) < 0)
		return -1;
	if (strcmp(shown, fetch->url))
		return err_set(err, ERR_DENIED,
			       "%s: the user name and password of a URL are not sent (fix: --secret "
			       "id=HTTP_AUTH_HEADER_HOST,src=FILE with \"Basic ...\" in it)",
			       shown);
	if (remote_authorization(options, fetch->url, false, &authorization, err) < 0)
		return -1;
	url.authorization = authorization;
	if (transport_fetch(&options->transport, options->store, &url, fetch->listener, fetch->arg,
			    &file, err) < 0)
		return -1;
	if (file.unchanged) {
		transport_file_release(&file);
		return 0;
	}
	transport_file_release(known);
	*known = file;
	return remember(options->store, fetch->url, known, err);
}

int remote_allowed(const struct build_options *options, const char *who, struct err *err)
{
	if (options->planning)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s is remote, and a plan does not use the network", who);
	if (!options->offline)
		return 0;
	return err_set(err, ERR_DENIED, "%s: the network is needed, and --offline was given", who);
}

bool fetch_known(struct store *store, const char *url, struct fetched *ret_file)
{
	struct transport_file file;
	bool known;

	recall(store, url, &file);
	known = !digest_is_zero(&file.digest);
	*ret_file = (struct fetched){ file.digest, file.size, file.mtime };
	transport_file_release(&file);
	return known;
}

int fetch_url(const struct fetch *fetch, struct fetched *ret_file, struct err *err)
{
	struct transport_file file;
	int status = 0;

	recall(fetch->options->store, fetch->url, &file);
	if (digest_is_zero(&file.digest) || !fetch->want ||
	    !digest_equal(&file.digest, fetch->want))
		status = ask(fetch, &file, err);
	if (status == 0)
		status = check(fetch, &file.digest, err);
	*ret_file = (struct fetched){ file.digest, file.size, file.mtime };
	transport_file_release(&file);
	return status;
}
