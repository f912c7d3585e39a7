/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this process may do with files and mounts. A build asks for it when the first step has work
 * to do, and gets as much as there is: where no namespace can be made, layers are unpacked in a form
 * that needs none, and all steps but RUN are done as ever. RUN is never given less than was asked
 * for: without namespaces it needs --isolation=chroot, by which the user says so. What
 * `cbuild info` remembers is not asked, and is forgotten when an attempt fails.
 */
#include "base/err.h"
#include "builder/internal.h"
#include "builder/probes.h"
#include "layers/store.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

static int may_mount(struct store *store, struct err *err)
{
	int status = userns_enter(err);

	store_note_namespace(store);
	if (status == 0 && overlay_check(store_fd(store), err) == 0)
		return 0;
	probes_forget(store);
	return -1;
}

static int enter_files(struct store *store, struct err *err)
{
	int status = userns_enter_files(err);

	store_note_namespace(store);
	return status;
}

int rights_enter(struct store *store, enum build_isolation isolation, struct err *err)
{
	bool flat = store_has_flat_trees(store);
	struct err why = ERR_INIT;

	if (flat || (userns_entered() && isolation != BUILD_ISOLATION_CHROOT))
		return 0;
	if (isolation == BUILD_ISOLATION_NAMESPACE && may_mount(store, err) < 0)
		return -1;
	/* what a failure means is known when something fails for it */
	if (isolation == BUILD_ISOLATION_CHROOT || may_mount(store, &why) < 0) {
		store_use_flat_trees(store);
		enter_files(store, &why);
	}
	if (userns_has_single_id() || !userns_may_use_all_files())
		store_record_owners(store, !userns_may_use_all_files());
	return store_sweep(store, err);
}

int rights_require_run(struct store *store, enum build_isolation isolation, struct err *err)
{
	if (rights_enter(store, isolation, err) < 0)
		return -1;
	if (isolation != BUILD_ISOLATION_CHROOT)
		return may_mount(store, err);
	if (enter_files(store, err) < 0)
		return err_wrap(err, "--isolation=chroot");
	if (!userns_may_chroot())
		return err_set(err, ERR_DENIED,
			       "--isolation=chroot: this process has not the capabilities for it: "
			       "chown, dac_override, fowner, kill, setgid, setuid, sys_chroot (fix: "
			       "run as root of the container, or as a user who may make a user "
			       "namespace)");
	return 0;
}
