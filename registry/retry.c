/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/retry.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <sys/random.h>

#define BACKOFF_MAX_MS 30000
#define FOREVER_MS     (UINT64_C(1) << 40)

bool retry_status(int status)
{
	switch (status) {
	case 408:
	case 429:
	case 499:
	case 500:
	case 502:
	case 503:
	case 504:
	case 522:
		return true;
	default:
		return false;
	}
}

uint64_t retry_backoff_ms(unsigned n)
{
	uint64_t ms = n < 6 ? UINT64_C(1000) << n : BACKOFF_MAX_MS;
	uint16_t chance = 0;

	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = 0;
	return ms - ms / 5 + ms * 2 / 5 * chance / UINT16_MAX;
}

bool retry_after_ms(const char *header, int64_t now_s, uint64_t *ret_ms)
{
	unsigned long long seconds;
	time_t when;
	char *end;

	if (!header || !*header)
		return false;
	if (*header >= '0' && *header <= '9') {
		seconds = strtoull(header, &end, 10);
		if (*end)
			return false;
		*ret_ms = seconds < FOREVER_MS / 1000 ? seconds * 1000 : FOREVER_MS;
		return true;
	}
	when = curl_getdate(header, NULL);
	if (when == (time_t)-1)
		return false;
	*ret_ms = when > now_s ? (uint64_t)(when - now_s) * 1000 : 0;
	return true;
}
