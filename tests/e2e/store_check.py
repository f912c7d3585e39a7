#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""store_check.py STORE: everything that has its place in a store is whole; prints what is not.

Blobs have the digest they are called by, records the crc that they begin with; what records name is
there; trees are complete; nothing was set aside as damaged.
"""

import hashlib
import json
import os
import sys
import zlib

STORE = sys.argv[1]
KINDS = "images", "layers", "steps", "fetches", "builds", "costs", "probes"
FAULTS = []


def path(*parts):
    return os.path.join(STORE, *parts)


def files(*parts):
    for top, _, names in os.walk(path(*parts)):
        for name in names:
            yield os.path.join(top, name)


def fault(where, what):
    FAULTS.append(f"{os.path.relpath(where, STORE)}: {what}")


def read(name):
    with open(name, "rb") as data:
        return data.read()


def check_blobs():
    for name in files("blobs"):
        if hashlib.sha256(read(name)).hexdigest() != os.path.basename(name):
            fault(name, "has another digest")


def check_record(name):
    """The object of a record, or None. The crc covers what follows it."""
    data = read(name)
    body = data[18:] if data[17:18] == b"," else data[17:]
    if data[:8] != b'{"crc":"' or data[16:17] != b'"':
        return fault(name, "is no record")
    if int(data[8:16], 16) != zlib.crc32(body):
        return fault(name, "has another crc")
    return json.loads(data)


def has_layer(diff_id):
    """In some form: a tree, or a blob that a record names."""
    if os.path.exists(path("trees", diff_id[7:])):
        return True
    name = path("layers", diff_id[7:])
    return os.path.exists(name) and bool(json.loads(read(name))["blobs"])


def check_records():
    for kind in KINDS:
        for name in files(kind):
            found = check_record(name)
            if found is None:
                continue
            for blob in found.get("blobs", []) if kind == "layers" else []:
                if not os.path.exists(path("blobs", "sha256", blob["digest"][7:])):
                    fault(name, "names a blob that is not there")
            layer = found["layer"] if kind == "steps" else {"empty": 1}
            if not layer["empty"] and not has_layer(layer["diff_id"]):
                fault(name, "names a layer that is not there")
            if os.path.dirname(name) == path("images", "ids"):
                check_image(name)


def check_image(name):
    config = path("blobs", "sha256", os.path.basename(name))
    if not os.path.exists(config):
        return fault(name, "has no config")
    for diff_id in json.loads(read(config))["rootfs"]["diff_ids"]:
        if not has_layer(diff_id):
            fault(name, f"has no layer {diff_id}")
    return None


def check_trees():
    for name in os.listdir(path("trees")):
        for part in "fs", "implied":
            if not os.path.exists(path("trees", name, part)):
                fault(path("trees", name), f"has no {part}")


def check_damaged():
    for name in files():
        if name.endswith("~damaged"):
            fault(name, "was set aside")


check_blobs()
check_records()
check_trees()
check_damaged()
print("\n".join(FAULTS))
sys.exit(1 if FAULTS else 0)
