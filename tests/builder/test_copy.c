/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What COPY and ADD put into a layer: one table, each row a rule of BuildKit's. */
#include "tests/builder/copy_help.h"

#include "builder/selection.h"

struct copy_case {
	const char *name;
	const char *context, *ignore, *root; /* root: NULL for an empty one */
	const char *patterns[4];
	const char *dest;
	const char *expected; /* the layer; NULL: an error with `error` in it */
	const char *error;
	const char *chown, *chmod;
	const char *excludes[3];
	bool parents, from_root, link, add;
	struct copy_inline inlines[3];
};

#define TREE "d dir 700\nf dir/a 600 A\nd dir/sub 711\nf dir/sub/b 644 B\n"
#define BASE                                                                                       \
	"d bin 755\nd etc 750 3:4\nf etc/group 644 g:x:77:\nf etc/passwd 644 "                      \
	     "u:x:12:34::/home/u:/bin/sh\nd opt 755\nd opt/app 700 5:6\nf opt/app/x 644 X\n"

static const struct copy_case cases[] = {
	/* 1: destinations */
	{ "file to file", "f f 644 F", .patterns = { "f" }, .dest = "/d",
	  .expected = "f d 644 F\n" },
	{ "file to slash", "f f 644 F", .patterns = { "f" }, .dest = "/d/",
	  .expected = "d d 755\nf d/f 644 F\n" },
	{ "file to slash dot", "f f 644 F", .patterns = { "f" }, .dest = "/d/.",
	  .expected = "d d 755\nf d/f 644 F\n" },
	{ "file to root", "f f 644 F", .patterns = { "f" }, .dest = "/",
	  .expected = "f f 644 F\n" },
	{ "file into an existing directory", "f f 644 F", .root = BASE, .patterns = { "f" },
	  .dest = "/opt/app", .expected = "d opt 755\nd opt/app 700 5:6\nf opt/app/f 644 F\n" },
	{ "several files, last wins", "f a 644 A\nf b 644 B", .patterns = { "a", "b" },
	  .dest = "/d", .expected = "f d 644 B\n" },
	{ "several files", "f a 644 A\nf b 644 B", .patterns = { "b", "a" }, .dest = "/d/",
	  .expected = "d d 755\nf d/a 644 A\nf d/b 644 B\n" },
	{ "parents are made", "f f 644 F", .root = BASE, .patterns = { "f" },
	  .dest = "/opt/n/m/f",
	  .expected = "d opt 755\nd opt/n 755\nd opt/n/m 755\nf opt/n/m/f 644 F\n" },
	{ "a parent that is a file", "f f 644 F", .root = BASE, .patterns = { "f" },
	  .dest = "/etc/group/x", .error = "/etc/group: not a directory" },
	/* 2: directories */
	{ "contents of a directory", TREE, .patterns = { "dir" }, .dest = "/d",
	  .expected = "d d 755\nf d/a 600 A\nd d/sub 711\nf d/sub/b 644 B\n" },
	{ "dir slash", TREE, .patterns = { "dir/" }, .dest = "/d/",
	  .expected = "d d 755\nf d/a 600 A\nd d/sub 711\nf d/sub/b 644 B\n" },
	{ "dir slash dot", TREE, .patterns = { "./dir/." }, .dest = "/d",
	  .expected = "d d 755\nf d/a 600 A\nd d/sub 711\nf d/sub/b 644 B\n" },
	{ "everything", TREE, .patterns = { "." }, .dest = "/",
	  .expected = "d dir 700\nf dir/a 600 A\nd dir/sub 711\nf dir/sub/b 644 B\n" },
	{ "wildcard merges directories", "d x1 755\nf x1/a 644 1\nd x2 755\nf x2/b 644 2",
	  .patterns = { "x*" }, .dest = "/d", .expected = "d d 755\nf d/a 644 1\nf d/b 644 2\n" },
	{ "two directories overlap", "d x 755\nf x/a 644 1\nf x/b 644 1\nd y 755\nf y/b 644 2",
	  .patterns = { "x", "y" }, .dest = "/d",
	  .expected = "d d 755\nf d/a 644 1\nf d/b 644 2\n" },
	/* 3: outside */
	{ "dots and slashes stay inside", "f f 644 F", .patterns = { "/../../f" }, .dest = "/d",
	  .expected = "f d 644 F\n" },
	/* 4: links in the destination */
	{ "a link in the path is followed", "f f 644 F",
	  .root = "l lib usr/lib\nd usr 755\nd usr/lib 711\n", .patterns = { "f" },
	  .dest = "/lib/f", .expected = "d usr 755\nd usr/lib 711\nf usr/lib/f 644 F\n" },
	{ "a link out of the root stays inside", "f f 644 F",
	  .root = "d a 755\nl a/l ../../../../b\nd b 755\n", .patterns = { "f" }, .dest = "/a/l/f",
	  .expected = "d b 755\nf b/f 644 F\n" },
	{ "a dangling link names what is made", "f f 644 F", .root = "l l /not/here\n",
	  .patterns = { "f" }, .dest = "/l/f",
	  .expected = "d not 755\nd not/here 755\nf not/here/f 644 F\n" },
	{ "a loop of links", "f f 644 F", .root = "l l m\nl m l\n", .patterns = { "f" },
	  .dest = "/l/f", .error = "too many symbolic links" },
	{ "the destination is a link to a file", "f f 644 F",
	  .root = "f g 600 G\nl l g\n", .patterns = { "f" }, .dest = "/l",
	  .expected = "f g 644 F\n" },
	{ "a nested file replaces a link", "d d 755\nf d/x 644 X",
	  .root = "d t 755\nl t/x /etc/x\n", .patterns = { "d" }, .dest = "/t",
	  .expected = "d t 755\nf t/x 644 X\n" },
	{ "a nested directory on a link", "d r 755\nd r/bin 755\nf r/bin/x 755 X",
	  .root = "l bin usr/bin\nd usr 755\nd usr/bin 755\n", .patterns = { "r" }, .dest = "/",
	  .error = "cannot copy to non-directory: /bin" },
	{ "a directory on a file", "d r 755", .root = "f x 644 X\n", .patterns = { "r" },
	  .dest = "/x", .error = "cannot copy to non-directory: /x" },
	/* 5: links in the source */
	{ "top link is followed", "l l dir\n" TREE, .patterns = { "l" }, .dest = "/d",
	  .expected = "d d 755\nf d/a 600 A\nd d/sub 711\nf d/sub/b 644 B\n" },
	{ "top link to a file keeps its name", "f f 644 F\nl l f", .patterns = { "l" },
	  .dest = "/d/", .expected = "d d 755\nf d/l 644 F\n" },
	{ "wildcard matches a link", "d d 755\nf d/f 644 F\nl l.c d/f", .patterns = { "*.c" },
	  .dest = "/d/", .expected = "d d 755\nf d/l.c 644 F\n" },
	{ "links in the middle", "d d 755\nf d/f 644 F\nl l d", .patterns = { "l/f" },
	  .dest = "/x", .expected = "f x 644 F\n" },
	{ "nested links stay links", "d d 755\nf d/f 644 F\nl d/l ../../etc/passwd\nl d/m f",
	  .patterns = { "d" }, .dest = "/x",
	  .expected = "d x 755\nf x/f 644 F\nl x/l ../../etc/passwd\nl x/m f\n" },
	{ "a top link out of the context", "l l /etc/passwd", .patterns = { "l" }, .dest = "/x",
	  .error = "\"l\" is a link to something that is not in the build context" },
	{ "a wildcard link to nothing", "l l1 none", .patterns = { "l*" }, .dest = "/x",
	  .error = "is a symbolic link to \"none\", which is not in the build context" },
	{ "a file over a directory", "d d 755\nf d/app 644 F", .root = BASE, .patterns = { "d" },
	  .dest = "/opt", .error = "cannot replace to directory /opt/app with file" },
	/* 6, 7: wildcards */
	{ "star stays in its directory", "f a.c 644 A\nd d 755\nf d/b.c 644 B",
	  .patterns = { "*.c" }, .dest = "/x/", .expected = "d x 755\nf x/a.c 644 A\n" },
	{ "wildcard in a directory", "d p 755\nf p/k 644 1\nd q 755\nf q/k 644 2\nf q/j 644 3",
	  .patterns = { "*/k" }, .dest = "/x/", .expected = "d x 755\nf x/k 644 2\n" },
	{ "class and escape", "f a1 644 1\nf a2 644 2\nf a[ 644 3", .patterns = { "a[^2]", "a[[]" },
	  .dest = "/x/", .expected = "d x 755\nf x/a1 644 1\nf x/a[ 644 3\n" },
	{ "escape alone", "f a\\b 644 1\nf ab 644 2", .patterns = { "a\\b" }, .dest = "/x/",
	  .expected = "d x 755\nf x/a\\b 644 1\n" },
	{ "two stars are one", "d a 755\nd a/b 755\nf a/b/c 644 C\nf c 644 D",
	  .patterns = { "**/c" }, .dest = "/x/", .expected = "" },
	{ "no match of a wildcard", "f a 644 A", .patterns = { "b*" }, .dest = "/x/",
	  .expected = "" },
	{ "a trick for optional files", "f a 644 A", .patterns = { "a", "b[b]" }, .dest = "/x/",
	  .expected = "d x 755\nf x/a 644 A\n" },
	{ "bad pattern", "f a 644 A", .patterns = { "[a" }, .dest = "/x/",
	  .error = "syntax error" },
	{ "missing", "f a 644 A", .patterns = { "zzzzzz" }, .dest = "/x",
	  .error = "COPY zzzzzz: \"zzzzzz\" not found in the build context" },
	{ "missing with a suggestion", "d srcs 755\nf srcs/main.c 644 A",
	  .patterns = { "srcs/mian.c" }, .dest = "/x", .error = "did you mean \"srcs/main.c\"?" },
	{ "missing below a suggestion", "d srcs 755\nf srcs/main.c 644 A",
	  .patterns = { "src/main.c" }, .dest = "/x", .error = "did you mean \"srcs/main.c\"?" },
	{ "missing because ignored", "f a.conf 644 A", "# c\n\n\n*.conf\n",
	  .patterns = { "a.conf" }, .dest = "/x",
	  .error = "not found in the build context; .dockerignore:4 `*.conf` excludes it" },
	{ "no pattern may be the root of ADD", "f a 644 A", .patterns = { "b" }, .dest = "/x",
	  .add = true, .error = "ADD b: " },
	/* 8: attributes */
	{ "top directory keeps what it has", TREE, .root = BASE, .patterns = { "dir" },
	  .dest = "/opt/app",
	  .expected = "d opt 755\nd opt/app 700 5:6\nf opt/app/a 600 A\nd opt/app/sub 711\n"
		      "f opt/app/sub/b 644 B\n" },
	{ "nested directories take the source's", "d d 755\nd d/app 711\nf d/app/f 644 F",
	  .root = BASE, .patterns = { "d" }, .dest = "/opt",
	  .expected = "d opt 755\nd opt/app 711\nf opt/app/f 644 F\n" },
	{ "chown numbers", "f f 644 F", .root = BASE, .patterns = { "f" }, .dest = "/new/f",
	  .chown = "7:8", .expected = "d new 755 7:8\nf new/f 644 7:8 F\n" },
	{ "chown a number alone", "f f 644 F", .patterns = { "f" }, .dest = "/f", .chown = "7",
	  .expected = "f f 644 7:7 F\n" },
	{ "chown names", "l l t", .root = BASE, .patterns = { "." }, .dest = "/opt/app/",
	  .chown = "u:g", .expected = "d opt 755\nd opt/app 700 5:6\nl opt/app/l t 12:77\n" },
	{ "chown a name alone", "f f 644 F", .root = BASE, .patterns = { "f" }, .dest = "/f",
	  .chown = "u", .expected = "f f 644 12:34 F\n" },
	{ "chown nobody", "f f 644 F", .root = BASE, .patterns = { "f" }, .dest = "/f",
	  .chown = "nix", .error = "--chown=nix: no user \"nix\" in /etc/passwd" },
	{ "chmod octal, also of parents", TREE, .patterns = { "dir" }, .dest = "/d/e/",
	  .chmod = "0640", .expected = "d d 640\nd d/e 640\nf d/e/a 640 A\nd d/e/sub 640\n"
				       "f d/e/sub/b 640 B\n" },
	{ "chmod symbolic, not of parents", TREE, .patterns = { "dir" }, .dest = "/d/",
	  .chmod = "u=rwX,go=rX",
	  .expected = "d d 755\nf d/a 644 A\nd d/sub 755\nf d/sub/b 644 B\n" },
	{ "chmod wrong", "f f 644 F", .patterns = { "f" }, .dest = "/f", .chmod = "99",
	  .error = "invalid mode \"99\"" },
	/* 9, 10: context owners, special files, hard links */
	{ "context owners do not count", "f f 4755 3:4 F", .patterns = { "f" }, .dest = "/f",
	  .expected = "f f 4755 F\n" },
	{ "owners of a root do", "d d 755 8:9\nf d/f 2755 3:4 F", .patterns = { "d" },
	  .dest = "/e/", .from_root = true, .expected = "d e 755\nf e/f 2755 3:4 F\n" },
	{ "nested owners of a root", "d d 755\nd d/g 750 3:4", .patterns = { "d" }, .dest = "/e/",
	  .from_root = true, .expected = "d e 755\nd e/g 750 3:4\n" },
	{ "hard links of one tree", "d d 755\nf d/b 644 B\nh d/a d/b\nd d/c 755\nh d/c/x d/b",
	  .patterns = { "d" }, .dest = "/e",
	  .expected = "d e 755\nf e/a 644 B\nh e/b e/a\nd e/c 755\nh e/c/x e/a\n" },
	{ "hard links of two sources are two files", "f b 644 B\nh a b", .patterns = { "a", "b" },
	  .dest = "/e/", .expected = "d e 755\nf e/a 644 B\nf e/b 644 B\n" },
	{ "a name of a hard link that is replaced",
	  "d d 755\nf d/b 644 B\nh d/a d/b\nh d/c d/b\nd e 755\nf e/a 644 E",
	  .patterns = { "d", "e" }, .dest = "/x",
	  .expected = "d x 755\nf x/a 644 E\nf x/b 644 B\nh x/c x/b\n" },
	{ "fifo and socket", "d d 755\np d/p 640\ns d/s", .patterns = { "d" }, .dest = "/e",
	  .expected = "d e 755\np e/p 640\n" },
	/* flags */
	{ "exclude",
	  "d d 755\nf d/a.c 644 A\nf d/a.o 644 O\nd d/s 755\nf d/s/b.o 644 P\nf d/s/b.c 644 B",
	  .patterns = { "d" }, .dest = "/x", .excludes = { "**/*.o" },
	  .expected = "d x 755\nf x/a.c 644 A\nd x/s 755\nf x/s/b.c 644 B\n" },
	{ "exclude is relative to the source", "d d 755\nd d/s 755\nf d/s/a 644 A\nd s 755",
	  .patterns = { "d" }, .dest = "/x", .excludes = { "s" }, .expected = "d x 755\n" },
	{ "exclude files by name", "f home.txt 644 T\nf home.c 644 C", .patterns = { "hom*" },
	  .dest = "/x/", .excludes = { "*.txt", "*.md" },
	  .expected = "d x 755\nf x/home.c 644 C\n" },
	{ "exclude with exception", "d d 755\nd d/s 711\nf d/s/a 644 A\nf d/s/b 644 B",
	  .patterns = { "d" }, .dest = "/x", .excludes = { "s", "!s/b" },
	  .expected = "d x 755\nd x/s 711\nf x/s/b 644 B\n" },
	{ "parents", "d x 755\nd x/y 711\nf x/y/f 644 F\nf x/g 644 G",
	  .patterns = { "./x/y/f", "x/g" }, .dest = "/p/", .parents = true,
	  .expected = "d p 755\nd p/x 755\nf p/x/g 644 G\nd p/x/y 711\nf p/x/y/f 644 F\n" },
	{ "parents with a pivot", "d x 755\nd x/y 711\nf x/y/f 644 F", .patterns = { "x/./y/f" },
	  .dest = "/p/", .parents = true, .expected = "d p 755\nd p/y 711\nf p/y/f 644 F\n" },
	{ "parents with two stars",
	  "d a 755\nd a/b 755\nf a/b/k.json 644 1\nf a/k.json 644 2\nf a/z 644 3\nd c 755",
	  .patterns = { "**/k.json" }, .dest = "/p/", .parents = true,
	  .expected = "d p 755\nd p/a 755\nd p/a/b 755\nf p/a/b/k.json 644 1\n"
		      "f p/a/k.json 644 2\n" },
	{ "parents of a directory", TREE "f z 644 Z", .patterns = { "dir/sub" }, .dest = "/p/",
	  .parents = true,
	  .expected = "d p 755\nd p/dir 700\nd p/dir/sub 711\nf p/dir/sub/b 644 B\n" },
	{ "parents missing", TREE, .patterns = { "dir/none" }, .dest = "/p/", .parents = true,
	  .error = "\"dir/none\" not found" },
	{ "passages through what is there and what is not",
	  "d d 755\nd d/app 711\nf d/app/y 644 Y\nf d/app/z 644 Z\nd d/new 750\nf d/new/y 644 N\n",
	  .root = BASE, .patterns = { "d" }, .dest = "/opt",
	  .excludes = { "*", "!*/y" },
	  .expected = "d opt 755\nd opt/app 711 5:6\nf opt/app/y 644 Y\nd opt/new 750\n"
		      "f opt/new/y 644 N\n" },
	{ "what is there is seen after what is not",
	  "d d 755\nd d/a 755\nf d/a/x 644 A\nd d/app 755\nd d/app/x 755", .root = BASE,
	  .patterns = { "d" }, .dest = "/opt",
	  .error = "cannot copy to non-directory: /opt/app/x" },
	{ "link looks nothing up", "f f 644 F", .root = BASE, .patterns = { "f" },
	  .dest = "/opt/app/f", .link = true,
	  .expected = "d opt 755\nd opt/app 755\nf opt/app/f 644 F\n" },
	/* ignore rules */
	{ "ignore", "f a 644 A\nf b.o 644 B\nd d 755\nf d/c.o 644 C\nd t 755\nf t/x 644 X",
	  "**/*.o\nt\n", .patterns = { "." }, .dest = "/x",
	  .expected = "d x 755\nf x/a 644 A\nd x/d 755\n" },
	{ "ignore with exceptions",
	  "d d 711\nf d/a 644 A\nf d/b 644 B\nd d/e 755\nf d/e/f 644 F\nd g 755\nf g/a 644 A",
	  "*\n!d/b\n", .patterns = { "." }, .dest = "/x",
	  .expected = "d x 755\nd x/d 711\nf x/d/b 644 B\n" },
	/* inline files */
	{ "inline to a file", "", .dest = "/x", .inlines = { { "EOF", "hi", 2 } },
	  .expected = "f x 644 hi\n" },
	{ "inline to a directory", "", .dest = "/x/", .chown = "1:2", .chmod = "0700",
	  .inlines = { { "b", "B", 1 }, { "a", "", 0 } },
	  .expected = "d x 700 1:2\nf x/a 700 1:2\nf x/b 700 1:2 B\n" },
	{ "relative destination", "f f 644 F", .patterns = { "f" }, .dest = "x",
	  .error = "is not absolute" },
	{ "canonical order", "f a-b 644 1\nd a 755\nf a/z 644 2\nf a.b 644 3", .patterns = { "." },
	  .dest = "/", .expected = "d a 755\nf a/z 644 2\nf a-b 644 1\nf a.b 644 3\n" },
};

