/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_HASH_QUEUE_H
#define BASE_HASH_QUEUE_H

/*
 * base/hash_queue.h: a sha256 computed by a thread of its own, for who has other work with the same
 * bytes: a file of a layer is read and written about as fast as it is hashed. Bytes go into blocks
 * of the queue, so that none is waited for until all of them are full. With one processor, or no
 * thread to be had, blocks are hashed as they are put.
 */

#include <stddef.h>

#include "base/digest.h"

struct hash_queue;

#define HASH_QUEUE_BLOCK ((size_t)256 * 1024) /* bytes */

/* Goes on from a hasher, which is copied. */
struct hash_queue *hash_queue_new(const struct hasher *begun);

/* The next block to fill, HASH_QUEUE_BLOCK bytes: the same until hash_queue_put(). May wait. */
unsigned char *hash_queue_block(struct hash_queue *queue);

/* The first len bytes of that block come next. They may be read until hash_queue_block(). */
void hash_queue_put(struct hash_queue *queue, size_t len);

/* Wait for all of it. Nothing more may be put. */
void hash_queue_finish(struct hash_queue *queue, struct digest *ret_digest);

/* Stops the thread, whatever is left to do; NULL is fine. */
void hash_queue_free(struct hash_queue *queue);

#endif
