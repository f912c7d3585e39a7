/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each thing is tried, not guessed from the user id or the kernel's version: namespaces can be
 * made in places where nothing can then be mounted in them. All of it happens in a child that
 * enters the namespaces as a build would, and what would change more than a probe may is tried in
 * children of that one, all at once (probe_attempts.c). It takes a millisecond or two, and what a
 * user's newuidmap takes.
 */
#include "sandbox/userns.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/child.h"
#include "base/err.h"
#include "base/mem.h"
#include "sandbox/internal.h"

static void __attribute__((format(printf, 4, 5)))
add(struct userns_info *info, const char *name, bool ok, const char *format, ...)
{
	struct userns_probe *probe;
	va_list args;

	if (info->n_probes == USERNS_PROBES_MAX)
		return;
	probe = &info->probes[info->n_probes++];
	snprintf(probe->name, sizeof(probe->name), "%s", name);
	probe->ok = ok;
	va_start(args, format);
	vsnprintf(probe->detail, sizeof(probe->detail), format, args);
	va_end(args);
}

/* --- attempts ------------------------------------------------------------------------------- */

struct attempt {
	const char *name;
	child_function *function;
	const char *good; /* the answer when it works */
	struct child child;
	struct err err;
	bool started;
};

static void attempt_start(struct attempt *attempt, const struct userns_place *place)
{
	attempt->started = child_start(&attempt->child, attempt->function, (void *)place, 0,
				       &attempt->err) == 0;
}

static bool attempt_finish(struct attempt *attempt, struct userns_info *info)
{
	bool ok = attempt->started && child_wait(&attempt->child, NULL, 0, &attempt->err) == 0;

	add(info, attempt->name, ok, "%s", ok ? attempt->good : attempt->err.message);
	return ok;
}

/* --- what is there -------------------------------------------------------------------------- */

static void probe_ranges(struct userns_info *info)
{
	struct subid uids, gids;

	userns_ranges(&uids, &gids);
	if (uids.n > 0 && gids.n > 0)
		add(info, "subordinate ids", true, "%llu user ids and %llu group ids",
		    (unsigned long long)uids.total, (unsigned long long)gids.total);
	else
		add(info, "subordinate ids", false,
		    "no range in %s (fix: sudo usermod --add-subuids 100000-165535 --add-subgids "
		    "100000-165535 $USER)",
		    uids.n > 0 ? "/etc/subgid" : "/etc/subuid");
	info->rung = uids.n > 0 && gids.n > 0 ? USERNS_RANGES : USERNS_SINGLE;
}

static void probe_capabilities(struct userns_info *info)
{
	static const struct {
		const char *name;
		int number;
	} needed[] = {
		{ "chown", CAP_CHOWN },		{ "dac_override", CAP_DAC_OVERRIDE },
		{ "fowner", CAP_FOWNER },	{ "fsetid", CAP_FSETID },
		{ "setgid", CAP_SETGID },	{ "setuid", CAP_SETUID },
		{ "setpcap", CAP_SETPCAP },	{ "sys_chroot", CAP_SYS_CHROOT },
		{ "sys_admin", CAP_SYS_ADMIN }, { "mknod", CAP_MKNOD },
		{ "setfcap", CAP_SETFCAP },
	};
	uint64_t held = caps_effective();
	char missing[150] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(held >> needed[i].number & 1))
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, " %s",
						needed[i].name);
	add(info, "capabilities", len == 0, "%s%s", len ? "missing:" : "all that are needed",
	    missing);
}

/* What RUN needs of it: setuid programs, and any programs. */
static void probe_store(struct userns_info *info, const char *dir)
{
	struct statvfs fs;
	bool bad = statvfs(dir, &fs) < 0;

	if (bad)
		info->rung = USERNS_NONE;
	if (!bad && fs.f_flag & (ST_NOSUID | ST_NOEXEC))
		add(info, "store", false,
		    "its file system is mounted %s: %s in RUN (fix: --root on another one)",
		    fs.f_flag & ST_NOEXEC ? "noexec" : "nosuid",
		    fs.f_flag & ST_NOEXEC ? "nothing can be executed" : "su and sudo do not work");
	else
		add(info, "store", !bad, "%s",
		    bad ? strerrordesc_np(errno) : "a usual file system");
}

