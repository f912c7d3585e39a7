/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/*
 * tests/fuzz/fuzz.h: what the targets share. Each fuzz_NAME.c is one target of libFuzzer, its seeds
 * are in testdata/fuzz/NAME; tests/fuzz/run.sh builds and runs them. Besides what the sanitizers
 * find, a broken promise ends in abort().
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a string; bytes behind a NUL are there, but no part of the string. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Cut the string at the first newline: what is before it stays, the rest is returned. */
static inline char *fuzz_cut(char *text)
{
	char *newline = strchr(text, '\n');

	if (!newline)
		return text + strlen(text);
	*newline = '\0';
	return newline + 1;
}

/* The input as a file, at its start. */
static inline int fuzz_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	return fd;
}

#endif
