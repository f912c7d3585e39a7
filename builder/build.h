/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUILDER_BUILD_H
#define BUILDER_BUILD_H

/*
 * builder/build.h: a Dockerfile and a context in, an image id out; and the running of images.
 * Progress goes up as events through one callback; nothing is printed here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/strv.h"
#include "registry/transport.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

struct build_report;
struct err;
struct lint_result;
struct scratch;
struct step_report;
struct store;

enum build_pull {
	BUILD_PULL_MISSING, /* bases are fetched when the store has none of that name */
	BUILD_PULL_ALWAYS,  /* each base name is resolved anew */
	BUILD_PULL_NEVER,
	BUILD_PULL_NEWER, /* each base name is resolved anew, fetched when it means another image */
};

/* What keeps RUN apart from the machine. */
enum build_isolation {
	BUILD_ISOLATION_AUTO,	   /* namespaces; where there are none, RUN fails and says why */
	BUILD_ISOLATION_NAMESPACE, /* the same, and without them nothing is begun */
	BUILD_ISOLATION_CHROOT,	   /* chroot(), Landlock and seccomp alone: weaker, and asked for */
};

/* A value for RUN --mount=type=secret. */
struct build_secret {
	char *id;
	void *data;
	size_t len; /* at most SANDBOX_FILE_MAX */
};

/* An agent for RUN --mount=type=ssh. */
struct build_ssh {
	char *id;
	char *socket;	  /* absolute path of an agent's; NULL: keys */
	struct strv keys; /* absolute paths of private keys */
};

enum build_cache_kind {
	BUILD_CACHE_REGISTRY,
	BUILD_CACHE_LOCAL,
	BUILD_CACHE_INLINE, /* to: in the image itself */
};

/* A cache beside the store's own: --cache-from, --cache-to. */
struct build_cache {
	enum build_cache_kind kind;
	char *place; /* reference or directory, as it was given; NULL: inline */
	bool max;    /* to: all steps, not only those of the final image */
	bool ignore_error;		/* to: a failure is a warning */
	enum compression compression;	/* to: of layers that have no blob yet */
};

struct build_options {
	struct store *store;
	const char *context_path;    /* absolute, for messages and the index; NULL: no context */
	int context_fd;		     /* -1: no context */
	bool context_remote;	     /* a tree of this build alone: no index, nothing ignored */
	bool context_owners;	     /* owners of its files mean something (a tar's) */
	struct strv contexts;	     /* --build-context, "name=value" */
	const char *dockerfile_name; /* as errors show it */
	const char *dockerfile_path; /* absolute, for `explain`; NULL: standard input */
	const char *dockerfile_text;
	size_t dockerfile_len;
	size_t dockerfile_max;	 /* at most DOCKERFILE_MOST; 0: DOCKERFILE_MAX */
	const char *ignore_name; /* ".dockerignore"; NULL when there is none */
	const char *ignore_text;
	size_t ignore_len;
	struct strv build_args;		 /* "NAME=value", later ones win */
	struct strv labels;		 /* "name=value" */
	struct strv tags;		 /* references in normal form */
	const char *target;		 /* stage name or number; NULL: the last */
	const struct platform *platform; /* NULL: the host's */
	enum build_pull pull;
	bool no_cache;
	struct strv no_cache_stages; /* names or numbers of stages whose steps are all run */
	bool no_sync;		     /* a power cut may take the result; a later build syncs */
	bool keep_times; /* SOURCE_DATE_EPOCH changes the config, not the files of the layers */
	const struct build_cache *cache_from, *cache_to;
	size_t n_cache_from, n_cache_to;
	bool offline;		     /* an attempt to use the network is an error */
	bool planning; /* build_plan() is meant: remote contexts are refused, not fetched */
	bool explain;		     /* BUILD_EVENT_EXPLAIN is wanted */
	enum build_isolation isolation;
	enum sandbox_network network; /* default of RUN */
	const char *resolv_conf;
	const char *extra_hosts;
	const struct build_secret *secrets; /* of one id, the last one counts; ssh, too */
	size_t n_secrets;
	const struct build_ssh *ssh;
	size_t n_ssh;
	const struct sandbox_limit *limits; /* of RUN, beside the usual ones */
	size_t n_limits;
	uint64_t shm_size;	 /* of RUN's /dev/shm; 0: 64 MiB */
	const struct sandbox_profile *seccomp; /* of RUN; NULL: docker's default */
	bool seccomp_unconfined;
	struct cgroup_limits cgroup_limits; /* of each RUN */
	const char *cgroup_parent;	    /* NULL: found, see sandbox/cgroup.h */
	uint64_t run_timeout_ns;	    /* of each RUN; 0: none */
	bool allow_host_network; /* RUN --network=host whatever `network` is */
	bool allow_insecure;	 /* RUN --security=insecure */
	unsigned jobs;		 /* stages, and threads of one stage, at once; 0 is 1 */
	struct transport_options transport;
};

