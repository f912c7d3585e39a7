/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networks of our own.
 *
 * A network namespace belongs to a thread, so the private one is made by a thread that does nothing
 * else. It lives as long as its descriptor, and it belongs to the user namespace of this process,
 * which is that of the steps.
 */
#include "sandbox/net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/pool.h"
#include "sandbox/internal.h"

struct net {
	pthread_mutex_t starting; /* held while the rest is looked at */
	int fd;			  /* the namespace; -1: not made yet */
	struct net_helper helper;
	struct err refused;
};

int net_loopback_up(void)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -1;
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

struct made {
	int fd;
	int os_errno;
};

static void make_namespace(void *arg)
{
	struct made *made = arg;

	if (unshare(CLONE_NEWNET) == 0 && net_loopback_up() == 0)
		made->fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	made->os_errno = errno;
}

static int start(struct net *net, struct err *err)
{
	struct made made = { -1, EAGAIN };

	if (net_helper_check(err) < 0)
		return -1;
	pool_close(pool_open(1, make_namespace, &made));
	if (made.fd < 0) {
		errno = made.os_errno;
		return err_os(err, "make a network namespace");
	}
	if (net_helper_start(&net->helper, made.fd, err) < 0) {
		close(made.fd);
		return -1;
	}
	net->fd = made.fd;
	return 0;
}

int net_require(struct net *net, int *ret_fd, struct err *err)
{
	int status = 0;

	pthread_mutex_lock(&net->starting);
	if (net->fd < 0 && net->refused.kind == ERR_NONE && start(net, &net->refused) < 0)
		err_wrap(&net->refused, "--network=private");
	*ret_fd = net->fd;
	if (net->fd < 0) {
		*err = net->refused;
		status = -1;
	}
	pthread_mutex_unlock(&net->starting);
	return status;
}

struct net *net_new(void)
{
	struct net *net = xcalloc(1, sizeof(*net));

	pthread_mutex_init(&net->starting, NULL);
	net->fd = -1;
	return net;
}

void net_free(struct net *net)
{
	if (!net)
		return;
	if (net->fd >= 0) {
		net_helper_end(&net->helper);
		close(net->fd);
	}
	pthread_mutex_destroy(&net->starting);
	free(net);
}
