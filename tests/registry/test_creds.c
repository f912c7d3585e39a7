/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "registry/creds.h"

static const char config[] = "{\"auths\": {"
			     "\"https://index.docker.io/v1/\": {\"auth\": \"aHViOnB3\"},"
			     "\"localhost:5000\": {\"auth\": \"dXNlcjpwYTpzcw\"},"
			     "\"quay.io/team/app\": {\"username\": \"robot\", \"password\": \"r\"},"
			     "\"quay.io\": {\"username\": \"all\", \"password\": \"a\"},"
			     "\"http://plain.example/v2/\": {\"identitytoken\": \"refresh\"},"
			     "\"marker.example\": {},"
			     "\"broken.example\": {\"auth\": \"!!!\"},"
			     "\"tok.example\": {\"registrytoken\": \"verbatim\"}}}";

static int find(const char *host, const char *path, struct credential *credential, struct err *err)
{
	return creds_find_in("config.json", config, strlen(config), host, path, credential, err);
}

static void test_creds__keys_in_every_spelling(void **state)
{
	static const struct {
		const char *host, *path, *username, *password;
	} cases[] = {
		{ "docker.io", "library/x", "hub", "pw" },
		{ "registry-1.docker.io", "library/x", "hub", "pw" },
		{ "localhost:5000", "a/b", "user", "pa:ss" },
		{ "quay.io", "team/app", "robot", "r" },
		{ "quay.io", "team/app/sub", "robot", "r" },
		{ "quay.io", "team/other", "all", "a" },
		{ "localhost:5001", "a/b", NULL, NULL },
		{ "marker.example", "a/b", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_credential struct credential credential = { 0 };
		struct err err = ERR_INIT;

		assert_int_equal(find(cases[i].host, cases[i].path, &credential, &err), 0);
		if (!cases[i].username) {
			assert_null(credential.source);
			continue;
		}
		assert_string_equal(credential.username, cases[i].username);
		assert_string_equal(credential.password, cases[i].password);
		assert_string_equal(credential.source, "config.json");
	}
}

static void test_creds__tokens(void **state)
{
	cleanup_credential struct credential identity = { 0 }, registry = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(find("plain.example", "x", &identity, &err), 0);
	assert_string_equal(identity.identity_token, "refresh");
	assert_int_equal(find("tok.example", "x", &registry, &err), 0);
	assert_string_equal(registry.registry_token, "verbatim");
}

static void test_creds__broken_entries_are_named(void **state)
{
	cleanup_credential struct credential credential = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(find("broken.example", "x", &credential, &err), -1);
	assert_non_null(strstr(err.message, "config.json"));
	err_clear(&err);
	assert_int_equal(creds_find_in("f", "{", 1, "x", "y", &credential, &err), -1);
	err_clear(&err);
	assert_int_equal(creds_find_in("f", "[]", 2, "x", "y", &credential, &err), -1);
}

static void test_creds__base64(void **state)
{
	static const struct {
		const char *text, *data;
	} cases[] = {
		{ "", "" },	 { "Zg==", "f" },   { "Zg", "f" },	    { "Zm8=", "fo" },
		{ "Zm8", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg==", "foob" },
	};
	static const char *const bad[] = { "Z", "Zm9vY", "!!!!", "Zm 9" };
	unsigned long len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *data = creds_base64_decode(cases[i].text, &len);

		assert_non_null(data);
		assert_int_equal(len, strlen(cases[i].data));
		assert_string_equal(data, cases[i].data);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(creds_base64_decode(bad[i], &len));
}

static void make_helper(const char *directory, const char *name, const char *script)
{
	cleanup_free char *path = xasprintf("%s/docker-credential-%s", directory, name);
	struct err err = ERR_INIT;

	assert_int_equal(file_replace_at(AT_FDCWD, path, script, strlen(script), 0755, false, &err),
			 0);
}

static void test_creds__helpers(void **state)
{
	char directory[] = "/tmp/cbuild-test-creds-XXXXXX";
	cleanup_credential struct credential credential = { 0 };
	cleanup_free char *path = NULL;
	struct err err = ERR_INIT;
	const char text[] =
		"{\"credHelpers\": {\"one.example\": \"one\"}, \"credsStore\": \"all\"}";

	(void)state;
	assert_non_null(mkdtemp(directory));
	path = xasprintf("%s:/usr/bin:/bin", directory);
	setenv("PATH", path, 1);
	make_helper(directory, "one",
		    "#!/bin/sh\nread -r key\n"
		    "echo \"{\\\"ServerURL\\\":\\\"$key\\\",\\\"Username\\\":\\\"$key\\\","
		    "\\\"Secret\\\":\\\"s\\\"}\"\n");
	make_helper(directory, "all",
		    "#!/bin/sh\nread -r key\n"
		    "[ \"$key\" = https://index.docker.io/v1/ ] && "
		    "{ echo '{\"Username\":\"<token>\",\"Secret\":\"id\"}'; exit 0; }\n"
		    "echo 'credentials not found in native keychain'; exit 1\n");
	make_helper(directory, "sick", "#!/bin/sh\necho 'keychain is locked'; exit 1\n");
	make_helper(directory, "big", "#!/bin/sh\nhead -c 100000 /dev/zero\n");

	assert_int_equal(
		creds_find_in("f", text, strlen(text), "one.example", "x", &credential, &err), 0);
	assert_string_equal(credential.username, "one.example");
	assert_string_equal(credential.password, "s");
	assert_string_equal(credential.source, "docker-credential-one");
	credential_release(&credential);
	assert_int_equal(
		creds_find_in("f", text, strlen(text), "docker.io", "x", &credential, &err), 0);
	assert_string_equal(credential.identity_token, "id");
	credential_release(&credential);
	assert_int_equal(
		creds_find_in("f", text, strlen(text), "other.example", "x", &credential, &err), 0);
	assert_null(credential.source);
	assert_int_equal(creds_ask_helper("sick", "k", &credential, &err), -1);
	assert_string_equal(err.message, "docker-credential-sick: keychain is locked");
	err_clear(&err);
	assert_int_equal(creds_ask_helper("big", "k", &credential, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	err_clear(&err);
	assert_int_equal(creds_ask_helper("../x", "k", &credential, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	err_clear(&err);
	assert_int_equal(creds_ask_helper("absent", "k", &credential, &err), -1);
	assert_int_equal(err.kind, ERR_OS);
	err_clear(&err);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, directory, &err), 0);
}

static void write_auth(const char *directory, const char *name, const char *user)
{
	cleanup_free char *path = xasprintf("%s/%s", directory, name);
	cleanup_free char *text = xasprintf(
		"{\"auths\": {\"h.example\": {\"username\": \"%s\", \"password\": \"p\"}}}", user);
	struct err err = ERR_INIT;

	assert_int_equal(file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, false, &err), 0);
}

static void assert_user(const struct creds_options *options, const char *user)
{
	cleanup_credential struct credential credential = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(creds_find(options, "h.example", "x", &credential, &err), 0);
	if (user)
		assert_string_equal(credential.username, user);
	else
		assert_null(credential.source);
}

static void test_creds__order_of_places(void **state)
{
	char directory[] = "/tmp/cbuild-test-creds-XXXXXX";
	cleanup_strv struct strv environment = STRV_INIT;
	struct creds_options options = { .environment = &environment };
	cleanup_credential struct credential credential = { 0 };
	cleanup_free char *only = NULL, *missing = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(directory));
	env_set(&environment, "HOME", directory);
	env_set(&environment, "XDG_RUNTIME_DIR", directory);
	assert_user(&options, NULL);
	only = xasprintf("%s/.docker", directory);
	assert_int_equal(mkdir(only, 0700), 0);
	write_auth(only, "config.json", "docker");
	assert_user(&options, "docker");
	free(only);
	only = xasprintf("%s/containers", directory);
	assert_int_equal(mkdir(only, 0700), 0);
	write_auth(only, "auth.json", "containers");
	assert_user(&options, "containers");
	write_auth(directory, "config.json", "variable");
	env_set(&environment, "DOCKER_CONFIG", directory);
	assert_user(&options, "variable");
	env_set(&environment, "DOCKER_AUTH_CONFIG",
		"{\"auths\": {\"h.example\": {\"auth\": \"aW5saW5lOnA=\"}}}");
	assert_user(&options, "inline");
	write_auth(directory, "only.json", "only");
	free(only);
	only = xasprintf("%s/only.json", directory);
	env_set(&environment, "REGISTRY_AUTH_FILE", only);
	assert_user(&options, "only");
	missing = xasprintf("%s/missing.json", directory);
	options.authfile = missing;
	assert_int_equal(creds_find(&options, "h.example", "x", &credential, &err), -1);
	err_clear(&err);
	assert_int_equal(file_remove_tree_at(AT_FDCWD, directory, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_creds__keys_in_every_spelling),
		cmocka_unit_test(test_creds__tokens),
		cmocka_unit_test(test_creds__broken_entries_are_named),
		cmocka_unit_test(test_creds__base64),
		cmocka_unit_test(test_creds__helpers),
		cmocka_unit_test(test_creds__order_of_places),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program has it: a helper may end without reading */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
