#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""token_server.py PORT KEY CERT: bearer tokens for docker-registry (distribution's token spec).

Anyone may pull from public/*; user "u" with password "p" may do everything.
"""

import base64
import http.server
import json
import subprocess
import sys
import time
import urllib.parse


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(key, claims, cert):
    header = {"typ": "JWT", "alg": "RS256", "x5c": [cert]}
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key],
                               input=text.encode(), check=True, stdout=subprocess.PIPE).stdout
    return text + "." + b64(signature)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        user = None
        authorization = self.headers.get("Authorization", "")
        if authorization:
            if authorization != "Basic " + base64.b64encode(b"u:p").decode():
                return self.answer(401, {"details": "incorrect username or password"})
            user = "u"
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            actions = actions.split(",")
            if not user:
                actions = ["pull"] if name.startswith("public/") and "pull" in actions else []
            access.append({"type": kind, "name": name, "actions": actions})
        now = int(time.time())
        claims = {"iss": "issuer", "sub": user or "", "aud": query["service"][0],
                  "exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(time.time()),
                  "access": access}
        self.answer(200, {"token": sign(sys.argv[2], claims, CERT), "expires_in": 300})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with open(sys.argv[3]) as pem:
    CERT = "".join(pem.read().split("-----")[2].split())
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
