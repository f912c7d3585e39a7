/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * builder/git.c: a commit of a repository as a directory. A name is resolved once; what is fetched
 * and checked out is that commit, whatever the name means by then. The directory is made in the
 * store's tmp/ and used from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "builder/remote.h"
#include "layers/store.h"

#define REFS_MAX (1024 * 1024) /* bytes of an answer of ls-remote */

void tree_release(struct tree *tree)
{
	file_close_at(&tree->dir_fd);
	scratch_free(tree->scratch);
	*tree = (struct tree)TREE_INIT;
}

/* --- which commit ----------------------------------------------------------------------------- */

/* How well a ref of the remote fits the name asked for; 0: not at all. Branches go first, as git
 * checkout has it; a tag's commit before the tag. */
static int fit(const char *ref, const char *want)
{
	size_t len = strlen(want);
	int peeled = 0;

	if (!strcmp(want, "HEAD"))
		return !strcmp(ref, "HEAD");
	if (!strncmp(ref, "refs/heads/", 11) && !strcmp(ref + 11, want))
		return 9;
	for (int i = 0; i < 3; i++) {
		static const char *const prefixes[] = { "", "refs/tags/", "refs/" };
		size_t prefix = strlen(prefixes[i]);

		if (strncmp(ref, prefixes[i], prefix) || strncmp(ref + prefix, want, len))
			continue;
		peeled = !strcmp(ref + prefix + len, "^{}");
		if (peeled || !ref[prefix + len])
			return 6 - 2 * i + peeled;
	}
	return 0;
}

/* "<commit>\t<ref>\n" each. *ret_tag is the object of a tag that was found, or "". */
static void choose(char *lines, const char *want, struct git_commit *commit,
		   char tag[GIT_COMMIT_MAX])
{
	int best = 0;
	char *rest = lines;

	for (char *line; (line = strsep(&rest, "\n"));) {
		char *ref = strchr(line, '\t');
		int how;

		if (!ref)
			continue;
		*ref++ = '\0';
		if (!git_is_commit(line) || strlen(ref) >= GIT_REF_MAX)
			continue;
		how = fit(ref, want);
		if (how > 0 && !strncmp(ref, "refs/tags/", 10) && !strstr(ref, "^{}"))
			snprintf(tag, GIT_COMMIT_MAX, "%s", line);
		if (how <= best)
			continue;
		best = how;
		snprintf(commit->id, sizeof(commit->id), "%s", line);
		snprintf(commit->ref, sizeof(commit->ref), "%.*s", (int)strcspn(ref, "^"), ref);
	}
}

static bool is_whole_commit(const char *text)
{
	size_t len = strlen(text);

	return (len == 40 || len == 64) && git_is_commit(text);
}

bool git_is_pinned(const struct git_place *place)
{
	return place->ref && is_whole_commit(place->ref);
}

static int check_network(const struct git *git, struct err *err)
{
	cleanup_free char *shown = remote_redact(git->place->url);

	return remote_allowed(git->options, shown, err);
}

static int ask_remote(const struct git *git, const char *want, struct git_commit *commit,
		      char tag[GIT_COMMIT_MAX], struct err *err)
{
	cleanup_free char *peeled = xasprintf("%s^{}", want);
	const char *const args[] = { "ls-remote", "--quiet", "--", "origin", want, peeled, NULL };
	cleanup_with(scratch_free) struct scratch *scratch = NULL;
	cleanup_buf struct buf lines;

	buf_init(&lines, REFS_MAX);
	if (check_network(git, err) < 0 || scratch_open(git->store, &scratch, err) < 0 ||
	    git_run(git, scratch->dir_fd, args, &lines, err) < 0)
		return -1;
	choose(lines.data, want, commit, tag);
	if (*commit->id)
		return 0;
	return err_set(err, ERR_NOT_FOUND, "repository does not contain ref %s", want);
}

int git_resolve(const struct git *git, struct git_commit *ret_commit, struct err *err)
{
	const struct git_place *place = git->place;
	const char *want = place->ref ? place->ref : "HEAD";
	struct git_commit commit = { .id = "", .ref = "" };
	char tag[GIT_COMMIT_MAX] = "";
	size_t len;

	if (git_is_pinned(place))
		snprintf(commit.id, sizeof(commit.id), "%s", want);
	else if (ask_remote(git, want, &commit, tag, err) < 0)
		return -1;
	len = place->checksum ? strlen(place->checksum) : 0;
	if (len && strncmp(commit.id, place->checksum, len) && strncmp(tag, place->checksum, len))
		return err_set(err, ERR_CORRUPT, "expected checksum to match %s, got %s",
			       place->checksum, commit.id);
	*ret_commit = commit;
	return 0;
}

/* --- its files -------------------------------------------------------------------------------- */

static int has_commit(const struct git *git, int dir_fd, const char *commit)
{
	cleanup_free char *name = xasprintf("%s^{commit}", commit);
	const char *const args[] = { "rev-parse", "--quiet", "--verify", name, NULL };
	struct err ignored = ERR_INIT;

	return git_run(git, dir_fd, args, NULL, &ignored) == 0;
}

