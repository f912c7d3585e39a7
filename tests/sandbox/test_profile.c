/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles in docker's form: what they compile to is run by the BPF machine and compared with a
 * plain reading of the JSON and with what libseccomp makes of it; and each kind of mistake is
 * named with its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "sandbox/internal.h"
#include "sandbox/sandbox.h"
#include "tests/sandbox/seccomp_models.h"

/* What podman's containers have, where it is installed. */
#define PODMANS "/usr/share/containers/seccomp.json"

static struct sandbox_profile *parse(const json_t *json)
{
	cleanup_free char *text = json_dumps(json, 0);
	struct sandbox_profile *profile;
	struct err err = ERR_INIT;

	if (sandbox_profile_parse("p", text, strlen(text), &profile, &err) < 0)
		fail_msg("%s", err.message);
	return profile;
}

static uint32_t ask(const struct sandbox_profile *profile, uint32_t arch, uint32_t nr,
		    const uint64_t args[6])
{
	size_t steps = 0;

	return emulate(profile->filter.insns, profile->filter.n, arch, nr, args, &steps);
}

static const uint64_t values[] = { 0,	    1,	     8,		 9,	     16,
				   38,	    39,	     40,	 41,	     0x10000000,
				   0x20000, 0x20008, 0x7e020000, 0xffffffff, 0x40000 };

static void compare_mode(const json_t *json, const struct sandbox_profile *profile, uint32_t token)
{
	struct model *model = model_new(json, seccomp_native_name, token);
	uint32_t bit, arch = seccomp_token_arch(token, &bit);

	for (uint32_t nr = 0; nr < 700; nr++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			const uint64_t args[6] = { values[i], 0, values[(i + 3) % 8] };
			uint32_t wanted = nr > model_last(model) ? ENOSYS_ANSWER
								 : model_ask(model, nr | bit, args);
			uint32_t got = ask(profile, arch, nr | bit, args);

			if (got != wanted)
				fail_msg("mode %#x, call %u with %#jx: %#x, not %#x", token, nr,
					 (uintmax_t)values[i], got, wanted);
		}
	}
	model_free(model);
}

/* All modes that the profile lists for this processor. */
static void compare_profile(const char *name)
{
	json_t *json = model_read_profile(name);
	struct sandbox_profile *profile;

	if (!json)
		skip();
	profile = parse(json);
	compare_mode(json, profile, seccomp_native_token());
#ifdef __x86_64__
	compare_mode(json, profile, SCMP_ARCH_X32);
	compare_mode(json, profile, SCMP_ARCH_X86);
#endif
	sandbox_profile_free(profile);
	json_decref(json);
}

static void test_profile__dockers_means_what_it_says(void **state)
{
	(void)state;
	compare_profile("default.json");
}

static void test_profile__podmans_means_what_it_says(void **state)
{
	(void)state;
	compare_profile(PODMANS);
}

/* --- libseccomp ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum scmp_compare op;
} ops[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE }, { "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE }, { "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT },
};

/* The filter of libseccomp that allows mmap where two of its arguments compare so. */
static size_t export_pair(size_t one, size_t two, uint64_t value, struct sock_filter insns[4096])
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	cleanup_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t len;

	assert_non_null(context);
	assert_int_equal(seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
					  SCMP_CMP(1, ops[one].op, value, 0),
					  SCMP_CMP(2, ops[two].op, value, 0)),
			 0);
	assert_int_equal(seccomp_export_bpf(context, fd), 0);
	seccomp_release(context);
	len = pread_all(fd, insns, 4096 * sizeof(*insns), 0);
	assert_true(len > 0);
	return (size_t)len / sizeof(*insns);
}

static void compare_pair(size_t one, size_t two, uint64_t value)
{
	static struct sock_filter insns[4096];
	size_t n = export_pair(one, two, value, insns), steps = 0;
	const uint64_t near[] = { 0,
				  1,
				  value - 1,
				  value,
				  value + 1,
				  ~value,
				  value ^ UINT64_C(1) << 32,
				  UINT64_MAX,
				  value << 1,
				  value >> 1,
				  value ^ UINT64_C(1) << 40 };
	json_t *json = json_pack("{s:s, s:[{s:[s], s:s, s:[{s:i, s:I, s:s}, {s:i, s:I, s:s}]}]}",
				 "defaultAction", "SCMP_ACT_ERRNO", "syscalls", "names", "mmap",
				 "action", "SCMP_ACT_ALLOW", "args", "index", 1, "value",
				 (json_int_t)value, "op", ops[one].name, "index", 2, "value",
				 (json_int_t)value, "op", ops[two].name);
	struct sandbox_profile *profile = parse(json);

	for (size_t i = 0; i < ARRAY_SIZE(near); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(near); k++) {
			const uint64_t args[6] = { 0, near[i], near[k] };
			uint32_t wanted =
				emulate(insns, n, seccomp_native_token(), SYS_mmap, args, &steps);

			if (ask(profile, seccomp_native_token(), SYS_mmap, args) != wanted)
				fail_msg("%s, %s %#jx: %#jx %#jx", ops[one].name, ops[two].name,
					 (uintmax_t)value, (uintmax_t)near[i], (uintmax_t)near[k]);
		}
	}
	sandbox_profile_free(profile);
	json_decref(json);
}

