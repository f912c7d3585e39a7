/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LAYERS_INTERNAL_H
#define LAYERS_INTERNAL_H

/* layers/internal.h: what the files of layers/ share among themselves. */

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/strv.h"
#include "layers/compress.h"
#include "layers/entry.h"
#include "layers/media.h"
#include "layers/store.h"
#include "layers/tar.h"

struct buf;
struct err;
struct path_set;
struct root;
struct sink;
struct store;

/* --- trees (tree.c) --------------------------------------------------------------------------- */

/* The same of a tree that has no name yet; implied are the directories that it does not name. */
int tree_stream_at(int fs_fd, bool recorded_owners, const struct path_set *implied,
		   struct sink *sink, struct err *err);

/* The canonical tar of a layer's tree into a sink, which is not finished. ERR_NOT_FOUND when the
 * layer has no tree. */
int tree_stream(struct store *store, const struct digest *diff_id, struct sink *sink,
		struct err *err);
bool tree_exists(struct store *store, const struct digest *diff_id);

/* What is done with the files of its trees. */
enum owner_record tree_owner_record(const struct store *store);

/* Whether it has one of any kind. */
bool tree_exists_somehow(struct store *store, const struct digest *diff_id);

/* --- layer records (layer_record.c, layer.c) -------------------------------------------------- */

/* A blob that is known to hold a layer; its bytes need not be here. */
struct layer_blob {
	struct descriptor descriptor;
	bool own; /* made here: it may be made again, in any compression, at will */
	struct strv places; /* repositories that have it, newest first */
};

/* Of blobs of one layer. */
#define LAYER_PLACES_MAX 4

/* What layers/<hex> says. Both sizes of nothing (0) mean "not known". */
struct layer_record {
	uint64_t size; /* bytes of the tar */
	struct layer_blob *blobs;
	size_t n_blobs, cap_blobs;
};

/* A record that is absent or was damaged reads as one that knows nothing. */
int layer_record_read(struct store *store, const struct digest *diff_id,
		      struct layer_record *ret_record, struct err *err);
void layer_record_release(struct layer_record *record);

/* Add to a record: a size (0: none) and a blob (NULL: none). What others add at the same time is
 * not lost. */
int layer_record_add(struct store *store, const struct digest *diff_id, uint64_t size,
		     const struct layer_blob *blob, struct err *err);

/* Remove a layer's blobs and its record (not its tree). */
int layer_forget(struct store *store, const struct digest *diff_id, struct err *err);

/* A blob that holds the layer's tar and whose bytes are here; an uncompressed one first.
 * ERR_NOT_FOUND when there is none. */
int layer_find_blob(struct store *store, const struct digest *diff_id,
		    struct descriptor *ret_blob, struct err *err);

/* A blob that is not here and can be fetched. ERR_NOT_FOUND when there is none (layer_place.c). */
int layer_find_elsewhere(struct store *store, const struct digest *diff_id,
			 struct descriptor *ret_blob, struct err *err);

/* Remember the size of a layer; what its record knows of blobs stays. */
struct layer;
int layer_remember(struct store *store, const struct layer *layer, struct err *err);

/* --- walking a tree (walk.c, inodes.c) -------------------------------------------------------- */

/* What is known of an inode. inode_map_free() frees the paths. */
struct inode {
	uint64_t ino;
	int64_t mtime;
	char *path;
};

/* A table of inodes of one file system. Pointers into it are valid until the next put. */
struct inode_map;
struct inode_map *inode_map_new(void);
void inode_map_free(struct inode_map *map);
struct inode *inode_map_get(const struct inode_map *map, uint64_t ino); /* NULL when absent */
struct inode *inode_map_put(struct inode_map *map, uint64_t ino, bool *ret_new);
DEFINE_CLEANUP(struct inode_map *, inode_map_free)

enum walk_kind {
	WALK_DIRECTORY, /* before what is in it */
	WALK_LEAVE,	/* the same directory after all that */
	WALK_WHITEOUT,
	WALK_OTHER, /* everything else, sockets included */
};

struct walk_item {
	enum walk_kind kind;
	const char *path; /* from the root, which is ""; as long as it is, also past PATH_MAX */
	const char *name; /* its last component, */
	int parent_fd;	  /* in this directory; -1 for the root */
	int fd;		  /* of a directory, open for reading; else -1 */
	struct stat stat;
	bool opaque; /* directories: the lower content is hidden */
};

/* All of a tree in canonical order. root_fd stays the caller's, opaque_name is the tree's notation;
 * owners may be recorded. */