/* The commit alone; a server that gives no single commits gives its name, or everything. */
static int fetch_commit(const struct git *git, int dir_fd, const struct git_commit *commit,
			struct err *err)
{
	cleanup_free char *by_name = xasprintf("+%s:refs/cbuild/wanted", commit->ref);
	const char *const attempts[][10] = {
		{ "fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", commit->id, NULL },
		{ "fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", by_name, NULL },
		{ "fetch", "--quiet", "--no-tags", "--", "origin", "+refs/heads/*:refs/cbuild/h/*",
		  "+refs/tags/*:refs/cbuild/t/*", NULL },
	};
	struct err first = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (i == 1 && !*commit->ref)
			continue;
		err_clear(err);
		if (git_run(git, dir_fd, attempts[i], NULL, err) == 0 &&
		    has_commit(git, dir_fd, commit->id))
			return 0;
		if (i == 0)
			first = *err;
	}
	*err = first;
	return err->kind
		       ? -1
		       : err_set(err, ERR_NOT_FOUND, "the repository has no commit %s", commit->id);
}

/* git tracks nothing of this name, so it is a submodule's. */
static int remove_git_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type == FTW_F && !strcmp(path + at->base, ".git"))
		return unlink(path);
	return 0;
}

static int take_submodules(const struct git *git, int dir_fd, struct err *err)
{
	const char *const args[] = { "submodule",   "--quiet",	 "update", "--init",
				     "--recursive", "--depth=1", NULL };
	struct stat st;

	if (git->place->without_submodules ||
	    fstatat(dir_fd, ".gitmodules", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, ".gitmodules is not a regular file");
	return git_run(git, dir_fd, args, NULL, err);
}

static int drop_git_dir(int dir_fd, struct err *err)
{
	char path[64];

	if (file_remove_tree_at(dir_fd, ".git", err) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/.", dir_fd);
	return nftw(path, remove_git_file, 32, FTW_PHYS) < 0 ? err_os(err, "remove .git") : 0;
}

/* URLs go into .git as far as they are no secret: the remote's, and those of submodules, which can
 * be relative to it. */
static int keep_git_dir(const struct git *git, int dir_fd, struct err *err)
{
	cleanup_free char *url = remote_redact(git->place->url);
	const struct git_place place = { .url = url };
	const struct git clean = { git->store, git->environment, &place, git->options };
	const char *const set[] = { "config", "--local", "remote.origin.url", url, NULL };
	const char *const sync[] = { "submodule", "--quiet", "sync", "--recursive", NULL };

	if (*url == '-')
		return err_set(err, ERR_INVALID, "a URL that begins with \"-\"");
	if (git_run(&clean, dir_fd, set, NULL, err) < 0)
		return -1;
	return strcmp(url, git->place->url) ? git_run(&clean, dir_fd, sync, NULL, err) : 0;
}

static int fill(const struct git *git, const struct git_commit *commit, int dir_fd, struct err *err)
{
	const char *const init[] = { "init", "--quiet", "--template=", NULL };
	const char *const checkout[] = { "checkout", "--quiet",	 "--force",
					 "--detach", commit->id, NULL };

	if (git_run(git, dir_fd, init, NULL, err) < 0 ||
	    fetch_commit(git, dir_fd, commit, err) < 0 ||
	    git_run(git, dir_fd, checkout, NULL, err) < 0 || take_submodules(git, dir_fd, err) < 0)
		return -1;
	return git->place->keep_git_dir ? keep_git_dir(git, dir_fd, err)
					: drop_git_dir(dir_fd, err);
}

/* Directories only: a link in the repository leads nowhere here. */
static int enter_subdir(const char *subdir, int *fd, struct err *err)
{
	cleanup_free char *text = xstrdup(subdir);
	char *rest = text;

	for (char *part; (part = strsep(&rest, "/"));) {
		int next;

		if (!*part || !strcmp(part, "."))
			continue;
		if (!strcmp(part, ".."))
			return err_set(err, ERR_INVALID, "the subdirectory %s leads out", subdir);
		next = openat(*fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && errno == ENOENT)
			return err_set(err, ERR_NOT_FOUND, "the repository has no directory %s",
				       subdir);
		if (next < 0 && (errno == ENOTDIR || errno == ELOOP))
			return err_set(err, ERR_INVALID, "%s is not a directory of the repository",
				       subdir);
		if (next < 0)
			return err_os(err, "open %s", subdir);
		close(*fd);
		*fd = next;
	}
	return 0;
}

int git_checkout(const struct git *git, const struct git_commit *commit, struct tree *ret_tree,
		 struct err *err)
{
	struct tree tree = TREE_INIT;
	int rc = check_network(git, err);

	if (rc == 0)
		rc = scratch_open(git->store, &tree.scratch, err);
	if (rc == 0 && mkdirat(tree.scratch->dir_fd, "tree", 0755) < 0)
		rc = err_os(err, "make a directory in the store");
	if (rc == 0) {
		tree.dir_fd =
			openat(tree.scratch->dir_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = tree.dir_fd < 0 ? err_os(err, "open a directory in the store") : 0;
	}
	if (rc == 0 && fchmod(tree.dir_fd, 0755) < 0)
		rc = err_os(err, "set the mode of a directory in the store");
	if (rc == 0)
		rc = fill(git, commit, tree.dir_fd, err);
	if (rc == 0 && git->place->subdir)
		rc = enter_subdir(git->place->subdir, &tree.dir_fd, err);
	if (rc < 0)
		tree_release(&tree);
	else
		*ret_tree = tree;
	return rc;
}
