"""A server on this machine that serves files, and misbehaves as it is told to."""

import contextlib
import re
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Serves `files` (path to content); each request takes one word from the path's `plan`.

    A plan that is used up, or not there, is "ok".
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.plan: dict[str, list[str]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data"

    def reset(self, files: dict[str, bytes], **plan: list[str]) -> None:
        self.files, self.plan, self.requests = files, plan, []
        self.go.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # A client that goes away is the point of some tests.


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        name = urllib.parse.unquote(self.path).removeprefix("/data/")
        asked = self.headers["Range"]
        self.server.requests.append((name, asked))
        plan = self.server.plan.get(name.rpartition("/")[2].removesuffix(".npz"), [])
        word = plan.pop(0) if plan else "ok"
        content = self.server.files.get(name)
        if content is None:
            return self.send_error(404)
        if word.isdecimal():
            self.send_response(int(word), "as told")
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if word == "drop":
            return None
        if word == "silent":
            self.server.go.wait(20)
            return None
        if word == "noise":
            self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            return None
        half = len(content) // 2
        if word == "corrupt":
            content = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        elif word == "truncate":  # and it believes that this is all
            content = content[:half]
        elif word == "page":
            content = b"<html>Please log in</html>"
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if match and word != "no range":
            start = int(match[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            told = 0 if word == "other range" else start
            self.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        if word not in ("no length", "no length, cut", "endless"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if word in ("cut", "no length, cut"):
            body = body[: len(body) // 2]
        elif word in ("stall", "slow"):
            self.wfile.write(body[: len(body) // 2])
            body = body[len(body) // 2 :]
            self.server.go.wait(20)
            if word == "stall":
                return None
        elif word == "endless":
            while True:  # until the client closes the connection
                self.wfile.write(body)
        self.wfile.write(body)
        return None


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.go.set()
            server.shutdown()
            thread.join()
