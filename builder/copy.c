/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key of a COPY is made of what it was asked and of what it selected. The bytes hashed:
 *  1. a line of the request: "copy 1" NUL, the flags that matter as bytes 0 or 1 (add, link,
 *     from_root, parents), then destination, chown and chmod, each with a NUL, a missing one as
 *     a lone NUL, a present one with "=" before it
 *  2. for each match: 'd', or 'f' and the name of the file with its NUL; the count of its entries
 *     as 8 bytes; then each entry, see add_entry(), preceded by its length as 8 bytes
 *  3. for each fetched file: 'r', the count of matches before it and 1 if it may be
 *     unpacked else 0 as 8 bytes each, its name and a NUL, its sha256
 *  4. for each inline file: 'i', its name and a NUL, its length as 8 bytes, its content
 * Numbers have their lowest byte first.
 */
#include "builder/copy.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "builder/selection.h"
#include "dockerfile-parser/dockerfile.h"

#define HASHED_AT_ONCE	    8192 /* files */
#define ITEMS_BEFORE_LET_GO 8192

/* What is fetched or written inline has no source. */
static void source_lock(struct source *source)
{
	if (source)
		pthread_mutex_lock(&source->lock);
}

static void source_unlock(struct source *source)
{
	if (source)
		pthread_mutex_unlock(&source->lock);
}

/* --- items ------------------------------------------------------------------------------------ */

struct item *copy_item(const struct copy *copy, size_t i)
{
	if (i % ITEMS_BEFORE_LET_GO == 0)
		arena_let_go(copy->request.source->arena);
	return &copy->items[i / ITEMS_BLOCK][i % ITEMS_BLOCK];
}

/* --- opening ---------------------------------------------------------------------------------- */

/* The --exclude patterns as rules. A leading "!" keeps its meaning, as in BuildKit. */
static int parse_excludes(struct copy *copy, struct err *err)
{
	cleanup_buf struct buf rules;

	buf_init(&rules, 1024 * 1024);
	if (!copy->request.n_excludes)
		return 0;
	for (size_t i = 0; i < copy->request.n_excludes; i++) {
		const char *pattern = copy->request.excludes[i];

		if (strchr(pattern, '\n'))
			return err_set(err, ERR_INVALID, "--exclude: a pattern has a line break");
		if (*pattern == '#')
			buf_addstr(&rules, "./");
		buf_addstr(&rules, pattern);
		buf_addch(&rules, '\n');
	}
	if (rules.overflow)
		return err_set(err, ERR_LIMIT, "--exclude: too many patterns");
	return ignore_parse("--exclude", rules.data, rules.len, &copy->excludes, err);
}

struct inode {
	size_t match;
	uint64_t dev, ino;
	size_t item;
};

static int compare_inodes(const void *a, const void *b)
{
	const struct inode *x = a, *y = b;

	if (x->match != y->match)
		return x->match < y->match ? -1 : 1;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

/* Find the files of one match that are one inode: they stay hard links. */
static void find_groups(struct copy *copy)
{
	cleanup_free struct inode *inodes = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < copy->n_items; i++) {
		const struct item *item = copy_item(copy, i);

		if (!item->node->linked)
			continue;
		inodes = grow_vector(inodes, n, &cap, sizeof(*inodes));
		inodes[n++] = (struct inode){ item->match, item->node->dev, item->node->ino, i };
	}
	if (n < 2)
		return;
	qsort(inodes, n, sizeof(*inodes), compare_inodes);
	for (size_t i = 1, first = 0; i < n; i++) {
		if (inodes[i].match != inodes[first].match || inodes[i].dev != inodes[first].dev ||
		    inodes[i].ino != inodes[first].ino) {
			first = i;
			continue;
		}
		copy_item(copy, inodes[first].item)->group = (uint32_t)(inodes[first].item + 1);
		copy_item(copy, inodes[i].item)->group = (uint32_t)(inodes[first].item + 1);
	}
}

