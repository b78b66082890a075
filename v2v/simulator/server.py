"""The simulator's HTTPS server: /sdk for the API, /folder for the disks, and faults on demand."""

import ssl
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyVmomi import vmodl

from v2v.simulator import folder, methods, soap
from v2v.simulator.folder import Refused
from v2v.simulator.world import World

COOKIE = "vmware_soap_session"
CHUNK = 256 * 1024
NAMESPACES = (
    '<?xml version="1.0" encoding="UTF-8"?><namespaces version="1.0"><namespace><name>urn:vim25</name>'
    "<version>8.0.3.0</version><priorVersions><version>5.5</version></priorVersions></namespace></namespaces>"
)


@dataclass
class Faults:
    """What goes wrong on purpose."""

    drop_every: int = 0  # bytes of a disk after which a connection is cut, each time; 0: never
    drops: int = 0  # how many connections were cut
    bytes_per_second: int = 0  # 0: as fast as it goes


class Server(ThreadingHTTPServer):
    """Serves until `shutdown`; every connection has a thread, and its TLS handshake happens there."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], world: World, tls: ssl.SSLContext, faults: Faults) -> None:
        super().__init__(address, Handler)
        self.world = world
        self.tls = tls
        self.faults = faults

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(30)
        try:
            secured = self.tls.wrap_socket(request, server_side=True)
        except OSError:
            return  # the client did not like our certificate
        try:
            Handler(secured, client_address, self)
        finally:
            secured.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    return tls


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/sdk" or not 0 < length <= soap.LARGEST_REQUEST:
            self._send(404, "text/plain", b"")
            return
        body = self.rfile.read(length)
        try:
            request = soap.read(body)
            with self.server.world.lock:
                value, cookie = methods.call(self.server.world, request, self._cookie())
                text = soap.answer(request.method, value)
        except soap.Fault as error:
            self._send(500, "text/xml; charset=utf-8", soap.refusal(error.fault).encode())
        except Exception as error:  # whatever a client sends, it gets an answer
            fault = vmodl.fault.InvalidRequest(msg=f"{type(error).__name__}: {error}")
            self._send(500, "text/xml; charset=utf-8", soap.refusal(fault).encode())
        else:
            extra = {"Set-Cookie": f'{COOKIE}="{cookie}"; Path=/; HttpOnly; Secure'} if cookie else {}
            self._send(200, "text/xml; charset=utf-8", text.encode(), extra)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == "/sdk/vimServiceVersions.xml":
            self._send(200, "text/xml", NAMESPACES.encode())
            return
        world = self.server.world
        if not folder.allowed(world, self._cookie(), self.headers.get("Authorization", "")):
            self._send(401, "text/plain", b"", {"WWW-Authenticate": 'Basic realm="VMware HTTP server"'})
            return
        try:
            part = folder.part(world, self.path, self.headers.get("Range"))
        except Refused as error:
            self._send(error.status, "text/plain", str(error).encode())
            return
        self._disk(part)

    def _disk(self, part: folder.Part) -> None:
        self.send_response(200 if part.whole else 206)
        for name, value in {"Content-Type": "application/octet-stream", **part.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        left, sent = part.last - part.first + 1, 0
        with part.path.open("rb") as file:
            file.seek(part.first)
            while left:
                data = file.read(min(CHUNK, left))
                if self._drops(sent + len(data)):
                    self.close_connection = True
                    return
                self.wfile.write(data)
                if limit := self.server.faults.bytes_per_second:
                    time.sleep(len(data) / limit)
                left -= len(data)
                sent += len(data)

    def _drops(self, sent: int) -> bool:
        """Is it time to cut the connection?"""
        faults = self.server.faults
        if not faults.drop_every or sent < faults.drop_every:
            return False
        faults.drops += 1
        return True

    def _cookie(self) -> str | None:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return found.value if found else None

    def _send(self, status: int, kind: str, body: bytes, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # the name is http.server's
        """Quiet: a disk is thousands of requests."""
