#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""slow_proxy.py PORT TARGET MS LOG: what the server at 127.0.0.1:TARGET answers to GET and HEAD,
each time MS milliseconds late. Each request is a line of LOG: method path status."""

import http.client
import http.server
import sys
import time

PORT, TARGET, LATE, LOG = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000, sys.argv[4]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        time.sleep(LATE)
        server = http.client.HTTPConnection("127.0.0.1", TARGET)
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        server.request(self.command, self.path, headers=headers)
        answer = server.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Transfer-Encoding", "Connection"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path} {answer.status}\n")

    do_HEAD = do_GET


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
