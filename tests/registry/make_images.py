#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make_images.py DIRECTORY: an OCI layout with a multi-platform index, gzip and zstd layers."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile

OCI = "application/vnd.oci.image."


def layer(name, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        data = hashlib.sha512(name.encode()).digest() * (size // 64 + 1)
        info.size, info.mode = size, 0o644
        tar.addfile(info, io.BytesIO(data[:size]))
    return out.getvalue()


class Layout:
    def __init__(self, path):
        self.path = path
        os.makedirs(path + "/blobs/sha256", exist_ok=True)
        with open(path + "/oci-layout", "w") as file:
            json.dump({"imageLayoutVersion": "1.0.0"}, file)

    def put(self, data, media, **more):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{self.path}/blobs/sha256/{digest}", "wb") as file:
            file.write(data)
        return {"mediaType": media, "digest": "sha256:" + digest, "size": len(data), **more}

    def image(self, arch, layers, variant=None):
        config = {"architecture": arch, "os": "linux", "config": {"Cmd": ["/bin/sh"]},
                  "rootfs": {"type": "layers", "diff_ids": []}, "history": []}
        if variant:
            config["variant"] = variant
        blobs = []
        for tar, compression in layers:
            config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(tar).hexdigest())
            config["history"].append({"created": "2020-01-01T00:00:00Z", "created_by": "test"})
            if compression == "zstd":
                data = subprocess.run(["zstd", "-q", "-c"], input=tar, check=True,
                                      stdout=subprocess.PIPE).stdout
            else:
                data = gzip.compress(tar, 1, mtime=0)
            blobs.append(self.put(data, f"{OCI}layer.v1.tar+{compression}"))
        manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                    "config": self.put(config, OCI + "config.v1+json"), "layers": blobs}
        platform = {"architecture": arch, "os": "linux"}
        if variant:
            platform["variant"] = variant
        return self.put(manifest, OCI + "manifest.v1+json", platform=platform)

    def index(self, manifests):
        return self.put({"schemaVersion": 2, "mediaType": OCI + "index.v1+json",
                         "manifests": manifests}, OCI + "index.v1+json")

    def finish(self, named):
        for name, descriptor in named.items():
            descriptor["annotations"] = {"org.opencontainers.image.ref.name": name}
        with open(self.path + "/index.json", "w") as file:
            json.dump({"schemaVersion": 2, "manifests": list(named.values())}, file)


def main():
    layout = Layout(sys.argv[1])
    base = layer("base", 3 << 20)
    images = [layout.image("amd64", [(base, "gzip"), (layer("amd64", 1000), "gzip")]),
              layout.image("arm64", [(base, "gzip"), (layer("arm64", 2000), "gzip")], "v8"),
              layout.image("arm", [(layer("armv7", 2000), "gzip")], "v7")]
    layout.finish({
        "multi": layout.index(images),
        "single": layout.image("amd64", [(base, "gzip"), (layer("x", 10), "gzip"),
                                         (layer("y", 20), "gzip")]),
        "zstd": layout.image("amd64", [(base, "zstd"), (layer("z", 100), "zstd")]),
    })


main()
