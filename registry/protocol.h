/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_PROTOCOL_H
#define REGISTRY_PROTOCOL_H

/*
 * registry/protocol.h: what cbuild and libexec/cbuild-registry say to each other.
 *
 *	cbuild-registry --root STORE
 *
 * One JSON object per line, UTF-8. cbuild writes one request to the helper's stdin:
 *
 *	{"op": "resolve" | "pull" | "push" | "fetch" | "layers" | "get-tags" | "put-tags",
 *	 "reference": "docker.io/library/x:latest",	not for fetch and layers
 *	 "authfile": path, "registries_conf": path,	absent: the usual places
 *	 "insecure": true,				absent: false
 *	 "platform": "linux/arm64/v8",			pull; absent: the host's
 *	 "lazy": true,					pull: leave the layers where they are
 *	 "nameless": true,				pull: the image gets no record and no name,
 *							what fails is not tried again
 *	 "id": "sha256:...",				push: the image
 *	 "compression": "none" | "gzip" | "zstd",	push
 *	 "docker": true,				push; docker's media types
 *	 "url": "https://...",				fetch
 *	 "etag": text, "modified": text,		fetch: of the body that is here, or absent
 *	 "authorization": text,				fetch: a header, a secret; absent: none
 *	 "max": bytes,					fetch: a larger body is an error
 *	 "diff_ids": [...],				layers: what is to be in the store
 *	 "tags": [name, ...],				get-tags
 *	 "tags": [{"tag": name, "manifest": text,	put-tags
 *		   "replace": true,			absent: not when the tag is there already
 *		   "diff_id": ..., "media": name, "digest": ..., "size": n},	its layer, or none
 *		  ...]}
 *
 * The helper answers on stdout with any number of events
 *
 *	{"event": "waiting" | "moving" | "exists" | "done",
 *	 "digest": "sha256:...", "current": bytes, "total": bytes}
 *	{"event": "moving" | "done", "text": URL, ...}		fetch: instead of a digest
 *	{"event": "note", "text": words for the user}
 *
 * and one last line, after which it exits:
 *
 *	{"result": {"digest": ...}}				resolve: index or manifest
 *	{"result": {"id": ..., "manifest": ..., "remote": ...}}	pull
 *	{"result": {"media": name, "digest": ..., "size": n}}	push: the manifest
 *	{"result": {"unchanged": true}}				fetch: as etag and modified say
 *	{"result": {"digest": ..., "size": n,			fetch: the body is a blob
 *		    "etag": text, "modified": text, "mtime": seconds}}	absent: not told
 *	{"result": {}}						layers, put-tags
 *	{"result": {"manifests": {tag: text, ...}}}		get-tags: those that are there; a
 *								text that is too long is ""
 *	{"error": {"kind": n, "errno": n, "message": ...}}	kind: enum err_kind
 *
 * The two programs are built and installed together, so nothing here has a version. The helper's
 * environment is the user's as far as cbuild passes it: HOME, XDG_*, DOCKER_CONFIG,
 * REGISTRY_AUTH_FILE, PATH (for credential helpers), proxies. What it writes to stderr comes
 * from credential helpers.
 */

/* Bytes of a request or answer, with its newline: TAGS_MAX texts of TAG_TEXT_MAX bytes, each of
 * which JSON may write as six. */
#define PROTOCOL_LINE_MAX (16 * 1024 * 1024)
#define TAGS_MAX	  64

#define OP_RESOLVE  "resolve"
#define OP_PULL	    "pull"
#define OP_PUSH	    "push"
#define OP_FETCH    "fetch"
#define OP_LAYERS   "layers"
#define OP_GET_TAGS "get-tags"
#define OP_PUT_TAGS "put-tags"

/* enum transport_state's words, by value; NULL-terminated. */
#define PROTOCOL_STATES                                                                            \
	{                                                                                          \
		"waiting", "moving", "exists", "done", "note", NULL                                \
	}

/* enum compression's words, by value. */
#define PROTOCOL_COMPRESSIONS                                                                      \
	{                                                                                          \
		"none", "gzip", "zstd", NULL                                                       \
	}

#endif
