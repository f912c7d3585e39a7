/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef REGISTRY_CALL_H
#define REGISTRY_CALL_H

/* registry/call.h: one request to the helper program (registry/protocol.h), made and answered. */

#include <jansson.h>

#include "registry/transport.h"

/* A request with what all have; reference may be NULL. */
json_t *helper_request(const struct transport_options *options, const char *op,
		       const struct reference *reference);

/*
 * Run the helper on the request. Its events go to the listener (may be NULL) as they come. Fails
 * as the helper says, or with ERR_FAILED when it gives no result.
 */
int helper_call(const struct transport_options *options, const struct store *store,
		const json_t *request, transport_listener *listener, void *arg, json_t **ret_result,
		struct err *err);

#endif
