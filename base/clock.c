/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND 1000000000LL

uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/*
 * A day since 1970 as a date. Days are counted from 1 March of the year 0, so that a leap day is
 * the last of its year; gmtime_r() would read the local time zone first.
 */
static void date_of(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day)
{
	const int64_t days_400 = 146097; /* of 400 years */
	int64_t from_march = day + 719468;
	int64_t era = (from_march < 0 ? from_march - (days_400 - 1) : from_march) / days_400;
	int64_t in_era = from_march - era * days_400;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int month = (int)((5 * in_year + 2) / 153); /* March is 0 */

	*ret_day = (int)(in_year - (153 * month + 2) / 5 + 1);
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = era * 400 + year + (*ret_month <= 2);
}

const char *clock_format(int64_t wall_ns, char text[CLOCK_TEXT_MAX])
{
	const int64_t seconds_of_day = 86400;
	int64_t fraction = wall_ns % NS_PER_SECOND, seconds = wall_ns / NS_PER_SECOND;
	int64_t day, year, rest;
	int month, of_month;
	size_t len;

	if (fraction < 0) {
		fraction += NS_PER_SECOND;
		seconds--;
	}
	day = seconds / seconds_of_day - (seconds % seconds_of_day < 0);
	rest = seconds - day * seconds_of_day;
	date_of(day, &year, &month, &of_month);
	len = (size_t)snprintf(text, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year,
			       month, of_month, (int)(rest / 3600), (int)(rest / 60 % 60),
			       (int)(rest % 60));
	if (fraction) {
		len += (size_t)snprintf(text + len, CLOCK_TEXT_MAX - len, ".%09lld",
					(long long)fraction);
		while (text[len - 1] == '0')
			len--;
	}
	text[len++] = 'Z';
	text[len] = '\0';
	return text;
}

/* Exactly `digits` decimal digits at *text, which moves past them. */
static bool number(const char **text, int digits, int *ret)
{
	int value = 0;

	for (int i = 0; i < digits; i++, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return false;
		value = value * 10 + (**text - '0');
	}
	*ret = value;
	return true;
}

static bool literal(const char **text, char c)
{
	return *(*text)++ == c;
}

static bool zone(const char *text, int *ret_seconds)
{
	int sign = *text == '-' ? -1 : 1, hours, minutes;

	if ((*text == 'Z' || *text == 'z') && !text[1]) {
		*ret_seconds = 0;
		return true;
	}
	if (*text != '+' && *text != '-')
		return false;
	text++;
	if (!number(&text, 2, &hours) || !literal(&text, ':') || !number(&text, 2, &minutes) ||
	    *text)
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool clock_parse(const char *text, int64_t *ret_wall_ns)
{
	int year, month, day, hour, minute, second, offset;
	int64_t fraction = 0, scale = NS_PER_SECOND;
	struct tm tm = { 0 };

	if (!number(&text, 4, &year) || !literal(&text, '-') || !number(&text, 2, &month) ||
	    !literal(&text, '-') || !number(&text, 2, &day) || (*text != 'T' && *text != 't'))
		return false;
	text++;
	if (!number(&text, 2, &hour) || !literal(&text, ':') || !number(&text, 2, &minute) ||
	    !literal(&text, ':') || !number(&text, 2, &second))
		return false;
	if (*text == '.') {
		for (text++; isdigit((unsigned char)*text); text++) {
			scale /= 10;
			fraction += (*text - '0') * scale;
		}
	}
	if (!zone(text, &offset) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	if (year < 1678 || year > 2261) /* what 64 bits of nanoseconds can hold */
		fraction = 0, year = year < 1678 ? 1678 : 2261;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	*ret_wall_ns = ((int64_t)timegm(&tm) - offset) * NS_PER_SECOND + fraction;
	return true;
}
