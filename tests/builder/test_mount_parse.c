/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "builder/mount.h"

struct fixture {
	struct dockerfile *dockerfile;
	struct image *image;
	struct stage stage;
};

static void setup(struct fixture *fixture, const char *option)
{
	cleanup_free char *text = xasprintf("FROM scratch\nRUN --mount=%s true\n", option);
	struct err err = ERR_INIT;

	memset(fixture, 0, sizeof(*fixture));
	if (dockerfile_parse("Dockerfile", text, strlen(text), &fixture->dockerfile, &err) < 0)
		fail_msg("%s", err.message);
	fixture->image = image_new();
	free(fixture->image->working_dir);
	fixture->image->working_dir = xstrdup("/srv");
	fixture->stage.image = fixture->image;
	strv_add(&fixture->stage.env, "V=value");
	strv_add(&fixture->stage.env, "N=7");
}

static void teardown(struct fixture *fixture)
{
	strv_release(&fixture->stage.env);
	image_free(fixture->image);
	dockerfile_free(fixture->dockerfile);
}

static int parse(struct fixture *fixture, struct mount_request *request, struct err *err)
{
	return mount_parse(fixture->dockerfile, &fixture->stage,
			   &fixture->dockerfile->instructions[1].flags[0], request, err);
}

/* All of a request on one line. */
static char *describe(const struct mount_request *request)
{
	static const char *const sharing[] = { "shared", "locked", "private" };

	return xasprintf("%s target=%s from=%s source=%s id=%s env=%s %s%s %s size=%llu %o %u:%u",
			 mount_type_name(request->type), request->target ? request->target : "-",
			 request->from ? request->from : "-",
			 request->source ? request->source : "-", request->id ? request->id : "-",
			 request->env ? request->env : "-", request->read_only ? "ro" : "rw",
			 request->required ? " required" : "", sharing[request->sharing],
			 (unsigned long long)request->size, request->mode, request->uid,
			 request->gid);
}

