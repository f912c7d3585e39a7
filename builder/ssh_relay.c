/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes between the sockets of a step and the agents they stand for, in a child process that lives
 * as long as the step. Each direction of a connection has one block: nothing more is read from a
 * side before the other has taken what was read, so whoever does not listen only stops himself.
 */
#include "builder/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/child.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define CONNECTIONS_MAX 32
#define BLOCK_SIZE	16384

struct listener {
	int fd;
	int agent_fd; /* O_PATH of the agent's socket */
};

struct ssh_relay {
	struct listener listeners[MOUNTS_MAX];
	size_t n;
	struct child child;
	bool started;
};

/* --- the child -------------------------------------------------------------------------------- */

struct direction {
	unsigned char data[BLOCK_SIZE];
	size_t len, at;
	bool ended; /* nothing more comes */
};

struct connection {
	int fds[2];		  /* the sandbox's side, the agent's */
	struct direction ways[2]; /* from fds[i] to fds[1 - i] */
	bool open;
};

static int connect_agent(int agent_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", agent_fd);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -1;
	return steal_fd(&fd);
}

static void take_connection(const struct listener *listener, struct connection *connections)
{
	cleanup_fd int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	cleanup_fd int agent = -1;

	if (fd < 0)
		return;
	agent = connect_agent(listener->agent_fd);
	for (size_t i = 0; i < CONNECTIONS_MAX && agent >= 0; i++) {
		struct connection *connection = &connections[i];

		if (connection->open)
			continue;
		memset(connection, 0, sizeof(*connection));
		connection->open = true;
		connection->fds[0] = steal_fd(&fd);
		connection->fds[1] = steal_fd(&agent);
		return;
	}
}

/* False when the connection is broken. */
static bool pump(struct connection *connection, int i)
{
	struct direction *way = &connection->ways[i];
	ssize_t n;

	if (way->at == way->len && !way->ended) {
		n = read(connection->fds[i], way->data, sizeof(way->data));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		way->at = 0;
		way->len = (size_t)n;
		way->ended = n == 0;
		if (way->ended)
			shutdown(connection->fds[1 - i], SHUT_WR);
	}
	if (way->at == way->len)
		return true;
	n = send(connection->fds[1 - i], way->data + way->at, way->len - way->at, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	way->at += (size_t)n;
	return true;
}

static void work_on(struct connection *connection)
{
	bool fine = pump(connection, 0) && pump(connection, 1);

	if (fine && !(connection->ways[0].ended && connection->ways[1].ended))
		return;
	close(connection->fds[0]);
	close(connection->fds[1]);
	connection->open = false;
}

static short events_of(const struct connection *connection, int i)
{
	const struct direction *in = &connection->ways[i], *out = &connection->ways[1 - i];
	short events = 0;

	if (in->at == in->len && !in->ended)
		events |= POLLIN;
	if (out->at < out->len)
		events |= POLLOUT;
	return events;
}

/* Until this process is killed. */
static int serve(void *arg, void *result, struct err *err)
{
	struct ssh_relay *relay = arg;
	struct connection *connections = xcalloc(CONNECTIONS_MAX, sizeof(*connections));
	struct pollfd fds[MOUNTS_MAX + 2 * CONNECTIONS_MAX];

	(void)result;
	for (;;) {
		size_t n = 0;

		for (size_t i = 0; i < relay->n; i++)
			fds[n++] =
				(struct pollfd){ .fd = relay->listeners[i].fd, .events = POLLIN };
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			for (int side = 0; side < 2; side++) {
				short events =
					connections[i].open ? events_of(&connections[i], side) : 0;

				fds[n++] = (struct pollfd){
					.fd = events ? connections[i].fds[side] : -1,
					.events = events,
				};
			}
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			return err_os(err, "wait for the agent");
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			if (connections[i].open &&
			    (fds[relay->n + 2 * i].revents || fds[relay->n + 2 * i + 1].revents))
				work_on(&connections[i]);
		for (size_t i = 0; i < relay->n; i++)
			if (fds[i].revents)
				take_connection(&relay->listeners[i], connections);
	}
}

/* --- the caller ------------------------------------------------------------------------------- */

struct ssh_relay *ssh_relay_new(void)
{
	return xcalloc(1, sizeof(struct ssh_relay));
}

static int open_agent(const char *path, int *ret_fd, struct err *err)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_os(err, "open the agent's socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is not a socket", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int ssh_relay_add(struct ssh_relay *relay, int dir_fd, const char *name, const char *agent,
		  struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cleanup_fd int agent_fd = -1;

	if (relay->n == MOUNTS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d agents", MOUNTS_MAX);
	if (open_agent(agent, &agent_fd, err) < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 16) < 0)
		return err_os(err, "make a socket for the agent");
	relay->listeners[relay->n++] =
		(struct listener){ .fd = steal_fd(&fd), .agent_fd = steal_fd(&agent_fd) };
	return 0;
}

int ssh_relay_start(struct ssh_relay *relay, struct err *err)
{
	if (child_start(&relay->child, serve, relay, 0, err) < 0)
		return -1;
	relay->started = true;
	return 0;
}

void ssh_relay_free(struct ssh_relay *relay)
{
	if (!relay)
		return;
	if (relay->started)
		child_kill(&relay->child);
	for (size_t i = 0; i < relay->n; i++) {
		close(relay->listeners[i].fd);
		close(relay->listeners[i].agent_fd);
	}
	free(relay);
}
