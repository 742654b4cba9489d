#!/usr/bin/env python3
"""An interceptor in one file, with Python's standard library alone.

usage: INTERCEPTOR_SECRET=whsec_… interceptor.py [PORT]

Verifies the signature of every request (Standard Webhooks), lets only one company's addresses sign up, and gives every
session a plan.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["INTERCEPTOR_SECRET"].split("_", 1)[1])
OUR_DOMAIN = "example.com"


def is_signed(headers, body):
    sent = headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > 300:
        return False
    text = f"{headers.get('webhook-id')}.{sent}.".encode() + body
    ours = "v1," + base64.b64encode(hmac.new(KEY, text, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(ours, theirs) for theirs in headers.get("webhook-signature", "").split())


def decide(event):
    if event["trigger_point"] == "PRE_SIGNUP":
        if event["data"]["user"].get("email_domain") != OUR_DOMAIN:
            return {"decision": "DENY", "error": {"message": f"Please sign up with your {OUR_DOMAIN} address."}}
        return {"decision": "ALLOW"}
    return {"decision": "ALLOW", "response": {"claims": {"plan": "gold", "seats": 40}}}


class Interceptor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status, answer = 401, {}
        if is_signed(self.headers, body):
            status, answer = 200, decide(json.loads(body))
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("127.0.0.1", port), Interceptor).serve_forever()
