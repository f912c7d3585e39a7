/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tar of strangers, maybe compressed: as a layer, as an archive that ADD unpacks, and as what we
 * take for a tar of our own.
 */
#include "tests/fuzz/fuzz.h"

#include "layers/entry.h"
#include "layers/internal.h"

#define OUTPUT_MAX (1 << 20) /* bytes of an archive, uncompressed */

static void read_content(struct tar_reader *reader)
{
	char data[4096];
	struct err err;

	while (tar_reader_read(reader, data, sizeof(data), &err) > 0)
		;
}

/* Names are relative, clean and stay inside. */
static void check_entry(const struct entry *entry)
{
	const char *path = entry->path;

	if (path[0] == '/' || !strcmp(path, "..") || !strncmp(path, "../", 3) ||
	    strstr(path, "/../") || strstr(path, "//"))
		abort();
}

static void fuzz_reader(int fd, unsigned flags)
{
	struct tar_reader *reader;
	const struct entry *entry;
	struct digest diff_id;
	uint64_t size;
	struct err err;
	int got;

	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    tar_reader_open(fd, "fuzz", flags, OUTPUT_MAX, &reader, &err) < 0)
		return;
	while ((got = tar_reader_next(reader, &entry, &err)) > 0) {
		check_entry(entry);
		if (entry->type == ENTRY_FILE)
			read_content(reader);
	}
	if (got == 0)
		tar_reader_finish(reader, &diff_id, &size, &err);
	tar_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_fd int fd = fuzz_file(data, size);
	struct tar_index *index;
	struct err err;

	tar_detect(fd);
	fuzz_reader(fd, 0);
	fuzz_reader(fd, TAR_READER_LAYER);
	if (tar_index_read(fd, "fuzz", &index, &err) == 0)
		tar_index_free(index);
	return 0;
}
