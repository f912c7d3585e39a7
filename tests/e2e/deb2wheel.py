#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""deb2wheel.py OUTDIR TREE...: repack Debian's Python packages as wheels.

Each TREE/NAME is what `dpkg-deb -R` made of the package python3-NAME. Debian ships the module and
its metadata; a wheel wants the same in a zip, with a RECORD. What a package requires is read from
Debian's Depends, as far as it is among the TREEs: Debian edits the requirements that came along.
"""
import pathlib
import re
import sys
import zipfile


def metadata(info, requires):
    name = "METADATA" if info.suffix == ".dist-info" else "PKG-INFO"
    head, _, body = (info / name).read_text().partition("\n\n")
    lines = [line for line in head.splitlines() if not line.startswith("Requires-Dist:")]
    return "\n".join(lines + [f"Requires-Dist: {name}" for name in requires]) + "\n\n" + body


def repack(tree, names, outdir):
    site = tree / "usr/lib/python3/dist-packages"
    info = next(path for path in site.iterdir() if path.suffix in (".egg-info", ".dist-info"))
    name, version = info.stem.split("-")[:2]
    depends = re.search(r"^Depends:(.*)$", (tree / "DEBIAN/control").read_text(), re.M).group(1)
    requires = sorted(set(re.findall(r"python3-([a-z0-9-]+)", depends)) & names)
    dist = f"{name}-{version}.dist-info"
    files = {str(path.relative_to(site)): path.read_bytes()
             for path in sorted(site.rglob("*")) if path.is_file() and info not in path.parents}
    files[f"{dist}/METADATA"] = metadata(info, requires).encode()
    files[f"{dist}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{dist}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{dist}/RECORD"]).encode()
    with zipfile.ZipFile(outdir / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)


trees = [pathlib.Path(tree) for tree in sys.argv[2:]]
for tree in trees:
    repack(tree, {tree.name for tree in trees}, pathlib.Path(sys.argv[1]))