/* Without namespaces. The child has tried for them and is what it was, or in a half-made one. */
static void probe_chroot(struct userns_info *info)
{
	bool may = userns_may_chroot();

	add(info, "chroot", may, "%s",
	    may ? "root can be changed and files given away"
		: "needs the capabilities chown, dac_override, fowner, kill, setgid, setuid, "
		  "sys_chroot (fix: run as root, or where a user may make namespaces)");
	info->rung = may ? USERNS_CHROOT : USERNS_NONE;
}

static enum userns_rung rung_entered(bool root, enum userns_rung users)
{
	if (!root)
		return users;
	return userns_is_rootless() ? USERNS_NESTED : USERNS_ROOT;
}

static void probe_programs(struct userns_info *info, const char *search)
{
	char pasta[PROGRAM_PATH_MAX], slirp4netns[PROGRAM_PATH_MAX];
	bool has_pasta = program_find(search, "pasta", pasta);
	bool has_slirp = program_find(search, "slirp4netns", slirp4netns);
	struct err err = ERR_INIT;

	if (has_pasta || has_slirp)
		add(info, "network program", true, "%s is used by --network=private",
		    has_pasta ? pasta : slirp4netns);
	else
		add(info, "network program", false, "%s", NET_HELPER_MISSING);
	if (net_helper_check(&err) == 0)
		add(info, "tun device", true, "can be opened, for --network=private");
	else
		add(info, "tun device", false, "%s", err.message);
}

static int probe_all(void *arg, void *result, struct err *err)
{
	enum { OVERLAY, PROC, NETWORK, SECCOMP, LANDLOCK, N };
	struct attempt attempts[N] = {
		[OVERLAY] = { .name = "overlay mount",
			      .function = attempt_overlay,
			      .good = "works in the store" },
		[PROC] = { .name = "pid namespace",
			   .function = attempt_proc,
			   .good = "with a /proc of its own" },
		[NETWORK] = { .name = "network namespace",
			      .function = attempt_network,
			      .good = "with a loopback interface" },
		[SECCOMP] = { .name = "seccomp filter",
			      .function = attempt_seccomp,
			      .good = "can be installed" },
		[LANDLOCK] = { .name = "Landlock",
			       .function = attempt_landlock,
			       .good = "files, signals and abstract sockets" },
	};
	const struct userns_place *place = arg;
	struct userns_info *info = result;
	bool root = geteuid() == 0, works;

	if (!root)
		probe_ranges(info);
	works = userns_enter(err) == 0;
	for (int i = works ? 0 : SECCOMP; i < N; i++)
		attempt_start(&attempts[i], place);
	add(info, "namespaces", works, "%s",
	    works ? "user and mount namespaces as needed" : err->message);
	if (works)
		info->rung = rung_entered(root, info->rung);
	probe_capabilities(info);
	if (works) {
		works &= attempt_finish(&attempts[OVERLAY], info);
		works &= attempt_finish(&attempts[PROC], info);
		attempt_finish(&attempts[NETWORK], info);
	}
	if (!works)
		probe_chroot(info);
	if (!attempt_finish(&attempts[SECCOMP], info))
		info->rung = USERNS_NONE;
	attempt_finish(&attempts[LANDLOCK], info);
	probe_programs(info, place->search);
	probe_store(info, place->store);
	return 0;
}

void userns_probe(const struct userns_place *place, struct userns_info *ret_info)
{
	struct userns_info info = { .rung = USERNS_NONE };
	struct err err = ERR_INIT;

	_Static_assert(sizeof(info) <= CHILD_RESULT_MAX, "the answer crosses in one message");
	if (child_call(probe_all, (void *)place, &info, sizeof(info), &err) < 0) {
		info = (struct userns_info){ .rung = USERNS_NONE };
		add(&info, "probe", false, "%s", err.message);
	}
	*ret_info = info;
}
