#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""remote_server.py PORT DIRECTORY LOG: files, git repositories and misbehaviour over HTTP.

/files/NAME          a file of DIRECTORY, with ETag and Last-Modified; 304 when the ETag matches
/slow/NAME           breaks off in the middle, unless asked for the rest
/fail/N/NAME         503 N times, then the file
/huge                claims to have 2^40 bytes
/to?URL              a redirect there
/stall/NAME          begins to answer, and breaks off 20 s later; so does /v2/, a registry's
/private/PATH        /PATH for who sends the Authorization that DIRECTORY/authorization has, else 401
/git/NAME.git/...    git http-backend over DIRECTORY/git
Each request is a line of LOG: method path status, and "authorized" when it had an Authorization.
"""

import hashlib
import http.server
import os
import subprocess
import sys
import time
import urllib.parse
from email.utils import formatdate

PORT, DIRECTORY, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3]
FAILED = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def log_request(self, code="-", size="-"):
        with open(LOG, "a", encoding="utf-8") as log:
            said = " authorized" if self.headers.get("Authorization") else ""
            log.write(f"{self.command} {self.path} {int(code)}{said}\n")

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def file(self, name):
        path = os.path.join(DIRECTORY, os.path.basename(urllib.parse.unquote(name)))
        with open(path, "rb") as file:
            body = file.read()
        etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        if self.headers.get("If-None-Match") == etag:
            self.answer(304, ETag=etag)
        else:
            self.answer(200, body, ETag=etag,
                        Last_Modified=formatdate(os.stat(path).st_mtime, usegmt=True))

    def slow(self, name):
        with open(os.path.join(DIRECTORY, os.path.basename(name)), "rb") as file:
            body = file.read()
        asked = self.headers.get("Range")
        if asked:
            begin = int(asked.split("=")[1].rstrip("-"))
            self.answer(206, body[begin:], ETag='"slow"',
                        Content_Range=f"bytes {begin}-{len(body) - 1}/{len(body)}")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"slow"')
        self.end_headers()
        self.wfile.write(body[:len(body) // 2])
        self.close_connection = True

    def stall(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
        self.wfile.flush()
        time.sleep(20)
        self.close_connection = True

    def git(self, path, query):
        length = int(self.headers.get("Content-Length") or 0)
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": os.path.join(DIRECTORY, "git"),
               "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
               "REQUEST_METHOD": self.command, "REMOTE_ADDR": "127.0.0.1", "HOME": "/nonexistent",
               "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "CONTENT_LENGTH": str(length),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        done = subprocess.run(["git", "http-backend"], input=self.rfile.read(length), env=env,
                              stdout=subprocess.PIPE, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, {}
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name:
                headers[name] = value
        self.answer(status, body, **headers)

    def private(self, path, query):
        with open(os.path.join(DIRECTORY, "authorization"), encoding="utf-8") as file:
            if self.headers.get("Authorization") == file.read().strip():
                self.serve("/" + path, query)
            else:
                self.answer(401, WWW_Authenticate='Basic realm="private"')

    def do_POST(self):
        self.do_GET()

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.serve(path, query)

    def serve(self, path, query):
        _, kind, rest = path.split("/", 2) if path.count("/") > 1 else ("", path[1:], "")
        try:
            if kind == "files":
                self.file(rest)
            elif kind == "slow":
                self.slow(rest)
            elif kind == "fail":
                times, name = rest.split("/")
                FAILED[name] = FAILED.get(name, 0) + 1
                if FAILED[name] <= int(times):
                    self.answer(503, Retry_After="0")
                else:
                    self.file(name)
            elif kind == "huge":
                self.send_response(200)
                self.send_header("Content-Length", str(1 << 40))
                self.end_headers()
                self.wfile.write(b"x" * 1000)
                self.close_connection = True
            elif kind in ("stall", "v2"):
                self.stall()
            elif kind == "to":
                self.answer(302, Location=urllib.parse.unquote(query))
            elif kind == "private":
                self.private(rest, query)
            elif kind == "git":
                self.git("/" + rest, query)
            else:
                self.answer(404)
        except FileNotFoundError:
            self.answer(404)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
