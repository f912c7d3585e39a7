/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instructions that only change the config: instructions in, the members of "config" and the
 * history out. PATH, which FROM sets, is not there: no FROM is run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "builder/internal.h"

struct config_case {
	const char *text;    /* after FROM scratch */
	const char *config;  /* NULL: an error that holds `history` */
	const char *history; /* texts, "|" between; NULL: not looked at */
	const char *build_args[2];
};

static const struct config_case cases[] = {
	/* ENV: order kept, replaced in place, expanded in the scope before the instruction */
	{ .text = "ENV A=1 B=2\nENV A=3", "{\"Env\":[\"A=3\",\"B=2\"]}", "ENV A=1 B=2|ENV A=3" },
	{ .text = "ENV A=1\nENV A=2 B=$A", "{\"Env\":[\"A=2\",\"B=1\"]}", "ENV A=1|ENV A=2 B=1" },
	{ .text = "ENV N=K\nENV $N=v", "{\"Env\":[\"N=K\",\"K=v\"]}" },
	{ .text = "ENV k some text", "{\"Env\":[\"k=some text\"]}", "ENV k=some text" },
	{ .text = "ENV a='x y' b=\"$a\" c=d\\ e", "{\"Env\":[\"a=x y\",\"b=\",\"c=d e\"]}" },
	{ .text = "ENV A=${B:?none}", NULL, "Dockerfile:2:7: " },
	{ .text = "ENV $X=1", NULL, "ENV names can not be blank" },
	/* ARG */
	{ .text = "ARG A=1 B=$A\nENV C=$B", "{\"Env\":[\"C=1\"]}", "ARG A=1 B=1|ENV C=1" },
	{ .text = "ARG A=1\nENV C=$A", "{\"Env\":[\"C=9\"]}", "ARG A=9|ENV C=9", { "A=9" } },
	{ .text = "ARG A\nENV C=x$A", "{\"Env\":[\"C=x\"]}", "ARG A|ENV C=x" },
	{ .text = "ARG A=1\nENV A=2\nLABEL a=$A", "{\"Env\":[\"A=2\"],\"Labels\":{\"a\":\"2\"}}" },
	{ .text = "ENV A=2\nARG A=1\nLABEL a=$A", "{\"Env\":[\"A=2\"],\"Labels\":{\"a\":\"1\"}}" },
	{ .text = "ARG TARGETARCH\nLABEL a=$TARGETARCH", "{\"Labels\":{\"a\":\"amd64\"}}" },
	{ .text = "LABEL a=${TARGETARCH:-none}", "{\"Labels\":{\"a\":\"none\"}}" },
	/* LABEL */
	{ .text = "LABEL b=1 a=\"x y\"\nLABEL b=2",
	  "{\"Labels\":{\"a\":\"x y\",\"b\":\"2\"}}",
	  "LABEL b=1 a=x y|LABEL b=2" },
	{ .text = "LABEL $X=1", NULL, "LABEL names can not be blank" },
	/* CMD, ENTRYPOINT, SHELL */
	{ .text = "CMD [\"a\", \"$b\"]",
	  "{\"Cmd\":[\"a\",\"$b\"],\"ArgsEscaped\":true}",
	  "CMD [\"a\", \"$b\"]" },
	{ .text = "CMD a  $b", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"a  $b\"],\"ArgsEscaped\":true}" },
	{ .text = "CMD x\nCMD []", "{\"ArgsEscaped\":true}" },
	{ .text = "CMD", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"\"],\"ArgsEscaped\":true}" },
	{ .text = "SHELL [\"bash\", \"-ec\"]\nCMD a\nENTRYPOINT b",
	  "{\"Entrypoint\":[\"bash\",\"-ec\",\"b\"],\"Cmd\":[\"bash\",\"-ec\",\"a\"],"
	  "\"ArgsEscaped\":true,\"Shell\":[\"bash\",\"-ec\"]}" },
	{ .text = "SHELL bash", NULL, "SHELL" },
	{ .text = "ENTRYPOINT [\"a\"]", "{\"Entrypoint\":[\"a\"]}" },
	{ .text = "ENTRYPOINT [\"a\"]\nENTRYPOINT []", "{}" },
	{ .text = "CMD [\"a\"]\nENTRYPOINT [\"b\"]",
	  "{\"Entrypoint\":[\"b\"],\"Cmd\":[\"a\"],\"ArgsEscaped\":true}" },
	/* EXPOSE */
	{ .text = "EXPOSE 80 443/TCP 53/udp 9/sctp 80/tcp",
	  "{\"ExposedPorts\":{\"443/tcp\":{},\"53/udp\":{},\"80/tcp\":{},\"9/sctp\":{}}}" },
	{ .text = "EXPOSE 8000-8002/udp",
	  "{\"ExposedPorts\":{\"8000/udp\":{},\"8001/udp\":{},\"8002/udp\":{}}}" },
	{ .text = "ENV P=\"1 2\"\nEXPOSE $P/udp",
	  "{\"ExposedPorts\":{\"1/tcp\":{},\"2/udp\":{}},"
	  "\"Env\":[\"P=1 2\"]}",
	  "ENV P=1 2|EXPOSE 1 2/udp" },
	{ .text = "EXPOSE 127.0.0.1:80:8080 [::1]:1:2",
	  "{\"ExposedPorts\":{\"2/tcp\":{},\"8080/tcp\":{}}}" },
	{ .text = "EXPOSE 80/", "{\"ExposedPorts\":{\"80/tcp\":{}}}" },
	{ .text = "EXPOSE 80/icmp", NULL, "Dockerfile:2:8: invalid proto: icmp" },
	{ .text = "EXPOSE 65536", NULL, "invalid containerPort: 65536" },
	{ .text = "EXPOSE 9-8", NULL, "invalid containerPort: 9-8" },
	{ .text = "EXPOSE http", NULL, "invalid containerPort: http" },
	{ .text = "EXPOSE 80-", NULL, "invalid containerPort: 80-" },
	{ .text = "EXPOSE -1", NULL, "invalid containerPort: -1" },
	/* VOLUME, USER, STOPSIGNAL, MAINTAINER */
	{ .text = "ENV D=/d\nVOLUME $D/a /b\nVOLUME [\"/b\", \"/c d\"]",
	  "{\"Env\":[\"D=/d\"],\"Volumes\":{\"/b\":{},\"/c d\":{},\"/d/a\":{}}}",
	  "ENV D=/d|VOLUME /d/a /b|VOLUME /b /c d" },
	{ .text = "VOLUME $X", NULL, "VOLUME specified can not be an empty string" },
	{ .text = "ENV U=me\nUSER $U:7",
	  "{\"User\":\"me:7\",\"Env\":[\"U=me\"]}",
	  "ENV U=me|USER me:7" },
	{ .text = "STOPSIGNAL SIGTERM", "{\"StopSignal\":\"SIGTERM\"}", "STOPSIGNAL SIGTERM" },
	{ .text = "STOPSIGNAL 9\nSTOPSIGNAL kill\nSTOPSIGNAL SIGRTMIN+3",
	  "{\"StopSignal\":\"SIGRTMIN+3\"}" },
	{ .text = "STOPSIGNAL SIGWHAT", NULL, "Dockerfile:2:12: invalid signal: SIGWHAT" },
	{ .text = "STOPSIGNAL 0", NULL, "invalid signal: 0" },
	{ .text = "MAINTAINER me $x <m@x>", "{}", "MAINTAINER me $x <m@x>" },
	/* HEALTHCHECK */
	{ .text = "HEALTHCHECK --interval=1m30s --timeout=5s --start-period=2s --start-interval=1s "
		  "--retries=3 "
		  "CMD curl -f x",
	  "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl -f x\"],\"Interval\":90000000000,"
	  "\"Timeout\":5000000000,\"StartPeriod\":2000000000,\"StartInterval\":1000000000,"
	  "\"Retries\":3}}" },
	{ .text = "HEALTHCHECK CMD [\"a\", \"b\"]",
	  "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b\"]}}" },
	{ .text = "HEALTHCHECK CMD a\nHEALTHCHECK none",
	  "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}" },
	{ .text = "HEALTHCHECK --interval=0s --retries=0 CMD a",
	  "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"a\"]}}" },
	{ .text = "HEALTHCHECK --retries=x CMD a", NULL, "--retries" },
	{ .text = "HEALTHCHECK --interval=1us CMD a", NULL, "--interval" },
	/* ONBUILD: kept as text, run by nobody here, and as with BuildKit not in the history */
	{ .text = "ONBUILD RUN make $X\nONBUILD COPY --from=a / /",
	  "{\"OnBuild\":[\"RUN make $X\",\"COPY --from=a / /\"]}",
	  "" },
	{ .text = "ONBUILD ONBUILD RUN x", NULL, "ONBUILD" },
};

