#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A registry that lies about what it has: it hands everything on to a real one, and changes answers.

    lying_cache.py REAL-HOST:PORT MODE-FILE

Prints its port. MODE-FILE says, anew for each request, what it does:

    honest      nothing
    garbage     manifests of steps are a page of HTML
    other-key   each step gets the record of another one
    oversized   manifests of steps are larger than any
    swapped     each step gets the layer of another one, with the right record
    flipped     a byte of each blob is another
    gone        there are no blobs
    refuse      403 to all
    fail        500 to all
"""
import http.client
import http.server
import json
import sys

real, mode_file = sys.argv[1:]
STEPS = "/manifests/cb1-"
seen = {}  # path of a step's manifest: its bytes


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def ask(self, path):
        connection = http.client.HTTPConnection(real)
        headers = {k: v for k, v in self.headers.items() if k.lower() in ("accept", "range")}
        connection.request(self.command, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type") or "text/plain", answer.read()

    def change(self, mode, status, body):
        is_step, is_blob = STEPS in self.path, "/blobs/" in self.path
        if mode == "refuse":
            return 403, b'{"errors":[{"code":"DENIED","message":"not today"}]}'
        if mode == "fail":
            return 500, b"down"
        if mode == "gone" and is_blob:
            return 404, b""
        if mode == "flipped" and is_blob and body:
            return status, body[:-1] + bytes([body[-1] ^ 1])
        if not is_step or status != 200:
            return status, body
        if mode == "garbage":
            return status, b"<html>hello</html>"
        if mode == "oversized":
            return status, b'{"a":"' + b"a" * (5 << 20) + b'"}'
        others = [text for path, text in seen.items() if path != self.path]
        seen[self.path] = body
        if mode == "other-key" and others:
            return status, others[0]
        if mode == "swapped":
            manifest = json.loads(body)
            for other in map(json.loads, others):
                if other["layers"][0]["digest"] != manifest["layers"][0]["digest"] and \
                   other["layers"][0]["size"] > 2 and manifest["layers"][0]["size"] > 2:
                    manifest["layers"] = other["layers"]
                    return status, json.dumps(manifest).encode()
        return status, body

    def do_GET(self):
        with open(mode_file) as file:
            mode = file.read().strip()
        status, kind, body = self.ask(self.path)
        status, body = self.change(mode, status, body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
