/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_MOUNT_H
#define BUILDER_MOUNT_H

/*
 * builder/mount.h: RUN --mount. One request is what the Dockerfile says (mount_parse.c, pure);
 * the mounts of a step are requests on their way to the sandbox: read before the step begins,
 * part of its key, opened only when it is run, gone with it. Shared by the mount*.c and step_run.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/strv.h"
#include "builder/internal.h"
#include "builder/origin.h"
#include "layers/layer.h"
#include "sandbox/sandbox.h"

struct copy;
struct err;
struct flag;
struct key;
struct scratch;

#define MOUNTS_MAX 64 /* of one RUN */

/* --- mount_parse.c ---------------------------------------------------------------------------- */

enum mount_type {
	MOUNT_BIND = 1 << 0,
	MOUNT_CACHE = 1 << 1,
	MOUNT_TMPFS = 1 << 2,
	MOUNT_SECRET = 1 << 3,
	MOUNT_SSH = 1 << 4,
};

enum mount_sharing {
	MOUNT_SHARED,  /* any number of steps write at once */
	MOUNT_LOCKED,  /* the others wait */
	MOUNT_PRIVATE, /* each has a directory of its own */
};

/* Strings are the request's own. */
struct mount_request {
	const struct flag *flag; /* where it stands */
	enum mount_type type;
	char *target; /* absolute, clean; NULL: a secret that is only a variable */
	char *from;   /* stage or image; NULL: the context for bind, nothing for cache */
	char *source; /* path inside `from`, as written; NULL: its root */
	char *id;     /* cache, secret, ssh; never NULL for these. NULL for ssh: "default" */
	char *env;    /* secret: name of a variable, or NULL */
	bool read_only, required;
	enum mount_sharing sharing;
	uint64_t size; /* tmpfs: bytes, 0 for the kernel's default */
	unsigned mode, uid, gid;
	bool owned; /* one of the three was given */
};

/*
 * Parse and check one --mount for a stage: variables are expanded by its environment (not in
 * from), a relative target is joined to its working directory. Errors point at the flag; an
 * unknown key comes with a suggestion.
 */
int mount_parse(const struct dockerfile *dockerfile, const struct stage *stage,
		const struct flag *flag, struct mount_request *ret_request, struct err *err);
void mount_request_release(struct mount_request *request);

const char *mount_type_name(enum mount_type type);

/* Fill *err with an error at the flag of the request. Returns -1. */
int mount_error(const struct dockerfile *dockerfile, const struct mount_request *request,
		const struct err *why, struct err *err);

/* --- mounts.c --------------------------------------------------------------------------------- */

struct step_mount {
	struct mount_request request;
	struct origin origin; /* with request.from */
	char *pattern;	      /* bind from the context: what is selected, */
	const char *patterns[1];
	struct copy *copy;
	struct digest content;	  /* and its digest */
	int mount_fd;		  /* and where it is mounted, -1 before */
	bool attached;		  /* mount_fd, or the origin's */
	int source_fd;		  /* bind, cache: what appears at the target, -1 before */
	int lock_fd;		  /* cache; -1 when another mount of the step holds it */
	int home_fd;		  /* chroot: the directory that source_fd lies in, or -1, */
	char home_name[FILE_NAME_MAX];
	const char *same_as; /* chroot: target of another mount that has it already, or NULL */
	unsigned copy_number; /* cache: of mounts/<hex>/ */
	char hex[DIGEST_HEX_MAX]; /* cache: its name */
};

struct step_mounts {
	struct builder *builder;
	struct stage *stage;
	struct step_mount *v; /* sorted by target */
	size_t n;
	struct scratch *scratch;       /* when something needs it */
	struct sandbox_mount *sandbox; /* filled by step_mounts_open() */
	size_t n_sandbox, cap_sandbox;
	struct strv env; /* variables that mounts set */
	struct ssh_relay *relay;
};

/* Parse all --mount of the instruction; build the stages and load the images that they read. */
int step_mounts_read(struct builder *builder, struct stage *stage,
		     const struct instruction *instruction, struct step_mounts *mounts,
		     struct err *err);

/* Add what decides about the result of the step to its key. Reads the context where it is mounted;
 * never a secret. */
