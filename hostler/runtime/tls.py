"""A process's own certificate at work: TLS contexts for what it serves and what it calls, renewed while it runs.

The Secret is read from the API, not from a mounted file: a pod need not wait for it to start, and hears of a new one
within the hour.
"""

import asyncio
import logging
import os
import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hostler.api.objects import Secret
from hostler.runtime import names
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.protocol import Kube

RENEW = 3600.0  # seconds between looks for a new certificate
AGAIN = 1.0  # seconds until the Secret is looked for again while there is none

# there is no Secret (yet), or it is not as the manager writes it: the manager mends that
UNFIT = (ApiError, KeyError, ValueError, ssl.SSLError)

log = logging.getLogger(__name__)


class Credentials:
    """Who this process is; `server` and `client` are contexts that change in place when the certificate does."""

    def __init__(self, kube: Kube, namespace: str, process: str, *, mutual: bool = False) -> None:
        """`mutual`: the server lets only our own processes in."""
        self.namespace = namespace
        self.process = process
        # plain contexts: `create_default_context` would bring the system's authorities
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if mutual:
            self.server.verify_mode = ssl.CERT_REQUIRED
        self._mutual = mutual
        self._kube = kube
        self._seen: Mapping[str, str] = {}

    async def load(self) -> None:
        """Return once there is a certificate: the manager makes it when the installation is new."""
        told = False
        while True:
            try:
                await self._look()
            except UNFIT as error:
                if not told or not isinstance(error, NotFound):
                    log.info("waiting for a certificate", extra={"of": self.process, "error": str(error)})
                told = True
                await asyncio.sleep(AGAIN)
            else:
                return

    async def keep(self) -> None:
        """Look for a new certificate now and then, until cancelled; what is in use stays in use meanwhile."""
        while True:
            await asyncio.sleep(RENEW)
            try:
                await self._look()
            except UNFIT as error:
                log.warning("certificate not renewed", extra={"of": self.process, "error": repr(error)})

    async def _look(self) -> None:
        secret = await self._kube.get(Secret, self.namespace, names.tls_secret(self.process))
        data: dict[str, str] = secret.get("data") or {}
        if data and data == self._seen:
            return
        pems = {name: b64decode(data[name]) for name in ("tls.crt", "tls.key", "ca.crt")}
        for context in (self.server, self.client):
            with as_file(pems["tls.crt"]) as certificate, as_file(pems["tls.key"]) as key:
                context.load_cert_chain(certificate, key)
        trust(self.client, pems["ca.crt"])
        if self._mutual:
            trust(self.server, pems["ca.crt"])
        self._seen = data
        log.info("certificate", extra={"of": self.process})


def trust(context: ssl.SSLContext, bundle: bytes) -> None:
    """Trust these authorities, too; a context forgets none before its process ends."""
    context.load_verify_locations(cadata=bundle.decode())


@contextmanager
def as_file(pem: bytes) -> Iterator[str]:
    """A file in memory: the TLS library takes keys from files alone, and no key of ours is on a disk."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def caller(peer: Mapping[str, Any] | None) -> str:
    """The common name in a verified certificate, as Python's TLS tells it; "" where there is none."""
    for parts in (peer or {}).get("subject", ()):
        for name, value in parts:
            if name == "commonName":
                return str(value)
    return ""
