/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_BUILDER_COPY_HELP_H
#define TESTS_BUILDER_COPY_HELP_H

/*
 * A store, a context and a base to copy in tests. Files are described by lines:
 *	d PATH MODE [UID:GID]		f PATH MODE [UID:GID] CONTENT
 *	l PATH TARGET			h PATH OTHER
 *	p PATH MODE (a FIFO)		s PATH (a socket)
 * and layers are shown the same way: what they begin with is the same for equal entries.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "builder/copy.h"
#include "builder/source.h"
#include "dockerfile-parser/dockerfile.h"
#include "layers/entry.h"
#include "layers/layer.h"
#include "layers/store.h"

#define HELP_NOW 1700000000

struct place {
	char path[64];
	int fd; /* of path */
	int context;
	struct store *store;
	struct source *source;
	struct ignore *ignore;
};

/* The call ends in "&oops". */
#define must(call)                                                                                 \
	do {                                                                                       \
		struct err oops = ERR_INIT;                                                        \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, oops.message);                                   \
	} while (0)

/* One line of a description. */
struct line {
	char type, path[256], text[256], content[256];
	unsigned mode, uid, gid;
};

static inline bool line_read(const char **at, struct line *line)
{
	char whole[1024], owner[64] = "";
	size_t len = strcspn(*at, "\n");
	int used = 0;

	if (!**at)
		return false;
	snprintf(whole, sizeof(whole), "%.*s", (int)len, *at);
	*at += len + ((*at)[len] == '\n');
	memset(line, 0, sizeof(*line));
	assert_true(sscanf(whole, "%c %255s %255s%n", &line->type, line->path, line->text, &used) >=
		    2);
	line->mode = (unsigned)strtoul(line->text, NULL, 8);
	if (used && sscanf(whole + used, " %63[0-9:]", owner) == 1 && strchr(owner, ':') &&
	    sscanf(owner, "%u:%u", &line->uid, &line->gid) == 2)
		used += (int)strlen(owner) + 1;
	if (used && whole[used])
		snprintf(line->content, sizeof(line->content), "%s", whole + used + 1);
	return true;
}

static inline void put_file(int dir_fd, const char *path, unsigned mode, const char *content)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, content, strlen(content)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static inline void put_line(int dir_fd, const struct line *line)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	switch (line->type) {
	case 'd':
		assert_int_equal(mkdirat(dir_fd, line->path, 0700), 0);
		assert_int_equal(fchmodat(dir_fd, line->path, line->mode, 0), 0);
		break;
	case 'f':
		put_file(dir_fd, line->path, line->mode, line->content);
		break;
	case 'l':
		assert_int_equal(symlinkat(line->text, dir_fd, line->path), 0);
		return;
	case 'h':
		assert_int_equal(linkat(dir_fd, line->text, dir_fd, line->path, 0), 0);
		return;
	case 'p':
		assert_int_equal(mkfifoat(dir_fd, line->path, 0600), 0);
		assert_int_equal(fchmodat(dir_fd, line->path, line->mode, 0), 0);
		break;
	case 's':
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%.60s", dir_fd,
			 line->path);
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		close(fd);
		return;
	default:
		fail();
	}
	if ((line->uid || line->gid) && geteuid() == 0) {
		assert_int_equal(fchownat(dir_fd, line->path, line->uid, line->gid, 0), 0);
		assert_int_equal(fchmodat(dir_fd, line->path, line->mode, 0), 0);
	}
}

static inline void put_lines(int dir_fd, const char *lines)
{
	struct line line;

	while (line_read(&lines, &line))
		put_line(dir_fd, &line);
}