int step_mounts_add_key(struct step_mounts *mounts, struct key *key, struct err *err);

/* What bind mounts select from the context, for explain_miss(): at most MOUNTS_MAX. Returns how
 * many. */
size_t step_mounts_copies(const struct step_mounts *mounts, const struct copy **ret_copies);

/* Why a stage that is mounted was run whatever was known, or NULL: the key does not tell what it
 * gave. */
const char *step_mounts_no_cache(const struct step_mounts *mounts);

/* Make all that is mounted. The user namespace has been entered. */
int step_mounts_open(struct step_mounts *mounts, struct err *err);

/* Without namespaces caches are moved into the snapshot: note it there. */
int step_mounts_lend(const struct step_mounts *mounts, struct snapshot *snapshot, struct err *err);

/* Add places for them to the snapshot of the step. */
int step_mounts_add_points(const struct step_mounts *mounts, struct snapshot *snapshot,
			   struct root *root, struct err *err);
void step_mounts_release(struct step_mounts *mounts);

/* A directory of the step's own. */
int step_mounts_scratch(struct step_mounts *mounts, struct scratch **ret_scratch, struct err *err);

/* The next mount for the sandbox, with this target. */
struct sandbox_mount *step_mounts_add(struct step_mounts *mounts, const char *target);

/* --- one file per type ------------------------------------------------------------------------ */

/* From the context: select what is mounted, and digest it. */
int mount_bind_select(struct step_mounts *mounts, struct step_mount *mount, struct err *err);
int mount_bind_open(struct step_mounts *mounts, struct step_mount *mount, struct err *err);

/* Whether there is nothing that could be mounted: what is at a target is moved there. */
bool step_mounts_are_moved(const struct step_mounts *mounts);

/* A path as a pattern of COPY that means this very path; NULL is the root. free() it. */
char *mount_pattern(const char *path);

/* Whether a bind reads a plain tree, the build context or a named one, and not an image's files. */
bool mount_reads_tree(const struct step_mount *mount);

/* The name of the lock of directory n of a cache (cache_mount.c). */
#define CACHE_LOCK_MAX	 (DIGEST_HEX_MAX + 16)
#define CACHE_COPIES_MAX 1000
const char *cache_mount_lock(const char *hex, unsigned n, char name[CACHE_LOCK_MAX]);

/* Whether a name in mounts/ is a cache's, and one in that a directory's: "0", "1", ... "999". */
bool cache_mount_is_scope(const char *name);
bool cache_mount_copy(const char *name, unsigned *ret_n);

/* The names in a directory of ours, sorted. None when there is no directory. */
int cache_mount_names(int dir_fd, const char *path, struct strv *names, struct err *err);

#define CACHE_ID_MAX 65536 /* bytes */

/* Lock and make the directories of all caches, in an order that is the same for everybody. */
int mount_caches_open(struct step_mounts *mounts, struct err *err);

int mount_secret_open(struct step_mounts *mounts, struct step_mount *mount, struct err *err);

int mount_ssh_open(struct step_mounts *mounts, struct step_mount *mount, struct err *err);

/* --- ssh_relay.c, ssh_agent.c ----------------------------------------------------------------- */

/*
 * A process that listens on sockets of ours and passes what comes on to agents: an agent answers
 * only the user it was started by, and the process in the sandbox is another.
 */
struct ssh_relay;
struct ssh_relay *ssh_relay_new(void);
void ssh_relay_free(struct ssh_relay *relay); /* ends the process */

/* Listen on a socket made as `name` in dir_fd for the agent at `agent` (absolute path). */
int ssh_relay_add(struct ssh_relay *relay, int dir_fd, const char *name, const char *agent,
		  struct err *err);
int ssh_relay_start(struct ssh_relay *relay, struct err *err);

/*
 * The agent of a --ssh: its socket, or that of a private ssh-agent which is started for the build
 * and holds the keys that were given. ERR_UNSUPPORTED where there is no ssh-agent.
 */
int ssh_agent_socket(struct builder *builder, const struct build_ssh *ssh, const char **ret_path,
		     struct err *err);
void ssh_agents_free(struct builder *builder);

#endif
