/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What parsing may cost: 10,000 lines take less than 10 ms of a processor and less than 16 MiB, in
 * a process of its own, so that nothing else is counted. The best of several runs counts, since
 * others use the machine too.
 */
#include "dockerfile-parser/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define LINES	     10000
#define RUNS	     10
#define TIME_MAX_US  10000
#define MEMORY_MAX_K (16 * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* Ten lines, eight instructions: what Dockerfiles consist of. */
static const char lines[] = "# install what the application needs\n"
			    "RUN --mount=type=cache,target=/var/cache/apt apt-get update && \\\n"
			    "    apt-get install -y --no-install-recommends curl=7.* \"git\"\n"
			    "ENV PATH=/opt/bin:$PATH NAME=\"some value\" OTHER=a\\ b\n"
			    "COPY --from=build --chown=1000:1000 /src/a /src/b ./dst/\n"
			    "ARG VERSION=${NAME:-1.0}\n"
			    "LABEL org.example.title=\"a title\" org.example.version=$VERSION\n"
			    "CMD [\"/bin/server\", \"--port\", \"8080\"]\n"
			    "WORKDIR /srv/app\n"
			    "EXPOSE 8080 8443/tcp\n";

static char *large_text(void)
{
	struct buf text;

	buf_init(&text, DOCKERFILE_MAX);
	buf_addstr(&text, "FROM scratch AS build\n");
	for (int i = 0; i < LINES / 10; i++)
		buf_addstr(&text, lines);
	assert_false(text.overflow);
	return buf_steal(&text);
}

static uint64_t thread_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* In the child: the exit status is 0 when all went well and *cost is right. */
static int parse_once(const char *text, uint64_t *cost)
{
	uint64_t before = thread_us();
	struct err err = ERR_INIT;
	struct dockerfile *file;

	if (dockerfile_parse("Dockerfile", text, strlen(text), &file, &err) < 0)
		return 1;
	*cost = thread_us() - before;
	return file->n_instructions != 1 + LINES / 10 * 8;
}

static void measure(const char *text, uint64_t *ret_us, long *ret_kib)
{
	int fds[2], status;
	struct rusage usage;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uint64_t cost = 0;

		status = parse_once(text, &cost);
		_exit(status || write(fds[1], &cost, sizeof(cost)) != sizeof(cost));
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], ret_us, sizeof(*ret_us)), sizeof(*ret_us));
	close(fds[0]);
	assert_int_equal(wait4(pid, &status, 0, &usage), pid);
	assert_int_equal(status, 0);
	*ret_kib = usage.ru_maxrss;
}

static void test_speed__ten_thousand_lines(void **state)
{
	cleanup_free char *text = NULL;
	uint64_t best = UINT64_MAX;
	long memory = 0;

	(void)state;
	if (SANITIZED || getenv("RUNNING_UNDER_VALGRIND"))
		skip(); /* they cost many times what is measured */
	text = large_text();
	for (int i = 0; i < RUNS; i++) {
		uint64_t us;
		long kib;

		measure(text, &us, &kib);
		best = us < best ? us : best;
		memory = kib > memory ? kib : memory;
	}
	print_message("%d lines: %llu us, %ld KiB\n", LINES, (unsigned long long)best, memory);
	assert_true(best < TIME_MAX_US);
	assert_true(memory < MEMORY_MAX_K);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_speed__ten_thousand_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