struct walk;
struct walk *walk_new(int root_fd, const char *opaque_name, bool recorded_owners);
void walk_free(struct walk *walk);
DEFINE_CLEANUP(struct walk *, walk_free)

/* 1: *ret_item is the next (valid until the next call); 0: the end; -1: error. Members may be
 * removed once they were handed out. */
int walk_next(struct walk *walk, struct walk_item *ret_item, struct err *err);

/* Open the regular file that was handed out. */
int walk_open_file(const struct walk_item *item, struct err *err);

/*
 * The layer entry of an item; fd is its open file or directory, or -1 (then without extended
 * attributes). A name of an inode that came before makes it a hardlink to the first. Valid until
 * the next call.
 */
int walk_entry(struct walk *walk, const struct walk_item *item, int fd, struct entry *ret_entry,
	       struct err *err);

/* Write the entry, and a regular file's content. An opaque directory's mark is not included. */
int walk_write(struct walk *walk, const struct walk_item *item, int fd, struct tar_writer *tar,
	       struct err *err);

/* --- extended attributes (xattrs.c) ----------------------------------------------------------- */

/* Those of an open file that an image may have, sorted by name. Valid until the next read. */
struct xattr_list {
	struct xattr *v;
	size_t n, cap;
	struct buf text; /* names and values */
};
void xattr_list_init(struct xattr_list *list);
void xattr_list_release(struct xattr_list *list);
int xattr_list_read(struct xattr_list *list, int fd, struct err *err);
bool xattr_list_equal(const struct xattr_list *a, const struct xattr_list *b);

/* --- overlay's own notation (overlay.c) ------------------------------------------------------- */

/*
 * "trusted.overlay.opaque", or "user.overlay.opaque" outside the initial user namespace: the
 * kernel lets nobody there set trusted attributes, and overlay is mounted with userxattr.
 * It asks /proc: keep the answer, and ask before a chroot.
 */
#define OPAQUE_NAME_USER "user.overlay.opaque"
const char *overlay_opaque_name(void);
const char *store_opaque_name(const struct store *store); /* as store_note_namespace() found it */

/* The name that says which notation the trees of a store are in: overlay's, or that of flat trees.
 * OPAQUE_NONE is that of a directory in which nothing is hidden. */
#define OPAQUE_NONE ""
const char *tree_opaque_name(const struct store *store);
bool opaque_name_is_flat(const char *opaque_name);

bool overlay_is_opaque(int dir_fd, const char *opaque_name);
bool overlay_is_whiteout(const struct stat *st, const char *opaque_name);
int overlay_set_opaque(int dir_fd, const char *opaque_name); /* -1 with errno; EEXIST: it is */
int overlay_put_whiteout(int dir_fd, const char *name, const char *opaque_name); /* likewise */

/* --- owners that cannot be given (owners.c) --------------------------------------------------- */

#define OWNER_XATTR "user.cbuild.owner"

/* Give an open file or directory an owner and a mode, or write down what cannot be given. -1 with
 * errno. */
int owner_give(int fd, uid_t uid, gid_t gid, mode_t mode, enum owner_record record);

/* --- trees: trees/<hex>/, flat/<hex>/ (tree.c) -------------------------------------------------
 *	fs/	 the directory that overlay stacks
 *	implied	 directories that the layer's tar does not name, in order, a NUL after each path;
 *		 they exist only to hold others, and say nothing about owner, mode and times
 *	devices	 device nodes that could not be made here: "TYPE MAJOR:MINOR PATH", NUL after each
 */

#define TREE_PATH_MAX 128
const char *tree_path(const struct store *store, const struct digest *diff_id, const char *below,
		      char path[TREE_PATH_MAX]);

/* Implied directories of a layer, sorted. */
struct path_set {
	char *text;
	const char **paths;
	size_t n;
};
int path_set_parse(char *text, size_t len, struct path_set *ret_set); /* takes text */
bool path_set_has(const struct path_set *set, const char *path);
void path_set_release(struct path_set *set);
int tree_read_implied(struct store *store, const struct digest *diff_id,
		      struct path_set *ret_set, struct err *err);

/* Write the records beside fs/ in dir_fd and give dir (relative to store_fd()) its place. A tree
 * that is there already stays, and is no error. */
int tree_publish(struct store *store, const char *dir, const struct digest *diff_id,
		 struct err *err);

/* Remove its trees; absent is no error. Needs the rights of userns_enter_files(). */
int tree_remove(struct store *store, const struct digest *diff_id, struct err *err);

