#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hostile_images.py BASE OUT CANARY [NAME...]: images that mean harm, an OCI layout each.

BASE is the tar of a root file system that all of them begin with; OUT/NAME becomes a layout whose
image has it and the layers that NAME stands for below. CANARY is the absolute path of a directory
outside of every image, with a file `file` in it, that the layers try to reach.
"""

import gzip
import hashlib
import json
import os
import sys
import tarfile
import zlib

BASE, OUT, CANARY = sys.argv[1:4]
OCI = "application/vnd.oci.image."
GIB = 1 << 30


class Layer:
    """A tar, member by member. What tarfile is too honest for is patched into raw headers."""

    def __init__(self):
        self.bytes = b""

    def add(self, name, kind=tarfile.REGTYPE, data=b"", link="", pax=None, raw=None, **fields):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(data)
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        for key, value in fields.items():
            setattr(info, key, value)
        info.pax_headers = pax or {}
        head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if raw:
            head = head[:-512] + patch(head[-512:], raw)
        self.bytes += head + data + b"\0" * (-len(data) % 512)
        return self

    def file(self, name, text="in\n", **fields):
        return self.add(name, data=text.encode(), **fields)

    def dir(self, name, **fields):
        return self.add(name, tarfile.DIRTYPE, **fields)

    def link(self, name, target):
        return self.add(name, tarfile.SYMTYPE, link=target)

    def hard(self, name, target, **fields):
        return self.add(name, tarfile.LNKTYPE, link=target, **fields)

    def end(self):
        return self.bytes + b"\0" * 1024


def patch(header, raw):
    """Bytes at offsets of a header block; the checksum is made right unless it is one of them."""
    block = bytearray(header)
    for offset, value in raw.items():
        block[offset:offset + len(value)] = value
    if 148 not in raw:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def xattrs(**values):
    return {"SCHILY.xattr." + key.replace("__", "."): value for key, value in values.items()}


def both(name, value):
    """An attribute of overlayfs with either prefix."""
    return xattrs(**{"trusted__overlay__" + name: value, "user__overlay__" + name: value})


def zeros(total):
    """A gzip stream of a tar with one file of zeros, made of one compressed block many times."""
    member = 64 << 20
    info = tarfile.TarInfo("zeros")
    info.size = total
    body = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = body.compress(b"\0" * member) + body.flush()
    head = gzip.compress(info.tobuf(tarfile.PAX_FORMAT), mtime=0)
    return head + block * (total // member) + gzip.compress(b"\0" * 1024, mtime=0)


SIZE, CHECKSUM, MAJOR, MINOR = 124, 148, 329, 337
UP = "../" * 12
INSIDE = CANARY.lstrip("/")


def cases():
    """name -> list of layers (Layer, or bytes as they are to be), changes of the config."""
    passwd = "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/:/bin/sh\nmember:x:7:8::/:/bin/sh\n"
    group = "root:x:0:\nextra:x:9:member\nhuge:x:4294967296:member\n"
    plain = Layer().file("f")

    # names and links
    yield "climb", [Layer().file(UP + INSIDE + "/climbed").file(CANARY + "/absolute")], {}
    yield "link-parent", [Layer().link("d", CANARY).file("d/through")], {}
    yield "link-parent-later", [Layer().link("d", CANARY), Layer().dir("d").file("d/through")], {}
    yield "link-parent-implied", [Layer().link("d", CANARY), Layer().file("d/through")], {}
    yield "link-overwritten", [Layer().link("f", CANARY + "/file").file("f")], {}
    yield "hard-out", [Layer().hard("h", UP + INSIDE + "/file")], {}
    yield "hard-missing", [Layer().hard("h", "nowhere")], {}
    yield "hard-absolute", [Layer().file("run/f").hard("h", "/run/f")], {}
    yield "hard-to-link", [Layer().link("s", CANARY + "/file").hard("h", "s").file("h")], {}
    yield "hard-with-content", [Layer().file("f").hard("h", "f", raw={SIZE: b"00000000004\0"})], {}
    yield "root-is-a-link", [Layer().link("./", CANARY)], {}

    # whiteouts
    yield "whiteout-empty", [Layer().file(".wh.", "")], {}
    yield "whiteout-dot", [Layer().file("d/.wh..", "")], {}
    yield "whiteout-dots", [Layer().file("d/.wh...", "")], {}
    yield "whiteout-by-link", [Layer().link("l", CANARY), Layer().file("l/.wh.file", "")
                               .file("l/.wh..wh..opq", "")], {}
    yield "whiteout-and-file", [Layer().file("f", "old\n").file("g", "old\n"), Layer()
                                .file(".wh.f", "").file("f").file("g").file(".wh.g", "")], {}
    yield "aufs", [Layer().dir(".wh..wh.plnk").file(".wh..wh.plnk/x").file(".wh..wh.aufs")], {}
    yield "char-0-0", [Layer().add("bin", tarfile.CHRTYPE)], {}

    # attributes
    yield "opaque", [Layer().file("d/lower"), Layer().dir("d", pax=both("opaque", "y"))
                     .file("d/upper")], {}
    yield "redirect", [Layer().file("secret/x"), Layer().file(".wh.secret", ""),
                       Layer().dir("r", pax=both("redirect", "/secret"))], {}
    yield "metacopy", [Layer().file("secret"), Layer().file(
        "m", "", pax=both("metacopy", "") | both("redirect", "/secret"))], {}
    yield "whiteout-xattr", [Layer().file("d/f", "lower\n"),
                             Layer().dir("d", pax=both("opaque", "x"))
                             .file("d/f", "", pax=both("whiteout", "y"))], {}

    # owners, devices, modes
    for name, uid in ("uid-minus-one", 0xffffffff), ("uid-too-large", 1 << 32), \
            ("uid-negative", -1):
        yield name, [Layer().file("f", pax={"uid": str(uid)})], {}
    yield "uid-200000", [Layer().file("f", uid=200000)], {}
    yield "devices", [Layer().dir("devs").add("devs/b", tarfile.BLKTYPE, raw={
        MAJOR: b"0000007\0", MINOR: b"0000000\0"}).add("devs/mem", tarfile.CHRTYPE, raw={
            MAJOR: b"0000001\0", MINOR: b"0000001\0"})], {}
    yield "setuid", [Layer().file("suid", mode=0o6755)], {}

    # sizes and headers
    yield "zeros-10g", [zeros(10 * GIB)], {}
    yield "sparse-bomb", [Layer().add("f", data=(b"1\n%d\n0\n" % (1 << 60)).ljust(512, b"\0"), pax={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f",
        "GNU.sparse.realsize": str(1 << 60)})], {}
    yield "size-negative", [Layer().file("f", raw={SIZE: b"\xff" * 12})], {}
    yield "size-2-62", [Layer().file("f", raw={SIZE: b"\x80\0\0\0\x40" + b"\0" * 7})], {}
    yield "size-pax", [Layer().file("f", pax={"size": "-1"})], {}
    yield "pax-200m", [Layer().file("f", pax={"comment": "x" * (200 << 20)})], {}
    yield "truncated", [Layer().file("f", "x" * 5000).bytes[:2000]], {}
    yield "checksum", [Layer().file("f", raw={CHECKSUM: b"000000\0 "})], {}
    yield "name-too-long", [Layer().file("n" * 300)], {}
    yield "name-255", [Layer().file("n" * 255)], {}
    yield "path-too-long", [Layer().dir("d/" * 33000)], {}
    yield "deep", [Layer().file("d/" * 5000 + "f")], {}
    yield "deep-by-link", [Layer().dir("d/" * 2000).link("w", "d/" * 2000)
                     .file("w/" + "e/" * 1500 + "f")], {}

    # accounts, environment, places
    accounts = Layer().file("etc/passwd", passwd).file("etc/group", group)
    yield "accounts", [accounts], {}
    yield "passwd-fifo", [Layer().add("etc/passwd", tarfile.FIFOTYPE)], {}
    yield "passwd-mem", [Layer().link("etc/passwd", "/proc/self/mem")], {}
    yield "passwd-zero", [Layer().link("etc/passwd", "/dev/zero")], {}
    yield "passwd-out", [Layer().link("etc/passwd", CANARY + "/file")], {}
    yield "passwd-huge", [Layer().file("etc/passwd", "x" * (11 << 20))], {}
    for name, user in ("user-number", "1000"), ("user-2-32", "4294967296"), \
            ("user-minus-one", "4294967295"), ("user-hex", "0x0"), ("user-member", "member"):
        yield name, [accounts], {"User": user}
    yield "env", [plain], {"Env": ["HOST_SECRET", "*", "PATH=/bin", "=x"]}
    for place in "dev", "proc", "sys":
        yield place + "-link", [Layer().file(f".wh.{place}", "").link(place, "/tmp")], {}
    yield "resolv-link", [Layer().link("etc/resolv.conf", CANARY + "/file")], {}
    yield "etc-link", [Layer().file(".wh.etc", "").link("etc", CANARY)], {}
    yield "workdir-fd", [plain], {"WorkingDir": "/proc/self/fd/7"}
    yield "workdir-link", [Layer().link("w", CANARY)], {"WorkingDir": "/w"}
    yield "workdir-below-link", [Layer().link("w", CANARY)], {"WorkingDir": "/w/new"}
    yield "workdir-up", [Layer().link("w", UP)], {"WorkingDir": "/w/" + UP + INSIDE}

    # documents
    yield "onbuild-onbuild", [plain], {"OnBuild": ["ONBUILD RUN true"]}
    yield "layers-501", [Layer().file(f"f{i}") for i in range(501)], {}
    yield "diff-id", [plain], {"diff_ids": lambda ids: ids[:-1] + ["sha256:" + "0" * 64]}
    yield "manifest-and-index", [plain], {"manifest": lambda m: m | {"manifests": []}}
    yield "digest-path", [plain], {"manifest": lambda m: m | {"config": m["config"] | {
        "digest": "sha256:../../../../etc/passwd"}}}
    yield "layer-lies", [Layer().file("lie", "x" * 600)], {"corrupt": True}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write(layout, data, media):
    """A blob, and the descriptor of it."""
    name = digest(data)
    path = os.path.join(layout, "blobs", "sha256", name[7:])
    with open(path, "wb") as out:
        out.write(data)
    return {"mediaType": OCI + media, "digest": name, "size": len(data)}


def layer(layout, data):
    """Descriptor and diff_id. What is gzip already is too long to be unpacked here."""
    if data[:2] == b"\x1f\x8b":
        return write(layout, data, "layer.v1.tar+gzip"), "sha256:" + "1" * 64
    return write(layout, data, "layer.v1.tar"), digest(data)


def make(name, layers, changes):
    layout = os.path.join(OUT, name)
    os.makedirs(os.path.join(layout, "blobs", "sha256"))
    data = [BASE_BYTES] + [x if isinstance(x, bytes) else x.end() for x in layers]
    described = [layer(layout, x) for x in data]
    ids = changes.pop("diff_ids", lambda x: x)([x[1] for x in described])
    to_manifest = changes.pop("manifest", lambda x: x)
    lies = changes.pop("corrupt", False)
    config = {"architecture": MACHINE, "os": "linux", "config": {"Env": ["PATH=/bin"]} | changes,
              "rootfs": {"type": "layers", "diff_ids": ids}, "history": []}
    top = write(layout, json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": top,
                "layers": [x[0] for x in described]}
    described = write(layout, json.dumps(to_manifest(manifest)).encode(), "manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [described]}
    with open(os.path.join(layout, "index.json"), "w") as out:
        json.dump(index, out)
    with open(os.path.join(layout, "oci-layout"), "w") as out:
        out.write('{"imageLayoutVersion": "1.0.0"}')
    if lies:
        path = os.path.join(layout, "blobs", "sha256", manifest["layers"][-1]["digest"][7:])
        with open(path, "r+b") as out:
            out.seek(600)
            out.write(b"other")


MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
with open(BASE, "rb") as base:
    BASE_BYTES = base.read()
WANTED = sys.argv[4:]
for case_name, case_layers, case_changes in cases():
    if not WANTED or case_name in WANTED:
        make(case_name, case_layers, dict(case_changes))
