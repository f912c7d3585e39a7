/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LAYERS_STORE_FIXTURE_H
#define TESTS_LAYERS_STORE_FIXTURE_H

/* tests/layers/store_fixture.h: a fresh store for each test, removed after it. */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "layers/store.h"

struct fixture {
	char dir[64]; /* the store is at dir/store */
	char *path;
	struct store *store;
};

static inline int setup_store(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));
	struct err err = ERR_INIT;

	snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/cbuild-test-XXXXXX");
	if (!mkdtemp(fixture->dir))
		return -1;
	fixture->path = xasprintf("%s/store", fixture->dir);
	if (store_open(fixture->path, true, &fixture->store, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return -1;
	}
	*state = fixture;
	return 0;
}

static inline int teardown_store(void **state)
{
	struct fixture *fixture = *state;
	struct err err = ERR_INIT;
	int bad;

	store_free(fixture->store);
	bad = file_remove_tree_at(AT_FDCWD, fixture->dir, &err);
	free(fixture->path);
	free(fixture);
	return bad;
}

/* A file of testdata/, whole. */
static inline void read_testdata(const char *name, struct buf *buf)
{
	const char *srcdir = getenv("srcdir");
	char *path = xasprintf("%s/testdata/%s", srcdir ? srcdir : ".", name);
	struct err err = ERR_INIT;

	if (file_read_at(AT_FDCWD, path, buf, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		abort();
	}
	free(path);
}

#endif