static size_t count(const char *const *texts, size_t max)
{
	size_t n = 0;

	while (n < max && texts[n])
		n++;
	return n;
}

static int run_case(struct place *place, const struct copy_case *c, struct layer *layer,
		    struct err *err)
{
	struct root *root = c->root ? place_root(place, c->root) : NULL;
	struct source *source = place_context(place), *other = NULL;
	struct copy_request request = {
		.add = c->add,
		.source = source,
		.patterns = c->patterns,
		.n_patterns = count(c->patterns, ARRAY_SIZE(c->patterns)),
		.inlines = c->inlines,
		.dest = c->dest,
		.chown = c->chown,
		.chmod = c->chmod,
		.from_root = c->from_root,
		.link = c->link,
		.parents = c->parents,
		.excludes = c->excludes,
		.n_excludes = count(c->excludes, ARRAY_SIZE(c->excludes)),
		.now = HELP_NOW,
	};
	struct copy *copy = NULL;
	int status;

	while (request.n_inlines < ARRAY_SIZE(c->inlines) && c->inlines[request.n_inlines].name)
		request.n_inlines++;
	if (c->from_root) {
		must(source_open_root(place->store, place->context, "stage a", 1, &other, &oops));
		request.source = other;
	}
	status = copy_open(&request, &copy, NULL, err);
	if (status == 0) {
		copy_key(copy);
		status = copy_make_layer(copy, place->store, root, layer, err);
	}
	copy_free(copy);
	source_free(other);
	root_free(root);
	return status;
}

