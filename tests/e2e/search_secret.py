#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""search_secret.py SECRET PLACE...: prints each file below PLACE that holds the bytes of SECRET, plain,
in base64 or in hexadecimal digits, in its name, in the file as it is, or in what it unpacks to. Exit
status 1 when there is one.
"""

import base64
import bz2
import gzip
import lzma
import os
import subprocess
import sys

SECRET = sys.argv[1].encode()
# base64 in each of three positions: what does not depend on the neighbours
FORMS = {SECRET, SECRET.hex().encode(), SECRET.hex().upper().encode()} | {
    base64.b64encode(b"x" * shift + SECRET)[(shift * 8 + 5) // 6 + 1:-4] for shift in range(3)}


def unpacked(data):
    """All that it can be unpacked to, by its first bytes."""
    try:
        if data[:2] == b"\x1f\x8b":
            yield gzip.decompress(data)
        elif data[:3] == b"BZh":
            yield bz2.decompress(data)
        elif data[:6] == b"\xfd7zXZ\0":
            yield lzma.decompress(data)
        elif data[:4] == b"\x28\xb5\x2f\xfd":
            yield subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    except (OSError, EOFError, lzma.LZMAError) as error:
        sys.exit(f"cannot look into it: {error}")


def members(data):
    """Compressed members of a tar are looked into as well."""
    for at in range(0, len(data), 512):
        if data[at + 257:at + 262] == b"ustar":
            size = int(data[at + 124:at + 135].strip(b"\0 ") or b"0", 8)
            yield data[at + 512:at + 512 + size]


def holds(data, depth=0):
    if any(form in data for form in FORMS):
        return True
    if depth < 3 and data[257:262] == b"ustar" and any(holds(x, depth + 1) for x in members(data)):
        return True
    return depth < 4 and any(holds(x, depth + 1) for x in unpacked(data))


def text_of(path):
    """What a file is: its name, the target of a link, its content."""
    name = os.fsencode(os.path.basename(path))
    if os.path.islink(path):
        return [name, os.fsencode(os.readlink(path))]
    if not os.path.isfile(path):
        return [name]
    with open(path, "rb") as content:
        return [name, content.read()]


found = looked = 0
for place in sys.argv[2:]:
    for top, dirs, files in os.walk(place):
        for path in (os.path.join(top, name) for name in dirs + files):
            looked += 1
            if any(holds(text) for text in text_of(path)):
                print(path)
                found += 1
if not looked:
    sys.exit("there is nothing to look at")
sys.exit(found > 0)
