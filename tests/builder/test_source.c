/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the stat index believes and what it does not. */
#include "tests/builder/copy_help.h"

#include <dirent.h>
#include <utime.h>

#include "builder/node.h"
#include "builder/selection.h"

/* Long enough for a change to be older than "just now". */
static void settle(void)
{
	usleep(60000);
}

static struct node *find(struct place *place, const char *path)
{
	struct node *node;

	must(source_lookup(place->source, &place->source->root, path, false, &node, &oops));
	return node;
}

/* Open the context anew, hash path. Whether the index vouched for it. */
static bool is_vouched(struct place *place, const char *path, struct digest *ret_digest)
{
	struct node *node;
	bool vouched;

	place_context(place);
	node = find(place, path);
	assert_non_null(node);
	vouched = !digest_is_zero(&node->digest);
	must(source_hash(place->source, &node, 1, &oops));
	*ret_digest = node->digest;
	must(source_save(place->source, &oops));
	return vouched;
}

static bool is_digest_of(const struct digest *digest, const char *content)
{
	struct digest want;

	digest_of(content, strlen(content), &want);
	return digest_equal(digest, &want);
}

static void test_source__an_unchanged_file_is_read_once(void **state)
{
	struct digest digest;
	struct place place;

	(void)state;
	place_open(&place, "d d 755\nf d/f 644 one", NULL);
	settle();
	assert_false(is_vouched(&place, "d/f", &digest));
	assert_true(is_vouched(&place, "d/f", &digest));
	assert_true(is_digest_of(&digest, "one"));
	place_close(&place);
}

static void test_source__a_young_file_is_read_again(void **state)
{
	struct digest digest;
	struct place place;

	(void)state;
	place_open(&place, "f f 644 one", NULL);
	put_file(place.context, "f", 0644, "one");
	assert_false(is_vouched(&place, "f", &digest));
	assert_false(is_vouched(&place, "f", &digest)); /* was younger than the tick */
	settle();
	is_vouched(&place, "f", &digest);
	assert_true(is_vouched(&place, "f", &digest));
	place_close(&place);
}

static void test_source__equal_size_and_mtime_are_no_proof(void **state)
{
	struct timespec times[2];
	struct digest digest;
	struct place place;
	struct stat stat;

	(void)state;
	place_open(&place, "f f 644 one", NULL);
	settle();
	is_vouched(&place, "f", &digest);
	assert_int_equal(fstatat(place.context, "f", &stat, 0), 0);
	put_file(place.context, "f", 0644, "two");
	times[0] = stat.st_atim;
	times[1] = stat.st_mtim;
	assert_int_equal(utimensat(place.context, "f", times, 0), 0);
	assert_false(is_vouched(&place, "f", &digest));
	assert_true(is_digest_of(&digest, "two"));
	place_close(&place);
}

static void test_source__another_file_of_the_same_name_is_read(void **state)
{
	struct digest digest;
	struct place place;

	(void)state;
	place_open(&place, "f f 644 one\nf g 644 two", NULL);
	settle();
	is_vouched(&place, "f", &digest);
	assert_int_equal(renameat(place.context, "g", place.context, "f"), 0);
	assert_false(is_vouched(&place, "f", &digest));
	assert_true(is_digest_of(&digest, "two"));
	place_close(&place);
}

/* The only file in contexts/. */
static void index_path(struct place *place, char path[300])
{
	struct dirent *entry;
	DIR *dir;

	snprintf(path, 300, "%s/store/contexts", place->path);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			break;
	assert_non_null(entry);
	snprintf(path, 300, "%s/store/contexts/%.70s", place->path, entry->d_name);
	closedir(dir);
}

