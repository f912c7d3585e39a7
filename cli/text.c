/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/internal.h"

const char *text_size(uint64_t bytes, char text[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text, SIZE_TEXT_MAX, "%.3g%s", value, units[unit]);
	return text;
}

const char *text_ago(int64_t then_ns, char text[AGO_TEXT_MAX])
{
	int64_t seconds = (clock_wall_ns() - then_ns) / 1000000000;
	int64_t hours = (seconds + 1800) / 3600;
	static const struct {
		int64_t limit, unit; /* hours */
		const char *name;
	} steps[] = {
		{ 48, 1, "hours" },
		{ 14 * 24, 24, "days" },
		{ 60 * 24, 7 * 24, "weeks" },
		{ 730 * 24, 30 * 24, "months" },
		{ INT64_MAX, 365 * 24, "years" },
	};
	size_t i = 0;

	if (seconds < 1)
		snprintf(text, AGO_TEXT_MAX, "Less than a second ago");
	else if (seconds == 1)
		snprintf(text, AGO_TEXT_MAX, "1 second ago");
	else if (seconds < 60)
		snprintf(text, AGO_TEXT_MAX, "%d seconds ago", (int)seconds);
	else if (seconds < 120)
		snprintf(text, AGO_TEXT_MAX, "About a minute ago");
	else if (seconds < 3600)
		snprintf(text, AGO_TEXT_MAX, "%d minutes ago", (int)(seconds / 60));
	else if (hours == 1)
		snprintf(text, AGO_TEXT_MAX, "About an hour ago");
	else {
		while (hours >= steps[i].limit)
			i++;
		snprintf(text, AGO_TEXT_MAX, "%lld %s ago", (long long)(hours / steps[i].unit),
			 steps[i].name);
	}
	return text;
}

const char *text_id(const struct digest *id, bool whole, char text[DIGEST_TEXT_MAX])
{
	if (whole)
		return digest_format(id, text);
	digest_hex(id, text);
	text[12] = '\0';
	return text;
}

char *text_cell(const char *text, size_t max)
{
	cleanup_free char *cell = xstrdup(text ? text : "");
	size_t n = 0;

	for (char *c = cell; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
		else if ((unsigned char)*c == 0xc2 && (unsigned char)c[1] >= 0x80 &&
			 (unsigned char)c[1] < 0xa0)
			*c = c[1] = ' ';
		if (((unsigned char)*c & 0xc0) != 0x80 && ++n > max) {
			char *last = c - 1;

			while (((unsigned char)*last & 0xc0) == 0x80)
				last--;
			return xasprintf("%.*s\xe2\x80\xa6", (int)(last - cell), cell);
		}
	}
	return steal_pointer(&cell);
}

void text_print_to(FILE *out, const char *text, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] >= 0x80 &&
			  (unsigned char)text[i + 1] < 0xa0;

		if ((c >= 0x20 && c != 0x7f && !c1) || c == '\n' || c == '\t')
			continue;
		fwrite(text + from, 1, i - from, out);
		from = i + 1 + c1;
		i += c1;
		if (c != '\r') /* progress bars rewrite their line: nothing is lost without it */
			fputc('?', out);
	}
	if (from < len)
		fwrite(text + from, 1, len - from, out);
}

void text_print_safe(const char *text, size_t len)
{
	text_print_to(stderr, text, len);
}