static char *describe_history(const struct image *image)
{
	struct buf out;

	buf_init(&out, 65536);
	for (size_t i = 0; i < image->n_history; i++) {
		assert_true(image->history[i].empty_layer);
		buf_addf(&out, "%s%s", i ? "|" : "", image->history[i].created_by);
	}
	return buf_steal(&out);
}

static char *describe_config(const struct image *image)
{
	size_t len;
	cleanup_free char *text = image_format(image, &len);
	cleanup_json json_t *document = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(js_parse("config", text, len, &document, &err), 0);
	return js_dump(json_object_get(document, "config"));
}

static bool same_json(const char *a, const char *b)
{
	cleanup_json json_t *left = json_loads(a, 0, NULL), *right = json_loads(b, 0, NULL);

	assert_non_null(left);
	assert_non_null(right);
	return json_equal(left, right);
}

static int apply(struct builder *builder, struct stage *stage, const char *instructions,
		 struct err *err)
{
	cleanup_free char *text = xasprintf("FROM scratch\n%s\n", instructions);
	const struct platform platform = { .os = "linux", .architecture = "amd64" };

	if (dockerfile_parse("Dockerfile", text, strlen(text), &builder->dockerfile, err) < 0 ||
	    plan_make(builder->dockerfile, &builder->build_args, NULL, &platform, &builder->plan,
		      err) < 0)
		return -1;
	for (size_t i = 1; i < builder->dockerfile->n_instructions; i++)
		if (step_apply(builder, stage, &builder->dockerfile->instructions[i], err) < 0)
			return -1;
	return 0;
}

