#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hostile.py PORT OTHER_PORT LOG: a registry that misbehaves as its repository's name says.

It serves one image with one layer. Every request is a line of the log:
port method path authorization(yes|no) range(yes|no).
"""

import base64
import gzip
import hashlib
import http.server
import io
import json
import sys
import tarfile
import threading
import time

MAIN, OTHER, LOG = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
LOCK = threading.Lock()
COUNT = {}
UPLOADS = {}
OCI = "application/vnd.oci.image."


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_layer():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        data = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(100000))
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


TAR = make_layer()
LAYER = gzip.compress(TAR, 1, mtime=0)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                     "rootfs": {"type": "layers", "diff_ids": [sha(TAR)]},
                     "history": [{"created_by": "test"}]}).encode()


def manifest(**changes):
    body = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", "digest": sha(CONFIG),
                       "size": len(CONFIG)},
            "layers": [{"mediaType": OCI + "layer.v1.tar+gzip", "digest": sha(LAYER),
                        "size": len(LAYER)}]}
    body.update(changes)
    return body


def layers(**changes):
    layer = manifest()["layers"][0]
    layer.update(changes)
    return [layer]


BAD_MANIFESTS = {
    "traversal": manifest(layers=layers(digest="sha256:../../../../etc/passwd")),
    "uppercase": manifest(layers=layers(digest=sha(LAYER).upper())),
    "shorthex": manifest(layers=layers(digest=sha(LAYER)[:-1])),
    "negative": manifest(layers=layers(size=-1)),
    "hugesize": manifest(layers=layers(size=1 << 70)),
    "both": manifest(manifests=[]),
    "schema1": {"schemaVersion": 1, "fsLayers": [], "history": []},
    "morelayers": manifest(layers=layers() + layers()),
    "hugeconfig": manifest(config={"mediaType": OCI + "config.v1+json", "digest": sha(CONFIG),
                                   "size": 1 << 40}),
}
RAW_MANIFESTS = {
    "twice": json.dumps(manifest())[:-1].encode() + b', "layers": []}',
    "deep": b"[" * 200000,
    "notjson": b"<html>hello</html>",
    "empty": b"",
    "huge": json.dumps(manifest(x="y" * (5 << 20))).encode(),
    "nul": json.dumps(manifest()).encode() + b"\0",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self):
        # whoever says hello in TLS finds the door shut
        if self.connection.recv(1, 2) == b"\x16":
            return
        super().handle()

    def log_message(self, *args):
        pass

    def note(self):
        port = self.server.server_address[1]
        with LOCK, open(LOG, "a") as log:
            print(port, self.command, self.path.split("?")[0],
                  "yes" if self.headers.get("Authorization") else "no",
                  "yes" if self.headers.get("Range") else "no", file=log)

    def times(self, what):
        with LOCK:
            COUNT[what] = COUNT.get(what, 0) + 1
            return COUNT[what]

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

    def error(self, status, code, message, **headers):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answer(status, body, Content_Type="application/json", **headers)

    def cut(self):
        self.wfile.flush()
        self.close_connection = True

    def do_GET(self):
        self.note()
        if self.path.startswith("/token"):
            mode = self.path.split("?")[0].split("/")[2]
            token = {"crlf": "a\r\nX-Evil: 1", "none": "", "huge": "x" * (1 << 20)}.get(mode, "t")
            return self.answer(200, json.dumps({"token": token, "expires_in": -1}).encode())
        if self.server.server_address[1] == OTHER:
            return self.answer(200, LAYER)
        parts = self.path.split("?")[0].split("/")
        if len(parts) < 6:
            return self.error(404, "UNSUPPORTED", "no such thing")
        mode, kind, name = parts[2], parts[4], parts[5]
        if self.challenge(mode):
            return None
        return self.manifest(mode, name) if kind == "manifests" else self.blob(mode, name)

    do_HEAD = do_GET

    def challenge(self, mode):
        realms = {"loop401": f"http://localhost:{MAIN}/token/ok",
                  "realmmeta": "http://169.254.169.254/token",
                  "realmplain": "http://example.invalid/token",
                  "realmfile": "file:///etc/passwd",
                  "realmuser": f"http://u:p@localhost:{MAIN}/token",
                  "tokencrlf": f"http://localhost:{MAIN}/token/crlf",
                  "tokennone": f"http://localhost:{MAIN}/token/none",
                  "tokenhuge": f"http://localhost:{MAIN}/token/huge"}
        if mode in realms:
            self.error(401, "UNAUTHORIZED", "who are you",
                       WWW_Authenticate=f'Bearer realm="{realms[mode]}",service="s"')
            return True
        if mode in ("redirect", "selfredirect", "evilupload") and \
                self.headers.get("Authorization") != \
                "Basic " + base64.b64encode(b"u:p").decode():
            self.error(401, "UNAUTHORIZED", "who are you", WWW_Authenticate='Basic realm="x"')
            return True
        if mode == "silent401":
            self.error(401, "UNAUTHORIZED", "no challenge")
            return True
        return False

    def manifest(self, mode, name):
        media = OCI + "manifest.v1+json"
        body = RAW_MANIFESTS.get(mode) if mode in RAW_MANIFESTS else \
            json.dumps(BAD_MANIFESTS.get(mode, manifest())).encode()
        if mode == "busy" and self.times("busy") == 1:
            return self.error(503, "BUSY", "later", Retry_After="1")
        if mode == "never":
            return self.error(429, "TOOMANYREQUESTS", "later", Retry_After="100000")
        if mode == "escape":
            return self.error(404, "X", "\x1b[31mred\x07\nnext")
        if mode == "webpage":
            return self.answer(200, b"<html>", Content_Type="text/html")
        if mode == "mismatch":
            return self.answer(200, body, Content_Type=OCI + "index.v1+json")
        if mode == "forged":
            return self.answer(200, body, Content_Type=media,
                               Docker_Content_Digest="sha256:" + "0" * 64)
        if mode == "otherbytes" and name.startswith("sha256:"):
            return self.answer(200, body + b" ", Content_Type=media)
        if mode == "loopindex":
            index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [
                {"mediaType": OCI + "index.v1+json", "digest": "sha256:" + "1" * 64, "size": 10,
                 "platform": {"os": "linux", "architecture": "amd64"}}]}
            return self.answer(200, json.dumps(index).encode(), Content_Type=index["mediaType"])
        if mode == "bigheader":
            return self.answer(200, body, Content_Type=media, X_Big="x" * 90000)
        return self.answer(200, body, Content_Type=media)

    def blob(self, mode, name):
        if name == sha(CONFIG):
            return self.answer(200, CONFIG)
        if name != sha(LAYER):
            return self.error(404, "BLOB_UNKNOWN", "no such blob")
        wanted = self.headers.get("Range")
        half = len(LAYER) // 2
        if mode == "flipped":
            return self.answer(200, LAYER[:-1] + bytes([LAYER[-1] ^ 1]))
        if mode == "longer":
            return self.answer(200, LAYER + b"x" * 100)
        if mode == "shorter":
            return self.answer(200, LAYER[:-10])
        if mode in ("cut", "norange", "badrange", "lying416", "othertotal") and not wanted:
            self.answer(200, LAYER[:half], Content_Length=str(len(LAYER)))
            return self.cut()
        if mode == "stall" and not wanted:
            self.answer(200, LAYER[:half], Content_Length=str(len(LAYER)))
            self.wfile.flush()
            time.sleep(120)
            return self.cut()
        if mode in ("cut", "stall"):
            start = int(wanted.split("=")[1].rstrip("-"))
            return self.answer(206, LAYER[start:], Content_Range=f"bytes {start}-"
                               f"{len(LAYER) - 1}/{len(LAYER)}")
        if mode == "badrange":
            return self.answer(206, LAYER[half + 5:], Content_Range=f"bytes {half + 5}-"
                               f"{len(LAYER) - 1}/{len(LAYER)}")
        if mode == "othertotal":
            return self.answer(206, LAYER[half:], Content_Range=f"bytes {half}-"
                               f"{len(LAYER) - 1}/{len(LAYER) + 1}")
        if mode == "lying416":
            return self.answer(416, b"no", Content_Length="2")
        if mode == "endless":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for _ in range(20000):
                    self.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            except OSError:
                pass
            return self.cut()
        targets = {"redirect": f"http://127.0.0.1:{OTHER}/elsewhere?secret=1",
                   "selfredirect": f"http://localhost:{OTHER}/elsewhere",
                   "tometa": "http://169.254.169.254/latest/meta-data",
                   "tofile": "file:///etc/passwd", "togopher": "gopher://localhost:1/",
                   "around": self.path + "x" if len(self.path) < 3000 else self.path,
                   "noplace": ""}
        if mode == "around":
            return self.answer(302, Location=self.path)
        if mode in targets:
            return self.answer(307, Location=targets[mode])
        return self.answer(200, LAYER)

    # --- uploads: everything is taken, the digest is checked at the end

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def do_POST(self):
        self.note()
        self.body()
        mode = self.path.split("/")[2]
        if self.challenge(mode):
            return None
        location = {"evilupload": f"http://127.0.0.1:{OTHER}/v2/evilupload/x/upload?s=1",
                    "nolocation": None, "metaupload": "http://169.254.169.254/up",
                    "fileupload": "file:///tmp/x"}.get(mode, f"/v2/{mode}/x/upload?s=1")
        if location is None:
            return self.answer(202)
        return self.answer(202, Location=location)

    def do_PATCH(self):
        self.note()
        mode = self.path.split("/")[2]
        UPLOADS[mode] = self.body()
        return self.answer(202, Location=f"/v2/{mode}/x/upload?s=2")

    def do_PUT(self):
        self.note()
        parts = self.path.split("?")[0].split("/")
        mode = parts[2]
        if parts[4] == "manifests":
            body = self.body()
            if mode == "lostblob" and self.times("lostblob") == 1:
                return self.error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown")
            return self.answer(201, Docker_Content_Digest="sha256:" + "0" * 64
                               if mode == "otherdigest" else sha(body))
        if mode == "patchonly" and int(self.headers.get("Content-Length", "0")) > 0:
            self.close_connection = True
            return self.error(405, "UNSUPPORTED", "no body here")
        if mode == "flaky" and self.times("flaky") == 1:
            self.rfile.read(100)
            self.close_connection = True
            return None
        body = self.body() or UPLOADS.get(mode, b"")
        if f"digest={sha(body)}" not in self.path:
            return self.error(400, "DIGEST_INVALID", "other bytes")
        return self.answer(201, Docker_Content_Digest=sha(body))

    def send_response(self, status, message=None):
        if self.command in ("HEAD", "GET") and status == 200 and \
                self.path.split("/")[2:3] and self.path.split("/")[2] in PUSH_ONLY:
            status = 404
        super().send_response(status, message)


PUSH_ONLY = ("pushok", "evilupload", "nolocation", "metaupload", "fileupload", "patchonly",
             "flaky", "lostblob", "otherdigest")


def serve(port):
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


threading.Thread(target=serve, args=(OTHER,), daemon=True).start()
time.sleep(0)
serve(MAIN)