enum build_event_kind {
	BUILD_EVENT_PLAN,      /* total: how many steps there are */
	BUILD_EVENT_BEGIN,     /* step `step` begins; name is its text */
	BUILD_EVENT_CACHED,    /* nothing is run; text: the shared cache that knew it, or NULL */
	BUILD_EVENT_DONE,      /* it ran; duration_ns */
	BUILD_EVENT_CANCELLED, /* it was ended because another one failed */
	BUILD_EVENT_FAILED,    /* it failed; the error follows from build_run() */
	BUILD_EVENT_OUTPUT,    /* bytes a RUN wrote: stream 1 or 2, text, len */
	BUILD_EVENT_TRANSFER,  /* a base is fetched: `transfer` */
	BUILD_EVENT_WARNING,   /* text */
	BUILD_EVENT_LINT,      /* lint: what BuildKit's checks found; comes last */
	BUILD_EVENT_EXPLAIN,   /* the step's result is not known, and why: `explained` */
	BUILD_EVENT_REPORT,    /* all steps are done: `report` */
};

struct build_event {
	enum build_event_kind kind;
	unsigned step; /* from 1; 0 for events of no step */
	unsigned total;
	const char *name; /* "[build 2/5] RUN make" */
	const char *text;
	size_t len;
	int stream;
	uint64_t duration_ns;
	const struct transport_event *transfer;
	const struct lint_result *lint;
	const struct step_report *explained; /* see builder/explain.h */
	const struct build_report *report;
};

/* Events of several steps may come between each other, from several threads, one at a time. */
typedef void build_listener(void *arg, const struct build_event *event);

struct build_result {
	struct digest id;  /* image id */
	unsigned executed; /* steps that ran */
	unsigned cached;   /* steps whose result was known */
};

/*
 * Build. On success the image is in the store, named by each tag, and survives a power cut; layers
 * of bases and of what a shared cache knew are where they were until somebody needs their files
 * (layer_known()). When only a --cache-to fails, the image and its names are there all the same.
 * Errors point into the Dockerfile where one line is at fault. On failure no name changes; what
 * finished before stays usable as cache.
 */
int build_run(const struct build_options *options, build_listener *listener, void *arg,
	      struct build_result *ret_result, struct err *err);

/*
 * Find an image: a name in normal or short form, or the beginning of an id. ERR_NOT_FOUND "No
 * such image: NAME". `familiar` text is used in messages.
 */
int build_find_image(struct store *store, const char *name, struct digest *ret_id, struct err *err);

/*
 * Apply instructions that only concern the config (CMD, ENV, EXPOSE, ...) to an image, as
 * `import --change` does; no history is left. ERR_INVALID for others.
 */
int build_apply_changes(struct image *image, const struct strv *changes, struct err *err);

/* --- contexts --------------------------------------------------------------------------------- */

/* Bytes that its Dockerfile may have. */
size_t build_dockerfile_max(const struct build_options *options);

/* What a build reads from, opened. */
struct build_context {
	int dir_fd;	 /* -1: there is a Dockerfile and nothing else */
	char *name;	 /* of a local directory its absolute path, else what to call it */
	bool local;	 /* a directory of the user's: -f names a file of the host, ignore files
			  * are read. Else everything is looked up inside dir_fd */
	bool owners;	 /* as context_owners */
	char *dockerfile; /* the Dockerfile that the context turned out to be, or NULL */
	size_t dockerfile_len;
	struct scratch *scratch;
};

/*
 * Open a context by what the user calls it: a directory, a tar, the URL of a tar or Dockerfile,
 * a git repository ("...git#ref:subdir"), or "-": a tar or Dockerfile from stdin_fd, told apart by
 * content. Of `options` the store, the transport and no_cache count. A tar is unpacked by a process
 * whose root is the target; whatever fails, nothing is left.
 */
int build_context_open(const struct build_options *options, const char *text, int stdin_fd,
		       build_listener *listener, void *arg, struct build_context **ret_context,
		       struct err *err);

/* What a context that is no local path is called, in messages and for `explain`. free() it. */
char *build_context_name(const char *text);
void build_context_free(struct build_context *context);
DEFINE_CLEANUP(struct build_context *, build_context_free)

struct run_mount {
	const char *source; /* absolute path of the host */
	const char *target;
	bool read_only;
};

struct run_options {
	struct store *store;
	const struct transport_options *transport; /* for layers that are elsewhere */
	struct digest image;
	struct strv env;	 /* added to the image's */
	const char *working_dir; /* NULL: the image's */
	const char *user;	 /* NULL: the image's */
	bool has_entrypoint;
	struct strv entrypoint; /* replaces the image's, and its CMD then */
	struct strv args;	/* replace CMD when there are any */
	enum build_isolation isolation;
	enum sandbox_network network;
	const struct run_mount *mounts;
	size_t n_mounts;
	const char *hostname; /* NULL: the first 12 digits of a random id */
	int stdin_fd;	      /* -1: /dev/null */
	int *store_lock; /* the caller's lock of the store: closed, and set to -1, once the root is
			  * mounted, so that a long run keeps nobody waiting */
};

/*
 * The name of the store lock that is held, shared, while an image runs: an image is not removed
 * while somebody holds it, and its layers are not since the image is there.
 */
#define BUILD_IMAGE_LOCK_MAX 80
const char *build_image_lock(const struct digest *id, char name[BUILD_IMAGE_LOCK_MAX]);

/*
 * Run an image in the foreground in the sandbox of RUN, stdout and stderr inherited. What it
 * writes to its root is thrown away. *ret_status is as docker's: the process's own, 128+n by a
 * signal, 126 not executable, 127 not found (then 0 is returned and *err says why).
 */
int run_image(const struct run_options *options, int *ret_status, struct err *err);

#endif
