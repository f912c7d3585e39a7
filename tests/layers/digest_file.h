/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_DIGEST_FILE_H
#define TESTS_DIGEST_FILE_H

/* tests/layers/digest_file.h: the digest of what can be read from fd. */

#include <unistd.h>

#include "base/digest.h"

static inline void digest_file(int fd, struct digest *ret_digest)
{
	unsigned char block[65536];
	struct hasher hasher;
	ssize_t got;

	hasher_init(&hasher);
	while ((got = read(fd, block, sizeof(block))) > 0)
		hasher_add(&hasher, block, (size_t)got);
	assert_int_equal(got, 0);
	hasher_finish(&hasher, ret_digest);
}

#endif
