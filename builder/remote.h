/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_REMOTE_H
#define BUILDER_REMOTE_H

/*
 * builder/remote.h: what lies elsewhere: files by URL, git repositories, tars of contexts. Names
 * are read first (remote_name.c, pure); what they name is then brought into the store.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "builder/build.h"

struct err;
struct scratch;
struct store;

/* --- remote_name.c ---------------------------------------------------------------------------- */

enum remote_kind {
	REMOTE_NONE, /* a path */
	REMOTE_HTTP,
	REMOTE_GIT,
};

/* BuildKit's rule: git is ssh://, git://, user@host:path, and http(s) whose path ends in ".git". */
enum remote_kind remote_kind(const char *text);

/* The name of a URL's file: the last component of its path, or "__unnamed__". free() it. */
char *remote_file_name(const char *url);

/* The text without the user names and passwords of URLs in it. free() it. */
char *remote_redact(const char *text);

/* "https://host/x.git#ref:subdir" taken apart. */
struct git_place {
	char *url;	/* what git is given */
	char *ref;	/* branch, tag, refs/... or commit; NULL: the remote's HEAD */
	char *subdir;	/* relative; NULL: all of it */
	char *checksum; /* the commit's beginning; NULL */
	bool keep_git_dir, keep_is_set;
	bool without_submodules;
};

/* ERR_INVALID, also for names that git could take for something else. */
int git_place_parse(const char *text, struct git_place *ret_place, struct err *err);
void git_place_release(struct git_place *place);

/* A commit's beginning: 7 to 64 lower-case hexadecimal digits. */
bool git_is_commit(const char *text);

/* Whether the network may be used: fails with --offline, naming who asks. To be called before
 * anything is sent. */
int remote_allowed(const struct build_options *options, const char *who, struct err *err);

/* --- remote_auth.c ---------------------------------------------------------------------------- */

/*
 * The value of Authorization that the build's secrets have for the URL of a file or a repository,
 * or NULL. ERR_INVALID when it cannot be one. To be freed with remote_forget().
 */
int remote_authorization(const struct build_options *options, const char *url, bool git,
			 char **ret_value, struct err *err);
void remote_forget(char *value); /* NULL is fine */
DEFINE_CLEANUP(char *, remote_forget)

/* --- git_run.c: the program ------------------------------------------------------------------- */

struct git {
	struct store *store;
	const char *const *environment; /* the user's; few of it reach git */
	const struct git_place *place;
	const struct build_options *options; /* for remote_allowed() */
};

struct buf;

/* Run git with these arguments (NULL-terminated) in a directory. `out` (may be NULL) gets what it
 * prints, up to its limit. ERR_FAILED has its last words. */
int git_run(const struct git *git, int dir_fd, const char *const *args, struct buf *out,
	    struct err *err);

/* --- git.c ------------------------------------------------------------------------------------ */

#define GIT_COMMIT_MAX 65
#define GIT_REF_MAX    512

struct git_commit {
	char id[GIT_COMMIT_MAX];
	char ref[GIT_REF_MAX]; /* the full name it was found by, or "" */
};

/* Whether it names a whole commit, so that nobody needs to be asked what it means. */
bool git_is_pinned(const struct git_place *place);

/* What the place means now: one question to the remote, none when it names a whole commit. The
 * place's checksum is checked. */
int git_resolve(const struct git *git, struct git_commit *ret_commit, struct err *err);

/* A directory that lives in the store's tmp/ as long as this. */
struct tree {
	struct scratch *scratch;
	int dir_fd;  /* -1: not opened */
	bool owners; /* owners of files mean something */
};

#define TREE_INIT                                                                                  \
	{                                                                                          \
		NULL, -1, false                                                                    \
	}

void tree_release(struct tree *tree);

/* The files of the commit, those below the place's subdir. */
int git_checkout(const struct git *git, const struct git_commit *commit, struct tree *ret_tree,
		 struct err *err);

/* --- fetch.c ---------------------------------------------------------------------------------- */

#define FETCH_MAX (UINT64_C(64) << 30) /* bytes of a file or context */

struct fetch {
	const struct build_options *options;
	const char *url;
	const struct digest *want; /* NULL: whatever comes */
	transport_listener *listener;
	void *arg;
};

struct fetched {
	struct digest digest; /* a blob of the store */
	uint64_t size;
	int64_t mtime; /* seconds since 1970 */
};

/*
 * The file at a URL. What the store has of it is used again when the server says that it is
 * still right, or when it is the one that is wanted. ERR_CORRUPT when it is another.
 */
int fetch_url(const struct fetch *fetch, struct fetched *ret_file, struct err *err);

/* What the URL gave last, without asking. False when nothing is known of it. */
bool fetch_known(struct store *store, const char *url, struct fetched *ret_file);

/* --- context.c -------------------------------------------------------------------------------- */

/* A pipe has no beginning to go back to: its bytes go to a file that has no name, open at its
 * beginning. ERR_LIMIT past FETCH_MAX. */
int spool(struct store *store, int from, int *ret_fd, struct err *err);

/* Unpack a tar into a tree. Enters the user namespace. */
int tree_unpack(struct store *store, int fd, const char *what, struct tree *ret_tree,
		struct err *err);

/* The tree of a tar by http(s), or of a git place. When the URL's file is no tar, the tree stays
 * unopened and *ret_file is the file; ERR_INVALID when ret_file is NULL. */
int tree_fetch(const struct build_options *options, const char *text, build_listener *listener,
	       void *arg, struct tree *ret_tree, struct fetched *ret_file, struct err *err);

#endif