static void test_copy__rules_of_buildkit(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct copy_case *c = &cases[i];
		struct err err = ERR_INIT;
		struct layer layer;
		struct place place;
		char *shown = NULL;
		int status;

		if (c->from_root && geteuid() != 0)
			continue; /* nobody else may make files of other owners */
		place_open(&place, c->context, c->ignore);
		status = run_case(&place, c, &layer, &err);
		if (status == 0)
			shown = show_layer(place.store, &layer, false);
		if (c->expected ? status < 0 || strcmp(shown, c->expected)
				: status == 0 || !strstr(err.message, c->error)) {
			print_error("%s: got %s\n%sexpected\n%s\n", c->name,
				    status < 0 ? err.message : "", shown ? shown : "",
				    c->expected ? c->expected : c->error);
			failures++;
		}
		free(shown);
		place_close(&place);
	}
	assert_int_equal(failures, 0);
}

static void test_copy__times(void **state)
{
	struct timespec times[2] = { { 5, 0 }, { 1234, 999999999 } };
	struct digest key;
	struct place place;
	char *shown;

	(void)state;
	place_open(&place, "d d 755\nf d/f 644 F\nd d/e 700", NULL);
	assert_int_equal(utimensat(place.context, "d/f", times, 0), 0);
	times[1].tv_sec = -2; /* before 1970, rounded down */
	assert_int_equal(utimensat(place.context, "d/e", times, 0), 0);
	copy_run(&place, "d", "/n/x/", false, &key, &shown);
	/* directories that are made have the time of the newest file */
	assert_string_equal(shown, "d n 755 @1234\nd n/x 755 @1234\nd n/x/e 700 @-2\n"
				   "f n/x/f 644 @1234 F\n");
	free(shown);
	place_close(&place);
}