static inline void place_open(struct place *place, const char *context, const char *ignore)
{
	char path[128];

	snprintf(place->path, sizeof(place->path), "/tmp/cbuild-test-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(place->fd, "context", 0755), 0);
	place->context = openat(place->fd, "context", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/store", place->path);
	must(store_open(path, true, &place->store, &oops));
	put_lines(place->context, context);
	place->ignore = NULL;
	if (ignore)
		must(ignore_parse(".dockerignore", ignore, strlen(ignore), &place->ignore, &oops));
	place->source = NULL;
}

static inline struct source *place_context(struct place *place)
{
	char path[128];

	source_free(place->source);
	snprintf(path, sizeof(path), "%s/context", place->path);
	must(source_open_context(place->store, path, place->context, place->ignore, 2,
				 &place->source, &oops));
	return place->source;
}

static inline void place_close(struct place *place)
{
	source_free(place->source);
	ignore_free(place->ignore);
	store_free(place->store);
	close(place->context);
	close(place->fd);
	must(file_remove_tree_at(AT_FDCWD, place->path, &oops));
}

/* A root of one layer with these entries, in canonical order. */
static inline struct root *place_root(struct place *place, const char *lines)
{
	struct layer_writer *writer;
	struct tar_writer *tar;
	struct layer layer;
	struct root *root;
	struct line line;

	must(layer_writer_open(place->store, &writer, &oops));
	tar = layer_writer_tar(writer);
	while (line_read(&lines, &line)) {
		struct entry entry = {
			.path = line.path,
			.type = line.type == 'd'   ? ENTRY_DIRECTORY
				: line.type == 'l' ? ENTRY_SYMLINK
						   : ENTRY_FILE,
			.mode = line.type == 'l' ? 0777 : line.mode,
			.uid = line.uid,
			.gid = line.gid,
			.mtime = 1000,
			.link = line.type == 'l' ? line.text : NULL,
			.size = line.type == 'f' ? strlen(line.content) : 0,
		};

		must(tar_writer_entry(tar, &entry, &oops));
		if (entry.size)
			must(tar_writer_data(tar, line.content, entry.size, &oops));
	}
	must(layer_writer_commit(writer, &layer, &oops));
	layer_writer_free(writer);
	must(root_open(place->store, &layer.diff_id, 1, &root, &oops));
	return root;
}

static inline void show_entry(struct tar_reader *reader, const struct entry *entry, bool times,
			      struct buf *out)
{
	static const char types[] = "fdlhcbpwo";
	char content[256] = "";
	struct err err = ERR_INIT;

	if (entry->type == ENTRY_FILE)
		assert_true(tar_reader_read(reader, content, sizeof(content) - 1, &err) >= 0);
	buf_addf(out, "%c %s", types[entry->type], *entry->path ? entry->path : ".");
	if (entry->type == ENTRY_SYMLINK || entry->type == ENTRY_HARDLINK)
		buf_addf(out, " %s", entry->link);
	else if (entry->type != ENTRY_WHITEOUT && entry->type != ENTRY_OPAQUE)
		buf_addf(out, " %03o", entry->mode);
	if (entry->type != ENTRY_HARDLINK && (entry->uid || entry->gid))
		buf_addf(out, " %u:%u", entry->uid, entry->gid);
	if (times)
		buf_addf(out, " @%lld", (long long)entry->mtime);
	for (size_t i = 0; i < entry->n_xattrs; i++)
		buf_addf(out, " %s=%.*s", entry->xattrs[i].name, (int)entry->xattrs[i].len,
			 (const char *)entry->xattrs[i].value);
	buf_addf(out, "%s%s\n", *content ? " " : "", content);
}

/* The layer, described. */
static inline char *show_layer(struct store *store, const struct layer *layer, bool times)
{
	const struct entry *entry;
	struct tar_reader *reader;
	struct err err = ERR_INIT;
	struct buf out;
	int fd, more;

	buf_init(&out, 1 << 20);
	must(blob_open(store, &layer->diff_id, &fd, NULL, &oops));
	must(tar_reader_open(fd, "layer", TAR_READER_LAYER, 0, &reader, &oops));
	while ((more = tar_reader_next(reader, &entry, &err)) > 0)
		show_entry(reader, entry, times, &out);
	assert_int_equal(more, 0);
	tar_reader_free(reader);
	close(fd);
	return buf_steal(&out);
}

static inline struct digest copy_key(struct copy *copy)
{
	struct digest digest;
	struct hasher hasher;

	hasher_init(&hasher);
	must(copy_add_to_key(copy, &hasher, &oops));
	hasher_finish(&hasher, &digest);
	return digest;
}

/* A copy of patterns to dest, its key and its layer. */
static inline void copy_run(struct place *place, const char *pattern, const char *dest, bool add,
			    struct digest *ret_key, char **ret_shown)
{
	const char *patterns[] = { pattern };
	struct copy_request request = {
		.add = add,
		.source = place_context(place),
		.patterns = patterns,
		.n_patterns = 1,
		.dest = dest,
		.now = HELP_NOW,
	};
	struct layer layer;
	struct copy *copy;

	must(copy_open(&request, &copy, NULL, &oops));
	*ret_key = copy_key(copy);
	if (ret_shown) {
		must(copy_make_layer(copy, place->store, NULL, &layer, &oops));
		*ret_shown = show_layer(place->store, &layer, true);
	}
	copy_free(copy);
}

#endif