/* --- the tree that is unpacked into (target.c) ------------------------------------------------ */

struct target {
	int root_fd, trash_fd;
	bool is_root;	 /* the tree is this process's root directory */
	bool keep_owner; /* this process can give files to nobody */
	struct buf parent; /* the directory opened last, */
	int parent_fd;	   /* and its descriptor, or -1 */
	bool parent_stale; /* names changed: the path may mean another directory now */
	unsigned trashed;
};
void target_release(struct target *to);

enum target_flags {
	TARGET_MAKE = 1 << 0,	 /* make what is missing: implied directories */
	TARGET_REPLACE = 1 << 1, /* and put directories in the place of what is none */
};

/*
 * The directory that holds path's last component, which *ret_leaf is; links on the way are
 * followed. The descriptor stays the target's and is valid until the next call. -1 with errno.
 */
int target_open_parent(struct target *to, const char *path, unsigned flags,
		       const char **ret_leaf);

/* Remove what has this name: a directory goes to trash/. -1 with errno. */
int target_clear(struct target *to, int dir_fd, const char *name);

/* --- unpacking (unpack.c) --------------------------------------------------------------------- */

struct unpack {
	int tar_fd;	 /* read from its position */
	const char *what; /* names it in errors */
	uint64_t max_bytes;
	const struct digest *want_diff_id; /* NULL: no layer, ".wh." names are plain */
	const char *opaque_name;	   /* the notation of the tree */
	enum owner_record record;
	int dir_fd; /* gets fs/, implied, devices; holds trash/ while at work */
};

/* More bytes than a tar of this size can honestly grow to. */
uint64_t unpack_limit(uint64_t size);

/* A child_function for a struct unpack, without result. */
int unpack_run(void *unpack, void *result, struct err *err);

/* --- headers of our own tars (tar_index.c) ---------------------------------------------------- */

struct tar_member {
	char *path, *link;
	enum entry_type type;
	struct stat stat;
	uint64_t offset; /* of the content */
};

/* The members of a canonical tar, sorted by path (entry_path_compare(), then marks first). Of a
 * hardlink, stat and offset are the other name's. ERR_UNSUPPORTED when it is some other tar. */
struct tar_index {
	struct tar_member *members;
	size_t n, cap;
};
int tar_index_read(int fd, const char *what, struct tar_index **ret_index, struct err *err);
void tar_index_free(struct tar_index *index);

/* The first member whose path is not before this one; n when there is none. */
size_t tar_index_find(const struct tar_index *index, const char *path);

/* --- merged roots (root.c) -------------------------------------------------------------------- */

#define ROOT_LAYERS_MAX 500 /* what overlay stacks, and an image may have */

/* The layers that make up a merged directory, topmost first. */
struct root_dir {
	size_t *layers;
	size_t n;
};

enum root_kind { ROOT_ABSENT, ROOT_DIRECTORY, ROOT_OTHER };

struct root_found {
	enum root_kind kind;
	size_t layer;	  /* that has it; of a directory, the one whose attributes count */
	size_t top_layer; /* topmost one that has it */
	bool implied;	  /* a directory that no layer names: `stat` is 0755, 0:0, time 0 */
	struct stat stat;
	struct stat top;  /* of a directory, as the topmost layer has it */
};

void root_dir_release(struct root_dir *dir);

/* The root directory itself. */
int root_top(struct root *root, struct root_found *ret_found, struct root_dir *ret_dir,
	     struct err *err);

/* What `path` is, which lies in the merged directory `in`. With a directory *ret_dir (may be
 * NULL) is its layers, else empty. */
int root_step(struct root *root, const struct root_dir *in, const char *path,
	      struct root_found *ret_found, struct root_dir *ret_dir, struct err *err);

/* Open path in one layer, for reading, without following it; only where the layer is a tree. The
 * path was found in that layer. */
int root_open_in(struct root *root, size_t layer, const char *path, struct err *err);

/* Open the content of a regular file that was found: it begins at *ret_offset. */
int root_open_content(struct root *root, const struct root_found *found, const char *path,
		      uint64_t *ret_offset, struct err *err);

/* As root_lookup(), and what was found (lookup.c). */
struct root_entry;
int root_find(struct root *root, const char *path, bool follow_last, struct root_entry *ret_entry,
	      struct root_found *ret_found, struct err *err);

/* The target of a symlink that was found. */
int root_read_link(struct root *root, const struct root_found *found, const char *path,
		   char target[ENTRY_LINK_MAX], struct err *err);