static void test_copy__xattrs_are_copied(void **state)
{
	struct digest key;
	struct place place;
	char *shown;
	int fd;

	(void)state;
	place_open(&place, "f f 644 F", NULL);
	fd = openat(place.context, "f", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(fd, "user.b", "2", 1, 0) < 0) {
		close(fd);
		place_close(&place);
		skip();
	}
	assert_int_equal(fsetxattr(fd, "user.a", "1", 1, 0), 0);
	close(fd);
	for (int i = 0; i < 2; i++) { /* read, then from the index */
		usleep(40000);
		copy_run(&place, "f", "/f", false, &key, &shown);
		must(source_save(place.source, &oops));
		assert_non_null(strstr(shown, " user.a=1 user.b=2 F\n"));
		free(shown);
	}
	place_close(&place);
}

/* --- archives --------------------------------------------------------------------------------- */

static void make_archive(struct place *place, const char *name, const struct entry *entries,
			 size_t n, const char *content)
{
	int fd = openat(place->context, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	struct sink_fd sink;
	struct tar_writer *tar;

	sink_fd_init(&sink, fd);
	tar = tar_writer_new(&sink.sink);
	for (size_t i = 0; i < n; i++) {
		must(tar_writer_entry(tar, &entries[i], &oops));
		if (entries[i].type == ENTRY_FILE)
			must(tar_writer_data(tar, content, entries[i].size, &oops));
	}
	must(tar_writer_end(tar, &oops));
	tar_writer_free(tar);
	close(fd);
}

static void test_copy__add_unpacks_archives(void **state)
{
	const struct entry entries[] = {
		{ .path = "a", .type = ENTRY_DIRECTORY, .mode = 0700, .uid = 5, .gid = 6,
		  .mtime = 9 },
		{ .path = "a/f", .type = ENTRY_FILE, .mode = 0640, .uid = 7, .size = 3,
		  .mtime = 8 },
		{ .path = "a/h", .type = ENTRY_HARDLINK, .link = "a/f" },
		{ .path = "b/c/f", .type = ENTRY_FILE, .mode = 0644, .size = 2, .mtime = 7 },
		{ .path = "l", .type = ENTRY_SYMLINK, .mode = 0777, .link = "/etc", .mtime = 6 },
		{ .path = "l/x", .type = ENTRY_FILE, .mode = 0644, .size = 1, .mtime = 5 },
	};
	const struct timespec times[2] = { { HELP_NOW, 0 }, { HELP_NOW, 0 } };
	struct digest key;
	struct place place;
	char *shown;

	(void)state;
	place_open(&place, "f plain.tar 644 text", NULL);
	make_archive(&place, "x", entries, ARRAY_SIZE(entries), "abc");
	assert_int_equal(utimensat(place.context, "x", times, 0), 0);
	copy_run(&place, "x", "/to", true, &key, &shown);
	assert_string_equal(shown, "d etc 755 @1700000000\nf etc/x 644 @5 a\n"
				   "d to 755 @1700000000\nd to/a 700 5:6 @9\n"
				   "f to/a/f 640 7:0 @8 abc\nh to/a/h to/a/f @8\n"
				   "d to/b 755 @1700000000\nd to/b/c 755 @1700000000\n"
				   "f to/b/c/f 644 @7 ab\nl to/l /etc @6\n");
	free(shown);
	copy_run(&place, "plain.tar", "/to", true, &key, &shown);
	assert_non_null(strstr(shown, "f to 644 @"));
	free(shown);
	copy_run(&place, "x", "/to", false, &key, &shown);
	assert_non_null(strstr(shown, "f to 644 @"));
	free(shown);
	place_close(&place);
}

static void test_copy__add_merges_with_the_root(void **state)
{
	const struct entry entries[] = {
		{ .path = "dir", .type = ENTRY_FILE, .mode = 0644, .size = 1 },
		{ .path = "lib", .type = ENTRY_DIRECTORY, .mode = 0700 },
		{ .path = "lib/f", .type = ENTRY_FILE, .mode = 0644, .size = 1 },
		{ .path = "link/f", .type = ENTRY_FILE, .mode = 0644, .size = 1 },
	};
	const char *patterns[] = { "x" };
	struct copy_request request = {
		.add = true, .patterns = patterns, .n_patterns = 1, .dest = "/", .chown = "1:2",
		.now = 1,
	};
	struct layer layer;
	struct place place;
	struct copy *copy;
	struct root *root;
	char *shown;

	(void)state;
	place_open(&place, "", NULL);
	make_archive(&place, "x", entries, ARRAY_SIZE(entries), "Z");
	root = place_root(&place, "d dir 755\nf dir/old 644 O\nl lib usr/lib\nl link usr/lib\n"
				  "d usr 755\nd usr/lib 711\n");
	request.source = place_context(&place);
	must(copy_open(&request, &copy, NULL, &oops));
	copy_key(copy);
	must(copy_make_layer(copy, place.store, root, &layer, &oops));
	shown = show_layer(place.store, &layer, false);
	assert_string_equal(shown, "f dir 644 1:2 Z\nd lib 700 1:2\nf lib/f 644 1:2 Z\n"
				   "d usr 755\nd usr/lib 711\nf usr/lib/f 644 1:2 Z\n");
	free(shown);
	copy_free(copy);
	root_free(root);
	place_close(&place);
}

static void test_copy__a_file_that_changes_is_noticed(void **state)
{
	const char *patterns[] = { "." };
	struct copy_request request = { .patterns = patterns, .n_patterns = 1, .dest = "/",
					.now = 1 };
	struct err err = ERR_INIT;
	struct layer layer;
	struct place place;
	struct copy *copy;

	(void)state;
	place_open(&place, "f f 644 F", NULL);
	request.source = place_context(&place);
	must(copy_open(&request, &copy, NULL, &oops));
	copy_key(copy);
	usleep(20000);
	put_file(place.context, "f", 0644, "G");
	assert_int_equal(copy_make_layer(copy, place.store, NULL, &layer, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "changed while it was read"));
	copy_free(copy);
	place_close(&place);
}

static void test_copy__layers_are_the_same_each_time(void **state)
{
	struct digest first, second;
	struct place place;
	char *a, *b;

	(void)state;
	place_open(&place, TREE, NULL);
	for (int i = 0; i < 300; i++) {
		char name[32];

		snprintf(name, sizeof(name), "dir/%d", i);
		put_file(place.context, name, 0644, name);
	}
	copy_run(&place, ".", "/x", false, &first, &a);
	copy_run(&place, ".", "/x", false, &second, &b);
	assert_true(digest_equal(&first, &second));
	assert_string_equal(a, b);
	free(a);
	free(b);
	place_close(&place);
}

static void assert_entry(const struct copy *copy, size_t i, const char *want)
{
	char path[NODE_PATH_MAX];

	assert_string_equal(node_path(NULL, copy_item(copy, i)->node, path), want);
}

static void test_copy__entries_are_listed(void **state)
{
	const char *patterns[] = { "dir", "dir/a" };
	struct copy_request request = { .patterns = patterns, .n_patterns = 2, .dest = "/x/" };
	struct digest a, b;
	struct place place;
	struct copy *copy;

	(void)state;
	place_open(&place, TREE, NULL);
	request.source = place_context(&place);
	must(copy_open(&request, &copy, NULL, &oops));
	copy_key(copy);
	assert_int_equal(copy->n_items, 4);
	assert_entry(copy, 0, "dir/a");
	assert_entry(copy, 2, "dir/sub/b");
	assert_entry(copy, 3, "dir/a");
	copy_entry_digest(copy, 0, &a);
	copy_entry_digest(copy, 2, &b);
	assert_false(digest_equal(&a, &b));
	copy_free(copy);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy__rules_of_buildkit),
		cmocka_unit_test(test_copy__times),
		cmocka_unit_test(test_copy__xattrs_are_copied),
		cmocka_unit_test(test_copy__add_unpacks_archives),
		cmocka_unit_test(test_copy__add_merges_with_the_root),
		cmocka_unit_test(test_copy__a_file_that_changes_is_noticed),
		cmocka_unit_test(test_copy__layers_are_the_same_each_time),
		cmocka_unit_test(test_copy__entries_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
