/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filter is run by a small BPF machine and compared with what docker's profile says, for
 * every number and for arguments around the interesting ones.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/seccomp_numbers.h"
#include "tests/sandbox/seccomp_models.h"

#ifdef SECCOMP_FOR_AARCH64
#define MODE	 SCMP_ARCH_AARCH64
#define PLATFORM "arm64"
#else
#define MODE	 seccomp_native_token()
#define PLATFORM seccomp_native_name
#endif

static uint32_t ask(const struct seccomp_filter *filter, uint32_t nr, uint64_t arg0)
{
	const uint64_t args[6] = { arg0 };
	size_t steps = 0;

	return emulate(filter->insns, filter->n, SECCOMP_ARCH, nr, args, &steps);
}

static void test_seccomp__socket_compares_32_bits(void **state)
{
	struct seccomp_filter filter;

	(void)state;
	seccomp_build(&filter);
	for (uint64_t family = 0; family < 64; family++) {
		uint32_t expected = family == 38 || family == 40 ? EPERM_ANSWER : SECCOMP_RET_ALLOW;

		assert_int_equal(ask(&filter, __NR_socket, family), expected);
		assert_int_equal(ask(&filter, __NR_socket, family | UINT64_C(1) << 32), expected);
		assert_int_equal(ask(&filter, __NR_socket, family | UINT64_C(1) << 63), expected);
	}
}

static void test_seccomp__offline_there_are_unix_sockets_only(void **state)
{
	static const uint32_t calls[] = { __NR_socket, __NR_socketpair };
	const uint64_t args[6] = { AF_UNIX };
	struct seccomp_filter filter;
	size_t steps = 0;

	(void)state;
	seccomp_build_offline(&filter);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (uint64_t family = 0; family < 64; family++) {
			uint32_t expected = family == AF_UNIX ? SECCOMP_RET_ALLOW
							      : SECCOMP_RET_ERRNO | EAFNOSUPPORT;

			assert_int_equal(ask(&filter, calls[i], family), expected);
			assert_int_equal(ask(&filter, calls[i], family | UINT64_C(1) << 32),
					 expected);
		}
	assert_int_equal(ask(&filter, __NR_io_uring_setup, AF_UNIX), EPERM_ANSWER);
	assert_int_equal(ask(&filter, __NR_connect, 5), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_clone3, 5), SECCOMP_RET_ALLOW); /* the other filter's */
#ifdef SECCOMP_HAS_X32
	assert_int_equal(ask(&filter, SECCOMP_X32 | __NR_socket, AF_UNIX), EPERM_ANSWER);
#endif
	assert_int_equal(emulate(filter.insns, filter.n, AUDIT_ARCH_I386, 102, args, &steps),
			 EPERM_ANSWER);
}

static void test_seccomp__clone_makes_no_namespaces(void **state)
{
	struct seccomp_filter filter;

	(void)state;
	seccomp_build(&filter);
	for (unsigned bit = 0; bit < 32; bit++)
		assert_int_equal(ask(&filter, __NR_clone, UINT64_C(1) << bit),
				 0x7e020000u >> bit & 1 ? EPERM_ANSWER : SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_clone, 0x7e020011), EPERM_ANSWER);
	assert_int_equal(ask(&filter, __NR_clone3, 0), ENOSYS_ANSWER);
}

static void test_seccomp__personality_is_a_list(void **state)
{
	struct seccomp_filter filter;

	(void)state;
	seccomp_build(&filter);
	assert_int_equal(ask(&filter, __NR_personality, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_personality, 8), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_personality, 0x20000), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_personality, 0x20008), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_personality, 0xffffffff), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&filter, __NR_personality, 0x40000), EPERM_ANSWER);
	assert_int_equal(ask(&filter, __NR_personality, 1), EPERM_ANSWER);
}

static void test_seccomp__unknown_calls_are_enosys(void **state)
{
	static const uint32_t numbers[] = { SECCOMP_LAST_KNOWN + 1, 600, 5000, 0x3fffffff };
	struct seccomp_filter filter;

	(void)state;
	seccomp_build(&filter);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_int_equal(ask(&filter, numbers[i], 0), ENOSYS_ANSWER);
}

static void test_seccomp__foreign_modes_are_refused(void **state)
{
	static const uint32_t arches[] = { AUDIT_ARCH_I386,    AUDIT_ARCH_ARM, AUDIT_ARCH_X86_64,
					   AUDIT_ARCH_AARCH64, 0,	      0xffffffff };
	const uint64_t args[6] = { 0 };
	struct seccomp_filter filter;
	size_t steps = 0;

	(void)state;
	seccomp_build(&filter);
	for (size_t i = 0; i < ARRAY_SIZE(arches); i++)
		for (uint32_t nr = 0; nr < 500 && arches[i] != SECCOMP_ARCH; nr++)
			assert_int_equal(
				emulate(filter.insns, filter.n, arches[i], nr, args, &steps),
				EPERM_ANSWER);
#ifdef SECCOMP_HAS_X32
	for (uint32_t nr = 0; nr < 600; nr++)
		assert_int_equal(ask(&filter, 0x40000000 | nr, 0), EPERM_ANSWER);
	assert_int_equal(ask(&filter, 0xffffffff, 0), EPERM_ANSWER);
#endif
}