/* The directories that layer (a tree) has without naming them. */
/* The layers it was opened with and those that were pushed, bottom first. */
const struct digest *root_diff_id(const struct root *root, size_t layer);
const char *root_opaque_name(const struct root *root, size_t layer); /* the notation of its tree */

/* Whether two layers are known to be the same. */
bool root_is_same(const struct root *root, size_t a, size_t b);

/* Where the layer's tree is, relative to store_fd(). */
#define ROOT_TREE_MAX 128
const char *root_tree_path(const struct root *root, size_t layer, char path[ROOT_TREE_MAX]);

/* One layer more: the tree of a snapshot whose digest is not known yet. */
int root_push_settled(struct root *root, const char *tree, bool root_implied, struct err *err);
struct store *root_store(const struct root *root);

/* Look into the trees of all layers from now on; ERR_NOT_FOUND names one that is not unpacked. */
int root_use_trees(struct root *root, struct err *err);

int root_implied(struct root *root, size_t layer, const struct path_set **ret_set,
		 struct err *err);

/* --- attributes of merged directories (top.c) ------------------------------------------------- */

/* Owner, mode, attributes and time of a merged directory, onto fd. */
int root_dress(struct root *root, const char *path, const struct root_found *found, int fd,
	       struct err *err);

/*
 * An extra lower for the layers of dir, in scratch/top: directories whose attributes overlay would
 * take from a layer that only implies them. *ret_path is its name in the store, NULL when none
 * is needed.
 */
struct scratch;
int top_make(struct root *root, const struct root_dir *dir, struct scratch *scratch,
	     char **ret_path, struct err *err);

/* Make a directory of the scratch; *ret_path is its name in the store. */
int scratch_make(struct scratch *scratch, const char *name, char **ret_path, int *ret_fd,
		 struct err *err);

/* --- copied roots (native.c) ------------------------------------------------------------------ */

/* Copy the trees of all layers of a root into an empty directory, one over the other. */
int native_copy(struct root *root, int root_fd, struct err *err);

/* The same for the layers from the one with number `first` on, over what is there. */
int native_copy_from(struct root *root, size_t first, int root_fd, struct err *err);

/* --- what is lent to a snapshot (loan.c) ------------------------------------------------------ */

/* Take home what is lent to the scratch directory, which nobody uses any more. False when that
 * cannot be yet, so that it has to stay. */
bool loans_return(struct store *store, int scratch_fd);

/* --- whether a file was changed since (mark.c) ------------------------------------------------ */

struct mark {
	int dir_fd;  /* where its files are, on the file system in question; the caller's */
	int file_fd; /* that asks for the time there */
	int timer_fd;
	struct timespec noted, time;
	bool clock_was_set; /* nothing is believed */
	bool maps_tell;	    /* writing by mmap() changes the times of a file; else its content may
			     * be another one all the same */
	bool probed;
};

void mark_init(struct mark *mark);
void mark_release(struct mark *mark);

/* Make the files that it needs in dir_fd. */
int mark_open(struct mark *mark, int dir_fd, struct err *err);

/* What was done up to now is before the next mark. */
int mark_note(struct mark *mark, struct err *err);

/* Wait until file times are later than at the last note; what is done from now on is after it. */
int mark_set(struct mark *mark, struct err *err);

/* The time for changes is over: look whether the mark can be believed. */
void mark_close(struct mark *mark);

/* Whether the file with this stat data was changed last before the mark. False also when nobody
 * knows. */
bool mark_is_after(const struct mark *mark, const struct stat *st);

/* --- diffs (diff.c, diff_removed.c) ----------------------------------------------------------- */

struct diff_result {
	bool empty;
	unsigned sockets;  /* left out */
	bool root_implied; /* the root itself is not in the tar */
	bool linked;	   /* whole: files in it have names elsewhere, too */
};

/*
 * Write what the directory upper_fd changes in the merged root `lower` as a layer, and remove
 * from it what was left out: afterwards the directory and the tar say the same, but for the root,
 * which the tar names only when it was changed. tar may be NULL: the directory alone.
 */
int diff_write(struct root *lower, int upper_fd, struct tar_writer *tar,
	       struct diff_result *result, struct err *err);

/*
 * The same of a directory that is a whole root, and at the mark was native_copy() of `lower`: what
 * is missing in it was removed. Only sockets are removed from it: then it is what the layer over
 * `lower` is. Files that were not touched since the mark and cannot have been moved are not
 * compared. The tar is not ended.
 */
int diff_write_whole(struct root *lower, int upper_fd, const struct mark *mark,
		     struct tar_writer *tar, struct diff_result *result, struct err *err);

