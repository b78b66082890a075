"""Whom we talk to: a certificate signed by an authority that we trust, or the very one whose thumbprint was given."""

import hashlib
import re
import ssl
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, Protocol

# SHA-1 is what VMware's older tools print; forging a certificate to a given one is still out of reach.
HASHES = {40: hashlib.sha1, 64: hashlib.sha256}
HEXADECIMAL = re.compile(r"[0-9a-f]+")


class ThumbprintMismatch(OSError):
    """The server shows another certificate than it should."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"the server shows a certificate with thumbprint {shown}")
        self.shown = shown


class Dial(Protocol):
    """Makes a connection, yet to be opened."""

    def __call__(self, host: str, port: int, **options: Any) -> HTTPConnection: ...


class PinnedConnection(HTTPSConnection):
    """Opens only to the server that has the certificate with the thumbprint, whoever signed it.

    Checked by us, for each connection: pyVmomi checks a thumbprint on its first connection only.
    """

    def __init__(self, thumbprint: str, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self.thumbprint = thumbprint

    def connect(self) -> None:
        super().connect()
        certificate: bytes = self.sock.getpeercert(binary_form=True) or b""
        if HASHES[len(self.thumbprint)](certificate).hexdigest() != self.thumbprint:
            self.close()
            raise ThumbprintMismatch(written(hashlib.sha256(certificate).hexdigest()))


def dialer(scheme: str, thumbprint: str = "", timeout: float = 30.0) -> Dial:
    """How to connect; `thumbprint` is hexadecimal, with or without colons. ValueError if it is neither kind."""
    if scheme == "http":
        return partial(HTTPConnection, timeout=timeout)
    if not thumbprint:
        return partial(HTTPSConnection, timeout=timeout, context=ssl.create_default_context())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # PinnedConnection knows the certificate itself
    return partial(PinnedConnection, plain(thumbprint), timeout=timeout, context=context)


def plain(thumbprint: str) -> str:
    """Lower case without colons; ValueError if it is no thumbprint."""
    digits = thumbprint.replace(":", "").lower()
    if len(digits) not in HASHES or not HEXADECIMAL.fullmatch(digits):
        raise ValueError("a thumbprint is the SHA-256 (64 hexadecimal digits) or SHA-1 (40) of the certificate")
    return digits


def written(digits: str) -> str:
    """As people read it: upper case, with colons."""
    upper = digits.upper()
    return ":".join(upper[i : i + 2] for i in range(0, len(upper), 2))


def fingerprint(host: str, port: int) -> str:
    """SHA-256 of the certificate that a server shows, unverified: for a person to compare."""
    try:
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, port), timeout=10))
    except (OSError, ValueError):
        return "(none)"
    return written(hashlib.sha256(shown).hexdigest())