static int open_copy(struct copy *copy, size_t *ret_bad, struct err *err)
{
	const struct copy_request *request = &copy->request;

	if (request->dest[0] != '/')
		return err_set(err, ERR_INVALID, "the destination %s is not absolute",
			       request->dest);
	if (request->chmod && mode_parse(request->chmod, &copy->chmod, err) < 0)
		return -1;
	if (parse_excludes(copy, err) < 0)
		return -1;
	for (size_t i = 0; i < request->n_patterns; i++) {
		size_t first = copy->n_matches;

		*ret_bad = i;
		if (copy_select(copy, request->patterns[i], err) < 0)
			return -1;
		for (size_t k = first; k < copy->n_matches; k++)
			copy->matches[k].pattern = i;
	}
	find_groups(copy);
	return 0;
}

int copy_open(const struct copy_request *request, struct copy **ret_copy, size_t *ret_bad,
	      struct err *err)
{
	struct copy *copy = xcalloc(1, sizeof(*copy));
	size_t bad = 0;
	int status;

	copy->request = *request;
	copy->arena = arena_new();
	buf_init(&copy->path, NODE_PATH_MAX);
	source_lock(request->source);
	status = open_copy(copy, &bad, err);
	source_unlock(request->source);
	if (status < 0) {
		copy_free(copy);
		if (ret_bad)
			*ret_bad = bad;
		return -1;
	}
	*ret_copy = copy;
	return 0;
}

void copy_free(struct copy *copy)
{
	if (!copy)
		return;
	ignore_free(copy->excludes);
	arena_free(copy->arena);
	buf_release(&copy->path);
	free(copy->matches);
	free(copy->items);
	free(copy);
}

/* --- the key ---------------------------------------------------------------------------------- */

static void put_number(unsigned char *bytes, uint64_t number, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
}

static void add_number(struct buf *buf, uint64_t number, size_t size)
{
	unsigned char bytes[8];

	put_number(bytes, number, size);
	buf_add(buf, bytes, size);
}

static void hash_number(struct hasher *hasher, uint64_t number)
{
	unsigned char bytes[8];

	put_number(bytes, number, sizeof(bytes));
	hasher_add(hasher, bytes, sizeof(bytes));
}

/*
 * The bytes of one entry: its path below the match and a NUL; what decides about ownership and
 * mode; its type, and by type: the content's sha256; the target of a link and a NUL; the device
 * number as 8 bytes. Then the place of the first name of the same inode within the match (0:
 * none), and the attributes.
 */
static void add_entry(const struct copy *copy, size_t i, struct buf *buf)
{
	const struct item *item = copy_item(copy, i);
	const struct match *match = &copy->matches[item->match];
	const struct node *node = item->node;
	/* a passage to what is there has the source's mode whatever --chmod says */
	bool has_mode = copy->chmod.octal && copy->request.chmod && !item->passage;
	char path[NODE_PATH_MAX];

	buf_clear(buf);
	node_path(match->top, node, path);
	buf_add(buf, path, strlen(path) + 1);
	add_number(buf, node->mode & S_IFMT, 4);
	add_number(buf, has_mode || S_ISLNK(node->mode) ? 0 : node->mode & 07777, 4);
	buf_addch(buf, item->passage ? 1 : 0);
	if (copy->request.from_root && !copy->request.chown) {
		add_number(buf, node->uid, 4);
		add_number(buf, node->gid, 4);
	}
	if (S_ISLNK(node->mode)) {
		buf_add(buf, node->link, strlen(node->link) + 1);
		return;
	}
	if (S_ISREG(node->mode))
		buf_add(buf, node->digest.bytes, sizeof(node->digest.bytes));
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		add_number(buf, node->rdev, 8);
	add_number(buf, item->group ? item->group - match->first : 0, 8);
	if (node->xattrs)
		buf_add(buf, node->xattrs->bytes, node->xattrs->len);
}

