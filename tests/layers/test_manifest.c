/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "layers/image.h"
#include "tests/layers/store_fixture.h"

#define D1	     "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2	     "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX    "application/vnd.oci.image.index.v1+json"
#define CONFIG                                                                                     \
	"\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" D1  \
	"\",\"size\":2}"
#define LAYER(type)  "{\"mediaType\":\"" type "\",\"digest\":\"" D2 "\",\"size\":7}"
#define GZIP	     LAYER("application/vnd.oci.image.layer.v1.tar+gzip")
#define ENTRY(rest)  "{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"" D1 "\",\"size\":2" rest "}"
#define ON(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"

static void test_manifest__comes_back_as_it_was(void **state)
{
	static const char text[] = "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\"," CONFIG
				   ",\"layers\":[" GZIP "]}";
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	cleanup_free char *again = NULL;
	struct err err = ERR_INIT;
	size_t len;

	(void)state;
	assert_int_equal(
		manifest_parse(text, strlen(text), OCI_MANIFEST "; charset=utf-8", &manifest, &err),
		0);
	assert_int_equal(manifest->n_layers, 1);
	assert_int_equal(manifest->layers[0].media, MEDIA_OCI_LAYER_GZIP);
	assert_int_equal(manifest->layers[0].size, 7);
	again = manifest_format(manifest, &len);
	assert_string_equal(again, text);
	assert_int_equal(len, strlen(text));
}

static void test_manifest__type_is_told_by_the_config_at_last(void **state)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.docker.container."
		"image.v1+json\",\"digest\":\"" D1 "\",\"size\":2},\"layers\":[]}";
	cleanup_with(manifest_free) struct manifest *manifest = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(manifest_parse(text, strlen(text), "text/plain", &manifest, &err), 0);
	assert_int_equal(manifest->media, MEDIA_DOCKER_MANIFEST);
}

struct bad_case {
	const char *text, *type;
	enum err_kind kind;
	const char *words;
};

static void check_bad(const struct bad_case *cases, size_t n, bool index)
{
	for (size_t i = 0; i < n; i++) {
		struct manifest *manifest;
		struct image_index *list;
		struct err err = ERR_INIT;
		const char *text = cases[i].text;
		int got =
			index ? index_parse(text, strlen(text), cases[i].type, &list, &err)
			      : manifest_parse(text, strlen(text), cases[i].type, &manifest, &err);

		if (got == 0)
			fail_msg("accepted: %s", text);
		if (err.kind != cases[i].kind || !strstr(err.message, cases[i].words))
			fail_msg("%s\n gave %d: %s", text, err.kind, err.message);
	}
}

static void test_manifest__bad_ones_are_refused(void **state)
{
	static const struct bad_case cases[] = {
		{ "<html>", NULL, ERR_INVALID, "" },
		{ "{}", NULL, ERR_INVALID, "schemaVersion" },
		{ "{\"schemaVersion\":2}", NULL, ERR_INVALID, "\"config\"" },
		{ "{\"schemaVersion\":2,\"layers\":[]}", NULL, ERR_INVALID, "\"config\"" },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", NULL, ERR_INVALID, "found an index" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}", NULL,
		  ERR_INVALID, "ambiguous" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"Layers\":[]}", NULL, ERR_INVALID,
		  "ambiguous" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"layers\":[]}", NULL, ERR_INVALID,
		  "duplicate" },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, ERR_UNSUPPORTED, "schema 1" },
		{ "{\"schemaVersion\":2}",
		  "application/vnd.docker.distribution.manifest.v1+prettyjws", ERR_UNSUPPORTED,
		  "schema 1" },
		{ "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\"," CONFIG
		  ",\"layers\":[]}",
		  OCI_INDEX, ERR_INVALID, "was sent as" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", OCI_INDEX, ERR_INVALID,
		  "expected a manifest" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", "text/html", ERR_UNSUPPORTED,
		  "text/html" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER(
			  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") "]}",
		  NULL, ERR_UNSUPPORTED, "not distributed" },
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER("application/x-helm") "]}",
		  NULL, ERR_UNSUPPORTED, "application/x-helm" },
		{ "{\"schemaVersion\":2,\"artifactType\":\"application/x-thing\",\"config\":" LAYER(
			  "application/vnd.oci.empty.v1+json") ",\"layers\":[]}",
		  NULL, ERR_UNSUPPORTED,
		  "not a container image (artifact type \"application/x-thing\")" },
		{ "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
		  "vnd.oci.image.config.v1"
		  "+json\",\"digest\":\"sha256:../../../etc/passwd\",\"size\":2},\"layers\":[]}",
		  NULL, ERR_INVALID, "digest" },
		{ "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
		  "vnd.oci.image.config.v1"
		  "+json\",\"digest\":\"" D1 "\",\"size\":-1},\"layers\":[]}",
		  NULL, ERR_INVALID, "size" },
		{ "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
		  "vnd.oci.image.config.v1"
		  "+json\",\"digest\":\"" D1 "\"},\"layers\":[]}",
		  NULL, ERR_INVALID, "size" },
		{ "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
		  "vnd.oci.image.config.v1"
		  "+json\",\"digest\":\"" D1 "\",\"size\":9223372036854775807},\"layers\":[]}",
		  NULL, ERR_INVALID, "size" },
		{ "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
		  "vnd.oci.image.config.v1"
		  "+json\",\"digest\":\"" D1 "\",\"size\":99999999},\"layers\":[]}",
		  NULL, ERR_LIMIT, "config" },
	};

	(void)state;
	check_bad(cases, ARRAY_SIZE(cases), false);
}