static void test_seccomp__dangerous_calls_are_refused(void **state)
{
	static const int calls[] = {
		__NR_mount,
		__NR_umount2,
		__NR_unshare,
		__NR_setns,
		__NR_pivot_root,
		__NR_bpf,
		__NR_keyctl,
		__NR_add_key,
		__NR_request_key,
		__NR_userfaultfd,
		__NR_perf_event_open,
		__NR_io_uring_setup,
		__NR_io_uring_enter,
		__NR_io_uring_register,
		__NR_init_module,
		__NR_finit_module,
		__NR_delete_module,
		__NR_kexec_load,
		__NR_open_by_handle_at,
		__NR_reboot,
		__NR_swapon,
		__NR_settimeofday,
		__NR_clock_settime,
		__NR_syslog,
		__NR_quotactl,
		__NR_acct,
		__NR_fsopen,
		__NR_fsmount,
		__NR_fsconfig,
		__NR_move_mount,
		__NR_open_tree,
		__NR_mount_setattr,
		__NR_move_pages,
		__NR_lookup_dcookie,
	};
	struct seccomp_filter filter;

	(void)state;
	seccomp_build(&filter);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		assert_int_equal(ask(&filter, (uint32_t)calls[i], 0), EPERM_ANSWER);
}

/* The numbers that the profile allows whatever the arguments, taken from its JSON form. */
/* clang-format off */
static const struct {
	uint32_t first, last;
} allowed[] = {
#ifdef SECCOMP_HAS_X32
	{ 0, 40 }, { 42, 55 }, { 57, 102 }, { 104, 133 }, { 137, 138 }, { 140, 152 },
	{ 154, 154 }, { 157, 162 }, { 186, 211 }, { 213, 226 }, { 228, 235 }, { 240, 245 },
	{ 247, 247 }, { 251, 255 }, { 257, 271 }, { 273, 278 }, { 280, 297 }, { 299, 299 },
	{ 301, 303 }, { 305, 307 }, { 309, 311 }, { 314, 319 }, { 322, 322 }, { 324, 335 },
	{ 424, 424 }, { 434, 434 }, { 436, 437 }, { 439, 439 }, { 441, 441 }, { 444, 449 },
	{ 451, 458 }, { 462, 466 },
#else /* aarch64 */
	{ 0, 17 }, { 19, 38 }, { 43, 57 }, { 59, 59 }, { 61, 88 }, { 90, 91 }, { 93, 96 },
	{ 98, 103 }, { 107, 111 }, { 113, 115 }, { 117, 141 }, { 143, 160 }, { 163, 169 },
	{ 171, 197 }, { 199, 216 }, { 221, 223 }, { 226, 234 }, { 240, 240 }, { 242, 243 },
	{ 260, 261 }, { 263, 264 }, { 266, 267 }, { 269, 271 }, { 274, 279 }, { 281, 281 },
	{ 283, 293 }, { 424, 424 }, { 434, 434 }, { 436, 437 }, { 439, 439 }, { 441, 441 },
	{ 444, 449 }, { 451, 458 }, { 462, 466 },
#endif
};
/* clang-format on */

static uint32_t expect(uint32_t nr, uint32_t arg0)
{
	switch (nr) {
	case __NR_clone:
		return arg0 & 0x7e020000 ? EPERM_ANSWER : SECCOMP_RET_ALLOW;
	case __NR_clone3:
		return ENOSYS_ANSWER;
	case __NR_socket:
		return arg0 == 38 || arg0 == 40 ? EPERM_ANSWER : SECCOMP_RET_ALLOW;
	case __NR_personality:
		return (arg0 & ~0x20008u) == 0 || arg0 == 0xffffffff ? SECCOMP_RET_ALLOW
								     : EPERM_ANSWER;
	}
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (nr >= allowed[i].first && nr <= allowed[i].last)
			return SECCOMP_RET_ALLOW;
	return nr > SECCOMP_LAST_KNOWN ? ENOSYS_ANSWER : EPERM_ANSWER;
}

