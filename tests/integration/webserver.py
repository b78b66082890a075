"""A web server that serves one file, well or badly."""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 64 << 10


@dataclass
class Site:
    """What is served and how; changes hold for the next request."""

    content: bytes
    etag: str = '"v1"'
    ranges: bool = True
    length: int | None = None  # what Content-Length says, if it lies
    drops: list[int] = field(default_factory=list)  # after so many bytes each next connection breaks off
    statuses: list[int] = field(default_factory=list)  # what each next request gets instead
    redirect: str = ""
    login: str = ""  # user:password
    pause: float = 0.0  # seconds between pieces
    seen: list[dict[str, str]] = field(default_factory=list)  # headers of the requests
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        site = self.server.site
        self.close_connection = True
        site.seen.append(dict(self.headers))
        if site.redirect:
            self.only(302, Location=site.redirect)
        elif site.statuses:
            self.only(site.statuses.pop(0))
        elif site.login and self.headers["Authorization"] != basic(site.login):
            self.only(401)
        else:
            self.serve(site)

    def serve(self, site: Site) -> None:
        start = self.start_of_range(site)
        if start is not None and start >= len(site.content):
            self.only(416)
            return
        body, total = site.content[start or 0 :], len(site.content)
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{site.length or total}")
        length = len(body) if site.length is None else site.length - (start or 0)
        self.send_header("Content-Length", str(length))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        self.send(body[: site.drops.pop(0)] if site.drops else body, site.pause)

    def start_of_range(self, site: Site) -> int | None:
        asked = self.headers.get("Range", "")
        same = self.headers.get("If-Range") in (None, site.etag)
        return int(asked.removeprefix("bytes=").rstrip("-")) if site.ranges and same and asked else None

    def send(self, body: bytes, pause: float) -> None:
        for at in range(0, len(body), PIECE):
            self.wfile.write(body[at : at + PIECE])
            if pause:
                time.sleep(pause)

    def only(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, site: Site) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.site = site

    def handle_error(self, *_: object) -> None:
        pass  # a client that goes away


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    server = Server(site)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/disk"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
