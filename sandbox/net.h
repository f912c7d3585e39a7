/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

/*
 * sandbox/net.h: a private network that the steps of one build share, for
 * SANDBOX_NETWORK_PRIVATE: 10.0.2.100 behind a gateway, from where the machine's addresses and all
 * that it reaches can be connected to, but not its loopback interface; nothing can connect to it.
 * IPv4 only. A program connects it to the machine's network: pasta, or else slirp4netns.
 */

#include "base/mem.h"

struct err;
struct net;

/* Makes nothing yet: the first step that needs the network does, once, whichever thread it is in.
 * To be freed after the last step, and before the cgroup of the build. */
struct net *net_new(void);
void net_free(struct net *net);
DEFINE_CLEANUP(struct net *, net_free)

/*
 * Its namespace; *ret_fd stays the network's. The first call makes it and waits for the program,
 * 30 to 60 ms; if that fails, so do all later ones, with the same error: ERR_NOT_FOUND (no such
 * program, no /dev/net/tun), ERR_DENIED, ERR_FAILED with what the program said.
 */
int net_require(struct net *net, int *ret_fd, struct err *err);

#endif
