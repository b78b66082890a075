"""Why nobody answers, in plain words: what the system or OpenSSL said, without a client library's wrapping."""

import json
import os
import socket
import ssl
from collections.abc import Iterator

KINDS: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "its name is not known"),
    (TimeoutError, "timed out"),
    (json.JSONDecodeError, "no API server answers there"),
)


def plain(error: BaseException) -> str:
    """The words for the first cause that says something."""
    causes = list(chain(error))
    first = causes[-1]
    return next((said for each in reversed(causes) if (said := words(each))), str(first) or type(first).__name__)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({error.reason or error})"
    known = next((text for kind, text in KINDS if isinstance(error, kind)), "")
    return known or (os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "")
