/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a COPY selected, as text, so that a later build can tell which files changed. A line is
 *	TYPE MODE OWNER CONTENT OTHER PATH
 * TYPE is f, d, l, p, c, b, or i for a file of a heredoc or URL; MODE octal; OWNER
 * "uid:gid"; CONTENT the digest of a file, the target of a link, the number of a device; OTHER the
 * first digits of a digest over what else counts (attributes, hard links); "-" is what does not
 * count or is not there. Bytes that would break a line or are no ASCII are \ooo, as in tar.
 */
#include "builder/report.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "builder/selection.h"
#include "layers/store.h"

#define OTHER_DIGITS  16
#define FIELDS	      5
#define FILE_LINE_MIN DIGEST_TEXT_MAX
#define BLOCK_SIZE    65536		/* of text, written at once */
#define WINDOW_SIZE   ((size_t)1 << 20) /* of text, looked at before it is let go */

/* --- writing ---------------------------------------------------------------------------------- */

static void add_escaped(struct buf *out, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c <= ' ' || *c >= 0x7f || *c == '\\')
			buf_addf(out, "\\%03o", (unsigned char)*c);
		else
			buf_addch(out, *c);
	}
}

static char type_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	default:
		return 'f';
	}
}

static void add_content(const struct node *node, struct buf *text)
{
	char digest[DIGEST_TEXT_MAX];

	if (S_ISREG(node->mode))
		buf_addstr(text, digest_format(&node->digest, digest));
	else if (S_ISLNK(node->mode))
		add_escaped(text, node->link);
	else if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		buf_addf(text, "%llu", (unsigned long long)node->rdev);
	else
		buf_addch(text, '-');
}

static void add_file(const struct copy *copy, size_t i, struct buf *text)
{
	const struct item *item = copy_item(copy, i);
	const struct node *node = item->node;
	bool has_mode = copy->request.chmod && copy->chmod.octal;
	char path[NODE_PATH_MAX], hex[DIGEST_HEX_MAX];
	struct digest other;

	buf_addf(text, "%c ", type_letter(node->mode));
	if (has_mode || S_ISLNK(node->mode))
		buf_addstr(text, "- ");
	else
		buf_addf(text, "%04o ", node->mode & 07777);
	if (copy->request.from_root && !copy->request.chown)
		buf_addf(text, "%u:%u ", node->uid, node->gid);
	else
		buf_addstr(text, "- ");
	add_content(node, text);
	if (item->passage || item->group || (!S_ISLNK(node->mode) && node->xattrs)) {
		copy_entry_digest(copy, i, &other);
		buf_addf(text, " %.*s ", OTHER_DIGITS, digest_hex(&other, hex));
	} else {
		buf_addstr(text, " - ");
	}
	add_escaped(text, node_path(NULL, node, path));
	buf_addch(text, '\n');
}

/* A file of a heredoc or URL. */
static void add_other(const struct digest *content, const char *name, struct buf *text)
{
	char digest[DIGEST_TEXT_MAX];

	buf_addf(text, "i - - %s - ", digest_format(content, digest));
	add_escaped(text, name);
	buf_addch(text, '\n');
}

/* Lines gather in a block. */
static int pass_on(struct buf *text, struct sink *sink, size_t enough, struct err *err)
{
	if (text->len < enough)
		return 0;
	if (sink_write(sink, text->data, text->len, err) < 0)
		return -1;
	buf_clear(text);
	return 0;
}