static void check(const struct config_case *row)
{
	struct build_options options = { .context_fd = -1 };
	struct builder builder = { .options = &options };
	struct stage stage = { .image = image_new() };
	cleanup_free char *config = NULL, *history = NULL;
	struct err err = ERR_INIT;
	int status;

	for (size_t i = 0; i < 2 && row->build_args[i]; i++)
		strv_add(&builder.build_args, row->build_args[i]);
	status = apply(&builder, &stage, row->text, &err);
	config = describe_config(stage.image);
	history = describe_history(stage.image);
	if (status < 0 && (row->config || !strstr(err.message, row->history)))
		fail_msg("%s: %s", row->text, err.message);
	if (status == 0 && (!row->config || !same_json(config, row->config)))
		fail_msg("%s: %s", row->text, config);
	if (status == 0 && row->history && strcmp(history, row->history))
		fail_msg("%s: %s", row->text, history);
	image_free(stage.image);
	strv_release(&stage.env);
	strv_release(&stage.args);
	strv_release(&builder.build_args);
	plan_free(builder.plan);
	dockerfile_free(builder.dockerfile);
}

static void test_config__table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(&cases[i]);
}

static void test_config__all_ports_are_quick(void **state)
{
	static const char text[] = "EXPOSE 1-65535 1-65535";
	struct build_options options = { .context_fd = -1 };
	struct builder builder = { .options = &options };
	struct stage stage = { .image = image_new() };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(apply(&builder, &stage, text, &err), 0);
	assert_int_equal(stage.image->exposed.n, 65535);
	image_free(stage.image);
	plan_free(builder.plan);
	dockerfile_free(builder.dockerfile);
}

