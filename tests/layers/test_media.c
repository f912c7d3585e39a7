/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "layers/media.h"

static void test_media__names_come_back(void **state)
{
	(void)state;
	for (int i = MEDIA_UNKNOWN + 1; i <= MEDIA_FOREIGN_LAYER; i++)
		assert_int_equal(media_parse(media_name((enum media)i)), i);
}

static void test_media__parameters_and_case_do_not_matter(void **state)
{
	(void)state;
	assert_int_equal(media_parse("application/vnd.oci.image.index.v1+json; charset=utf-8"),
			 MEDIA_OCI_INDEX);
	assert_int_equal(media_parse("Application/vnd.OCI.image.index.v1+json"), MEDIA_OCI_INDEX);
	assert_int_equal(media_parse("application/vnd.oci.image.index.v1+jsonx"), MEDIA_UNKNOWN);
	assert_int_equal(media_parse(""), MEDIA_UNKNOWN);
	assert_int_equal(media_parse(NULL), MEDIA_UNKNOWN);
	assert_int_equal(media_parse("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
			 MEDIA_FOREIGN_LAYER);
}

static void test_media__families_map_to_each_other(void **state)
{
	(void)state;
	for (int i = MEDIA_UNKNOWN + 1; i < MEDIA_FOREIGN_LAYER; i++) {
		enum media media = (enum media)i;

		assert_int_equal(media_as_oci(media_as_docker(media)), media_as_oci(media));
		assert_int_equal(media_compression(media_as_docker(media)),
				 media_compression(media));
	}
	assert_int_equal(media_as_docker(media_of_layer(COMPRESSION_GZIP)),
			 MEDIA_DOCKER_LAYER_GZIP);
	assert_int_equal(media_compression(media_of_layer(COMPRESSION_ZSTD)), COMPRESSION_ZSTD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_media__names_come_back),
		cmocka_unit_test(test_media__parameters_and_case_do_not_matter),
		cmocka_unit_test(test_media__families_map_to_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
