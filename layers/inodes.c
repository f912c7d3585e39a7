/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open addressing with linear probing, at most three quarters full. Inode 0 is no inode. */
#include "layers/internal.h"

#include "base/mem.h"

struct inode_map {
	struct inode *slots; /* cap of them, a power of two */
	size_t n, cap;
};

struct inode_map *inode_map_new(void)
{
	struct inode_map *map = xcalloc(1, sizeof(*map));

	map->cap = 64;
	map->slots = xcalloc(map->cap, sizeof(*map->slots));
	return map;
}

void inode_map_free(struct inode_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->cap; i++)
		free(map->slots[i].path);
	free(map->slots);
	free(map);
}

/* The slot of an inode, or the free one where it would be. */
static struct inode *find(const struct inode_map *map, uint64_t ino)
{
	size_t at = (size_t)(ino * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (map->cap - 1);

	while (map->slots[at].ino && map->slots[at].ino != ino)
		at = (at + 1) & (map->cap - 1);
	return &map->slots[at];
}

static void grow(struct inode_map *map)
{
	struct inode_map bigger = { .n = map->n, .cap = map->cap * 2 };

	bigger.slots = xcalloc(bigger.cap, sizeof(*bigger.slots));
	for (size_t i = 0; i < map->cap; i++)
		if (map->slots[i].ino)
			*find(&bigger, map->slots[i].ino) = map->slots[i];
	free(map->slots);
	*map = bigger;
}

struct inode *inode_map_get(const struct inode_map *map, uint64_t ino)
{
	struct inode *slot = find(map, ino);

	return slot->ino ? slot : NULL;
}

struct inode *inode_map_put(struct inode_map *map, uint64_t ino, bool *ret_new)
{
	struct inode *slot;

	if (map->n >= map->cap / 4 * 3)
		grow(map);
	slot = find(map, ino);
	*ret_new = !slot->ino;
	if (!slot->ino) {
		slot->ino = ino;
		map->n++;
	}
	return slot;
}
