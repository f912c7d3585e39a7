/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/*
 * base/banned.h: included before everything by the compiler's command line. Calls that have no
 * safe use become errors. The libraries' own headers come first, since some of them mention
 * these names.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok strtok_r atoi atol atoll
#undef alloca
#pragma GCC poison strtol mktemp tmpnam system popen alloca

#endif