static void test_config__entrypoint_drops_an_inherited_cmd(void **state)
{
	struct build_options options = { .context_fd = -1 };
	struct builder builder = { .options = &options };
	struct stage stage = { .image = image_new() };
	cleanup_free char *config = NULL;
	struct err err = ERR_INIT;

	(void)state;
	strv_add(&stage.image->cmd, "old");
	stage.image->has_cmd = true;
	assert_int_equal(apply(&builder, &stage, "ENTRYPOINT [\"x\"]", &err), 0);
	config = describe_config(stage.image);
	assert_true(same_json(config, "{\"Entrypoint\":[\"x\"]}"));
	image_free(stage.image);
	plan_free(builder.plan);
	dockerfile_free(builder.dockerfile);
}

static void test_config__history_of_run_shows_args_as_run_sees_them(void **state)
{
	struct build_options options = { .context_fd = -1 };
	struct builder builder = { .options = &options };
	struct stage stage = { .image = image_new() };
	cleanup_buf struct buf prefix;
	struct err err = ERR_INIT;

	(void)state;
	buf_init(&prefix, 4096);
	assert_int_equal(apply(&builder, &stage, "ARG A=1 B\nARG C=3\nENV C=4", &err), 0);
	stage_args_prefix(&stage, &prefix);
	assert_string_equal(prefix.data, "|3 A=1 B= C=4 ");
	image_free(stage.image);
	strv_release(&stage.env);
	strv_release(&stage.args);
	plan_free(builder.plan);
	dockerfile_free(builder.dockerfile);
}

static void test_config__changes_without_a_build(void **state)
{
	struct image *image = image_new();
	cleanup_strv struct strv changes = STRV_INIT, bad = STRV_INIT;
	cleanup_free char *config = NULL;
	struct err err = ERR_INIT;

	(void)state;
	strv_add(&changes, "ENV D=/srv");
	strv_add(&changes, "WORKDIR $D/x");
	strv_add(&changes, "CMD [\"a\"]");
	strv_add(&bad, "RUN x");
	assert_int_equal(build_apply_changes(image, &changes, &err), 0);
	config = describe_config(image);
	assert_true(same_json(config, "{\"Env\":[\"D=/srv\"],\"Cmd\":[\"a\"],\"ArgsEscaped\":true,"
				      "\"WorkingDir\":\"/srv/x\"}"));
	assert_int_equal(image->n_history, 0);
	assert_int_equal(build_apply_changes(image, &bad, &err), -1);
	assert_int_equal(err.kind, ERR_INVALID);
	image_free(image);
}

static void test_config__paths_are_cleaned(void **state)
{
	static const char *const rows[][3] = {
		{ "/", "a", "/a" },	    { "", "a/", "/a/" },
		{ "/x", ".", "/x/" },	    { "/x", "..", "/" },
		{ "/x/y", "../z", "/x/z" }, { "/x", "/../a//b/./c", "/a/b/c" },
		{ "/x", "/", "/" },	    { "/x", "./", "/x/" },
		{ "/x", "...", "/x/..." },  { "/x", "../../../..", "/" },
		{ "/x", "a/.", "/x/a/" },
	};
	struct stage stage = { .image = image_new() };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *path = NULL;

		free(stage.image->working_dir);
		stage.image->working_dir = xstrdup(rows[i][0]);
		path = stage_path(&stage, rows[i][1], true);
		assert_string_equal(path, rows[i][2]);
	}
	image_free(stage.image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config__table),
		cmocka_unit_test(test_config__all_ports_are_quick),
		cmocka_unit_test(test_config__entrypoint_drops_an_inherited_cmd),
		cmocka_unit_test(test_config__history_of_run_shows_args_as_run_sees_them),
		cmocka_unit_test(test_config__changes_without_a_build),
		cmocka_unit_test(test_config__paths_are_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