static void test_profile__comparisons_equal_libseccomps(void **state)
{
	static const uint64_t wide[] = { 0, 5, 0xffffffff, UINT64_C(0x100000000),
					 UINT64_C(0x123456789a) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++)
			for (size_t v = 0; v < ARRAY_SIZE(wide); v++)
				compare_pair(i, k, wide[v]);
}

/* --- what is special ------------------------------------------------------------------------ */

static struct sandbox_profile *parse_text(const char *text)
{
	struct sandbox_profile *profile;
	struct err err = ERR_INIT;

	if (sandbox_profile_parse("p", text, strlen(text), &profile, &err) < 0)
		fail_msg("%s", err.message);
	return profile;
}

static uint32_t ask_native(const struct sandbox_profile *profile, uint32_t nr, uint64_t arg0)
{
	const uint64_t args[6] = { arg0 };

	return ask(profile, seccomp_native_token(), nr, args);
}

static void test_profile__ints_are_compared_in_32_bits(void **state)
{
	struct sandbox_profile *profile =
		parse_text("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
			   "[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,"
			   "\"value\":40,\"op\":\"SCMP_CMP_EQ\"}]}]}");

	(void)state;
	assert_int_equal(ask_native(profile, SYS_socket, 40), EPERM_ANSWER);
	assert_int_equal(ask_native(profile, SYS_socket, 0x100000028), EPERM_ANSWER);
	assert_int_equal(ask_native(profile, SYS_socket, 41), SECCOMP_RET_ALLOW);
	assert_int_equal(ask_native(profile, 600, 0), SECCOMP_RET_ALLOW);
	sandbox_profile_free(profile);
}

static void test_profile__conditions_on_one_argument_are_alternatives(void **state)
{
	struct sandbox_profile *profile = parse_text(
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"personality\"],"
		"\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
		"{\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]}]}");

	(void)state;
	assert_int_equal(ask_native(profile, SYS_personality, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask_native(profile, SYS_personality, 8), SECCOMP_RET_ALLOW);
	assert_int_equal(ask_native(profile, SYS_personality, 1), EPERM_ANSWER);
	sandbox_profile_free(profile);
}

static void test_profile__actions(void **state)
{
	static const struct {
		const char *text;
		uint32_t action;
	} cases[] = {
		{ "\"SCMP_ACT_KILL\"", SECCOMP_RET_KILL_THREAD },
		{ "\"SCMP_ACT_KILL_THREAD\"", SECCOMP_RET_KILL_THREAD },
		{ "\"SCMP_ACT_KILL_PROCESS\"", SECCOMP_RET_KILL_PROCESS },
		{ "\"SCMP_ACT_TRAP\"", SECCOMP_RET_TRAP },
		{ "\"SCMP_ACT_LOG\"", SECCOMP_RET_LOG },
		{ "\"SCMP_ACT_ERRNO\"", EPERM_ANSWER },
		{ "\"SCMP_ACT_ERRNO\",\"errnoRet\":0", SECCOMP_RET_ERRNO },
		{ "\"SCMP_ACT_ERRNO\",\"errnoRet\":38", ENOSYS_ANSWER },
		{ "\"SCMP_ACT_ERRNO\",\"errno\":\"ENOSYS\"", ENOSYS_ANSWER },
		{ "\"SCMP_ACT_TRACE\",\"errnoRet\":7", SECCOMP_RET_TRACE | 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *text =
			xasprintf("{\"defaultAction\":\"SCMP_ACT_ALLOW\","
				  "\"syscalls\":[{\"name\":\"getppid\",\"action\":%s}"
				  "]}",
				  cases[i].text);
		struct sandbox_profile *profile = parse_text(text);

		assert_int_equal(ask_native(profile, SYS_getppid, 0), cases[i].action);
		assert_int_equal(ask_native(profile, SYS_getpid, 0), SECCOMP_RET_ALLOW);
		sandbox_profile_free(profile);
	}
}

static void test_profile__conditions_of_entries(void **state)
{
	static const struct {
		const char *text;
		bool counts;
	} cases[] = {
		{ "\"includes\":{\"caps\":[\"CAP_CHOWN\"]}", true },
		{ "\"includes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_SYS_ADMIN\"]}", false },
		{ "\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}", true },
		{ "\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_CHOWN\"]}", false },
		{ "\"includes\":{\"arches\":[\"s390x\"]}", false },
		{ "\"includes\":{\"arches\":[\"amd64\",\"arm64\",\"riscv64\"]}", true },
		{ "\"excludes\":{\"arches\":[\"amd64\",\"arm64\",\"riscv64\"]}", false },
		{ "\"includes\":{\"minKernel\":\"4.8\"}", true },
		{ "\"includes\":{\"minKernel\":\"4000.0\"}", false },
		{ "\"excludes\":{\"minKernel\":\"4.8\"}", false },
		{ "\"excludes\":{\"minKernel\":\"4000.0\"}", true },
		{ "\"includes\":{},\"excludes\":null", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *text = xasprintf("{\"defaultAction\":\"SCMP_ACT_ERRNO\","
						    "\"syscalls\":[{\"names\":[\"getppid\"],"
						    "\"action\":\"SCMP_ACT_ALLOW\",%s}]}",
						    cases[i].text);
		struct sandbox_profile *profile = parse_text(text);

		assert_int_equal(ask_native(profile, SYS_getppid, 0),
				 cases[i].counts ? SECCOMP_RET_ALLOW : EPERM_ANSWER);
		sandbox_profile_free(profile);
	}
}

static void test_profile__mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "", "p: line" },
		{ "[]", "the profile: is not an object" },
		{ "{}", "defaultAction: is missing" },
		{ "{\"defaultAction\":1}", "defaultAction: is not a string" },
		{ "{\"defaultAction\":\"ALLOW\"}", "defaultAction: unknown action \"ALLOW\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}",
		  "defaultErrnoRet: SCMP_ACT_ALLOW has no number" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}",
		  "defaultErrnoRet: 5000 is not a number from 0 to 4095" },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}",
		  "defaultAction: SCMP_ACT_NOTIFY needs" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"sysCalls\":[]}",
		  "sysCalls: unknown key" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}",
		  "architectures[0]: unknown architecture \"SCMP_ARCH_VAX\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],"
		  "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"}]}",
		  "architectures: cannot be given together with archMap" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}",
		  "flags[0]: unknown flag" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}",
		  "syscalls: is not a list" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[1]}",
		  "syscalls[0]: is not an object" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"]}]}",
		  "syscalls[0].action: is missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":"
		  "\"SCMP_ACT_ALLOW\"}]}",
		  "syscalls[0].names: is missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		  "\"name\":\"write\",\"action\":\"SCMP_ACT_ALLOW\"}]}",
		  "syscalls[0]: has both \"name\" and \"names\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\",2],"
		  "\"action\":\"SCMP_ACT_ALLOW\"}]}",
		  "syscalls[0].names[1]: is not a string" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]"
		  "}",
		  "syscalls[0].args[0].index: 6 is not a number from 0 to 5" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"op\":\"EQ\"}]}]}",
		  "syscalls[0].args[0].op: unknown operator \"EQ\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"op\":\"SCMP_CMP_EQ\"}]}]}",
		  "syscalls[0].args[0].index: is missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"cap\":[]}}]}",
		  "syscalls[0].includes.cap: unknown key" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"four\"}}]}",
		  "syscalls[0].includes.minKernel: \"four\" is not a version" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sandbox_profile *profile;
		struct err err = ERR_INIT;

		if (sandbox_profile_parse("p", cases[i].text, strlen(cases[i].text), &profile,
					  &err) == 0)
			fail_msg("taken: %s", cases[i].text);
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s: says %s", cases[i].text, err.message);
	}
}

