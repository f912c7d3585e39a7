/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/hash_queue.h"

#define N_BLOCKS 40 /* more than a queue holds */

/* Put block i, not always a whole one. */
static void put(struct hash_queue *queue, unsigned i, struct hasher *expected)
{
	size_t len = HASH_QUEUE_BLOCK - (i % 3) * 1000;
	unsigned char *block = hash_queue_block(queue);

	assert_ptr_equal(block, hash_queue_block(queue));
	memset(block, (int)i, len);
	hasher_add(expected, block, len);
	hash_queue_put(queue, len);
}

static void test_hash_queue__is_the_digest_of_all_in_order(void **state)
{
	struct digest digest, right;
	struct hash_queue *queue;
	struct hasher expected;

	(void)state;
	hasher_init(&expected);
	hasher_add(&expected, "begun", 5);
	queue = hash_queue_new(&expected);
	for (unsigned i = 0; i < N_BLOCKS; i++)
		put(queue, i, &expected);
	hash_queue_finish(queue, &digest);
	hasher_finish(&expected, &right);
	assert_true(digest_equal(&digest, &right));
	hash_queue_free(queue);
}

static void test_hash_queue__may_be_given_up(void **state)
{
	struct hash_queue *queue;
	struct hasher hasher;

	(void)state;
	hasher_init(&hasher);
	queue = hash_queue_new(&hasher);
	for (unsigned i = 0; i < 3; i++)
		put(queue, i, &hasher);
	hash_queue_free(queue);
	hash_queue_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_queue__is_the_digest_of_all_in_order),
		cmocka_unit_test(test_hash_queue__may_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
