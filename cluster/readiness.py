"""Whether a program does its work, seen from outside."""

import http.client
import ssl
import urllib.request
from pathlib import Path

from cluster.spec import Ready

SECONDS = 5
LISTEN = "0A"  # the state in /proc/net/tcp


def is_ready(ready: Ready, pid: int) -> bool:
    """One look; never raises for what a starting or ending program may do."""
    if ready.url:
        return answers(ready.url, ready.ca)
    try:
        if ready.socket:
            return Path(f"/proc/{pid}/root{ready.socket}").is_socket()
        if ready.port:
            return any(listens(Path(f"/proc/{pid}/net/{table}").read_text(), ready.port) for table in ("tcp", "tcp6"))
    except OSError:
        return False
    return True


def answers(url: str, ca: str) -> bool:
    """200 over TLS, by somebody with a certificate of the authority."""
    try:
        context = ssl.create_default_context(cafile=ca)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(url, timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, http.client.HTTPException):  # refused, reset, not ready, no file yet, half an answer
        return False


def listens(table: str, port: int) -> bool:
    """Whether a table of /proc/net has a listener on the port."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return any(row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows if len(row) > 3)