static void test_seccomp__equals_dockers_profile_for_all_numbers_and_arguments(void **state)
{
	static const uint64_t arguments[] = {
		0,	     1,		  8,
		17,	     37,	  38,
		39,	     40,	  41,
		0x10000000,  0x20000,	  0x20008,
		0x02000000,  0x40000000,  0x7e020000,
		0x80000000,  0xffffffff,  0x100000000,
		0x100000026, 0x100000028, 0xffffffff00000000,
	};
	struct seccomp_filter filter;
	size_t most = 0;

	(void)state;
	seccomp_build(&filter);
	for (uint32_t nr = 0; nr < 1000; nr++) {
		for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
			const uint64_t args[6] = { arguments[i] };
			size_t steps = 0;
			uint32_t answer = emulate(filter.insns, filter.n, SECCOMP_ARCH, nr, args,
						  &steps);

			if (answer != expect(nr, (uint32_t)arguments[i]))
				fail_msg("call %u with %#jx: %#x", nr, (uintmax_t)arguments[i],
					 answer);
			most = steps > most ? steps : most;
		}
	}
	assert_true(most <= 24);
}

/* The differences that are meant: what docker's profile does not know is ENOSYS, and the upper
 * halves of arguments that the kernel takes as int do not count. */
static void test_seccomp__equals_dockers_profile_as_json(void **state)
{
	static const uint64_t values[] = { 0,	       1,	   8,	       37,
					   38,	       39,	   40,	       41,
					   0x10000000, 0x20000,	   0x20008,    0x40000,
					   0x02000000, 0x7e020000, 0xffffffff, 0x100000028 };
	json_t *profile = model_read_profile("default.json");
	struct seccomp_filter filter;
	struct model *model;

	(void)state;
	assert_non_null(profile);
	model = model_new(profile, PLATFORM, MODE);
	seccomp_build(&filter);
	assert_int_equal(model_last(model), SECCOMP_LAST_KNOWN);
	for (uint32_t nr = 0; nr < 1000; nr++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			const uint64_t args[6] = { (uint32_t)values[i] };
			uint32_t wanted = nr > SECCOMP_LAST_KNOWN ? ENOSYS_ANSWER
								  : model_ask(model, nr, args);
			uint32_t got = ask(&filter, nr, values[i]);

			if (got != wanted)
				fail_msg("call %u with %#jx: %#x, the profile says %#x", nr,
					 (uintmax_t)values[i], got, wanted);
		}
	}
	model_free(model);
	json_decref(profile);
}

static void test_seccomp__building_takes_no_time(void **state)
{
	struct seccomp_filter filter;
	uint64_t best = UINT64_MAX;

	(void)state;
	for (int i = 0; i < 20; i++) {
		uint64_t start = clock_monotonic_ns(), taken;

		seccomp_build(&filter);
		taken = clock_monotonic_ns() - start;
		best = taken < best ? taken : best;
	}
	assert_true(best < 100000);
}

#ifndef SECCOMP_FOR_AARCH64
/* In a process of its own, since there is no way back. */
static uint64_t time_install(const struct seccomp_filter *filter)
{
	uint64_t taken = UINT64_MAX;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		uint64_t start = clock_monotonic_ns();

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_install(filter) < 0)
			_exit(1);
		taken = clock_monotonic_ns() - start;
		_exit(write(ends[1], &taken, sizeof(taken)) != sizeof(taken));
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &taken, sizeof(taken)), sizeof(taken));
	close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return taken;
}

static void test_seccomp__installing_takes_no_time(void **state)
{
	struct seccomp_filter filter;
	uint64_t best = UINT64_MAX;

	(void)state;
	seccomp_build(&filter);
	for (int i = 0; i < 20; i++) {
		uint64_t taken = time_install(&filter);

		best = taken < best ? taken : best;
	}
	print_message("%u instructions, %.3f ms\n", filter.n, (double)best / 1e6);
	assert_true(best < 200000);
}
#endif

static void test_seccomp__table_names_nothing_twice(void **state)
{
	bool seen[SECCOMP_LAST_KNOWN + 1] = { false };

	(void)state;
	for (size_t i = 0; i < seccomp_n_calls; i++) {
		assert_false(seen[seccomp_calls[i].nr]);
		seen[seccomp_calls[i].nr] = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seccomp__socket_compares_32_bits),
		cmocka_unit_test(test_seccomp__offline_there_are_unix_sockets_only),
		cmocka_unit_test(test_seccomp__clone_makes_no_namespaces),
		cmocka_unit_test(test_seccomp__personality_is_a_list),
		cmocka_unit_test(test_seccomp__unknown_calls_are_enosys),
		cmocka_unit_test(test_seccomp__foreign_modes_are_refused),
		cmocka_unit_test(test_seccomp__dangerous_calls_are_refused),
		cmocka_unit_test(
			test_seccomp__equals_dockers_profile_for_all_numbers_and_arguments),
		cmocka_unit_test(test_seccomp__equals_dockers_profile_as_json),
		cmocka_unit_test(test_seccomp__building_takes_no_time),
#ifndef SECCOMP_FOR_AARCH64
		cmocka_unit_test(test_seccomp__installing_takes_no_time),
#endif
		cmocka_unit_test(test_seccomp__table_names_nothing_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
