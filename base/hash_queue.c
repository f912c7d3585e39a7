/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of blocks. hashed <= put <= hashed + BLOCKS; the blocks between are the thread's. Both
 * counters are changed under the lock.
 */
#include "base/hash_queue.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/pool.h"

#define BLOCKS 8

struct hash_queue {
	struct hasher hasher;
	pthread_mutex_t lock;
	pthread_cond_t came, hashed;
	size_t n_put, n_hashed;
	bool stop;
	struct pool *pool; /* NULL: there is no thread */
	size_t lens[BLOCKS];
	unsigned char *blocks; /* one after another */
};

static unsigned char *block_at(struct hash_queue *queue, size_t i)
{
	return queue->blocks + i % BLOCKS * HASH_QUEUE_BLOCK;
}

static void hash_blocks(void *arg)
{
	struct hash_queue *queue = arg;

	pthread_mutex_lock(&queue->lock);
	for (;;) {
		size_t next = queue->n_hashed;

		while (!queue->stop && next == queue->n_put)
			pthread_cond_wait(&queue->came, &queue->lock);
		if (queue->stop)
			break;
		pthread_mutex_unlock(&queue->lock);
		hasher_add(&queue->hasher, block_at(queue, next), queue->lens[next % BLOCKS]);
		pthread_mutex_lock(&queue->lock);
		queue->n_hashed++;
		pthread_cond_signal(&queue->hashed);
	}
	pthread_mutex_unlock(&queue->lock);
}

/* Until there are at most `most` blocks to be hashed. */
static void wait_for(struct hash_queue *queue, size_t most)
{
	pthread_mutex_lock(&queue->lock);
	while (queue->n_put - queue->n_hashed > most)
		pthread_cond_wait(&queue->hashed, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
}

struct hash_queue *hash_queue_new(const struct hasher *begun)
{
	struct hash_queue *queue = xcalloc(1, sizeof(*queue));

	queue->hasher = *begun;
	queue->blocks = xmalloc(BLOCKS * HASH_QUEUE_BLOCK);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->came, NULL);
	pthread_cond_init(&queue->hashed, NULL);
	if (pool_processors() > 1)
		queue->pool = pool_open(1, hash_blocks, queue);
	if (queue->pool && !pool_size(queue->pool)) {
		pool_close(queue->pool);
		queue->pool = NULL;
	}
	return queue;
}

unsigned char *hash_queue_block(struct hash_queue *queue)
{
	wait_for(queue, BLOCKS - 1);
	return block_at(queue, queue->n_put);
}

void hash_queue_put(struct hash_queue *queue, size_t len)
{
	if (!queue->pool) {
		hasher_add(&queue->hasher, block_at(queue, queue->n_put), len);
		return;
	}
	pthread_mutex_lock(&queue->lock);
	queue->lens[queue->n_put++ % BLOCKS] = len;
	pthread_cond_signal(&queue->came);
	pthread_mutex_unlock(&queue->lock);
}

void hash_queue_finish(struct hash_queue *queue, struct digest *ret_digest)
{
	wait_for(queue, 0);
	hasher_finish(&queue->hasher, ret_digest);
}

void hash_queue_free(struct hash_queue *queue)
{
	if (!queue)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	pthread_cond_signal(&queue->came);
	pthread_mutex_unlock(&queue->lock);
	pool_close(queue->pool);
	pthread_cond_destroy(&queue->came);
	pthread_cond_destroy(&queue->hashed);
	pthread_mutex_destroy(&queue->lock);
	free(queue->blocks);
	free(queue);
}