/* A little over what the kernel takes, and so many that a count of 16 bits begins anew. */
static void test_profile__too_many_rules_are_refused(void **state)
{
	static const size_t counts[] = { SECCOMP_INSNS_MAX / 30 + 1, 65536 / 30 + 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct sandbox_profile *profile;
		struct err err = ERR_INIT;
		cleanup_buf struct buf text;

		buf_init(&text, SANDBOX_PROFILE_MAX);
		buf_addstr(&text, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[");
		for (size_t k = 0; k < counts[i]; k++) {
			buf_addf(&text, "%s{\"names\":[\"mmap\"],", k ? "," : "");
			buf_addstr(&text, "\"action\":\"SCMP_ACT_ERRNO\",\"args\":[");
			for (size_t n = 0; n < SECCOMP_ARGS; n++) {
				buf_addf(&text, "%s{\"index\":0,\"value\":%zu,", n ? "," : "",
					 k * SECCOMP_ARGS + n);
				buf_addstr(&text, "\"op\":\"SCMP_CMP_EQ\"}");
			}
			buf_addstr(&text, "]}");
		}
		buf_addstr(&text, "]}");
		assert_false(text.overflow);
		assert_int_equal(sandbox_profile_parse("p", text.data, text.len, &profile, &err),
				 -1);
		assert_int_equal(err.kind, ERR_LIMIT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profile__dockers_means_what_it_says),
		cmocka_unit_test(test_profile__podmans_means_what_it_says),
		cmocka_unit_test(test_profile__comparisons_equal_libseccomps),
		cmocka_unit_test(test_profile__ints_are_compared_in_32_bits),
		cmocka_unit_test(test_profile__conditions_on_one_argument_are_alternatives),
		cmocka_unit_test(test_profile__actions),
		cmocka_unit_test(test_profile__conditions_of_entries),
		cmocka_unit_test(test_profile__mistakes_are_named),
		cmocka_unit_test(test_profile__too_many_rules_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