static void test_manifest__bad_indexes_are_refused(void **state)
{
	static const struct bad_case cases[] = {
		{ "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", NULL, ERR_INVALID,
		  "found a manifest" },
		{ "{\"schemaVersion\":2}", NULL, ERR_INVALID, "\"manifests\"" },
		{ "{\"schemaVersion\":2,\"manifests\":{}}", NULL, ERR_INVALID, "manifests" },
		{ "{\"schemaVersion\":2,\"manifests\":[1]}", NULL, ERR_INVALID, "entry 1" },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", OCI_MANIFEST, ERR_INVALID,
		  "expected an index" },
		{ "{\"schemaVersion\":2,\"manifests\":[" ENTRY(ON("\\n", "amd64")) "]}", NULL,
		  ERR_INVALID, "platform" },
	};

	(void)state;
	check_bad(cases, ARRAY_SIZE(cases), true);
}

static void choose(const char *text, const char *platform_text, long expected, const char *words)
{
	cleanup_with(index_free) struct image_index *index = NULL;
	const struct index_entry *entry;
	struct platform platform;
	struct err err = ERR_INIT;

	if (index_parse(text, strlen(text), OCI_INDEX, &index, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(platform_parse(platform_text, &platform, &err), 0);
	if (expected < 0) {
		assert_int_equal(index_choose(index, &platform, &entry, &err), -1);
		assert_int_equal(err.kind, ERR_NOT_FOUND);
		assert_string_equal(err.message, words);
		return;
	}
	if (index_choose(index, &platform, &entry, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(entry - index->entries, expected);
}

static void test_manifest__index_serves_the_best_entry(void **state)
{
	static const char list[] = "{\"schemaVersion\":2,\"manifests\":[" ENTRY(ON("unknown", "unkn"
											      "ow"
											      "n")) "," ENTRY(ON("linux", "386")) "," ENTRY(ON(
		"linux",
		"amd64")) "," ENTRY(ON("linux",
				       "amd64")) "," ENTRY(",\"platform\":{\"os\":\"linux\","
							   "\"architecture\":\"arm\",\"variant\":"
							   "\"v6\"}") "," ENTRY(ON("linux",
										   "arm64") ",\"ann"
											    "otatio"
											    "ns\":{"
											    "\"vnd."
											    "docker"
											    ".refer"
											    "ence."
											    "type\""
											    ":\"x\""
											    "}") "," ENTRY(ON("linux",
													      "s390x") ",\"artifactType\":\"application/x\"") "]}";
	static const char silent[] = "{\"schemaVersion\":2,\"manifests\":[" ENTRY("") "]}";
	static const char none[] = "{\"schemaVersion\":2,\"manifests\":[]}";

	(void)state;
	choose(list, "linux/amd64", 2, "");
	choose(list, "linux/386", 1, "");
	choose(list, "linux/arm/v7", 4, "");
	choose(list, "linux/arm64", -1,
	       "no match for platform linux/arm64; available: linux/386, linux/amd64, linux/amd64, "
	       "linux/arm/v6");
	choose(silent, "linux/arm64", 0, "");
	choose(none, "linux/arm64", -1, "no match for platform linux/arm64; available: nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest__comes_back_as_it_was),
		cmocka_unit_test(test_manifest__type_is_told_by_the_config_at_last),
		cmocka_unit_test(test_manifest__bad_ones_are_refused),
		cmocka_unit_test(test_manifest__bad_indexes_are_refused),
		cmocka_unit_test(test_manifest__index_serves_the_best_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
