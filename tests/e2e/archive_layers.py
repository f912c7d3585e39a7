#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""archive_layers.py ARCHIVE: the layers of an image in an OCI archive, in no order:

    layer SHA256-OF-ITS-TAR
    TYPE MODE UID:GID NAME[ KEY=HEX-VALUE]...      a line for each member, and its attributes
"""

import gzip
import hashlib
import io
import sys
import tarfile

XATTR = "SCHILY.xattr."

with tarfile.open(sys.argv[1]) as archive:
    for blob in archive:
        data = archive.extractfile(blob).read() if blob.isfile() else b""
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if data[257:262] != b"ustar":
            continue
        print("layer", hashlib.sha256(data).hexdigest())
        with tarfile.open(fileobj=io.BytesIO(data), encoding="latin-1") as layer:
            for x in layer:
                notes = [f" {key[len(XATTR):]}={value.encode('latin-1').hex()}"
                         for key, value in x.pax_headers.items() if key.startswith(XATTR)]
                print(f"{x.type.decode()} {x.mode:o} {x.uid}:{x.gid} {x.name}{''.join(notes)}")