static void hash_text(struct hasher *hasher, const char *text)
{
	if (text) {
		hasher_add(hasher, "=", 1);
		hasher_add(hasher, text, strlen(text));
	}
	hasher_add(hasher, "", 1);
}

static void hash_request(const struct copy_request *request, struct hasher *hasher)
{
	const unsigned char flags[] = { request->add, request->link, request->from_root,
					request->parents };

	hasher_add(hasher, "copy 1", 7);
	hasher_add(hasher, flags, sizeof(flags));
	hash_text(hasher, request->dest);
	hash_text(hasher, request->chown);
	hash_text(hasher, request->chmod);
}

/* The items from `first` on, as many as go at once. */
static int require_some(struct copy *copy, size_t first, struct err *err)
{
	cleanup_free struct node **nodes = xmalloc(HASHED_AT_ONCE * sizeof(*nodes));
	size_t n = 0;

	for (size_t i = first; i < copy->n_items && n < HASHED_AT_ONCE; i++)
		nodes[n++] = copy_item(copy, i)->node;
	return source_hash(copy->request.source, nodes, n, err);
}

int copy_require_content(struct copy *copy, struct err *err)
{
	int status = 0;

	source_lock(copy->request.source);
	for (size_t i = 0; i < copy->n_items && status == 0; i += HASHED_AT_ONCE)
		status = require_some(copy, i, err);
	source_unlock(copy->request.source);
	return status;
}

/* The patterns' own number says nothing: other patterns may match the same files. */
static size_t matches_before(const struct copy *copy, size_t pattern)
{
	size_t n = 0;

	while (n < copy->n_matches && copy->matches[n].pattern < pattern)
		n++;
	return n;
}

int copy_add_to_key(struct copy *copy, struct hasher *hasher, struct err *err)
{
	const struct copy_request *request = &copy->request;
	cleanup_buf struct buf entry;

	buf_init(&entry, 2 * NODE_PATH_MAX + 4 * NODE_XATTRS_MAX);
	if (copy_require_content(copy, err) < 0)
		return -1;
	hash_request(request, hasher);
	for (size_t i = 0; i < copy->n_matches; i++) {
		const struct match *match = &copy->matches[i];
		bool directory = S_ISDIR(match->top->mode);

		hasher_add(hasher, directory ? "d" : "f", 1);
		if (!directory)
			hasher_add(hasher, match->name, strlen(match->name) + 1);
		hash_number(hasher, match->n);
		for (size_t k = match->first; k < match->first + match->n; k++) {
			add_entry(copy, k, &entry);
			hash_number(hasher, entry.len);
			hasher_add(hasher, entry.data, entry.len);
		}
	}
	for (size_t i = 0; i < request->n_remotes; i++) {
		const struct copy_remote *file = &request->remotes[i];

		hasher_add(hasher, "r", 1);
		hash_number(hasher, matches_before(copy, file->before));
		hash_number(hasher, file->unpack);
		hasher_add(hasher, file->name, strlen(file->name) + 1);
		hasher_add(hasher, file->digest.bytes, sizeof(file->digest.bytes));
	}
	for (size_t i = 0; i < request->n_inlines; i++) {
		const struct copy_inline *file = &request->inlines[i];

		hasher_add(hasher, "i", 1);
		hasher_add(hasher, file->name, strlen(file->name) + 1);
		hash_number(hasher, file->len);
		hasher_add(hasher, file->content, file->len);
	}
	return 0;
}

void copy_entry_digest(const struct copy *copy, size_t i, struct digest *ret_digest)
{
	cleanup_buf struct buf entry;

	buf_init(&entry, 2 * NODE_PATH_MAX + 4 * NODE_XATTRS_MAX);
	add_entry(copy, i, &entry);
	digest_of(entry.data, entry.len, ret_digest);
}