/* The paths below a merged directory that the directory of item, which began as its copy, does not
 * have any more; sorted. */
int diff_removed(struct root *lower, const struct root_dir *in, const struct walk_item *item,
		 struct strv *names, struct err *err);

/* --- power cuts (boot.c) ---------------------------------------------------------------------- */

/* Set aside what was not on the disk when an earlier boot ended. Part of store_open(). */
int boot_check(struct store *store, struct err *err);

/* All written before `began` (ns since 1970) is on the disk. Part of store_sync(). */
int boot_note_sync(struct store *store, int64_t began, struct err *err);

/* --- store, blobs, records (store.c, blob.c, record.c, scratch.c) ----------------------------- */

/*
 * Files under the store by any relative path, in the form of records (see store.h): one JSON
 * object, protected by a crc, replaced whole. *_put() makes missing directories above it.
 */
int record_get_at(struct store *store, const char *path, struct buf *buf, struct err *err);
int record_put_at(struct store *store, const char *path, const void *data, size_t len,
		  struct err *err);

/* Rename path to path~damaged, so that nobody believes it again. Errors are ignored: the next
 * reader meets it as this one did. */
void store_set_aside(struct store *store, const char *path);

/* Where this process makes what has no name yet, from when it first needs it. */
#define WORKPLACE_PATH_MAX 32
struct workplace {
	pthread_mutex_t guard;
	char path[WORKPLACE_PATH_MAX]; /* "tmp/<random>" */
	int lock_fd;		       /* -1: nothing was needed so far */
	bool made;
	uint64_t next; /* the number of the next thing */
};
void workplace_init(struct workplace *place);
struct workplace *store_workplace(struct store *store);

/* Remove all that is left in it. */
void workplace_leave(struct store *store);

/* A new file there, open for reading and writing. Rename it from *ret_path, or unlink it. */
#define TMP_PATH_MAX 64
int tmp_file_open(struct store *store, char ret_path[TMP_PATH_MAX], int *ret_fd, struct err *err);

/* --- image documents (platform.c, document.c, image_*.c, manifest.c) -------------------------- */

struct platform;

/* Spellings to containerd's. An absent variant stays absent. */
void platform_normalise(struct platform *platform);

/* From the members os, architecture, variant and "os.version" of an object, normalised. */
int platform_from_json(const json_t *object, struct platform *ret_platform, struct err *err);

/*
 * A document from outside: at most IMAGE_DOCUMENT_MAX bytes, one JSON object. ERR_INVALID when a
 * member of it is named like one of the `known` ones (NULL-terminated) but for case: Go's parser
 * takes it for that one, ours does not.
 */
int document_parse(const char *what, const char *text, size_t len, const char *const known[],
		   json_t **ret_document, struct err *err);
int document_check_keys(const json_t *object, const char *const known[], struct err *err);

/* A descriptor; the media type may be any. *ret_media_text belongs to the object. */
int descriptor_from_json(const json_t *object, struct descriptor *ret_descriptor,
			 const char **ret_media_text, struct err *err);
json_t *descriptor_to_json(const struct descriptor *descriptor);

/* Valid UTF-8 whatever the text is: bad bytes become U+FFFD, as in Go. */
char *text_to_utf8(const char *text);
json_t *text_to_json(const char *text);

/* Byte order. */
void strv_sort_in_place(struct strv *strv);

/* The known members of docker's health check, those that say something, in docker's order. */
json_t *healthcheck_canonical(const json_t *check);

/* --- images in the store (image_store.c, image_names.c, image_remove.c) ----------------------- */

#define IMAGE_MADE_MAX 8

/* All that the store remembers of an image. */
struct image_state {
	struct descriptor came;			/* the manifest it came with; size 0: none */
	struct descriptor made[IMAGE_MADE_MAX]; /* those made here, oldest first */
	size_t n_made;
	int64_t stored;
};
int image_state_read(struct store *store, const struct digest *id, struct image_state *ret_state,
		     struct err *err);

/* Remember one more manifest made here; when there are too many, the oldest is removed. */
int image_state_add_made(struct store *store, const struct digest *id, struct image_state *state,
			 const struct descriptor *made, struct err *err);

/* The ids of all images, in no order; free() them. */
int image_ids_read(struct store *store, struct digest **ret_ids, size_t *ret_n, struct err *err);

/* All names, sorted. */
struct image_name;
int image_names_read(struct store *store, struct image_name **ret_names, size_t *ret_n,
		     struct err *err);
void image_names_free(struct image_name *names, size_t n);

#endif
