/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw system calls: libcap allocates. The sets asked for are cut to what is held, since a
 * caller may be root without some capability and must not fail for it.
 */
#include "sandbox/internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

static int caps_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return (int)syscall(SYS_capget, &header, data);
}

uint64_t caps_effective(void)
{
	struct __user_cap_data_struct data[2];

	if (caps_get(data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

int caps_limit(uint64_t keep)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	for (unsigned cap = 0; cap < 64; cap++) {
		if (keep >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL) /* past the last one that the kernel knows */
				break;
			return -1;
		}
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -1;
	if (caps_get(data) < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &header, data);
}

bool caps_is_default(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {
		{ "CAP_CHOWN", CAP_CHOWN },
		{ "CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE },
		{ "CAP_FSETID", CAP_FSETID },
		{ "CAP_FOWNER", CAP_FOWNER },
		{ "CAP_MKNOD", CAP_MKNOD },
		{ "CAP_NET_RAW", CAP_NET_RAW },
		{ "CAP_SETGID", CAP_SETGID },
		{ "CAP_SETUID", CAP_SETUID },
		{ "CAP_SETFCAP", CAP_SETFCAP },
		{ "CAP_SETPCAP", CAP_SETPCAP },
		{ "CAP_NET_BIND_SERVICE", CAP_NET_BIND_SERVICE },
		{ "CAP_SYS_CHROOT", CAP_SYS_CHROOT },
		{ "CAP_KILL", CAP_KILL },
		{ "CAP_AUDIT_WRITE", CAP_AUDIT_WRITE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].name, name))
			return CAPS_DEFAULT >> known[i].number & 1;
	return false;
}