static void test_mount_parse__requests(void **state)
{
	static const char *const cases[][2] = {
		{ "target=/x",
		  "bind target=/x from=- source=- id=- env=- ro shared size=0 755 0:0" },
		{ "type=BIND,dst=x,src=a,from=Base,rw",
		  "bind target=/srv/x from=Base source=a id=- env=- rw shared size=0 755 0:0" },
		{ "destination=a/../b/,source=$V,ro=false",
		  "bind target=/srv/b from=- source=value id=- env=- rw shared size=0 755 0:0" },
		{ "target=.,readonly",
		  "bind target=/srv from=- source=- id=- env=- ro shared size=0 755 0:0" },
		{ "\\\"target=/with,comma\\\"",
		  "bind target=/with,comma from=- source=- id=- env=- ro shared size=0 755 0:0" },
		{ "type=cache,target=c", "cache target=/srv/c from=- source=- id=/srv/c env=- rw "
					 "shared size=0 755 0:0" },
		{ "type=cache,target=/c,id=$V,sharing=LOCKED,mode=0700,uid=$N,gid=${N}1,ro",
		  "cache target=/c from=- source=- id=value env=- ro locked size=0 700 7:71" },
		{ "type=cache,target=/c,from=a,source=/s,sharing=private",
		  "cache target=/c from=a source=/s id=/c env=- rw private size=0 755 0:0" },
		{ "type=tmpfs,target=/t",
		  "tmpfs target=/t from=- source=- id=- env=- rw shared size=0 755 0:0" },
		{ "type=tmpfs,target=/t,tmpfs-size=2G,tmpfs-mode=1777",
		  "tmpfs target=/t from=- source=- id=- env=- rw shared size=2147483648 1777 0:0" },
		{ "type=secret,id=a/b", "secret target=/run/secrets/b from=- source=- id=a/b env=- "
					"rw shared size=0 400 0:0" },
		{ "type=secret,target=/root/.netrc,required,mode=444",
		  "secret target=/root/.netrc from=- source=- id=.netrc env=- rw required shared "
		  "size=0 444 "
		  "0:0" },
		{ "type=secret,src=s,id=i,env=TOKEN",
		  "secret target=- from=- source=- id=s env=TOKEN rw shared size=0 400 0:0" },
		{ "type=secret,id=i,env=TOKEN,target=/t,required=false",
		  "secret target=/t from=- source=- id=i env=TOKEN rw shared size=0 400 0:0" },
		{ "type=ssh",
		  "ssh target=- from=- source=- id=default env=- rw shared size=0 600 0:0" },
		{ "type=ssh,id=k,target=/s,required=1,uid=5",
		  "ssh target=/s from=- source=- id=k env=- rw required shared size=0 600 5:0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mount_request request;
		cleanup_free char *text = NULL;
		struct err err = ERR_INIT;
		struct fixture fixture;

		setup(&fixture, cases[i][0]);
		if (parse(&fixture, &request, &err) < 0)
			fail_msg("%s", err.message);
		text = describe(&request);
		assert_string_equal(text, cases[i][1]);
		mount_request_release(&request);
		teardown(&fixture);
	}
}

static void test_mount_parse__errors_say_what_and_where(void **state)
{
	static const char *const cases[][2] = {
		{ "target=/", "invalid mount target" },
		{ "target=/a/..", "invalid mount target" },
		{ "target=../..", "invalid mount target" },
		{ "source=/x", "target is missing" },
		{ "target=", "target is missing" },
		{ "target", "must be a key=value pair" },
		{ "type=bindd,target=/x", "(did you mean bind?)" },
		{ "type=npipe,target=/x", "expected bind, cache" },
		{ "taget=/x", "unexpected key \"taget\" (did you mean target?)" },
		{ "target=/x,propagation=shared", "unexpected key" },
		{ "target=/x,Z", "unexpected key" },
		{ "target=/x,id=a", "id is not an option of type=bind" },
		{ "target=/x,mode=755", "mode is not an option of type=bind" },
		{ "type=tmpfs,target=/x,from=a", "from is not an option of type=tmpfs" },
		{ "type=cache,target=/x,size=1", "size is not an option of type=cache" },
		{ "type=cache,target=/x,required", "required is not an option of type=cache" },
		{ "type=secret,id=a,rw", "rw is not an option of type=secret" },
		{ "type=ssh,source=a", "source is not an option of type=ssh" },
		{ "type=cache,target=/x,sharing=none", "unsupported sharing value" },
		{ "type=cache,target=/x,uid=4294967295", "invalid value \"4294967295\" of uid" },
		{ "type=cache,target=/x,gid=a", "of gid" },
		{ "type=cache,target=/x,mode=10000", "of mode" },
		{ "type=cache,target=/x,mode=-7", "of mode" },
		{ "type=cache,target=/x,source=/a", "needs from=" },
		{ "from=,target=/x", "\"from\" is empty" },
		{ "type=tmpfs,target=/x,size=-1", "invalid size" },
		{ "target=/x,ro=yes", "yes-or-no" },
		{ "target=/x,ro,rw", "contradict" },
		{ "type=secret", "needs an id or a target" },
		{ "type=secret,id=..", "needs a target" },
		{ "type=secret,id=a,env=A=B", "not the name of a variable" },
		{ "target=${V:?}${W:?gone}", "gone" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mount_request request;
		struct err err = ERR_INIT;
		struct fixture fixture;

		setup(&fixture, cases[i][0]);
		if (parse(&fixture, &request, &err) == 0)
			fail_msg("%s is taken", cases[i][0]);
		assert_int_equal(err.kind, ERR_INVALID);
		if (!strstr(err.message, cases[i][1]))
			fail_msg("%s", err.message);
		assert_memory_equal(err.message, "Dockerfile:2:5: ", 16);
		teardown(&fixture);
	}
}

static void test_mount_parse__patterns_mean_their_path(void **state)
{
	cleanup_free char *root = mount_pattern(NULL);
	cleanup_free char *odd = mount_pattern("/a*b[c]?\\d");

	(void)state;
	assert_string_equal(root, "/");
	assert_string_equal(odd, "/a\\*b\\[c\\]\\?\\\\d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount_parse__requests),
		cmocka_unit_test(test_mount_parse__errors_say_what_and_where),
		cmocka_unit_test(test_mount_parse__patterns_mean_their_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
