"""A disk over HTTP: read once from the start, or on from where it broke off. The server is not trusted."""

import logging
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from hostler.runtime.errors import Error, Terminal
from v2v.range import Mark, Part, part

PIECE = 1 << 20  # bytes of one read
TIMEOUT = urllib3.Timeout(connect=15, read=60)  # seconds without a byte
HOPS = 5  # redirects
TRIES = 6  # in a row without a byte between them
PAUSES = (0.5, 1, 2, 4, 8)  # seconds between them
TRANSIENT = (408, 425, 429)
LONGEST_HEADER = 8192

log = logging.getLogger(__name__)


class SourceFailed(Error):
    """The world must change: the server is away, or stops in the middle again and again."""


class SourceChanged(Error):
    """What is served now is not what the beginning was read from: begin anew."""


class HttpSource:
    """One URL. `mark` tells where it stands, for another process to go on from."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._url = url
        self._headers = headers or {}
        self._pool = urllib3.PoolManager(ssl_context=context, timeout=TIMEOUT, retries=False)
        self._pauses = pauses
        self.mark = Mark()

    def close(self) -> None:
        self._pool.clear()

    def chunks(self, mark: Mark | None = None) -> Iterator[bytes]:
        """All bytes from the mark on, over as many connections as it takes."""
        self.mark = mark or Mark()
        failures = 0
        while True:
            before = self.mark.offset
            try:
                yield from self._connection()
                return
            except (HTTPError, OSError) as error:
                failures = 0 if self.mark.offset > before else failures + 1
                if failures >= TRIES:
                    raise SourceFailed(f"{self._host()}: {plain(error)}") from error
                log.info("source broke off", extra={"offset": self.mark.offset, "error": plain(error)})
                time.sleep(self._pauses[min(failures, len(self._pauses) - 1)])

    def _connection(self) -> Iterator[bytes]:
        """What one connection brings; urllib3's errors when it breaks off."""
        response = self._ask(self._url, HOPS)
        try:
            there = part(response.status, response.headers)
            self._accept(there)
            yield from self._body(response)
        finally:
            response.close()
        if self.mark.total is not None and self.mark.offset < self.mark.total:
            raise HTTPError(f"the server promised {self.mark.total} bytes and sent {self.mark.offset}")

    def _body(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        while data := response.read(PIECE, decode_content=False):
            self.mark = self.mark.after(len(data))
            yield data

    def _accept(self, there: Part) -> None:
        """The answer continues what we have, or is the beginning."""
        if self.mark.offset == 0:
            self.mark = Mark(0, there.validator, there.total)
        elif not there.continues(self.mark):
            raise SourceChanged(f"{self._host()}: the source cannot be read on from byte {self.mark.offset}")

    def _ask(self, url: str, hops: int) -> urllib3.BaseHTTPResponse:
        headers = {"Accept-Encoding": "identity", "User-Agent": "hostler"}
        if same_host(url, self._url):
            headers |= self._headers  # they may be secret, and go to nobody else
        headers |= self.mark.headers()
        try:
            response = self._pool.request(
                "GET", url, headers=headers, preload_content=False, redirect=False, decode_content=False
            )
        except SSLError as error:
            why = f"{self._host()}: {plain(error)}; give its authority in spec.source.http.certConfigMap"
            raise Terminal("CertificateNotTrusted", why) from error
        target = response.headers.get("Location") if response.status in (301, 302, 303, 307, 308) else None
        if target is None:
            self._refuse(response)
            return response
        response.close()
        if hops == 0:
            raise Terminal("TooManyRedirects", f"{self._host()} redirects more than {HOPS} times")
        return self._ask(followed(url, target), hops - 1)

    def _refuse(self, response: urllib3.BaseHTTPResponse) -> None:
        status = response.status
        if status in (200, 206):
            return
        response.close()
        if status == 416 and self.mark.offset:
            raise SourceChanged(f"{self._host()}: there is nothing after byte {self.mark.offset} any more")
        said = f"{self._host()} answered {status} {(response.reason or '')[:100]}".strip()
        if status >= 500 or status in TRANSIENT:
            raise HTTPError(said)
        raise Terminal("SourceRefused", said)

    def _host(self) -> str:
        """The URL for messages: without a password, query or fragment."""
        parts = urlsplit(self._url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:200]


def followed(url: str, target: str) -> str:
    """Where a redirect leads; never off the web."""
    new = urljoin(url, target)
    if urlsplit(new).scheme not in ("http", "https"):
        raise Terminal("RedirectRefused", f"the source redirects to something that is not on the web: {new[:200]}")
    return new


def same_host(one: str, other: str) -> bool:
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def plain(error: BaseException) -> str:
    """An error in one line that is not too long."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def request_headers(extra: tuple[str, ...], credentials: Path | None) -> dict[str, str]:
    """The headers of spec.source.http.extraHeaders, and basic authentication from a mounted Secret."""
    headers: dict[str, str] = {}
    for number, line in enumerate(extra):
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(c in line for c in "\r\n\0") or len(line) > LONGEST_HEADER:
            raise Terminal("HeaderInvalid", f"spec.source.http.extraHeaders[{number}]: must be 'Name: value'")
        headers[name.strip()] = value.strip()
    if credentials is not None:
        user, password = ((credentials / key).read_text().rstrip("\n") for key in ("accessKeyId", "secretKey"))
        headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    return headers


def tls_context(authorities: Path | None, *, insecure: bool) -> ssl.SSLContext:
    """Trusts the system's authorities and those in the files of a mounted ConfigMap."""
    context = ssl.create_default_context()
    for file in sorted(authorities.iterdir()) if authorities else ():
        if file.is_file():
            try:
                context.load_verify_locations(file)
            except ssl.SSLError as error:
                raise Terminal("CertificateInvalid", f"spec.source.http.certConfigMap: {file.name}: {error}") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
