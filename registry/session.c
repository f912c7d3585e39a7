/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/session.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/pool.h"
#include "registry/answer.h"
#include "registry/http.h"
#include "registry/protocol.h"

void session_write(struct session *session, const json_t *line)
{
	cleanup_free char *text = js_dump(line);
	size_t len = strlen(text);
	int rc;

	text[len] = '\n'; /* instead of the NUL: one write, one line */
	pthread_mutex_lock(&session->output);
	rc = write_all(session->output_fd, text, len + 1);
	pthread_mutex_unlock(&session->output);
	if (rc < 0)
		_exit(1);
}

static void write_event(struct session *session, enum transport_state state, const char *key,
			const char *value, uint64_t current, uint64_t total)
{
	static const char *const states[] = PROTOCOL_STATES;
	cleanup_json json_t *line = json_object();

	json_object_set_new(line, "event", json_string(states[state]));
	json_object_set_new(line, key, json_string(value));
	json_object_set_new(line, "current", json_integer((json_int_t)current));
	json_object_set_new(line, "total", json_integer((json_int_t)total));
	session_write(session, line);
}

void session_event(struct session *session, enum transport_state state, const struct digest *digest,
		   uint64_t current, uint64_t total)
{
	char text[DIGEST_TEXT_MAX];

	write_event(session, state, "digest", digest_format(digest, text), current, total);
}

void session_named_event(struct session *session, enum transport_state state, const char *name,
			 uint64_t current, uint64_t total)
{
	cleanup_free char *safe = answer_sanitise(xstrdup(name), NAME_MAX);

	write_event(session, state, "text", safe, current, total);
}

void session_note(struct session *session, const char *text)
{
	cleanup_free char *safe = answer_sanitise(xstrdup(text), ERR_MESSAGE_MAX);
	cleanup_json json_t *line = json_object();

	json_object_set_new(line, "event", json_string("note"));
	json_object_set_new(line, "text", json_string(safe));
	session_write(session, line);
}

struct each {
	struct session *session;
	session_function *function;
	void *arg;
	pthread_mutex_t mutex;
	bool failed;
	struct err first; /* in time */
};

static int call(void *arg, size_t i, struct err *err)
{
	struct each *each = arg;

	if (each->function(each->arg, i, err) == 0)
		return 0;
	pthread_mutex_lock(&each->mutex);
	if (!each->failed) {
		each->failed = true;
		each->first = *err;
		http_cancel(each->session->http);
	}
	pthread_mutex_unlock(&each->mutex);
	return -1;
}

int session_each(struct session *session, unsigned lanes, size_t n, session_function *function,
		 void *arg, struct err *err)
{
	struct each each = { .session = session,
			     .function = function,
			     .arg = arg,
			     .mutex = PTHREAD_MUTEX_INITIALIZER };

	if (pool_each(lanes, n, call, &each, err) == 0)
		return 0;
	*err = each.first;
	return -1;
}