static void damage(const char *path, off_t at, ssize_t cut)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	if (cut >= 0) {
		assert_int_equal(ftruncate(fd, cut), 0);
	} else {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x41;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

static void test_source__a_damaged_index_is_said_once_and_rewritten(void **state)
{
	struct err err = ERR_INIT;
	struct digest digest;
	struct place place;
	struct stat stat;
	char path[300];

	(void)state;
	place_open(&place, "d d 755\nf d/f 644 one", NULL);
	settle();
	is_vouched(&place, "d/f", &digest);
	index_path(&place, path);
	assert_int_equal(lstat(path, &stat), 0);
	for (off_t at = 0; at < stat.st_size + 3; at++) {
		struct node *node;

		damage(path, at, at < stat.st_size ? -1 : at == stat.st_size ? 0
			      : at == stat.st_size + 1 ? 20 : stat.st_size - 1);
		place_context(&place);
		node = find(&place, "d/f");
		assert_true(digest_is_zero(&node->digest));
		must(source_hash(place.source, &node, 1, &oops));
		assert_true(is_digest_of(&node->digest, "one"));
		assert_int_equal(source_save(place.source, &err), -1);
		assert_int_equal(err.kind, ERR_CORRUPT);
		assert_int_equal(source_save(place.source, &err), 0);
		assert_true(is_vouched(&place, "d/f", &digest));
	}
	place_close(&place);
}

static void test_source__records_of_other_directories_stay(void **state)
{
	struct digest digest;
	struct place place;

	(void)state;
	place_open(&place, "d a 755\nf a/f 644 A\nd a/z 755\nf a/z/g 644 G\nd b 755\nf b/f 644 B",
		   NULL);
	settle();
	is_vouched(&place, "a/z/g", &digest);
	is_vouched(&place, "b/f", &digest);
	is_vouched(&place, "a/f", &digest);
	assert_true(is_vouched(&place, "a/z/g", &digest));
	assert_true(is_digest_of(&digest, "G"));
	assert_true(is_vouched(&place, "b/f", &digest));
	assert_int_equal(unlinkat(place.context, "a/z/g", 0), 0);
	assert_int_equal(unlinkat(place.context, "a/z", AT_REMOVEDIR), 0);
	assert_true(is_vouched(&place, "a/f", &digest));
	put_file(place.context, "b/n", 0644, "N");
	settle();
	is_vouched(&place, "b/n", &digest);
	assert_true(is_vouched(&place, "b/n", &digest));
	place_close(&place);
}

static void test_source__only_what_is_asked_for_is_read(void **state)
{
	struct place place;

	(void)state;
	place_open(&place, "d a 755\nf a/f 644 A\nd b 755\nf b/f 644 B", NULL);
	place_context(&place);
	assert_false(place.source->root.loaded);
	assert_non_null(find(&place, "a/f"));
	assert_true(find(&place, "a")->loaded);
	assert_false(find(&place, "b")->loaded);
	place_close(&place);
}

static void test_source__ignored_directories_are_not_read(void **state)
{
	struct place place;

	(void)state;
	place_open(&place, "d a 755\nf a/f 644 A\nd b 755\nf b/f 644 B\nd c 755\nd c/d 755",
		   "a\nc\n!c/d/x\n");
	assert_int_equal(fchmodat(place.context, "a", 0, 0), 0);
	place_context(&place);
	assert_null(find(&place, "a"));
	assert_null(find(&place, "c")); /* it may have something, and has nothing */
	assert_non_null(find(&place, "b/f"));
	assert_int_equal(fchmodat(place.context, "a", 0755, 0), 0);
	place_close(&place);
}

static void test_source__a_vanished_file_is_an_error_with_its_path(void **state)
{
	struct err err = ERR_INIT;
	struct place place;
	struct node *node;

	(void)state;
	place_open(&place, "d d 755\nf d/f 644 A", NULL);
	place_context(&place);
	node = find(&place, "d/f");
	assert_int_equal(unlinkat(place.context, "d/f", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", place.context, "d/f"), 0);
	assert_int_equal(source_hash(place.source, &node, 1, &err), -1);
	assert_non_null(strstr(err.message, "d/f"));
	assert_non_null(strstr(err.message, "changed while it was read"));
	place_close(&place);
}

static void test_source__an_unreadable_file_is_an_error_with_its_path(void **state)
{
	struct err err = ERR_INIT;
	struct place place;
	struct node *node;

	(void)state;
	if (geteuid() == 0)
		skip();
	place_open(&place, "f f 000 A", NULL);
	place_context(&place);
	node = find(&place, "f");
	assert_int_equal(source_hash(place.source, &node, 1, &err), -1);
	assert_non_null(strstr(err.message, "open f in "));
	place_close(&place);
}

static void test_source__many_files_many_threads(void **state)
{
	cleanup_free struct node **nodes = NULL;
	struct place place;
	struct node *dir;

	(void)state;
	place_open(&place, "d d 755", NULL);
	for (int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/%d", i);
		put_file(place.context, name, 0644, name);
	}
	settle();
	for (int round = 0; round < 2; round++) {
		place_context(&place);
		dir = find(&place, "d");
		must(node_load(place.source, dir, &oops));
		free(nodes);
		nodes = xmalloc(dir->n_children * sizeof(*nodes));
		for (size_t i = 0; i < dir->n_children; i++) {
			nodes[i] = &dir->children[i];
			assert_int_equal(digest_is_zero(&nodes[i]->digest), round == 0);
		}
		must(source_hash(place.source, nodes, dir->n_children, &oops));
		for (size_t i = 0; i < dir->n_children; i++) {
			char name[300];

			snprintf(name, sizeof(name), "d/%s", nodes[i]->name);
			assert_true(is_digest_of(&nodes[i]->digest, name));
		}
		must(source_save(place.source, &oops));
	}
	place_close(&place);
}

/* Many more files than one thread reads alone; some directories are there for one file each. */
static void put_many(struct place *place)
{
	for (int i = 0; i < 90; i++) {
		char name[64];

		snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(mkdirat(place->context, name, 0755), 0);
		for (int k = 0; k < 40; k++) {
			snprintf(name, sizeof(name), "d%d/%d", i, k);
			put_file(place->context, name, 0644, name);
		}
		snprintf(name, sizeof(name), "d%d/ignored", i);
		assert_int_equal(mkdirat(place->context, name, 0755), 0);
		snprintf(name, sizeof(name), "d%d/ignored/%s", i, i % 2 ? "keep" : "other");
		put_file(place->context, name, 0644, name);
	}
}

static struct digest key_of_all(struct place *place, unsigned jobs, size_t *ret_count)
{
	const char *pattern = ".";
	struct copy_request request = { .patterns = &pattern, .n_patterns = 1, .dest = "/" };
	char path[128];
	struct copy *copy;
	struct digest key;

	snprintf(path, sizeof(path), "%s/context", place->path);
	source_free(place->source);
	must(source_open_context(place->store, path, place->context, place->ignore, jobs,
				 &place->source, &oops));
	request.source = place->source;
	must(copy_open(&request, &copy, NULL, &oops));
	key = copy_key(copy);
	*ret_count = copy->n_items;
	copy_free(copy);
	return key;
}

static void test_source__directories_are_read_side_by_side(void **state)
{
	static const unsigned jobs[] = { 1, 2, 5 };
	struct place place;
	struct digest key, other;
	size_t n;

	(void)state;
	place_open(&place, "", "*/ignored/*\n!*/ignored/keep\n");
	put_many(&place);
	settle();
	key = key_of_all(&place, 1, &n);
	assert_int_equal(n, 90 + 90 * 40 + 90 + 45);
	must(source_save(place.source, &oops));
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		other = key_of_all(&place, jobs[i], &n);
		assert_true(digest_equal(&key, &other));
		assert_false(place.source->dirty); /* the index knew all of it */
	}
	assert_int_equal(unlinkat(place.context, "d77/7", 0), 0);
	other = key_of_all(&place, 5, &n);
	assert_false(digest_equal(&key, &other));
	assert_true(place.source->dirty);
	place_close(&place);
}

/* Whoever reads it first. */
static void test_source__the_error_is_that_of_the_first_directory(void **state)
{
	const char *pattern = ".";
	struct copy_request request = { .patterns = &pattern, .n_patterns = 1, .dest = "/" };
	char name[256], last[ERR_MESSAGE_MAX] = "";
	struct place place;
	struct copy *copy;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	place_open(&place, "d c 755\nd d 755\nd d/c 755\nd d/d 755\nd e 755", NULL);
	put_many(&place);
	for (int i = 0; i < 2; i++) { /* both too deep */
		int fd = openat(place.context, i ? "d/d" : "d/c", O_RDONLY | O_DIRECTORY);

		for (int k = 0; k < 17; k++) {
			int next;

			name[0] = (char)('a' + i);
			assert_int_equal(mkdirat(fd, name, 0755), 0);
			next = openat(fd, name, O_RDONLY | O_DIRECTORY);
			close(fd);
			fd = next;
		}
		close(fd);
	}
	for (unsigned jobs = 1; jobs < 4; jobs++) {
		struct err err = ERR_INIT;
		char path[128];

		source_free(place.source);
		snprintf(path, sizeof(path), "%s/context", place.path);
		must(source_open_context(place.store, path, place.context, NULL, jobs,
					 &place.source, &oops));
		request.source = place.source;
		assert_int_equal(copy_open(&request, &copy, NULL, &err), -1);
		assert_int_equal(err.kind, ERR_LIMIT);
		assert_int_equal(strncmp(err.message, "d/c/annn", 8), 0);
		assert_true(jobs == 1 || !strcmp(last, err.message));
		memcpy(last, err.message, sizeof(last));
	}
	place_close(&place);
}

static void test_source__deep_directories(void **state)
{
	int depth = 2040, fd, next;
	struct err err = ERR_INIT;
	const char *pattern = ".";
	struct copy_request request = { .patterns = &pattern, .n_patterns = 1, .dest = "/" };
	struct place place;
	struct copy *copy;

	(void)state;
	place_open(&place, "", NULL);
	fd = dup(place.context);
	for (int i = 0; i < depth; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	put_file(fd, "f", 0644, "F");
	settle();
	request.source = place_context(&place);
	must(copy_open(&request, &copy, NULL, &oops));
	assert_int_equal(copy->n_items, depth + 1);
	copy_key(copy);
	copy_free(copy);
	must(source_save(place.source, &oops));
	put_file(fd, "a name that makes the path of the file longer than can be", 0644, "F");
	close(fd);
	request.source = place_context(&place);
	assert_int_equal(copy_open(&request, &copy, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source__an_unchanged_file_is_read_once),
		cmocka_unit_test(test_source__a_young_file_is_read_again),
		cmocka_unit_test(test_source__equal_size_and_mtime_are_no_proof),
		cmocka_unit_test(test_source__another_file_of_the_same_name_is_read),
		cmocka_unit_test(test_source__a_damaged_index_is_said_once_and_rewritten),
		cmocka_unit_test(test_source__records_of_other_directories_stay),
		cmocka_unit_test(test_source__only_what_is_asked_for_is_read),
		cmocka_unit_test(test_source__ignored_directories_are_not_read),
		cmocka_unit_test(test_source__a_vanished_file_is_an_error_with_its_path),
		cmocka_unit_test(test_source__an_unreadable_file_is_an_error_with_its_path),
		cmocka_unit_test(test_source__many_files_many_threads),
		cmocka_unit_test(test_source__directories_are_read_side_by_side),
		cmocka_unit_test(test_source__the_error_is_that_of_the_first_directory),
		cmocka_unit_test(test_source__deep_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