static int write_copy(const struct copy *copy, struct buf *text, struct sink *sink, struct err *err)
{
	for (size_t i = 0; i < copy->n_items; i++) {
		add_file(copy, i, text);
		if (pass_on(text, sink, BLOCK_SIZE, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < copy->request.n_inlines; i++) {
		const struct copy_inline *file = &copy->request.inlines[i];
		struct digest content;

		digest_of(file->content, file->len, &content);
		add_other(&content, file->name, text);
	}
	for (size_t i = 0; i < copy->request.n_remotes; i++)
		add_other(&copy->request.remotes[i].digest, copy->request.remotes[i].name, text);
	if (text->overflow)
		return err_set(err, ERR_LIMIT, "the list of files is larger than %zu bytes",
			       text->max);
	return 0;
}

/* To a blob that has no name yet. */
static int write_all_lines(struct store *store, const struct copy *const *copies, size_t n,
			   struct blob_writer **ret_writer, struct err *err)
{
	cleanup_with(blob_writer_free) struct blob_writer *writer = NULL;
	cleanup_buf struct buf text;

	buf_init(&text, FILES_MAX);
	if (blob_writer_open(store, &writer, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (write_copy(copies[i], &text, blob_writer_sink(writer), err) < 0)
			return -1;
	if (pass_on(&text, blob_writer_sink(writer), 0, err) < 0 ||
	    sink_finish(blob_writer_sink(writer), err) < 0)
		return -1;
	*ret_writer = steal_pointer(&writer);
	return 0;
}

int files_put(struct store *store, const struct copy *const *copies, size_t n,
	      struct digest *ret_digest, struct err *err)
{
	cleanup_with(blob_writer_free) struct blob_writer *writer = NULL;
	uint64_t size;

	if (write_all_lines(store, copies, n, &writer, err) < 0)
		return -1;
	return blob_writer_commit(writer, NULL, ret_digest, &size, err);
}

/* --- comparing -------------------------------------------------------------------------------- */

enum field {
	FIELD_TYPE,
	FIELD_MODE,
	FIELD_OWNER,
	FIELD_CONTENT,
	FIELD_OTHER,
};

/* A line, cut up: the fields and path are texts in the list's copy. */
struct line {
	const char *fields[FIELDS];
	const char *path;
};

struct lines {
	char *text;
	struct line *v;
	size_t n, cap;
};

static bool cut_line(char *text, struct line *line)
{
	for (size_t i = 0; i < FIELDS; i++) {
		char *blank = strchr(text, ' ');

		if (!blank)
			return false;
		*blank = '\0';
		line->fields[i] = text;
		text = blank + 1;
	}
	line->path = text;
	return true;
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : (x->path > y->path) - (x->path < y->path);
}

static void read_lines(const char *text, struct lines *lines)
{
	char *next, *at;

	lines->text = at = xstrdup(text);
	for (; *at; at = next) {
		next = at + strcspn(at, "\n");
		if (*next)
			*next++ = '\0';
		lines->v = grow_vector(lines->v, lines->n, &lines->cap, sizeof(*lines->v));
		if (cut_line(at, &lines->v[lines->n]))
			lines->n++;
	}
	if (lines->n)
		qsort(lines->v, lines->n, sizeof(*lines->v), compare_lines);
}

static void lines_release(struct lines *lines)
{
	free(lines->text);
	free(lines->v);
}

/*
 * A file that became a link has another mode as well: its type alone is said. Where mode or owner
 * count in one list only, --chmod or --chown is what changed.
 */
static void diff_line(const struct line *old, const struct line *new, struct changes *changes)
{
	static const char *const names[] = {
		[FIELD_TYPE] = "type",	     [FIELD_MODE] = "mode",	   [FIELD_OWNER] = "owner",
		[FIELD_CONTENT] = "content", [FIELD_OTHER] = "attributes",
	};

	for (size_t i = 0; i < FIELDS; i++) {
		if (!strcmp(old->fields[i], new->fields[i]))
			continue;
		if ((i == FIELD_MODE || i == FIELD_OWNER) &&
		    (!strcmp(old->fields[i], "-") || !strcmp(new->fields[i], "-")))
			continue;
		changes_add(changes, CHANGE_FILE,
			    i == FIELD_CONTENT && *new->fields[FIELD_TYPE] == 'l' ? "target"
										  : names[i],
			    new->path, old->fields[i], new->fields[i]);
		if (i == FIELD_TYPE)
			return;
	}
}

void files_diff(const char *old, const char *new, struct changes *changes)
{
	struct lines was = { 0 }, is = { 0 };
	size_t a = 0, b = 0;

	read_lines(old, &was);
	read_lines(new, &is);
	while (a < was.n || b < is.n) {
		int order = a == was.n ? 1 : b == is.n ? -1 : strcmp(was.v[a].path, is.v[b].path);

		if (order < 0) {
			changes_add(changes, CHANGE_FILE, "content", was.v[a].path,
				    was.v[a].fields[FIELD_CONTENT], NULL);
			a++;
		} else if (order > 0) {
			changes_add(changes, CHANGE_FILE, "content", is.v[b].path, NULL,
				    is.v[b].fields[FIELD_CONTENT]);
			b++;
		} else {
			diff_line(&was.v[a++], &is.v[b++], changes);
		}
	}
	lines_release(&was);
	lines_release(&is);
}

/* --- lists of the store ----------------------------------------------------------------------- */

/* A list that may be much larger than what changed in it. */
struct view {
	const char *text;
	size_t len;
};

static void view_release(struct view *view)
{
	if (view->text)
		munmap((void *)view->text, view->len);
}

/* A mapping counts as memory of the process for as long as it was touched. */
static void view_let_go(const struct view *view)
{
	madvise((void *)view->text, view->len, MADV_DONTNEED);
}

static void view_digest(const struct view *view, struct digest *ret_digest)
{
	struct hasher hasher;

	hasher_init(&hasher);
	for (size_t at = 0; at < view->len; at += WINDOW_SIZE) {
		size_t left = view->len - at;

		hasher_add(&hasher, view->text + at, left < WINDOW_SIZE ? left : WINDOW_SIZE);
		view_let_go(view);
	}
	hasher_finish(&hasher, ret_digest);
}

static int view_map(int fd, uint64_t size, struct view *view, struct err *err)
{
	void *text;

	if (!size)
		return 0;
	text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return err_os(err, "map a list of files");
	*view = (struct view){ text, size };
	return 0;
}

static int view_open(struct store *store, const char *name, struct view *view, struct err *err)
{
	struct digest digest, found;
	cleanup_fd int fd = -1;
	uint64_t size;

	if (digest_parse(name, &digest, err) < 0 ||
	    blob_open(store, &digest, &fd, &size, err) < 0 || view_map(fd, size, view, err) < 0)
		return -1;
	view_digest(view, &found);
	if (!digest_equal(&digest, &found))
		return err_set(err, ERR_CORRUPT, "the list of files %s is damaged", name);
	return 0;
}

static bool begins_line(const struct view *view, size_t at)
{
	return at == 0 || view->text[at - 1] == '\n';
}

/* Bytes of whole lines that both begin with. */
static size_t same_start(const struct view *a, const struct view *b)
{
	size_t max = a->len < b->len ? a->len : b->len, n = 0;

	for (; n + WINDOW_SIZE <= max && !memcmp(a->text + n, b->text + n, WINDOW_SIZE);
	     n += WINDOW_SIZE) {
		view_let_go(a);
		view_let_go(b);
	}
	while (n < max && a->text[n] == b->text[n])
		n++;
	while (!begins_line(a, n))
		n--;
	return n;
}

/* Bytes of whole lines that both end with, after the first `start` bytes. */
static size_t same_end(const struct view *a, const struct view *b, size_t start)
{
	size_t max = (a->len < b->len ? a->len : b->len) - start, n = 0;
	const char *a_end = a->text + a->len, *b_end = b->text + b->len;

	for (; n + WINDOW_SIZE <= max &&
	       !memcmp(a_end - n - WINDOW_SIZE, b_end - n - WINDOW_SIZE, WINDOW_SIZE);
	     n += WINDOW_SIZE) {
		view_let_go(a);
		view_let_go(b);
	}
	while (n < max && *(a_end - n - 1) == *(b_end - n - 1))
		n++;
	while (n && (!begins_line(a, a->len - n) || !begins_line(b, b->len - n)))
		n--;
	return n;
}

/* The lines between those. */
static int take_middle(const struct view *view, size_t start, size_t end, struct buf *text,
		       struct err *err)
{
	buf_init(text, FILES_MAX);
	buf_add(text, view->text + start, view->len - start - end);
	if (text->overflow)
		return err_set(err, ERR_LIMIT, "too many files are different");
	return 0;
}

static int diff_views(const struct view *was, const struct view *is, struct changes *changes,
		      struct err *err)
{
	cleanup_buf struct buf old = { 0 }, new = { 0 };
	size_t start = same_start(was, is), end = same_end(was, is, start);

	if (take_middle(was, start, end, &old, err) < 0 ||
	    take_middle(is, start, end, &new, err) < 0)
		return -1;
	files_diff(old.data, new.data, changes);
	return 0;
}

int files_diff_blobs(struct store *store, const char *old, const char *new, struct changes *changes,
		     struct err *err)
{
	struct view was = { 0 }, is = { 0 };
	int status = -1;

	if (view_open(store, old, &was, err) == 0 && view_open(store, new, &is, err) == 0)
		status = diff_views(&was, &is, changes, err);
	view_release(&was);
	view_release(&is);
	return status;
}

int files_diff_copies(struct store *store, const char *old, const struct copy *const *copies,
		      size_t n, struct changes *changes, struct err *err)
{
	cleanup_with(blob_writer_free) struct blob_writer *writer = NULL;
	struct view was = { 0 }, is = { 0 };
	struct stat stat;
	int status = -1;

	if (write_all_lines(store, copies, n, &writer, err) < 0)
		return -1;
	if (fstat(blob_writer_fd(writer), &stat) < 0)
		return err_os(err, "stat a list of files");
	if (view_open(store, old, &was, err) == 0 &&
	    view_map(blob_writer_fd(writer), (uint64_t)stat.st_size, &is, err) == 0)
		status = diff_views(&was, &is, changes, err);
	view_release(&was);
	view_release(&is);
	return status;
}
