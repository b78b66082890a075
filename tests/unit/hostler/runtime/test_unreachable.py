"""Why nobody answers, without what client libraries wrap around it."""

import json
import socket
import ssl

import pytest
import urllib3

from hostler.runtime.unreachable import plain


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        pytest.param(ConnectionRefusedError(111, "Connect call failed ('::1', 1)"), "connection refused", id="refused"),
        pytest.param(OSError(113, "Connect call failed"), "no route to host", id="no way there"),
        pytest.param(socket.gaierror(-3, "Temporary failure"), "its name is not known", id="DNS"),
        pytest.param(TimeoutError(), "timed out", id="silent"),
        pytest.param(untrusted(), "its certificate is not trusted (self-signed certificate)", id="certificate"),
        pytest.param(json.JSONDecodeError("bad", "<html>", 0), "no API server answers there", id="a web page"),
        pytest.param(urllib3.exceptions.LocationParseError("x:y"), "Failed to parse: x:y", id="no words of ours"),
        pytest.param(EOFError(), "EOFError", id="no words at all"),
    ],
)
def test_plain(cause: Exception, said: str) -> None:
    wrapped = RuntimeError(f"Pool(host='x'): {cause!r}")
    wrapped.__cause__ = cause
    assert plain(wrapped) == said
